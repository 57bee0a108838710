//! The journal: the store on disk.
//!
//! ```text
//! FOLDER/lock              held while open: a second process is refused
//!        journal/N.seg     segments: all that was ever appended, in order (layout: `frame`, `part`)
//!        head              up to where it was acknowledged (`watermark`)
//!        keys              a key for each view, in its slot: destroyed, it erases the view (`keys`, `secrecy`)
//!        runs/N.run        what is in each segment but the last: chunks, notes, sorted keys (`run`); derived
//!        index/            sled: the state as a clean close left it (`index`); derived
//!        photos/           a file each, with its key (`photos::folder`); erased with the section that names it
//!
//!   append ─► queue ─► writer: gather, one write, one sync, watermark ─► catalog, table ─► done
//!                                                      a full segment ─► sealer: its run, the index
//!   read ───► catalog: segment ─► table or run: position ─► reader: one read, every crc checked ─► slices of one buffer
//! ```
//!
//! All of a view but its entry is encrypted under the view's key, and the keys are wrapped by the store key, which lies
//! elsewhere. What is erased stays in the segments as bytes that nobody can read any more (`erasing`).
//!
//! Whatever is derived may be lost at any time; opening makes it anew. What opening does after a crash stands in
//! `recovery`. In memory is what the last segment holds, and of the others a few bytes a log: how much was ever appended
//! costs disk only.

use std::{
    collections::hash_map::RandomState,
    fs::{File, TryLockError},
    hash::{BuildHasher, Hasher},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use icomm_proto::{
    Origin, RecordId,
    log::{Hash, Item},
};

use super::{
    Batch, Boundary, Done, Health, IntakeKey, NoteLog, Place, ReadLimit, Store, StoreError, StoreKey, Stretch, Widths,
    disk::{Disk, RealDisk},
    photos::{PhotoFolder, Photos},
};
use crate::environment::Entropy;

mod active;
mod catalog;
mod erasing;
mod files;
mod frame;
mod index;
mod keys;
mod part;
mod photos;
mod reader;
mod reading;
mod recovery;
mod run;
mod scan;
mod sealer;
mod secrecy;
mod segments;
mod snapshot;
mod summary;
mod table;
mod watermark;
mod writer;

use catalog::Catalog;
pub(super) use erasing::remainder;
use index::{Index, Unusable};
use keys::Keys;
use part::{Content, Position};
use reader::Reader;
pub(crate) use recovery::Secrets;
use sealer::{Sealer, Sealing};
use segments::Segments;
pub use snapshot::{SNAPSHOT_PIECE_BYTES, Snapshot};
use table::KeyKind;
use writer::{Job, Pace, Work, Writer};

/// Batches that may wait for the writing thread.
const QUEUE_BATCHES_MAX: usize = 64;

/// How a journal is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The length from which on a segment gets no more batches.
    pub(crate) segment_bytes: u64,
    /// Zeros that are written ahead of small groups.
    pub(crate) ahead_bytes: u64,
    /// Keys of views that are written ahead.
    pub(crate) ahead_keys: u64,
    /// The secret of a new store.
    pub(crate) salt: u64,
}

impl Options {
    const SEGMENT_BYTES: u64 = 64 << 20;
    const AHEAD_BYTES: u64 = 512 << 10;
    const AHEAD_KEYS: u64 = 64 << 10;

    fn new() -> Self {
        // Seeded by the operating system; all that matters is that peers don't know it.
        Self {
            segment_bytes: Self::SEGMENT_BYTES,
            ahead_bytes: Self::AHEAD_BYTES,
            ahead_keys: Self::AHEAD_KEYS,
            salt: RandomState::new().build_hasher().finish(),
        }
    }
}

/// A store in a folder on disk.
pub struct Journal {
    shared: Arc<Shared>,
    /// None while closing.
    queue: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
    /// Held until everything else is closed.
    _lock: Option<File>,
}

