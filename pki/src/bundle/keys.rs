//! The keys of a member: the one it signs with, those it signed with before, and up to where these count.
//!
//! ```text
//!   certified            bundle lists it former      its hand-over is in the bundle
//!   ──────▶ current ────────────▶ former, open ─────────────▶ former, closed
//!           signs anything        signs until its holder      counts for each log up to the end that is named, for the
//!                                 has changed over            documents that are named, for nothing else
//! ```
//!
//! INVARIANT: who gets hold of a closed key can't extend a log with it, start another, or sign a document. Order comes from
//! the logs (sizes), never from a clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::InvalidDirectory;
use crate::{Domain, InvalidSignature, MemberCertificate, MemberId, MemberPublicKey, Signature, key::decode_base64};

/// The most former keys of one member that a bundle lists.
pub const FORMER_KEYS_MAX: usize = 32;
/// The most logs whose end one hand-over names.
pub const HANDOVER_LOGS_MAX: usize = 64;
/// The most documents that one hand-over names.
pub const HANDOVER_DOCUMENTS_MAX: usize = 4096;
/// The longest name of a log in a hand-over: a log's own, or a node's and `disclosures`.
const LOG_NAME_BYTES_MAX: usize = 80;

/// 32 bytes, as base64 in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest32([u8; 32]);

impl Digest32 {
    /// What a document is called in a hand-over: SHA-256 of the bytes that were really signed, domain included.
    pub fn of_signed(domain: Domain, message: &[u8]) -> Self {
        Self(Sha256::digest(domain.frame(message)).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest32 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Digest32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl Serialize for Digest32 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Digest32 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        decode_base64(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// The last state of a log that a former key signs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEnd {
    /// So many entries.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Digest32,
}

/// What of a former key's signatures counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// The key is in other hands: what it signed beyond the ends is a thief's, and proves nothing against the member.
    pub stolen: bool,
    /// Of each log the last state that it signs for, by what follows the member in the log's name: `main`, or
    /// `gw1/disclosures`. For a log that is not named it signs for nothing.
    pub ends: BTreeMap<String, LogEnd>,
    /// The documents that it signs for: see [`Digest32::of_signed`].
    pub documents: BTreeSet<Digest32>,
}

impl Handover {
    /// Checks counts and names.
    pub(super) fn check(&self) -> Result<(), InvalidDirectory> {
        let limit = |what: &'static str, count: usize, max: usize| match count > max {
            true => Err(InvalidDirectory::TooMany { what: what.into(), max }),
            false => Ok(()),
        };
        limit("logs of a hand-over", self.ends.len(), HANDOVER_LOGS_MAX)?;
        limit("documents of a hand-over", self.documents.len(), HANDOVER_DOCUMENTS_MAX)?;
        let longest = self.ends.keys().map(String::len).max().unwrap_or_default();
        limit("bytes of a log's name", longest, LOG_NAME_BYTES_MAX)
    }
}

/// A key that a member signed with before.
#[derive(Clone, Debug, PartialEq)]
pub struct FormerKey {
    certificate: MemberCertificate,
    handover: Option<Handover>,
}

impl FormerKey {
    pub(super) fn new(certificate: MemberCertificate, handover: Option<Handover>) -> Self {
        Self { certificate, handover }
    }

    /// The key.
    pub fn key(&self) -> MemberPublicKey {
        self.certificate.key()
    }

    /// The certificate that once said whose it is. It may have expired or been revoked since.
    pub fn certificate(&self) -> &MemberCertificate {
        &self.certificate
    }

    /// Up to where it counts; `None` while its holder still signs with it.
    pub fn handover(&self) -> Option<&Handover> {
        self.handover.as_ref()
    }
}

/// The keys of one member.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberKeys {
    current: MemberPublicKey,
    former: Vec<FormerKey>,
}

/// A former key does not sign for this state of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeyondHandover {
    /// It counts up to so many entries.
    pub end: u64,
}

impl MemberKeys {
    pub(super) fn new(current: MemberPublicKey, former: Vec<FormerKey>) -> Self {
        Self { current, former }
    }

    /// The key that was certified last.
    pub fn current(&self) -> MemberPublicKey {
        self.current
    }

    /// Those before it.
    pub fn former(&self) -> &[FormerKey] {
        &self.former
    }

