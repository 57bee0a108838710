//! The rows that are covered, as messages: the bytes that icomm sends of each.

use icomm_proto::SectionSet;

use crate::compare::{delivered, rows, sealed, series::Sample, workload::Bench};

/// Messages one after the other, in the order of the rows.
pub(super) struct Messages {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Messages {
    /// Those of a workload's rows.
    pub(super) fn of(bench: &Bench) -> anyhow::Result<Self> {
        let rows = rows::file(bench, bench.size)?;
        let mut messages = Self {
            bytes: Vec::new(),
            ends: Vec::new(),
        };
        sealed::each(&rows, |view| {
            if sealed::covered(&view)? {
                view.write_redacted(SectionSet::open(), &mut messages.bytes);
                messages.ends.push(messages.bytes.len());
            }
            Ok(())
        })?;
        let (count, covered) = (messages.count(), rows.covered()?);
        anyhow::ensure!(
            count == covered,
            "{count} cases are covered, but {covered} rows; this is a fault of the comparison"
        );
        Ok(messages)
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.ends.len() as u64
    }

    /// A sample with how large a message is.
    pub(super) fn beside(&self, sample: Sample) -> Sample {
        sample.with(delivered::BYTES, self.bytes.len() as f64 / self.count() as f64)
    }

    /// One after the other.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges = begins.zip(&self.ends);
        ranges.map(|(begin, end)| self.bytes.get(begin..*end).unwrap_or_default())
    }
}
