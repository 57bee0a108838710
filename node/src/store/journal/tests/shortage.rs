//! A full disk and a failing one: refused before it is acknowledged, and what was acknowledged stays.

use super::{
    OPTIONS,
    fixture::{Batches, answers},
    open,
};
use crate::store::{
    MemoryStore, Store, StoreError,
    disk::simulated::{Faults, SimulatedDisk},
};

#[test]
fn a_full_disk_refuses_stays_readable_and_recovers() {
    for room in 0..200 {
        let disk = SimulatedDisk::new();
        let (store, model) = (open(&disk, OPTIONS).unwrap(), MemoryStore::new());
        let mut batches = Batches::new(room);
        for _ in 0..3 {
            let batch = batches.next();
            model.append(batch.clone()).unwrap();
            store.append(batch).unwrap();
        }
        // From no room at all to enough for a batch or two: the disk is full at any byte of a batch or segment.
        disk.set_faults(Faults {
            room: Some(room * 17),
            ..Faults::default()
        });
        let mut refused = None;
        for _ in 0..20 {
            let batch = batches.next();
            match store.append(batch.clone()) {
                Ok(()) => model.append(batch).unwrap(),
                Err(StoreError::Full) => {
                    refused = Some(batch);
                    break;
                }
                Err(error) => panic!("room {room}: {error:?}"),
            }
        }
        let refused = refused.unwrap();
        assert!(store.health().full && !store.health().is_good());
        let segments = disk
            .files()
            .into_iter()
            .filter(|(file, _)| file.extension().is_some_and(|ext| ext == "seg"));
        let taken: u64 = segments.map(|(_, bytes)| bytes.len() as u64).sum();
        assert_eq!(
            taken,
            store.health().bytes,
            "what was written of the refused batch is given back"
        );
        answers(&store).assert_same(&answers(&model));
        assert!(matches!(store.append(refused.clone()), Err(StoreError::Full)));

        // A restart on the full disk, as after a kill, finds the same.
        let killed = disk.after_kill();
        answers(&open(&killed, OPTIONS).unwrap()).assert_same(&answers(&model));

        disk.set_faults(Faults::default());
        for batch in [refused, batches.next()] {
            model.append(batch.clone()).unwrap();
            store.append(batch).unwrap();
        }
        assert!(store.health().is_good());
        drop(store);
        answers(&open(&disk, OPTIONS).unwrap()).assert_same(&answers(&model));
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_any_more() {
    let quiet = SimulatedDisk::new();
    drop(open(&quiet, OPTIONS).unwrap());
    for failing in quiet.syncs() + 1..quiet.syncs() + 25 {
        let disk = SimulatedDisk::new();
        let (store, model) = (open(&disk, OPTIONS).unwrap(), MemoryStore::new());
        disk.set_faults(Faults {
            failing_sync: Some(failing),
            ..Faults::default()
        });
        let mut batches = Batches::new(failing);
        let failed = loop {
            let batch = batches.next();
            match store.append(batch.clone()) {
                Ok(()) => model.append(batch).unwrap(),
                Err(StoreError::Failed(_)) => break batch,
                // The sync of a run: the run is done without, and the sync after it is fine.
                Err(error) => panic!("{error:?}"),
            }
            if disk.syncs() > failing + 5 {
                break batches.next();
            }
        };
        if disk.syncs() > failing + 5 {
            continue;
        }
        for _ in 0..3 {
            assert!(matches!(store.append(failed.clone()), Err(StoreError::Failed(_))));
        }
        assert!(store.health().failed.is_some());
        // Durably erased, but for the keys: nobody is shown it any more, and nobody is told that it is done.
        if super::fixture::made(&store) > super::fixture::made(&model) {
            assert!(failed.erases());
            model.append(failed).unwrap();
        }
        answers(&store).assert_same(&answers(&model));
        drop(store);
        let store = open(&disk.after_power_cut(failing), OPTIONS).unwrap();
        let kept = super::fixture::made(&store);
        let acknowledged = super::fixture::made(&model);
        assert!(
            kept == acknowledged || kept == acknowledged + 1,
            "{kept} {acknowledged}"
        );
    }
}
