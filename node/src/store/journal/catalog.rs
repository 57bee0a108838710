//! The catalog: where everything in the journal is, in memory. It answers every question but the contents of chunks and
//! notes, and is made anew from the journal, or from the index that a clean close left behind.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use bytes::Bytes;
use icomm_proto::{Origin, log::CHUNK_ENTRIES_MAX};

use super::part::{ChunkMeta, Meta, Part, Position};
use crate::store::{Boundary, NoteLog, StoreError};

/// Where everything is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Catalog {
    pub(crate) logs: BTreeMap<Origin, LogIndex>,
    pub(crate) state: BTreeMap<String, Bytes>,
    pub(crate) notes: BTreeMap<NoteLog, Vec<Position>>,
}

/// Where the entries of one log are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LogIndex {
    // INVARIANT: contiguous from 0.
    pub(crate) chunks: Vec<ChunkAt>,
    /// By first index and number.
    pub(crate) overlays: BTreeMap<(u64, u32), ChunkAt>,
    pub(crate) head: Option<Boundary>,
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

impl LogIndex {
    pub(crate) fn size(&self) -> u64 {
        self.chunks.last().map_or(0, ChunkAt::end)
    }

    /// The chunks from the one that holds `index` on.
    pub(crate) fn chunks_from(&self, index: u64) -> &[ChunkAt] {
        let first = self.chunks.partition_point(|chunk| chunk.end() <= index);
        self.chunks.get(first..).unwrap_or_default()
    }

    /// The overlays that touch a range.
    pub(crate) fn overlays_of(&self, range: Range<u64>) -> impl Iterator<Item = &ChunkAt> {
        let first = range.start.saturating_sub(u64::from(CHUNK_ENTRIES_MAX));
        let candidates = self.overlays.range((first, 0)..(range.end, 0)).map(|(_, chunk)| chunk);
        candidates.filter(move |chunk| chunk.end() > range.start)
    }
}

/// What the index is to keep of a part that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Chunk(Origin, ChunkAt),
    Overlay(Origin, u32, ChunkAt),
    State(String, Option<Bytes>),
    Note(NoteLog, u64, Position),
}

impl Catalog {
    pub(crate) fn size(&self, origin: &Origin) -> u64 {
        self.logs.get(origin).map_or(0, LogIndex::size)
    }

    /// Whether a chunk fits to what is held, taking into account the sizes that earlier chunks will lead to.
    pub(crate) fn admit(&self, chunk: &ChunkMeta, sizes: &mut HashMap<Origin, u64>) -> Result<(), StoreError> {
        let size = sizes
            .get(&chunk.origin)
            .copied()
            .unwrap_or_else(|| self.size(&chunk.origin));
        let fits = match chunk.end {
            Some(_) => chunk.from == size,
            None => chunk.end_index() <= size,
        };
        if !fits {
            let (origin, from, end) = (chunk.origin.clone(), chunk.from, chunk.end_index());
            return Err(StoreError::OutOfPlace {
                origin,
                size,
                from,
                end,
            });
        }
        if chunk.end.is_some() {
            sizes.insert(chunk.origin.clone(), chunk.end_index());
        }
        Ok(())
    }

    /// Takes a part in that was admitted when it was written.
    pub(crate) fn apply(&mut self, part: &Part) -> Change {
        match &part.meta {
            Meta::Chunk(meta) => self.apply_chunk(meta, part.at),
            Meta::State { key, present: true } => {
                let value = part.body.clone().unwrap_or_default();
                self.state.insert(key.clone(), value.clone());
                Change::State(key.clone(), Some(value))
            }
            Meta::State { key, present: false } => {
                self.state.remove(key);
                Change::State(key.clone(), None)
            }
            Meta::Note(log) => {
                let notes = self.notes.entry(log.clone()).or_default();
                notes.push(part.at);
                Change::Note(log.clone(), notes.len() as u64 - 1, part.at)
            }
        }
    }

    fn apply_chunk(&mut self, meta: &ChunkMeta, at: Position) -> Change {
        let chunk = ChunkAt {
            from: meta.from,
            count: meta.count,
            at,
        };
        if !self.logs.contains_key(&meta.origin) {
            self.logs.insert(meta.origin.clone(), LogIndex::default());
        }
        let log = self.logs.entry(meta.origin.clone()).or_default();
        match &meta.end {
            Some(end) => {
                log.chunks.push(chunk);
                log.head = Some(end.clone());
                Change::Chunk(meta.origin.clone(), chunk)
            }
            None => {
                let number = u32::try_from(log.overlays.len()).unwrap_or(u32::MAX);
                log.overlays.insert((meta.from, number), chunk);
                Change::Overlay(meta.origin.clone(), number, chunk)
            }
        }
    }

    /// Everything in it, as the changes that lead to it.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> {
        let logs = self.logs.iter().flat_map(|(origin, log)| {
            let chunks = log.chunks.iter().map(|chunk| Change::Chunk(origin.clone(), *chunk));
            let overlays = log.overlays.iter();
            chunks.chain(overlays.map(|((_, number), chunk)| Change::Overlay(origin.clone(), *number, *chunk)))
        });
        let state = self
            .state
            .iter()
            .map(|(key, value)| Change::State(key.clone(), Some(value.clone())));
        let notes = self.notes.iter().flat_map(|(log, notes)| {
            notes
                .iter()
                .zip(0..)
                .map(|(at, number)| Change::Note(log.clone(), number, *at))
        });
        logs.chain(state).chain(notes)
    }

    /// Takes in a change that an index kept. Changes of one log or list come in order.
    pub(crate) fn restore(&mut self, change: Change) {
        match change {
            Change::Chunk(origin, chunk) => self.logs.entry(origin).or_default().chunks.push(chunk),
            Change::Overlay(origin, number, chunk) => {
                self.logs
                    .entry(origin)
                    .or_default()
                    .overlays
                    .insert((chunk.from, number), chunk);
            }
            Change::State(key, Some(value)) => {
                self.state.insert(key, value);
            }
            Change::State(key, None) => {
                self.state.remove(&key);
            }
            Change::Note(log, _, at) => self.notes.entry(log).or_default().push(at),
        }
    }
}
