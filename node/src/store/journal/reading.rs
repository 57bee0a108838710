//! Reading entries: which chunks have them, which overlays widen them, and what remains of those that were erased.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use icomm_proto::{
    Origin, RecordId,
    log::{ChunkBody, Hash, Item},
};

use super::{
    Shared,
    catalog::Span,
    erasing::{is_untouched, later},
    part::Meta,
    reader::{self, DecodedChunk},
    recovery,
    segments::{Segments, Unreadable},
    table::{ChunkAt, KeyKind},
};
use crate::store::{
    Boundary, Damage, Place, ReadLimit, StoreError, Stretch,
    merge::{bodies, item_leaf},
};

/// How often entries are read again because some of them are being erased.
const REREADS_MAX: usize = 16;

/// Entries as they are held, and where the chunk that holds them ends.
type Merged = (Vec<ChunkBody>, Option<Boundary>);

impl Shared {
    pub(super) fn boundary(&self, origin: &Origin, size: u64) -> Result<Option<Boundary>, StoreError> {
        let mut size = size;
        loop {
            let last = size.saturating_sub(1);
            let spans = {
                let catalog = self.catalog();
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
            return match self.noting(self.reader.meta(&chunk.at))? {
                Meta::Chunk(meta) => Ok(meta.placed.into_end()),
                Meta::State { .. } | Meta::Note(_) => Ok(None),
            };
        }
    }

    pub(super) fn read(&self, origin: &Origin, from: u64, limit: ReadLimit) -> Result<Option<Stretch>, StoreError> {
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

    pub(super) fn entry(&self, origin: &Origin, index: u64) -> Result<Option<Item>, StoreError> {
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

    pub(super) fn leaf_hashes(
        &self,
        origin: &Origin,
        range: Range<u64>,
        each: &mut dyn FnMut(Hash),
    ) -> Result<(), StoreError> {
        let size = self.catalog().size(origin);
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
                // The base alone, erased or not: it has every entry's hash.
                let body = part_of(&self.chunk(origin, &chunk)?.body, &chunk, &common);
                body.iter()
                    .flat_map(ChunkBody::item_refs)
                    .filter_map(item_leaf)
                    .for_each(&mut *each);
            }
        }
        Ok(())
    }

    pub(super) fn find(&self, id: &RecordId) -> Result<Vec<Place>, StoreError> {
        // A chunk whose records are not known may hold more about this one than is found elsewhere.
        if let Some(damage) = self.segments.unread() {
            return Err(damage.into());
        }
        let places = self.ask(|segments| segments.find(KeyKind::Record, id.as_bytes()))?;
        places
            .into_iter()
            .filter_map(|place| match self.is_disclosed(&place) {
                Ok(true) => Some(Ok(place)),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            })
            .collect()
    }

    /// Whether more than the hash of an entry is there, of which there was more once. Reads only what may have been erased.
    fn is_disclosed(&self, place: &Place) -> Result<bool, StoreError> {
        let range = place.index..place.index.saturating_add(1);
        let Some((_, spans)) = self.spans(&place.origin, &range) else {
            return Ok(false);
        };
        if self.overlays_in(&place.origin, &spans, &range)?.is_empty() {
            return Ok(true);
        }
        let entry = self.entry(&place.origin, place.index)?;
        Ok(matches!(entry, Some(Item::Disclosed(_))))
    }

    /// The chunk at a position; damage is remembered.
    pub(super) fn chunk(&self, origin: &Origin, chunk: &ChunkAt) -> Result<Arc<DecodedChunk>, StoreError> {
        self.noting(self.reader.chunk(origin, chunk))
    }

    /// The entries `range` of a chunk that holds them, with what overlays add or leave, and where the chunk ends. Without
    /// overlays nothing is copied.
    pub(super) fn merged(
        &self,
        origin: &Origin,
        chunk: &ChunkAt,
        range: Range<u64>,
        overlays: &[ChunkAt],
    ) -> Result<Merged, StoreError> {
        let mut later = None;
        for _ in 0..REREADS_MAX {
            let overlays = later.as_deref().unwrap_or(overlays);
            if let Some(merged) = self.merge(origin, chunk, &range, overlays)? {
                return Ok(merged);
            }
            // Erased since the overlays were looked up. What remains was there before the key was destroyed.
            let (_, spans) = self.spans(origin, &range).unwrap_or_default();
            later = Some(self.overlays_in(origin, &spans, &range)?);
        }
        self.noting(Err(reader::damage(&chunk.at, "the key of a view, which nobody erased")))
    }

    /// The same; None if a key is destroyed and none of the overlays has what remains of its entry.
    fn merge(
        &self,
        origin: &Origin,
        chunk: &ChunkAt,
        range: &Range<u64>,
        overlays: &[ChunkAt],
    ) -> Result<Option<Merged>, StoreError> {
        let decoded = self.chunk(origin, chunk)?;
        let end = decoded.end.clone();
        let Some(body) = part_of(&decoded.body, chunk, range) else {
            return Ok(Some((Vec::new(), end)));
        };
        let mut unread: BTreeSet<u64> = decoded.gone_in(chunk, range).collect();
        let mut overlays = overlays
            .iter()
            .filter(|overlay| overlay.from < range.end && overlay.end() > range.start)
            .peekable();
        if overlays.peek().is_none() {
            return Ok(unread.is_empty().then_some((vec![body], end)));
        }
        let mut items: Vec<Item> = body.items().collect();
        for overlay in overlays {
            let decoded = self.chunk(origin, overlay)?;
            let common = range.start.max(overlay.from)..range.end.min(overlay.end());
            let skipped = usize::try_from(common.start - range.start).unwrap_or(usize::MAX);
            let overlay_body = part_of(&decoded.body, overlay, &common);
            let overlaid = overlay_body.iter().flat_map(ChunkBody::items);
            for ((index, item), over) in (common.start..).zip(items.iter_mut().skip(skipped)).zip(overlaid) {
                if decoded.replaces && !is_untouched(&over) {
                    unread.remove(&index);
                }
                *item = later(item, &over, decoded.replaces);
            }
            unread.extend(decoded.gone_in(overlay, &common));
        }
        if !unread.is_empty() {
            return Ok(None);
        }
        let bodies = bodies(&items).map_err(|_| reader::damage(&chunk.at, "a view is longer than a view can be"))?;
        Ok(Some((bodies, end)))
    }

    /// The numbers of the keys of all views of an entry.
    pub(super) fn keys_of(&self, origin: &Origin, index: u64) -> Result<Vec<u64>, StoreError> {
        let range = index..index.saturating_add(1);
        let (spans, overlaid) = self.spans(origin, &range).unwrap_or_default();
        let mut chunks = self.chunks_in(origin, &spans, &range)?;
        chunks.extend(self.overlays_in(origin, &overlaid, &range)?);
        let mut keys = Vec::new();
        for chunk in chunks {
            let offset = u32::try_from(index - chunk.from).unwrap_or(u32::MAX);
            keys.extend(self.chunk(origin, &chunk)?.key_of(offset));
        }
        Ok(keys)
    }

    /// Asks the segments; a run that can't be read is made anew.
    pub(super) fn ask<T>(&self, question: impl Fn(&Segments) -> Result<T, Unreadable>) -> Result<T, StoreError> {
        let Unreadable(segment) = match question(&self.segments) {
            Ok(answer) => return Ok(answer),
            Err(unreadable) => unreadable,
        };
        self.remake_run(segment)?;
        // Once more: another damaged run is the next caller's to mend.
        question(&self.segments).map_err(|Unreadable(segment)| {
            Damage {
                segment,
                offset: 0,
                what: "the run of the segment",
            }
            .into()
        })
    }

    /// The chunks that hold entries of a range, in order; `spans` are those of the log that touch it.
    pub(super) fn chunks_in(
        &self,
        origin: &Origin,
        spans: &[Span],
        range: &Range<u64>,
    ) -> Result<Vec<ChunkAt>, StoreError> {
        let mut chunks = Vec::new();
        for span in spans {
            chunks.extend(self.ask(|segments| segments.chunks(span.segment, origin, range))?);
        }
        Ok(chunks)
    }

    /// The overlays that touch a range, in the order in which they were appended; `spans` are those of the log's overlays that do.
    pub(super) fn overlays_in(
        &self,
        origin: &Origin,
        spans: &[Span],
        range: &Range<u64>,
    ) -> Result<Vec<ChunkAt>, StoreError> {
        let mut overlays = Vec::new();
        for span in spans {
            overlays.extend(self.ask(|segments| segments.overlays(span.segment, origin, range))?);
        }
        // As they were appended: what remains takes the place of all before it, and of nothing after.
        overlays.sort_unstable_by_key(|overlay| overlay.at);
        Ok(overlays)
    }

    /// The spans of a log's chunks and overlays that touch a range; None if there is no such log.
    pub(super) fn spans(&self, origin: &Origin, range: &Range<u64>) -> Option<(Vec<Span>, Vec<Span>)> {
        let catalog = self.catalog();
        let log = catalog.logs.get(origin)?;
        let overlays = log.overlays_in(range.clone()).copied().collect();
        Some((log.chunks_in(range.clone()).to_vec(), overlays))
    }

    /// Remembers damage that was come upon.
    pub(super) fn noting<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
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
