//! Bits that flip, bytes that vanish: told, never wrong, never quietly lost.

use std::path::PathBuf;

use super::{
    ONE_SEGMENT, OPTIONS,
    fixture::{Batches, answers, made},
    folder, open,
};
use crate::store::{MemoryStore, Store, StoreError, disk::simulated::SimulatedDisk, journal::Options};

/// A store of `count` batches, acknowledged, and the same in memory.
fn filled(count: u64, options: Options) -> (SimulatedDisk, MemoryStore) {
    let disk = SimulatedDisk::new();
    let (store, model) = (open(&disk, options).unwrap(), MemoryStore::new());
    let mut batches = Batches::new(3);
    for _ in 0..count {
        let batch = batches.next();
        model.append(batch.clone()).unwrap();
        store.append(batch).unwrap();
    }
    drop(store);
    (disk, model)
}

pub(super) fn without_runs(disk: &SimulatedDisk) {
    for (file, _) in disk.files() {
        if file.extension().is_some_and(|ext| ext == "run") {
            disk.unlink(&file);
        }
    }
}

fn path(name: &str) -> PathBuf {
    folder().join(name)
}

#[test]
fn every_flipped_bit_is_told_or_harmless() {
    const SHORT: Options = Options {
        segment_bytes: 1200,
        ..OPTIONS
    };
    let (disk, model) = filled(6, SHORT);
    let expected = answers(&model);
    let files = disk.files();
    assert!(
        files
            .iter()
            .filter(|(path, _)| path.extension().is_some_and(|ext| ext == "seg"))
            .count()
            > 2
    );
    assert!(
        files
            .iter()
            .any(|(path, _)| path.extension().is_some_and(|ext| ext == "run"))
    );
    let (mut refused, mut told, mut harmless, mut hidden) = (0, 0, 0, 0);
    for (file, bytes) in &files {
        let is_journal = file.extension().is_some_and(|ext| ext == "seg");
        let is_derived = !is_journal && !file.ends_with("keys");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let disk = disk.after_kill();
            disk.put(file, changed);
            match open(&disk, SHORT) {
                Err(StoreError::Damaged(_)) => refused += 1,
                Err(StoreError::Keys(_)) if file.ends_with("keys") => refused += 1,
                Err(error) => panic!("{} {at}: {error:?}", file.display()),
                Ok(store) => {
                    let damaged = answers(&store).assert_same_or_damaged(&expected);
                    let health = store.health();
                    assert_eq!(damaged > 0, !health.damaged.is_empty(), "{} {at}", file.display());
                    assert!(
                        !is_derived || damaged == 0,
                        "{} {at}: what is derived is made anew",
                        file.display()
                    );
                    told += usize::from(damaged > 0);
                    harmless += usize::from(damaged == 0);
                    drop(store);
                    // What a sealed segment's run repeats is not read in the segment; without the run it is missed.
                    if is_journal && damaged == 0 {
                        hidden += 1;
                        without_runs(&disk);
                        match open(&disk, SHORT) {
                            Err(StoreError::Damaged(_)) => {}
                            Err(error) => panic!("{} {at}: {error:?}", file.display()),
                            Ok(store) => assert!(!store.health().damaged.is_empty(), "{} {at}", file.display()),
                        }
                    }
                }
            }
        }
    }
    assert!(
        refused > 500 && told > 1000 && harmless > 300 && hidden > 100,
        "{refused} {told} {harmless} {hidden}"
    );
}

#[test]
fn a_flip_in_an_open_store_is_told() {
    let disk = SimulatedDisk::new();
    let (store, model) = (open(&disk, OPTIONS).unwrap(), MemoryStore::new());
    let mut batches = Batches::new(3);
    for _ in 0..9 {
        let batch = batches.next();
        model.append(batch.clone()).unwrap();
        store.append(batch).unwrap();
    }
    let expected = answers(&model);
    for (file, bytes) in disk.files() {
        for at in (0..bytes.len()).step_by(41) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            disk.put(&file, changed);
            // What was read before is in the cache, and right.
            answers(&store).assert_same_or_damaged(&expected);
            disk.put(&file, bytes.clone());
        }
    }
}

#[test]
fn every_truncation_of_the_last_batch_is_told_if_it_was_acknowledged_and_mended_if_not() {
    let (before, model_before) = filled(5, ONE_SEGMENT);
    let (after, model_after) = filled(6, ONE_SEGMENT);
    let segment = path("journal/00000001.seg");
    let bytes =
        |disk: &SimulatedDisk, path: &PathBuf| disk.files().into_iter().find(|(file, _)| file == path).unwrap().1;
    let (short, long) = (bytes(&before, &segment), bytes(&after, &segment));
    let watermark = bytes(&before, &path("head"));
    assert!(long.starts_with(&short));
    for len in short.len()..long.len() {
        // Acknowledged: the watermark says so.
        let disk = after.after_kill();
        disk.put(&segment, long[..len].to_vec());
        let error = open(&disk, ONE_SEGMENT).err().unwrap();
        assert!(
            matches!(&error, StoreError::Damaged(damage) if damage.offset == short.len() as u64),
            "{len}: {error:?}"
        );

        // Not acknowledged: the watermark is still that of the batch before.
        disk.put(&path("head"), watermark.clone());
        let store = open(&disk, ONE_SEGMENT).unwrap();
        assert_eq!(store.health().mended.len(), usize::from(len > short.len()));
        answers(&store).assert_same(&answers(&model_before));
        drop(store);

        // The same with garbage instead of nothing at the end.
        let mut garbage = long[..len].to_vec();
        garbage.resize(long.len(), 0xa5);
        disk.put(&segment, garbage);
        disk.put(&path("head"), watermark.clone());
        answers(&open(&disk, ONE_SEGMENT).unwrap()).assert_same(&answers(&model_before));
    }
    // Whole, but nobody was told: it stays.
    let disk = after.after_kill();
    disk.put(&path("head"), watermark);
    answers(&open(&disk, ONE_SEGMENT).unwrap()).assert_same(&answers(&model_after));
}

