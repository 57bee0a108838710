//! The journal: the store on disk.
//!
//! ```text
//! FOLDER/lock              held while open: a second process is refused
//!        journal/N.seg     segments: all that was ever appended, in order (layout: `frame`, `part`)
//!        head              up to where it was acknowledged (`watermark`)
//!        runs/N.run        sorted record ids and intake keys of each segment but the last (`run`); derived
//!        index/            sled: the catalog as a clean close left it (`index`); derived
//!
//!   append ─► queue ─► writer: gather, one write, one sync, watermark ─► catalog, tables ─► done
//!   read ───► catalog: position ─► reader: one read, every crc checked ─► items, slices of one buffer
//! ```
//!
//! Whatever is derived may be lost at any time; opening makes it anew. What opening does after a crash stands in
//! `recovery`.

use std::{
    collections::hash_map::RandomState,
    fs::{File, TryLockError},
    hash::{BuildHasher, Hasher},
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
    Batch, Boundary, Damage, Done, Health, IntakeKey, NoteLog, Place, ReadLimit, Store, StoreError, Stretch,
    disk::{Disk, RealDisk},
    merge::{item_leaf, merge, stored_len},
};

mod active;
mod catalog;
mod frame;
mod ids;
mod index;
mod indexer;
mod part;
mod reader;
mod recovery;
mod run;
mod scan;
mod table;
mod watermark;
mod writer;

use catalog::{Catalog, ChunkAt};
use ids::Ids;
use index::{Index, Unusable};
use indexer::Indexer;
use part::Meta;
use reader::{DecodedChunk, Reader};
use table::KeyKind;
use writer::{Job, Pace, Writer};

/// Batches that may wait for the writing thread.
const QUEUE_BATCHES_MAX: usize = 64;

/// How a journal is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The length from which on a segment gets no more batches.
    pub(crate) segment_bytes: u64,
    /// Zeros that are written ahead of small groups.
    pub(crate) ahead_bytes: u64,
    /// The secret of a new store.
    pub(crate) salt: u64,
}

impl Options {
    const SEGMENT_BYTES: u64 = 64 << 20;
    const AHEAD_BYTES: u64 = 512 << 10;

