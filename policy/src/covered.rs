//! What is still covered of what went to a receiver: by the version of each agreement that has begun last, be it in force or over.
//!
//! ```text
//!   ke-ug   v1 case+exact ──begins──▶ v2 case ──▶ v3 (begins next month)
//!                                     └ this one says what UG may keep of what it was given
//! ```
//!
//! What went by consent stays while the terms still ask for consent, whatever became of the consent: that it was revoked, or is over,
//! ends what has not left. An agreement that is suspended or has ended covers what went under it as before: that nothing more goes is one thing, what
//! becomes of what went is for its terms on keeping. Only a later version takes something back.

use std::collections::BTreeSet;

use icomm_pki::{MemberId, Role};
use icomm_proto::{SectionSet, ViewRef};

use crate::agreement::AgreementId;
use crate::book::Book;
use crate::cedar::grant::CompiledGrant;
use crate::decision::Receiver;
use crate::earlier::{Earlier, weigh_as_consented};
use crate::forbidden::Forbidden;
use crate::lane::{Lane, Route, Sources};
use crate::policy::{Policy, Snapshot};

/// What one originator's records may leave with one receiver, whichever way they came. Sections to compare with; never a permit.
pub struct Covered(Vec<Earlier>);

impl Policy {
    /// What `receiver` may keep of `origin`'s records at `now` (seconds since 1970), as far as the owner's book can tell: by
    /// the originator's own leave, by the owner's, and by that of every office that the book lets pass them on.
    #[must_use]
    pub fn covered(&self, origin: &MemberId, receiver: &Receiver, now: u64) -> Covered {
        let snapshot = self.snapshot();
        let owner = snapshot.book.owner();
        let offices = snapshot.book.partners().filter(|member| {
            let role = snapshot.directory.role(member);
            role == Some(Role::Regional)
        });
        snapshot.covered_by(offices.chain([origin, owner]).collect(), origin, receiver, now)
    }

    /// What `receiver` may keep of `origin`'s records by the originator's own leave alone, as far as the owner's book can tell.
    #[must_use]
    pub fn given_to(&self, origin: &MemberId, receiver: &Receiver, now: u64) -> Covered {
        self.snapshot().covered_by([origin].into(), origin, receiver, now)
    }

    /// Every agreement of which more than one version has begun by `now` (seconds since 1970), and the highest of these: what
    /// went under the others may be covered no more.
    #[must_use]
    pub fn superseding(&self, now: u64) -> Vec<(AgreementId, u32)> {
        self.snapshot().book.superseding(now)
    }
}

impl Snapshot {
    fn covered_by(&self, holders: BTreeSet<&MemberId>, origin: &MemberId, receiver: &Receiver, now: u64) -> Covered {
        let holders = holders.into_iter().filter(|holder| **holder != receiver.member);
        let lanes = holders.filter_map(|holder| {
            let route = Route {
                origin,
                holder,
                receiver: &receiver.member,
                role: receiver.role,
                purpose: None,
            };
            // National laws judge what goes, not what stays.
            let sources = Sources {
                overlays: &[],
                ..self.sources()
            };
            Lane::standing(route, sources, now).ok()
        });
        Covered(lanes.map(|lane| Earlier::of(origin.clone(), lane)).collect())
    }
}

impl Covered {
    /// The sections that may stay of a record of `view`'s class, whatever of it is in the view. Of this entry `consented` went
    /// by consent.
    pub fn sections(&mut self, view: &ViewRef<'_>, consented: SectionSet) -> SectionSet {
        let stays = |lane: &mut Earlier| {
            lane.gives(view, |lane, origin, class, view| match consented {
                SectionSet::EMPTY => None,
                sections => weigh_as_consented(lane, origin, class, view, sections),
            })
        };
        let lanes = self.0.iter_mut();
        lanes.fold(SectionSet::EMPTY, |all, lane| all.union(stays(lane)))
    }
}

/// The grants from `from` to `to` of the version of each agreement that has begun last at `now`.
pub(crate) fn grants_standing<'a>(
    book: &'a Book,
    from: &MemberId,
    to: &MemberId,
    now: u64,
) -> Result<Vec<&'a CompiledGrant>, Forbidden> {
    let grants = book.begun_between(from, to, now).flat_map(|ratified| ratified.grants());
    let concerned: Vec<_> = grants.filter(|grant| grant.concerns(from, to)).collect();
    match concerned.is_empty() {
        true => Err(Forbidden::NoAgreement {
            from: from.clone(),
            to: to.clone(),
        }),
        false => Ok(concerned),
    }
}
