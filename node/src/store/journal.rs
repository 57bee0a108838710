//! The journal: the store on disk.
//!
//! ```text
//! FOLDER/lock              held while open: a second process is refused
//!        journal/N.seg     segments: all that was ever appended, in order (layout: `frame`, `part`)
//!        head              up to where it was acknowledged (`watermark`)
//!        runs/N.run        what is in each segment but the last: chunks, notes, sorted keys (`run`); derived
//!        index/            sled: the state as a clean close left it (`index`); derived
//!
//!   append ─► queue ─► writer: gather, one write, one sync, watermark ─► catalog, table ─► done
//!                                                      a full segment ─► sealer: its run, the index
//!   read ───► catalog: segment ─► table or run: position ─► reader: one read, every crc checked ─► slices of one buffer
//! ```
//!
//! Whatever is derived may be lost at any time; opening makes it anew. What opening does after a crash stands in
//! `recovery`. In memory is what the last segment holds, and of the others a few bytes a log: how much was ever appended
//! costs disk only.

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
    log::{ChunkBody, Hash, Item},
};

use super::{
    Batch, Boundary, Damage, Done, Health, IntakeKey, NoteLog, Place, ReadLimit, Store, StoreError, Stretch, Widths,
    disk::{Disk, RealDisk},
    merge::{bodies, item_leaf, merge},
};

mod active;
mod catalog;
mod files;
mod frame;
mod index;
mod part;
mod reader;
mod recovery;
mod run;
mod scan;
mod sealer;
mod segments;
mod summary;
mod table;
mod watermark;
mod writer;

