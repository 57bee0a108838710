//! A copy of the journal as it is at one moment, taken while it is written to.
//!
//! ```text
//!  segments   1 ─── sealed ─── N-1 │ N ─────── end ┈┈ what comes later is not in it
//!  keys       of the views up to there, as they were: what is destroyed meanwhile is remembered until they are copied
//!  head       the watermark, made for `end`
//!  photos     those that were there; of one that is erased meanwhile zeros, which no key opens
//! ```
//!
//! The end is one that was acknowledged, so that a batch is in the copy whole or not at all. The keys are copied first. Runs
//! and index are derived and stay away.

use std::{
    path::PathBuf,
    sync::{MutexGuard, PoisonError},
};

use super::{Journal, Shared, keys::Keys, recovery::journal_folder, segment_name, segment_path, watermark};
use crate::store::StoreError;

/// Where the photos lie in a store's folder.
const PHOTOS: &str = "photos";
/// Bytes that are read at a time.
pub const SNAPSHOT_PIECE_BYTES: usize = 1 << 20;

/// What a store was at one moment.
pub struct Snapshot<'a> {
    shared: &'a Shared,
    files: Vec<File>,
    _one_at_a_time: MutexGuard<'a, ()>,
}

struct File {
    name: String,
    len: u64,
    source: Source,
}

enum Source {
    Segment(PathBuf),
    Keys,
    Bytes(Vec<u8>),
    Photo(PathBuf),
}

impl Journal {
    /// The store as it is now. Waits while another copy is taken.
    ///
    /// # Errors
    /// Its files can't be looked at.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, StoreError> {
        let shared = &*self.shared;
        let one_at_a_time = shared.copying.lock().unwrap_or_else(PoisonError::into_inner);
        // INVARIANT: before the end is chosen. What is erased before the end and destroyed after this is in the segment that
        // is written to, and opening the copy destroys it.
        shared.keys.begin_copy();
        let (end, keys_end) = {
            let catalog = shared.catalog();
            (catalog.end, catalog.keys_end)
        };
        let folder = journal_folder(&shared.folder);
        let mut snapshot = Snapshot {
            shared,
            files: Vec::new(),
            _one_at_a_time: one_at_a_time,
        };
        let files = &mut snapshot.files;
        files.push(File {
            name: super::keys::NAME.to_owned(),
            len: Keys::len_of(keys_end),
            source: Source::Keys,
        });
        for number in 1..=end.segment {
            let path = segment_path(&folder, number);
            let len = match number == end.segment {
                true => end.offset,
                // Sealed: it is as long as it will ever be.
                false => {
                    let read = StoreError::io("read the journal");
                    let file = shared.disk.open(&path).map_err(&read)?;
                    file.len().map_err(&read)?
                }
            };
            let (name, source) = (format!("journal/{}", segment_name(number)), Source::Segment(path));
            files.push(File { name, len, source });
        }
        let bytes = end.encode().to_vec();
        files.push(File {
            name: watermark::NAME.to_owned(),
            len: bytes.len() as u64,
            source: Source::Bytes(bytes),
        });
        files.extend(photos(shared)?);
        Ok(snapshot)
    }
}

/// The photos that are there, whole or still coming.
fn photos(shared: &Shared) -> Result<Vec<File>, StoreError> {
    let list = StoreError::io("list the photos for a copy");
    let (disk, folder, mut files) = (&shared.disk, shared.folder.join(PHOTOS), Vec::new());
    for album in disk.list(&folder).map_err(&list)?.unwrap_or_default() {
        let within = folder.join(&album);
        for name in disk.list(&within).map_err(&list)?.unwrap_or_default() {
            let path = within.join(&name);
            // Erased just now.
            let Ok(len) = disk.open(&path).and_then(|file| file.len()) else {
                continue;
            };
            files.push(File {
                name: format!("{PHOTOS}/{album}/{name}"),
                len,
                source: Source::Photo(path),
            });
        }
    }
    Ok(files)
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        self.shared.keys.end_copy();
    }
}

impl Snapshot<'_> {
    /// The names of its files, relative to a store's folder, and how long they are; in the order in which they are copied.
    pub fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.files.iter().map(|file| (file.name.as_str(), file.len))
    }

    /// Hands all files over, one after the other, in pieces of [`SNAPSHOT_PIECE_BYTES`] at most.
    ///
    /// # Errors
    /// A file can't be read, or `put` fails.
    pub fn copy<E: From<StoreError>>(&self, mut put: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let read = StoreError::io("read the store for a copy");
        let mut buffer = vec![0; SNAPSHOT_PIECE_BYTES];
        for File { len, source, .. } in &self.files {
            let segment = match source {
                Source::Segment(path) => Some(self.shared.disk.open(path).map_err(&read)?),
                Source::Photo(path) => self.shared.disk.open(path).ok(),
                Source::Keys | Source::Bytes(_) => None,
            };
            let mut at = 0;
            while at < *len {
                let piece = usize::try_from(len - at).unwrap_or(usize::MAX).min(buffer.len());
                let Some(piece) = buffer.get_mut(..piece) else { break };
                match (source, &segment) {
                    (Source::Photo(_), None) => piece.fill(0),
                    (Source::Photo(_), Some(file)) => {
                        if file.read_exact_at(piece, at).is_err() {
                            piece.fill(0);
                        }
                    }
                    (_, Some(file)) => file.read_exact_at(piece, at).map_err(&read)?,
                    (Source::Bytes(bytes), None) => piece.copy_from_slice(bytes),
                    (_, None) => self.shared.keys.copy(piece, at).map_err(&read)?,
                }
                at += piece.len() as u64;
                put(piece)?;
            }
            if matches!(source, Source::Keys) {
                self.shared.keys.end_copy();
            }
        }
        Ok(())
    }
}
