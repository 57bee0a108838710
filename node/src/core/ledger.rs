//! The ledger: the notes of what a node disclosed as a Merkle log of their own, with checkpoints, private to the member.
//!
//! ```text
//!  notes (NoteLog disclosures)      0 1 2 3 4 5 6 7 8 9      each: salt 16 | JSON, durable before its chunk leaves
//!  leaf = SHA-256(0x00 ‖ note)      └─────┬─────┘ └─┬─┘
//!  checkpoints (NoteLog ledger)           ▼ 6       ▼ 10     C2SP notes, signed with the member key, oldest first
//!
//!  origin line    demo.icomm.example/KE/gw1/disclosures      trust domain, member, node
//! ```
//!
//! Notes are not signed as they are written: that would add a signature to every chunk. Whoever runs the node calls
//! [`Ledger::sign`] about once a second; it reads what came since, and signs. A note's place is its number in the list.
//!
//! The ledger is no log that can be asked for: its notes are no records, and its name has one part more than an
//! [`Origin`](icomm_proto::Origin), so nothing that serves logs can name it. What others get to see of it are leaf hashes
//! and checkpoints; the salt keeps a leaf hash from confirming a guess at its note.
//!
//! INVARIANT: no two checkpoints of a ledger contradict each other. Where the notes end before what was signed, or another
//! member holds a checkpoint of another history, nothing more is signed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use icomm_pki::{MemberId, MemberKeys, NodeName, TrustDomain};
use icomm_proto::log::{Checkpoint, Frontier, Hash, InvalidCheckpoint, NotSigned, VerifiedCheckpoint, leaf_hash};
use icomm_proto::v1;
use thiserror::Error;

use super::seat::Seat;
use crate::store::{Batch, NoteLog, Store, StoreError};

/// Notes that one checkpoint adds at most, so that what lies between two checkpoints is little to hand over and little to
/// search when it does not fit.
pub const SIGN_NOTES_MAX: u64 = 1024;
/// Checkpoints or notes read at a time.
const PAGE_NOTES: usize = 256;
/// Notes whose hashes are handed over at a time. INVARIANT: more than lie between two checkpoints.
pub const GROWTH_NOTES_MAX: u64 = 4096;
/// A checkpoint of this ledger that contradicts the notes, with the name of its holder on a line before it.
const CONTRADICTION: &str = "ledger/contradiction";
/// The frontier at the last checkpoint.
const FRONTIER: &str = "ledger/frontier";

/// The notes of one node's disclosures, signed.
pub struct Ledger {
    store: Arc<dyn Store>,
    line: String,
    key: Seat,
    keys: Mutex<Arc<MemberKeys>>,
    state: Mutex<State>,
    // Held while it is signed, which may take long; the state is not.
    signing: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Over the notes that are signed.
    frontier: Frontier,
    /// The last checkpoint.
    checkpoint: Option<Bytes>,
    fault: Option<InvalidLedger>,
    /// Going on would sign a second history. An edited note does not do that: what was signed of it stays signed.
    ended: bool,
}

/// A ledger as it stands.
#[derive(Debug, Clone)]
pub struct LedgerHead {
    /// Notes that are signed.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The signed note; none before the first.
    pub checkpoint: Option<Bytes>,
}

