//! What can be wrong with a view. Always its sender's fault; the texts never quote contents.

use thiserror::Error;

use crate::entry::InvalidEntry;
use crate::section::SectionKind;

/// Bytes that are no view.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidView {
    /// Longer than any view may be.
    #[error("view has {0} bytes; the longest allowed has {max}", max = crate::log::VIEW_BYTES_MAX)]
    Oversized(usize),
    /// Ends before what it announces.
    #[error("view is cut short: {0} bytes")]
    Truncated(usize),
    /// Bytes after the last section.
    #[error("view has {0} bytes after its last section")]
    Trailing(usize),
    /// The entry in it.
    #[error("view holds no valid entry")]
    Entry(#[from] InvalidEntry),
    /// More sections than the entry commits to.
    #[error("view counts {disclosed} sections; its entry commits to {committed}")]
    Count {
        /// What the view counts.
        disclosed: u8,
        /// How many the entry commits to.
        committed: usize,
    },
    /// A number that stands for no section.
    #[error("view discloses section {0}, which this version does not know")]
    Section(u8),
    /// The same section twice, or a lower one after a higher.
    #[error("view's section `{0}` is out of order")]
    Order(SectionKind),
    /// A section that the entry does not commit to.
    #[error("view discloses section `{0}`, which its entry does not commit to")]
    Uncommitted(SectionKind),
}

/// A disclosed section that is not what the originator committed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("section `{0}` does not match the hash in its entry")]
pub struct Tampered(
    /// The section.
    pub SectionKind,
);

/// A section whose bytes are no message of that section: its originator's fault, since the hash was right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("section `{section}` is no valid message")]
pub struct InvalidSection {
    /// The section.
    pub section: SectionKind,
    /// What the decoder found.
    #[source]
    pub source: prost::DecodeError,
}
