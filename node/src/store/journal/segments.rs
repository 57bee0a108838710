//! What is in each segment: where its chunks and notes are, record ids and intake keys. Of the segment that is written to
//! in a table, of the others in their runs.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use bytes::Bytes;
use icomm_proto::Origin;

use super::{
    part::{Part, Position},
    run::{DamagedRun, Run},
    table::{ChunkAt, KeyKind, Table},
};
use crate::store::{Damage, NoteLog, Place};

/// All segments.
pub(crate) struct Segments {
    inner: RwLock<Inner>,
    /// A part whose records are not known because its body is damaged.
    unread: Mutex<Option<Damage>>,
}

struct Inner {
    /// Of the segment that is written to.
    active: (u32, Table),
    // Shared, so that a search holds up nobody who writes.
    sealed: Arc<BTreeMap<u32, Sealed>>,
}

/// What is in a sealed segment.
#[derive(Clone)]
pub(crate) enum Sealed {
    /// In a file.
    Run(Arc<Run>),
    /// In memory, while there is no file.
    Table(Arc<Table>),
}

/// The segment whose run can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) u32);

impl Sealed {
    fn ask<T>(
        &self,
        table: impl FnOnce(&Table) -> T,
        run: impl FnOnce(&Run) -> Result<T, DamagedRun>,
    ) -> Result<T, DamagedRun> {
        match self {
            Self::Run(held) => run(held),
            Self::Table(held) => Ok(table(held)),
        }
    }
}

impl Sealed {
    /// The chunks that hold entries of a range, in order.
    pub(crate) fn chunks(&self, origin: &Origin, range: &Range<u64>) -> Result<Vec<ChunkAt>, DamagedRun> {
        self.ask(|table| table.chunks(origin, range), |run| run.chunks(origin, range))
    }

    /// The last value of each key that the segment changes; None where it forgets it.
    pub(crate) fn states(&self) -> Result<Vec<(String, Option<Bytes>)>, DamagedRun> {
        let of_table = |table: &Table| {
            let states = table.states.iter();
            states.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        self.ask(of_table, Run::states)
    }
}

impl Segments {
    /// The segments as they were found; `damaged` are the parts whose records are missing.
    pub(crate) fn new(number: u32, active: Table, sealed: BTreeMap<u32, Sealed>, damaged: &[Damage]) -> Self {
        Self {
            inner: RwLock::new(Inner {
                active: (number, active),
                sealed: Arc::new(sealed),
            }),
            unread: Mutex::new(damaged.first().cloned()),
        }
    }

    /// A part whose records can't be found, if there is one.
    pub(crate) fn unread(&self) -> Option<Damage> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in what was appended.
    pub(crate) fn add<'a>(&self, parts: impl Iterator<Item = &'a Part>) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        parts.for_each(|part| inner.active.1.add(part));
    }

    /// Whether the segment that is written to must end, whatever its length.
    pub(crate) fn is_full(&self) -> bool {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.active.1.is_full()
    }

    /// Begins a new segment; the table of the one before stays in memory until it is replaced by a run.
    pub(crate) fn seal(&self, next: u32) -> Arc<Table> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let (number, table) = std::mem::replace(&mut inner.active, (next, Table::default()));
        let table = Arc::new(table);
        Arc::make_mut(&mut inner.sealed).insert(number, Sealed::Table(table.clone()));
        table
    }

    /// Puts something else in the place of a sealed segment's; `damaged` are the parts whose records are missing.
    pub(crate) fn replace(&self, segment: u32, by: Sealed, damaged: &[Damage]) {
        if let Some(damage) = damaged.first() {
            *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(damage.clone());
        }
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut inner.sealed).insert(segment, by);
    }

    /// The chunks of a segment that hold entries of a range, in order.
    pub(crate) fn chunks(&self, segment: u32, origin: &Origin, range: &Range<u64>) -> Result<Vec<ChunkAt>, Unreadable> {
        let run = |run: &Run| run.chunks(origin, range);
        self.ask(segment, |table| table.chunks(origin, range), run)
    }

    /// The overlays of a segment that touch a range.
    pub(crate) fn overlays(
        &self,
        segment: u32,
        origin: &Origin,
        range: &Range<u64>,
    ) -> Result<Vec<ChunkAt>, Unreadable> {
        let run = |run: &Run| run.overlays(origin, range);
        self.ask(segment, |table| table.overlays(origin, range), run)
    }

    /// Some notes of a list, counted from the segment's first.
    pub(crate) fn notes(&self, segment: u32, list: &NoteLog, range: &Range<u64>) -> Result<Vec<Position>, Unreadable> {
        let run = |run: &Run| run.notes(list, range);
        self.ask(segment, |table| table.notes(list, range), run)
    }

    fn ask<T>(
        &self,
        segment: u32,
        table: impl FnOnce(&Table) -> T,
        run: impl FnOnce(&Run) -> Result<T, DamagedRun>,
    ) -> Result<T, Unreadable> {
        let sealed = {
            let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
            if inner.active.0 == segment {
                return Ok(table(&inner.active.1));
            }
            inner.sealed.get(&segment).cloned()
        };
        let sealed = sealed.ok_or(Unreadable(segment))?;
        sealed.ask(table, run).map_err(|DamagedRun| Unreadable(segment))
    }

    /// Every place of a key, in order.
    pub(crate) fn find(&self, kind: KeyKind, key: &[u8; 16]) -> Result<Vec<Place>, Unreadable> {
        let (mut found, sealed) = {
            let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
            (inner.active.1.find(kind, key), inner.sealed.clone())
        };
        for (segment, sealed) in sealed.iter() {
            let places = sealed.ask(|table| table.find(kind, key), |run| run.find(kind, key));
            found.extend(places.map_err(|DamagedRun| Unreadable(*segment))?);
        }
        found.sort();
        found.dedup();
        Ok(found)
    }
}
