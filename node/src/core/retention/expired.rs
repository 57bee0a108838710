//! What is over of a log: never stored again, whoever sends it and under whatever terms.

use std::collections::BTreeMap;
use std::ops::Range;

use icomm_proto::log::{ChunkBody, ChunkBuilder, InvalidChunkBody, ItemRef};
use icomm_proto::{SectionSet, ViewRef};

use super::Expiry;
use crate::store::Spans;

/// The expired sections of one log's entries.
#[derive(Debug, Clone, Default)]
pub struct Expired(BTreeMap<SectionSet, Spans>);

impl Expired {
    /// Adds what an expiry says.
    pub fn add(&mut self, expiry: &Expiry) {
        for span in &expiry.spans {
            self.0.entry(span.sections).or_default().insert(span.range());
        }
    }

    /// The expired sections of an entry.
    pub fn of(&self, index: u64) -> SectionSet {
        let those = self.0.iter().filter(|(_, spans)| spans.contains(index));
        those.fold(SectionSet::EMPTY, |all, (sections, _)| all.union(*sections))
    }

    /// Whether anything expired of any of these entries.
    pub fn concerns(&self, entries: &Range<u64>) -> bool {
        self.0.values().any(|spans| spans.overlaps(entries))
    }

    /// The same entries, from index `from` on, with nothing that expired.
    pub fn strip(&self, body: &ChunkBody, from: u64) -> Result<ChunkBody, InvalidChunkBody> {
        let mut rest = ChunkBuilder::with_capacity(body.bytes().len());
        for (item, index) in body.item_refs().zip(from..) {
            let expired = self.of(index);
            match item {
                ItemRef::Withheld(leaf) => rest.withhold(&leaf),
                ItemRef::Disclosed(bytes) => match ViewRef::parse(bytes) {
                    Ok(view) if !expired.is_empty() => {
                        rest.disclose_with(|out| view.write_redacted(SectionSet::ALL.difference(expired), out))
                    }
                    // What is no view is refused by verification.
                    Ok(_) | Err(_) => rest.disclose(bytes),
                },
            };
        }
        rest.finish()
    }
}