    /// All of them, the current one first.
    pub fn all(&self) -> impl Iterator<Item = MemberPublicKey> {
        std::iter::once(self.current).chain(self.former.iter().map(FormerKey::key))
    }

    /// Those that the member may sign with today: more than one only while it changes over.
    pub fn signing(&self) -> impl Iterator<Item = MemberPublicKey> {
        let open = self.former.iter().filter(|former| former.handover.is_none());
        std::iter::once(self.current).chain(open.map(FormerKey::key))
    }

    /// Whether this is a key that was stolen.
    pub fn is_stolen(&self, key: &MemberPublicKey) -> bool {
        let mut handovers = self.of(key).filter_map(FormerKey::handover);
        handovers.any(|handover| handover.stolen)
    }

    /// Whether `key` signs for this state of a log. `log` is what follows the member in the log's name. A closed key does
    /// up to its end, and there for one root only; that what is smaller has the same history shows at the end.
    ///
    /// # Errors
    /// It does not: from where on.
    pub fn may_sign_log(
        &self,
        key: &MemberPublicKey,
        log: &str,
        size: u64,
        root: &[u8; 32],
    ) -> Result<(), BeyondHandover> {
        if self.signing().any(|signing| signing == *key) {
            return Ok(());
        }
        let mut handovers = self.of(key).filter_map(FormerKey::handover);
        let end = handovers.next().and_then(|handover| handover.ends.get(log));
        match end {
            Some(end) if size < end.size || (size == end.size && *root == end.root.0) => Ok(()),
            end => Err(BeyondHandover {
                end: end.map_or(0, |end| end.size),
            }),
        }
    }

    /// Where a closed key ends for a log: all states that were signed with closed keys are of one history with it.
    pub fn ends_of<'a>(&'a self, log: &'a str) -> impl Iterator<Item = LogEnd> + use<'a> {
        let handovers = self.former.iter().filter_map(FormerKey::handover);
        handovers.filter_map(move |handover| handover.ends.get(log).copied())
    }

    /// Checks a signature under a document: by a key that the member may sign with, or by a closed one whose hand-over
    /// names the document.
    ///
    /// # Errors
    /// It is nobody's, or a closed key's that does not sign for it.
    pub fn verify(&self, domain: Domain, message: &[u8], signature: &Signature) -> Result<(), InvalidSignature> {
        if self.signing().any(|key| key.verify(domain, message, signature).is_ok()) {
            return Ok(());
        }
        let mut closed = self
            .former
            .iter()
            .filter_map(|former| Some((former, former.handover.as_ref()?)));
        // The digest is looked up first: a signature costs more.
        let document = Digest32::of_signed(domain, message);
        match closed.any(|(former, handover)| {
            handover.documents.contains(&document) && former.key().verify(domain, message, signature).is_ok()
        }) {
            true => Ok(()),
            false => Err(InvalidSignature),
        }
    }

    fn of(&self, key: &MemberPublicKey) -> impl Iterator<Item = &FormerKey> {
        self.former.iter().filter(move |former| former.key() == *key)
    }
}

/// A member with one key and no past.
impl From<MemberPublicKey> for MemberKeys {
    fn from(key: MemberPublicKey) -> Self {
        Self::new(key, Vec::new())
    }
}

/// A member with one key and no past.
impl From<MemberPublicKey> for Arc<MemberKeys> {
    fn from(key: MemberPublicKey) -> Self {
        Self::new(key.into())
    }
}

/// Checks that the former keys of a listing are the member's, and no key is listed twice.
pub(super) fn check_former(
    member: &MemberId,
    current: &MemberCertificate,
    former: &[FormerKey],
) -> Result<(), InvalidDirectory> {
    for (at, FormerKey { certificate, handover }) in former.iter().enumerate() {
        if (certificate.member(), certificate.trust_domain()) != (member, current.trust_domain()) {
            return Err(InvalidDirectory::OtherCertificate(member.clone()));
        }
        let before = former.iter().take(at).map(FormerKey::key);
        if before.chain([current.key()]).any(|key| key == certificate.key()) {
            return Err(InvalidDirectory::RepeatedKey(member.clone()));
        }
        if let Some(handover) = handover {
            handover.check()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