#[test]
fn a_damaged_batch_with_another_after_it_is_told_even_without_the_watermark() {
    let (first, _) = filled(4, ONE_SEGMENT);
    let (before, _) = filled(5, ONE_SEGMENT);
    let (after, _) = filled(6, ONE_SEGMENT);
    let segment = path("journal/00000001.seg");
    let bytes = |disk: &SimulatedDisk| disk.files().into_iter().find(|(file, _)| *file == segment).unwrap().1;
    let (start, whole) = (bytes(&first).len(), bytes(&after));
    for at in start..bytes(&before).len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x40;
        let disk = after.after_kill();
        disk.unlink(&path("head"));
        disk.put(&segment, changed);
        match open(&disk, ONE_SEGMENT) {
            Err(StoreError::Damaged(_)) => {}
            Err(error) => panic!("{at}: {error:?}"),
            Ok(store) => assert!(!store.health().damaged.is_empty(), "{at}"),
        }
    }
}

#[test]
fn segments_missing_swapped_or_of_an_older_copy_are_refused() {
    let (disk, _) = filled(18, OPTIONS);
    let segments: Vec<_> = disk
        .files()
        .into_iter()
        .filter(|(file, _)| file.extension().is_some_and(|ext| ext == "seg"))
        .collect();
    assert!(segments.len() > 3);
    for (file, _) in &segments {
        let disk = disk.after_kill();
        disk.unlink(file);
        assert!(
            matches!(open(&disk, OPTIONS), Err(StoreError::Damaged(_))),
            "without {}",
            file.display()
        );
    }
    let swapped = disk.after_kill();
    swapped.put(&segments[1].0, segments[2].1.clone());
    swapped.put(&segments[2].0, segments[1].1.clone());
    assert!(matches!(open(&swapped, OPTIONS), Err(StoreError::Damaged(_))));

    // The tail of a sealed segment is cut at a batch: the next segment's head does not follow.
    let (shorter, _) = filled(1, ONE_SEGMENT);
    let first = shorter
        .files()
        .into_iter()
        .find(|(file, _)| *file == segments[0].0)
        .unwrap()
        .1;
    let cut = disk.after_kill();
    cut.put(&segments[0].0, first);
    assert!(matches!(open(&cut, OPTIONS), Err(StoreError::Damaged(_))));

    let empty = disk.after_kill();
    empty.unlink(&path("journal"));
    assert!(
        matches!(open(&empty, OPTIONS), Err(StoreError::Damaged(_))),
        "never a new store over the ruins of one"
    );
}

#[test]
fn a_record_can_not_pose_as_a_batch() {
    // Bytes of a real batch, of another store, inside a note: after a torn write of it they must not count as batches
    // that say how far the journal was synced.
    let foreign = SimulatedDisk::new();
    let other = open(&foreign, Options { salt: 7, ..ONE_SEGMENT }).unwrap();
    for batch in (0..3).map(|n| crate::store::Batch::new().set("a", vec![n; 100])) {
        other.append(batch).unwrap();
    }
    let forged = foreign
        .files()
        .into_iter()
        .find(|(file, _)| file.ends_with("00000001.seg"))
        .unwrap()
        .1;
    let disk = SimulatedDisk::new();
    let store = open(&disk, ONE_SEGMENT).unwrap();
    store.append(crate::store::Batch::new().set("a", "b")).unwrap();
    let watermark = disk
        .files()
        .into_iter()
        .find(|(file, _)| file.ends_with("head"))
        .unwrap()
        .1;
    store
        .append(crate::store::Batch::new().note(crate::store::NoteLog::receipts(), forged))
        .unwrap();
    drop(store);
    let (segment, bytes) = disk
        .files()
        .into_iter()
        .find(|(file, _)| file.ends_with("00000001.seg"))
        .unwrap();
    disk.put(&segment, bytes[..bytes.len() - 1].to_vec());
    disk.put(&path("head"), watermark);
    let store = open(&disk, ONE_SEGMENT).unwrap();
    assert_eq!(store.health().mended.len(), 1);
    assert_eq!(made(&store), 0);
    assert_eq!(store.state("a").unwrap().as_deref(), Some(&b"b"[..]));
}
