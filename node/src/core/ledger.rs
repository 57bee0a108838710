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
use icomm_pki::{MemberId, MemberKey, NodeName, TrustDomain};
use icomm_proto::log::{Checkpoint, Frontier, Hash, InvalidCheckpoint, VerifiedCheckpoint, leaf_hash};
use thiserror::Error;

use crate::store::{Batch, NoteLog, Store, StoreError};

/// Notes that one checkpoint adds at most, so that what lies between two checkpoints is little to hand over and little to
/// search when it does not fit.
pub const SIGN_NOTES_MAX: u64 = 1024;
/// Checkpoints or notes read at a time.
const PAGE_NOTES: usize = 256;
/// The frontier at the last checkpoint.
const FRONTIER: &str = "ledger/frontier";

/// The notes of one node's disclosures, signed.
pub struct Ledger {
    store: Arc<dyn Store>,
    line: String,
    key: MemberKey,
    state: Mutex<State>,
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
    /// The store can't read it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The origin line of a node's ledger, and the name of the key that signs it.
pub fn line(domain: &TrustDomain, member: &MemberId, node: &NodeName) -> String {
    format!("{domain}/{member}/{node}/disclosures")
}

impl Ledger {
    /// The ledger as the store holds it. Only its end is looked at; [`Ledger::verify`] reads all of it.
    ///
    /// # Errors
    /// The store fails. A ledger that does not fit is no error here: the node must be able to say so.
    pub fn open(store: Arc<dyn Store>, line: String, key: MemberKey) -> Result<Self, StoreError> {
        let ledger = Self {
            store,
            line,
            key,
            state: Mutex::default(),
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
        Ok(ledger)
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

    /// Signs the notes that came since the last checkpoint. Blocks on the disk.
    ///
    /// # Errors
    /// The store can't read the notes.
    pub fn sign(&self) -> Result<(), InvalidLedger> {
        let mut state = self.state();
        if state.ended {
            return Ok(());
        }
        let notes = self.store.notes_len(&NoteLog::disclosures())?;
        while state.frontier.size() < notes {
            let (from, mut frontier) = (state.frontier.size(), state.frontier.clone());
            self.replay(&mut frontier, notes.min(from.saturating_add(SIGN_NOTES_MAX)))?;
            let signed = Checkpoint::of(&self.line, &frontier).sign(&self.key);
            let number = self.store.notes_len(&NoteLog::ledger())?;
            let signed = signed.map_err(|source| InvalidLedger::Checkpoint { number, source })?;
            // The notes are durable. A checkpoint that a power cut takes is signed again, over them and maybe more.
            self.store.ride(
                Batch::new()
                    .note(NoteLog::ledger(), signed.note().clone())
                    .set(FRONTIER, frontier.to_bytes()),
            );
            (state.frontier, state.checkpoint) = (frontier, Some(signed.note().clone()));
        }
        Ok(())
    }

    /// Signs what is not signed yet, then reads every note and every checkpoint anew and compares them. What is found is
    /// remembered.
    ///
    /// # Errors
    /// From which note on they are not those that were signed.
    pub fn verify(&self) -> Result<LedgerHead, InvalidLedger> {
        let found = self.compare();
        if let Err(fault) = &found
            && !matches!(fault, InvalidLedger::Store(_))
        {
            let mut state = self.state();
            state.ended |= !matches!(fault, InvalidLedger::Changed { .. });
            state.fault.get_or_insert_with(|| fault.clone());
        }
        found
    }

    fn compare(&self) -> Result<LedgerHead, InvalidLedger> {
        self.sign()?;
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
        VerifiedCheckpoint::verify(note, &self.line, &self.key.public())
            .map_err(|source| InvalidLedger::Checkpoint { number, source })
    }

    /// Adds notes to a frontier until it has so many.
    fn replay(&self, frontier: &mut Frontier, size: u64) -> Result<(), InvalidLedger> {
        while frontier.size() < size {
            let left = usize::try_from(size - frontier.size()).unwrap_or(PAGE_NOTES);
            let page = self
                .store
                .notes(&NoteLog::disclosures(), frontier.size(), left.min(PAGE_NOTES))?;
            if page.is_empty() {
                let (notes, signed) = (frontier.size(), size);
                return Err(InvalidLedger::Cut { notes, signed });
            }
            frontier.extend(page.iter().map(|(_, note)| leaf_hash(note)));
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
