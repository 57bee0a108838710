//! Erasing: what remains of an entry takes the place of all that was held of it.
//!
//! The keys of all views that were held of it are destroyed as soon as that is durable, so that nothing brings them back.
//!
//! What remains depends on what is held when the erasure's turn comes, so the writing thread finds it out. Entries that are
//! erased together and lie near one another share a part of the journal, with views of no bytes for those in between.

use icomm_proto::{
    Origin, View,
    log::{CHUNK_ENTRIES_MAX, ChunkBody, ChunkBuilder, Item},
};

use super::{
    Shared,
    part::{ChunkMeta, Content, Meta, Part, Placed},
    secrecy::{has_key, keys_needed},
};
use crate::store::{
    BATCH_BYTES_MAX, Batch, BatchItem, InvalidBatch, Remains, StoreError, Widths,
    merge::{item_leaf, merge, stored_len},
    photos::Album,
};

/// Entries that stay as they are between two erased ones of a part: each takes less than a part's head.
const BETWEEN_MAX: u64 = 32;

/// An entry after a later part of the journal: with what an overlay adds, or what remains of it.
pub(super) fn later(held: &Item, later: &Item, replaces: bool) -> Item {
    match later {
        untouched if replaces && is_untouched(untouched) => held.clone(),
        remains if replaces => remains.clone(),
        wider => merge(held, wider),
    }
}

/// Whether an item of what remains leaves its entry as it is.
pub(super) fn is_untouched(item: &Item) -> bool {
    matches!(item, Item::Disclosed(view) if view.is_empty())
}

/// What remains of an entry.
pub(crate) fn remainder(held: &Item, remains: Remains) -> Item {
    match (held, remains) {
        (Item::Withheld(_), _) => held.clone(),
        (Item::Disclosed(_), Remains::Hash) => {
            item_leaf(held.as_item_ref()).map_or_else(|| held.clone(), Item::Withheld)
        }
        (Item::Disclosed(bytes), Remains::Sections(sections)) => match View::parse(bytes.clone()) {
            Ok(view) => Item::Disclosed(view.redact(sections).bytes().clone()),
            // What can't be understood can't be kept in part.
            Err(_) => remainder(held, Remains::Hash),
        },
    }
}

/// The contents of a batch that erases something, now that all before it can be read; and the albums whose section goes.
pub(super) fn contents(shared: &Shared, batch: Batch) -> Result<(Vec<Content>, Vec<Album>), StoreError> {
    let mut erasing = Erasing {
        shared,
        contents: Vec::with_capacity(batch.items().len()),
        open: None,
        albums: Vec::new(),
    };
    for item in batch.into_items() {
        match item {
            BatchItem::Erase { origin, index, remains } => erasing.erase(origin, index, remains)?,
            item => {
                erasing.flush()?;
                erasing.contents.extend(Content::of(item, &shared.keys)?);
            }
        }
    }
    erasing.flush()?;
    let bytes = erasing.contents.iter().map(|content| content.body.len()).sum();
    if bytes > BATCH_BYTES_MAX {
        return Err(InvalidBatch::Bytes(bytes).into());
    }
    Ok((erasing.contents, erasing.albums))
}

/// The keys that parts say are destroyed.
pub(super) fn destroyed<'a>(parts: impl Iterator<Item = &'a Part>) -> Vec<u64> {
    let of_part = |part: &'a Part| match &part.meta {
        Meta::Chunk(ChunkMeta {
            placed: Placed::Replaces { destroyed },
            ..
        }) => destroyed.as_slice(),
        _ => &[],
    };
    parts.flat_map(of_part).copied().collect()
}

struct Erasing<'a> {
    shared: &'a Shared,
    contents: Vec<Content>,
    open: Option<Open>,
    albums: Vec<Album>,
}

/// A part that may still grow.
struct Open {
    origin: Origin,
    from: u64,
    body: ChunkBuilder,
    widths: Widths,
    destroyed: Vec<u64>,
}

