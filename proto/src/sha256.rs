//! SHA-256 of short messages: entries, sections and pairs of hashes, of which a log has millions.
//!
//! ```text
//! message | 0x80 | zeros | length in bits u64 BE          whole blocks of 64 bytes (FIPS 180-4, 5.1.1)
//! ```
//!
//! A message of several parts is laid out with its padding first and then compressed in one call. A hasher that is fed
//! part by part compresses in several, and what it does between them costs a quarter of the whole.

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// Bytes of a hash.
pub(crate) const HASH_BYTES: usize = 32;
const BLOCK_BYTES: usize = 64;
/// Bytes of the padding that are always there: the mark and the length.
const PADDING_BYTES: usize = 1 + 8;
/// The state before the first block (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The hash of the parts, one after the other. Quick for what fits into `BLOCKS` blocks with its padding, right for any.
pub(crate) fn sha256<const BLOCKS: usize>(parts: &[&[u8]]) -> [u8; HASH_BYTES] {
    let mut blocks = [[0; BLOCK_BYTES]; BLOCKS];
    let mut rest = blocks.as_flattened_mut();
    let mut len = 0;
    for part in parts {
        let Some((place, after)) = rest.split_at_mut_checked(part.len()) else {
            return long(parts);
        };
        place.copy_from_slice(part);
        rest = after;
        len += part.len();
    }
    let used = (len + PADDING_BYTES).div_ceil(BLOCK_BYTES);
    let Some(blocks) = blocks.get_mut(..used) else {
        return long(parts);
    };
    if let Some(mark) = blocks.as_flattened_mut().get_mut(len) {
        *mark = 0x80;
    }
    if let Some(place) = blocks.as_flattened_mut().last_chunk_mut() {
        *place = (8 * len as u64).to_be_bytes();
    }
    let mut state = INITIAL;
    compress256(&mut state, blocks);
    let mut hash = [0; HASH_BYTES];
    for (place, word) in hash.as_chunks_mut().0.iter_mut().zip(state) {
        *place = word.to_be_bytes();
    }
    hash
}

#[cold]
fn long(parts: &[&[u8]]) -> [u8; HASH_BYTES] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_length_around_the_blocks_is_hashed_as_by_a_hasher() {
        for len in 0..=6 * BLOCK_BYTES {
            let message: Vec<u8> = (0..len).map(|i| i as u8 ^ 0xa5).collect();
            let expected: [u8; HASH_BYTES] = Sha256::digest(&message).into();
            assert_eq!(sha256::<4>(&[&message]), expected, "{len} bytes");
            let (a, b) = message.split_at(len / 3);
            assert_eq!(sha256::<4>(&[a, &[], b]), expected, "{len} bytes in parts");
        }
    }

    proptest! {
        #[test]
        fn any_parts_are_hashed_as_by_a_hasher(parts in proptest::collection::vec(any::<Vec<u8>>(), 0..5)) {
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let expected: [u8; HASH_BYTES] = Sha256::digest(parts.concat()).into();
            prop_assert_eq!(sha256::<2>(&parts), expected);
            prop_assert_eq!(sha256::<5>(&parts), expected);
        }
    }
}
