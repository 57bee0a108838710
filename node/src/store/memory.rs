//! A store in memory, for simulations and tests. It keeps every promise of [`Store`] but outliving the process, and it
//! is written as plainly as possible, since the journal is tested against it.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use icomm_proto::{
    Origin, Photo, PieceHashes, RecordId, View,
    log::{Hash, Item},
};

use super::{
    Batch, BatchItem, Boundary, Damage, Done, Health, IntakeKey, NoteLog, Place, Placement, ReadLimit, Remains, Store,
    StoreError, StoredChunk, Stretch, Widths,
    batch::record_id,
    journal::remainder,
    merge::{bodies, item_leaf, merge, stored_len},
    photos::{Album, MemoryPhotos, Photos, PieceKept, is_named, named},
};

/// Keeps everything in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    kept: Mutex<Kept>,
    photos: MemoryPhotos,
}

#[derive(Debug, Default, Clone)]
struct Kept {
    logs: BTreeMap<Origin, Log>,
    records: BTreeMap<[u8; 16], Vec<Place>>,
    issued: HashMap<IntakeKey, Place>,
    state: BTreeMap<String, Bytes>,
    notes: HashMap<NoteLog, Vec<Bytes>>,
    batches: u64,
    bytes: u64,
}

#[derive(Debug, Default, Clone)]
struct Log {
    items: Vec<Item>,
    boundaries: BTreeMap<u64, Boundary>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic while holding the lock leaves nothing half done that a test could not see.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn check(&self, batch: &Batch) -> Result<(), StoreError> {
        batch.check()?;
        let mut sizes: HashMap<&Origin, u64> = HashMap::new();
        for item in batch.items() {
            let (origin, range, extends) = match item {
                BatchItem::Chunk(chunk) => {
                    let extends = matches!(chunk.placement, Placement::Extends { .. });
                    (&chunk.origin, chunk.from..chunk.end(), extends)
                }
                BatchItem::Erase { origin, index, .. } => (origin, *index..index.saturating_add(1), false),
                BatchItem::State { .. } | BatchItem::Note { .. } => continue,
            };
            let held = || self.logs.get(origin).map_or(0, |log| log.items.len() as u64);
            let size = sizes.entry(origin).or_insert_with(held);
            let fits = match extends {
                true => range.start == *size,
                false => range.end <= *size && range.start < range.end,
            };
            if !fits {
                return Err(StoreError::OutOfPlace {
                    origin: origin.clone(),
                    size: *size,
                    from: range.start,
                    end: range.end,
                });
            }
            *size = (*size).max(range.end);
        }
        Ok(())
    }

    fn keep(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.check(&batch)?;
        for item in batch.items() {
            match item {
                BatchItem::Chunk(chunk) => self.keep_chunk(chunk),
                BatchItem::State {
                    key,
                    value: Some(value),
                } => {
                    self.state.insert(key.clone(), value.clone());
                }
                BatchItem::State { key, value: None } => {
                    self.state.remove(key);
                }
                BatchItem::Erase { origin, index, remains } => self.erase(origin, *index, *remains),
                BatchItem::Note { log, bytes } => self.notes.entry(log.clone()).or_default().push(bytes.clone()),
            }
        }
        self.batches += 1;
        Ok(())
    }

    /// The albums whose section a batch erases.
    fn albums_lost(&self, batch: &Batch) -> Vec<Album> {
        let lost = batch.items().iter().filter_map(|item| {
            let BatchItem::Erase { origin, index, remains } = item else {
                return None;
            };
            let held = self.logs.get(origin)?.items.get(usize::try_from(*index).ok()?)?;
            Album::lost(origin, held, &remainder(held, *remains))
        });
        lost.collect()
    }

