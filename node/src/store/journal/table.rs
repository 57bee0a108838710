//! What is in one segment, in memory: of the segment that is written to, and of a sealed one until its run is written.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use icomm_proto::{
    Origin,
    log::{CHUNK_ENTRIES_MAX, ChunkBody, ItemRef},
};

use super::{
    part::{ChunkMeta, Meta, Part, Position},
    summary::{LogSummary, Summary},
};
use crate::store::{NoteLog, Place, Widths, batch::record_id};

/// What is searched for: both kinds are 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Record,
    Intake,
}

/// Where a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkAt {
    pub(crate) from: u64,
    pub(crate) count: u32,
    pub(crate) at: Position,
}

impl ChunkAt {
    pub(crate) fn end(&self) -> u64 {
        self.from + u64::from(self.count)
    }
}

/// Room for keys that is kept once they are in their table.
const NOTED_KEPT_MAX: usize = 4096;

/// One key and where it occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) key: [u8; 16],
    /// The log's number in this table.
    pub(crate) log: u16,
    pub(crate) index: u64,
}

/// What is in one segment.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) logs: Vec<LogTable>,
    numbers: HashMap<Origin, u16>,
    records: Keys,
    intake: Keys,
    pub(crate) lists: BTreeMap<NoteLog, Vec<Position>>,
    /// The number after the last key of its views.
    keys_end: u64,
    /// The last value of each key that the segment changes; None where it forgets it.
    pub(crate) states: BTreeMap<String, Option<Bytes>>,
}

/// What is in it of one log.
#[derive(Debug)]
pub(crate) struct LogTable {
    pub(crate) origin: Origin,
    // INVARIANT: contiguous.
    pub(crate) chunks: Vec<ChunkAt>,
    /// And what remains of what was erased; by first index and number.
    pub(crate) overlays: BTreeMap<(u64, u32), ChunkAt>,
    widths: Widths,
}

/// Places by key. Nearly every key has one, so that the others have a table of their own.
///
/// A table by key costs more to fill than all else that is done about a key, and a replica's may never be asked. So keys
/// are only noted as they come, and put into the table when somebody asks.
#[derive(Debug, Default)]
struct Keys(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    /// Not in the tables yet.
    noted: Vec<([u8; 16], PackedPlace)>,
    places: HashMap<[u8; 16], PackedPlace>,
    further: HashMap<[u8; 16], Vec<PackedPlace>>,
}

/// A log's number in the table and an index, which stays below 2⁴⁸, in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PackedPlace(u64);

impl PackedPlace {
    const INDEX_BITS: u32 = 48;

    fn new(log: u16, index: u64) -> Self {
        Self(u64::from(log) << Self::INDEX_BITS | index)
    }

    fn row(self, key: &[u8; 16]) -> Row {
        Row {
            key: *key,
            log: u16::try_from(self.0 >> Self::INDEX_BITS).unwrap_or(u16::MAX),
            index: self.0 & ((1 << Self::INDEX_BITS) - 1),
        }
    }
}

impl Keys {
    fn add(&mut self, key: [u8; 16], place: PackedPlace) {
        let found = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        found.noted.push((key, place));
    }

    fn find(&self, key: &[u8; 16]) -> Vec<Row> {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.settle();
        let further = || found.further.get(key).into_iter().flatten();
        let places = found.places.get(key);
        places
            .into_iter()
            .chain(places.into_iter().flat_map(|_| further()))
            .map(|place| place.row(key))
            .collect()
    }

    fn sorted(&self) -> Vec<Row> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = found.noted.iter().map(|(key, place)| place.row(key));
        let mut rows: Vec<Row> = noted
            .chain(found.places.iter().map(|(key, place)| place.row(key)))
            .collect();
        for (key, places) in &found.further {
            rows.extend(places.iter().map(|place| place.row(key)));
        }
        rows.sort_unstable();
        rows.dedup();
        rows
    }
}

impl Found {
    /// Puts what was noted into the tables.
    fn settle(&mut self) {
        let Self { noted, places, further } = self;
        for (key, place) in noted.drain(..) {
            let first = *places.entry(key).or_insert(place);
            if first != place {
                let further = further.entry(key).or_default();
                if !further.contains(&place) {
                    further.push(place);
                }
            }
        }
        if noted.capacity() > NOTED_KEPT_MAX {
            *noted = Vec::new();
        }
    }
}

impl LogTable {
    fn new(origin: Origin) -> Self {
        Self {
            origin,
            chunks: Vec::new(),
            overlays: BTreeMap::new(),
            widths: Widths::default(),
        }
    }

    fn add(&mut self, meta: &ChunkMeta, at: Position) {
        let chunk = ChunkAt {
            from: meta.from,
            count: meta.count,
            at,
        };
        self.widths += meta.widths;
        if meta.placed.end().is_some() {
            self.chunks.push(chunk);
        } else {
            let number = u32::try_from(self.overlays.len()).unwrap_or(u32::MAX);
            self.overlays.insert((meta.from, number), chunk);
        }
    }

