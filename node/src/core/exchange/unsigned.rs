//! What this member owes a signature for while its key, in a token, takes long or is away.
//!
//! A key in memory signs at once, where it is needed. One in a token signs behind the sessions: they go on, and hear of a
//! receipt when it is signed; of several for one log only the last is signed, since it covers the others. What can't be
//! signed is kept, found again in the store, or asked for again at the next hello, and signed when the key is back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use icomm_pki::{MemberId, SigningError};
use icomm_policy::{ConsentSeen, NotSigned};
use icomm_proto::log::Hash;
use icomm_proto::{Origin, v1};

use super::callbacks::CallFault;
use super::{Exchange, lock};
use crate::core::law::AdoptError;
use crate::core::recall::{Kept, answers};
use crate::core::receipt::Receipt;
use crate::core::routes::LinkId;
use crate::core::session::Event;
use crate::store::StoreError;

/// Answers of one kind that wait for the key at most. Who asked for more asks again at the next hello.
const ANSWERS_WAITING_MAX: usize = 4096;

/// What waits for the key. Receipts are bounded by the links and the logs.
#[derive(Default)]
pub(super) struct Unsigned {
    receipts: Mutex<BTreeMap<(LinkId, Origin), (u64, Hash)>>,
    /// Calls to give something up: who called, of which log, the call's digest.
    calls: Mutex<BTreeSet<(MemberId, Origin, [u8; 32])>>,
    seen: Mutex<Vec<(LinkId, ConsentSeen)>>,
    // Of the rest the store knows which.
    erasures: AtomicBool,
    answers: AtomicBool,
    expiries: AtomicBool,
}

impl Unsigned {
    pub(super) fn closed(&self, link: LinkId) {
        lock(&self.receipts).retain(|(of, _), _| *of != link);
        lock(&self.seen).retain(|(of, _)| *of != link);
    }

    /// A recall was carried out and its answer could not be signed.
    pub(super) fn owe_erasures(&self) {
        self.erasures.store(true, Ordering::Relaxed);
    }

    /// Answers to recalls are still signed with the key before.
    pub(super) fn owe_answers(&self) {
        self.answers.store(true, Ordering::Relaxed);
    }

    /// Words that time was over could not be signed.
    pub(super) fn owe_expiries(&self) {
        self.expiries.store(true, Ordering::Relaxed);
    }

    /// What was called back was given up, and the answer could not be signed.
    pub(super) fn owe_call(&self, caller: &MemberId, origin: Origin, digest: [u8; 32]) {
        let mut calls = lock(&self.calls);
        if calls.len() < ANSWERS_WAITING_MAX {
            calls.insert((caller.clone(), origin, digest));
        }
    }

    /// A consent was taken, and that could not be signed.
    pub(super) fn owe_seen(&self, link: LinkId, seen: ConsentSeen) {
        let mut waiting = lock(&self.seen);
        if waiting.len() < ANSWERS_WAITING_MAX {
            waiting.push((link, seen));
        }
    }
}

impl Exchange {
    /// Signs what waits for the key: receipts, cosignatures, acknowledgements, answers to recalls and calls, notices that a
    /// consent arrived, words that time was over. Blocks on the key and the disk; for the shell to call about once a second, and soon
    /// after [`Mailbox::unsigned`](super::Mailbox::unsigned).
    ///
    /// # Errors
    /// The key does not sign. What it should have signed stays owed.
    pub fn sign_owed(&self) -> Result<(), SigningError> {
        self.sign_receipts()?;
        self.cosign()?;
        match self.law.acknowledge_owed(self.now()) {
            Ok(adopted) if adopted.documents.is_empty() => {}
            Ok(adopted) => self.publish(&adopted.documents, None),
            Err(AdoptError::NotSigned(NotSigned::Key(error))) => return Err(error),
            Err(error) => tracing::error!(%error, "a suspension can't be acknowledged"),
        }
        self.sign_seen()?;
        self.answer_calls()?;
        self.sign_stored()
    }

