//! Permission as a value: nothing of a record reaches a link but through a [`Permit`], and only this crate makes one.
//!
//! None of these compiles: a permit, a disclosure and a de-nominalised view are made by their own rules only.
//! ```compile_fail,E0423
//! let forged = icomm_policy::Permit(std::sync::Arc::new(()));
//! ```
//! ```compile_fail,E0451
//! fn forge<'a>(honest: icomm_policy::Disclosed<'a>, other: icomm_policy::Disclosed<'a>) -> icomm_policy::Disclosed<'a> {
//!     icomm_policy::Disclosed { form: other.form, ..honest }
//! }
//! ```
//! ```compile_fail,E0423
//! fn forge(view: icomm_proto::Denominalised<'static>) -> icomm_policy::Upstream<'static> {
//!     icomm_policy::Upstream(view)
//! }
//! ```
//! ```compile_fail,E0451
//! fn forge<'a>(honest: icomm_proto::Denominalised<'a>, open: &'a [u8]) -> icomm_proto::Denominalised<'a> {
//!     icomm_proto::Denominalised { open, ..honest }
//! }
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use icomm_pki::MemberId;
use icomm_proto::log::{ChunkBuilder, Hash};
use icomm_proto::{Denominalised, Entry, NotDenominalised, SectionKind, SectionSet, ViewRef};

use crate::agreement::{Digest, Grant, Purpose, Retention, UseInCourt};
use crate::cedar::grant::GrantRef;
use crate::consent::HeldConsent;
use crate::lane::Window;
use crate::photo::DisclosedPhoto;

/// By which way a grant lets a record go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// From the originator to the receiver.
    Direct,
    /// From a holder to the receiver, as the originator allows.
    Onward,
    /// From a holder to the global node, the open section only, as the originator allows.
    Upstream,
}

/// One legal basis of a disclosure: the grant, what it covers and the duties that go with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Basis {
    /// The originator's grant.
    pub grant: GrantRef,
    /// When a holder passes the record on to a member: the holder's own grant to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<GrantRef>,
    /// Where the originator's consent is needed besides: SHA-256 of its signed answer.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub consent: Option<Digest>,
    /// By which way.
    pub way: Way,
    /// The sections that go on this basis.
    pub sections: SectionSet,
    /// What the receiver may use them for.
    pub purposes: BTreeSet<Purpose>,
    /// Whether it may use them in court.
    pub use_in_court: UseInCourt,
    /// How long it may keep them.
    pub retention: Retention,
}

impl Basis {
    /// The basis that `grant` is by itself.
    pub(crate) fn of(reference: &GrantRef, grant: &Grant, way: Way) -> Self {
        Self {
            grant: reference.clone(),
            through: None,
            consent: None,
            way,
            sections: SectionSet::EMPTY,
            purposes: grant.purposes.clone(),
            use_in_court: grant.use_in_court,
            retention: grant.retention,
        }
    }

    /// With the originator's consent, where that is needed: for its purpose only, and under its agreement only. None when it
    /// is for another.
    pub(crate) fn approved(self, consent: Option<&HeldConsent>) -> Option<Self> {
        let Some(HeldConsent { terms, digest, .. }) = consent else {
            return Some(self);
        };
        let fits = self.grant.agreement == terms.agreement && self.purposes.contains(&terms.purpose);
        fits.then(|| Self {
            consent: Some(*digest),
            purposes: [terms.purpose].into(),
            ..self
        })
    }

    /// The originator's terms travel with its records: of two grants in a row the stricter terms bind. None when they have no
    /// purpose in common.
    pub(crate) fn inherited(self, through: &GrantRef, grant: &Grant) -> Option<Self> {
        let purposes: BTreeSet<Purpose> = self.purposes.intersection(&grant.purposes).copied().collect();
        let use_in_court = self.use_in_court.min(grant.use_in_court);
        let retention = self.retention.bound_by(grant.retention);
        let through = Some(through.clone());
        (!purposes.is_empty()).then_some(Self {
            through,
            purposes,
            use_in_court,
            retention,
            ..self
        })
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.grant)?;
        match (&self.through, self.way) {
            (Some(through), _) => write!(f, ", onward through {through}"),
            (None, Way::Upstream) => f.write_str(", upstream"),
            (None, _) => Ok(()),
        }?;
        match &self.consent {
            Some(consent) => write!(f, ", by consent {consent}"),
            None => Ok(()),
        }
    }
}

fn as_text<S: serde::Serializer>(consent: &Option<Digest>, serializer: S) -> Result<S::Ok, S::Error> {
    consent.map(|digest| digest.to_string()).serialize(serializer)
}

/// Permission to disclose records of one class to one receiver, for a time; where it takes a consent, one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit(Arc<Terms>);

