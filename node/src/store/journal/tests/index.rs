//! The index may be lost, damaged or replaced by anything: the answers stay.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{
    OPTIONS,
    fixture::{Answers, Batches, answers},
    open_in,
};
use crate::store::{MemoryStore, Store};

fn filled(path: &Path) -> Answers {
    let (store, model) = (open_in(path, OPTIONS).unwrap(), MemoryStore::new());
    let mut batches = Batches::new(5);
    for _ in 0..12 {
        let batch = batches.next();
        model.append(batch.clone()).unwrap();
        store.append(batch).unwrap();
    }
    answers(&model)
}

/// Every file of sled, or of the runs.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

fn check(path: &Path, expected: &Answers) -> Vec<String> {
    let store = open_in(path, OPTIONS).unwrap();
    answers(&store).assert_same(expected);
    assert!(store.health().is_good());
    store.health().mended
}

#[test]
fn an_index_lost_or_replaced_by_garbage_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let expected = filled(path);
    assert_eq!(check(path, &expected), Vec::<String>::new());

    fs::remove_dir_all(path.join("index")).unwrap();
    assert_eq!(check(path, &expected).len(), 1);
    fs::remove_file(path.join("index.closed")).unwrap();
    check(path, &expected);
    fs::write(path.join("index.closed"), b"garbage").unwrap();
    check(path, &expected);
    for run in files(&path.join("runs")) {
        fs::write(run, b"garbage").unwrap();
    }
    assert!(!check(path, &expected).is_empty());
    fs::remove_dir_all(path.join("runs")).unwrap();
    assert!(!check(path, &expected).is_empty());
    assert_eq!(check(path, &expected), Vec::<String>::new());
    for file in files(&path.join("index")) {
        fs::write(file, b"garbage").unwrap();
    }
    check(path, &expected);
}

#[test]
fn flipped_bits_in_the_index_change_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let expected = filled(path);
    let mut chance = SmallRng::seed_from_u64(9);
    for _ in 0..24 {
        for file in files(&path.join("index")) {
            let mut bytes = fs::read(&file).unwrap();
            if !bytes.is_empty() {
                // Most of sled's file is empty room: flip where there is something.
                let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
                let at = used
                    .get(chance.random_range(0..used.len().max(1)))
                    .copied()
                    .unwrap_or(0);
                bytes[at] ^= 1 << chance.random_range(0..8);
                fs::write(&file, bytes).unwrap();
            }
        }
        check(path, &expected);
    }
}

#[test]
fn an_index_of_an_older_state_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("store"), folder.path().join("copy"));
    filled(&path);
    fs::rename(path.join("index"), &copy).unwrap();
    let mark = fs::read(path.join("index.closed")).unwrap();
    let store = open_in(&path, OPTIONS).unwrap();
    store.append(crate::store::Batch::new().set("later", "value")).unwrap();
    let expected = answers(&store);
    drop(store);
    fs::remove_dir_all(path.join("index")).unwrap();
    fs::rename(&copy, path.join("index")).unwrap();
    fs::write(path.join("index.closed"), mark).unwrap();
    check(&path, &expected);
}
