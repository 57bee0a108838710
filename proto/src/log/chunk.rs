//! The body of a chunk: consecutive entries of a log, each as a view or as its bare leaf hash.
//!
//! ```text
//! body:  item | item | …                          as many as the chunk's count says, nothing after the last
//! item:  0x00 | leaf hash 32                      withheld
//!        0x01 | len u32 BE | view, len bytes      disclosed (whole or redacted; see `view`)
//! ```
//!
//! A body is read in place: items are slices of it that share its memory. It is stored as it is sent.

use bytes::Bytes;

use super::hash::Hash;

/// The most entries in one chunk, and so in one commit of an originator.
pub const CHUNK_ENTRIES_MAX: u32 = 4096;

/// The longest chunk body, in bytes.
pub const CHUNK_BYTES_MAX: usize = 8 << 20;

/// The longest view, in bytes.
pub const VIEW_BYTES_MAX: usize = 1 << 20;

const WITHHELD: u8 = 0x00;
const DISCLOSED: u8 = 0x01;

/// One entry of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Only the entry's leaf hash.
    Withheld(Hash),
    /// The bytes of a view of it, not yet parsed.
    Disclosed(Bytes),
}

impl Item {
    /// The item, borrowed.
    pub fn as_item_ref(&self) -> ItemRef<'_> {
        match self {
            Self::Withheld(leaf) => ItemRef::Withheld(*leaf),
            Self::Disclosed(view) => ItemRef::Disclosed(view),
        }
    }
}

/// A chunk's body whose framing is right: exactly `count` items. Nothing is known about the views in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkBody {
    bytes: Bytes,
    count: u32,
}

impl ChunkBody {
    /// Checks the framing of a body that is said to hold `count` items.
    pub fn parse(bytes: Bytes, count: u32) -> Result<Self, InvalidChunkBody> {
        check_limits(bytes.len(), count)?;
        let mut rest: &[u8] = &bytes;
        for item in 0..count {
            (_, rest) = split_item(rest, item)?;
        }
        if !rest.is_empty() {
            return Err(InvalidChunkBody::Trailing {
                count,
                bytes: rest.len(),
            });
        }
        Ok(Self { bytes, count })
    }

    /// The number of items; at least one.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The body as it is sent and stored.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The first `count` items and the rest, sharing the body's memory; a part without items is None.
    #[must_use]
    pub fn split(&self, count: u32) -> (Option<Self>, Option<Self>) {
        let mut items = self.item_refs();
        items.by_ref().take(count as usize).for_each(drop);
        let cut = self.bytes.len() - items.rest.len();
        let part = |bytes, count| (count > 0).then_some(Self { bytes, count });
        (
            part(self.bytes.slice(..cut), self.count - items.count),
            part(self.bytes.slice(cut..), items.count),
        )
    }

    /// The items in order, as slices that share the body's memory.
    pub fn items(&self) -> impl ExactSizeIterator<Item = Item> {
        self.item_refs().map(|item| match item {
            ItemRef::Withheld(leaf) => Item::Withheld(leaf),
            ItemRef::Disclosed(view) => Item::Disclosed(self.bytes.slice_ref(view)),
        })
    }

    /// The items in order, borrowed.
    pub fn item_refs(&self) -> ItemRefs<'_> {
        ItemRefs {
            rest: &self.bytes,
            count: self.count,
        }
    }
}

/// The items of a [`ChunkBody`], borrowed.
#[derive(Clone, Debug)]
pub struct ItemRefs<'a> {
    rest: &'a [u8],
    count: u32,
}

impl<'a> Iterator for ItemRefs<'a> {
    type Item = ItemRef<'a>;

    fn next(&mut self) -> Option<ItemRef<'a>> {
        // INVARIANT: `ChunkBody::parse` has walked the same bytes, so that splitting fails only where they end.
        let (item, rest) = split_item(self.rest, 0).ok()?;
        self.rest = rest;
        self.count = self.count.saturating_sub(1);
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count as usize, Some(self.count as usize))
    }
}

impl ExactSizeIterator for ItemRefs<'_> {}

/// One item as borrowed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemRef<'a> {
    /// Only the entry's leaf hash.
    Withheld(Hash),
    /// The bytes of a view of it.
    Disclosed(&'a [u8]),
}

fn check_limits(bytes: usize, count: u32) -> Result<(), InvalidChunkBody> {
    if bytes > CHUNK_BYTES_MAX {
        return Err(InvalidChunkBody::TooLong(bytes));
    }
    if count == 0 || count > CHUNK_ENTRIES_MAX {
        return Err(InvalidChunkBody::Count(count));
    }
    Ok(())
}

const fn check_view_len(item: u32, bytes: usize) -> Result<(), InvalidChunkBody> {
    if bytes > VIEW_BYTES_MAX {
        return Err(InvalidChunkBody::ViewTooLong { item, bytes });
    }
    Ok(())
}