impl Erasing<'_> {
    fn erase(&mut self, origin: Origin, index: u64, remains: Remains) -> Result<(), StoreError> {
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.origin != origin || index < open.end())
        {
            self.flush()?;
        }
        let (held, keys) = self.held(&origin, index)?;
        let remains = remainder(&held, remains);
        if remains == held {
            return Ok(());
        }
        self.albums.extend(Album::lost(&origin, &held, &remains));
        if self.open.as_ref().is_some_and(|open| !open.has_room(index, &remains)) {
            self.flush()?;
        }
        let open = self.open.get_or_insert_with(|| Open {
            origin,
            from: index,
            body: ChunkBuilder::default(),
            widths: Widths::default(),
            destroyed: Vec::new(),
        });
        open.add(index, &held, &remains);
        open.destroyed.extend(keys);
        Ok(())
    }

    /// The entry as it is after what the batch has before, and the numbers of the keys of all views of it.
    fn held(&self, origin: &Origin, index: u64) -> Result<(Item, Vec<u64>), StoreError> {
        let mut held = self.shared.entry(origin, index)?;
        let mut keys = self.shared.keys_of(origin, index)?;
        for Content { meta, body, .. } in &self.contents {
            let Meta::Chunk(meta) = meta else { continue };
            if meta.origin != *origin || !(meta.from..meta.end_index()).contains(&index) {
                continue;
            }
            let Ok(body) = ChunkBody::parse(body.clone(), meta.count) else {
                continue;
            };
            let offset = usize::try_from(index - meta.from).unwrap_or(usize::MAX);
            let Some(item) = body.items().nth(offset) else { continue };
            if has_key(item.as_item_ref()) {
                let before = body.item_refs().take(offset).filter(|item| has_key(*item)).count();
                keys.push(meta.keys.start + before as u64);
            }
            held = Some(match held {
                Some(held) => later(&held, &item, matches!(meta.placed, Placed::Replaces { .. })),
                None => item,
            });
        }
        match held {
            Some(held) => Ok((held, keys)),
            None => Err(StoreError::OutOfPlace {
                origin: origin.clone(),
                size: self.shared.catalog().size(origin),
                from: index,
                end: index.saturating_add(1),
            }),
        }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let body = open.body.finish().map_err(InvalidBatch::Remains)?;
        let keys = self.shared.keys.take(keys_needed(&body))?;
        let meta = ChunkMeta {
            keys: keys.numbers(),
            origin: open.origin,
            from: open.from,
            count: body.count(),
            widths: open.widths,
            placed: Placed::Replaces {
                destroyed: open.destroyed,
            },
            intake_keys: Vec::new(),
        };
        self.contents.push(Content {
            meta: Meta::Chunk(meta),
            body: body.bytes().clone(),
            keys,
        });
        Ok(())
    }
}

impl Open {
    fn end(&self) -> u64 {
        self.from + u64::from(self.body.count())
    }

    fn has_room(&self, index: u64, remains: &Item) -> bool {
        let between = index.saturating_sub(self.end());
        let count = u64::from(self.body.count()) + between + 1;
        // A view of no bytes takes five.
        let bytes = stored_len(remains) + 5 * BETWEEN_MAX as usize;
        between <= BETWEEN_MAX && count <= u64::from(CHUNK_ENTRIES_MAX) && self.body.has_room(bytes)
    }

    fn add(&mut self, index: u64, held: &Item, remains: &Item) {
        for _ in self.end()..index {
            self.body.disclose(&[]);
        }
        match remains {
            Item::Withheld(leaf) => self.body.withhold(leaf),
            Item::Disclosed(view) => self.body.disclose(view),
        };
        self.widths += Widths::of_item(held.as_item_ref()).becoming(Widths::of_item(remains.as_item_ref()));
    }
}