use catalog::{Catalog, Span};
use index::{Index, Unusable};
use part::{Meta, Position};
use reader::{DecodedChunk, Reader};
use sealer::{Sealer, Sealing};
use segments::{Segments, Unreadable};
use table::{ChunkAt, KeyKind};
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
    segments: Segments,
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
            health: Mutex::new(health),
        });
        let sealing = Sealing {
            shared: shared.clone(),
            folder: folder.to_owned(),
            index,
            sequence: recovered.sequence,
        };
        let sealer = match with_index {
            true => Sealer::start(sealing).map_err(StoreError::io("start the journal's sealer"))?,
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

    /// The entries `range` of a chunk that holds them, with what overlays add, and where the chunk ends. Without overlays
    /// nothing is copied.
    fn merged(
        &self,
        origin: &Origin,
        chunk: &ChunkAt,
        range: Range<u64>,
        overlays: &[ChunkAt],
    ) -> Result<(Vec<ChunkBody>, Option<Boundary>), StoreError> {
        let decoded = self.chunk(origin, chunk)?;
        let end = decoded.end.clone();
        let Some(body) = part_of(&decoded.body, chunk, &range) else {
            return Ok((Vec::new(), end));
        };
        let mut overlays = overlays
            .iter()
            .filter(|overlay| overlay.from < range.end && overlay.end() > range.start)
            .peekable();
        if overlays.peek().is_none() {
            return Ok((vec![body], end));
        }
        let mut items: Vec<Item> = body.items().collect();
        for overlay in overlays {
            let wider = self.chunk(origin, overlay)?;
            let common = range.start.max(overlay.from)..range.end.min(overlay.end());
            let skipped = usize::try_from(common.start - range.start).unwrap_or(usize::MAX);
            let wider = part_of(&wider.body, overlay, &common);
            for (item, wider) in items
                .iter_mut()
                .skip(skipped)
                .zip(wider.iter().flat_map(ChunkBody::items))
            {
                *item = merge(item, &wider);
            }
        }
        let bodies = bodies(&items).map_err(|_| reader::damage(&chunk.at, "a view is longer than a view can be"))?;
        Ok((bodies, end))
    }

    /// Asks the segments; a run that can't be read is made anew.
    fn ask<T>(&self, question: impl Fn(&Segments) -> Result<T, Unreadable>) -> Result<T, StoreError> {
        let Unreadable(segment) = match question(&self.shared.segments) {
            Ok(answer) => return Ok(answer),
            Err(unreadable) => unreadable,
        };
        self.shared.remake_run(segment)?;
        // Once more: another damaged run is the next caller's to mend.
        question(&self.shared.segments).map_err(|Unreadable(segment)| {
            Damage {
                segment,
                offset: 0,
                what: "the run of the segment",
            }
            .into()
        })
    }

    /// The chunks that hold entries of a range, in order; `spans` are those of the log that touch it.
    fn chunks_in(&self, origin: &Origin, spans: &[Span], range: &Range<u64>) -> Result<Vec<ChunkAt>, StoreError> {
        let mut chunks = Vec::new();
        for span in spans {
            chunks.extend(self.ask(|segments| segments.chunks(span.segment, origin, range))?);
        }
        Ok(chunks)
    }

    /// The overlays that touch a range; `spans` are those of the log's overlays that do.
    fn overlays_in(&self, origin: &Origin, spans: &[Span], range: &Range<u64>) -> Result<Vec<ChunkAt>, StoreError> {
        let mut overlays = Vec::new();
        for span in spans {
            overlays.extend(self.ask(|segments| segments.overlays(span.segment, origin, range))?);
        }
        Ok(overlays)
    }

    /// The spans of a log's chunks and overlays that touch a range; None if there is no such log.
    fn spans(&self, origin: &Origin, range: &Range<u64>) -> Option<(Vec<Span>, Vec<Span>)> {
        let catalog = self.shared.catalog();
        let log = catalog.logs.get(origin)?;
        let overlays = log.overlays_in(range.clone()).copied().collect();
        Some((log.chunks_in(range.clone()).to_vec(), overlays))
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
        let next = recovery::segment_head(self.disk.as_ref(), &self.folder, segment + 1)?;
        let mut damaged = Vec::new();
        let (disk, files) = (self.disk.as_ref(), self.reader.files());
        let (sealed, _) = recovery::make_run(disk, files, &self.folder, segment, &next, &mut damaged)?;
        self.segments.replace(segment, sealed, &damaged);
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

    fn widths(&self, origin: &Origin) -> Result<Widths, StoreError> {
        Ok(self
            .shared
            .catalog()
            .logs
            .get(origin)
            .map_or_else(Widths::default, |log| log.widths))
    }

    fn boundary(&self, origin: &Origin, size: u64) -> Result<Option<Boundary>, StoreError> {
        let mut size = size;
        loop {
            let last = size.saturating_sub(1);
            let spans = {
                let catalog = self.shared.catalog();
                let Some(log) = catalog.logs.get(origin) else {
                    return Ok(None);
                };
                if log.size() <= size {
                    return Ok(log.head.clone());
                }
                log.chunks_in(last..size).to_vec()
            };
            let Some(chunk) = self.chunks_in(origin, &spans, &(last..size))?.pop() else {
                return Ok(None);
            };
            if chunk.end() > size {
                // It ends beyond: the one before it ends where it begins.
                size = chunk.from;
                continue;
            }
            return match self.shared.noting(self.shared.reader.meta(&chunk.at))? {
                Meta::Chunk(meta) => Ok(meta.end),
                Meta::State { .. } | Meta::Note(_) => Ok(None),
            };
        }
    }

    fn read(&self, origin: &Origin, from: u64, limit: ReadLimit) -> Result<Option<Stretch>, StoreError> {
        let until = from.saturating_add(u64::from(limit.entries_max));
        // The first counts even if it ends beyond.
        let wanted = from..until.max(from.saturating_add(1));
        let Some((spans, _)) = self.spans(origin, &wanted) else {
            return Ok(None);
        };
        let mut chunks = self.chunks_in(origin, &spans, &wanted)?;
        let fitting = chunks.iter().skip(1).take_while(|chunk| chunk.end() <= until).count();
        chunks.truncate(1 + fitting);
        let Some(last) = chunks.last() else { return Ok(None) };
        let read = from..last.end();
        let (_, spans) = self.spans(origin, &read).unwrap_or_default();
        let overlays = self.overlays_in(origin, &spans, &read)?;
        let mut stretch: Option<Stretch> = None;
        let mut bytes = 0;
        for chunk in &chunks {
            let range = from.max(chunk.from)..chunk.end();
            let (bodies, end) = self.merged(origin, chunk, range, &overlays)?;
            bytes += bodies.iter().map(|body| body.bytes().len()).sum::<usize>();
            let Some(end) = end else { break };
            match &mut stretch {
                None => stretch = Some(Stretch { from, bodies, end }),
                Some(_) if bytes > limit.bytes_max => break,
                Some(stretch) => {
                    stretch.bodies.extend(bodies);
                    stretch.end = end;
                }
            }
        }
        Ok(stretch)
    }

    fn entry(&self, origin: &Origin, index: u64) -> Result<Option<Item>, StoreError> {
        let range = index..index.saturating_add(1);
        let Some((spans, overlaid)) = self.spans(origin, &range) else {
            return Ok(None);
        };
        let Some(chunk) = self.chunks_in(origin, &spans, &range)?.pop() else {
            return Ok(None);
        };
        let overlays = self.overlays_in(origin, &overlaid, &range)?;
        let (bodies, _) = self.merged(origin, &chunk, range, &overlays)?;
        Ok(bodies.iter().flat_map(ChunkBody::items).next())
    }

    fn leaf_hashes(&self, origin: &Origin, range: Range<u64>, each: &mut dyn FnMut(Hash)) -> Result<(), StoreError> {
        let size = self.shared.catalog().size(origin);
        if range.end > size || range.start > range.end {
            return Err(StoreError::NotHeld {
                origin: origin.clone(),
                size,
                end: range.end,
            });
        }
        let (spans, _) = self.spans(origin, &range).unwrap_or_default();
        // Segment by segment: of a long log there may be many chunks.
        for span in &spans {
            let within = range.start.max(span.from)..range.end.min(span.end);
            for chunk in self.chunks_in(origin, std::slice::from_ref(span), &within)? {
                let common = within.start.max(chunk.from)..within.end.min(chunk.end());
                let (bodies, _) = self.merged(origin, &chunk, common, &[])?;
                bodies
                    .iter()
                    .flat_map(ChunkBody::item_refs)
                    .filter_map(item_leaf)
                    .for_each(&mut *each);
            }
        }
        Ok(())
    }

    fn find(&self, id: &RecordId) -> Result<Vec<Place>, StoreError> {
        // A chunk whose records are not known may hold more about this one than is found elsewhere.
        match self.shared.segments.unread() {
            Some(damage) => Err(damage.into()),
            None => self.ask(|segments| segments.find(KeyKind::Record, id.as_bytes())),
        }
    }

    fn issued(&self, key: &IntakeKey) -> Result<Option<Place>, StoreError> {
        let places = self.ask(|segments| segments.find(KeyKind::Intake, key.as_bytes()))?;
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
            let positions: Vec<Position> = self.ask(|segments| segments.notes(span.segment, log, &of_segment))?;
            for (number, at) in within.zip(positions) {
                notes.push((number, self.shared.noting(self.shared.reader.part(&at))?.1));
            }
        }
        Ok(notes)
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

/// The entries `range` of a chunk, sharing its memory; None if it has none of them.
fn part_of(body: &ChunkBody, chunk: &ChunkAt, range: &Range<u64>) -> Option<ChunkBody> {
    let offset = |index: u64| u32::try_from(index.saturating_sub(chunk.from)).unwrap_or(u32::MAX);
    let (start, end) = (offset(range.start), offset(range.end));
    if start == 0 && end >= body.count() {
        return Some(body.clone());
    }
    let (_, rest) = body.split(start);
    rest?.split(end.saturating_sub(start)).0
}

fn segment_name(number: u32) -> String {
    format!("{number:08}.seg")
}

fn segment_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(segment_name(number))
}

#[cfg(test)]
mod tests;