/// What reading needs, shared with the writing thread.
struct Shared {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    catalog: RwLock<Catalog>,
    segments: Segments,
    reader: Reader,
    keys: Arc<Keys>,
    photos: PhotoFolder,
    health: Mutex<Health>,
    /// Held while a copy is taken.
    copying: Mutex<()>,
}

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the store `{0}` is in use by another process; stop that one first")]
    InUse(PathBuf),
    /// Its journal can't be read, or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Journal {
    /// Opens the store in `folder`, or creates one there, which from then on opens with this key only.
    pub fn open(folder: &Path, key: &StoreKey, entropy: Arc<dyn Entropy>) -> Result<Self, OpenError> {
        Self::open_with(folder, Options::new(), Secrets { key, entropy })
    }

    /// Whether there is a store in `folder`.
    pub fn is_in(folder: &Path) -> bool {
        recovery::journal_folder(folder).exists()
    }

    pub(crate) fn open_with(folder: &Path, options: Options, secrets: Secrets<'_>) -> Result<Self, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        disk.create_folder(folder)
            .map_err(StoreError::io("create the store's folder"))?;
        let lock = File::create(folder.join("lock")).map_err(StoreError::io("create the store's lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock the store")(error).into()),
        }
        Ok(Self::start(disk, folder, options, secrets, true, Some(lock))?)
    }

    /// Opens a store on another disk, without an index.
    #[cfg(test)]
    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: Options,
        secrets: Secrets<'_>,
    ) -> Result<Self, StoreError> {
        Self::start(disk, folder, options, secrets, false, None)
    }

    fn start(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: Options,
        secrets: Secrets<'_>,
        with_index: bool,
        lock: Option<File>,
    ) -> Result<Self, StoreError> {
        let photos = PhotoFolder::new(disk.clone(), folder, secrets.key, secrets.entropy.clone());
        let mut index = None;
        let mut unusable = None;
        let recovered = recovery::open(&disk, folder, &options, secrets, &mut |sequence| {
            if !with_index {
                return None;
            }
            let (opened, state) = Index::open(folder, sequence);
            index = Some(opened);
            state.map_err(|reason| unusable = Some(reason)).ok()
        })?;
        let mut mended = recovered.mended;
        if let (Some(index), Some(state)) = (&mut index, &recovered.unindexed) {
            if !index.rebuild(state) {
                mended.push("the index can't be written; the next opening will take longer".to_owned());
            } else if unusable == Some(Unusable::Broken) || unusable == Some(Unusable::Differs) {
                mended.push("the index did not fit the journal and was made anew".to_owned());
            }
        }
        let active = &recovered.active;
        let segments = Segments::new(active.number, recovered.table, recovered.sealed, &recovered.damaged);
        let health = Health {
            damaged: recovered.damaged,
            mended,
            bytes: recovered.bytes,
            ..Health::default()
        };
        let shared = Arc::new(Shared {
            disk,
            folder: folder.to_owned(),
            catalog: RwLock::new(recovered.catalog),
            segments,
            reader: recovered.reader,
            keys: recovered.keys,
            photos,
            health: Mutex::new(health),
            copying: Mutex::default(),
        });
        let sealing = Sealing {
            shared: shared.clone(),
            folder: folder.to_owned(),
            index,
            sequence: recovered.sequence,
        };
        let sealer = match with_index {
            true => {
                let keys = &sealing.shared.keys;
                keys.write_ahead().map_err(StoreError::io("start the keys' thread"))?;
                Sealer::start(sealing).map_err(StoreError::io("start the journal's sealer"))?
            }
            // On a simulated disk everything happens in an order that can be repeated.
            false => Sealer::AtOnce(sealing),
        };
        let writer = Writer {
            shared: shared.clone(),
            folder: folder.to_owned(),
            options,
            active: recovered.active,
            watermark: recovered.watermark,
            sealer,
            failed: None,
        };
        let (queue, jobs) = sync_channel(QUEUE_BATCHES_MAX);
        let writer = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&jobs))
            .map_err(StoreError::io("start the journal's thread"))?;
        let journal = Self {
            shared,
            queue: Some(queue),
            writer: Some(writer),
            _lock: lock,
        };
        journal.settle_photos()?;
        Ok(journal)
    }

    fn send(&self, batch: Batch, done: Done, pace: Pace) {
        if let Err(error) = batch.check() {
            return done(Err(error.into()));
        }
        // A batch that needs no keys must not be kept either, when one before it was refused for want of them.
        if let Err(error) = self.shared.keys.check() {
            return done(Err(self.refused(error)));
        }
        let work = match batch.erases() {
            true => Work::Erasing(batch),
            // Encrypting, encoding and checksums are the caller's work, so that the one writing thread only writes.
            false => {
                let items = batch.into_items().into_iter();
                let contents = items.filter_map(|item| Content::of(item, &self.shared.keys).transpose());
                match contents.collect() {
                    Ok(contents) => Work::Encoded(part::encode(contents)),
                    Err(error) => return done(Err(self.refused(error))),
                }
            }
        };
        let job = Job { work, done, pace };
        let refused = match &self.queue {
            Some(queue) => queue.send(job).err().map(|unsent| unsent.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            (job.done)(Err(StoreError::Closed));
        }
    }
}

