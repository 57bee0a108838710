//! Where the parts of a view lie in its bytes, found once and kept beside them: offsets only, nothing is copied.

use std::ops::Range;

use crate::entry::{Entry, EntryHead, SALT_BYTES};
use crate::log::VIEW_BYTES_MAX;
use crate::section::{SectionKind, SectionSet};

use super::InvalidView;

/// Bytes before the entry: its length.
const ENTRY_LEN_BYTES: usize = 2;
/// Bytes between the entry and the sections: their count.
const COUNT_BYTES: usize = 1;
/// Bytes of a section before its content: number, salt, length.
const SECTION_HEAD_BYTES: usize = 1 + SALT_BYTES + 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(super) head: EntryHead,
    pub(super) committed: SectionSet,
    pub(super) disclosed: SectionSet,
    entry_end: u32,
    /// By section number less one; meaningful for those in `disclosed`.
    places: [Place; SectionKind::COUNT],
}

/// Where one section lies: `start` is that of its number, `len` that of its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    start: u32,
    len: u32,
}

impl Place {
    /// Number, salt, length and content.
    pub(super) const fn whole(self) -> Range<usize> {
        self.start as usize..self.content().end
    }

    pub(super) const fn salt(self) -> Range<usize> {
        let start = self.start as usize + 1;
        start..start + SALT_BYTES
    }

    pub(super) const fn content(self) -> Range<usize> {
        let start = self.start as usize + SECTION_HEAD_BYTES;
        start..start + self.len as usize
    }
}

impl Layout {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, InvalidView> {
        if bytes.len() > VIEW_BYTES_MAX {
            return Err(InvalidView::Oversized(bytes.len()));
        }
        let truncated = || InvalidView::Truncated(bytes.len());
        let (entry_len, rest) = bytes.split_first_chunk::<ENTRY_LEN_BYTES>().ok_or_else(truncated)?;
        let entry_len = u16::from_be_bytes(*entry_len);
        let (entry, rest) = rest.split_at_checked(entry_len.into()).ok_or_else(truncated)?;
        let entry = Entry::parse(entry)?;
        let (&count, mut rest) = rest.split_first().ok_or_else(truncated)?;
        let committed = entry.sections();
        if usize::from(count) > committed.len() {
            return Err(InvalidView::Count {
                disclosed: count,
                committed: committed.len(),
            });
        }
        let entry_end = u32::from(entry_len) + ENTRY_LEN_BYTES as u32;
        let mut layout = Self {
            head: entry.head(),
            committed,
            disclosed: SectionSet::EMPTY,
            entry_end,
            places: [Place::default(); SectionKind::COUNT],
        };
        let mut start = entry_end + COUNT_BYTES as u32;
        let mut last = 0;
        for _ in 0..count {
            let (head, after) = rest.split_first_chunk::<SECTION_HEAD_BYTES>().ok_or_else(truncated)?;
            let &[number, .., a, b, c, d] = head;
            let kind = SectionKind::try_from(number).map_err(|_| InvalidView::Section(number))?;
            if number <= last {
                return Err(InvalidView::Order(kind));
            }
            if !committed.contains(kind) {
                return Err(InvalidView::Uncommitted(kind));
            }
            last = number;
            let len = u32::from_be_bytes([a, b, c, d]);
            let (_, after) = after.split_at_checked(len as usize).ok_or_else(truncated)?;
            layout.place(kind, Place { start, len });
            // No overflow: the content lies inside the bytes, whose number is far below 2³².
            start += SECTION_HEAD_BYTES as u32 + len;
            rest = after;
        }
        if rest.is_empty() {
            Ok(layout)
        } else {
            Err(InvalidView::Trailing(rest.len()))
        }
    }

    /// The layout of the view that holds only what `sections` names too.
    pub(super) fn redacted(&self, sections: SectionSet) -> Self {
        let mut redacted = Self {
            disclosed: SectionSet::EMPTY,
            places: [Place::default(); SectionKind::COUNT],
            ..*self
        };
        let mut start = self.entry_end + COUNT_BYTES as u32;
        for kind in self.disclosed.intersection(sections).iter() {
            if let Some(Place { len, .. }) = self.section(kind) {
                redacted.place(kind, Place { start, len });
                start += SECTION_HEAD_BYTES as u32 + len;
            }
        }
        redacted
    }

    fn place(&mut self, kind: SectionKind, place: Place) {
        if let Some(slot) = self.places.get_mut(usize::from(kind.number()) - 1) {
            *slot = place;
            self.disclosed = self.disclosed.with(kind);
        }
    }

    /// The entry, without its length.
    pub(super) const fn entry(&self) -> Range<usize> {
        ENTRY_LEN_BYTES..self.entry_end as usize
    }

    /// A disclosed section.
    pub(super) fn section(&self, kind: SectionKind) -> Option<Place> {
        if !self.disclosed.contains(kind) {
            return None;
        }
        self.places.get(usize::from(kind.number()) - 1).copied()
    }

    /// Bytes of a range that [`Self::parse`] found inside them.
    pub(super) fn slice<'a>(&self, bytes: &'a [u8], range: Range<usize>) -> &'a [u8] {
        debug_assert!(range.end <= bytes.len(), "a layout's ranges lie inside the bytes");
        bytes.get(range).unwrap_or_default()
    }

    /// How many bytes the view has.
    pub(super) fn len(&self) -> usize {
        let sections: usize = self
            .disclosed
            .iter()
            .filter_map(|kind| self.section(kind))
            .map(|place| place.whole().len())
            .sum();
        self.entry_end as usize + COUNT_BYTES + sections
    }
}
