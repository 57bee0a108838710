//! Sections that are shut away: kept, and not read by anybody through the store.
//!
//! ```text
//!   restricted/KE/main/00000000000000000042+3/persons      these sections of entries 42, 43 and 44
//! ```
//!
//! A mark is a state like others, set in the batch that it belongs to, so it is durable with it; it counts from the moment at
//! which the batch is handed over. Everything above reads through this, so that nothing need think of it: views come without
//! the sections, as if they had never been given, and still verify.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use icomm_proto::{
    Origin, RecordId, SectionSet, View, ViewRef,
    log::{ChunkBody, ChunkBuilder, Hash, Item, ItemRef},
};

use super::{
    Batch, BatchItem, Boundary, Damage, Done, Health, IntakeKey, NoteLog, Photos, Place, ReadLimit, Spans, Store,
    StoreError, Stretch, Widths,
};

const PREFIX: &str = "restricted/";

/// Which sections of which entries of a log are shut away.
type Marks = BTreeMap<SectionSet, Spans>;

/// A store of which some sections can't be read.
pub struct Restricting {
    inner: Arc<dyn Store>,
    marks: RwLock<BTreeMap<Origin, Arc<Marks>>>,
}

/// Which sections of a log's entries are shut away, by the durable marks.
pub struct ShutAway(Marks);

impl ShutAway {
    /// Reads the marks of a log.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn of_log(store: &dyn Store, origin: &Origin) -> Result<Self, StoreError> {
        let mut marks = Marks::new();
        for (key, _) in store.scan_state(&format!("{PREFIX}{origin}/"))? {
            // One that can't be understood keeps the store from being opened.
            if let Some((_, entries, sections)) = parse(&key) {
                marks.entry(sections).or_default().insert(entries);
            }
        }
        Ok(Self(marks))
    }

    /// What of an entry is shut away.
    pub fn of(&self, index: u64) -> SectionSet {
        shut(&self.0, index)
    }
}

impl Batch {
    /// With these sections of entries from `from` on shut away for good.
    #[must_use]
    pub fn restrict(self, origin: &Origin, from: u64, count: u32, sections: SectionSet) -> Self {
        self.set(format!("{PREFIX}{origin}/{from:020}+{count}/{sections}"), Bytes::new())
    }
}

fn parse(key: &str) -> Option<(Origin, Range<u64>, SectionSet)> {
    let (rest, sections) = key.strip_prefix(PREFIX)?.rsplit_once('/')?;
    let (origin, entries) = rest.rsplit_once('/')?;
    let (from, count) = entries.split_once('+')?;
    let (from, count): (u64, u64) = (from.parse().ok()?, count.parse().ok()?);
    Some((
        origin.parse().ok()?,
        from..from.checked_add(count)?,
        sections.parse().ok()?,
    ))
}

/// The sections of an entry that are shut away.
fn shut(marks: &Marks, index: u64) -> SectionSet {
    let those = marks.iter().filter(|(_, entries)| entries.contains(index));
    those.fold(SectionSet::EMPTY, |all, (sections, _)| all.union(*sections))
}

impl Restricting {
    /// Reads which sections of what `inner` holds are shut away.
    ///
    /// # Errors
    /// The store can't be read, or a mark can't be understood: then nobody can tell what is shut away.
    pub fn open(inner: Arc<dyn Store>) -> Result<Self, StoreError> {
        let store = Self {
            marks: RwLock::default(),
            inner,
        };
        for (key, _) in store.inner.scan_state(PREFIX)? {
            let mark = parse(&key).ok_or(Damage {
                segment: 0,
                offset: 0,
                what: "a mark of what is shut away can't be read",
            })?;
            store.mark(mark);
        }
        Ok(store)
    }

    fn mark(&self, (origin, entries, sections): (Origin, Range<u64>, SectionSet)) {
        let mut marks = self.marks.write().unwrap_or_else(PoisonError::into_inner);
        let marks = Arc::make_mut(marks.entry(origin).or_default());
        marks.entry(sections).or_default().insert(entries);
    }

