//! Joining views of one entry: all sections that either of them discloses.

use bytes::Bytes;
use icomm_proto::{
    SectionSet,
    log::{ChunkBody, ChunkBuilder, Hash, InvalidChunkBody, Item, ItemRef, VIEW_BYTES_MAX, leaf_hash},
    view::View,
};

/// The entry as `base` and `overlay` together show it. Both must be of the same entry, as their leaf hashes tell.
pub(crate) fn merge(base: &Item, overlay: &Item) -> Item {
    match (base, overlay) {
        (Item::Withheld(_), other) | (other, Item::Withheld(_)) => other.clone(),
        (Item::Disclosed(base), Item::Disclosed(overlay)) => Item::Disclosed(merge_views(base, overlay)),
    }
}

/// Bodies of these items, one after the other: one, or as many as it takes.
pub(crate) fn bodies(items: &[Item]) -> Result<Vec<ChunkBody>, InvalidChunkBody> {
    let mut bodies = Vec::new();
    let mut body = ChunkBuilder::with_capacity(items.iter().map(stored_len).sum());
    for item in items {
        if !body.has_room(stored_len(item)) {
            bodies.push(std::mem::take(&mut body).finish()?);
        }
        match item {
            Item::Withheld(leaf) => body.withhold(leaf),
            Item::Disclosed(view) => body.disclose(view),
        };
    }
    if !body.is_empty() {
        bodies.push(body.finish()?);
    }
    Ok(bodies)
}

fn merge_views(base: &Bytes, overlay: &Bytes) -> Bytes {
    let (Ok(one), Ok(other)) = (View::parse(base.clone()), View::parse(overlay.clone())) else {
        return base.clone();
    };
    if other.sections().is_subset(one.sections()) {
        return base.clone();
    }
    if one.sections().is_subset(other.sections()) {
        return overlay.clone();
    }
    let union = one.sections().union(other.sections());
    let mut merged = Vec::with_capacity(base.len() + overlay.len());
    one.write_redacted(SectionSet::EMPTY, &mut merged);
    let head = merged.len();
    if let Some(count) = merged.last_mut() {
        *count = u8::try_from(union.len()).unwrap_or(u8::MAX);
    }
    let mut alone = Vec::new();
    for kind in union.iter() {
        let holder = if one.sections().contains(kind) { &one } else { &other };
        alone.clear();
        holder.write_redacted(kind.into(), &mut alone);
        merged.extend_from_slice(alone.get(head..).unwrap_or_default());
    }
    // An originator may commit to more than fits into one view.
    match merged.len() <= VIEW_BYTES_MAX {
        true => merged.into(),
        false => base.clone(),
    }
}

/// The leaf hash of an entry in any form.
pub(crate) fn item_leaf(item: ItemRef<'_>) -> Option<Hash> {
    match item {
        ItemRef::Withheld(leaf) => Some(leaf),
        ItemRef::Disclosed(view) => {
            let (len, rest) = view.split_first_chunk::<2>()?;
            rest.get(..usize::from(u16::from_be_bytes(*len))).map(leaf_hash)
        }
    }
}

/// The bytes that an entry takes in a chunk.
pub(crate) fn stored_len(item: &Item) -> usize {
    match item {
        Item::Withheld(_) => 1 + Hash::LEN,
        Item::Disclosed(view) => 5 + view.len(),
    }
}