impl Journal {
    /// An error of the keys, told in the health as one of the journal's is.
    fn refused(&self, error: StoreError) -> StoreError {
        let mut health = self.shared.health();
        match &error {
            StoreError::Failed(reason) => health.failed = Some(reason.to_string()),
            error => health.full |= matches!(error, StoreError::Full),
        }
        error
    }
}

impl Shared {
    fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn catalog_mut(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Journal {
    fn submit(&self, batch: Batch, done: Done) {
        self.send(batch, done, Pace::AtOnce);
    }

    fn ride(&self, batch: Batch) {
        self.send(batch, Box::new(|_| {}), Pace::WithTheNext);
    }

    fn origins(&self) -> Vec<Origin> {
        self.shared.catalog().logs.keys().cloned().collect()
    }

    fn widths(&self, origin: &Origin) -> Result<Widths, StoreError> {
        Ok(self
            .shared
            .catalog()
            .logs
            .get(origin)
            .map_or_else(Widths::default, |log| log.widths))
    }

    fn boundary(&self, origin: &Origin, size: u64) -> Result<Option<Boundary>, StoreError> {
        self.shared.boundary(origin, size)
    }

    fn read(&self, origin: &Origin, from: u64, limit: ReadLimit) -> Result<Option<Stretch>, StoreError> {
        self.shared.read(origin, from, limit)
    }

    fn entry(&self, origin: &Origin, index: u64) -> Result<Option<Item>, StoreError> {
        self.shared.entry(origin, index)
    }

    fn leaf_hashes(&self, origin: &Origin, range: Range<u64>, each: &mut dyn FnMut(Hash)) -> Result<(), StoreError> {
        self.shared.leaf_hashes(origin, range, each)
    }

    fn find(&self, id: &RecordId) -> Result<Vec<Place>, StoreError> {
        self.shared.find(id)
    }

    fn issued(&self, key: &IntakeKey) -> Result<Option<Place>, StoreError> {
        let places = self
            .shared
            .ask(|segments| segments.find(KeyKind::Intake, key.as_bytes()))?;
        Ok(places.into_iter().next())
    }

    fn state(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.shared.catalog().state.get(key).cloned())
    }

    fn scan_state(&self, prefix: &str) -> Result<Vec<(String, Bytes)>, StoreError> {
        let catalog = self.shared.catalog();
        let from = catalog.state.range(prefix.to_owned()..);
        let matching = from.take_while(|(key, _)| key.starts_with(prefix));
        Ok(matching.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn notes_len(&self, log: &NoteLog) -> Result<u64, StoreError> {
        Ok(self
            .shared
            .catalog()
            .notes
            .get(log)
            .map_or(0, |spans| catalog::len(spans)))
    }

    fn notes(&self, log: &NoteLog, from: u64, max: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let range = from..from.saturating_add(max as u64);
        let spans = {
            let catalog = self.shared.catalog();
            let spans = catalog.notes.get(log).map_or(&[][..], Vec::as_slice);
            catalog::within(spans, range.clone()).to_vec()
        };
        let mut notes = Vec::new();
        for span in spans {
            let within = range.start.max(span.from)..range.end.min(span.end);
            let of_segment = within.start - span.from..within.end - span.from;
            let positions: Vec<Position> = self
                .shared
                .ask(|segments| segments.notes(span.segment, log, &of_segment))?;
            for (number, at) in within.zip(positions) {
                notes.push((number, self.shared.noting(self.shared.reader.part(&at))?.1));
            }
        }
        Ok(notes)
    }

    fn photos(&self) -> &dyn Photos {
        self
    }

    fn health(&self) -> Health {
        self.shared.health().clone()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // The writer ends when nobody can send any more, after all that was submitted.
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
        self.shared.keys.close();
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

fn segment_name(number: u32) -> String {
    format!("{number:08}.seg")
}

fn segment_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(segment_name(number))
}

#[cfg(test)]
mod tests;
