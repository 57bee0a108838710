//! Finding record ids and intake keys: in the table of the segment that is written to, and in the runs of the others.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, RwLock},
};

use super::{
    part::Part,
    run::{DamagedRun, Run},
    table::{KeyKind, Table},
};
use crate::store::{Damage, Place};

/// The keys of all segments.
pub(crate) struct Ids {
    active: RwLock<Table>,
    sealed: RwLock<BTreeMap<u32, Keys>>,
    /// A part whose records are not known because its body is damaged.
    unread: Mutex<Option<Damage>>,
}

/// The keys of a sealed segment.
pub(crate) enum Keys {
    /// In a file.
    Run(Run),
    /// In memory, while there is no file.
    Table(Table),
}

impl Ids {
    /// The keys as they were found; `damaged` are the parts whose keys are missing.
    pub(crate) fn new(active: Table, sealed: BTreeMap<u32, Keys>, damaged: &[Damage]) -> Self {
        let unread = Mutex::new(damaged.first().cloned());
        Self {
            active: RwLock::new(active),
            sealed: RwLock::new(sealed),
            unread,
        }
    }

    /// A part whose records can't be found, if there is one.
    pub(crate) fn unread(&self) -> Option<Damage> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in what was appended.
    pub(crate) fn add<'a>(&self, parts: impl Iterator<Item = &'a Part>) {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        for part in parts {
            active.add(part);
        }
    }

    /// Whether the segment that is written to must end, whatever its length.
    pub(crate) fn is_full(&self) -> bool {
        self.active.read().unwrap_or_else(PoisonError::into_inner).is_full()
    }

    /// Begins a new segment; the keys of the one before stay in memory until `write` has made a run of them.
    pub(crate) fn seal(&self, segment: u32, write: impl FnOnce(&Table) -> Option<Run>) {
        let table = std::mem::take(&mut *self.active.write().unwrap_or_else(PoisonError::into_inner));
        self.replace(segment, Keys::Table(table), &[]);
        let run = match self.sealed.read().unwrap_or_else(PoisonError::into_inner).get(&segment) {
            Some(Keys::Table(table)) => write(table),
            _ => None,
        };
        if let Some(run) = run {
            self.replace(segment, Keys::Run(run), &[]);
        }
    }

    /// Puts other keys in the place of a segment's; `damaged` are the parts whose keys are missing.
    pub(crate) fn replace(&self, segment: u32, keys: Keys, damaged: &[Damage]) {
        if let Some(damage) = damaged.first() {
            *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(damage.clone());
        }
        self.sealed
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(segment, keys);
    }

    /// Every place of a key, in order; or the segment whose run is damaged.
    pub(crate) fn find(&self, kind: KeyKind, key: &[u8; 16]) -> Result<Vec<Place>, u32> {
        let mut found = Vec::new();
        // The table first: what is sealed in between is then found twice, not missed.
        found.extend(
            self.active
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .find(kind, key),
        );
        for (segment, keys) in self.sealed.read().unwrap_or_else(PoisonError::into_inner).iter() {
            match keys {
                Keys::Run(run) => found.extend(run.find(kind, key).map_err(|DamagedRun| *segment)?),
                Keys::Table(table) => found.extend(table.find(kind, key)),
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }
}
