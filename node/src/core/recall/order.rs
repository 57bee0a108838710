//! A recall as its originator orders it: an entry of its log that voids others, provable by itself.
//!
//! ```text
//! signed bytes (domain `recall`):
//!   origin length u16 BE | origin ("KE/main") | leaf hash 32 | index u64 BE | reason u8 | time u64 BE (seconds since 1970)
//! ```
//!
//! The type holds an entry and no section, so a global node is told in the same form as everybody.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use icomm_pki::{Domain, MemberKey, MemberKeys, Signature, SigningError};
use icomm_proto::log::{Frontier, Hash, InclusionProof, InvalidCheckpoint, InvalidProof, VerifiedCheckpoint};
use icomm_proto::v1::{self, recall::Reason as Code};
use icomm_proto::{Entry, EntryHead, EntryKind, InvalidEntry, Origin, View};
use thiserror::Error;

use super::Void;

/// More hashes than the path through any log has.
const PATH_MAX: usize = 64;

/// Why a record was voided. A code, so that it can name nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A later version stands in its place.
    Amended,
    /// It should not have been issued as it was.
    Error,
    /// The same case is there under another id.
    Duplicate,
    /// The suspicion turned out to be wrong.
    Cleared,
    /// By a court or a data-protection authority.
    Ordered,
    /// The originator may not keep it any longer.
    Expired,
}

/// Not a reason for a recall.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no reason for a recall; the reasons are error, duplicate, cleared, ordered and expired")]
pub struct UnknownReason(String);

impl Reason {
    /// Those that a recall may have.
    pub const OF_RECALLS: [Self; 5] = [
        Self::Error,
        Self::Duplicate,
        Self::Cleared,
        Self::Ordered,
        Self::Expired,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amended => "amended",
            Self::Error => "error",
            Self::Duplicate => "duplicate",
            Self::Cleared => "cleared",
            Self::Ordered => "ordered",
            Self::Expired => "expired",
        }
    }

    fn code(self) -> Code {
        match self {
            Self::Amended => Code::Amended,
            Self::Error => Code::Error,
            Self::Duplicate => Code::Duplicate,
            Self::Cleared => Code::Cleared,
            Self::Ordered => Code::Ordered,
            Self::Expired => Code::Expired,
        }
    }

    /// The reason that a code stands for.
    pub fn of_code(code: Code) -> Option<Self> {
        match code {
            Code::Unspecified => None,
            Code::Amended => Some(Self::Amended),
            Code::Error => Some(Self::Error),
            Code::Duplicate => Some(Self::Duplicate),
            Code::Cleared => Some(Self::Cleared),
            Code::Ordered => Some(Self::Ordered),
            Code::Expired => Some(Self::Expired),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        let known = Self::OF_RECALLS.into_iter().find(|reason| reason.as_str() == text);
        known.ok_or_else(|| UnknownReason(text.to_owned()))
    }
}

/// What an originator orders, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    origin: Origin,
    head: EntryHead,
    leaf: Hash,
    index: u64,
    reason: Reason,
    time: u64,
    checkpoint: VerifiedCheckpoint,
}

/// Why an order does not count. The sender's fault, or the originator's.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidOrder {
    /// The origin is not a member and a log name.
    #[error("the recall names `{0}`, which is not a log")]
    Origin(String),
    /// The entry is none.
    #[error("the recall has no entry: {0}")]
    Entry(#[from] InvalidEntry),
    /// The entry voids nothing.
    #[error("the recall shows an entry of kind `{0}`, which voids nothing")]
    Kind(EntryKind),
    /// No reason, or one that does not go with the entry.
    #[error("the recall has no reason that goes with its entry")]
    Reason,
    /// Hashes of the proof are not 32 bytes, or there are too many.
    #[error("the recall's proof is not a path of hashes")]
    Path,
    /// The checkpoint is malformed or not the originator's.
    #[error("the recall's checkpoint does not count: {0}")]
    Checkpoint(#[from] InvalidCheckpoint),
    /// The entry is not in the log.
    #[error("the recall is not in its originator's log: {0}")]
    Proof(#[from] InvalidProof),
    /// Reason and time are not the originator's.
    #[error("the recall's signature is not its originator's")]
    Signature,
}

impl InvalidOrder {
    /// The stable code under which the refusal is counted.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Origin(_) | Self::Entry(_) | Self::Kind(_) | Self::Reason | Self::Path => "malformed-recall",
            Self::Checkpoint(_) | Self::Proof(_) => "unproven-recall",
            Self::Signature => "unsigned-recall",
        }
    }
}

/// An entry that was just appended as the last of its log.
#[derive(Debug)]
pub struct Appended<'a> {
    /// The log.
    pub origin: &'a Origin,
    /// The entry.
    pub view: &'a View,
    /// The log before it.
    pub before: &'a Frontier,
    /// The checkpoint after it.
    pub checkpoint: Bytes,
}