#[derive(Debug, PartialEq, Eq)]
struct Terms {
    origin: MemberId,
    receiver: MemberId,
    class: Box<[u8]>,
    /// The leaf hash of the only entry that it is for; none: every entry of the class.
    entry: Option<Hash>,
    sections: SectionSet,
    bases: Vec<Basis>,
    window: Window,
}

impl Permit {
    /// For records of `class`, or for the one entry of them that is named by its leaf hash.
    pub(crate) fn new(
        (origin, receiver): (&MemberId, &MemberId),
        class: &[u8],
        entry: Option<Hash>,
        bases: Vec<Basis>,
        window: Window,
    ) -> Self {
        let sections = bases
            .iter()
            .fold(SectionSet::EMPTY, |all, basis| all.union(basis.sections));
        Self(Arc::new(Terms {
            origin: origin.clone(),
            receiver: receiver.clone(),
            class: class.into(),
            entry,
            sections,
            bases,
            window,
        }))
    }

    /// A number that its clones share, and no other permit as long as one of them is there: for tables by permit.
    #[must_use]
    pub fn number(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Whose records.
    #[must_use]
    pub fn origin(&self) -> &MemberId {
        &self.0.origin
    }

    /// Who may receive them.
    #[must_use]
    pub fn receiver(&self) -> &MemberId {
        &self.0.receiver
    }

    /// The sections that may go; more than a record of the class need have.
    #[must_use]
    pub fn sections(&self) -> SectionSet {
        self.0.sections
    }

    /// On which bases, at least one.
    #[must_use]
    pub fn bases(&self) -> &[Basis] {
        &self.0.bases
    }

    /// How long the receiver may keep what identifies somebody, as the strictest of the bases has it; none if nothing but the
    /// open section goes.
    #[must_use]
    pub fn strictest_retention(&self) -> Option<Retention> {
        let bases = self.0.bases.iter();
        let identifying = bases.filter(|basis| !basis.sections.is_subset(SectionSet::open()));
        identifying.map(|basis| basis.retention).reduce(Retention::bound_by)
    }

    /// The first second, since 1970, at which the answer may be another.
    #[must_use]
    pub fn valid_until(&self) -> u64 {
        self.0.window.until
    }

    /// Whether the permit is for `view` at `now` (seconds since 1970).
    #[must_use]
    pub fn covers(&self, view: &ViewRef<'_>, now: u64) -> bool {
        let is_entry = |entry: Hash| view.leaf_hash() == entry;
        self.0.window.contains(now) && view.class_bytes() == Some(&*self.0.class) && self.0.entry.is_none_or(is_entry)
    }

    /// What of `view` may go at `now` (seconds since 1970): the permitted sections, or the leaf hash alone when the permit is
    /// for another class or has lapsed.
    #[must_use]
    pub fn disclose<'a>(&'a self, view: &ViewRef<'a>, now: u64) -> Disclosed<'a> {
        if self.covers(view, now) {
            Disclosed {
                form: Form::View {
                    view: *view,
                    sections: self.0.sections,
                },
                permit: Some(self),
            }
        } else {
            Disclosed::withheld(view)
        }
    }

    /// The only form in which `view` may go to the global node at `now` (seconds since 1970); none when the permit is for
    /// another class, has lapsed, or does not hold the open section.
    ///
    /// # Errors
    /// When the open section is not what the originator committed to.
    pub fn upstream<'a>(&self, view: &ViewRef<'a>, now: u64) -> Result<Option<Denominalised<'a>>, NotDenominalised> {
        let open = SectionSet::open().is_subset(self.0.sections);
        if open && self.covers(view, now) {
            Denominalised::of(view).map(Some)
        } else {
            Ok(None)
        }
    }
}

/// What a receiver is given of one entry. Only a [`Permit`] makes one that holds more than a hash, unless the receiver is the
/// originator, who gets back what it once signed.
#[derive(Clone, Copy, Debug)]
pub struct Disclosed<'a> {
    form: Form<'a>,
    permit: Option<&'a Permit>,
}

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    View {
        view: ViewRef<'a>,
        sections: SectionSet,
    },
    /// The hash is computed when it is written.
    Withheld(Entry<'a>),
    Hash(Hash),
}

impl<'a> Disclosed<'a> {
    pub(crate) fn withheld(view: &ViewRef<'a>) -> Self {
        Self {
            form: Form::Withheld(view.entry()),
            permit: None,
        }
    }

    /// All that is held of an entry, for its originator.
    pub(crate) fn returned(view: &ViewRef<'a>) -> Self {
        Self {
            form: Form::View {
                view: *view,
                sections: SectionSet::ALL,
            },
            permit: None,
        }
    }

