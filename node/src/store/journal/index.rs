//! The index: the catalog's content in sled, so that opening a store need not read the whole journal.
//!
//! ```text
//! c origin 0 from u64                → count u32 | position 20        a chunk
//! o origin 0 from u64 number u32     → count u32 | position 20        an overlay
//! s key                              → value                          a state
//! n list 0 number u64                → position 20                    a note
//! ```
//!
//! It is never believed blindly: a clean close leaves a mark with the journal's sequence number and a digest of all that
//! the index holds. Without that mark, or if anything in it does not fit, or if sled fails or panics, the index is thrown
//! away and made anew from the journal. So none of sled's weaknesses can lose or falsify anything.

use std::{
    fs,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{
    catalog::{Catalog, Change, ChunkAt},
    frame::{Fields, checked, sealed},
    part::Position,
};
use crate::store::NoteLog;

const MARK: usize = 36;
const MARK_MAGIC: [u8; 8] = *b"icommix1";
/// Memory that sled may use: the catalog answers all questions, so it needs little.
const CACHE_BYTES: u64 = 4 << 20;

/// The index of an open store.
pub(crate) struct Index {
    folder: PathBuf,
    /// None once it failed; it is made anew at the next opening.
    db: Option<sled::Db>,
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
    /// Opens the index in a store's folder and reads the catalog from it, if it was closed cleanly when the journal's
    /// next sequence number was `sequence`. The mark is gone afterwards.
    pub(crate) fn open(folder: &Path, sequence: u64) -> (Self, Result<Catalog, Unusable>) {
        let mark = take_mark(folder);
        let mut index = Self {
            folder: folder.to_owned(),
            db: None,
        };
        let Some((marked, digest)) = mark else {
            return (index, Err(Unusable::NoMark));
        };
        if marked != sequence {
            return (index, Err(Unusable::Differs));
        }
        let loaded = guarded(|| {
            let db = config(folder).open().ok()?;
            let (catalog, found) = load(&db)?;
            Some((db, catalog, found))
        });
        match loaded {
            Some((db, catalog, found)) if found == digest => {
                index.db = Some(db);
                (index, Ok(catalog))
            }
            Some(_) => (index, Err(Unusable::Differs)),
            None => (index, Err(Unusable::Broken)),
        }
    }

    /// Throws the old index away and fills a new one. False if that failed; the store works without.
    pub(crate) fn rebuild(&mut self, catalog: &Catalog) -> bool {
        self.db = None;
        let folder = self.folder.clone();
        self.db = guarded(|| {
            match fs::remove_dir_all(sled_folder(&folder)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return None,
                _ => {}
            }
            let db = config(&folder).open().ok()?;
            let mut changes = catalog.changes().peekable();
            while changes.peek().is_some() {
                let mut batch = sled::Batch::default();
                changes.by_ref().take(4096).for_each(|change| put(&mut batch, &change));
                db.apply_batch(batch).ok()?;
            }
            Some(db)
        });
        self.db.is_some()
    }

    /// Takes in what was appended.
    pub(crate) fn apply(&mut self, changes: &[Change]) {
        let Some(db) = self.db.take() else { return };
        self.db = guarded(|| {
            let mut batch = sled::Batch::default();
            changes.iter().for_each(|change| put(&mut batch, change));
            db.apply_batch(batch).ok()?;
            Some(db)
        });
    }

    /// Leaves the mark of a clean close.
    pub(crate) fn close(self, catalog: &Catalog, sequence: u64) {
        let Some(db) = self.db else { return };
        let flushed = guarded(|| {
            db.flush().ok()?;
            drop(db);
            Some(())
        });
        if flushed.is_some() {
            let mut digest = ContentDigest::default();
            for change in catalog.changes() {
                if let (key, Some(value)) = encode(&change) {
                    digest.add(&key, &value);
                }
            }
            // Without the mark the next opening takes longer; that is all.
            drop(leave_mark(&self.folder, sequence, digest.0));
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
#[derive(Default, Clone, Copy)]
struct ContentDigest(u128);

impl ContentDigest {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        let mut sha = Sha256::new();
        sha.update((key.len() as u64).to_be_bytes());
        sha.update(key);
        sha.update(value);
        let [first @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _]: [u8; 32] = sha.finalize().into();
        self.0 = self.0.wrapping_add(u128::from_be_bytes(first));
    }
}

fn load(db: &sled::Db) -> Option<(Catalog, u128)> {
    let mut catalog = Catalog::default();
    let mut digest = ContentDigest::default();
    for entry in db.iter() {
        let (key, value) = entry.ok()?;
        digest.add(&key, &value);
        catalog.restore(decode(&key, &value)?);
    }
    Some((catalog, digest.0))
}

fn put(batch: &mut sled::Batch, change: &Change) {
    match encode(change) {
        (key, Some(value)) => batch.insert(key, value),
        (key, None) => batch.remove(key),
    }
}

fn encode(change: &Change) -> (Vec<u8>, Option<Vec<u8>>) {
    let key = |kind: u8, name: &str, fields: &[&[u8]]| {
        let mut key = vec![kind];
        key.extend_from_slice(name.as_bytes());
        fields.iter().for_each(|field| key.extend_from_slice(field));
        key
    };
    let chunk_value = |chunk: &ChunkAt| {
        let mut value = Vec::with_capacity(4 + Position::LEN);
        value.extend_from_slice(&chunk.count.to_be_bytes());
        chunk.at.write(&mut value);
        Some(value)
    };
    match change {
        Change::Chunk(origin, chunk) => (
            key(b'c', &origin.to_string(), &[&[0], &chunk.from.to_be_bytes()]),
            chunk_value(chunk),
        ),
        Change::Overlay(origin, number, chunk) => {
            let fields: [&[u8]; 3] = [&[0], &chunk.from.to_be_bytes(), &number.to_be_bytes()];
            (key(b'o', &origin.to_string(), &fields), chunk_value(chunk))
        }
        Change::State(name, value) => (key(b's', name, &[]), value.as_ref().map(|value| value.to_vec())),
        Change::Note(log, number, at) => {
            let mut value = Vec::with_capacity(Position::LEN);
            at.write(&mut value);
            (key(b'n', log.as_str(), &[&[0], &number.to_be_bytes()]), Some(value))
        }
    }
}

fn decode(key: &[u8], value: &[u8]) -> Option<Change> {
    let (kind, rest) = key.split_first()?;
    let text = |bytes: &[u8]| str::from_utf8(bytes).ok().map(str::to_owned);
    if *kind == b's' {
        return Some(Change::State(text(rest)?, Some(Bytes::copy_from_slice(value))));
    }
    let end = rest.iter().position(|byte| *byte == 0)?;
    let name = text(rest.get(..end)?)?;
    let mut numbers = Fields(rest.get(end + 1..)?);
    let mut value = Fields(value);
    match kind {
        b'c' => {
            let (from, count) = (numbers.u64()?, value.u32()?);
            Some(Change::Chunk(
                name.parse().ok()?,
                ChunkAt {
                    from,
                    count,
                    at: Position::read(&mut value)?,
                },
            ))
        }
        b'o' => {
            let (from, number, count) = (numbers.u64()?, numbers.u32()?, value.u32()?);
            let chunk = ChunkAt {
                from,
                count,
                at: Position::read(&mut value)?,
            };
            Some(Change::Overlay(name.parse().ok()?, number, chunk))
        }
        b'n' => Some(Change::Note(
            NoteLog::new(&name).ok()?,
            numbers.u64()?,
            Position::read(&mut value)?,
        )),
        _ => None,
    }
}

fn mark_path(folder: &Path) -> PathBuf {
    folder.join("index.closed")
}

/// The sequence number and digest of the mark, which is removed durably before anything is appended.
fn take_mark(folder: &Path) -> Option<(u64, u128)> {
    let bytes = fs::read(mark_path(folder)).ok()?;
    fs::remove_file(mark_path(folder)).ok()?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).ok()?;
    let bytes: [u8; MARK] = bytes.try_into().ok()?;
    let (mut fields, _) = checked(&bytes, 0)?;
    if fields.take()? != MARK_MAGIC {
        return None;
    }
    Some((fields.u64()?, u128::from_be_bytes(fields.take()?)))
}

fn leave_mark(folder: &Path, sequence: u64, digest: u128) -> io::Result<()> {
    let mark: [u8; MARK] = sealed(&[&MARK_MAGIC, &sequence.to_be_bytes(), &digest.to_be_bytes()], 0);
    let unfinished = folder.join("index.closed.new");
    let mut file = fs::File::create(&unfinished)?;
    file.write_all(&mark)?;
    file.sync_all()?;
    fs::rename(unfinished, mark_path(folder))?;
    fs::File::open(folder)?.sync_all()
}
