//! Many writers share syncs, and nobody shares a store.

use std::{thread, time::Duration};

use super::{ONE_SEGMENT, OPTIONS, fixture::Batches, open, open_in};
use crate::store::{
    Batch, NoteLog, OpenError, ReadLimit, Store,
    disk::simulated::{Faults, SimulatedDisk},
};

#[test]
fn concurrent_writers_share_syncs() {
    const WRITERS: u64 = 16;
    const EACH: u64 = 20;
    let disk = SimulatedDisk::new();
    let store = open(&disk, ONE_SEGMENT).unwrap();
    disk.set_faults(Faults {
        sync_time: Duration::from_millis(2),
        ..Faults::default()
    });
    let before = disk.syncs();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                for number in 0..EACH {
                    let note = format!("{writer} {number}");
                    store.append(Batch::new().note(NoteLog::receipts(), note)).unwrap();
                }
            });
        }
    });
    let syncs = disk.syncs() - before;
    assert!(
        syncs < WRITERS * EACH / 4,
        "{syncs} syncs for {} batches",
        WRITERS * EACH
    );
    assert_eq!((store.health().batches, store.health().syncs), (WRITERS * EACH, syncs));
    assert_eq!(store.notes_len(&NoteLog::receipts()).unwrap(), WRITERS * EACH);
    // Each writer's notes are in its order.
    let notes = store.notes(&NoteLog::receipts(), 0, usize::MAX).unwrap();
    for writer in 0..WRITERS {
        let own = notes
            .iter()
            .map(|(_, note)| str::from_utf8(note).unwrap().split_once(' ').unwrap());
        let own: Vec<u64> = own
            .filter(|(by, _)| by.parse() == Ok(writer))
            .map(|(_, n)| n.parse().unwrap())
            .collect();
        assert_eq!(own, (0..EACH).collect::<Vec<_>>());
    }
}

#[test]
fn a_chunk_costs_one_sync_and_a_few_operations_more() {
    let disk = SimulatedDisk::new();
    let store = open(&disk, ONE_SEGMENT).unwrap();
    let mut batches = Batches::new(1);
    let chunk = batches.chunk(&super::fixture::origins()[0], 512);
    // So that keys are written ahead.
    store
        .append(Batch::new().chunk(batches.chunk(&super::fixture::origins()[1], 1)))
        .unwrap();
    let before = (disk.operations(), disk.syncs());
    store.append(Batch::new().chunk(chunk)).unwrap();
    // What comes before the body, the body, the sync, the watermark: the keys were there already.
    assert_eq!((disk.operations(), disk.syncs()), (before.0 + 4, before.1 + 1));
}

#[test]
fn items_of_a_chunk_share_one_buffer() {
    let store = open(&SimulatedDisk::new(), ONE_SEGMENT).unwrap();
    let mut batches = Batches::new(1);
    let origin = &super::fixture::origins()[0];
    store.append(Batch::new().chunk(batches.chunk(origin, 100))).unwrap();
    let limit = ReadLimit {
        entries_max: 512,
        bytes_max: 1 << 20,
    };
    let read = || {
        store
            .read(origin, 0, limit)
            .unwrap()
            .unwrap()
            .shared_items()
            .collect::<Vec<_>>()
    };
    // Two readings give the same memory: nothing was copied.
    let pointer = |item: &icomm_proto::log::Item| match item {
        icomm_proto::log::Item::Disclosed(view) => Some(view.as_ptr()),
        icomm_proto::log::Item::Withheld(_) => None,
    };
    assert_eq!(
        read().iter().map(pointer).collect::<Vec<_>>(),
        read().iter().map(pointer).collect::<Vec<_>>()
    );
}

#[test]
fn a_second_opening_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path(), OPTIONS).unwrap();
    assert!(matches!(open_in(folder.path(), OPTIONS), Err(OpenError::InUse(path)) if path == folder.path()));
    drop(store);
    open_in(folder.path(), OPTIONS).unwrap();
}

#[test]
fn only_the_owner_can_read_a_store() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(open_in(&path, OPTIONS).unwrap());
    for (path, mode) in [
        (path.clone(), 0o700),
        (path.join("journal"), 0o700),
        (path.join("journal/00000001.seg"), 0o600),
    ] {
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            mode,
            "{}",
            path.display()
        );
    }
}