    /// An entry of which the holder itself knows the leaf hash only. A hash discloses nothing, so anybody may make this.
    #[must_use]
    pub const fn hash(leaf: Hash) -> Self {
        Self {
            form: Form::Hash(leaf),
            permit: None,
        }
    }

    /// The sections that the receiver is given; none of them when the entry is withheld.
    #[must_use]
    pub fn sections(&self) -> SectionSet {
        match self.form {
            Form::View { view, sections } => sections.intersection(view.sections()),
            Form::Withheld(_) | Form::Hash(_) => SectionSet::EMPTY,
        }
    }

    /// Whether the receiver is given the leaf hash only.
    #[must_use]
    pub const fn is_withheld(&self) -> bool {
        !matches!(self.form, Form::View { .. })
    }

    /// The permit on which it goes; none when it is withheld, or goes back to its originator.
    #[must_use]
    pub const fn permit(&self) -> Option<&'a Permit> {
        self.permit
    }

    /// One of the photos that the entry names, from 0: none unless the receiver is given the section that names it.
    #[must_use]
    pub fn photo(&self, number: u32) -> Option<DisclosedPhoto<'a>> {
        let (Form::View { view, .. }, Some(permit)) = (self.form, self.permit) else {
            return None;
        };
        let given = self.sections().contains(SectionKind::Images);
        given.then(|| DisclosedPhoto::of(&view, number, permit))?
    }

    /// How many bytes of a view [`Self::write`] adds; none when the entry is withheld.
    #[must_use]
    pub fn view_len(&self) -> usize {
        match self.form {
            Form::View { view, sections } => view.redacted_len(sections),
            Form::Withheld(_) | Form::Hash(_) => 0,
        }
    }

    /// Adds it to a chunk.
    pub fn write(&self, chunk: &mut ChunkBuilder) {
        match self.form {
            Form::View { view, sections } => chunk.disclose_with(|out| view.write_redacted(sections, out)),
            Form::Withheld(entry) => chunk.withhold(&entry.leaf_hash()),
            Form::Hash(leaf) => chunk.withhold(&leaf),
        };
    }
}

/// What the global node is given of one entry: a [`Denominalised`] view or a leaf hash. There is no third.
#[derive(Clone, Copy, Debug)]
pub struct Upstream<'a>(Up<'a>);

#[derive(Clone, Copy, Debug)]
enum Up<'a> {
    View(Denominalised<'a>, &'a Permit),
    /// The hash is computed when it is asked for.
    Withheld(Entry<'a>),
    Hash(Hash),
}

impl<'a> Upstream<'a> {
    /// An entry of which the holder itself knows the leaf hash only.
    #[must_use]
    pub const fn hash(leaf: Hash) -> Self {
        Self(Up::Hash(leaf))
    }

    pub(crate) fn withheld(view: &ViewRef<'a>) -> Self {
        Self(Up::Withheld(view.entry()))
    }

    /// What goes of `view` on `permit` at `now`.
    pub(crate) fn of(view: &ViewRef<'a>, permit: &'a Permit, now: u64) -> Result<Self, NotDenominalised> {
        let open = permit.upstream(view, now)?;
        Ok(open.map_or_else(|| Self::withheld(view), |open| Self(Up::View(open, permit))))
    }

    /// The entry's leaf hash.
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        match &self.0 {
            Up::View(open, _) => open.leaf_hash(),
            Up::Withheld(entry) => entry.leaf_hash(),
            Up::Hash(leaf) => *leaf,
        }
    }

    /// The view that goes; none when the entry is withheld.
    #[must_use]
    pub const fn view(&self) -> Option<&Denominalised<'a>> {
        match &self.0 {
            Up::View(open, _) => Some(open),
            Up::Withheld(_) | Up::Hash(_) => None,
        }
    }

    /// The photo that the entry clears, which is its only one; none where it clears none or is withheld.
    #[must_use]
    pub fn photo(&self, number: u32) -> Option<DisclosedPhoto<'a>> {
        match &self.0 {
            Up::View(open, permit) if number == 0 => DisclosedPhoto::cleared(open, permit),
            Up::View(..) | Up::Withheld(_) | Up::Hash(_) => None,
        }
    }

    /// The permit on which it goes; none when it is withheld.
    #[must_use]
    pub const fn permit(&self) -> Option<&'a Permit> {
        match &self.0 {
            Up::View(_, permit) => Some(permit),
            Up::Withheld(_) | Up::Hash(_) => None,
        }
    }

    /// Adds it to a chunk.
    pub fn write(&self, chunk: &mut ChunkBuilder) {
        match self.view() {
            Some(open) => chunk.disclose_with(|out| open.write(out)),
            None => chunk.withhold(&self.leaf_hash()),
        };
    }
}
