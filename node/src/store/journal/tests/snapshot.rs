//! A copy of a store that is written to is that store at one moment.

use std::sync::Arc;

use icomm_proto::log::Item;

use super::{
    OPTIONS,
    fixture::{Batches, answers, made, origins},
    folder, open,
};
use crate::store::{
    Batch, MemoryStore, Remains, Store, StoreError,
    disk::{Disk, simulated::SimulatedDisk},
    journal::Journal,
};

/// The store of a copy. `meanwhile` is done after its moment and before it is copied.
fn copied(store: &Journal, meanwhile: impl FnOnce()) -> SimulatedDisk {
    let snapshot = store.snapshot().unwrap();
    meanwhile();
    let mut content = Vec::new();
    snapshot
        .copy(|piece| {
            content.extend_from_slice(piece);
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let disk = SimulatedDisk::new();
    disk.create_folder(&folder().join("journal")).unwrap();
    let mut rest = content.as_slice();
    for (name, len) in snapshot.files() {
        let (bytes, after) = rest.split_at(len as usize);
        rest = after;
        let file = disk.create(&folder().join(name)).unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file.sync().unwrap();
    }
    assert!(rest.is_empty());
    for folder in [&folder().join("journal"), folder(), std::path::Path::new("/")] {
        disk.sync_folder(folder).unwrap();
    }
    disk
}

fn model(seed: u64, count: u64) -> MemoryStore {
    let (model, mut batches) = (MemoryStore::new(), Batches::new(seed));
    for _ in 0..count {
        model.append(batches.next()).unwrap();
    }
    model
}

#[test]
fn a_copy_is_the_store_at_one_moment_and_goes_on_by_itself() {
    for seed in 0..25 {
        let (disk, mut batches) = (SimulatedDisk::new(), Batches::new(seed));
        let store = open(&disk, OPTIONS).unwrap();
        for count in [0, 1, 7, 30] {
            while batches.made < count {
                store.append(batches.next()).unwrap();
            }
            let before = batches.made;
            let copy = copied(&store, || {
                for _ in 0..10 {
                    store.append(batches.next()).unwrap();
                }
            });
            let copy = open(&copy, OPTIONS).unwrap_or_else(|error| panic!("seed {seed} at {count}: {error}"));
            let held = made(&copy);
            assert_eq!(held, before, "seed {seed}");
            assert!(copy.health().damaged.is_empty());
            answers(&copy).assert_same(&answers(&model(seed, held)));
            let mut own = Batches::new(seed);
            (0..held).for_each(|_| drop(own.next()));
            copy.append(own.next()).unwrap();
            assert_eq!(made(&copy), held + 1);
        }
    }
}

#[test]
fn a_copy_taken_while_others_write_ends_between_two_batches() {
    let disk = SimulatedDisk::new();
    let store = Arc::new(open(&disk, OPTIONS).unwrap());
    let writing = std::thread::spawn({
        let store = store.clone();
        move || {
            let mut batches = Batches::new(77);
            for _ in 0..400 {
                store.append(batches.next()).unwrap();
            }
        }
    });
    let mut last = 0;
    while !writing.is_finished() {
        let copy = open(&copied(&store, || {}), OPTIONS).unwrap();
        let held = made(&copy);
        assert!(held >= last, "{held} after {last}");
        answers(&copy).assert_same(&answers(&model(77, held)));
        last = held;
    }
    writing.join().unwrap();
    assert!(last > 0);
}

#[test]
fn what_is_erased_while_a_copy_is_taken_is_in_the_copy_and_nowhere_else() {
    let (disk, mut batches, origin) = (SimulatedDisk::new(), Batches::new(8), origins()[0].clone());
    let store = open(&disk, OPTIONS).unwrap();
    for _ in 0..5 {
        store
            .append(Batch::new().chunk(batches.whole_chunk(&origin, 10)))
            .unwrap();
    }
    let erase = |index| {
        store
            .append(Batch::new().erase(origin.clone(), index, Remains::Hash))
            .unwrap()
    };
    let gone = |store: &Journal| -> Vec<u64> {
        let withheld = |index: &u64| matches!(store.entry(&origin, *index).unwrap(), Some(Item::Withheld(_)));
        (0..50).filter(withheld).collect()
    };
    erase(1);
    let copy = open(&copied(&store, || [3, 4, 49].into_iter().for_each(erase)), OPTIONS).unwrap();
    assert_eq!((gone(&store), gone(&copy)), (vec![1, 3, 4, 49], vec![1]));
    let later = open(&copied(&store, || {}), OPTIONS).unwrap();
    assert_eq!(gone(&later), gone(&store));
    assert!(copy.health().damaged.is_empty() && later.health().damaged.is_empty());
}