/// Why the notes are not those that were signed. Somebody edited or cut them, or the store was put back to an older state.
#[derive(Debug, Clone, Error)]
pub enum InvalidLedger {
    /// There are fewer notes than were signed.
    #[error("the disclosure log ends before note {notes}, but {signed} notes were signed: the last were cut off")]
    Cut {
        /// How many there are.
        notes: u64,
        /// How many were signed.
        signed: u64,
    },
    /// A stretch of notes has another hash than was signed.
    #[error("among notes {from} to {last} of the disclosure log at least one is not the one that was signed")]
    Changed {
        /// The first note of the stretch.
        from: u64,
        /// Its last.
        last: u64,
    },
    /// A kept checkpoint is none of this ledger's.
    #[error("checkpoint {number} of the disclosure log is not the one that was signed")]
    Checkpoint {
        /// Which.
        number: u64,
        /// What is wrong with it.
        #[source]
        source: InvalidCheckpoint,
    },
    /// Kept checkpoints are not in the order in which they were signed.
    #[error("checkpoint {number} of the disclosure log is not larger than the one before it")]
    Order {
        /// Which.
        number: u64,
    },
    /// Another member holds a checkpoint of this ledger over more notes than there are.
    #[error(
        "`{holder}` holds this node's own signature over {held} disclosures, and only {notes} are noted here: the last were cut \
         off, or the store was put back to an older state"
    )]
    Beyond {
        /// Who.
        holder: String,
        /// Over how many notes.
        held: u64,
        /// How many there are.
        notes: u64,
    },
    /// Another member holds a checkpoint of other notes.
    #[error(
        "`{holder}` holds this node's own signature over {held} disclosures, and among the first {held} that are noted here \
         at least one is another"
    )]
    Elsewhere {
        /// Who.
        holder: String,
        /// Over how many notes.
        held: u64,
    },
    /// The key does not sign now. Nothing is wrong with the notes.
    #[error("the disclosure log is not signed: {0}")]
    Unsigned(#[from] NotSigned),
    /// The store can't read it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why what a peer keeps of this ledger is not what is here.
#[derive(Debug, Error)]
pub enum Disagreement {
    /// It is no checkpoint of this ledger: the peer's fault.
    #[error("what it keeps is no checkpoint of this node's ledger: {0}")]
    Foreign(#[from] InvalidCheckpoint),
    /// It is, and the notes here are not those that were signed.
    #[error(transparent)]
    Ledger(#[from] InvalidLedger),
}

/// The origin line of a node's ledger, and the name of the key that signs it.
pub fn line(domain: &TrustDomain, member: &MemberId, node: &NodeName) -> String {
    format!("{domain}/{member}/{node}/disclosures")
}

impl Ledger {
    /// The ledger as the store holds it, signed with the key in the seat and before with others of the member's `keys`. Only its end is looked at; [`Ledger::verify`] reads all of it.
    ///
    /// # Errors
    /// The store fails. A ledger that does not fit is no error here: the node must be able to say so.
    pub fn open(
        store: Arc<dyn Store>,
        line: String,
        key: impl Into<Seat>,
        keys: Arc<MemberKeys>,
    ) -> Result<Self, StoreError> {
        let ledger = Self {
            store,
            line,
            key: key.into(),
            keys: Mutex::new(keys),
            state: Mutex::default(),
            signing: Mutex::default(),
        };
        let state = match ledger.resume() {
            Ok(state) => state,
            Err(InvalidLedger::Store(error)) => return Err(error),
            Err(fault) => State {
                fault: Some(fault),
                // Where to go on is not known.
                ended: true,
                ..State::default()
            },
        };
        *ledger.state() = state;
        ledger.recall()?;
        Ok(ledger)
    }

    /// Compares anew with what somebody was once found to hold against it.
    fn recall(&self) -> Result<(), StoreError> {
        let Some(kept) = self.store.state(CONTRADICTION)? else {
            return Ok(());
        };
        let end = kept.iter().position(|byte| *byte == b'\n').unwrap_or(kept.len());
        let holder = String::from_utf8_lossy(kept.get(..end).unwrap_or_default()).into_owned();
        match self.compare_with(&holder, kept.slice(kept.len().min(end + 1)..)) {
            Err(Disagreement::Ledger(InvalidLedger::Store(error))) => Err(error),
            _ => Ok(()),
        }
    }

    /// Goes by these keys of the member from now on.
    pub fn trust(&self, keys: Arc<MemberKeys>) {
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Signs what there is, if the key does, and lets `change` happen while nothing is signed: it is told up to where the key in
    /// the seat has signed.
    ///
    /// # Errors
    /// The store can't read the notes.
    pub fn pause<T>(&self, change: impl FnOnce(&LedgerHead) -> T) -> Result<T, InvalidLedger> {
        let _one = self.signing.lock().unwrap_or_else(PoisonError::into_inner);
        match self.sign_alone() {
            // A token that is lost for good must not keep another key from following.
            Ok(()) | Err(InvalidLedger::Unsigned(_)) => {}
            Err(error) => return Err(error),
        }
        let state = self.state();
        Ok(change(&LedgerHead {
            size: state.frontier.size(),
            root: state.frontier.root(),
            checkpoint: state.checkpoint.clone(),
        }))
    }

    /// The name that its checkpoints carry.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// How far it is signed.
    pub fn head(&self) -> LedgerHead {
        let state = self.state();
        LedgerHead {
            size: state.frontier.size(),
            root: state.frontier.root(),
            checkpoint: state.checkpoint.clone(),
        }
    }

    /// What is known to be wrong with it.
    pub fn fault(&self) -> Option<InvalidLedger> {
        self.state().fault.clone()
    }

    /// Signs the notes that came since the last checkpoint. Blocks on the disk and the key.
    ///
    /// # Errors
    /// The store can't read the notes, or the key does not sign.
    pub fn sign(&self) -> Result<(), InvalidLedger> {
        let _one = self.signing.lock().unwrap_or_else(PoisonError::into_inner);
        self.sign_alone()
    }

    fn sign_alone(&self) -> Result<(), InvalidLedger> {
        let notes = self.store.notes_len(&NoteLog::disclosures())?;
        loop {
            let state = self.state();
            let mut frontier = state.frontier.clone();
            if state.ended || frontier.size() >= notes {
                return Ok(());
            }
            drop(state);
            let to = notes.min(frontier.size().saturating_add(SIGN_NOTES_MAX));
            self.replay(&mut frontier, to)?;
            let signed = Checkpoint::of(&self.line, &frontier).sign(&self.key.key())?;
            let mut state = self.state();
            if state.ended {
                return Ok(());
            }
            // The notes are durable. A checkpoint that a power cut takes is signed again, over them and maybe more.
            self.store.ride(
                Batch::new()
                    .note(NoteLog::ledger(), signed.note().clone())
                    .set(FRONTIER, frontier.to_bytes()),
            );
            (state.frontier, state.checkpoint) = (frontier, Some(signed.note().clone()));
        }
    }

    /// Signs what is not signed yet, if the key does, then reads every note and every checkpoint anew and compares them. What
    /// is found is remembered.
    ///
    /// # Errors
    /// From which note on they are not those that were signed.
    pub fn verify(&self) -> Result<LedgerHead, InvalidLedger> {
        let found = self.compare();
        if let Err(fault) = &found
            && !matches!(fault, InvalidLedger::Store(_) | InvalidLedger::Unsigned(_))
        {
            let mut state = self.state();
            state.ended |= !matches!(fault, InvalidLedger::Changed { .. });
            state.fault.get_or_insert_with(|| fault.clone());
        }
        found
    }

    /// Compares with the checkpoint that a peer keeps of this ledger; the number of notes under it. A contradiction is
    /// remembered, and nothing more is signed.
    ///
    /// # Errors
    /// The peer's checkpoint is none of this ledger's, or of other notes than are here.
    pub fn compare_with(&self, holder: &str, checkpoint: Bytes) -> Result<u64, Disagreement> {
        let theirs = self.own(checkpoint)?;
        let known = self.sign_if_possible()?;
        let (held, head) = (theirs.size(), self.head());
        let fault = if held > known.max(head.size) {
            let notes = self
                .store
                .notes_len(&NoteLog::disclosures())
                .map_err(InvalidLedger::from)?;
            InvalidLedger::Beyond {
                holder: holder.to_owned(),
                held,
                notes,
            }
        } else if self.root_at(held, &head)? != *theirs.root() {
            InvalidLedger::Elsewhere {
                holder: holder.to_owned(),
                held,
            }
        } else {
            return Ok(held);
        };
        let mut state = self.state();
        state.ended = true;
        if state.fault.is_none() {
            state.fault = Some(fault.clone());
            let evidence = [holder.as_bytes(), b"\n", theirs.note()].concat();
            // Whoever holds it shows it again.
            self.store.ride(Batch::new().set(CONTRADICTION, evidence));
        }
        Err(fault.into())
    }

    /// How the ledger goes on from `from` notes, for somebody who keeps so much of it: leaf hashes up to a checkpoint. None
    /// if nothing more is signed.
    ///
    /// # Errors
    /// The store can't read the notes.
    pub fn growth(&self, from: u64) -> Result<Option<v1::LedgerGrowth>, InvalidLedger> {
        let state = self.state();
        let (size, checkpoint, ended) = (state.frontier.size(), state.checkpoint.clone(), state.ended);
        drop(state);
        let Some(mut end) = checkpoint.filter(|_| size > from && !ended) else {
            return Ok(None);
        };
        let mut to = size;
        if size - from > GROWTH_NOTES_MAX {
            let last = self.last_up_to(from.saturating_add(GROWTH_NOTES_MAX))?;
            let Some(last) = last.filter(|last| last.size() > from) else {
                return Ok(None);
            };
            (end, to) = (last.note().clone(), last.size());
        }
        let mut hashes = Vec::new();
        self.each_leaf(from, to, &mut |leaf| hashes.extend_from_slice(leaf.as_bytes()))?;
        Ok(Some(v1::LedgerGrowth {
            leaf_hashes: hashes.into(),
            checkpoint: end,
        }))
    }

    fn compare(&self) -> Result<LedgerHead, InvalidLedger> {
        self.sign_if_possible()?;
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let head = self.head();
        let mut frontier = self.compare_checkpoints()?;
        // The last checkpoint may still be on its way to the disk.
        let from = frontier.size();
        if from < head.size {
            self.replay(&mut frontier, head.size)?;
            if frontier.root() != head.root {
                let last = head.size.saturating_sub(1);
                return Err(InvalidLedger::Changed { from, last });
            }
        }
        Ok(head)
    }

    /// Signs what is not signed yet; how many notes are known to be this ledger's. While the key does not sign these are all
    /// that there are: a checkpoint that a power cut took may be in other hands.
    fn sign_if_possible(&self) -> Result<u64, InvalidLedger> {
        match self.sign() {
            Ok(()) => Ok(self.head().size),
            Err(InvalidLedger::Unsigned(_)) if !self.state().ended => {
                Ok(self.store.notes_len(&NoteLog::disclosures())?)
            }
            Err(InvalidLedger::Unsigned(_)) => Ok(self.head().size),
            Err(error) => Err(error),
        }
    }

    /// Compares the notes with every checkpoint that is kept; the frontier at the last.
    fn compare_checkpoints(&self) -> Result<Frontier, InvalidLedger> {
        let notes = self.store.notes_len(&NoteLog::disclosures())?;
        let (mut frontier, mut next) = (Frontier::new(), 0);
        loop {
            let page = self.store.notes(&NoteLog::ledger(), next, PAGE_NOTES)?;
            let Some((last, _)) = page.last() else {
                return Ok(frontier);
            };
            next = last.saturating_add(1);
            for (number, note) in page {
                let checkpoint = self.own_checkpoint(number, note)?;
                let (from, signed) = (frontier.size(), checkpoint.size());
                if signed <= from {
                    return Err(InvalidLedger::Order { number });
                }
                if signed > notes {
                    return Err(InvalidLedger::Cut { notes, signed });
                }
                self.replay(&mut frontier, signed)?;
                if frontier.root() != *checkpoint.root() {
                    return Err(InvalidLedger::Changed { from, last: signed - 1 });
                }
            }
        }
    }

    /// Where the store says that signing stopped.
    fn resume(&self) -> Result<State, InvalidLedger> {
        let Some(number) = self.store.notes_len(&NoteLog::ledger())?.checked_sub(1) else {
            return Ok(State::default());
        };
        let kept = self.store.notes(&NoteLog::ledger(), number, 1)?.pop();
        let Some((_, note)) = kept else {
            return Ok(State::default());
        };
        let checkpoint = self.own_checkpoint(number, note)?;
        let notes = self.store.notes_len(&NoteLog::disclosures())?;
        if checkpoint.size() > notes {
            let signed = checkpoint.size();
            return Err(InvalidLedger::Cut { notes, signed });
        }
        let frontier = self.store.state(FRONTIER)?;
        let frontier = frontier.and_then(|bytes| Frontier::from_bytes(&bytes).ok());
        let fits = |frontier: &Frontier| frontier.size() == checkpoint.size() && frontier.root() == *checkpoint.root();
        let frontier = match frontier.filter(fits) {
            Some(frontier) => frontier,
            None => self.compare_checkpoints()?,
        };
        Ok(State {
            frontier,
            checkpoint: Some(checkpoint.note().clone()),
            fault: None,
            ended: false,
        })
    }

    fn own_checkpoint(&self, number: u64, note: Bytes) -> Result<VerifiedCheckpoint, InvalidLedger> {
        self.own(note)
            .map_err(|source| InvalidLedger::Checkpoint { number, source })
    }

    /// A checkpoint that this member signed, with whichever of its keys.
    fn own(&self, note: Bytes) -> Result<VerifiedCheckpoint, InvalidCheckpoint> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match VerifiedCheckpoint::verify_by(note.clone(), &self.line, &keys) {
            // The bundle may not have heard of the key in the seat.
            Err(invalid) => VerifiedCheckpoint::verify(note, &self.line, &self.key.key().public()).map_err(|_| invalid),
            verified => verified,
        }
    }

    /// The root over the first `size` notes.
    fn root_at(&self, size: u64, head: &LedgerHead) -> Result<Hash, InvalidLedger> {
        if size == head.size {
            return Ok(head.root);
        }
        if let Some(checkpoint) = self.last_up_to(size)?.filter(|checkpoint| checkpoint.size() == size) {
            return Ok(*checkpoint.root());
        }
        let mut frontier = Frontier::new();
        self.replay(&mut frontier, size)?;
        Ok(frontier.root())
    }

    /// The last checkpoint that is kept and not over more notes than these.
    fn last_up_to(&self, size: u64) -> Result<Option<VerifiedCheckpoint>, InvalidLedger> {
        let (mut from, mut to) = (0, self.store.notes_len(&NoteLog::ledger())?);
        let mut last = None;
        while from < to {
            let middle = from + (to - from) / 2;
            let Some((number, note)) = self.store.notes(&NoteLog::ledger(), middle, 1)?.pop() else {
                break;
            };
            let checkpoint = self.own_checkpoint(number, note)?;
            if checkpoint.size() > size {
                to = middle;
            } else {
                from = middle + 1;
                last = Some(checkpoint);
            }
        }
        Ok(last)
    }

    /// Adds notes to a frontier until it has so many.
    fn replay(&self, frontier: &mut Frontier, size: u64) -> Result<(), InvalidLedger> {
        self.each_leaf(frontier.size(), size, &mut |leaf| frontier.push(leaf))
    }

    /// The leaf hashes of notes, in order.
    fn each_leaf(&self, from: u64, to: u64, each: &mut dyn FnMut(Hash)) -> Result<(), InvalidLedger> {
        let mut next = from;
        while next < to {
            let left = usize::try_from(to - next).unwrap_or(PAGE_NOTES);
            let page = self.store.notes(&NoteLog::disclosures(), next, left.min(PAGE_NOTES))?;
            let Some((last, _)) = page.last() else {
                let (notes, signed) = (next, to);
                return Err(InvalidLedger::Cut { notes, signed });
            };
            next = last.saturating_add(1);
            page.iter().for_each(|(_, note)| each(leaf_hash(note)));
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is in it is changed in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