impl Order {
    /// Orders what an AMEND or RECALL entry says, in the name of its log's member. The entry is the last under the
    /// checkpoint: the path to the root are then the subtrees before it, and nothing need be read for the proof.
    ///
    /// # Errors
    /// The key does not sign now.
    pub fn issue(
        appended: &Appended<'_>,
        reason: Reason,
        time: u64,
        key: &MemberKey,
    ) -> Result<v1::Recall, SigningError> {
        let Appended {
            origin,
            view,
            before,
            checkpoint,
        } = appended;
        let entry = view.entry();
        let message = message(origin, &entry.leaf_hash(), before.size(), reason, time);
        let signature = key.sign(Domain::Recall, &message)?;
        Ok(v1::Recall {
            origin: origin.to_string(),
            entry: Bytes::copy_from_slice(entry.bytes()),
            index: before.size(),
            path: before
                .path_of_next()
                .map(|hash| Bytes::copy_from_slice(hash.as_bytes()))
                .collect(),
            checkpoint: checkpoint.clone(),
            reason: reason.code().into(),
            time,
            signature: signature.as_bytes().to_vec().into(),
        })
    }

    /// Checks that the entry is in the log and that the order is its originator's. `line` is the origin line of the log's
    /// checkpoints.
    pub fn verify(recall: &v1::Recall, line: &str, keys: &MemberKeys) -> Result<Self, InvalidOrder> {
        let v1::Recall {
            origin,
            entry,
            index,
            path,
            checkpoint,
            reason: _,
            time,
            signature,
        } = recall;
        let origin: Origin = origin.parse().map_err(|_| InvalidOrder::Origin(origin.clone()))?;
        let entry = Entry::parse(entry)?;
        let (head, leaf) = (entry.head(), entry.leaf_hash());
        let reason = Reason::of_code(recall.reason()).ok_or(InvalidOrder::Reason)?;
        match (head.kind, reason) {
            (EntryKind::Amend, Reason::Amended) => {}
            (EntryKind::Recall, reason) if reason != Reason::Amended => {}
            (EntryKind::Amend | EntryKind::Recall, _) => return Err(InvalidOrder::Reason),
            (kind, _) => return Err(InvalidOrder::Kind(kind)),
        }
        if path.len() > PATH_MAX {
            return Err(InvalidOrder::Path);
        }
        let path: Result<Vec<Hash>, _> = path.iter().map(|hash| Hash::try_from(hash.as_ref())).collect();
        let path = path.map_err(|_| InvalidOrder::Path)?;
        let checkpoint = VerifiedCheckpoint::verify_by(checkpoint.clone(), line, keys)?;
        let proof = InclusionProof {
            index: *index,
            size: checkpoint.size(),
            path,
        };
        checkpoint.checkpoint().verify_inclusion(&proof, &leaf)?;
        let signature = Signature::try_from(signature.as_ref()).map_err(|_| InvalidOrder::Signature)?;
        let message = message(&origin, &leaf, *index, reason, *time);
        // By a key that signs for the log as far as the order's checkpoint goes.
        let signs = checkpoint
            .keys_of(keys)
            .any(|key| key.verify(Domain::Recall, &message, &signature).is_ok());
        if !signs {
            return Err(InvalidOrder::Signature);
        }
        Ok(Self {
            origin,
            head,
            leaf,
            index: *index,
            reason,
            time: *time,
            checkpoint,
        })
    }

    /// The log.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What the entry says: the record, and the version that stands or is the last.
    pub fn head(&self) -> EntryHead {
        self.head
    }

    /// The entry's leaf.
    pub fn leaf(&self) -> &Hash {
        &self.leaf
    }

    /// Where the entry stands.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// When, in seconds since 1970, by the originator's clock.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// The checkpoint that covers it.
    pub fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }

    /// What it voids.
    pub fn void(&self) -> Void {
        Void {
            index: self.index,
            kind: self.head.kind,
        }
    }
}

fn message(origin: &Origin, leaf: &Hash, index: u64, reason: Reason, time: u64) -> Vec<u8> {
    let origin = origin.to_string();
    let mut message = Vec::with_capacity(2 + origin.len() + 49);
    // An origin is at most 2 × 32 characters and a slash, so its length fits.
    message.extend_from_slice(&u16::try_from(origin.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.extend_from_slice(origin.as_bytes());
    message.extend_from_slice(leaf.as_bytes());
    message.extend_from_slice(&index.to_be_bytes());
    message.push(reason.code() as u8);
    message.extend_from_slice(&time.to_be_bytes());
    message
}

#[cfg(test)]
mod tests;
