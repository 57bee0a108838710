//! Real processes killed at any moment, also while they create a store.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use super::{
    OPTIONS,
    fixture::{Batches, answers, made},
    open_in,
};
use crate::store::{MemoryStore, Store};

/// Tells this test binary that it is the process to be killed.
const FOLDER: &str = "ICOMM_TEST_STORE";
const SEED: u64 = 11;

fn replay(count: u64) -> (MemoryStore, Batches) {
    let model = MemoryStore::new();
    let mut batches = Batches::new(SEED);
    for _ in 0..count {
        model.append(batches.next()).unwrap();
    }
    (model, batches)
}

/// What the child does: opens the store, then appends batches and says which are acknowledged, until it is killed.
#[test]
fn child() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let mut out = std::io::stdout();
    writeln!(out, "started").unwrap();
    let store = match open_in(Path::new(&folder), OPTIONS) {
        Ok(store) => store,
        Err(error) => {
            writeln!(out, "refused {error}").unwrap();
            return;
        }
    };
    let (_, mut batches) = replay(made(&store));
    writeln!(out, "opened {}", batches.made).unwrap();
    loop {
        store.append(batches.next()).unwrap();
        writeln!(out, "kept {}", batches.made).unwrap();
    }
}

fn start(folder: &Path) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "store::journal::tests::kill::child", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    (child, lines.skip_while(|line| !line.ends_with("started")))
}

/// Starts a child, kills it some time after it said that it is so far, and gives the last batch that it said was kept.
fn round(folder: &Path, so_far: &str, micros: u64) -> Option<u64> {
    let (mut child, mut lines) = start(folder);
    assert!(lines.any(|line| line.contains(so_far)));
    thread::sleep(Duration::from_micros(micros));
    child.kill().unwrap();
    child.wait().unwrap();
    lines
        .filter_map(|line| line.strip_prefix("kept ").and_then(|number| number.parse().ok()))
        .last()
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = 0;
    for number in 0..40_u64 {
        // While it opens the store, and while it fills it.
        let so_far = if number % 2 == 0 { "started" } else { "opened" };
        kept = round(folder.path(), so_far, number * 7_919 % 40_000).unwrap_or(kept);
        if number % 4 == 3 {
            let store = open_in(folder.path(), OPTIONS).unwrap();
            assert!(made(&store) >= kept && store.health().is_good());
            kept = made(&store);
        }
    }
    // However slow the machine: one that gets somewhere before it is killed.
    let (mut child, lines) = start(folder.path());
    let kept = lines
        .filter_map(|line| line.strip_prefix("kept ").and_then(|number| number.parse().ok()))
        .nth(20);
    child.kill().unwrap();
    child.wait().unwrap();
    let store = open_in(folder.path(), OPTIONS).unwrap();
    assert!(kept.is_some_and(|kept: u64| made(&store) >= kept));
    answers(&store).assert_same(&answers(&replay(made(&store)).0));
}

#[test]
fn killed_while_creating_a_store_it_opens_afterwards() {
    for number in 0..40_u64 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/store");
        let kept = round(&path, "started", number * 331 % 6_000).unwrap_or(0);
        let store = open_in(&path, OPTIONS).unwrap();
        assert!(made(&store) >= kept);
        answers(&store).assert_same(&answers(&replay(made(&store)).0));
    }
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path(), OPTIONS).unwrap();
    let (mut child, mut lines) = start(folder.path());
    let refusal = lines.nth(1).unwrap();
    assert!(
        refusal.starts_with("refused the store `") && refusal.contains("in use by another process"),
        "{refusal}"
    );
    child.wait().unwrap();
    store.append(Batches::new(SEED).next()).unwrap();
}
