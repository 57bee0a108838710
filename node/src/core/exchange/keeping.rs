//! What is kept of another node's ledger.
//!
//! ```text
//!  kept:    frontier's length 2 | frontier | marks 2 | each: size 8, root 32 | checkpoint      marks: earlier heads, thinned
//!  former:  JSON, the epochs that are over, oldest first
//! ```
//!
//! The hashes themselves are not kept. The marks tell whether a ledger that began anew is the same up to there: the older they
//! are, the farther they lie apart, an eighth of their age.

use bytes::Bytes;
use icomm_pki::LogEnd;
use icomm_proto::log::{Frontier, Hash};
use serde::{Deserialize, Serialize};

use crate::core::ledger::epoch::{EPOCHS_MAX, end};
use crate::core::ledger::{EpochId, Line};

/// The most epochs that are kept of one ledger, beside the one that goes on. As many as there can be.
pub(super) const FORMER_MAX: usize = EPOCHS_MAX;
/// How far apart marks lie, as a part of their age.
const SPREAD: u64 = 8;

/// Of the epoch that goes on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Kept {
    pub(super) frontier: Frontier,
    pub(super) checkpoint: Bytes,
    /// Heads that were kept, in order; the last is this one.
    marks: Vec<(u64, Hash)>,
}

/// What was kept of a ledger before it began anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// Which epoch is over.
    pub epoch: EpochId,
    /// When that was learnt, in seconds since 1970.
    pub since: u64,
    /// So many notes were signed of it for sure.
    pub signed: u64,
    /// So many of them at least are still there and the same.
    pub unchanged: u64,
    /// Its last head, a signed note.
    pub checkpoint: String,
    /// Heads that are not compared yet.
    marks: Vec<LogEnd>,
}

impl Kept {
    /// The frontier is signed now.
    pub(super) fn signed(&mut self, checkpoint: Bytes) {
        self.checkpoint = checkpoint;
        let size = self.frontier.size();
        if self.marks.last().is_none_or(|(last, _)| *last < size) {
            self.marks.push((size, self.frontier.root()));
            self.thin();
        }
    }

    fn thin(&mut self) {
        let head = self.frontier.size();
        let mut next = head;
        let mut kept = Vec::with_capacity(self.marks.len());
        for (size, root) in self.marks.drain(..).rev() {
            let (gap, age) = (next.saturating_sub(size), head.saturating_sub(size));
            if size == head || gap > age / SPREAD {
                kept.push((size, root));
                next = size;
            }
        }
        kept.reverse();
        self.marks = kept;
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let frontier = self.frontier.to_bytes();
        // A frontier has at most 8 + 48 × 32 bytes, and there are a few hundred marks.
        let len = |len: usize| u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
        let mut bytes = [&len(frontier.len())[..], &frontier, &len(self.marks.len())].concat();
        for (size, root) in &self.marks {
            bytes.extend_from_slice(&size.to_be_bytes());
            bytes.extend_from_slice(root.as_bytes());
        }
        bytes.extend_from_slice(&self.checkpoint);
        bytes
    }

    pub(super) fn decode(bytes: &Bytes) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk::<2>()?;
        let (frontier, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
        let (count, rest) = rest.split_first_chunk::<2>()?;
        let (marks, checkpoint) = rest.split_at_checked(40 * usize::from(u16::from_be_bytes(*count)))?;
        let marks = marks.as_chunks::<40>().0.iter().filter_map(|mark| {
            let (size, root) = mark.split_first_chunk::<8>()?;
            Some((u64::from_be_bytes(*size), Hash::try_from(root).ok()?))
        });
        Some(Self {
            frontier: Frontier::from_bytes(frontier).ok()?,
            marks: marks.collect(),
            checkpoint: Bytes::copy_from_slice(checkpoint),
        })
    }
}

impl Former {
    /// What was kept is of an epoch that is over.
    pub(super) fn of(kept: Kept, line: &Line, now: u64) -> Self {
        Self {
            epoch: line.epoch_of(&kept.checkpoint),
            since: now,
            signed: kept.frontier.size(),
            unchanged: 0,
            checkpoint: String::from_utf8_lossy(&kept.checkpoint).into_owned(),
            marks: kept.marks.iter().map(|(size, root)| end(*size, root)).collect(),
        }
    }

    /// Compares with the epoch that followed, one note after the other; whether something was learnt.
    pub(super) fn compare(&mut self, next: &Frontier) -> bool {
        let Some(mark) = self.marks.first().filter(|mark| mark.size == next.size()) else {
            return false;
        };
        if *mark == end(next.size(), &next.root()) {
            self.unchanged = mark.size;
            self.marks.remove(0);
        } else {
            // What follows on another history is another.
            self.marks.clear();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use icomm_proto::log::leaf_hash;
    use proptest::prelude::*;

    use super::*;

    fn grown(sizes: &[u64]) -> Kept {
        let mut kept = Kept::default();
        for (number, more) in sizes.iter().enumerate() {
            (0..*more).for_each(|note| kept.frontier.push(leaf_hash(&[number as u8, note as u8])));
            kept.signed(Bytes::from(format!("note {number}")));
        }
        kept
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_kept_reads_back(sizes in prop::collection::vec(1..40u64, 0..60), cut in any::<prop::sample::Index>()) {
            let kept = grown(&sizes);
            let bytes = Bytes::from(kept.encode());
            prop_assert_eq!(Kept::decode(&bytes), Some(kept));
            // Whatever is cut off, it does not panic.
            let _ = Kept::decode(&bytes.slice(..cut.index(bytes.len())));
        }
    }

    #[test]
    fn marks_are_few_the_last_is_the_head_and_no_gap_is_wider_than_a_part_of_its_age() {
        let kept = grown(&vec![1; 20_000]);
        let sizes: Vec<u64> = kept.marks.iter().map(|(size, _)| *size).collect();
        assert!(sizes.len() < 150, "{}", sizes.len());
        assert_eq!(sizes.last(), Some(&20_000));
        for pair in sizes.windows(2) {
            let (gap, age) = (pair[1] - pair[0], 20_000 - pair[0]);
            assert!(gap <= age / 3 + 1, "{pair:?}");
        }
    }
}
