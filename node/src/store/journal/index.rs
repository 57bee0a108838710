//! The index: the state in sled (agreements, cursors, receipts), as it was when the last segment was sealed, so that opening
//! a store need not gather it from the runs of all segments. Keys and values are those of the states.
//!
//! It follows when a segment is sealed, never commit by commit. It is never believed blindly: a clean close leaves a mark
//! with the journal's sequence number at the last seal and a digest of all that the index holds. Without that mark, or if
//! anything in it does not fit, or if sled fails or panics, the index is thrown away and made anew from the runs. So none of
//! sled's weaknesses can lose or falsify anything.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::frame::{checked, sealed};

const MARK: usize = 36;
const MARK_MAGIC: [u8; 8] = *b"icommix2";
/// Memory that sled may use: it is read once, when the store is opened.
const CACHE_BYTES: u64 = 1 << 20;

/// The value of each key.
pub(crate) type State = BTreeMap<String, Bytes>;

/// The index of an open store.
pub(crate) struct Index {
    folder: PathBuf,
    /// None once it failed; it is made anew at the next opening.
    db: Option<sled::Db>,
    digest: ContentDigest,
}

/// Why an index was not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// The store was not closed cleanly, or is new.
    NoMark,
    /// It is of another state of the journal, or its content changed.
    Differs,
    /// Sled failed.
    Broken,
}

impl Index {
    /// Opens the index in a store's folder and reads it, if the store was closed cleanly while the segment that it was
    /// written to began with the sequence number `sequence`. The mark is gone afterwards.
    pub(crate) fn open(folder: &Path, sequence: u64) -> (Self, Result<State, Unusable>) {
        let mut index = Self {
            folder: folder.to_owned(),
            db: None,
            digest: ContentDigest::default(),
        };
        let Some((marked, digest)) = take_mark(folder) else {
            return (index, Err(Unusable::NoMark));
        };
        if marked != sequence {
            return (index, Err(Unusable::Differs));
        }
        let loaded = guarded(|| {
            let db = config(folder).open().ok()?;
            let (state, found) = load(&db)?;
            Some((db, state, found))
        });
        match loaded {
            Some((db, state, found)) if found == digest => {
                index.db = Some(db);
                index.digest = found;
                (index, Ok(state))
            }
            Some(_) => (index, Err(Unusable::Differs)),
            None => (index, Err(Unusable::Broken)),
        }
    }

    /// Throws the old index away and fills a new one. False if that failed; the store works without.
    pub(crate) fn rebuild(&mut self, state: &State) -> bool {
        self.db = None;
        self.digest = ContentDigest::default();
        let folder = self.folder.clone();
        self.db = guarded(|| {
            match fs::remove_dir_all(sled_folder(&folder)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return None,
                _ => {}
            }
            config(&folder).open().ok()
        });
        self.set(state.iter().map(|(key, value)| (key, Some(value))));
        self.db.is_some()
    }

    /// Takes in the states that a segment changed, now that it is sealed.
    pub(crate) fn put(&mut self, states: &BTreeMap<String, Option<Bytes>>) {
        self.set(states.iter().map(|(key, value)| (key, value.as_ref())));
    }

    fn set<'a>(&mut self, changes: impl Iterator<Item = (&'a String, Option<&'a Bytes>)>) {
        let (Some(db), mut digest) = (self.db.take(), self.digest) else {
            return;
        };
        self.db = guarded(|| {
            let mut batch = sled::Batch::default();
            for (key, value) in changes {
                let key = key.as_bytes();
                if let Some(before) = db.get(key).ok()? {
                    digest.remove(key, &before);
                }
                match value {
                    Some(value) => {
                        digest.add(key, value);
                        batch.insert(key, value.as_ref());
                    }
                    None => batch.remove(key),
                }
            }
            db.apply_batch(batch).ok()?;
            Some(db)
        });
        self.digest = digest;
    }

    /// Leaves the mark of a clean close.
    pub(crate) fn close(self, sequence: u64) {
        let Some(db) = self.db else { return };
        let flushed = guarded(|| {
            db.flush().ok()?;
            drop(db);
            Some(())
        });
        if flushed.is_some() {
            // Without the mark the next opening takes longer; that is all.
            drop(leave_mark(&self.folder, sequence, self.digest));
        }
    }
}

/// Runs what calls sled, which panics on some damaged files.
fn guarded<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok().flatten()
}

fn sled_folder(folder: &Path) -> PathBuf {
    folder.join("index")
}

fn config(folder: &Path) -> sled::Config {
    sled::Config::new()
        .path(sled_folder(folder))
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None)
}

/// A digest of keys and values that does not depend on their order: the sum of their hashes.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct ContentDigest(u128);

impl ContentDigest {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(Self::of(key, value));
    }

    fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(Self::of(key, value));
    }

    fn of(key: &[u8], value: &[u8]) -> u128 {
        let mut sha = Sha256::new();
        sha.update((key.len() as u64).to_be_bytes());
        sha.update(key);
        sha.update(value);
        let hash: [u8; 32] = sha.finalize().into();
        hash.first_chunk().map_or(0, |first| u128::from_be_bytes(*first))
    }
}

fn load(db: &sled::Db) -> Option<(State, ContentDigest)> {
    let (mut state, mut digest) = (State::new(), ContentDigest::default());
    for entry in db.iter() {
        let (key, value) = entry.ok()?;
        digest.add(&key, &value);
        let key = str::from_utf8(&key).ok()?.to_owned();
        state.insert(key, Bytes::copy_from_slice(&value));
    }
    Some((state, digest))
}

fn mark_path(folder: &Path) -> PathBuf {
    folder.join("index.closed")
}

/// The sequence number and digest of the mark, which is removed durably before anything is appended.
fn take_mark(folder: &Path) -> Option<(u64, ContentDigest)> {
    let bytes = fs::read(mark_path(folder)).ok()?;
    fs::remove_file(mark_path(folder)).ok()?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).ok()?;
    let bytes: [u8; MARK] = bytes.try_into().ok()?;
    let (mut fields, _) = checked(&bytes, 0)?;
    if fields.take()? != MARK_MAGIC {
        return None;
    }
    Some((fields.u64()?, ContentDigest(u128::from_be_bytes(fields.take()?))))
}

fn leave_mark(folder: &Path, sequence: u64, digest: ContentDigest) -> io::Result<()> {
    let mark: [u8; MARK] = sealed(&[&MARK_MAGIC, &sequence.to_be_bytes(), &digest.0.to_be_bytes()], 0);
    let unfinished = folder.join("index.closed.new");
    let mut file = fs::File::create(&unfinished)?;
    file.write_all(&mark)?;
    file.sync_all()?;
    fs::rename(unfinished, mark_path(folder))?;
    fs::File::open(folder)?.sync_all()
}