/// Splits the item at the start of `bytes` off; `index` is for the error only.
fn split_item(bytes: &[u8], index: u32) -> Result<(ItemRef<'_>, &[u8]), InvalidChunkBody> {
    let truncated = InvalidChunkBody::Truncated { item: index };
    let (tag, rest) = bytes.split_first().ok_or(truncated.clone())?;
    match *tag {
        WITHHELD => {
            let (leaf, rest) = rest.split_first_chunk::<{ Hash::LEN }>().ok_or(truncated)?;
            Ok((ItemRef::Withheld(Hash::from(*leaf)), rest))
        }
        DISCLOSED => {
            let (len, rest) = rest.split_first_chunk::<4>().ok_or(truncated.clone())?;
            let len = u32::from_be_bytes(*len) as usize;
            check_view_len(index, len)?;
            let (view, rest) = rest.split_at_checked(len).ok_or(truncated)?;
            Ok((ItemRef::Disclosed(view), rest))
        }
        tag => Err(InvalidChunkBody::Tag { item: index, tag }),
    }
}

/// Builds a chunk's body item by item, in one growing buffer.
#[derive(Debug, Default)]
pub struct ChunkBuilder {
    // INVARIANT: exactly `count` items, so that nothing but the limits is left to be checked.
    bytes: Vec<u8>,
    count: u32,
    /// The longest view so far: which item, and its bytes.
    longest: (u32, usize),
}

impl ChunkBuilder {
    /// A builder whose buffer has room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// The number of items so far.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The length of the body so far, in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no item yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether an item of `view_bytes` more would still fit into one chunk.
    pub fn has_room(&self, view_bytes: usize) -> bool {
        self.count < CHUNK_ENTRIES_MAX && self.bytes.len() + 5 + view_bytes <= CHUNK_BYTES_MAX
    }

    /// Adds an entry as its leaf hash only.
    pub fn withhold(&mut self, leaf: &Hash) -> &mut Self {
        self.bytes.push(WITHHELD);
        self.bytes.extend_from_slice(leaf.as_bytes());
        self.count += 1;
        self
    }

    /// Adds an entry as a view.
    pub fn disclose(&mut self, view: &[u8]) -> &mut Self {
        self.disclose_with(|bytes| bytes.extend_from_slice(view))
    }

    /// Adds an entry as the view that `write` appends to the buffer: a redacted view without a copy of its own.
    pub fn disclose_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        self.bytes.extend_from_slice(&[DISCLOSED, 0, 0, 0, 0]);
        let start = self.bytes.len();
        write(&mut self.bytes);
        // A closure that shortens the buffer breaks it; what is left is then refused where it is read.
        let len = self.bytes.len().saturating_sub(start);
        if len > self.longest.1 {
            self.longest = (self.count, len);
        }
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(start - 4..start) {
            place.copy_from_slice(&len.to_be_bytes());
        }
        self.count += 1;
        self
    }

    /// The finished body, checked against the limits.
    pub fn finish(self) -> Result<ChunkBody, InvalidChunkBody> {
        let Self {
            bytes,
            count,
            longest: (item, longest),
        } = self;
        check_limits(bytes.len(), count)?;
        check_view_len(item, longest)?;
        let bytes = bytes.into();
        Ok(ChunkBody { bytes, count })
    }
}

