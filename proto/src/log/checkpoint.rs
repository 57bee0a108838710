//! C2SP `tlog-checkpoint`: a member's signature over the size and root of its log.
//!
//! ```text
//! demo.icomm.example/KE/main                        origin: trust domain, member, log; also the name of the key
//! 5                                                 size, decimal
//! Tju7H3tHjc/nH7YxYxUZo7yhLJrvyhYSv85ME6hiZNQ=      root, base64
//!                                                   (further lines, if any, are kept and signed but not understood)
//! — demo.icomm.example/KE/main uZ2z…                signatures (`signed-note`)
//! ```

use bytes::Bytes;
use icomm_pki::{BeyondHandover, MemberKey, MemberKeys, MemberPublicKey};

use super::{
    frontier::{Frontier, LOG_SIZE_MAX},
    hash::Hash,
    note::{InvalidNote, NotSigned, SignedNote},
    proof::{InclusionProof, InvalidProof},
};

/// What a checkpoint says. Whether anybody signed it is another question: see [`VerifiedCheckpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The origin line: `<trust domain>/<member>/<log>`.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Hash,
}

/// A checkpoint with the originator's own signature, fresh from its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Bytes,
}

/// A checkpoint that the holder of the expected key signed for the expected origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    checkpoint: Checkpoint,
    note: Bytes,
}

impl Checkpoint {
    /// The checkpoint of a log in this state.
    pub fn of(origin: impl Into<String>, frontier: &Frontier) -> Self {
        Self {
            origin: origin.into(),
            size: frontier.size(),
            root: frontier.root(),
        }
    }

    /// Parses the text of a checkpoint note. Extension lines are allowed and left out.
    pub fn parse(text: &str) -> Result<Self, InvalidCheckpoint> {
        let mut lines = text.strip_suffix('\n').ok_or(InvalidCheckpoint::Lines)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(InvalidCheckpoint::Lines);
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(InvalidCheckpoint::Lines);
        }
        let size = decimal(size)
            .filter(|size| *size <= LOG_SIZE_MAX)
            .ok_or_else(|| InvalidCheckpoint::Size(size.chars().take(80).collect()))?;
        let root = Hash::from_base64(root).map_err(|_| InvalidCheckpoint::Root)?;
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }

    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64())
    }

    /// Signs the checkpoint with the member's key; the key's name is the origin line.
    ///
    /// # Errors
    /// The origin can't be the name of a key, or the key does not sign.
    pub fn sign(self, key: &MemberKey) -> Result<SignedCheckpoint, NotSigned> {
        let note = SignedNote::sign(self.text(), &self.origin, key)?;
        Ok(SignedCheckpoint {
            checkpoint: self,
            note: note.to_bytes().into(),
        })
    }

    /// Verifies that `leaf` stands at the proof's index of the log with this checkpoint: size and root must both fit.
    pub fn verify_inclusion(&self, proof: &InclusionProof, leaf: &Hash) -> Result<(), InvalidProof> {
        if proof.size != self.size {
            return Err(InvalidProof::Size {
                proof: proof.size,
                checkpoint: self.size,
            });
        }
        proof.verify(leaf, &self.root)
    }
}

/// Decimal digits without a leading zero, except for zero itself.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let canonical = digits && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

impl SignedCheckpoint {
    /// What was signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signed note.
    pub fn note(&self) -> &Bytes {
        &self.note
    }
}

impl VerifiedCheckpoint {
    /// Parses a signed note and verifies that it is a checkpoint of `origin`, signed by `key` under that name.
    pub fn verify(note: Bytes, origin: &str, key: &MemberPublicKey) -> Result<Self, InvalidCheckpoint> {
        let signed = SignedNote::parse(&note)?;
        let checkpoint = Checkpoint::parse(signed.text())?;
        if checkpoint.origin != origin {
            let (expected, found) = (origin.to_owned(), checkpoint.origin);
            return Err(InvalidCheckpoint::Origin { expected, found });
        }
        signed.verify(origin, key)?;
        Ok(Self { checkpoint, note })
    }

    /// The same for a member that has signed with several keys: one of them signed, and it signs for this state of the log.
    ///
    /// # Errors
    /// None of them signed, or only one that does not count so far any more.
    pub fn verify_by(note: Bytes, origin: &str, keys: &MemberKeys) -> Result<Self, InvalidCheckpoint> {
        if keys.former().is_empty() {
            return Self::verify(note, origin, &keys.current());
        }
        let (mut missing, mut retired) = (None, None);
        for key in keys.all() {
            let verified = match Self::verify(note.clone(), origin, &key) {
                Err(invalid @ InvalidCheckpoint::Note(InvalidNote::NotSignedBy(_))) => {
                    missing = Some(invalid);
                    continue;
                }
                verified => verified?,
            };
            let (size, root) = (verified.size(), verified.root().as_bytes());
            match keys.may_sign_log(&key, log_of(origin), size, root) {
                Ok(()) => return Ok(verified),
                Err(BeyondHandover { end }) => {
                    let origin = origin.to_owned();
                    retired = Some(InvalidCheckpoint::RetiredKey { origin, size, end });
                }
            }
        }
        let nobody = || InvalidNote::NotSignedBy(origin.to_owned()).into();
        Err(retired.or(missing).unwrap_or_else(nobody))
    }

    /// Those of its member's keys that sign for this state of the log.
    pub fn keys_of<'a>(&'a self, keys: &'a MemberKeys) -> impl Iterator<Item = MemberPublicKey> + use<'a> {
        let Checkpoint { origin, size, root } = &self.checkpoint;
        keys.all()
            .filter(move |key| keys.may_sign_log(key, log_of(origin), *size, root.as_bytes()).is_ok())
    }

    /// The origin line.
    pub fn origin(&self) -> &str {
        &self.checkpoint.origin
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The Merkle root over them.
    pub fn root(&self) -> &Hash {
        &self.checkpoint.root
    }

    /// What was signed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signed note, byte for byte as it came.
    pub fn note(&self) -> &Bytes {
        &self.note
    }
}

/// What follows the member in the name of a log or ledger: `main` of `demo.icomm.example/KE/main`.
fn log_of(origin: &str) -> &str {
    origin.splitn(3, '/').nth(2).unwrap_or_default()
}

/// Why a checkpoint is refused: the fault of whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCheckpoint {
    /// The note itself.
    #[error(transparent)]
    Note(#[from] InvalidNote),
    /// Fewer than three lines, or an empty one.
    #[error("a checkpoint has an origin, a size and a root, each on a line")]
    Lines,
    /// Not a canonical decimal number, or beyond [`LOG_SIZE_MAX`].
    #[error("`{0}` is not the size of a log")]
    Size(String),
    /// Not the base64 of 32 bytes.
    #[error("the checkpoint's root is not the base64 of 32 bytes")]
    Root,
    /// Of another log.
    #[error("the checkpoint is of `{found}`, expected `{expected}`")]
    Origin {
        /// The log that was expected.
        expected: String,
        /// The log that the checkpoint names.
        found: String,
    },
    /// Signed with a key that its member had handed over before, or that was stolen from it.
    #[error(
        "the checkpoint of `{origin}` over {size} entries is signed with a former key of its member, which counts for the \
         history up to {end} entries and for nothing beyond"
    )]
    RetiredKey {
        /// The log.
        origin: String,
        /// So many entries are signed.
        size: u64,
        /// So many the key counts for.
        end: u64,
    },
}

#[cfg(test)]
mod tests;
