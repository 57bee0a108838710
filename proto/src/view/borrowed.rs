//! A view that is only looked at, where it lies: in a chunk that is verified or on its way to somebody.

use std::ops::Range;

use bytes::BufMut;

use super::layout::Layout;
use super::{ForeignField, InvalidView, Tampered, check_fields};
use crate::entry::{Entry, SALT_BYTES, section_hash};
use crate::log::Hash;
use crate::section::{SectionKind, SectionSet};

/// A well-formed view, borrowed. Its structure is checked, its hashes are not: see [`ViewRef::verify`].
#[derive(Clone, Copy)]
pub struct ViewRef<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

impl<'a> ViewRef<'a> {
    /// Reads exactly one view. Checks its structure, allocates nothing.
    ///
    /// # Errors
    /// The bytes are no view.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InvalidView> {
        let layout = Layout::parse(bytes)?;
        Ok(Self { bytes, layout })
    }

    /// A view whose bytes were parsed before, with what was found then.
    pub(super) const fn parsed(bytes: &'a [u8], layout: Layout) -> Self {
        Self { bytes, layout }
    }

    /// The entry, which is the same in every view of it.
    #[must_use]
    pub fn entry(&self) -> Entry<'a> {
        Entry::parsed(self.slice(self.layout.entry()), self.layout.head, self.layout.committed)
    }

    /// The entry's leaf in its log.
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        self.entry().leaf_hash()
    }

    /// The disclosed sections.
    #[must_use]
    pub const fn sections(&self) -> SectionSet {
        self.layout.disclosed
    }

    /// A disclosed section's bytes: the encoded message of that section.
    #[must_use]
    pub fn section(&self, kind: SectionKind) -> Option<&'a [u8]> {
        Some(self.slice(self.layout.section(kind)?.content()))
    }

    /// The bytes of `Case.class`; see [`View::class_bytes`](super::View::class_bytes).
    #[must_use]
    pub fn class_bytes(&self) -> Option<&'a [u8]> {
        /// Field 1, length-delimited.
        const CLASS: u8 = 0x0a;
        let mut rest = self.section(SectionKind::Case)?.strip_prefix(&[CLASS])?;
        let len = prost::encoding::decode_varint(&mut rest).ok()?;
        rest.get(..usize::try_from(len).ok()?)
    }

    /// Checks that the disclosed sections hold no field that this version does not know.
    ///
    /// # Errors
    /// With the first such field: its originator's fault, or its originator has a newer version.
    pub fn check_fields(&self) -> Result<(), ForeignField> {
        self.sections()
            .iter()
            .try_for_each(|kind| check_fields(kind, self.section(kind).unwrap_or_default()))
    }

    /// Checks every disclosed section against the hash that the entry commits to.
    ///
    /// # Errors
    /// With the first section that is another.
    pub fn verify(&self) -> Result<(), Tampered> {
        self.sections().iter().try_for_each(|kind| self.verify_section(kind))
    }

    /// Checks one section, which must be disclosed.
    pub(crate) fn verify_section(&self, kind: SectionKind) -> Result<(), Tampered> {
        let salt = self.layout.section(kind).map(|place| self.slice(place.salt()));
        let salt = salt.and_then(<[u8]>::first_chunk::<SALT_BYTES>);
        let (Some(salt), Some(bytes)) = (salt, self.section(kind)) else {
            return Err(Tampered(kind));
        };
        match self.entry().section_hash(kind) == Some(&section_hash(kind, salt, bytes)) {
            true => Ok(()),
            false => Err(Tampered(kind)),
        }
    }

    /// How many bytes [`ViewRef::write_redacted`] appends.
    #[must_use]
    pub fn redacted_len(&self, sections: SectionSet) -> usize {
        self.layout.redacted(sections).len()
    }

    /// Appends the bytes of the view without what is not in `sections`: the sender's hot path.
    pub fn write_redacted(&self, sections: SectionSet, out: &mut Vec<u8>) {
        let kept = self.layout.disclosed.intersection(sections);
        out.put_slice(self.entry_with_len());
        // At most seven.
        out.put_u8(u8::try_from(kept.len()).unwrap_or(u8::MAX));
        for kind in kept.iter() {
            if let Some(section) = self.whole_section(kind) {
                out.put_slice(section);
            }
        }
    }

    /// The entry with its length before it.
    pub(crate) fn entry_with_len(&self) -> &'a [u8] {
        self.slice(0..self.layout.entry().end)
    }

    /// A disclosed section with its number, salt and length.
    pub(crate) fn whole_section(&self, kind: SectionKind) -> Option<&'a [u8]> {
        Some(self.slice(self.layout.section(kind)?.whole()))
    }

    fn slice(&self, range: Range<usize>) -> &'a [u8] {
        self.layout.slice(self.bytes, range)
    }
}

impl std::fmt::Debug for ViewRef<'_> {
    /// Never the contents: views are printed in logs and test failures.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewRef")
            .field("entry", &self.entry())
            .field("disclosed", &self.layout.disclosed)
            .finish_non_exhaustive()
    }
}
