//! The catalog: of every log and every list of notes, which segment has which part of it; and the state. It is all that is
//! in memory of a journal whatever its length: a span for each log in each segment. Where in a segment a chunk or a note is,
//! [`Segments`](super::segments::Segments) know.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use bytes::Bytes;
use icomm_proto::Origin;

use super::{
    part::{ChunkMeta, Meta, Part},
    summary::Summary,
    watermark::Watermark,
};
use crate::store::{Boundary, NoteLog, StoreError, Widths};

/// Which segment has what.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Catalog {
    pub(crate) logs: BTreeMap<Origin, LogIndex>,
    pub(crate) notes: BTreeMap<NoteLog, Vec<Span>>,
    pub(crate) state: BTreeMap<String, Bytes>,
    /// The number after the last key that a view has.
    pub(crate) keys_end: u64,
    /// Up to where the journal says all this.
    pub(crate) end: Watermark,
}

/// Which segments have the entries of one log.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LogIndex {
    // INVARIANT: contiguous from 0.
    pub(crate) chunks: Vec<Span>,
    /// Wider views of these, and what remains of some: from the first entry to the last that those of a segment touch.
    pub(crate) overlays: Vec<Span>,
    pub(crate) widths: Widths,
    pub(crate) head: Option<Boundary>,
}

/// Consecutive entries of a log, or notes of a list, that a segment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) segment: u32,
    pub(crate) from: u64,
    pub(crate) end: u64,
}

impl Span {
    /// Whether it touches a range.
    fn touches(&self, range: &Range<u64>) -> bool {
        self.from < range.end && self.end > range.start
    }
}

/// A segment's summary does not fit to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfit;

impl LogIndex {
    pub(crate) fn size(&self) -> u64 {
        len(&self.chunks)
    }

    /// The spans that touch a range of entries.
    pub(crate) fn chunks_in(&self, range: Range<u64>) -> &[Span] {
        within(&self.chunks, range)
    }

    /// The segments that have overlays for a range of entries.
    pub(crate) fn overlays_in(&self, range: Range<u64>) -> impl Iterator<Item = &Span> {
        self.overlays.iter().filter(move |span| span.touches(&range))
    }
}

/// The number after the last.
pub(crate) fn len(spans: &[Span]) -> u64 {
    spans.last().map_or(0, |span| span.end)
}

/// Those of contiguous spans that touch a range.
pub(crate) fn within(spans: &[Span], range: Range<u64>) -> &[Span] {
    let first = spans.partition_point(|span| span.end <= range.start);
    let after = spans.partition_point(|span| span.from < range.end);
    spans.get(first..after).unwrap_or_default()
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
        let fits = match chunk.placed.end() {
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
        if chunk.placed.end().is_some() {
            sizes.insert(chunk.origin.clone(), chunk.end_index());
        }
        Ok(())
    }

    /// Takes a part in that was admitted when it was written.
    pub(crate) fn apply(&mut self, part: &Part) {
        let segment = part.at.segment;
        match &part.meta {
            Meta::Chunk(meta) => self.apply_chunk(meta, segment),
            Meta::State { key, present: true } => {
                self.state.insert(key.clone(), part.body.clone().unwrap_or_default());
            }
            Meta::State { key, present: false } => {
                self.state.remove(key);
            }
            Meta::Note(log) => {
                let spans = self.notes.entry(log.clone()).or_default();
                let number = len(spans);
                grow(spans, segment, number..number + 1);
            }
        }
    }

    fn apply_chunk(&mut self, meta: &ChunkMeta, segment: u32) {
        // Looked up first: cloning a name for every chunk would be for nothing.
        if !self.logs.contains_key(&meta.origin) {
            self.logs.insert(meta.origin.clone(), LogIndex::default());
        }
        let Some(log) = self.logs.get_mut(&meta.origin) else {
            return;
        };
        log.widths += meta.widths;
        self.keys_end = self.keys_end.max(meta.keys.end);
        let range = meta.from..meta.end_index();
        match meta.placed.end() {
            Some(end) => {
                grow(&mut log.chunks, segment, range);
                log.head = Some(end.clone());
            }
            None => grow(&mut log.overlays, segment, range),
        }
    }

    /// Takes a sealed segment in, after those before it.
    pub(crate) fn take_in(&mut self, summary: &Summary) -> Result<(), Unfit> {
        let segment = summary.segment;
        self.keys_end = self.keys_end.max(summary.keys_end);
        for part in &summary.logs {
            let log = self.logs.entry(part.origin.clone()).or_default();
            if part.chunks.start < part.chunks.end {
                if part.chunks.start != log.size() {
                    return Err(Unfit);
                }
                grow(&mut log.chunks, segment, part.chunks.clone());
            }
            if part.overlays.start < part.overlays.end {
                grow(&mut log.overlays, segment, part.overlays.clone());
            }
            log.widths += part.widths;
        }
        for (list, notes) in &summary.lists {
            let spans = self.notes.entry(list.clone()).or_default();
            let first = len(spans);
            grow(spans, segment, first..first + notes);
        }
        Ok(())
    }
}

/// Widens the last span, or begins one if that is of another segment.
fn grow(spans: &mut Vec<Span>, segment: u32, range: Range<u64>) {
    match spans.last_mut().filter(|last| last.segment == segment) {
        Some(last) => {
            last.from = last.from.min(range.start);
            last.end = last.end.max(range.end);
        }
        None => spans.push(Span {
            segment,
            from: range.start,
            end: range.end,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Span, grow, len, within};

    #[test]
    fn spans_grow_by_segment_and_are_found_by_range() {
        let mut spans = Vec::new();
        for (segment, range) in [(1, 0..3), (1, 3..4), (2, 4..10), (4, 10..11)] {
            grow(&mut spans, segment, range);
        }
        let segments = |range| {
            within(&spans, range)
                .iter()
                .map(|span: &Span| span.segment)
                .collect::<Vec<_>>()
        };
        assert_eq!((spans.len(), len(&spans)), (3, 11));
        assert_eq!(segments(0..1), [1]);
        assert_eq!(segments(3..5), [1, 2]);
        assert_eq!(segments(4..10), [2]);
        assert_eq!(segments(9..100), [2, 4]);
        assert_eq!(segments(11..12), [0; 0]);
    }
}