    /// The marks of a log, if any is on one of these entries.
    fn marks(&self, origin: &Origin, entries: Range<u64>) -> Option<Arc<Marks>> {
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        let marks = marks.get(origin)?;
        marks
            .values()
            .any(|marked| marked.overlaps(&entries))
            .then(|| marks.clone())
    }
}

fn without(body: &ChunkBody, from: u64, marks: &Marks) -> Result<ChunkBody, StoreError> {
    let mut rest = ChunkBuilder::with_capacity(body.bytes().len());
    for (item, index) in body.item_refs().zip(from..) {
        match item {
            ItemRef::Withheld(leaf) => rest.withhold(&leaf),
            ItemRef::Disclosed(bytes) => match shut(marks, index) {
                SectionSet::EMPTY => rest.disclose(bytes),
                sections => {
                    let view = ViewRef::parse(bytes).map_err(|_| unreadable())?;
                    rest.disclose_with(|out| view.write_redacted(SectionSet::ALL.difference(sections), out))
                }
            },
        };
    }
    rest.finish().map_err(|_| unreadable())
}

/// What was kept passed its check, so this is never seen.
fn unreadable() -> StoreError {
    Damage {
        segment: 0,
        offset: 0,
        what: "a stored view of which sections are shut away can't be read",
    }
    .into()
}

impl Store for Restricting {
    fn submit(&self, batch: Batch, done: Done) {
        for item in batch.items() {
            if let BatchItem::State { key, value: Some(_) } = item
                && let Some(mark) = key.starts_with(PREFIX).then(|| parse(key)).flatten()
            {
                self.mark(mark);
            }
        }
        self.inner.submit(batch, done);
    }

    fn ride(&self, batch: Batch) {
        // Nothing that is only ridden marks anything.
        self.inner.ride(batch);
    }

    fn origins(&self) -> Vec<Origin> {
        self.inner.origins()
    }

    fn boundary(&self, origin: &Origin, size: u64) -> Result<Option<Boundary>, StoreError> {
        self.inner.boundary(origin, size)
    }

    fn head(&self, origin: &Origin) -> Result<Option<Boundary>, StoreError> {
        self.inner.head(origin)
    }

    fn widths(&self, origin: &Origin) -> Result<Widths, StoreError> {
        self.inner.widths(origin)
    }

    fn read(&self, origin: &Origin, from: u64, limit: ReadLimit) -> Result<Option<Stretch>, StoreError> {
        let Some(stretch) = self.inner.read(origin, from, limit)? else {
            return Ok(None);
        };
        // Asked after the reading: what is marked from now on is read in an earlier generation of the log.
        let Some(marks) = self.marks(origin, stretch.from..stretch.end.size()) else {
            return Ok(Some(stretch));
        };
        let (mut bodies, mut next) = (Vec::with_capacity(stretch.bodies.len()), stretch.from);
        for body in &stretch.bodies {
            bodies.push(without(body, next, &marks)?);
            next += u64::from(body.count());
        }
        Ok(Some(Stretch { bodies, ..stretch }))
    }

    fn entry(&self, origin: &Origin, index: u64) -> Result<Option<Item>, StoreError> {
        let item = self.inner.entry(origin, index)?;
        let marks = self.marks(origin, index..index.saturating_add(1));
        match (item, marks) {
            (Some(Item::Disclosed(bytes)), Some(marks)) => {
                let view = View::parse(bytes).map_err(|_| unreadable())?;
                let rest = view.redact(SectionSet::ALL.difference(shut(&marks, index)));
                Ok(Some(Item::Disclosed(rest.bytes().clone())))
            }
            (item, _) => Ok(item),
        }
    }

    fn leaf_hashes(&self, origin: &Origin, range: Range<u64>, each: &mut dyn FnMut(Hash)) -> Result<(), StoreError> {
        self.inner.leaf_hashes(origin, range, each)
    }

