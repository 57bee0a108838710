//! Words that time was over, on their way to the originator: owed to whoever sent the entries, kept there, and passed on by
//! who is not the originator.
//!
//! ```text
//!   expiry/KE/main/UG/n1/<sha256>       v1::Expiry of another member
//!   expiry-owed/KE/<sha256>             the key under which the word is kept that `KE` has not taken
//! ```

use std::collections::BTreeSet;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use icomm_pki::{MemberId, SigningError};
use icomm_proto::{Origin, v1};
use prost::Message;
use thiserror::Error;

use super::retaining::digest;
use super::{Exchange, lock};
use crate::core::retention::{EXPIRIES_KEPT_MAX, EXPIRIES_MAX, Expiry, InvalidExpiry};
use crate::core::routes::LinkId;
use crate::core::session::{Event, Peer};
use crate::store::{Batch, StoreError};

/// Bytes of expiries from which on they go in another frame.
const EXPIRIES_BYTES_ENOUGH: usize = 512 << 10;

fn owed_prefix(to: &MemberId) -> String {
    format!("expiry-owed/{to}/")
}

fn kept_prefix(origin: &Origin, by: &MemberId) -> String {
    format!("expiry/{origin}/{by}/")
}

/// Why another member's word was not taken.
#[derive(Debug, Error)]
enum ExpiryFault {
    #[error(transparent)]
    Invalid(#[from] InvalidExpiry),
    #[error("it is signed by nobody in the trust bundle")]
    UnknownMember,
    #[error("it is about entries that are not here")]
    NotHere,
    #[error("more of the same member are kept than the limit")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ExpiryFault {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid(InvalidExpiry::Signature) => "unsigned-expiry",
            Self::Invalid(_) => "malformed-expiry",
            Self::UnknownMember => "unknown-member",
            Self::NotHere => "no-entries",
            Self::TooMany => "too-many",
            Self::Store(_) => "store",
        }
    }
}

impl Exchange {
    /// Adds that a word, which is kept under `key`, is owed to a member.
    pub(super) fn owe_expiry(&self, to: &MemberId, signed: &v1::Expiry, key: String, batch: Batch) -> Batch {
        batch.set(format!("{}{}", owed_prefix(to), HEXLOWER.encode(&digest(signed))), key)
    }

    /// What a member has not taken, a frame's worth; none if that is nothing.
    pub(super) fn expiries_for(&self, to: &MemberId) -> Option<v1::Expiries> {
        let owed = self.owed_expiries(to).unwrap_or_else(|error| {
            tracing::error!(%to, %error, "what expired can't be told; it stays owed");
            Vec::new()
        });
        (!owed.is_empty()).then_some(v1::Expiries {
            expired: owed,
            taken: Vec::new(),
        })
    }

    fn owed_expiries(&self, to: &MemberId) -> Result<Vec<v1::Expiry>, StoreError> {
        let (mut owed, mut bytes) = (Vec::new(), 0);
        for (_, key) in self.store.scan_state(&owed_prefix(to))? {
            let Some(word) = std::str::from_utf8(&key)
                .ok()
                .map(|key| self.store.state(key))
                .transpose()?
                .flatten()
            else {
                continue;
            };
            bytes += word.len();
            let Ok(word) = v1::Expiry::decode(word) else { continue };
            match self.signed_anew(word) {
                Ok(word) => owed.push(word),
                Err(error) => {
                    tracing::error!(%error, "what expired can't be told before the key signs");
                    self.unsigned.owe_expiries();
                    break;
                }
            }
            if owed.len() >= EXPIRIES_MAX || bytes >= EXPIRIES_BYTES_ENOUGH {
                break;
            }
        }
        Ok(owed)
    }

    /// A word of this node's own under the key that it signs with now: it may have been owed for years.
    fn signed_anew(&self, word: v1::Expiry) -> Result<v1::Expiry, SigningError> {
        match Expiry::read(&word) {
            Ok(own) if own.by == self.local.member => own.sign(&self.local.key.key()),
            Ok(_) | Err(_) => Ok(word),
        }
    }

    /// Says on the links to these members what they have not taken.
    pub(super) fn post_expiries(&self, to: &BTreeSet<MemberId>) {
        for (&link, peer) in &*lock(&self.links) {
            if to.contains(&peer.member)
                && let Some(expiries) = self.expiries_for(&peer.member)
            {
                self.mailbox.post(link, Event::Expiries(expiries));
            }
        }
    }

