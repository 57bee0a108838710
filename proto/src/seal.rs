//! Sealing: from the sections of a record to the view that its originator stores, with fresh salts and nonce.

use std::ops::Range;

use bytes::{BufMut, Bytes};
use rand::Rng;
use thiserror::Error;

use crate::entry::{ENTRY_BYTES_MAX, Entry, EntryHead, NONCE_BYTES, SALT_BYTES, section_hash};
use crate::id::RecordId;
use crate::record::Record;
use crate::section::SectionKind;
use crate::view::{InvalidView, Layout, View};

/// Bytes of a section's length, before its content.
const LEN_BYTES: usize = 4;

/// Sections that make no view: the caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("these sections can't be sealed")]
pub struct Unsealable(#[from] InvalidView);

/// Commits to `sections` (ascending, each the encoded message of its kind) and gives the view that discloses them all.
///
/// [`Record::seal`] is the way for a record; this one takes the bytes as they are. `entropy` must be a cryptographic
/// source, since salts are all that keeps a withheld section from being guessed.
pub fn seal<R: Rng + ?Sized>(
    head: &EntryHead,
    sections: &[(SectionKind, &[u8])],
    entropy: &mut R,
) -> Result<View, Unsealable> {
    let content: usize = sections.iter().map(|(_, content)| content.len()).sum();
    let mut sealer = Sealer::with_capacity(content);
    let each = sections.iter().map(|(kind, content)| {
        let write = |out: &mut Vec<u8>| out.extend_from_slice(content);
        (*kind, write)
    });
    let (bytes, layout) = sealer.write(head, each, entropy)?;
    Ok(View::laid_out(Bytes::from(sealer.bytes).slice(bytes), layout))
}

/// Seals records one after the other into one buffer that all their views share: an import seals a batch without an
/// allocation a record.
#[derive(Debug, Default)]
pub struct Sealer {
    bytes: Vec<u8>,
    sealed: Vec<(Range<usize>, Layout)>,
    /// Of the entry that is being written.
    hashes: Vec<(SectionKind, [u8; 32])>,
}

impl Sealer {
    /// With room for records of so many bytes, encoded.
    #[must_use]
    pub fn with_capacity(content: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(
                content + ENTRY_BYTES_MAX + SectionKind::COUNT * (1 + SALT_BYTES + LEN_BYTES) + 3,
            ),
            ..Self::default()
        }
    }

    /// Seals one more record: version 1 is an `ISSUE`, a later one an `AMEND`. `entropy` must be a cryptographic source.
    pub fn seal<R: Rng + ?Sized>(&mut self, record: &Record<'_>, id: RecordId, version: u32, entropy: &mut R) {
        let sections = SectionKind::ALL.into_iter().filter_map(|kind| {
            let section = record.section(kind)?;
            Some((kind, move |out: &mut Vec<u8>| section.write_fields(out)))
        });
        #[expect(
            clippy::expect_used,
            reason = "`validate` bounds the size, and a record always has section `case`"
        )]
        let sealed = self
            .write(&record.head(id, version), sections, entropy)
            .expect("a validated record can be sealed");
        self.sealed.push(sealed);
    }

    /// The views of what was sealed, in that order.
    pub fn finish(self) -> impl ExactSizeIterator<Item = View> {
        let bytes = Bytes::from(self.bytes);
        self.sealed
            .into_iter()
            .map(move |(range, layout)| View::laid_out(bytes.slice(range), layout))
    }

    /// Appends a view; gives its place and what is in it. Each section comes with what writes its content.
    fn write<R: Rng + ?Sized, W: FnOnce(&mut Vec<u8>)>(
        &mut self,
        head: &EntryHead,
        sections: impl Iterator<Item = (SectionKind, W)> + Clone,
        entropy: &mut R,
    ) -> Result<(Range<usize>, Layout), Unsealable> {
        let Self { bytes, hashes, .. } = self;
        let start = bytes.len();
        let count = sections.clone().count();
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill_bytes(&mut nonce);
        // The entry stands first, but holds the hashes of what follows: its place is kept free.
        let entry_len = Entry::len(count);
        bytes.put_u16(u16::try_from(entry_len).unwrap_or(u16::MAX));
        let entry = bytes.len()..bytes.len() + entry_len;
        bytes.resize(entry.end, 0);
        bytes.put_u8(u8::try_from(count).unwrap_or(u8::MAX));
        hashes.clear();
        for (kind, write) in sections {
            let mut salt = [0; SALT_BYTES];
            entropy.fill_bytes(&mut salt);
            bytes.put_u8(kind.number());
            bytes.put_slice(&salt);
            let place = bytes.len();
            bytes.put_bytes(0, LEN_BYTES);
            write(bytes);
            let written = bytes.get_mut(place..).and_then(<[u8]>::split_first_chunk_mut);
            if let Some((len, content)) = written {
                *len = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
                hashes.push((kind, section_hash(kind, &salt, content)));
            }
        }
        if let Some(place) = bytes.get_mut(entry) {
            Entry::write(head, nonce, hashes, place);
        }
        // Read back with the rules for a peer's bytes: what is wrong with the sections is found here, and the log never
        // gets an entry that a partner would refuse.
        match Layout::parse(bytes.get(start..).unwrap_or_default()) {
            Ok(layout) => Ok((start..bytes.len(), layout)),
            Err(invalid) => {
                bytes.truncate(start);
                Err(invalid.into())
            }
        }
    }
}
