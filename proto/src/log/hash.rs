//! RFC 6962 hashing with SHA-256.
//!
//! ```text
//! leaf   SHA-256(0x00 ‖ entry)
//! node   SHA-256(0x01 ‖ left ‖ right)
//! empty  SHA-256("")
//! ```

use std::{fmt, str::FromStr};

use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest, Sha256};

use crate::sha256::sha256;

/// A hash in the Merkle tree: of an entry (a leaf), of two nodes, or the root. Shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Bytes in a hash.
    pub const LEN: usize = 32;

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads the base64 of the 32 bytes, as checkpoints and proofs write it.
    ///
    /// # Errors
    /// It is not base64, or not of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, InvalidHash> {
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| InvalidHash)?;
        Self::try_from(bytes.as_slice())
    }

    /// The base64 of the 32 bytes.
    #[must_use]
    pub fn to_base64(&self) -> String {
        BASE64.encode(&self.0)
    }

    /// The 32 bytes, by value.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<Hash> for [u8; 32] {
    fn from(hash: Hash) -> Self {
        hash.0
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = InvalidHash;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidHash> {
        bytes.try_into().map(Self).map_err(|_| InvalidHash)
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| InvalidHash)?;
        Self::try_from(bytes.as_slice())
    }
}

/// Not a hash: it must be 32 bytes, written as 64 lower-case hexadecimal digits where base64 is not the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 32 bytes, written as 64 lower-case hexadecimal digits")]
pub struct InvalidHash;

/// The leaf hash of an entry: SHA-256(0x00 ‖ entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    /// The longest entry, with its prefix and padding.
    const BLOCKS: usize = 5;
    Hash(sha256::<BLOCKS>(&[&[0], entry]))
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(sha256::<2>(&[&[1], &left.0, &right.0]))
}

/// The root of a log without entries: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    Hash(Sha256::digest(b"").into())
}

#[cfg(test)]
pub(crate) mod vectors {
    //! The test vectors of Certificate Transparency's reference implementation: eight entries, the root after each.

    use data_encoding::HEXLOWER;

    use super::{Hash, leaf_hash};

    pub(crate) const ENTRIES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    pub(crate) const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    pub(crate) fn hash(text: &str) -> Hash {
        text.parse().unwrap()
    }

    pub(crate) fn leaves() -> Vec<Hash> {
        ENTRIES
            .iter()
            .map(|entry| leaf_hash(&HEXLOWER.decode(entry.as_bytes()).unwrap()))
            .collect()
    }

    /// The root after `size` entries.
    pub(crate) fn root(size: usize) -> Hash {
        hash(ROOTS[size])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_rfc_6962() {
        let leaves = vectors::leaves();
        assert_eq!(empty_root(), vectors::root(0));
        assert_eq!(leaves[0], vectors::root(1));
        assert_eq!(node_hash(&leaves[0], &leaves[1]), vectors::root(2));
    }

    #[test]
    fn text_is_64_lower_case_digits() {
        let hash = leaf_hash(b"entry");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(hash.to_string().to_uppercase().parse::<Hash>(), Err(InvalidHash));
        assert_eq!("00".parse::<Hash>(), Err(InvalidHash));
        assert_eq!(Hash::try_from([0; 31].as_slice()), Err(InvalidHash));
    }
}
