//! Room written ahead of small batches: used, never taken for anything, given back.

use super::{ONE_SEGMENT, OPTIONS, fixture::Batches, folder, open};
use crate::store::{
    Batch, Store,
    disk::simulated::{Faults, SimulatedDisk},
};

fn segment(disk: &SimulatedDisk) -> Vec<u8> {
    let path = folder().join("journal/00000001.seg");
    disk.files().into_iter().find(|(file, _)| *file == path).unwrap().1
}

#[test]
fn small_batches_fill_the_room_that_one_of_them_wrote() {
    let disk = SimulatedDisk::new();
    let store = open(&disk, ONE_SEGMENT).unwrap();
    let mut lengths = Vec::new();
    for number in 0..40_u8 {
        store.append(Batch::new().set("key", vec![number + 1; 10])).unwrap();
        lengths.push(segment(&disk).len());
        assert!(lengths.last().unwrap() - store.health().bytes as usize <= ONE_SEGMENT.ahead_bytes as usize);
    }
    let mut grown = lengths.clone();
    grown.dedup();
    assert!(grown.len() > 2 && grown.len() < 10, "{lengths:?}");

    // Killed: the room is no torn write. Closed: it is gone.
    let killed = disk.after_kill();
    let again = open(&killed, ONE_SEGMENT).unwrap();
    assert_eq!(again.health().mended, Vec::<String>::new());
    assert_eq!(again.state("key").unwrap().as_deref(), Some(&[40; 10][..]));
    let bytes = store.health().bytes;
    drop(store);
    assert_eq!(segment(&disk).len() as u64, bytes);
}

#[test]
fn large_batches_and_sealed_segments_have_none() {
    let disk = SimulatedDisk::new();
    let store = open(&disk, ONE_SEGMENT).unwrap();
    store.append(Batch::new().set("large", vec![1; 100_000])).unwrap();
    assert_eq!(segment(&disk).len() as u64, store.health().bytes);

    let disk = SimulatedDisk::new();
    let store = open(&disk, OPTIONS).unwrap();
    let mut batches = Batches::new(4);
    for _ in 0..12 {
        store.append(batches.next()).unwrap();
    }
    let files = disk.files();
    let mut segments: Vec<_> = files
        .iter()
        .filter(|(file, _)| file.extension().is_some_and(|ext| ext == "seg"))
        .collect();
    let (last, _) = segments.pop().unwrap();
    assert!(segments.len() > 2, "sealed before `{}`", last.display());
    // Whatever a power cut leaves, a sealed segment is as long as it was when the next one began.
    for (file, bytes) in segments {
        for seed in 0..10 {
            let after = disk.after_power_cut(seed).files();
            assert_eq!(
                after.iter().find(|(path, _)| path == file).map(|(_, bytes)| bytes),
                Some(bytes)
            );
        }
    }
}

#[test]
fn a_batch_is_not_refused_for_want_of_room_ahead() {
    for room in [0, 1, 300, 699, 700] {
        let disk = SimulatedDisk::new();
        let store = open(&disk, ONE_SEGMENT).unwrap();
        let batch = Batch::new().set("key", vec![1; 100]);
        let before = store.health().bytes;
        store.append(batch.clone()).unwrap();
        let len = store.health().bytes - before;
        // Fill the room that is there, so that the next one makes the file longer.
        while segment(&disk).len() as u64 >= store.health().bytes + len {
            store.append(batch.clone()).unwrap();
        }
        let grows = len - (segment(&disk).len() as u64 - store.health().bytes);
        disk.set_faults(Faults {
            room: Some(grows + room),
            ..Faults::default()
        });
        store.append(batch).unwrap();
        let spare = segment(&disk).len() as u64 - store.health().bytes;
        assert_eq!(spare, if room < ONE_SEGMENT.ahead_bytes { 0 } else { room });
    }
}
