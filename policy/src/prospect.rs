//! What a change of the book would change, before anybody signs it: two policies side by side, of which one is only supposed.
//!
//! A supposed agreement has no signatures, so nothing here makes a permit: the answers are sections, to be counted.

use std::collections::HashMap;
use std::sync::Arc;

use icomm_pki::MemberId;
use icomm_proto::{SectionSet, ViewRef};

use crate::agreement::{Agreement, AgreementId, Ratified};
use crate::book::{Change, Refusal};
use crate::class::CLASS_BYTES_MAX;
use crate::decision::Receiver;
use crate::earlier::{weigh, weigh_consented};
use crate::lane::{Lane, Route};
use crate::policy::{Policy, Snapshot};
use crate::session::REMEMBERED_CLASSES_MAX;

/// The policy as it is, and as it would be.
pub struct Prospect {
    now: Arc<Snapshot>,
    then: Snapshot,
    change: Change,
}

/// What would change for one originator's records on their way to one receiver.
pub struct Comparison {
    origin: MemberId,
    now: Option<Lane>,
    then: Option<Lane>,
    answers: HashMap<Box<[u8]>, (SectionSet, SectionSet)>,
}

impl Policy {
    /// As if every party had signed `agreement` and handed it in at `now` (seconds since 1970).
    ///
    /// # Errors
    /// When the book would not take it even then.
    pub fn suppose(&self, agreement: &Agreement, now: u64) -> Result<Prospect, Refusal> {
        let snapshot = self.snapshot();
        let ratified = Ratified::supposed(agreement.clone(), snapshot.directory.as_ref())?;
        let mut then = Snapshot::clone(&snapshot);
        let change = Arc::make_mut(&mut then.book).suppose(ratified, now)?;
        Ok(Prospect {
            now: snapshot,
            then,
            change,
        })
    }

    /// As if `id` were suspended, or over; none when there is no such agreement.
    #[must_use]
    pub fn suppose_without(&self, id: &AgreementId) -> Option<Prospect> {
        let snapshot = self.snapshot();
        let version = snapshot.book.latest(id)?.agreement().version();
        let mut then = Snapshot::clone(&snapshot);
        Arc::make_mut(&mut then.book).forget(id);
        let by = snapshot.book.owner().clone();
        let id = id.clone();
        Some(Prospect {
            now: snapshot,
            then,
            change: Change::Suspended { id, version, by },
        })
    }
}

impl Prospect {
    /// What the book would say to it.
    #[must_use]
    pub const fn change(&self) -> &Change {
        &self.change
    }

    /// Compares what `receiver` gets of `origin`'s records, both at the moment `at` (seconds since 1970).
    #[must_use]
    pub fn compare(&self, origin: &MemberId, receiver: &Receiver, at: u64) -> Comparison {
        let lane = |snapshot: &Snapshot| {
            let route = Route {
                origin,
                holder: snapshot.book.owner(),
                receiver: &receiver.member,
                role: receiver.role,
                purpose: None,
            };
            Lane::open(route, snapshot.sources(), at).answer.ok()
        };
        Comparison {
            origin: origin.clone(),
            now: lane(&self.now),
            then: lane(&self.then),
            answers: HashMap::new(),
        }
    }
}

impl Comparison {
    /// Whether the log is served at all: as it is, and as it would be.
    #[must_use]
    pub const fn serves(&self) -> (bool, bool) {
        (self.now.is_some(), self.then.is_some())
    }

    /// The sections of `view` that go: as it is, and as it would be.
    pub fn gives(&mut self, view: &ViewRef<'_>) -> (SectionSet, SectionSet) {
        let Some(class) = view.class_bytes().filter(|class| class.len() <= CLASS_BYTES_MAX) else {
            return (SectionSet::EMPTY, SectionSet::EMPTY);
        };
        let (now, then) = match self.answers.get(class) {
            Some(known) => *known,
            None => {
                let given = |lane: &Option<Lane>| match lane {
                    Some(lane) => weigh(lane, &self.origin, class),
                    None => SectionSet::EMPTY,
                };
                let answer = (given(&self.now), given(&self.then));
                if self.answers.len() >= REMEMBERED_CLASSES_MAX {
                    self.answers.clear();
                }
                self.answers.insert(class.into(), answer);
                answer
            }
        };
        let consented = |lane: &Option<Lane>| weigh_consented(lane.as_ref()?, &self.origin, class, view);
        let (now, then) = (
            consented(&self.now).unwrap_or(now),
            consented(&self.then).unwrap_or(then),
        );
        (now.intersection(view.sections()), then.intersection(view.sections()))
    }
}