    fn find(&self, id: &RecordId) -> Result<Vec<Place>, StoreError> {
        self.inner.find(id)
    }

    fn issued(&self, key: &IntakeKey) -> Result<Option<Place>, StoreError> {
        self.inner.issued(key)
    }

    fn state(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.inner.state(key)
    }

    fn scan_state(&self, prefix: &str) -> Result<Vec<(String, Bytes)>, StoreError> {
        self.inner.scan_state(prefix)
    }

    fn notes_len(&self, log: &NoteLog) -> Result<u64, StoreError> {
        self.inner.notes_len(log)
    }

    fn notes(&self, log: &NoteLog, from: u64, max: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        self.inner.notes(log, from, max)
    }

    /// Photos are asked for by what an entry here shows of them, and of what is shut away nothing is shown.
    fn photos(&self) -> &dyn Photos {
        self.inner.photos()
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}

#[cfg(test)]
mod tests {
    use icomm_proto::SectionKind;

    use super::*;
    use crate::core::fixture::{Network, Originator};
    use crate::store::MemoryStore;

    const LIMIT: ReadLimit = ReadLimit {
        entries_max: 100,
        bytes_max: 1 << 20,
    };

    /// A store that holds three commits of two records each.
    fn held() -> (Arc<dyn Store>, Originator) {
        let mut log = Originator::new("KE/main");
        log.commits(&[2, 2, 2], 1);
        let inner: Arc<dyn Store> = Arc::new(MemoryStore::new());
        Network::new().node_over("UG", inner.clone()).holds(&log);
        (inner, log)
    }

    fn sections(store: &dyn Store, log: &Originator) -> Vec<SectionSet> {
        let stretch = store.read(&log.origin, 0, LIMIT).unwrap().unwrap();
        let read: Vec<SectionSet> = stretch
            .items()
            .map(|item| match item {
                ItemRef::Disclosed(bytes) => {
                    let view = ViewRef::parse(bytes).unwrap();
                    assert!(view.verify().is_ok());
                    view.sections()
                }
                ItemRef::Withheld(_) => panic!("withheld"),
            })
            .collect();
        for (index, expected) in (0..).zip(&read) {
            let Some(Item::Disclosed(bytes)) = store.entry(&log.origin, index).unwrap() else {
                panic!("{index}")
            };
            assert_eq!(View::parse(bytes).unwrap().sections(), *expected);
        }
        read
    }

    #[test]
    fn what_is_shut_away_is_read_by_nobody_at_once_and_after_a_restart_and_is_still_there() {
        let (inner, log) = held();
        let store = Restricting::open(inner.clone()).unwrap();
        let all = log.views[0].sections();
        assert_eq!(sections(&store, &log), vec![all; 6]);
        let persons: SectionSet = SectionKind::Persons.into();
        let both = persons.with(SectionKind::Exact);
        let batch =
            Batch::new()
                .restrict(&log.origin, 1, 3, persons)
                .restrict(&log.origin, 1, 1, SectionKind::Exact.into());
        store.append(batch).unwrap();
        let less = |sections| all.difference(sections);
        let expected = vec![all, less(both), less(persons), less(persons), all, all];
        assert_eq!(sections(&store, &log), expected);
        assert_eq!(sections(&Restricting::open(inner.clone()).unwrap(), &log), expected);
        assert_eq!(sections(&*inner, &log), vec![all; 6], "kept for proceedings");
        assert!(store.marks(&"UG/main".parse().unwrap(), 0..9).is_none());
        assert!(store.marks(&log.origin, 4..9).is_none());
    }

    #[test]
    fn a_mark_that_nobody_understands_opens_nothing() {
        let (inner, _) = held();
        inner
            .append(Batch::new().set("restricted/KE/main/x", Bytes::new()))
            .unwrap();
        assert!(Restricting::open(inner).is_err());
    }
}