    fn new() -> Self {
        // Seeded by the operating system; all that matters is that peers don't know it.
        Self {
            segment_bytes: Self::SEGMENT_BYTES,
            ahead_bytes: Self::AHEAD_BYTES,
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
    ids: Ids,
    reader: Reader,
    health: Mutex<Health>,
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
    /// Opens the store in `folder`, or creates one there.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_with(folder, Options::new())
    }

    pub(crate) fn open_with(folder: &Path, options: Options) -> Result<Self, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        disk.create_folder(folder)
            .map_err(StoreError::io("create the store's folder"))?;
        let lock = File::create(folder.join("lock")).map_err(StoreError::io("create the store's lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock the store")(error).into()),
        }
        Ok(Self::start(disk, folder, options, true, Some(lock))?)
    }

    /// Opens a store on another disk, without an index.
    #[cfg(test)]
    pub(crate) fn open_on(disk: Arc<dyn Disk>, folder: &Path, options: Options) -> Result<Self, StoreError> {
        Self::start(disk, folder, options, false, None)
    }

    fn start(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: Options,
        with_index: bool,
        lock: Option<File>,
    ) -> Result<Self, StoreError> {
        let mut index = None;
        let mut unusable = None;
        let recovered = recovery::open(&disk, folder, &options, &mut |sequence| {
            if !with_index {
                return None;
            }
            let (opened, catalog) = Index::open(folder, sequence);
            index = Some(opened);
            catalog.map_err(|reason| unusable = Some(reason)).ok()
        })?;
        let mut mended = recovered.mended;
        if let (Some(index), false) = (&mut index, recovered.indexed) {
            if !index.rebuild(&recovered.catalog) {
                mended.push("the index can't be written; the next opening will take longer".to_owned());
            } else if unusable == Some(Unusable::Broken) || unusable == Some(Unusable::Differs) {
                mended.push("the index did not fit the journal and was made anew".to_owned());
            }
        }
        let ids = Ids::new(recovered.table, recovered.sealed, &recovered.damaged);
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
            ids,
            reader: recovered.reader,
            health: Mutex::new(health),
        });
        let writer = Writer {
            shared: shared.clone(),
            folder: folder.to_owned(),
            options,
            active: recovered.active,
            watermark: recovered.watermark,
            index: index.and_then(Indexer::start),
            failed: None,
        };
        let (queue, jobs) = sync_channel(QUEUE_BATCHES_MAX);
        let writer = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&jobs))
            .map_err(StoreError::io("start the journal's thread"))?;
        Ok(Self {
            shared,
            queue: Some(queue),
            writer: Some(writer),
            _lock: lock,
        })
    }

    fn send(&self, batch: Batch, done: Done, pace: Pace) {
        if let Err(error) = batch.check() {
            return done(Err(error.into()));
        }
        // Encoding and checksums are the caller's work, so that the one writing thread only writes.
        let batch = part::encode(batch);
        let job = Job { batch, done, pace };
        let refused = match &self.queue {
            Some(queue) => queue.send(job).err().map(|unsent| unsent.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            (job.done)(Err(StoreError::Closed));
        }
    }

    /// The chunk at a position; damage is remembered.
    fn chunk(&self, origin: &Origin, chunk: &ChunkAt) -> Result<Arc<DecodedChunk>, StoreError> {
        self.shared.noting(self.shared.reader.chunk(origin, chunk))
    }

    /// The entries `range` of a chunk that holds them, with what overlays add.
    fn merged(
        &self,
        origin: &Origin,
        chunk: &ChunkAt,
        range: Range<u64>,
        overlays: &[ChunkAt],
    ) -> Result<(Vec<Item>, Arc<DecodedChunk>), StoreError> {
        let decoded = self.chunk(origin, chunk)?;
        let within = |chunk: &ChunkAt, range: &Range<u64>| {
            let offset = |index: u64| usize::try_from(index.saturating_sub(chunk.from)).unwrap_or(usize::MAX);
            offset(range.start)..offset(range.end)
        };
        let mut items = decoded.items.get(within(chunk, &range)).unwrap_or_default().to_vec();
        for overlay in overlays
            .iter()
            .filter(|overlay| overlay.from < range.end && overlay.end() > range.start)
        {
            let wider = self.chunk(origin, overlay)?;
            let common = range.start.max(overlay.from)..range.end.min(overlay.end());
            let skipped = usize::try_from(common.start - range.start).unwrap_or(usize::MAX);
            let wider = wider.items.get(within(overlay, &common)).unwrap_or_default();
            for (item, wider) in items.iter_mut().skip(skipped).zip(wider) {
                *item = merge(item, wider);
            }
        }
        Ok((items, decoded))
    }

    /// Every place of a key; a damaged run is made anew from its segment.
    fn places(&self, kind: KeyKind, key: &[u8; 16]) -> Result<Vec<Place>, StoreError> {
        let damaged = match self.shared.ids.find(kind, key) {
            Ok(found) => return Ok(found),
            Err(segment) => segment,
        };
        self.shared.remake_run(damaged)?;
        // Once more: another damaged run is the next caller's to mend.
        self.shared.ids.find(kind, key).map_err(|segment| {
            Damage {
                segment,
                offset: 0,
                what: "the run of the segment",
            }
            .into()
        })
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

    /// Remembers damage that was come upon.
    fn noting<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Damaged(damage)) = &result {
            let mut health = self.health();
            if !health.damaged.contains(damage) {
                health.damaged.push(damage.clone());
            }
        }
        result
    }

    fn remake_run(&self, segment: u32) -> Result<(), StoreError> {
        let chain = recovery::segment_head(self.disk.as_ref(), &self.folder, segment + 1)?.chain;
        let mut damaged = Vec::new();
        let keys = recovery::make_run(self.disk.as_ref(), &self.folder, segment, chain, &mut damaged)?;
        self.ids.replace(segment, keys, &damaged);
        let mut health = self.health();
        health
            .mended
            .push(format!("the run of segment {segment} was damaged and made anew"));
        health.damaged.extend(damaged);
        Ok(())
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

    fn boundary(&self, origin: &Origin, size: u64) -> Result<Option<Boundary>, StoreError> {
        let last = {
            let catalog = self.shared.catalog();
            let Some(log) = catalog.logs.get(origin) else {
                return Ok(None);
            };
            if log.size() <= size {
                return Ok(log.head.clone());
            }
            let ends_within = log.chunks.partition_point(|chunk| chunk.end() <= size);
            ends_within
                .checked_sub(1)
                .and_then(|last| log.chunks.get(last))
                .copied()
        };
        let Some(chunk) = last else { return Ok(None) };
        match self.shared.noting(self.shared.reader.meta(&chunk.at))? {
            Meta::Chunk(meta) => Ok(meta.end),
            Meta::State { .. } | Meta::Note(_) => Ok(None),
        }
    }

    fn read(&self, origin: &Origin, from: u64, limit: ReadLimit) -> Result<Option<Stretch>, StoreError> {
        let (chunks, overlays) = {
            let catalog = self.shared.catalog();
            let Some(log) = catalog.logs.get(origin) else {
                return Ok(None);
            };
            let until = from.saturating_add(u64::from(limit.entries_max));
            let chunks: Vec<ChunkAt> = log
                .chunks_from(from)
                .iter()
                .enumerate()
                .take_while(|(number, chunk)| *number == 0 || chunk.end() <= until)
                .map(|(_, chunk)| *chunk)
                .collect();
            let Some(last) = chunks.last() else { return Ok(None) };
            let overlays: Vec<ChunkAt> = log.overlays_of(from..last.end()).copied().collect();
            (chunks, overlays)
        };
        let mut stretch: Option<Stretch> = None;
        let mut bytes = 0;
        for chunk in &chunks {
            let range = from.max(chunk.from)..chunk.end();
            let (items, decoded) = self.merged(origin, chunk, range, &overlays)?;
            bytes += items.iter().map(stored_len).sum::<usize>();
            let Some(end) = decoded.end.clone() else { break };
            match &mut stretch {
                None => stretch = Some(Stretch { from, items, end }),
                Some(_) if bytes > limit.bytes_max => break,
                Some(stretch) => {
                    stretch.items.extend(items);
                    stretch.end = end;
                }
            }
        }
        Ok(stretch)
    }

    fn entry(&self, origin: &Origin, index: u64) -> Result<Option<Item>, StoreError> {
        let (chunk, overlays) = {
            let catalog = self.shared.catalog();
            let Some(log) = catalog.logs.get(origin) else {
                return Ok(None);
            };
            let Some(chunk) = log.chunks_from(index).first().copied() else {
                return Ok(None);
            };
            (chunk, log.overlays_of(index..index + 1).copied().collect::<Vec<_>>())
        };
        let (items, _) = self.merged(origin, &chunk, index..index + 1, &overlays)?;
        Ok(items.into_iter().next())
    }

    fn leaf_hashes(&self, origin: &Origin, range: Range<u64>, each: &mut dyn FnMut(Hash)) -> Result<(), StoreError> {
        let chunks: Vec<ChunkAt> = {
            let catalog = self.shared.catalog();
            let size = catalog.size(origin);
            if range.end > size || range.start > range.end {
                return Err(StoreError::NotHeld {
                    origin: origin.clone(),
                    size,
                    end: range.end,
                });
            }
            let chunks = catalog
                .logs
                .get(origin)
                .map_or(&[][..], |log| log.chunks_from(range.start));
            chunks
                .iter()
                .take_while(|chunk| chunk.from < range.end)
                .copied()
                .collect()
        };
        for chunk in &chunks {
            let common = range.start.max(chunk.from)..range.end.min(chunk.end());
            let (items, _) = self.merged(origin, chunk, common, &[])?;
            items
                .iter()
                .filter_map(|item| item_leaf(item.as_item_ref()))
                .for_each(&mut *each);
        }
        Ok(())
    }

    fn find(&self, id: &RecordId) -> Result<Vec<Place>, StoreError> {
        // A chunk whose records are not known may hold more about this one than is found elsewhere.
        match self.shared.ids.unread() {
            Some(damage) => Err(damage.into()),
            None => self.places(KeyKind::Record, id.as_bytes()),
        }
    }

    fn issued(&self, key: &IntakeKey) -> Result<Option<Place>, StoreError> {
        Ok(self.places(KeyKind::Intake, key.as_bytes())?.into_iter().next())
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
            .map_or(0, |notes| notes.len() as u64))
    }

    fn notes(&self, log: &NoteLog, from: u64, max: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let skipped = usize::try_from(from).unwrap_or(usize::MAX);
        let positions: Vec<_> = {
            let catalog = self.shared.catalog();
            let notes = catalog.notes.get(log).map_or(&[][..], Vec::as_slice);
            notes.iter().copied().zip(0..).skip(skipped).take(max).collect()
        };
        let read = |(at, number)| Ok((number, self.shared.noting(self.shared.reader.part(&at))?.1));
        positions.into_iter().map(read).collect()
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
    }
}

fn segment_name(number: u32) -> String {
    format!("{number:08}.seg")
}

fn segment_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(segment_name(number))
}

#[cfg(test)]
mod tests;
