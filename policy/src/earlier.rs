//! What went to a receiver under an earlier revision: sections, to compare with; never a permit.

use std::collections::HashMap;

use icomm_pki::MemberId;
use icomm_proto::{SectionSet, ViewRef};

use crate::class::{CLASS_BYTES_MAX, Class};
use crate::consent::HeldConsent;
use crate::decision::{Receiver, complete};
use crate::lane::{Lane, Route};
use crate::policy::Policy;
use crate::revision::Revision;
use crate::session::REMEMBERED_CLASSES_MAX;

/// What one originator's records gave one receiver under a revision that may no longer hold.
pub struct Earlier {
    origin: MemberId,
    lane: Option<Lane>,
    answers: HashMap<Box<[u8]>, SectionSet>,
}

impl Policy {
    /// What the owner's node gave `receiver` of `origin`'s records under `revision`. When that can't be said any more
    /// (other laws, another directory, a version that is gone) it says of every record: nothing.
    #[must_use]
    pub fn earlier(&self, origin: &MemberId, receiver: &Receiver, revision: &Revision) -> Earlier {
        let snapshot = self.snapshot();
        let route = Route {
            origin,
            holder: snapshot.book.owner(),
            receiver: &receiver.member,
            role: receiver.role,
            purpose: None,
        };
        Earlier {
            origin: origin.clone(),
            lane: Lane::reopen(route, snapshot.sources(), revision),
            answers: HashMap::new(),
        }
    }
}

impl Earlier {
    /// What a lane gives.
    pub(crate) fn of(origin: MemberId, lane: Lane) -> Self {
        Self {
            origin,
            lane: Some(lane),
            answers: HashMap::new(),
        }
    }

    /// Of a revision that can't be read: it gave nothing, as far as anybody knows.
    #[must_use]
    pub fn unknown(origin: MemberId) -> Self {
        Self {
            origin,
            lane: None,
            answers: HashMap::new(),
        }
    }

    /// Whether the revision could be made again.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.lane.is_some()
    }

    /// The sections of `view` that went.
    pub fn gave(&mut self, view: &ViewRef<'_>) -> SectionSet {
        self.gives(view, weigh_consented).intersection(view.sections())
    }

    /// What goes of a record of `view`'s class, whatever of it is in the view; `consented` tells of those that have a consent of
    /// their own.
    pub(crate) fn gives(
        &mut self,
        view: &ViewRef<'_>,
        consented: impl FnOnce(&Lane, &MemberId, &[u8], &ViewRef<'_>) -> Option<SectionSet>,
    ) -> SectionSet {
        let (Some(lane), Some(class)) = (&self.lane, view.class_bytes()) else {
            return SectionSet::EMPTY;
        };
        if class.len() > CLASS_BYTES_MAX {
            return SectionSet::EMPTY;
        }
        if let Some(given) = consented(lane, &self.origin, class, view) {
            return given;
        }
        match self.answers.get(class) {
            Some(known) => *known,
            None => {
                let given = weigh(lane, &self.origin, class);
                if self.answers.len() >= REMEMBERED_CLASSES_MAX {
                    self.answers.clear();
                }
                self.answers.insert(class.into(), given);
                given
            }
        }
    }
}

/// The sections that a lane gives of every record of a class.
pub(crate) fn weigh(lane: &Lane, origin: &MemberId, class: &[u8]) -> SectionSet {
    weigh_with(lane, origin, class, None)
}

/// The sections that a lane gives of an entry that has a consent of its own; none if it has none.
pub(crate) fn weigh_consented(lane: &Lane, origin: &MemberId, class: &[u8], view: &ViewRef<'_>) -> Option<SectionSet> {
    let (consent, _) = lane.consent_of(view)?;
    Some(weigh_with(lane, origin, class, Some(consent)))
}

/// The sections that a lane gives of an entry that went by consent, `sections` of it; none if its thread is not known.
pub(crate) fn weigh_as_consented(
    lane: &Lane,
    origin: &MemberId,
    class: &[u8],
    view: &ViewRef<'_>,
    sections: SectionSet,
) -> Option<SectionSet> {
    let (consent, _) = lane.consent_of(view)?;
    Some(weigh_with(lane, origin, class, Some(&consent.with_sections(sections))))
}

fn weigh_with(lane: &Lane, origin: &MemberId, class: &[u8], consent: Option<&HeldConsent>) -> SectionSet {
    let Ok(class) = Class::parse(class, origin) else {
        return SectionSet::EMPTY;
    };
    let weighed = lane.weigh(&class, consent);
    let weighed = weighed.and_then(|weighed| complete(weighed, lane, &class));
    weighed.map_or(SectionSet::EMPTY, |weighed| {
        let bases = weighed.bases.iter();
        bases.fold(SectionSet::EMPTY, |all, basis| all.union(basis.sections))
    })
}
