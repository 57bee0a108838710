//! Who holds some of the own log, noted again after the notes of that were lost.
//!
//! A node that was put back has no notes of what it disclosed since the backup, so a recall would miss those to whom it went. What
//! a member holds of this log it says at every hello ([`Held`](icomm_proto::v1::Held)); after a recovery that is noted once for every
//! node, as disclosures of which the terms are not known. Who is asked to erase what it never had signs that it has it not.

use icomm_proto::Origin;

use super::{Exchange, Phase};
use crate::causes::chain;
use crate::core::disclosure::{Note, seal};
use crate::core::recall::{RECALLS_PREFIX, RecallKey, parse_recall_state};
use crate::store::{Batch, NoteLog, StoreError};

/// Member and node.
pub(super) type Holder = (String, String);

/// Before member and node: what they showed is noted.
const NOTED_PREFIX: &str = "recovery/holder/";

impl Exchange {
    /// A recovery begins: whatever was noted after an earlier one does not speak of this one.
    pub(super) fn forget_holders(&self) {
        let forgotten = self.store.scan_state(NOTED_PREFIX).and_then(|noted| {
            let batch = noted
                .into_iter()
                .fold(Batch::new(), |batch, (key, _)| batch.forget(key));
            self.store.append(batch)
        });
        if let Err(error) = forgotten {
            tracing::error!(%error, "who holds some of the own log will not be noted anew");
        }
    }

    /// Notes, durably and once after each recovery, who holds how much of the own log, and asks it to erase what was recalled.
    pub(super) fn note_holders(&self) {
        let (origin, holders) = match &*self.own.lock() {
            Some(state) if matches!(state.phase, Phase::Recovering(_)) || self.own.has_recovered() => {
                (state.origin.clone(), state.holders.clone())
            }
            _ => return,
        };
        let noted = || -> Result<(), StoreError> {
            let mut fresh = false;
            for (holder, size) in holders.into_iter().filter(|(_, size)| *size > 0) {
                fresh |= self.note_holder(&origin, &holder, size)?;
            }
            if !fresh {
                return Ok(());
            }
            let recalls = self.store.scan_state(&format!("{RECALLS_PREFIX}{origin}/"))?;
            let recalls: Vec<RecallKey> = recalls.iter().filter_map(|(key, _)| parse_recall_state(key)).collect();
            self.trace(&recalls)
        };
        if let Err(error) = noted() {
            // They say so again at the next hello.
            tracing::error!(error = chain(&error), "who holds some of the own log is not noted");
        }
    }

    /// Whether that was not noted yet.
    fn note_holder(&self, origin: &Origin, (member, node): &Holder, size: u64) -> Result<bool, StoreError> {
        let key = format!("{NOTED_PREFIX}{member}/{node}");
        if self.store.state(&key)?.is_some() {
            return Ok(false);
        }
        let mut note = Note::new(self.now(), member, node, origin, 0);
        note.push_lost(u32::try_from(size).unwrap_or(u32::MAX));
        // Strings and numbers.
        let note = seal(&note.encode().unwrap_or_default(), &*self.environment.entropy);
        self.store.append(
            Batch::new()
                .note(NoteLog::disclosures(), note)
                .set(key, size.to_be_bytes().to_vec()),
        )?;
        Ok(true)
    }
}
