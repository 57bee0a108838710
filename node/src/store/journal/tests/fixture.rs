//! Batches as a node makes them, in a stream that one number decides, and the comparison of two stores.

use std::collections::HashMap;

use bytes::Bytes;
use icomm_proto::{
    EntryHead, EntryKind, Origin, RecordId, RecordKind, SectionKind, SectionSet, View,
    log::{ChunkBuilder, Frontier, Hash},
    seal::seal,
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::store::{Batch, IntakeKey, NoteLog, Place, ReadLimit, Remains, Store, StoreError, StoredChunk, Widths};

/// Makes batches: each fits to those before it.
pub(in crate::store::journal) struct Batches {
    chance: SmallRng,
    logs: HashMap<Origin, Log>,
    pub(in crate::store::journal) made: u64,
}

#[derive(Default)]
struct Log {
    views: Vec<View>,
    /// What a store holds of each.
    held: Vec<Option<SectionSet>>,
    frontier: Frontier,
}

const ORIGINS: [&str; 3] = ["KE/main", "KE/special", "UG/main"];
const SETS: [&str; 5] = ["none", "case", "exact", "case+persons", "case+exact+persons"];

pub(in crate::store::journal) fn origins() -> Vec<Origin> {
    ORIGINS.iter().map(|origin| origin.parse().unwrap()).collect()
}

pub(in crate::store::journal) fn record(number: u64) -> RecordId {
    RecordId::new(1_795_000_000_000 + number, [7; 10])
}

pub(in crate::store::journal) fn intake_key(number: u64) -> IntakeKey {
    // Spread over all keys, as hashes are.
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (u128::from(spread) << 64 | u128::from(number)).to_be_bytes().into()
}

/// How many record ids and keys there are.
pub(in crate::store::journal) const RECORDS: u64 = 40;

impl Batches {
    pub(in crate::store::journal) fn new(seed: u64) -> Self {
        Self {
            chance: SmallRng::seed_from_u64(seed),
            logs: HashMap::new(),
            made: 0,
        }
    }

    fn view(&mut self) -> View {
        let head = EntryHead {
            kind: EntryKind::Issue,
            record_kind: RecordKind::Seizure,
            record_id: record(self.chance.random_range(0..RECORDS)),
            version: 1,
        };
        let case = vec![b'c'; self.chance.random_range(0..200)];
        let sections: [(SectionKind, &[u8]); 3] = [
            (SectionKind::Case, &case),
            (SectionKind::Exact, b"exact"),
            (SectionKind::Persons, b"somebody"),
        ];
        seal(&head, &sections, &mut self.chance).unwrap()
    }

    /// A chunk of `count` entries that continues a log.
    pub(in crate::store::journal) fn chunk(&mut self, origin: &Origin, count: usize) -> StoredChunk {
        let sets = (0..count).map(|_| self.chance.random_range(0..=SETS.len())).collect();
        self.chunk_of(origin, sets)
    }

    /// The same with all sections of all entries.
    pub(in crate::store::journal) fn whole_chunk(&mut self, origin: &Origin, count: usize) -> StoredChunk {
        self.chunk_of(origin, vec![SETS.len(); count])
    }

    /// A chunk with the set of each number, counted from 1, of its entries.
    fn chunk_of(&mut self, origin: &Origin, sets: Vec<usize>) -> StoredChunk {
        let count = sets.len();
        let views: Vec<View> = (0..count).map(|_| self.view()).collect();
        let mut builder = ChunkBuilder::default();
        let mut held = Vec::new();
        for (view, set) in views.iter().zip(sets) {
            match set {
                0 => {
                    builder.withhold(&view.leaf_hash());
                    held.push(None);
                }
                set => {
                    let set = SETS[set - 1].parse().unwrap();
                    builder.disclose(view.redact(set).bytes());
                    held.push(Some(set));
                }
            };
        }
        let keys = (0..count as u32)
            .filter(|_| self.chance.random_bool(0.5))
            .collect::<Vec<_>>();
        let keys = keys
            .into_iter()
            .map(|offset| (offset, intake_key(self.chance.random_range(0..RECORDS))))
            .collect();
        let log = self.logs.entry(origin.clone()).or_default();
        let from = log.frontier.size();
        log.frontier.extend(views.iter().map(View::leaf_hash));
        log.views.extend(views);
        log.held.extend(held);
        let checkpoint = Bytes::from(format!("checkpoint {origin} {}", log.frontier.root()));
        let body = builder.finish().unwrap();
        StoredChunk::extending(origin.clone(), from, body, log.frontier.clone(), checkpoint).with_intake_keys(keys)
    }

    /// Wider views of some entries of a log; None if it has none.
    pub(in crate::store::journal) fn overlay(&mut self, origin: &Origin) -> Option<StoredChunk> {
        let log = self.logs.get_mut(origin)?;
        let from = self.chance.random_range(0..log.views.len());
        let count = self.chance.random_range(1..=(log.views.len() - from).min(5));
        let mut builder = ChunkBuilder::default();
        let mut widens = Widths::default();
        for (view, held) in log.views.iter().zip(&mut log.held).skip(from).take(count) {
            match self.chance.random_bool(0.3) {
                true => builder.withhold(&view.leaf_hash()),
                false => {
                    let set: SectionSet = SETS[self.chance.random_range(0..SETS.len())].parse().unwrap();
                    let joined = held.map_or(set, |held| held.union(set));
                    widens += Widths::of_sections(*held).becoming(Widths::of_sections(Some(joined)));
                    *held = Some(joined);
                    builder.disclose(view.redact(set).bytes())
                }
            };
        }
        let body = builder.finish().unwrap();
        Some(StoredChunk::overlay(origin.clone(), from as u64, body, widens))
    }

    /// Erases some entries of a log, near one another and not.
    fn erase(&mut self, mut batch: Batch, origin: &Origin) -> Batch {
        let Some(log) = self.logs.get_mut(origin) else {
            return batch;
        };
        for _ in 0..self.chance.random_range(1..4) {
            let index = self.chance.random_range(0..log.views.len());
            let held = log.held[index].as_mut();
            let remains = match self.chance.random_range(0..=SETS.len()) {
                0 => {
                    log.held[index] = None;
                    Remains::Hash
                }
                set => {
                    let set: SectionSet = SETS[set - 1].parse().unwrap();
                    if let Some(held) = held {
                        *held = held.intersection(set);
                    }
                    Remains::Sections(set)
                }
            };
            batch = batch.erase(origin.clone(), index as u64, remains);
        }
        batch
    }

    /// The next batch: one to four items of any kind, and a state that tells its number.
    pub(in crate::store::journal) fn next(&mut self) -> Batch {
        self.made += 1;
        let mut batch = Batch::new().set("made", self.made.to_be_bytes().to_vec());
        for _ in 0..self.chance.random_range(1..=4) {
            let origin = origins()[self.chance.random_range(0..ORIGINS.len())].clone();
            let key = format!("key/{}", self.chance.random_range(0..6));
            batch = match self.chance.random_range(0..9) {
                0..=3 => {
                    let count = self.chance.random_range(1..7);
                    batch.chunk(self.chunk(&origin, count))
                }
                4 => match self.overlay(&origin) {
                    Some(chunk) => batch.chunk(chunk),
                    None => batch,
                },
                8 => self.erase(batch, &origin),
                5 => batch.set(key, vec![b'v'; self.chance.random_range(0..40)]),
                6 => batch.forget(key),
                _ => {
                    let log = NoteLog::new(["disclosures", "receipts/KE"][self.chance.random_range(0..2)]).unwrap();
                    batch.note(log, format!("note {}", self.made))
                }
            };
        }
        batch
    }
}

/// The number of the last batch that a store holds.
pub(in crate::store::journal) fn made(store: &dyn Store) -> u64 {
    let made = store.state("made").unwrap();
    made.map_or(0, |bytes| u64::from_be_bytes(bytes.as_ref().try_into().unwrap()))
}

/// Everything that can be asked of a store, with the errors that it answers.
#[derive(Debug, PartialEq)]
pub(in crate::store::journal) struct Answers(Vec<(String, Result<String, String>)>);

pub(in crate::store::journal) fn answers(store: &dyn Store) -> Answers {
    let mut all = Vec::new();
    let mut ask = |question: String, answer: Result<String, StoreError>| {
        all.push((question, answer.map_err(|error| error.to_string())));
    };
    ask("origins".to_owned(), Ok(format!("{:?}", store.origins())));
    ask("state".to_owned(), store.scan_state("").map(|all| format!("{all:?}")));
    ask(
        "keys".to_owned(),
        store.scan_state("key/").map(|all| format!("{all:?}")),
    );
    for name in ["disclosures", "receipts/KE", "unknown"] {
        let log = NoteLog::new(name).unwrap();
        ask(format!("{name} len"), store.notes_len(&log).map(|len| len.to_string()));
        for (from, max) in [(0, 1000), (2, 3)] {
            ask(
                format!("{name} {from}"),
                store.notes(&log, from, max).map(|notes| format!("{notes:?}")),
            );
        }
    }
    for number in 0..RECORDS {
        let shown = |places: Vec<Place>| format!("{places:?}");
        ask(format!("record {number}"), store.find(&record(number)).map(shown));
        let place = store.issued(&intake_key(number));
        ask(format!("row {number}"), place.map(|place| format!("{place:?}")));
    }
    for origin in origins() {
        let head = store.head(&origin);
        let size = head
            .as_ref()
            .ok()
            .and_then(|head| head.as_ref())
            .map_or(0, |head| head.size());
        ask(
            format!("{origin} widths"),
            store.widths(&origin).map(|widths| format!("{widths:?}")),
        );
        ask(format!("{origin} head"), head.map(|head| format!("{head:?}")));
        for index in 0..=size {
            ask(
                format!("{origin} {index}"),
                store.entry(&origin, index).map(|item| format!("{item:?}")),
            );
            ask(
                format!("{origin} to {index}"),
                store.boundary(&origin, index).map(|end| format!("{end:?}")),
            );
        }
        for (entries_max, bytes_max) in [(1, 1), (4, 1 << 20), (1000, 900), (1000, 1 << 20)] {
            for from in (0..=size).step_by(3) {
                let stretch = store.read(&origin, from, ReadLimit { entries_max, bytes_max });
                ask(
                    format!("{origin} from {from} {entries_max} {bytes_max}"),
                    stretch.map(|found| {
                        let items = found.as_ref().map(|found| found.shared_items().collect::<Vec<_>>());
                        let ends = found.map(|found| (found.from, found.end));
                        format!("{items:?} {ends:?}")
                    }),
                );
            }
        }
        for range in [0..size, size / 2..size, size / 3..size / 2, 0..size + 1] {
            let mut leaves: Vec<Hash> = Vec::new();
            let result = store.leaf_hashes(&origin, range.clone(), &mut |leaf| leaves.push(leaf));
            ask(
                format!("{origin} leaves {range:?}"),
                result.map(|()| format!("{leaves:?}")),
            );
        }
    }
    Answers(all)
}

impl Answers {
    /// Panics at the first answer that differs.
    pub(in crate::store::journal) fn assert_same(&self, expected: &Self) {
        for (found, expected) in self.0.iter().zip(&expected.0) {
            assert_eq!(found, expected);
        }
        assert_eq!(self.0.len(), expected.0.len());
    }

    /// Whether every answer is the expected one or an error that tells of damage; the number of errors.
    pub(in crate::store::journal) fn assert_same_or_damaged(&self, expected: &Self) -> usize {
        let mut damaged = 0;
        let expected: HashMap<_, _> = expected.0.iter().map(|(question, answer)| (question, answer)).collect();
        for (question, answer) in &self.0 {
            match answer {
                Err(error) if error.contains("damaged") => damaged += 1,
                answer => assert_eq!(expected.get(question), Some(&answer), "{question}"),
            }
        }
        damaged
    }
}
