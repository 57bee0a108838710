//! A view: an entry as somebody may see it, with the disclosed sections and their salts and nothing of the rest.
//!
//! ```text
//! entry_len u16 BE | entry | m u8 | m × (section u8 | salt 16 | len u32 BE | bytes)
//! ```
//!
//! Sections are strictly ascending, each is committed to by the entry, nothing follows the last. The stored form is the
//! wire form: a narrower view is the same bytes with ranges left out (only `m` differs), so redaction encodes nothing
//! and every view, however redacted, has the same leaf hash and verifies against the same checkpoint.

use bytes::Bytes;
use prost::Message;

use crate::entry::{Entry, EntryHead};
use crate::log::Hash;
use crate::section::{SectionKind, SectionSet};
use crate::v1;

mod borrowed;
mod fields;
mod invalid;
mod layout;

pub use borrowed::ViewRef;
pub use fields::ForeignField;
pub(crate) use fields::{check_fields, varint};
pub use invalid::{InvalidSection, InvalidView, Tampered};

pub(crate) use layout::Layout;

/// A well-formed view. Its structure is checked, its hashes are not: see [`View::verify`].
///
/// Cloning is cheap: it shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct View {
    bytes: Bytes,
    layout: Layout,
}

/// A view whose disclosed sections all hash to what its entry commits to. Whether the entry is in a log is for
/// the log to say: compare [`View::leaf_hash`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedView(View);

impl View {
    /// Reads exactly one view. Checks its structure, allocates nothing.
    pub fn parse(bytes: Bytes) -> Result<Self, InvalidView> {
        let layout = Layout::parse(&bytes)?;
        Ok(Self { bytes, layout })
    }

    /// Bytes and what [`Layout::parse`] found in them.
    pub(crate) const fn laid_out(bytes: Bytes, layout: Layout) -> Self {
        Self { bytes, layout }
    }

    /// The bytes as they are stored and sent.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The same view, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> ViewRef<'_> {
        ViewRef::parsed(&self.bytes, self.layout)
    }

    /// The entry, which is the same in every view of it.
    #[must_use]
    pub fn entry(&self) -> Entry<'_> {
        self.borrowed().entry()
    }

    /// What the entry does, with which record.
    #[must_use]
    pub const fn head(&self) -> EntryHead {
        self.layout.head
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

    /// The sections that the entry commits to and this view does not hold.
    #[must_use]
    pub const fn withheld(&self) -> SectionSet {
        self.layout.committed.difference(self.layout.disclosed)
    }

    /// A disclosed section's bytes: the encoded message of that section.
    #[must_use]
    pub fn section(&self, kind: SectionKind) -> Option<&[u8]> {
        self.borrowed().section(kind)
    }

    /// The bytes of `Case.class`, which policies decide on, found without decoding the rest. None if section `case` is
    /// withheld or does not begin with it.
    #[must_use]
    pub fn class_bytes(&self) -> Option<&[u8]> {
        self.borrowed().class_bytes()
    }

    /// The view without what is not in `sections`. Shares the bytes when there is nothing to leave out.
    #[must_use]
    pub fn redact(&self, sections: SectionSet) -> Self {
        if self.layout.disclosed.is_subset(sections) {
            return self.clone();
        }
        let mut bytes = Vec::with_capacity(self.redacted_len(sections));
        self.write_redacted(sections, &mut bytes);
        Self {
            layout: self.layout.redacted(sections),
            bytes: bytes.into(),
        }
    }

    /// How many bytes [`View::write_redacted`] appends.
    #[must_use]
    pub fn redacted_len(&self, sections: SectionSet) -> usize {
        self.borrowed().redacted_len(sections)
    }

    /// Appends the bytes of [`View::redact`] to `out`, with no view made of them.
    pub fn write_redacted(&self, sections: SectionSet, out: &mut Vec<u8>) {
        self.borrowed().write_redacted(sections, out);
    }

    /// Checks that the disclosed sections hold no field that this version does not know.
    ///
    /// # Errors
    /// With the first such field: its originator's fault, or its originator has a newer version.
    pub fn check_fields(&self) -> Result<(), ForeignField> {
        self.borrowed().check_fields()
    }

    /// Checks every disclosed section against the hash that the entry commits to.
    pub fn verify(self) -> Result<VerifiedView, Tampered> {
        self.borrowed().verify()?;
        Ok(VerifiedView(self))
    }

    /// The disclosed sections as messages, for showing; a withheld one is None.
    pub fn decode(&self) -> Result<v1::Draft, InvalidSection> {
        Ok(v1::Draft {
            kind: v1::RecordKind::from(self.layout.head.record_kind).into(),
            case: self.decode_section(SectionKind::Case)?,
            exact: self.decode_section(SectionKind::Exact)?,
            references: self.decode_section(SectionKind::References)?,
            persons: self.decode_section(SectionKind::Persons)?,
            companies: self.decode_section(SectionKind::Companies)?,
            narrative: self.decode_section(SectionKind::Narrative)?,
            images: self.decode_section(SectionKind::Images)?,
        })
    }

    fn decode_section<M: Message + Default>(&self, kind: SectionKind) -> Result<Option<M>, InvalidSection> {
        self.section(kind)
            .map(|bytes| M::decode(bytes).map_err(|source| InvalidSection { section: kind, source }))
            .transpose()
    }
}

impl std::fmt::Debug for View {
    /// Never the contents: views are printed in logs and test failures.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("entry", &self.entry())
            .field("disclosed", &self.layout.disclosed)
            .finish_non_exhaustive()
    }
}

impl TryFrom<Bytes> for View {
    type Error = InvalidView;

    fn try_from(bytes: Bytes) -> Result<Self, InvalidView> {
        Self::parse(bytes)
    }
}

impl VerifiedView {
    /// The view.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.0
    }

    /// The view, by value.
    #[must_use]
    pub fn into_view(self) -> View {
        self.0
    }

    /// A narrower view; what is left verifies as before.
    #[must_use]
    pub fn redact(&self, sections: SectionSet) -> Self {
        Self(self.0.redact(sections))
    }
}

#[cfg(test)]
pub(crate) mod tests;
