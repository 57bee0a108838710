//! Recall and correction: what an originator voids is erased wherever it went, and each holder signs for that.
//!
//! ```text
//!  originator                     hub                            holder
//!  AMEND or RECALL appended,
//!  own bodies erased, one batch
//!    │ notes: who was given any?
//!    ├── Recall (order + proof) ─▶ verify, erase, durable
//!    │                             notes: who was given any?
//!    │                               ├── the same Recall ────────▶ verify, erase, durable
//!    ◀── Erased (signed; names the   │
//!    │   holders it passed it on to) │
//!    │                               ◀────────── Erased (signed) ─┤
//!    ◀────────────────── forwarded ──┘
//! ```
//!
//! A [`Recall`](icomm_proto::v1::Recall) stands by itself: the entry without any section, its place in the log, an
//! inclusion proof to a signed checkpoint, and the originator's signature over reason and time. So whoever is thousands of
//! entries behind can act on it before all else, and it may come by any way. It goes to those whom the notes of disclosures
//! name and to nobody else: in chunks a RECALL is one more withheld hash.
//!
//! It is owed to a holder until that holder, and everybody whom it names as having got the record from it, has signed. What
//! is owed is offered again right after every hello. Nothing is kept of answers under way: who is asked again answers with
//! all that it has.
//!
//! Who was away passes on nothing before it has heard those from whom it has it ([`Returning`]).
//!
//! INVARIANT: from the moment a recall is taken, no body that it voids is stored; and none is served from the moment that
//! the erasing began ([`Voids`]).

use std::collections::HashMap;

use icomm_proto::{EntryKind, Origin, RecordId};

mod erasure;
mod holders;
mod kept;
mod order;
mod returning;
mod voids;

pub use erasure::{Erasure, InvalidErasure, put_text};
pub use holders::{each_note, has_file, holders};
pub use kept::{ANSWERS_PREFIX, Kept, RECALLS_PREFIX, answer_state, answers, parse_recall_state, recall_state};
pub use order::{Appended, InvalidOrder, Order, Reason, UnknownReason};
pub use returning::{CONTACT_KEY, HeldBack, Returning, Second, Sources, WAIT_SECONDS_MAX};
pub use voids::Voids;

/// Recalls in one frame at most.
pub const RECALLS_MAX: usize = 128;
/// Signed answers in one frame at most.
pub const ERASURES_MAX: usize = 1024;
/// Bytes of answers from which on they go in another frame.
pub const ERASURES_BYTES_ENOUGH: usize = 512 << 10;
/// Holders that one answer may name.
pub const HOLDERS_MAX: usize = 8192;

/// Names what is recalled: a record of a log.
pub type RecallKey = (Origin, RecordId);

/// How far a record is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Void {
    /// The index of the entry that says so.
    pub index: u64,
    /// An AMEND voids the versions before it, a RECALL the record.
    pub kind: EntryKind,
}

impl Void {
    /// Whether an entry of the record at this index is void.
    pub fn covers(&self, index: u64) -> bool {
        self.kind == EntryKind::Recall || index < self.index
    }

    /// Whether this leaves nothing for `other` to void.
    pub fn includes(&self, other: &Self) -> bool {
        match (self.kind, other.kind) {
            (EntryKind::Recall, _) => true,
            (_, EntryKind::Recall) => false,
            _ => self.index >= other.index,
        }
    }
}

/// The records of one log that are void, or of which earlier versions are.
#[derive(Debug, Clone, Default)]
pub struct Voided(HashMap<RecordId, Void>);

impl Voided {
    /// How far a record is void.
    pub fn get(&self, record: &RecordId) -> Option<Void> {
        self.0.get(record).copied()
    }

    /// Whether the entry of a record at this index is void.
    pub fn covers(&self, record: &RecordId, index: u64) -> bool {
        self.0.get(record).is_some_and(|void| void.covers(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amendment_voids_what_stands_before_it_and_a_recall_everything() {
        let amend = |index| Void {
            index,
            kind: EntryKind::Amend,
        };
        let recall = Void {
            index: 5,
            kind: EntryKind::Recall,
        };
        assert!(amend(5).covers(4) && !amend(5).covers(5) && !amend(5).covers(6));
        assert!(recall.covers(4) && recall.covers(6));
        assert!(amend(5).includes(&amend(5)) && amend(5).includes(&amend(4)) && !amend(4).includes(&amend(5)));
        assert!(recall.includes(&amend(9)) && recall.includes(&recall) && !amend(9).includes(&recall));
    }
}
