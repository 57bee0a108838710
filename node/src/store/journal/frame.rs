//! Bytes of the journal: segments, batches and their parts. All numbers are big-endian.
//!
//! ```text
//! segment   head 36 | batch | batch | …
//!   head    "icommsg2" | number u32 | sequence of its first batch u64 | chain u32 | salt u64 | crc u32
//!
//! batch     head 40 | part | part | …                        whole or void
//!   head    "icb1" | length of the parts u32 | sequence u64 | durable u64 | parts u32 | crc of all part heads u32
//!           | chain u32 | crc u32
//!
//! part      head 24 | meta | body
//!   head    kind u8 | 0 0 0 | meta length u32 | body length u32 | meta crc u32 | body crc u32 | crc u32
//! ```
//!
//! Every byte is under a CRC-32: of the head, the meta or the body that it belongs to. `chain` is the crc of the batch
//! head before, so that batches can't be swapped or left out unnoticed, nor can segments. `durable` is the offset up
//! to which the segment was synced when the batch was written: if it can be read, everything before that offset was
//! acknowledged, and damage there is damage, not a torn write. `salt` is a secret of the store that goes into the crc of
//! every batch head: nobody can put bytes into a record that look like a batch when a damaged segment is searched.

/// Length of a segment's head.
pub(crate) const SEGMENT_HEAD: usize = 36;
/// Length of a batch's head.
pub(crate) const BATCH_HEAD: usize = 40;
/// Length of a part's head.
pub(crate) const PART_HEAD: usize = 24;
/// What a batch begins with.
pub(crate) const BATCH_MAGIC: [u8; 4] = *b"icb1";

const SEGMENT_MAGIC: [u8; 8] = *b"icommsg2";

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    pub(crate) number: u32,
    /// The sequence number of the first batch.
    pub(crate) sequence: u64,
    /// The chain value before the first batch.
    pub(crate) chain: u32,
    /// The same in all segments of a store.
    pub(crate) salt: u64,
}

/// The head of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHead {
    /// The length of the parts together.
    pub(crate) len: u32,
    pub(crate) sequence: u64,
    /// Up to where the segment was synced when this was written.
    pub(crate) durable: u64,
    pub(crate) parts: u32,
    /// Over all part heads.
    pub(crate) parts_crc: u32,
    /// The crc of the batch head before this one.
    pub(crate) chain: u32,
}

/// The head of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartHead {
    pub(crate) kind: u8,
    pub(crate) meta_len: u32,
    pub(crate) body_len: u32,
    pub(crate) meta_crc: u32,
    pub(crate) body_crc: u32,
}

/// Reads fixed-size fields from the front of bytes.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(first)
    }
}

fn crc(bytes: &[u8], salt: u64) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_be_bytes());
    crc.update(bytes);
    crc.finalize()
}

/// Splits off the crc at the end of a head; None unless it is right.
pub(crate) fn checked<const N: usize>(head: &[u8; N], salt: u64) -> Option<(Fields<'_>, u32)> {
    let (bytes, found) = head.split_last_chunk::<4>()?;
    let found = u32::from_be_bytes(*found);
    (crc(bytes, salt) == found).then_some((Fields(bytes), found))
}

/// Puts the crc over everything before it at the end of a head.
pub(crate) fn sealed<const N: usize>(fields: &[&[u8]], salt: u64) -> [u8; N] {
    let mut bytes = fields.concat();
    bytes.extend_from_slice(&crc(&bytes, salt).to_be_bytes());
    debug_assert_eq!(bytes.len(), N, "the fields of a head have a fixed length");
    bytes.try_into().unwrap_or([0; N])
}

impl SegmentHead {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEAD] {
        let Self {
            number,
            sequence,
            chain,
            salt,
        } = self;
        let (number, sequence, chain) = (number.to_be_bytes(), sequence.to_be_bytes(), chain.to_be_bytes());
        sealed(&[&SEGMENT_MAGIC, &number, &sequence, &chain, &salt.to_be_bytes()], 0)
    }

    pub(crate) fn decode(bytes: &[u8; SEGMENT_HEAD]) -> Option<Self> {
        let (mut fields, _) = checked(bytes, 0)?;
        if fields.take()? != SEGMENT_MAGIC {
            return None;
        }
        Some(Self {
            number: fields.u32()?,
            sequence: fields.u64()?,
            chain: fields.u32()?,
            salt: fields.u64()?,
        })
    }
}

