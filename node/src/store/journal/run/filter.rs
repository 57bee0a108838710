//! A Bloom filter: says of most keys that are not in a run that they are not, so that a search looks into few runs.
//!
//! Ten bits and seven probes a key: one key in a hundred that is not there seems to be, which costs reading a block. A peer
//! that chooses record ids to be found everywhere gains nothing but that.

/// Bits for each key.
const BITS_PER_KEY: u64 = 10;
/// Bits looked at for each key.
const PROBES: u64 = 7;

/// A filter.
#[derive(Debug)]
pub(super) struct Filter(Vec<u8>);

impl Filter {
    /// Of so many keys.
    pub(super) fn of<'a>(count: usize, keys: impl Iterator<Item = &'a [u8; 16]>) -> Self {
        let mut bits = vec![0; (count as u64 * BITS_PER_KEY).div_ceil(8) as usize];
        for key in keys {
            for (byte, mask) in probes(key, bits.len()) {
                if let Some(byte) = bits.get_mut(byte) {
                    *byte |= mask;
                }
            }
        }
        Self(bits)
    }

    /// As it was written.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// False only if the key is not there.
    pub(super) fn may_hold(&self, key: &[u8; 16]) -> bool {
        probes(key, self.0.len()).all(|(byte, mask)| self.0.get(byte).is_some_and(|found| found & mask != 0))
    }
}

/// The bits of a key: which byte, which of its bits. None of an empty filter.
fn probes(key: &[u8; 16], len: usize) -> impl Iterator<Item = (usize, u8)> {
    let bits = len as u64 * 8;
    // Record ids begin with the time, so that each half is mixed before it counts.
    let [high, low] = [key.first_chunk::<8>(), key.last_chunk::<8>()]
        .map(|half| half.map_or(0, |half| mix(u64::from_be_bytes(*half))));
    let (first, step) = (high ^ low.rotate_left(32), mix(low ^ high.rotate_left(17)) | 1);
    (0..PROBES).filter_map(move |probe| {
        let bit = first.wrapping_add(probe.wrapping_mul(step)).checked_rem(bits)?;
        Some(((bit / 8) as usize, 1 << (bit % 8)))
    })
}

/// The finalizer of SplitMix64: every bit of the result depends on every bit of the value.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::Filter;

    /// Keys as hashes are, and as record ids are: the time, then chance.
    fn keys(count: u64) -> Vec<[u8; 16]> {
        let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let of = |number: u64| match number % 2 {
            0 => (u128::from(spread(number)) << 64 | u128::from(spread(!number))).to_be_bytes(),
            _ => (u128::from(number / 500) << 64 | u128::from(spread(number))).to_be_bytes(),
        };
        (0..count).map(of).collect()
    }

    #[test]
    fn what_is_there_is_found_and_little_else() {
        let all = keys(40_000);
        let (held, others) = all.split_at(20_000);
        let filter = Filter::of(held.len(), held.iter());
        let filter = Filter::from_bytes(filter.bytes());
        assert!(held.iter().all(|key| filter.may_hold(key)));
        let wrong = others.iter().filter(|key| filter.may_hold(key)).count();
        assert!(wrong < 400, "{wrong} of {}", others.len());
    }

    #[test]
    fn an_empty_filter_says_nothing() {
        // `all` of no probes: its run has no rows to be looked into either.
        assert!(Filter::of(0, [].iter()).may_hold(&[1; 16]));
    }
}