    fn erase(&mut self, origin: &Origin, index: u64, remains: Remains) {
        let items = self.logs.get_mut(origin).map(|log| &mut log.items);
        let Some(item) = items.and_then(|items| items.get_mut(usize::try_from(index).ok()?)) else {
            return;
        };
        let Item::Disclosed(bytes) = &*item else { return };
        let Ok(view) = View::parse(bytes.clone()) else { return };
        match remains {
            Remains::Sections(sections) => *item = Item::Disclosed(view.redact(sections).bytes().clone()),
            Remains::Hash => {
                *item = Item::Withheld(view.leaf_hash());
                if let Some(places) = self.records.get_mut(view.head().record_id.as_bytes()) {
                    places.retain(|place| (&place.origin, place.index) != (origin, index));
                }
            }
        }
    }

    fn keep_chunk(&mut self, chunk: &StoredChunk) {
        let log = self.logs.entry(chunk.origin.clone()).or_default();
        for (item, index) in chunk.body.items().zip(chunk.from..) {
            if let Item::Disclosed(view) = &item
                && let Some(id) = record_id(view)
            {
                let places = self.records.entry(id).or_default();
                places.push(Place {
                    origin: chunk.origin.clone(),
                    index,
                });
                places.sort();
                places.dedup();
            }
            match log.items.get_mut(usize::try_from(index).unwrap_or(usize::MAX)) {
                Some(held) => *held = merge(held, &item),
                None => log.items.push(item),
            }
        }
        for (offset, key) in &chunk.intake_keys {
            let place = Place {
                origin: chunk.origin.clone(),
                index: chunk.from + u64::from(*offset),
            };
            let first = self.issued.entry(*key).or_insert_with(|| place.clone());
            if place < *first {
                *first = place;
            }
        }
        if let Placement::Extends { frontier, checkpoint } = &chunk.placement {
            let boundary = Boundary {
                frontier: frontier.clone(),
                checkpoint: checkpoint.clone(),
            };
            log.boundaries.insert(chunk.end(), boundary);
        }
        self.bytes += chunk.body.bytes().len() as u64;
    }
}

/// What was kept passed its check, so this is never seen.
fn oversized() -> StoreError {
    Damage {
        segment: 0,
        offset: 0,
        what: "a view is longer than a view can be",
    }
    .into()
}

impl Store for MemoryStore {
    fn submit(&self, batch: Batch, done: Done) {
        let result = {
            let mut kept = self.kept();
            let lost = kept.albums_lost(&batch);
            let result = kept.keep(batch);
            if result.is_ok() {
                lost.iter().for_each(|album| self.photos.erase(album));
            }
            result
        };
        done(result);
    }

    fn origins(&self) -> Vec<Origin> {
        self.kept().logs.keys().cloned().collect()
    }

    fn boundary(&self, origin: &Origin, size: u64) -> Result<Option<Boundary>, StoreError> {
        let kept = self.kept();
        let boundaries = kept.logs.get(origin).map(|log| &log.boundaries);
        Ok(boundaries
            .and_then(|boundaries| boundaries.range(..=size).next_back())
            .map(|(_, boundary)| boundary.clone()))
    }

    /// Counted anew each time, so that whoever keeps count is tested against it.
    fn widths(&self, origin: &Origin) -> Result<Widths, StoreError> {
        let kept = self.kept();
        let mut widths = Widths::default();
        for item in kept.logs.get(origin).into_iter().flat_map(|log| &log.items) {
            let view = match item {
                Item::Withheld(_) => None,
                Item::Disclosed(bytes) => View::parse(bytes.clone()).ok(),
            };
            widths += Widths::of_sections(view.map(|view| view.sections()));
        }
        Ok(widths)
    }

    fn read(&self, origin: &Origin, from: u64, limit: ReadLimit) -> Result<Option<Stretch>, StoreError> {
        let kept = self.kept();
        let Some(log) = kept.logs.get(origin) else {
            return Ok(None);
        };
        let range = |end: u64| log.items.get(from as usize..end as usize).unwrap_or_default();
        let fits = |end: u64| {
            let items = range(end);
            items.len() <= limit.entries_max as usize && items.iter().map(stored_len).sum::<usize>() <= limit.bytes_max
        };
        let mut ends = log.boundaries.range(from.saturating_add(1)..);
        let Some(first) = ends.next() else { return Ok(None) };
        let (size, end) = ends.take_while(|(size, _)| fits(**size)).last().unwrap_or(first);
        Ok(Some(Stretch {
            from,
            bodies: bodies(range(*size)).map_err(|_| oversized())?,
            end: end.clone(),
        }))
    }

