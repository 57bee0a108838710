//! Sealing: from the sections of a record to the view that its originator stores, with fresh salts and nonce.

use bytes::{BufMut, Bytes};
use rand::Rng;
use thiserror::Error;

use crate::entry::{ENTRY_BYTES_MAX, Entry, EntryHead, NONCE_BYTES, SALT_BYTES, section_hash};
use crate::log::VIEW_BYTES_MAX;
use crate::section::SectionKind;
use crate::view::{InvalidView, View};

/// Sections that make no view: the caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("these sections can't be sealed")]
pub struct Unsealable(#[from] InvalidView);

/// Commits to `sections` (ascending, each the encoded message of its kind) and gives the view that discloses them all.
///
/// [`crate::record::Record::seal`] is the way for a record; this one takes the bytes as they are. `entropy` must be a
/// cryptographic source, since salts are all that keeps a withheld section from being guessed.
pub fn seal<R: Rng + ?Sized>(
    head: &EntryHead,
    sections: &[(SectionKind, &[u8])],
    entropy: &mut R,
) -> Result<View, Unsealable> {
    let mut salts = [[0; SALT_BYTES]; SectionKind::COUNT];
    let mut nonce = [0; NONCE_BYTES];
    entropy.fill_bytes(&mut nonce);
    let mut hashes = Vec::with_capacity(SectionKind::COUNT);
    for ((kind, content), salt) in sections.iter().zip(&mut salts) {
        entropy.fill_bytes(salt);
        hashes.push((*kind, section_hash(*kind, salt, content)));
    }
    let content: usize = sections.iter().map(|(_, content)| content.len()).sum();
    if content > VIEW_BYTES_MAX {
        return Err(Unsealable(InvalidView::Oversized(content)));
    }
    let mut entry = Vec::with_capacity(ENTRY_BYTES_MAX);
    Entry::write(head, nonce, &hashes, &mut entry);
    let mut bytes = Vec::with_capacity(entry.len() + content + sections.len() * (1 + SALT_BYTES + 4) + 3);
    // Fits: an entry has at most `ENTRY_BYTES_MAX` bytes, the contents were bounded above.
    bytes.put_u16(u16::try_from(entry.len()).unwrap_or(u16::MAX));
    bytes.put_slice(&entry);
    bytes.put_u8(u8::try_from(sections.len()).unwrap_or(u8::MAX));
    for ((kind, content), salt) in sections.iter().zip(&salts) {
        bytes.put_u8(kind.number());
        bytes.put_slice(salt);
        bytes.put_u32(u32::try_from(content.len()).unwrap_or(u32::MAX));
        bytes.put_slice(content);
    }
    // Read back with the rules for a peer's bytes: what is wrong with the sections is found here, and the log never
    // gets an entry that a partner would refuse.
    Ok(View::parse(Bytes::from(bytes))?)
}