    fn summary(&self) -> LogSummary {
        let start = self.chunks.first().map_or(0, |chunk| chunk.from);
        let touched = self.overlays.values().map(ChunkAt::end).max().unwrap_or(0);
        LogSummary {
            origin: self.origin.clone(),
            chunks: start..self.chunks.last().map_or(start, ChunkAt::end),
            overlays: self.overlays.keys().next().map_or(0, |(from, _)| *from)..touched,
            widths: self.widths,
            chunk_rows: self.chunks.len() as u64,
            overlay_rows: self.overlays.len() as u64,
        }
    }
}

impl Table {
    fn number(&mut self, origin: &Origin) -> Option<u16> {
        if let Some(number) = self.numbers.get(origin) {
            return Some(*number);
        }
        let number = u16::try_from(self.logs.len()).ok()?;
        self.logs.push(LogTable::new(origin.clone()));
        self.numbers.insert(origin.clone(), number);
        Some(number)
    }

    /// Whether it has no room for more logs: then its segment must end.
    pub(crate) fn is_full(&self) -> bool {
        self.logs.len() > usize::from(u16::MAX) / 2
    }

    /// Takes in a part. The records of a chunk whose body is missing can't be found.
    pub(crate) fn add(&mut self, part: &Part) {
        match &part.meta {
            Meta::Chunk(meta) => self.add_chunk(meta, part),
            Meta::State { key, present } => {
                let value = present.then(|| part.body.clone().unwrap_or_default());
                self.states.insert(key.clone(), value);
            }
            Meta::Note(list) => match self.lists.get_mut(list) {
                Some(notes) => notes.push(part.at),
                None => drop(self.lists.insert(list.clone(), vec![part.at])),
            },
        }
    }

    fn add_chunk(&mut self, meta: &ChunkMeta, part: &Part) {
        let Some(number) = self.number(&meta.origin) else {
            return;
        };
        if let Some(log) = self.logs.get_mut(usize::from(number)) {
            log.add(meta, part.at);
        }
        self.keys_end = self.keys_end.max(meta.keys.end);
        for (offset, key) in &meta.intake_keys {
            let place = PackedPlace::new(number, meta.from + u64::from(*offset));
            self.intake.add(*key.as_bytes(), place);
        }
        let body = part.body.clone().map(|body| ChunkBody::parse(body, meta.count));
        let Some(Ok(body)) = body else { return };
        for (item, index) in body.item_refs().zip(meta.from..) {
            if let ItemRef::Disclosed(view) = item
                && let Some(key) = record_id(view)
            {
                self.records.add(key, PackedPlace::new(number, index));
            }
        }
    }

    fn log(&self, origin: &Origin) -> Option<&LogTable> {
        self.logs.get(usize::from(*self.numbers.get(origin)?))
    }

    /// The chunks that hold entries of a range, in order.
    pub(crate) fn chunks(&self, origin: &Origin, range: &Range<u64>) -> Vec<ChunkAt> {
        let chunks = self.log(origin).map_or(&[][..], |log| &log.chunks);
        let first = chunks.partition_point(|chunk| chunk.end() <= range.start);
        let after = chunks.partition_point(|chunk| chunk.from < range.end);
        chunks.get(first..after).unwrap_or_default().to_vec()
    }

    /// The overlays that touch a range.
    pub(crate) fn overlays(&self, origin: &Origin, range: &Range<u64>) -> Vec<ChunkAt> {
        let Some(log) = self.log(origin) else { return Vec::new() };
        let first = range.start.saturating_sub(u64::from(CHUNK_ENTRIES_MAX));
        let candidates = log.overlays.range((first, 0)..(range.end.max(first), 0));
        let touching = candidates.filter(|(_, chunk)| chunk.end() > range.start);
        touching.map(|(_, chunk)| *chunk).collect()
    }

    /// Some notes of a list, counted from the segment's first.
    pub(crate) fn notes(&self, list: &NoteLog, range: &Range<u64>) -> Vec<Position> {
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let notes = self.lists.get(list).map_or(&[][..], Vec::as_slice);
        let end = number(range.end).min(notes.len());
        notes.get(number(range.start)..end).unwrap_or_default().to_vec()
    }

    fn keys(&self, kind: KeyKind) -> &Keys {
        match kind {
            KeyKind::Record => &self.records,
            KeyKind::Intake => &self.intake,
        }
    }

    /// Every place of a key.
    pub(crate) fn find(&self, kind: KeyKind, key: &[u8; 16]) -> Vec<Place> {
        let place = |row: Row| {
            let log = self.logs.get(usize::from(row.log))?;
            Some(Place {
                origin: log.origin.clone(),
                index: row.index,
            })
        };
        self.keys(kind).find(key).into_iter().filter_map(place).collect()
    }

    /// Its rows, sorted and without doubles.
    pub(crate) fn sorted(&self, kind: KeyKind) -> Vec<Row> {
        self.keys(kind).sorted()
    }

    /// Its summary, now that the segment is sealed.
    pub(crate) fn summary(&self, segment: u32, chain: u32, bytes: u64) -> Summary {
        Summary {
            segment,
            chain,
            bytes,
            keys_end: self.keys_end,
            logs: self.logs.iter().map(LogTable::summary).collect(),
            lists: self
                .lists
                .iter()
                .map(|(list, notes)| (list.clone(), notes.len() as u64))
                .collect(),
        }
    }
}
