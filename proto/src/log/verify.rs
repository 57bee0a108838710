//! Verification of a chunk: that its items, whatever they disclose, are exactly the entries that the originator's
//! checkpoint signs.
//!
//! ```text
//! item ── view ──► every disclosed section hashes to what the entry commits to ──► leaf hash ─┐
//!   └─ withheld ───────────────────────────────────────────────────────────────────► leaf hash ─┤
//!                                                        frontier before + leaves ──► root == checkpoint's root
//! ```
//!
//! An item that was changed, left out, doubled, moved or put in changes the root. A withheld item's hash can't be
//! checked alone, and need not be: the root covers it.

use std::ops::Range;

use super::{
    checkpoint::VerifiedCheckpoint,
    chunk::{ChunkBody, ItemRef},
    frontier::Frontier,
    hash::Hash,
};
use crate::view::{InvalidView, Tampered, ViewRef};

/// A chunk that continues a log up to a verified checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedChunk {
    body: ChunkBody,
    before: u64,
    frontier: Frontier,
    checkpoint: VerifiedCheckpoint,
    disclosed: u32,
}

/// Verifies that `body` holds the entries between `before` and `checkpoint`, in order and complete.
pub fn verify_chunk(
    before: &Frontier,
    checkpoint: VerifiedCheckpoint,
    body: ChunkBody,
) -> Result<VerifiedChunk, InvalidChunk> {
    verify_chunk_with(before, checkpoint, body, |_, _| Ok(()))
}

/// The same, with a rule of the receiver's own: `admit` is called with every view and its index before that is verified.
///
/// # Errors
/// What `admit` says, or that the entries are not the originator's.
pub fn verify_chunk_with<E: From<InvalidChunk>>(
    before: &Frontier,
    checkpoint: VerifiedCheckpoint,
    body: ChunkBody,
    mut admit: impl FnMut(u64, &ViewRef<'_>) -> Result<(), E>,
) -> Result<VerifiedChunk, E> {
    let end = before.size() + u64::from(body.count());
    if end != checkpoint.size() {
        let (from, checkpoint) = (before.size(), checkpoint.size());
        return Err(InvalidChunk::Size { from, end, checkpoint }.into());
    }
    let mut frontier = before.clone();
    let mut disclosed = 0;
    for (item, index) in body.item_refs().zip(before.size()..) {
        disclosed += u32::from(matches!(item, ItemRef::Disclosed(_)));
        frontier.push(verify_item(item, index, &mut admit)?);
    }
    if frontier.root() != *checkpoint.root() {
        let from = before.size();
        return Err(InvalidChunk::Root { from, end }.into());
    }
    Ok(VerifiedChunk {
        body,
        before: before.size(),
        frontier,
        checkpoint,
        disclosed,
    })
}

/// Verifies wider views of entries that are held already: each must be of the entry whose leaf hash is held. `held` are
/// the leaf hashes from `from` on, one for each item; `admit` is as for [`verify_chunk_with`].
pub fn verify_overlay<E: From<InvalidChunk>>(
    from: u64,
    held: &[Hash],
    body: &ChunkBody,
    mut admit: impl FnMut(u64, &ViewRef<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let end = from + u64::from(body.count());
    if held.len() != body.count() as usize {
        let held = held.len();
        return Err(InvalidChunk::NotHeld { from, end, held }.into());
    }
    for ((item, index), leaf) in body.item_refs().zip(from..).zip(held) {
        if verify_item(item, index, &mut admit)? != *leaf {
            return Err(InvalidChunk::OtherEntry { index }.into());
        }
    }
    Ok(())
}

/// The leaf hash of an item whose disclosed sections are what its entry commits to.
fn verify_item<E: From<InvalidChunk>>(
    item: ItemRef<'_>,
    index: u64,
    admit: &mut impl FnMut(u64, &ViewRef<'_>) -> Result<(), E>,
) -> Result<Hash, E> {
    match item {
        ItemRef::Withheld(leaf) => Ok(leaf),
        ItemRef::Disclosed(bytes) => {
            let view = ViewRef::parse(bytes).map_err(|source| InvalidChunk::View { index, source })?;
            admit(index, &view)?;
            view.verify()
                .map_err(|source| InvalidChunk::Tampered { index, source })?;
            Ok(view.leaf_hash())
        }
    }
}

impl VerifiedChunk {
    /// The entries' indices.
    pub fn range(&self) -> Range<u64> {
        self.before..self.frontier.size()
    }

    /// The entries.
    pub fn body(&self) -> &ChunkBody {
        &self.body
    }

    /// The frontier after the last entry.
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// The checkpoint that covers them.
    pub fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }

    /// How many of the entries are views; the others are withheld.
    pub fn disclosed(&self) -> u32 {
        self.disclosed
    }

    /// Body, frontier after it and checkpoint, to be stored.
    pub fn into_parts(self) -> (ChunkBody, Frontier, VerifiedCheckpoint) {
        (self.body, self.frontier, self.checkpoint)
    }
}

/// Why a chunk is refused: the sender's fault, or that of somebody between it and the originator. Never quotes contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChunk {
    /// The chunk does not end where its checkpoint does.
    #[error("the chunk covers entries {from} to {end}, its checkpoint {checkpoint}")]
    Size {
        /// The first entry's index.
        from: u64,
        /// The index after the last.
        end: u64,
        /// The checkpoint's size.
        checkpoint: u64,
    },
    /// A view that can't be read.
    #[error("the view of entry {index} can't be read")]
    View {
        /// The entry.
        index: u64,
        /// Why.
        source: InvalidView,
    },
    /// A disclosed section is not what the entry commits to.
    #[error("the view of entry {index} was altered")]
    Tampered {
        /// The entry.
        index: u64,
        /// Which section.
        source: Tampered,
    },
    /// The entries lead to another root: one was altered, left out, put in, doubled or moved, or the log was forked.
    #[error("entries {from} to {end} are not those that the checkpoint signs")]
    Root {
        /// The first entry's index.
        from: u64,
        /// The index after the last.
        end: u64,
    },
    /// An overlay for entries that are not held.
    #[error("{held} leaf hashes are held of the entries {from} to {end}")]
    NotHeld {
        /// The first entry's index.
        from: u64,
        /// The index after the last.
        end: u64,
        /// The number of leaf hashes given.
        held: usize,
    },
    /// A view in an overlay is of another entry than the one held at its index.
    #[error("the view given for entry {index} is of another entry")]
    OtherEntry {
        /// The entry.
        index: u64,
    },
}

#[cfg(test)]
mod tests;