/// Bytes that are not the body of a chunk: the sender's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChunkBody {
    /// Beyond [`CHUNK_BYTES_MAX`].
    #[error("a chunk of {0} bytes is longer than {CHUNK_BYTES_MAX}")]
    TooLong(usize),
    /// None, or more than [`CHUNK_ENTRIES_MAX`].
    #[error("a chunk of {0} entries is not of 1 to {CHUNK_ENTRIES_MAX}")]
    Count(u32),
    /// The bytes end within an item.
    #[error("the chunk ends within item {item}")]
    Truncated {
        /// Which item, from 0.
        item: u32,
    },
    /// An item of an unknown kind.
    #[error("item {item} of the chunk has the unknown tag {tag}")]
    Tag {
        /// Which item, from 0.
        item: u32,
        /// Its first byte.
        tag: u8,
    },
    /// Beyond [`VIEW_BYTES_MAX`].
    #[error("item {item} of the chunk is a view of {bytes} bytes, longer than {VIEW_BYTES_MAX}")]
    ViewTooLong {
        /// Which item, from 0.
        item: u32,
        /// The length that it declares.
        bytes: usize,
    },
    /// Bytes after the last item.
    #[error("{bytes} bytes follow the chunk's {count} items")]
    Trailing {
        /// How many items it should have.
        count: u32,
        /// How many bytes follow them.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn item() -> impl Strategy<Value = Item> {
        prop_oneof![
            any::<[u8; 32]>().prop_map(|leaf| Item::Withheld(leaf.into())),
            vec(any::<u8>(), 0..100).prop_map(|view| Item::Disclosed(view.into())),
        ]
    }

    fn build(items: &[Item]) -> ChunkBuilder {
        let mut builder = ChunkBuilder::with_capacity(64);
        for item in items {
            match item {
                Item::Withheld(leaf) => builder.withhold(leaf),
                Item::Disclosed(view) => builder.disclose(view),
            };
        }
        builder
    }

    proptest! {
        #[test]
        fn items_round_trip(items in vec(item(), 1..40)) {
            let body = build(&items).finish().unwrap();
            prop_assert_eq!(body.items().len(), items.len());
            prop_assert_eq!(&body.items().collect::<Vec<_>>(), &items);
            prop_assert_eq!(ChunkBody::parse(body.bytes().clone(), body.count()), Ok(body));
        }

        #[test]
        fn no_prefix_and_no_other_count_parses(items in vec(item(), 1..12)) {
            let body = build(&items).finish().unwrap();
            for end in 0..body.bytes().len() {
                prop_assert!(ChunkBody::parse(body.bytes().slice(..end), body.count()).is_err());
            }
            for count in (0..20).filter(|count| *count != body.count()) {
                prop_assert!(ChunkBody::parse(body.bytes().clone(), count).is_err());
            }
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in vec(0u8..3, 0..300), count in 0u32..20) {
            if let Ok(body) = ChunkBody::parse(bytes.into(), count) {
                prop_assert_eq!(build(&body.items().collect::<Vec<_>>()).finish(), Ok(body));
            }
        }
    }

    #[test]
    fn views_share_the_bodys_memory() {
        let body = build(&[Item::Disclosed(Bytes::from_static(b"view"))]).finish().unwrap();
        let Some(Item::Disclosed(view)) = body.items().next() else {
            panic!("withheld")
        };
        assert_eq!(view.as_ptr(), body.bytes()[5..].as_ptr());
    }

    #[test]
    fn limits_and_tags_are_named() {
        let parse = |bytes: &[u8], count| ChunkBody::parse(Bytes::copy_from_slice(bytes), count).unwrap_err();
        assert_eq!(parse(&[], 0), InvalidChunkBody::Count(0));
        assert_eq!(
            parse(&[], CHUNK_ENTRIES_MAX + 1),
            InvalidChunkBody::Count(CHUNK_ENTRIES_MAX + 1)
        );
        assert_eq!(parse(&[2], 1), InvalidChunkBody::Tag { item: 0, tag: 2 });
        assert_eq!(
            parse(&[1, 0, 0, 0, 0, 9], 1),
            InvalidChunkBody::Trailing { count: 1, bytes: 1 }
        );
        assert_eq!(parse(&[1, 0, 0, 0, 1], 1), InvalidChunkBody::Truncated { item: 0 });
        // A declared length is refused before anything is allocated for it.
        let long = InvalidChunkBody::ViewTooLong {
            item: 0,
            bytes: u32::MAX as usize,
        };
        assert_eq!(parse(&[1, 0xff, 0xff, 0xff, 0xff], 1), long);
        let long = ChunkBody::parse(vec![0; CHUNK_BYTES_MAX + 1].into(), 1).unwrap_err();
        assert_eq!(long, InvalidChunkBody::TooLong(CHUNK_BYTES_MAX + 1));
        assert_eq!(ChunkBuilder::default().finish(), Err(InvalidChunkBody::Count(0)));
    }

    #[test]
    fn room_is_known_before_an_item_is_added() {
        let mut builder = ChunkBuilder::default();
        assert!(builder.has_room(VIEW_BYTES_MAX));
        while builder.has_room(VIEW_BYTES_MAX) {
            builder.disclose(&vec![0; VIEW_BYTES_MAX]);
        }
        assert_eq!(builder.count(), 7);
        assert!(builder.finish().is_ok());
    }

    #[test]
    fn a_body_splits_anywhere_into_two_bodies() {
        let mut builder = ChunkBuilder::default();
        builder
            .withhold(&Hash::from([1; 32]))
            .disclose(b"a view")
            .withhold(&Hash::from([2; 32]));
        let body = builder.finish().unwrap();
        let all: Vec<Item> = body.items().collect();
        for count in 0..=4 {
            let (first, rest) = body.split(count);
            let parts: Vec<Item> = first.iter().chain(&rest).flat_map(ChunkBody::items).collect();
            assert_eq!(parts, all);
            assert_eq!(first.as_ref().map_or(0, ChunkBody::count), count.min(3));
            for part in first.iter().chain(&rest) {
                assert_eq!(ChunkBody::parse(part.bytes().clone(), part.count()).as_ref(), Ok(part));
            }
        }
    }
}
