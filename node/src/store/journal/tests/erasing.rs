//! What is erased is not read again: by nobody, after no restart, with whatever is lost or widened in between.

use icomm_proto::{
    Origin, SectionSet, View,
    log::{Hash, Item},
};
use proptest::prelude::*;

use super::{
    OPTIONS,
    damage::without_runs,
    fixture::{Batches, answers, origins},
    open,
};
use crate::store::{
    Batch, MemoryStore, Remains, Store, StoredChunk, Widths, disk::simulated::SimulatedDisk, journal::Journal,
};

fn sections(store: &dyn Store, origin: &Origin, index: u64) -> Option<SectionSet> {
    match store.entry(origin, index).unwrap().unwrap() {
        Item::Withheld(_) => None,
        Item::Disclosed(view) => Some(View::parse(view).unwrap().verify().unwrap().view().sections()),
    }
}

fn leaves(store: &dyn Store, origin: &Origin, size: u64) -> Vec<Hash> {
    let mut leaves = Vec::new();
    store
        .leaf_hashes(origin, 0..size, &mut |leaf| leaves.push(leaf))
        .unwrap();
    leaves
}

/// A log of 200 entries with all their sections, in a store of many segments and in memory.
fn filled(disk: &SimulatedDisk) -> (Journal, MemoryStore, Origin) {
    let (store, model) = (open(disk, OPTIONS).unwrap(), MemoryStore::new());
    let (mut batches, origin) = (Batches::new(8), origins()[0].clone());
    for _ in 0..20 {
        let batch = Batch::new().chunk(batches.whole_chunk(&origin, 10));
        model.append(batch.clone()).unwrap();
        store.append(batch).unwrap();
    }
    (store, model, origin)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn erasing_is_what_it_is_in_memory(erased in prop::collection::vec((0u64..200, 0usize..5), 1..60)) {
        let mut disk = SimulatedDisk::new();
        let (mut store, model, origin) = filled(&disk);
        let before = leaves(&store, &origin, 200);
        let mut kept = vec![Some("case+exact+persons".parse::<SectionSet>().unwrap()); 200];
        let mut batch = Batch::new();
        for (index, remains) in erased {
            let remains = ["none", "case", "exact", "case+persons"].get(remains)
                .map_or(Remains::Hash, |sections| Remains::Sections(sections.parse().unwrap()));
            kept[index as usize] = match remains {
                Remains::Hash => None,
                Remains::Sections(sections) => kept[index as usize].map(|kept| kept.intersection(sections)),
            };
            batch = batch.erase(origin.clone(), index, remains);
        }
        model.append(batch.clone()).unwrap();
        store.append(batch).unwrap();
        for restart in 0..3 {
            if restart > 0 {
                disk = disk.after_kill();
                if restart == 2 {
                    without_runs(&disk);
                }
                store = open(&disk, OPTIONS).unwrap();
            }
            prop_assert_eq!(leaves(&store, &origin, 200), before.clone());
            let mut widths = Widths::default();
            for (index, kept) in (0..).zip(&kept) {
                prop_assert_eq!(sections(&store, &origin, index), *kept);
                widths += Widths::of_sections(*kept);
            }
            prop_assert_eq!(store.widths(&origin).unwrap(), widths);
            answers(&store).assert_same(&answers(&model));
        }
    }
}

#[test]
fn what_a_batch_brings_it_may_erase_and_what_comes_later_widens_again() {
    let (store, model) = (open(&SimulatedDisk::new(), OPTIONS).unwrap(), MemoryStore::new());
    let (mut batches, origin) = (Batches::new(4), origins()[0].clone());
    let only = |sections: &str| Remains::Sections(sections.parse().unwrap());
    let none = Remains::Sections(SectionSet::EMPTY);
    let chunk = batches.whole_chunk(&origin, 5);
    let overlay = |widens| StoredChunk::overlay(origin.clone(), 0, chunk.body.clone(), widens);
    let brought = Batch::new()
        .chunk(chunk.clone())
        .erase(origin.clone(), 1, none)
        .erase(origin.clone(), 3, Remains::Hash)
        .erase(origin.clone(), 1, Remains::Hash)
        .erase(origin.clone(), 4, only("case"));
    let again = Widths {
        disclosed: 3,
        denominalised: -1,
        withheld: -2,
    };
    let widened = Batch::new()
        .chunk(overlay(again))
        .erase(origin.clone(), 0, Remains::Hash)
        .chunk(overlay(
            Widths::of_sections(None).becoming(Widths::of_sections(Some(SectionSet::ALL))),
        ))
        .erase(origin.clone(), 2, only("exact"));
    let expected = [
        ["case+exact+persons", "hash", "case+exact+persons", "hash", "case"],
        [
            "case+exact+persons",
            "case+exact+persons",
            "exact",
            "case+exact+persons",
            "case+exact+persons",
        ],
    ];
    for (batch, expected) in [brought, widened].into_iter().zip(expected) {
        for store in [&store as &dyn Store, &model] {
            store.append(batch.clone()).unwrap();
            let held = (0..5).map(|index| sections(store, &origin, index));
            let held: Vec<String> = held
                .map(|held| held.map_or("hash".to_owned(), |held| held.to_string()))
                .collect();
            assert_eq!(held, expected);
        }
        answers(&store).assert_same(&answers(&model));
    }
}

#[test]
fn an_erasure_keeps_its_place_among_batches_that_wait() {
    let disk = SimulatedDisk::new();
    let (store, model, origin) = filled(&disk);
    let mut batches = Batches::new(9);
    let more = batches.whole_chunk(&origins()[1], 3);
    let each = |store: &dyn Store| {
        store.submit(Batch::new().chunk(more.clone()), Box::new(|result| result.unwrap()));
        for index in 0..40 {
            store.submit(
                Batch::new().erase(origin.clone(), 5 * index, Remains::Hash),
                Box::new(|result| result.unwrap()),
            );
            store.submit(
                Batch::new().set(format!("key/{index}"), "v"),
                Box::new(|result| result.unwrap()),
            );
        }
        store
            .append(Batch::new().erase(origins()[1].clone(), 2, Remains::Hash))
            .unwrap();
    };
    each(&store);
    each(&model);
    answers(&store).assert_same(&answers(&model));
}
