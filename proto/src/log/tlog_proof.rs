//! C2SP `tlog-proof`: a file that shows, with nothing else at hand, that an entry stands in a log.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra CgRWSUVX…                            optional: what the application adds, base64; nothing vouches for it
//! index 73894                                of the entry, from 0
//! gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
//! B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
//!                                            hashes from the leaf's sibling upwards (RFC 9162, 2.1.3), an empty line
//! demo.icomm.example/KE/main                 the checkpoint as a signed note, with its cosignatures
//! …
//! ```

use std::fmt;

use bytes::Bytes;
use data_encoding::BASE64;

use super::{
    checkpoint::{Checkpoint, InvalidCheckpoint, decimal},
    hash::Hash,
    note::{NOTE_BYTES_MAX, SignedNote},
    proof::InclusionProof,
};

/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The longest proof accepted, in bytes.
pub const TLOG_PROOF_BYTES_MAX: usize = 4 << 20;

/// The most hashes of a proof: the height of the tallest tree.
pub const TLOG_PROOF_HASHES_MAX: usize = 64;

/// A proof whose form is right. Whether it proves anything is for whoever knows the entry and the keys:
/// see [`Checkpoint::verify_inclusion`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// What the application adds; may be empty.
    pub extra: Bytes,
    /// The entry's place and the way to the root. The size is the checkpoint's.
    pub inclusion: InclusionProof,
    /// The checkpoint, as its originator signed and witnesses cosigned it.
    pub note: SignedNote,
}

impl TlogProof {
    /// Reads a proof strictly: one spelling, nothing missing, nothing after it.
    ///
    /// # Errors
    /// The file's fault: the first thing that is not as the format has it.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidTlogProof> {
        if bytes.len() > TLOG_PROOF_BYTES_MAX {
            return Err(InvalidTlogProof::TooLong(bytes.len()));
        }
        let text = str::from_utf8(bytes).map_err(|_| InvalidTlogProof::NotUtf8)?;
        let (head, note) = text.split_once("\n\n").ok_or(InvalidTlogProof::NoCheckpoint)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(InvalidTlogProof::Header);
        }
        let mut line = lines.next().ok_or(InvalidTlogProof::Index)?;
        let mut extra = Vec::new();
        if let Some(base64) = line.strip_prefix("extra ") {
            extra = BASE64.decode(base64.as_bytes()).map_err(|_| InvalidTlogProof::Extra)?;
            line = lines.next().ok_or(InvalidTlogProof::Index)?;
        }
        let index = line
            .strip_prefix("index ")
            .and_then(decimal)
            .ok_or(InvalidTlogProof::Index)?;
        let mut path = Vec::new();
        for line in lines {
            if path.len() == TLOG_PROOF_HASHES_MAX {
                return Err(InvalidTlogProof::TooManyHashes);
            }
            path.push(Hash::from_base64(line).map_err(|_| InvalidTlogProof::Hash(path.len()))?);
        }
        let note = SignedNote::parse(note.as_bytes()).map_err(InvalidCheckpoint::from)?;
        let size = Checkpoint::parse(note.text())?.size;
        Ok(Self {
            extra: extra.into(),
            inclusion: InclusionProof { index, size, path },
            note,
        })
    }

    /// What the checkpoint says. Whether anybody signed it is another question.
    ///
    /// # Errors
    /// The note is no checkpoint.
    pub fn checkpoint(&self) -> Result<Checkpoint, InvalidCheckpoint> {
        Checkpoint::parse(self.note.text())
    }

    /// The proof as a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if !self.extra.is_empty() {
            writeln!(f, "extra {}", BASE64.encode(&self.extra))?;
        }
        writeln!(f, "index {}", self.inclusion.index)?;
        for hash in &self.inclusion.path {
            writeln!(f, "{}", hash.to_base64())?;
        }
        write!(f, "\n{}", self.note)
    }
}

/// Why a file is no proof: the fault of whoever made or changed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTlogProof {
    /// Beyond [`TLOG_PROOF_BYTES_MAX`].
    #[error("a proof of {0} bytes is longer than {TLOG_PROOF_BYTES_MAX}")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("the proof is not UTF-8")]
    NotUtf8,
    /// It does not begin with the line of the format.
    #[error("the proof does not begin with `{HEADER}`")]
    Header,
    /// The second line is `extra` without base64.
    #[error("the proof's `extra` is not base64")]
    Extra,
    /// No line `index` with a number.
    #[error("the proof names no index")]
    Index,
    /// A line between index and checkpoint is no hash.
    #[error("hash {0} of the proof is not the base64 of 32 bytes")]
    Hash(usize),
    /// Beyond [`TLOG_PROOF_HASHES_MAX`].
    #[error("the proof has more than {TLOG_PROOF_HASHES_MAX} hashes")]
    TooManyHashes,
    /// No empty line, so no checkpoint, of which there are at most [`NOTE_BYTES_MAX`] bytes.
    #[error("the proof has no checkpoint")]
    NoCheckpoint,
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] InvalidCheckpoint),
}

// The note has a limit of its own, which must leave room for the rest.
const _: () = assert!(NOTE_BYTES_MAX < TLOG_PROOF_BYTES_MAX);

#[cfg(test)]
mod tests;
