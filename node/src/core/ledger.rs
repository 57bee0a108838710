//! The ledger: the notes of what a node disclosed as a Merkle log of their own, with checkpoints, private to the member.
//!
//! ```text
//!  notes (NoteLog disclosures)      0 1 2 3 4 5 6 7 8 9      each: salt 16 | JSON, durable before its chunk leaves
//!  leaf = SHA-256(0x00 ‖ note)      └─────┬─────┘ └─┬─┘
//!  checkpoints (NoteLog ledger)           ▼ 6       ▼ 10     C2SP notes, signed with the member key, oldest first
//!
//!  origin line    demo.icomm.example/KE/gw1/disclosures      trust domain, member, node
//!                 demo.icomm.example/KE/gw1/disclosures/2-1f2e3d4c      the same after the node was put back ([`epoch`])
//! ```
//!
//! Notes are not signed as they are written: that would add a signature to every chunk. Whoever runs the node calls
//! [`Ledger::sign`] about once a second; it reads what came since, and signs. A note's place is its number in the list.
//!
//! The ledger is no log that can be asked for: its notes are no records, and its name has one part more than an
//! [`Origin`](icomm_proto::Origin), so nothing that serves logs can name it. What others get to see of it are leaf hashes
//! and checkpoints; the salt keeps a leaf hash from confirming a guess at its note.
//!
//! INVARIANT: no two checkpoints of one epoch contradict each other. Where the notes end before what was signed, or another
//! member holds a checkpoint of another history, nothing more is signed before a new epoch begins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use icomm_pki::{LogEnd, MemberKeys};
use icomm_proto::log::{Checkpoint, Frontier, Hash, VerifiedCheckpoint};
use icomm_proto::v1;

use super::seat::Seat;
use crate::store::{Batch, NoteLog, Store, StoreError};

mod checking;
pub mod epoch;
mod fault;
mod line;

use epoch::{EPOCHS_MAX, Epoch, Epochs};
pub use fault::{BeginError, Disagreement, InvalidLedger};
pub use line::{EpochId, Line};

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
/// Where it began anew.
const EPOCHS: &str = "ledger/epochs";

/// The notes of one node's disclosures, signed.
pub struct Ledger {
    store: Arc<dyn Store>,
    line: Line,
    key: Seat,
    keys: Mutex<Arc<MemberKeys>>,
    state: Mutex<State>,
    // Held while it is signed, which may take long; the state is not.
    signing: Mutex<()>,
    // It is not known yet whether somebody holds more.
    waits: AtomicBool,
}