    fn entry(&self, origin: &Origin, index: u64) -> Result<Option<Item>, StoreError> {
        let kept = self.kept();
        Ok(kept
            .logs
            .get(origin)
            .and_then(|log| log.items.get(usize::try_from(index).ok()?))
            .cloned())
    }

    fn leaf_hashes(&self, origin: &Origin, range: Range<u64>, each: &mut dyn FnMut(Hash)) -> Result<(), StoreError> {
        let kept = self.kept();
        let items = kept.logs.get(origin).map_or(&[][..], |log| &log.items);
        let Some(items) = items.get(range.start as usize..range.end as usize) else {
            let size = items.len() as u64;
            return Err(StoreError::NotHeld {
                origin: origin.clone(),
                size,
                end: range.end,
            });
        };
        items
            .iter()
            .filter_map(|item| item_leaf(item.as_item_ref()))
            .for_each(each);
        Ok(())
    }

    fn find(&self, id: &RecordId) -> Result<Vec<Place>, StoreError> {
        Ok(self.kept().records.get(id.as_bytes()).cloned().unwrap_or_default())
    }

    fn issued(&self, key: &IntakeKey) -> Result<Option<Place>, StoreError> {
        Ok(self.kept().issued.get(key).cloned())
    }

    fn state(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.kept().state.get(key).cloned())
    }

    fn scan_state(&self, prefix: &str) -> Result<Vec<(String, Bytes)>, StoreError> {
        let kept = self.kept();
        let from = kept.state.range(prefix.to_owned()..);
        let matching = from.take_while(|(key, _)| key.starts_with(prefix));
        Ok(matching.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn notes_len(&self, log: &NoteLog) -> Result<u64, StoreError> {
        Ok(self.kept().notes.get(log).map_or(0, |notes| notes.len() as u64))
    }

    fn notes(&self, log: &NoteLog, from: u64, max: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let kept = self.kept();
        let notes = kept.notes.get(log).into_iter().flatten().zip(0..);
        let wanted = notes.skip(usize::try_from(from).unwrap_or(usize::MAX)).take(max);
        Ok(wanted.map(|(note, number)| (number, note.clone())).collect())
    }

    fn photos(&self) -> &dyn Photos {
        self
    }

    fn health(&self) -> Health {
        let kept = self.kept();
        Health {
            batches: kept.batches,
            bytes: kept.bytes,
            ..Health::default()
        }
    }
}

impl Photos for MemoryStore {
    fn stage(&self, album: &Album, photo: &Photo, hashes: &PieceHashes, bytes: &[u8]) -> Result<(), StoreError> {
        self.photos.stage(album, photo, hashes, bytes);
        Ok(())
    }

    fn settle(&self, album: &Album) -> Result<(), StoreError> {
        self.photos.settle(album, is_named(self, album)?);
        Ok(())
    }

    fn keep(
        &self,
        place: &Place,
        number: u32,
        hashes: &PieceHashes,
        piece: u32,
        bytes: &[u8],
    ) -> Result<PieceKept, StoreError> {
        let Some((album, photo)) = named(self, place, number)? else {
            return Ok(PieceKept::Unnamed);
        };
        Ok(self.photos.keep(&album, &photo, hashes, piece, bytes))
    }

    fn held(&self, album: &Album, photo: &Photo) -> Result<u32, StoreError> {
        Ok(self.photos.held(album, photo))
    }

    fn hashes(&self, album: &Album, photo: &Photo) -> Result<Option<PieceHashes>, StoreError> {
        Ok(self.photos.hashes(album, photo))
    }

    fn piece(&self, album: &Album, photo: &Photo, piece: u32) -> Result<Option<Bytes>, StoreError> {
        Ok(self.photos.piece(album, photo, piece))
    }
}
