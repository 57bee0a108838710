//! Inclusion and consistency proofs (RFC 9162, 2.1.3 and 2.1.4), made from leaf hashes and verified strictly.
//!
//! An inclusion proof shows that an entry is at an index of the log under a root; a consistency proof shows that a
//! larger log begins with all of a smaller one. Both are short lists of hashes.

use std::{convert::Infallible, error::Error, ops::Range};

use super::{
    frontier::Frontier,
    hash::{Hash, empty_root, node_hash},
};

/// Where leaf hashes come from when a proof is made: a slice, or a store that reads them from disk.
pub trait LeafHashes {
    /// Why leaf hashes could not be read.
    type Error: Error + 'static;

    /// Calls `each` with every leaf hash of `range`, in order.
    fn leaf_hashes(&self, range: Range<u64>, each: &mut dyn FnMut(Hash)) -> Result<(), Self::Error>;

    /// The Merkle root of the leaves in `range`, as a tree of its own.
    fn subtree(&self, range: Range<u64>) -> Result<Hash, Self::Error> {
        let mut frontier = Frontier::new();
        self.leaf_hashes(range, &mut |leaf| frontier.push(leaf))?;
        Ok(frontier.root())
    }
}

impl LeafHashes for [Hash] {
    type Error = Infallible;

    fn leaf_hashes(&self, range: Range<u64>, each: &mut dyn FnMut(Hash)) -> Result<(), Infallible> {
        let count = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let start = usize::try_from(range.start).unwrap_or(usize::MAX);
        self.iter().skip(start).take(count).copied().for_each(each);
        Ok(())
    }
}

/// Shows that a leaf stands at `index` in the log of `size` entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// Where the leaf stands, from 0.
    pub index: u64,
    /// The size of the log that the proof is for.
    pub size: u64,
    /// The siblings on the way from the leaf to the root.
    pub path: Vec<Hash>,
}

/// Shows that the log of `new_size` entries begins with the log of `old_size` entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// The smaller size.
    pub old_size: u64,
    /// The larger size.
    pub new_size: u64,
    /// The nodes from which both roots can be computed.
    pub path: Vec<Hash>,
}

/// Proves that the leaf at `index` is in the log of `size` entries. Reads all leaf hashes below `size` once.
pub fn inclusion_proof<S: LeafHashes + ?Sized>(
    leaves: &S,
    index: u64,
    size: u64,
) -> Result<InclusionProof, ProofError<S::Error>> {
    if index >= size {
        return Err(ProofError::OutOfRange(OutOfRange { from: index, size }));
    }
    let (mut low, mut high) = (0, size);
    let mut path = Vec::new();
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            path.push(leaves.subtree(middle..high).map_err(ProofError::Source)?);
            high = middle;
        } else {
            path.push(leaves.subtree(low..middle).map_err(ProofError::Source)?);
            low = middle;
        }
    }
    path.reverse();
    Ok(InclusionProof { index, size, path })
}

/// Proves that the log of `new_size` entries begins with that of `old_size`. Reads all leaf hashes below `new_size`
/// once.
pub fn consistency_proof<S: LeafHashes + ?Sized>(
    leaves: &S,
    old_size: u64,
    new_size: u64,
) -> Result<ConsistencyProof, ProofError<S::Error>> {
    if old_size > new_size {
        return Err(ProofError::OutOfRange(OutOfRange {
            from: old_size,
            size: new_size,
        }));
    }
    let mut path = Vec::new();
    if old_size > 0 {
        let (mut low, mut high) = (0, new_size);
        while old_size != high {
            let middle = low + split(high - low);
            if old_size <= middle {
                path.push(leaves.subtree(middle..high).map_err(ProofError::Source)?);
                high = middle;
            } else {
                path.push(leaves.subtree(low..middle).map_err(ProofError::Source)?);
                low = middle;
            }
        }
        // The verifier knows the old root, so it is left out where it is itself the node that would come here.
        if low > 0 {
            path.push(leaves.subtree(low..high).map_err(ProofError::Source)?);
        }
        path.reverse();
    }
    Ok(ConsistencyProof {
        old_size,
        new_size,
        path,
    })
}

