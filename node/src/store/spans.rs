//! A set of indices of a log, as stretches.

use std::collections::BTreeMap;
use std::ops::Range;

/// Indices, kept as stretches that neither touch nor overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(BTreeMap<u64, u64>);

impl Spans {
    /// Adds a stretch.
    pub fn insert(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range;
        if start >= end {
            return;
        }
        if let Some((&from, &to)) = self.0.range(..=start).next_back()
            && to >= start
        {
            start = from;
            end = end.max(to);
        }
        while let Some((&from, &to)) = self.0.range(start..=end).next() {
            self.0.remove(&from);
            end = end.max(to);
        }
        self.0.insert(start, end);
    }

    /// Whether an index is in it.
    pub fn contains(&self, index: u64) -> bool {
        self.overlaps(&(index..index.saturating_add(1)))
    }

    /// Whether any index of a stretch is in it.
    pub fn overlaps(&self, range: &Range<u64>) -> bool {
        let before = self.0.range(..range.end).next_back();
        range.start < range.end && before.is_some_and(|(_, to)| *to > range.start)
    }

    /// The stretches, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.0.iter().map(|(from, to)| *from..*to)
    }

    /// How many stretches there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no index in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From the first index to behind the last; an empty stretch if there is none.
    pub fn bounds(&self) -> Range<u64> {
        let first = self.0.keys().next().copied().unwrap_or(0);
        first..self.0.values().next_back().copied().unwrap_or(first)
    }

    /// Pairs of first index and number.
    pub fn to_pairs(&self) -> Vec<u64> {
        self.iter()
            .flat_map(|span| [span.start, span.end - span.start])
            .collect()
    }

    /// From such pairs; a pair beyond the last index there can be counts up to that.
    pub fn from_pairs(pairs: &[u64]) -> Self {
        let mut spans = Self::default();
        let (pairs, _) = pairs.as_chunks::<2>();
        for [from, count] in pairs {
            spans.insert(*from..from.saturating_add(*count));
        }
        spans
    }
}

impl FromIterator<u64> for Spans {
    fn from_iter<I: IntoIterator<Item = u64>>(indices: I) -> Self {
        let mut spans = Self::default();
        for index in indices {
            spans.insert(index..index.saturating_add(1));
        }
        spans
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stretches_are_the_set_of_their_indices(ranges in proptest::collection::vec((0..60_u64, 0..12_u64), 0..20)) {
            let (mut spans, mut naive) = (Spans::default(), BTreeSet::new());
            for (from, count) in ranges {
                spans.insert(from..from + count);
                naive.extend(from..from + count);
            }
            let listed: Vec<u64> = spans.iter().flatten().collect();
            prop_assert_eq!(&listed, &naive.iter().copied().collect::<Vec<_>>());
            let ends: Vec<(u64, u64)> = spans.iter().map(|span| (span.start, span.end)).collect();
            prop_assert!(ends.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", ends);
            for index in 0..80 {
                prop_assert_eq!(spans.contains(index), naive.contains(&index));
                for end in index..80 {
                    prop_assert_eq!(spans.overlaps(&(index..end)), naive.range(index..end).next().is_some());
                }
            }
            prop_assert_eq!(&Spans::from_pairs(&spans.to_pairs()), &spans);
            prop_assert_eq!(&naive.iter().copied().collect::<Spans>(), &spans);
            prop_assert_eq!(spans.bounds().end, naive.last().map_or(0, |last| last + 1));
        }
    }

    #[test]
    fn pairs_of_a_peer_or_a_disk_that_lie_do_no_harm() {
        assert_eq!(Spans::from_pairs(&[5]), Spans::default());
        assert_eq!(Spans::from_pairs(&[u64::MAX, 3]), Spans::default());
        assert_eq!(
            Spans::from_pairs(&[u64::MAX - 1, u64::MAX]).bounds(),
            u64::MAX - 1..u64::MAX
        );
    }
}
