//! Backups: a node's store and settings in one encrypted file, taken while the node runs, and put in place again.
//!
//! ```text
//!  node ─ snapshot, settings, store key ─▶ sealed to the public halves of backup keys, signed ─▶ FILE
//!  FILE ─ secret half of one of them ─▶ all of it checked, beside its place ─▶ opened, marked as restored ─▶ DIR
//! ```
//!
//! The secret half of a backup key is never where the node is, so neither whoever takes the node nor whoever finds the file
//! can read it. A backup opens views that are erased after it was taken: it has to be kept like the records themselves, and
//! destroyed when the last of its views should be gone. A node that starts from one is told by its peers what was recalled
//! since.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

mod format;
mod restoring;
mod taking;

pub use format::{InvalidBackup, PackError, Unpacking};
pub use restoring::{RestoreError, Restored, RestoredMark, restore, verify};
pub use taking::{BackupError, Source, Taken};

/// Whom one backup is sealed to at most.
pub const RECIPIENTS_MAX: usize = 16;
/// Files in one backup at most: a segment of the journal is 64 MiB.
pub const FILES_MAX: usize = 1 << 20;

/// What a backup says of itself, sealed like all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Names this backup.
    pub id: String,
    /// Whose node.
    pub member: String,
    /// Which.
    pub node: String,
    /// The node's libp2p id, which signed the backup.
    pub peer_id: String,
    /// The version of the program.
    pub program: String,
    /// When it was taken, in seconds since 1970, by the node's clock.
    pub time: u64,
    /// The member's own log.
    pub origin: String,
    /// How many entries it had.
    pub entries: u64,
    /// Whether the member's and the node's keys are in it.
    pub with_identity: bool,
    /// All files, in the order in which their bytes follow.
    pub files: Vec<ManifestFile>,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its place in the node's folder: `store/journal/00000001.seg`.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
}

impl Manifest {
    /// The length of all files together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.len))
    }

    /// Whether every name is a place inside a folder, each once.
    fn is_sound(&self) -> bool {
        let mut names: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        names.sort_unstable();
        let unique = !names.windows(2).any(|pair| pair.first() == pair.last());
        unique && names.len() <= FILES_MAX && names.iter().all(|name| is_inside(name))
    }
}

/// Whether a name leads to a place in a folder and nowhere else.
fn is_inside(name: &str) -> bool {
    let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
    !name.is_empty() && !name.contains('\0') && !name.ends_with('/') && Path::new(name).components().all(normal)
}

#[cfg(test)]
mod tests;