    /// Signs what the store knows of.
    fn sign_stored(&self) -> Result<(), SigningError> {
        let due = |owed: &AtomicBool| owed.swap(false, Ordering::Relaxed);
        if due(&self.unsigned.erasures)
            && let Err(error) = self.answer_belatedly()
        {
            self.unsigned.owe_erasures();
            tracing::error!(%error, "what was erased can't be answered yet");
        }
        self.signs_if_not(&self.unsigned.erasures)?;
        if due(&self.unsigned.answers)
            && let Err(error) = self.sign_answers_again()
        {
            self.unsigned.owe_answers();
            tracing::error!(%error, "answers to recalls can't be signed again yet");
        }
        self.signs_if_not(&self.unsigned.answers)?;
        if due(&self.unsigned.expiries) {
            let members = lock(&self.links).values().map(|peer| peer.member.clone()).collect();
            self.post_expiries(&members);
        }
        self.signs_if_not(&self.unsigned.expiries)
    }

    /// What is owed again was not signed.
    fn signs_if_not(&self, owed: &AtomicBool) -> Result<(), SigningError> {
        match owed.load(Ordering::Relaxed) {
            true => self.local.key.key().fault().map_or(Ok(()), Err),
            false => Ok(()),
        }
    }

    /// Signs for what was erased, and tells those who asked.
    fn answer_belatedly(&self) -> Result<(), StoreError> {
        for key in self.remember_recalls()? {
            let Some(kept) = Kept::of(&*self.store, &key)? else {
                continue;
            };
            let own = answers(&*self.store, &key)?;
            for answer in own.iter().filter(|answer| answer.by == self.local.member.as_str()) {
                self.forward_erasure(answer, &kept.callers);
            }
        }
        Ok(())
    }

    /// Answers the calls that could not be answered when they came.
    fn answer_calls(&self) -> Result<(), SigningError> {
        let next = || lock(&self.unsigned.calls).pop_first();
        while let Some((caller, origin, digest)) = next() {
            match self.answer_again(&origin, &caller, &digest) {
                Ok(()) => {}
                // It is owed again by now.
                Err(CallFault::Key(error)) => return Err(error),
                Err(fault) => {
                    tracing::error!(%fault, peer = %caller, "what was called back can't be answered; it is asked for again");
                }
            }
        }
        Ok(())
    }

    /// Says that consents arrived for which it could not be signed then.
    fn sign_seen(&self) -> Result<(), SigningError> {
        let next = || lock(&self.unsigned.seen).pop();
        while let Some((link, seen)) = next() {
            match self.tell_seen(link, &seen) {
                Ok(()) => {}
                Err(NotSigned::Key(error)) => {
                    self.unsigned.owe_seen(link, seen);
                    return Err(error);
                }
                Err(error) => tracing::error!(%error, "that a consent arrived can't be written"),
            }
        }
        Ok(())
    }

    pub(super) fn signed_receipt(&self, origin: &Origin, size: u64, root: Hash) -> Result<v1::Receipt, SigningError> {
        let receipt = Receipt {
            origin: origin.clone(),
            size,
            root,
            time: self.now(),
        };
        receipt.sign(&self.local.key.key())
    }

    pub(super) fn owe_receipt(&self, link: LinkId, origin: &Origin, (size, root): (u64, Hash)) {
        let mut receipts = lock(&self.unsigned.receipts);
        let owed = receipts.entry((link, origin.clone())).or_insert((size, root));
        if owed.0 < size {
            *owed = (size, root);
        }
        drop(receipts);
        self.mailbox.unsigned();
    }

    fn sign_receipts(&self) -> Result<(), SigningError> {
        let next = || lock(&self.unsigned.receipts).pop_first();
        while let Some(((link, origin), (size, root))) = next() {
            match self.signed_receipt(&origin, size, root) {
                Ok(receipt) => self.mailbox.post(link, Event::Signed(receipt)),
                Err(error) => {
                    if lock(&self.links).contains_key(&link) {
                        let mut receipts = lock(&self.unsigned.receipts);
                        receipts.entry((link, origin)).or_insert((size, root));
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}
