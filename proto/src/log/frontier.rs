//! The frontier of a log: all that is needed to append to it and to know its root, in 32 bytes per set bit of its size.
//!
//! The leaves of a log of size 21 = 16 + 4 + 1 form three full subtrees. The frontier is the list of their roots; a
//! new leaf is joined with those of its own height, as in adding one to a binary number.
//!
//! ```text
//! bytes:  size u64 BE | 32 bytes for each set bit of size, the largest subtree first
//! ```

use super::hash::{Hash, empty_root, node_hash};

/// The largest size that a log may have, in entries. No log comes near; it keeps arithmetic on sizes from overflowing.
pub const LOG_SIZE_MAX: u64 = 1 << 48;

/// The roots of the full subtrees of a log (a compact range from 0).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    // INVARIANT: one root for each set bit of `size`, the largest subtree first.
    roots: Vec<Hash>,
}

impl Frontier {
    /// The frontier of an empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// The Merkle root of all leaves (RFC 6962, 2.1).
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else { return empty_root() };
        roots.fold(*last, |right, left| node_hash(left, &right))
    }

    /// The inclusion path of the leaf that is pushed next, under the root with just that leaf added: all that stands before
    /// it, the nearest subtree first.
    pub fn path_of_next(&self) -> impl Iterator<Item = &Hash> {
        self.roots.iter().rev()
    }

    /// The frontier as bytes (layout at the top of this file).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + Hash::LEN * self.roots.len());
        self.write(&mut bytes);
        bytes
    }

    /// Appends the frontier's bytes to `bytes`.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.size.to_be_bytes());
        for root in &self.roots {
            bytes.extend_from_slice(root.as_bytes());
        }
    }

    /// Reads back what [`to_bytes`](Self::to_bytes) wrote. The length must match the size exactly. Nothing can tell
    /// whether the hashes are right but comparing the [`root`](Self::root) with a checkpoint.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidFrontier> {
        let (size, roots) = bytes
            .split_first_chunk::<8>()
            .ok_or(InvalidFrontier::Length(bytes.len()))?;
        let size = u64::from_be_bytes(*size);
        if size > LOG_SIZE_MAX {
            return Err(InvalidFrontier::Size(size));
        }
        let (roots, rest) = roots.as_chunks::<{ Hash::LEN }>();
        if !rest.is_empty() || roots.len() != size.count_ones() as usize {
            return Err(InvalidFrontier::Length(bytes.len()));
        }
        Ok(Self {
            size,
            roots: roots.iter().map(|root| Hash::from(*root)).collect(),
        })
    }
}

/// The frontier of these leaves, in order.
impl FromIterator<Hash> for Frontier {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut frontier = Self::new();
        frontier.extend(leaves);
        frontier
    }
}

impl Extend<Hash> for Frontier {
    fn extend<I: IntoIterator<Item = Hash>>(&mut self, leaves: I) {
        for leaf in leaves {
            self.push(leaf);
        }
    }
}

/// Bytes that are not a frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFrontier {
    /// The length does not fit the size.
    #[error("a frontier of {0} bytes does not have one hash for each set bit of its size")]
    Length(usize),
    /// The size is beyond [`LOG_SIZE_MAX`].
    #[error("a frontier's size of {0} is beyond {LOG_SIZE_MAX}")]
    Size(u64),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::hash::{leaf_hash, vectors};

    /// The Merkle tree hash as RFC 6962 defines it, by recursion.
    fn naive_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&naive_root(left), &naive_root(right))
            }
        }
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let mut frontier = Frontier::new();
        assert_eq!(frontier.root(), vectors::root(0));
        for (leaf, size) in vectors::leaves().into_iter().zip(1..) {
            frontier.push(leaf);
            assert_eq!(frontier.root(), vectors::root(size));
            assert_eq!(frontier.size(), size as u64);
        }
    }

    #[test]
    fn roots_are_those_of_the_recursive_definition() {
        let leaves: Vec<Hash> = (0u32..300).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        let mut frontier = Frontier::new();
        for size in 1..=leaves.len() {
            frontier.push(leaves[size - 1]);
            assert_eq!(frontier.root(), naive_root(&leaves[..size]), "size {size}");
        }
    }

    proptest! {
        #[test]
        fn bytes_round_trip_and_appending_goes_on(size in 0u32..2000, more in 0u32..40) {
            let leaf = |i: u32| leaf_hash(&i.to_be_bytes());
            let whole: Frontier = (0..size + more).map(leaf).collect();
            let first: Frontier = (0..size).map(leaf).collect();
            let mut resumed = Frontier::from_bytes(&first.to_bytes()).unwrap();
            prop_assert_eq!(&resumed, &first);
            resumed.extend((size..size + more).map(leaf));
            prop_assert_eq!(resumed, whole);
        }
    }

    #[test]
    fn wrong_lengths_and_sizes_are_refused() {
        let bytes = (0u32..5)
            .map(|i| leaf_hash(&i.to_be_bytes()))
            .collect::<Frontier>()
            .to_bytes();
        assert_eq!(bytes.len(), 8 + 2 * 32);
        for length in 0..bytes.len() {
            assert_eq!(
                Frontier::from_bytes(&bytes[..length]),
                Err(InvalidFrontier::Length(length))
            );
        }
        let longer = [bytes.as_slice(), &[0; 32]].concat();
        assert_eq!(
            Frontier::from_bytes(&longer),
            Err(InvalidFrontier::Length(longer.len()))
        );
        let huge = u64::MAX.to_be_bytes();
        assert_eq!(Frontier::from_bytes(&huge), Err(InvalidFrontier::Size(u64::MAX)));
    }
}