    /// The peer's words that time was over, its own and others'; and which of ours it took.
    pub(super) fn expiries(&self, link: LinkId, peer: &Peer, expiries: v1::Expiries) {
        let v1::Expiries { expired, taken } = expiries;
        if let Err(error) = self.settle_expiries(link, &peer.member, &taken) {
            tracing::error!(peer = %peer.member, %error, "what was told can't be settled; it is told again");
        }
        let (mut answered, mut onward) = (Vec::new(), BTreeSet::new());
        for word in expired {
            match self.take_expiry(&word) {
                Ok(passed_on) => {
                    answered.push(Bytes::copy_from_slice(&digest(&word)));
                    onward.extend(passed_on);
                }
                Err(ExpiryFault::Store(error)) => {
                    tracing::error!(peer = %peer.member, %error, "the word of an expiry could not be kept");
                    return self.mailbox.post(link, Event::cant_store());
                }
                Err(fault) => {
                    let code = fault.code();
                    tracing::warn!(peer = %peer.member, code, %fault, "the word of an expiry was refused");
                    metrics::counter!("icomm_refused_expiries_total", "peer" => peer.member.to_string(), "code" => code)
                        .increment(1);
                }
            }
        }
        if !answered.is_empty() {
            let taken = v1::Expiries {
                expired: Vec::new(),
                taken: answered,
            };
            self.mailbox.post(link, Event::Expiries(taken));
        }
        self.post_expiries(&onward);
    }

    /// Forgets what the peer took, and says the next.
    fn settle_expiries(&self, link: LinkId, peer: &MemberId, taken: &[Bytes]) -> Result<(), StoreError> {
        let (mut batch, mut settled) = (Batch::new(), false);
        for digest in taken.iter().filter(|digest| digest.len() == 32) {
            let key = format!("{}{}", owed_prefix(peer), HEXLOWER.encode(digest));
            if self.store.state(&key)?.is_some() {
                batch = batch.forget(key);
                settled = true;
            }
        }
        if settled {
            self.store.append(batch)?;
            if let Some(next) = self.expiries_for(peer) {
                self.mailbox.post(link, Event::Expiries(next));
            }
        }
        Ok(())
    }

    /// Keeps a word, durably; gives whom to pass it on to.
    fn take_expiry(&self, word: &v1::Expiry) -> Result<Option<MemberId>, ExpiryFault> {
        let signer = Expiry::signer(word)?;
        let keys = self.law.member_keys(&signer).ok_or(ExpiryFault::UnknownMember)?;
        let expiry = Expiry::verify(word, &keys)?;
        if self.heads.size(&expiry.origin).is_none_or(|size| size < expiry.end()) || signer == self.local.member {
            return Err(ExpiryFault::NotHere);
        }
        let prefix = kept_prefix(&expiry.origin, &signer);
        let key = format!("{prefix}{}/{}", expiry.node, HEXLOWER.encode(&digest(word)));
        if self.store.state(&key)?.is_some() {
            return Ok(None);
        }
        let mut words = lock(&self.retaining.words);
        let of_member = (expiry.origin.clone(), signer.clone());
        let kept = match words.get(&of_member) {
            Some(kept) => *kept,
            None => self.store.scan_state(&prefix)?.len(),
        };
        if kept >= EXPIRIES_KEPT_MAX {
            return Err(ExpiryFault::TooMany);
        }
        words.insert(of_member, kept + 1);
        drop(words);
        tracing::info!(origin = %expiry.origin, by = %signer, "the time for which records were given is over there");
        let mut batch = Batch::new().set(key.clone(), word.encode_to_vec());
        let onward = (expiry.origin.member != self.local.member).then(|| expiry.origin.member.clone());
        if let Some(to) = &onward {
            batch = self.owe_expiry(to, word, key, batch);
        }
        self.store.append(batch)?;
        Ok(onward)
    }

    /// What a member's node said of its time for entries of a log.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn expired_at(&self, origin: &Origin, by: &MemberId, node: &str) -> Result<Vec<Expiry>, StoreError> {
        let kept = self.store.scan_state(&format!("{}{node}/", kept_prefix(origin, by)))?;
        let read = |(_, bytes): (String, Bytes)| Expiry::read(&v1::Expiry::decode(bytes).ok()?).ok();
        Ok(kept.into_iter().filter_map(read).collect())
    }
}
