//! One decision: may records of this class go from this holder to this receiver?

use icomm_pki::{MemberId, Role};
use icomm_proto::log::Hash;
use icomm_proto::{RecordId, SectionKind, SectionSet};

use crate::agreement::Purpose;
use crate::class::Class;
use crate::consent::HeldConsent;
use crate::forbidden::Forbidden;
use crate::lane::{Held, Lane, Weighed};
use crate::permit::Permit;

/// Who a receiver is: its member id and the role in its certificate, which must be the directory's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receiver {
    /// The member.
    pub member: MemberId,
    /// The role in its certificate.
    pub role: Role,
}

/// A question to [`crate::Policy::decide`].
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Whose record it is.
    pub origin: &'a MemberId,
    /// Who would send it: the originator or somebody to whom it was disclosed.
    pub holder: &'a MemberId,
    /// Who would receive it.
    pub receiver: &'a Receiver,
    /// The one purpose for which it is asked; none: whatever the grants allow, as duties of the receiver.
    pub purpose: Option<Purpose>,
    /// The bytes of `Case.class`; none when the holder does not know them.
    pub class: Option<&'a [u8]>,
    /// Which entry it is, by record and leaf hash, so that a consent to it counts; none: any of its class.
    pub entry: Option<(RecordId, Hash)>,
    /// Seconds since 1970.
    pub now: u64,
}

/// The answer: permission as a value, or the rule that stopped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// These sections may go, on these bases.
    Permit(Permit),
    /// Nothing may go but the leaf hash, if anything.
    Forbid(Forbidden),
}

impl Decision {
    /// The permit, if it is one.
    #[must_use]
    pub const fn permit(&self) -> Option<&Permit> {
        match self {
            Self::Permit(permit) => Some(permit),
            Self::Forbid(_) => None,
        }
    }

    /// The refusal, if it is one.
    #[must_use]
    pub const fn forbidden(&self) -> Option<&Forbidden> {
        match self {
            Self::Permit(_) => None,
            Self::Forbid(forbidden) => Some(forbidden),
        }
    }
}

/// Decides on records of `origin` with the class `bytes` on an open lane; or on the one entry that a consent is for.
pub(crate) fn decide(
    lane: &Held<Result<Lane, Forbidden>>,
    origin: &MemberId,
    receiver: &MemberId,
    bytes: Option<&[u8]>,
    entry: Option<(&HeldConsent, Hash)>,
) -> Decision {
    let permit = || -> Result<Permit, Forbidden> {
        let open = lane.answer.as_ref().map_err(Clone::clone)?;
        let bytes = bytes.ok_or(Forbidden::NoClass)?;
        let class = Class::parse(bytes, origin)?;
        let consent = entry.map(|(consent, _)| consent);
        let weighed = complete(open.weigh(&class, consent)?, open, &class)?;
        let leaf = entry.map(|(_, leaf)| leaf);
        Ok(Permit::new((origin, receiver), bytes, leaf, weighed.bases, lane.window))
    };
    permit().map_or_else(Decision::Forbid, Decision::Permit)
}

/// Without the open section nothing goes: the rest can't be understood, and the receiver could not decide on it.
pub(crate) fn complete(weighed: Weighed, lane: &Lane, class: &Class) -> Result<Weighed, Forbidden> {
    let sections = weighed
        .bases
        .iter()
        .fold(SectionSet::EMPTY, |all, basis| all.union(basis.sections));
    if sections.contains(SectionKind::Case) {
        return Ok(weighed);
    }
    Err(match weighed.laws.get(&SectionKind::Case) {
        Some(policies) => Forbidden::Law {
            policies: policies.clone(),
        },
        None => lane.not_covered(class),
    })
}
