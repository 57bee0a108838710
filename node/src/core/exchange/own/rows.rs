//! Rows of imported files whose entries came back from others: the keys that keep a row from being issued twice are known to
//! nobody else, so such a row is known again by what is in it.
//!
//! An entry stands for a row if everything that came back of it is in the row's record, the exact section among it; then the
//! row's key is its. Entries of which less came back match nothing: many records generalise to the same open section, and a
//! new one must not be taken for an old one. INVARIANT: an entry stands for one row.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::Ordering;

use data_encoding::HEXLOWER;
use icomm_proto::log::ItemRef;
use icomm_proto::{EntryKind, SectionKind, SectionSet, View, ViewRef};
use sha2::{Digest, Sha256};

use super::{Exchange, RECOVERED_PREFIX, Recovered};
use crate::core::delivery;
use crate::core::exchange::lock;
use crate::store::{Batch, IntakeKey, StoreError};

/// Before the key of a row, in hexadecimal digits: the index of the entry that came back for it.
const ROW_PREFIX: &str = "recovery/row/";

/// The entries that came back, by what is in them.
#[derive(Default)]
pub(super) struct Rows {
    /// Which sections came back of any.
    sets: Vec<SectionSet>,
    entries: HashMap<[u8; 32], VecDeque<u64>>,
    known: HashMap<String, u64>,
}

impl Exchange {
    /// The index of the entry that this row was issued as, if it came back from others.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn issued_before(&self, key: &IntakeKey, view: &View) -> Result<Option<u64>, StoreError> {
        if !self.own.has_recovered.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut rows = lock(&self.own.rows);
        let rows = match &mut *rows {
            Some(rows) => rows,
            unread => unread.insert(self.read_rows()?),
        };
        let name = HEXLOWER.encode(key.as_bytes());
        if let Some(index) = rows.known.get(&name) {
            return Ok(Some(*index));
        }
        let Some(index) = rows.take(&view.borrowed()) else {
            return Ok(None);
        };
        // Found again if a power cut takes it.
        let value = index.to_be_bytes().to_vec();
        self.store.ride(Batch::new().set(format!("{ROW_PREFIX}{name}"), value));
        rows.known.insert(name, index);
        Ok(Some(index))
    }

    fn read_rows(&self) -> Result<Rows, StoreError> {
        let mut rows = Rows::default();
        for (key, index) in self.store.scan_state(ROW_PREFIX)? {
            let index = index.as_ref().try_into().ok().map(u64::from_be_bytes);
            if let Some((name, index)) = key.strip_prefix(ROW_PREFIX).zip(index) {
                rows.known.insert(name.to_owned(), index);
            }
        }
        let Some(origin) = self.own.lock().as_ref().map(|state| state.origin.clone()) else {
            return Ok(rows);
        };
        let taken: HashSet<u64> = rows.known.values().copied().collect();
        for (_, bytes) in self.store.scan_state(RECOVERED_PREFIX)? {
            let Ok(Recovered { from, to, .. }) = serde_json::from_slice(&bytes) else {
                continue;
            };
            let mut next = from;
            while next < to {
                let Some(stretch) = self.store.read(&origin, next, delivery::READ_LIMIT)? else {
                    break;
                };
                for (index, item) in (next..to).zip(stretch.items()) {
                    if !taken.contains(&index) {
                        rows.add(index, item);
                    }
                }
                next = stretch.end.size();
            }
        }
        Ok(rows)
    }
}

impl Rows {
    fn add(&mut self, index: u64, item: ItemRef<'_>) {
        let ItemRef::Disclosed(bytes) = item else { return };
        let Ok(view) = ViewRef::parse(bytes) else { return };
        let sections = view.sections();
        if view.entry().head().kind != EntryKind::Issue || !sections.contains(SectionKind::Exact) {
            return;
        }
        if !self.sets.contains(&sections) {
            self.sets.push(sections);
        }
        self.entries
            .entry(digest(&view, sections))
            .or_default()
            .push_back(index);
    }

    fn take(&mut self, view: &ViewRef<'_>) -> Option<u64> {
        let Self { sets, entries, .. } = self;
        let fitting = sets.iter().filter(|set| set.is_subset(view.sections()));
        fitting
            .map(|set| digest(view, *set))
            .find_map(|digest| entries.get_mut(&digest)?.pop_front())
    }
}

/// Of what is in some sections of a record.
fn digest(view: &ViewRef<'_>, sections: SectionSet) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(sections.to_string());
    for kind in sections.iter() {
        let section = view.section(kind).unwrap_or_default();
        hash.update((section.len() as u64).to_be_bytes());
        hash.update(section);
    }
    hash.finalize().into()
}