#[derive(Default)]
struct State {
    epochs: Epochs,
    /// Over the notes that are signed.
    frontier: Frontier,
    /// The last checkpoint.
    checkpoint: Option<Bytes>,
    fault: Option<InvalidLedger>,
    /// What somebody holds against it: of which epoch, and who.
    against: Option<(EpochId, String, VerifiedCheckpoint)>,
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

impl Ledger {
    /// The ledger as the store holds it, signed with the key in the seat and before with others of the member's `keys`. Only its end is looked at; [`Ledger::verify`] reads all of it.
    ///
    /// # Errors
    /// The store fails. A ledger that does not fit is no error here: the node must be able to say so.
    pub fn open(
        store: Arc<dyn Store>,
        line: Line,
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
            waits: AtomicBool::new(false),
        };
        let kept = ledger.store.state(EPOCHS)?;
        let epochs = kept.and_then(|kept| serde_json::from_slice::<Epochs>(&kept).ok());
        let epochs = epochs.unwrap_or_default();
        ledger.state().epochs = epochs.clone();
        let state = match ledger.resume() {
            Ok(state) => state,
            Err(InvalidLedger::Store(error)) => return Err(error),
            Err(fault) => State {
                fault: Some(fault),
                // Where to go on is not known.
                ended: true,
                epochs,
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

    /// Signs nothing from now on, or again: while it is asked who holds more.
    pub fn wait(&self, waits: bool) {
        self.waits.store(waits, Ordering::Release);
    }

    fn waits(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    /// Signs what there is, if the key does, and lets `change` happen while nothing is signed: it is told up to where the key in
    /// the seat has signed each epoch, by the name under which a hand-over has it.
    ///
    /// # Errors
    /// The store can't read the notes.
    pub fn pause<T>(&self, change: impl FnOnce(Vec<(String, LogEnd)>) -> T) -> Result<T, InvalidLedger> {
        let _one = self.signing.lock().unwrap_or_else(PoisonError::into_inner);
        match self.sign_alone() {
            // A token that is lost for good must not keep another key from following.
            Ok(()) | Err(InvalidLedger::Unsigned(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(change(self.ends()))
    }

    /// How far each epoch is signed, by the name under which a hand-over has it.
    pub fn ends(&self) -> Vec<(String, LogEnd)> {
        let state = self.state();
        let mut ends = state.epochs.former_ends();
        ends.insert(
            state.epochs.current(),
            epoch::end(state.frontier.size(), &state.frontier.root()),
        );
        let ends = ends.into_iter().filter(|(_, end)| end.size > 0);
        ends.map(|(id, end)| (self.line.log_of(&id), end)).collect()
    }

    /// Begins a new epoch: from now on all notes are signed anew, under another name, and what somebody holds of before
    /// contradicts nothing. Blocks on the disk.
    ///
    /// # Errors
    /// What is here contradicts itself, it began anew too often, or the store fails; then nothing changes.
    pub fn begin(&self, reason: &str, now: u64, random: [u8; 4]) -> Result<(), InvalidLedger> {
        let (mut epochs, before) = {
            let mut state = self.state();
            if let Some(fault) = state.fault.as_ref().filter(|fault| !fault.is_told_by_others())
                && state.ended
            {
                return Err(fault.clone());
            }
            if state.epochs.begun.len() >= EPOCHS_MAX {
                return Err(InvalidLedger::Epochs);
            }
            let mut epochs = state.epochs.clone();
            epochs.begin(Epoch {
                id: EpochId::new(epochs.begun.len().saturating_add(2), random),
                since: now,
                notes: 0,
                reason: reason.to_owned(),
                former: epoch::end(state.frontier.size(), &state.frontier.root()),
            });
            if let Some((of, holder, theirs)) = &state.against {
                epochs.lose(of.clone(), holder, theirs);
            }
            // What is being signed meanwhile is thrown away.
            (epochs, std::mem::replace(&mut state.ended, true))
        };
        let kept = self.keep_begun(&mut epochs);
        let mut state = self.state();
        if let Err(error) = kept {
            state.ended = before;
            return Err(error.into());
        }
        let fault = state.fault.take().filter(|fault| !fault.is_told_by_others());
        *state = State {
            epochs,
            fault,
            ..State::default()
        };
        Ok(())
    }

    fn keep_begun(&self, epochs: &mut Epochs) -> Result<(), StoreError> {
        let notes = self.store.notes_len(&NoteLog::disclosures())?;
        if let Some(epoch) = epochs.begun.last_mut() {
            epoch.notes = notes;
        }
        self.store
            .append(Batch::new().set(EPOCHS, epochs.encode()).forget(CONTRADICTION))
    }

    /// Where it began anew, and what is lost.
    pub fn epochs(&self) -> Epochs {
        self.state().epochs.clone()
    }

    /// The name that its checkpoints carry.
    pub fn line(&self) -> String {
        self.line.of(&self.state().epochs.current())
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
            let (mut frontier, epoch) = (state.frontier.clone(), state.epochs.current());
            if state.ended || self.waits() || frontier.size() >= notes {
                return Ok(());
            }
            drop(state);
            let to = notes.min(frontier.size().saturating_add(SIGN_NOTES_MAX));
            self.replay(&mut frontier, to)?;
            let signed = Checkpoint::of(self.line.of(&epoch), &frontier).sign(&self.key.key())?;
            let mut state = self.state();
            if state.ended || state.epochs.current() != epoch {
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

    /// Where the store says that signing stopped.
    fn resume(&self) -> Result<State, InvalidLedger> {
        let epochs = self.state().epochs.clone();
        let begun = || State {
            epochs: epochs.clone(),
            ..State::default()
        };
        let Some(number) = self.store.notes_len(&NoteLog::ledger())?.checked_sub(1) else {
            return Ok(begun());
        };
        let kept = self.store.notes(&NoteLog::ledger(), number, 1)?.pop();
        let Some((_, note)) = kept else {
            return Ok(begun());
        };
        let (epoch, checkpoint) = self.own_checkpoint(number, note)?;
        if epoch != epochs.current() {
            return match epochs.is_known(&epoch) {
                // Nothing of the new one is signed yet.
                true => Ok(begun()),
                false => Err(InvalidLedger::Order { number }),
            };
        }
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
            ..begun()
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is in it is changed in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    mod epochs;
    mod signing;
}
