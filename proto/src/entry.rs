//! An entry: one line of a member's log, the bytes whose RFC 6962 leaf hash the checkpoints sign.
//!
//! ```text
//! tag 0x01 | kind u8 | record kind u8 | n u8 | record id 16 | version u32 BE | nonce 16 | n × (section u8 | hash 32)
//! ```
//!
//! Sections are strictly ascending, nothing follows the last. `kind` is 1 ISSUE, 2 AMEND, 3 RECALL, 4 CLEAR. Each hash
//! commits to one section (see [`section_hash`]), so a section may be withheld and the entry still hashes to its leaf.
//! The nonce keeps a withheld entry's leaf from being guessed.

use std::fmt;

use bytes::BufMut;
use thiserror::Error;

use crate::id::{InvalidRecordId, RecordId};
use crate::kind::RecordKind;
use crate::log::{Hash, leaf_hash};
use crate::section::{SectionKind, SectionSet};
use crate::sha256::{HASH_BYTES, sha256};

/// First byte of every entry of this format.
const TAG: u8 = 0x01;
/// Bytes before the first section's hash.
const HEAD_BYTES: usize = 40;
/// Bytes of a section's number and hash.
const COMMITMENT_BYTES: usize = 1 + HASH_BYTES;
/// Separates section hashes from every other use of SHA-256.
const SECTION_DOMAIN: &[u8; 17] = b"icomm/v1 section\0";

/// Longest entry, in bytes: the head and a hash of each section.
pub const ENTRY_BYTES_MAX: usize = HEAD_BYTES + SectionKind::COUNT * COMMITMENT_BYTES;
/// Bytes of a section's salt.
pub const SALT_BYTES: usize = 16;
/// Bytes of an entry's nonce.
pub const NONCE_BYTES: usize = 16;

/// What an entry does with its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// A new record.
    Issue = 1,
    /// A later version, which replaces the ones before.
    Amend = 2,
    /// The record is withdrawn.
    Recall = 3,
    /// Sections that were withheld are cleared for more eyes.
    Clear = 4,
}

impl EntryKind {
    /// Its name in listings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Amend => "amend",
            Self::Recall => "recall",
            Self::Clear => "clear",
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Issue),
            2 => Some(Self::Amend),
            3 => Some(Self::Recall),
            4 => Some(Self::Clear),
            _ => None,
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// All of an entry but its section hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead {
    /// What it does.
    pub kind: EntryKind,
    /// What the record is about.
    pub record_kind: RecordKind,
    /// Which record.
    pub record_id: RecordId,
    /// Which version of it; the first is 1.
    pub version: u32,
}

/// Bytes that are no entry: the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidEntry {
    /// Fewer bytes than the head needs, or than its section count says.
    #[error("entry is cut short: {0} bytes")]
    Truncated(usize),
    /// Bytes after the last section hash.
    #[error("entry has {0} bytes more than its {1} sections need")]
    Trailing(usize, u8),
    /// Not the tag of this format.
    #[error("entry has tag {0:#04x}; this version reads {TAG:#04x}")]
    Tag(u8),
    /// A number that stands for no kind of entry.
    #[error("entry has kind {0}, which this version does not know")]
    Kind(u8),
    /// A number that stands for no kind of record.
    #[error("entry has record kind {0}, which this version does not know")]
    RecordKind(u8),
    /// Not a UUIDv7.
    #[error("entry has no valid record id")]
    RecordId(#[from] InvalidRecordId),
    /// More sections than there are kinds.
    #[error("entry counts {0} sections; there are {max} kinds", max = SectionKind::COUNT)]
    Count(u8),
    /// A number that stands for no section.
    #[error("entry commits to section {0}, which this version does not know")]
    Section(u8),
    /// The same section twice, or a lower one after a higher.
    #[error("entry's section {0} is out of order")]
    Order(SectionKind),
    /// An issued or amended record without the section that policies decide on.
    #[error("entry issues or amends a record without section `case`")]
    NoCase,
}

/// A well-formed entry, borrowed from the view or frame that holds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    bytes: &'a [u8],
    head: EntryHead,
    sections: SectionSet,
}

