//! A ledger compared: its notes with its checkpoints, and with what others keep of it.

use std::sync::PoisonError;

use bytes::Bytes;
use icomm_proto::log::{Frontier, Hash, InvalidCheckpoint, VerifiedCheckpoint, leaf_hash};

use super::epoch::Standing;
use super::fault::{Disagreement, InvalidLedger};
use super::line::EpochId;
use super::{CONTRADICTION, EPOCHS, Ledger, LedgerHead, PAGE_NOTES};
use crate::store::{Batch, NoteLog};

impl Ledger {
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

    /// Compares with the checkpoint that a peer keeps of this ledger; the number of notes under it, none where it is of an epoch
    /// that is over. A contradiction is remembered, and nothing more is signed.
    ///
    /// # Errors
    /// The peer's checkpoint is none of this ledger's, or of other notes than are here.
    pub fn compare_with(&self, holder: &str, checkpoint: Bytes) -> Result<u64, Disagreement> {
        let (epoch, theirs) = self.own(checkpoint)?;
        let (held, standing) = (theirs.size(), self.state().epochs.standing(&epoch, holder));
        let holder = holder.to_owned();
        let notes = || {
            self.store
                .notes_len(&NoteLog::disclosures())
                .map_err(InvalidLedger::from)
        };
        let fault = match standing {
            Standing::Current => {
                let (known, head) = (self.sign_if_possible()?, self.head());
                if held > known.max(head.size) {
                    let notes = notes()?;
                    Some(InvalidLedger::Beyond { holder, held, notes })
                } else {
                    let same = self.root_at(held, &head)? == *theirs.root();
                    (!same).then_some(InvalidLedger::Elsewhere { holder, held })
                }
            }
            // It was told already, and accepted when the next one began.
            Standing::Former(_) if self.state().epochs.is_lost(&epoch, held) => None,
            Standing::Former(end) if held <= end => {
                let mut frontier = Frontier::new();
                self.replay(&mut frontier, held)?;
                let same = frontier.root() == *theirs.root();
                (!same).then_some(InvalidLedger::Elsewhere { holder, held })
            }
            Standing::Former(_) | Standing::Forgotten => {
                let mut state = self.state();
                if state.epochs.lose(epoch.clone(), &holder, &theirs) {
                    tracing::warn!(holder, held, %epoch, "disclosures that were signed before the disclosure log began anew are lost");
                    self.store.ride(Batch::new().set(EPOCHS, state.epochs.encode()));
                }
                None
            }
            Standing::Later => {
                let notes = notes()?;
                Some(InvalidLedger::Beyond { holder, held, notes })
            }
        };
        match fault {
            Some(fault) => Err(self.contradicted(epoch, theirs, fault).into()),
            None if standing == Standing::Current => Ok(held),
            None => Ok(0),
        }
    }

    /// Remembers what somebody holds against this ledger, durably.
    fn contradicted(&self, epoch: EpochId, theirs: VerifiedCheckpoint, fault: InvalidLedger) -> InvalidLedger {
        let mut state = self.state();
        state.ended = true;
        if state.fault.is_none() {
            state.fault = Some(fault.clone());
            if let InvalidLedger::Beyond { holder, .. } | InvalidLedger::Elsewhere { holder, .. } = &fault {
                let evidence = [holder.as_bytes(), b"\n", theirs.note()].concat();
                // Whoever holds it shows it again.
                self.store.ride(Batch::new().set(CONTRADICTION, evidence));
                state.against = Some((epoch, holder.clone(), theirs));
            }
        }
        fault
    }

    /// Somebody keeps something of what is signed now.
    pub fn heard(&self, holder: &str) {
        let mut state = self.state();
        if state.epochs.hear(holder) {
            self.store.ride(Batch::new().set(EPOCHS, state.epochs.encode()));
        }
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

    /// Signs what is not signed yet; how many notes are known to be this ledger's. While nothing is signed these are all that
    /// there are: a checkpoint that a power cut took may be in other hands.
    fn sign_if_possible(&self) -> Result<u64, InvalidLedger> {
        match self.sign() {
            Ok(()) if !self.waits() => Ok(self.head().size),
            Ok(()) | Err(InvalidLedger::Unsigned(_)) if !self.state().ended => {
                Ok(self.store.notes_len(&NoteLog::disclosures())?)
            }
            Ok(()) | Err(InvalidLedger::Unsigned(_)) => Ok(self.head().size),
            Err(error) => Err(error),
        }
    }

    /// Compares the notes with every checkpoint that is kept, of every epoch; the frontier at the last of this one.
    pub(super) fn compare_checkpoints(&self) -> Result<Frontier, InvalidLedger> {
        let notes = self.store.notes_len(&NoteLog::disclosures())?;
        let epochs = self.state().epochs.clone();
        let mut later = epochs.begun.iter().map(|epoch| &epoch.id);
        let (mut frontier, mut next, mut epoch) = (Frontier::new(), 0, EpochId::default());
        loop {
            let page = self.store.notes(&NoteLog::ledger(), next, PAGE_NOTES)?;
            let Some((last, _)) = page.last() else {
                return Ok(if epoch == epochs.current() {
                    frontier
                } else {
                    Frontier::new()
                });
            };
            next = last.saturating_add(1);
            for (number, note) in page {
                let (of, checkpoint) = self.own_checkpoint(number, note)?;
                if of != epoch {
                    // Each epoch is signed from the first note on.
                    if !later.any(|id| *id == of) {
                        return Err(InvalidLedger::Order { number });
                    }
                    (epoch, frontier) = (of, Frontier::new());
                }
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

    pub(super) fn own_checkpoint(
        &self,
        number: u64,
        note: Bytes,
    ) -> Result<(EpochId, VerifiedCheckpoint), InvalidLedger> {
        self.own(note)
            .map_err(|source| InvalidLedger::Checkpoint { number, source })
    }

    /// A checkpoint that this member signed, with whichever of its keys, and its epoch.
    fn own(&self, note: Bytes) -> Result<(EpochId, VerifiedCheckpoint), InvalidCheckpoint> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.line.verify(note.clone(), &keys) {
            // The bundle may not have heard of the key in the seat.
            Err(invalid) => self
                .line
                .verify_with(note, &self.key.key().public())
                .map_err(|_| invalid),
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

    /// The last checkpoint of this epoch that is kept and not over more notes than these.
    pub(super) fn last_up_to(&self, size: u64) -> Result<Option<VerifiedCheckpoint>, InvalidLedger> {
        let current = self.state().epochs.current();
        let (mut from, mut to) = (0, self.store.notes_len(&NoteLog::ledger())?);
        let mut last = None;
        while from < to {
            let middle = from + (to - from) / 2;
            let Some((number, note)) = self.store.notes(&NoteLog::ledger(), middle, 1)?.pop() else {
                break;
            };
            let (epoch, checkpoint) = self.own_checkpoint(number, note)?;
            let is_current = epoch == current;
            if is_current && checkpoint.size() > size {
                to = middle;
            } else {
                // Those of earlier epochs come before.
                from = middle + 1;
                last = is_current.then_some(checkpoint);
            }
        }
        Ok(last)
    }

    /// Adds notes to a frontier until it has so many.
    pub(super) fn replay(&self, frontier: &mut Frontier, size: u64) -> Result<(), InvalidLedger> {
        self.each_leaf(frontier.size(), size, &mut |leaf| frontier.push(leaf))
    }

    /// The leaf hashes of notes, in order.
    pub(super) fn each_leaf(&self, from: u64, to: u64, each: &mut dyn FnMut(Hash)) -> Result<(), InvalidLedger> {
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
}