impl InclusionProof {
    /// Verifies that `leaf` is at `index` of the log with this root (RFC 9162, 2.1.3.2).
    ///
    /// A root alone does not fix the size: compare [`size`](Self::size) with the checkpoint's as well, or let
    /// [`Checkpoint::verify_inclusion`](super::Checkpoint::verify_inclusion) do both.
    pub fn verify(&self, leaf: &Hash, root: &Hash) -> Result<(), InvalidProof> {
        if self.index >= self.size {
            return Err(InvalidProof::OutOfRange(OutOfRange {
                from: self.index,
                size: self.size,
            }));
        }
        let (mut index, mut last) = (self.index, self.size - 1);
        let mut node = *leaf;
        for sibling in &self.path {
            if last == 0 {
                return Err(InvalidProof::Length(self.path.len()));
            }
            if index & 1 == 1 || index == last {
                node = node_hash(sibling, &node);
                while index & 1 == 0 && index != 0 {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                node = node_hash(&node, sibling);
            }
            index >>= 1;
            last >>= 1;
        }
        if last != 0 {
            return Err(InvalidProof::Length(self.path.len()));
        }
        if node == *root { Ok(()) } else { Err(InvalidProof::Root) }
    }
}

impl ConsistencyProof {
    /// Verifies that the log with `new_root` begins with the log with `old_root` (RFC 9162, 2.1.4.2). Every log begins
    /// with the empty one, and with itself.
    pub fn verify(&self, old_root: &Hash, new_root: &Hash) -> Result<(), InvalidProof> {
        let Self {
            old_size,
            new_size,
            path,
        } = self;
        if old_size > new_size {
            return Err(InvalidProof::OutOfRange(OutOfRange {
                from: *old_size,
                size: *new_size,
            }));
        }
        if *old_size == 0 || old_size == new_size {
            if !path.is_empty() {
                return Err(InvalidProof::Length(path.len()));
            }
            let expected = if *old_size == 0 { empty_root() } else { *new_root };
            return if expected == *old_root {
                Ok(())
            } else {
                Err(InvalidProof::Root)
            };
        }
        // A full subtree's root is the first node of the proof, and the verifier has it already.
        let known = old_size.is_power_of_two().then_some(old_root);
        let mut nodes = known.into_iter().chain(path);
        let Some(first) = nodes.next() else {
            return Err(InvalidProof::Length(0));
        };

        let shift = (old_size - 1).trailing_ones();
        let (mut index, mut last) = ((old_size - 1) >> shift, (new_size - 1) >> shift);
        let (mut old, mut new) = (*first, *first);
        for sibling in nodes {
            if last == 0 {
                return Err(InvalidProof::Length(path.len()));
            }
            if index & 1 == 1 || index == last {
                old = node_hash(sibling, &old);
                new = node_hash(sibling, &new);
                while index & 1 == 0 && index != 0 {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                new = node_hash(&new, sibling);
            }
            index >>= 1;
            last >>= 1;
        }
        if last != 0 {
            return Err(InvalidProof::Length(path.len()));
        }
        if old == *old_root && new == *new_root {
            Ok(())
        } else {
            Err(InvalidProof::Root)
        }
    }
}

/// The size of the left subtree of a tree of `size` > 1 leaves: the largest power of two below `size`.
fn split(size: u64) -> u64 {
    size.next_power_of_two() / 2
}

/// Why a proof could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError<E: Error + 'static> {
    /// The caller asked for something that the log does not have.
    #[error(transparent)]
    OutOfRange(OutOfRange),
    /// Leaf hashes could not be read.
    #[error("the log's leaf hashes could not be read")]
    Source(#[source] E),
}

/// A proof was asked for, or made, about an index or size that the log does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log of {size} entries has nothing at {from}")]
pub struct OutOfRange {
    /// The index or the smaller size.
    pub from: u64,
    /// The size of the log.
    pub size: u64,
}

/// A proof that proves nothing: the peer's fault, or another log's proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProof {
    /// Index or sizes don't fit together.
    #[error(transparent)]
    OutOfRange(OutOfRange),
    /// Too many or too few hashes for the sizes.
    #[error("the proof has {0} hashes, which does not fit its sizes")]
    Length(usize),
    /// The hashes lead to another root.
    #[error("the proof leads to another root than the checkpoint's")]
    Root,
    /// The proof is for another size than the checkpoint.
    #[error("the proof is for a log of {proof} entries, the checkpoint for one of {checkpoint}")]
    Size {
        /// The proof's size.
        proof: u64,
        /// The checkpoint's size.
        checkpoint: u64,
    },
}

#[cfg(test)]
mod tests;
