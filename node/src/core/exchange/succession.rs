//! What a new trust bundle changes for what is held already: keys that were handed over, or stolen.

use std::sync::atomic::Ordering;

use icomm_proto::v1;
use prost::Message;

use super::Exchange;
use crate::core::recall::{ANSWERS_PREFIX, Erasure};
use crate::store::{Batch, StoreError};

/// Answers that are signed again in one batch.
const ANSWERS_MAX: usize = 256;

impl Exchange {
    /// Looks again at what was verified under an older bundle. Cheap when it is the same.
    pub(super) fn follow_bundle(&self) {
        let version = self.law.bundle().version();
        if self.followed.swap(version, Ordering::AcqRel) == version {
            return;
        }
        if let Some(keys) = self.law.member_keys(&self.local.member) {
            self.ledger.trust(keys);
        }
        self.reconsider_cosigned();
        self.reconsider_forks();
    }

    /// Signs its own answers to recalls again with the key that signs now: whoever asks for one later would not believe the
    /// key before it.
    ///
    /// # Errors
    /// The store fails. Should the key not sign, the rest is signed when it does.
    pub fn sign_answers_again(&self) -> Result<(), StoreError> {
        let (key, mut batch) = (self.local.key.key(), Batch::new());
        for (state, bytes) in self.store.scan_state(ANSWERS_PREFIX)? {
            let Ok(answer) = v1::Erased::decode(bytes) else {
                continue;
            };
            if answer.by != self.local.member.as_str() {
                continue;
            }
            let keys = self.law.member_keys(&self.local.member);
            let verified = keys.and_then(|keys| Erasure::verify(&answer, &keys).ok());
            if let Some(erasure) = verified {
                match erasure.sign(&key) {
                    Ok(signed) => batch = batch.set(state, signed.encode_to_vec()),
                    Err(error) => {
                        tracing::error!(%error, "answers to recalls are not signed again yet");
                        self.unsigned.owe_answers();
                        break;
                    }
                }
            }
            if batch.items().len() >= ANSWERS_MAX {
                self.store.append(std::mem::take(&mut batch))?;
            }
        }
        match batch.is_empty() {
            true => Ok(()),
            false => self.store.append(batch),
        }
    }
}
