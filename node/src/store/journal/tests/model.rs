//! Any stream of batches, with the store opened anew in between: the same answers as from memory.

use proptest::prelude::*;

use super::{
    OPTIONS,
    fixture::{Batches, answers, origins},
    open, open_in,
};
use crate::store::{
    Batch, InvalidBatch, MemoryStore, Remains, Store, StoreError, StoredChunk, Widths, disk::simulated::SimulatedDisk,
    journal::Journal,
};

/// Appends to both; reopens after each count of batches.
fn run(seed: u64, counts: &[usize], mut store: Journal, reopen: &mut dyn FnMut(Journal) -> Journal) {
    let model = MemoryStore::new();
    let mut batches = Batches::new(seed);
    for count in counts {
        for _ in 0..*count {
            let batch = batches.next();
            model.append(batch.clone()).unwrap();
            store.append(batch).unwrap();
        }
        answers(&store).assert_same(&answers(&model));
        store = reopen(store);
        answers(&store).assert_same(&answers(&model));
        assert!(store.health().is_good());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn answers_are_those_of_memory(seed: u64, counts in prop::collection::vec(0usize..12, 1..4)) {
        let mut disk = SimulatedDisk::new();
        let store = open(&disk, OPTIONS).unwrap();
        let mut killed = seed % 2 == 0;
        run(seed, &counts, store, &mut |store| {
            killed = !killed;
            let dead = disk.after_kill();
            drop(store);
            if killed {
                disk = dead;
            }
            open(&disk, OPTIONS).unwrap()
        });
    }
}

#[test]
fn answers_are_those_of_memory_on_a_real_disk_with_its_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    for seed in 0..2 {
        let path = path.join(seed.to_string());
        let store = open_in(&path, OPTIONS).unwrap();
        run(seed, &[6, 0, 9], store, &mut |store| {
            drop(store);
            let store = open_in(&path, OPTIONS).unwrap();
            assert_eq!(
                store.health().mended,
                Vec::<String>::new(),
                "a clean close leaves nothing to mend"
            );
            store
        });
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let (store, model) = (open(&SimulatedDisk::new(), OPTIONS).unwrap(), MemoryStore::new());
    let mut batches = Batches::new(1);
    let origin = &origins()[0];
    let first = batches.chunk(origin, 3);
    let second = batches.chunk(origin, 2);
    let refuse = |batch: Batch, expected: fn(&StoreError) -> bool| {
        for store in [&store as &dyn Store, &model] {
            let error = store.append(batch.clone()).unwrap_err();
            assert!(expected(&error), "{error:?}");
        }
        answers(&store).assert_same(&answers(&model));
    };
    let out_of_place = |error: &StoreError| matches!(error, StoreError::OutOfPlace { .. });

    refuse(Batch::new().set("a", "b").chunk(second.clone()), out_of_place);
    for store in [&store as &dyn Store, &model] {
        store.append(Batch::new().chunk(first.clone())).unwrap();
    }
    // Delivered twice, alone and twice in a batch.
    refuse(Batch::new().chunk(first.clone()), out_of_place);
    refuse(Batch::new().chunk(second.clone()).chunk(second.clone()), out_of_place);
    refuse(
        Batch::new().chunk(StoredChunk::overlay(
            origin.clone(),
            2,
            second.body.clone(),
            Widths::default(),
        )),
        out_of_place,
    );
    refuse(
        Batch::new().chunk(StoredChunk {
            from: u64::MAX,
            ..second.clone()
        }),
        |error| matches!(error, StoreError::Invalid(InvalidBatch::Chunk { .. })),
    );
    refuse(
        Batch::new().chunk(StoredChunk {
            from: 4,
            ..second.clone()
        }),
        |error| matches!(error, StoreError::Invalid(InvalidBatch::Chunk { .. })),
    );
    for (origin, index) in [(origin, 3), (origin, u64::MAX), (&origins()[1], 0)] {
        let batch = Batch::new().set("a", "b").erase(origin.clone(), index, Remains::Hash);
        refuse(batch, out_of_place);
    }
    refuse(Batch::new().set("", "empty key"), |error| {
        matches!(error, StoreError::Invalid(InvalidBatch::State { .. }))
    });
    store.append(Batch::new().chunk(second)).unwrap();
}
