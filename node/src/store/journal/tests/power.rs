//! Power cuts at every kind of operation: what was acknowledged is there, and of the rest a beginning, never anything else.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    ONE_SEGMENT, OPTIONS,
    fixture::{Batches, answers, made},
    open,
};
use crate::store::{
    MemoryStore, Store,
    disk::simulated::{Faults, SimulatedDisk},
};

/// Appends `count` batches without waiting, so that they form groups; the number of those acknowledged.
fn append(store: &dyn Store, batches: &mut Batches, count: u64) -> u64 {
    let acknowledged = Arc::new(AtomicU64::new(0));
    for _ in 0..count {
        let (number, acknowledged) = (batches.made + 1, acknowledged.clone());
        store.submit(
            batches.next(),
            Box::new(move |result| {
                if result.is_ok() {
                    assert_eq!(
                        acknowledged.fetch_max(number, Ordering::SeqCst).max(number),
                        number,
                        "in order"
                    );
                }
            }),
        );
    }
    // Batches are kept in order, so when this one is answered, all are.
    drop(store.append(crate::store::Batch::new()));
    acknowledged.load(Ordering::SeqCst)
}

/// A store that holds the first `count` batches of a stream.
fn model(seed: u64, count: u64) -> (MemoryStore, Batches) {
    let model = MemoryStore::new();
    let mut batches = Batches::new(seed);
    for _ in 0..count {
        model.append(batches.next()).unwrap();
    }
    (model, batches)
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_else_comes_of_a_power_cut() {
    let mut cuts = 0;
    for seed in 0..150 {
        // How many operations there are without a cut, so that it can come anywhere.
        let whole = SimulatedDisk::new();
        let store = open(&whole, OPTIONS).unwrap();
        append(&store, &mut Batches::new(seed), 12);
        drop(store);
        let operations = whole.operations();

        let mut disk = SimulatedDisk::new();
        let mut held = 0;
        // The second cut comes while the store mends what the first one left, or while it goes on.
        for generation in 0..3 {
            let cut = (seed * 7919 + generation * 104_729) % operations + 1;
            disk.set_faults(Faults {
                power_cut: Some(cut),
                ..Faults::default()
            });
            let mut acknowledged = held;
            if let Ok(store) = open(&disk, OPTIONS) {
                let (_, mut batches) = model(seed, made(&store));
                acknowledged = acknowledged.max(append(&store, &mut batches, 12));
            }
            cuts += u64::from(disk.operations() >= cut);
            disk = disk.after_power_cut(seed + 1000 * generation);

            let store = open(&disk, OPTIONS).unwrap_or_else(|error| panic!("seed {seed}, cut {cut}: {error}"));
            held = made(&store);
            assert!(
                held >= acknowledged,
                "seed {seed}, cut {cut}: {acknowledged} acknowledged, {held} held"
            );
            answers(&store).assert_same(&answers(&model(seed, held).0));
            assert!(store.health().is_good());
            drop(store);
            disk = disk.after_kill();
        }
    }
    assert!(cuts > 250, "{cuts} cuts");
}

#[test]
fn what_a_start_kept_survives_the_next_power_cut() {
    // Killed before the sync: the batch is in the system's cache only. The next start shows it, so it must be durable.
    for seed in 0..50 {
        let disk = SimulatedDisk::new();
        let store = open(&disk, ONE_SEGMENT).unwrap();
        let mut batches = Batches::new(seed);
        append(&store, &mut batches, 3);
        disk.set_faults(Faults {
            failing_sync: Some(disk.syncs() + 1),
            ..Faults::default()
        });
        append(&store, &mut batches, 1);
        drop(store);
        let disk = disk.after_kill();
        let shown = made(&open(&disk, ONE_SEGMENT).unwrap());
        assert_eq!(shown, 4);
        assert_eq!(made(&open(&disk.after_power_cut(seed), ONE_SEGMENT).unwrap()), shown);
    }
}
