//! Record ids and intake keys of one segment, in memory: rows in the order of arrival, sorted when that pays.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use icomm_proto::{
    Origin,
    log::{ChunkBody, ItemRef},
};

use super::part::{Meta, Part};
use crate::store::{Place, batch::record_id};

/// How many unsorted rows a search walks through before it sorts them.
const UNSORTED_MAX: usize = 1024;

/// What is searched for: both kinds are 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Record,
    Intake,
}

/// One key and where it occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) key: [u8; 16],
    /// The log's number in this table.
    pub(crate) log: u16,
    pub(crate) index: u64,
}

/// The keys of one segment.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) logs: Vec<Origin>,
    numbers: HashMap<Origin, u16>,
    records: Mutex<Rows>,
    intake: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    rows: Vec<Row>,
    // INVARIANT: the first `sorted` rows are sorted.
    sorted: usize,
}

impl Rows {
    fn sort(&mut self) {
        self.rows.sort_unstable();
        self.sorted = self.rows.len();
    }

    fn find(&mut self, key: &[u8; 16], found: &mut Vec<Row>) {
        if self.rows.len() - self.sorted > UNSORTED_MAX {
            // Record ids grow with time, so this is nearly sorted already, and cheap.
            self.rows.sort();
            self.sorted = self.rows.len();
        }
        let (sorted, unsorted) = self.rows.split_at_checked(self.sorted).unwrap_or_default();
        let first = sorted.partition_point(|row| row.key < *key);
        let equal = sorted
            .get(first..)
            .unwrap_or_default()
            .iter()
            .take_while(|row| row.key == *key);
        found.extend(equal.chain(unsorted.iter().filter(|row| row.key == *key)));
    }
}

impl Table {
    fn number(&mut self, origin: &Origin) -> Option<u16> {
        if let Some(number) = self.numbers.get(origin) {
            return Some(*number);
        }
        let number = u16::try_from(self.logs.len()).ok()?;
        self.logs.push(origin.clone());
        self.numbers.insert(origin.clone(), number);
        Some(number)
    }

    /// Whether it has no room for the keys of more logs: then its segment must end.
    pub(crate) fn is_full(&self) -> bool {
        self.logs.len() > usize::from(u16::MAX) / 2
    }

    /// Takes in the keys of a chunk. False if the chunk's body is missing, so that its records can't be found.
    pub(crate) fn add(&mut self, part: &Part) -> bool {
        let Meta::Chunk(meta) = &part.meta else { return true };
        let Some(log) = self.number(&meta.origin) else {
            return false;
        };
        let intake = self.intake.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (offset, key) in &meta.intake_keys {
            intake.rows.push(Row {
                key: *key.as_bytes(),
                log,
                index: meta.from + u64::from(*offset),
            });
        }
        let body = part.body.clone().map(|body| ChunkBody::parse(body, meta.count));
        let Some(Ok(body)) = body else { return false };
        let records = self.records.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (item, index) in body.item_refs().zip(meta.from..) {
            if let ItemRef::Disclosed(view) = item
                && let Some(key) = record_id(view)
            {
                records.rows.push(Row { key, log, index });
            }
        }
        true
    }

    /// Every place of a key.
    pub(crate) fn find(&self, kind: KeyKind, key: &[u8; 16]) -> Vec<Place> {
        let rows = match kind {
            KeyKind::Record => &self.records,
            KeyKind::Intake => &self.intake,
        };
        let mut found = Vec::new();
        rows.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .find(key, &mut found);
        places(&self.logs, &found)
    }

    /// Its rows, sorted and without doubles.
    pub(crate) fn sorted(&self, kind: KeyKind) -> Vec<Row> {
        let rows = match kind {
            KeyKind::Record => &self.records,
            KeyKind::Intake => &self.intake,
        };
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.sort();
        let mut sorted = rows.rows.clone();
        sorted.dedup();
        sorted
    }
}

/// The places that rows of a table with these logs stand for.
pub(crate) fn places(logs: &[Origin], rows: &[Row]) -> Vec<Place> {
    let place = |row: &Row| {
        Some(Place {
            origin: logs.get(usize::from(row.log))?.clone(),
            index: row.index,
        })
    };
    rows.iter().filter_map(place).collect()
}