impl BatchHead {
    pub(crate) fn encode(&self, salt: u64) -> [u8; BATCH_HEAD] {
        let Self {
            len,
            sequence,
            durable,
            parts,
            parts_crc,
            chain,
        } = self;
        let fields: [&[u8]; 7] = [
            &BATCH_MAGIC,
            &len.to_be_bytes(),
            &sequence.to_be_bytes(),
            &durable.to_be_bytes(),
            &parts.to_be_bytes(),
            &parts_crc.to_be_bytes(),
            &chain.to_be_bytes(),
        ];
        sealed(&fields, salt)
    }

    /// The head, and the chain value for the batch after it.
    pub(crate) fn decode(bytes: &[u8; BATCH_HEAD], salt: u64) -> Option<(Self, u32)> {
        let (mut fields, crc) = checked(bytes, salt)?;
        if fields.take()? != BATCH_MAGIC {
            return None;
        }
        let head = Self {
            len: fields.u32()?,
            sequence: fields.u64()?,
            durable: fields.u64()?,
            parts: fields.u32()?,
            parts_crc: fields.u32()?,
            chain: fields.u32()?,
        };
        Some((head, crc))
    }
}

/// The chain value after a batch with this head.
pub(crate) fn chain_after(head: &[u8; BATCH_HEAD]) -> u32 {
    head.last_chunk::<4>().map_or(0, |crc| u32::from_be_bytes(*crc))
}

impl PartHead {
    pub(crate) fn of(kind: u8, meta: &[u8], body: &[u8]) -> Self {
        Self {
            kind,
            // Batches are bounded far below 4 GiB before they come here.
            meta_len: u32::try_from(meta.len()).unwrap_or(u32::MAX),
            body_len: u32::try_from(body.len()).unwrap_or(u32::MAX),
            meta_crc: crc32fast::hash(meta),
            body_crc: crc32fast::hash(body),
        }
    }

    pub(crate) fn encode(&self) -> [u8; PART_HEAD] {
        let Self {
            kind,
            meta_len,
            body_len,
            meta_crc,
            body_crc,
        } = self;
        let fields: [&[u8]; 5] = [
            &[*kind, 0, 0, 0],
            &meta_len.to_be_bytes(),
            &body_len.to_be_bytes(),
            &meta_crc.to_be_bytes(),
            &body_crc.to_be_bytes(),
        ];
        sealed(&fields, 0)
    }

    pub(crate) fn decode(bytes: &[u8; PART_HEAD]) -> Option<Self> {
        let (mut fields, _) = checked(bytes, 0)?;
        let [kind, 0, 0, 0] = fields.take()? else { return None };
        Some(Self {
            kind,
            meta_len: fields.u32()?,
            body_len: fields.u32()?,
            meta_crc: fields.u32()?,
            body_crc: fields.u32()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn heads_round_trip(number: u32, sequence: u64, durable: u64, len: u32, parts: u32, crc: u32, kind: u8) {
            let segment = SegmentHead { number, sequence, chain: crc, salt: durable };
            prop_assert_eq!(SegmentHead::decode(&segment.encode()), Some(segment));
            let batch = BatchHead { len, sequence, durable, parts, parts_crc: crc, chain: number };
            let bytes = batch.encode(7);
            prop_assert_eq!(BatchHead::decode(&bytes, 8), None);
            prop_assert_eq!(BatchHead::decode(&bytes, 7), Some((batch, chain_after(&bytes))));
            let part = PartHead { kind, meta_len: len, body_len: parts, meta_crc: crc, body_crc: number };
            prop_assert_eq!(PartHead::decode(&part.encode()), Some(part));
        }
    }

    #[test]
    fn every_flipped_bit_of_a_head_is_noticed() {
        let segment = SegmentHead {
            number: 1,
            sequence: 2,
            chain: 3,
            salt: 4,
        }
        .encode();
        let batch = BatchHead {
            len: 1,
            sequence: 2,
            durable: 3,
            parts: 4,
            parts_crc: 5,
            chain: 6,
        }
        .encode(7);
        let part = PartHead::of(1, b"meta", b"body").encode();
        for bit in 0..8 * BATCH_HEAD {
            let flipped = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                if let Some(byte) = bytes.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
                bytes
            };
            assert_eq!(BatchHead::decode(&flipped(&batch).try_into().unwrap(), 7), None);
            if bit < 8 * SEGMENT_HEAD {
                assert_eq!(SegmentHead::decode(&flipped(&segment).try_into().unwrap()), None);
            }
            if bit < 8 * PART_HEAD {
                assert_eq!(PartHead::decode(&flipped(&part).try_into().unwrap()), None);
            }
        }
    }
}