impl<'a> Entry<'a> {
    /// Reads exactly one entry. Checks its structure, allocates nothing.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InvalidEntry> {
        let truncated = || InvalidEntry::Truncated(bytes.len());
        let (head, hashes) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or_else(truncated)?;
        let &[tag, kind, record_kind, count, ref rest @ ..] = head;
        if tag != TAG {
            return Err(InvalidEntry::Tag(tag));
        }
        let kind = EntryKind::from_number(kind).ok_or(InvalidEntry::Kind(kind))?;
        let record_kind = RecordKind::try_from(record_kind).map_err(|_| InvalidEntry::RecordKind(record_kind))?;
        if usize::from(count) > SectionKind::COUNT {
            return Err(InvalidEntry::Count(count));
        }
        let (id, rest) = rest.split_first_chunk::<{ RecordId::BYTES }>().ok_or_else(truncated)?;
        let (version, _nonce) = rest.split_first_chunk::<4>().ok_or_else(truncated)?;
        let expected = usize::from(count) * COMMITMENT_BYTES;
        match hashes.len().checked_sub(expected) {
            Some(0) => {}
            Some(more) => return Err(InvalidEntry::Trailing(more, count)),
            None => return Err(truncated()),
        }
        let sections = ascending(hashes.chunks_exact(COMMITMENT_BYTES).filter_map(<[u8]>::first).copied())?;
        if matches!(kind, EntryKind::Issue | EntryKind::Amend) && !sections.contains(SectionKind::Case) {
            return Err(InvalidEntry::NoCase);
        }
        let head = EntryHead {
            kind,
            record_kind,
            record_id: RecordId::try_from(*id)?,
            version: u32::from_be_bytes(*version),
        };
        Ok(Self { bytes, head, sections })
    }

    /// An entry whose bytes were parsed before, with what was found then.
    pub(crate) const fn parsed(bytes: &'a [u8], head: EntryHead, sections: SectionSet) -> Self {
        Self { bytes, head, sections }
    }

    /// The bytes, which are the log's leaf data.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// All but the section hashes.
    #[must_use]
    pub const fn head(&self) -> EntryHead {
        self.head
    }

    /// The sections it commits to, whether or not anybody may see them.
    #[must_use]
    pub const fn sections(&self) -> SectionSet {
        self.sections
    }

    /// The hash it commits a section to.
    #[must_use]
    pub fn section_hash(&self, kind: SectionKind) -> Option<&'a [u8; HASH_BYTES]> {
        if !self.sections.contains(kind) {
            return None;
        }
        // INVARIANT: strictly ascending, so a section's place is the number of committed sections before it.
        let before = self.sections.iter().take_while(|section| *section < kind).count();
        let start = HEAD_BYTES + before * COMMITMENT_BYTES + 1;
        self.bytes.get(start..)?.first_chunk()
    }

    /// Its leaf in the log: SHA-256(0x00 ‖ entry).
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        leaf_hash(self.bytes)
    }

    /// How many bytes an entry with this many sections has.
    pub(crate) const fn len(sections: usize) -> usize {
        HEAD_BYTES + sections * COMMITMENT_BYTES
    }

    /// Writes an entry, of [`Entry::len`] bytes: `sections` are ascending, each with its hash.
    pub(crate) fn write(
        head: &EntryHead,
        nonce: [u8; NONCE_BYTES],
        sections: &[(SectionKind, [u8; HASH_BYTES])],
        mut out: impl BufMut,
    ) {
        debug_assert!(
            sections.is_sorted_by(|a, b| a.0 < b.0),
            "sections of an entry are strictly ascending"
        );
        let EntryHead {
            kind,
            record_kind,
            record_id,
            version,
        } = head;
        // There are seven kinds of section, each at most once.
        let count = u8::try_from(sections.len()).unwrap_or(u8::MAX);
        out.put_slice(&[TAG, *kind as u8, record_kind.number(), count]);
        out.put_slice(record_id.as_bytes());
        out.put_u32(*version);
        out.put_slice(&nonce);
        for (kind, hash) in sections {
            out.put_u8(kind.number());
            out.put_slice(hash);
        }
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("head", &self.head)
            .field("sections", &self.sections)
            .finish_non_exhaustive()
    }
}

/// The set of section numbers that come strictly ascending.
fn ascending(numbers: impl Iterator<Item = u8>) -> Result<SectionSet, InvalidEntry> {
    let mut set = SectionSet::EMPTY;
    let mut last = 0;
    for number in numbers {
        let kind = SectionKind::try_from(number).map_err(|_| InvalidEntry::Section(number))?;
        if number <= last {
            return Err(InvalidEntry::Order(kind));
        }
        last = number;
        set = set.with(kind);
    }
    Ok(set)
}

/// What an entry commits a section to: SHA-256(`"icomm/v1 section\0"` ‖ section u8 ‖ salt 16 ‖ bytes).
///
/// The salt is random, so that a withheld section of few possible values can't be found by trying them.
#[must_use]
pub fn section_hash(kind: SectionKind, salt: &[u8; SALT_BYTES], bytes: &[u8]) -> [u8; HASH_BYTES] {
    /// Nearly every section that is not free text.
    const BLOCKS: usize = 16;
    sha256::<BLOCKS>(&[SECTION_DOMAIN, &[kind.number()], salt, bytes])
}

#[cfg(test)]
mod tests;
