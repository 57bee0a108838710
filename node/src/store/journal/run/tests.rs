//! A run answers as the table it was written from does.

use std::{path::Path, sync::Arc};

use super::{Files, KeyKind, Run, Table};
use crate::environment::Environment;
use crate::store::{
    NoteLog, StoreKey,
    disk::simulated::SimulatedDisk,
    journal::{
        keys::Keys,
        part::{Content, encode},
        segments::Sealed,
        tests::fixture::{Batches, RECORDS, intake_key, origins, record},
    },
};

/// The table of a segment with many blocks of everything.
fn table() -> Table {
    let (mut table, mut batches, mut offset) = (Table::default(), Batches::new(8), 0);
    let (disk, entropy) = (SimulatedDisk::new(), Environment::system().entropy);
    let keys = Keys::open(&disk, Path::new("/"), &StoreKey::generate(&*entropy), entropy, 1000, 0).unwrap();
    for _ in 0..1800 {
        let items = batches.next().into_items().into_iter();
        let contents = items.filter_map(|item| Content::of(item, &keys).unwrap());
        let batch = encode(contents.collect());
        let len = batch.len() as u64;
        for mut part in batch.parts {
            part.at.segment = 3;
            part.at.offset += offset;
            table.add(&part);
        }
        offset += len;
    }
    table
}

fn written(table: &Table) -> (SimulatedDisk, Run) {
    let disk = SimulatedDisk::new();
    let folder = Path::new("/runs");
    Run::write(&disk, folder, &table.summary(3, 7, 99), table).unwrap();
    let files = Arc::new(Files::new(Arc::new(disk.clone())));
    for other in [(2, 7), (3, 8)] {
        assert!(Run::open(&files, folder, other.0, other.1).is_none());
    }
    let run = Run::open(&files, folder, 3, 7).unwrap();
    (disk, run)
}

#[test]
fn a_run_answers_as_its_table() {
    let table = table();
    let (_, run) = written(&table);
    assert_eq!(*run.summary(), table.summary(3, 7, 99));
    let mut rows = 0;
    for origin in origins() {
        let log = run.summary.logs.iter().find(|log| log.origin == origin).unwrap();
        assert!(log.chunk_rows > 300 && log.overlay_rows > 130, "{log:?}");
        let end = log.chunks.end;
        for from in 0..=end {
            for len in [0, 1, 6, 700] {
                let range = from..(from + len).min(end + 1);
                let chunks = run.chunks(&origin, &range).unwrap();
                assert_eq!(chunks, table.chunks(&origin, &range), "{origin} {range:?}");
                assert_eq!(run.overlays(&origin, &range).unwrap(), table.overlays(&origin, &range));
                rows += chunks.len();
            }
        }
    }
    assert!(rows > 10_000);
    for name in ["disclosures", "receipts/KE", "unknown"] {
        let list = NoteLog::new(name).unwrap();
        for range in [0..10_000, 0..1, 127..129, 128..128, 5..300, 9_999..10_000] {
            assert_eq!(
                run.notes(&list, &range).unwrap(),
                table.notes(&list, &range),
                "{name} {range:?}"
            );
        }
    }
    // Few keys with many places each, in rows of many blocks; and keys that are nowhere.
    for number in 0..RECORDS + 20 {
        for (kind, key) in [
            (KeyKind::Record, *record(number).as_bytes()),
            (KeyKind::Intake, *intake_key(number).as_bytes()),
        ] {
            let sorted = |mut places: Vec<_>| {
                places.sort();
                places
            };
            let found = sorted(run.find(kind, &key).unwrap());
            assert_eq!(found.is_empty(), number >= RECORDS);
            assert_eq!(found, sorted(table.find(kind, &key)));
        }
    }
    let states = Sealed::Table(Arc::new(table)).states().unwrap();
    assert!(states.iter().any(|(_, value)| value.is_none()) && states.iter().any(|(_, value)| value.is_some()));
    assert_eq!(run.states().unwrap(), states);
}

#[test]
fn a_run_is_read_for_what_is_asked_and_damage_is_told() {
    let table = table();
    let (disk, run) = written(&table);
    let (file, bytes) = disk.files().into_iter().next().unwrap();
    let origin = &origins()[0];
    let range = 0..u64::MAX;
    let right = run.chunks(origin, &range).unwrap();
    let mut told = 0;
    for at in (0..bytes.len()).step_by(97) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        disk.put(&file, changed);
        match run.chunks(origin, &range) {
            Ok(chunks) => assert_eq!(chunks, right),
            Err(_) => told += 1,
        }
    }
    assert!(told > 10);
}
