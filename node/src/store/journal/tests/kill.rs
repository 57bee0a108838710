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
};
use crate::store::{MemoryStore, Store, journal::Journal};

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
    let store = match Journal::open_with(Path::new(&folder), OPTIONS) {
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

/// Starts a child, kills it after a while, and gives the last batch that it said was kept.
fn round(folder: &Path, micros: u64) -> Option<u64> {
    let (mut child, mut lines) = start(folder);
    lines.next();
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
        kept = round(folder.path(), number * 7_919 % 60_000).unwrap_or(kept);
        if number % 4 == 3 {
            let store = Journal::open_with(folder.path(), OPTIONS).unwrap();
            assert!(made(&store) >= kept && store.health().is_good());
            kept = made(&store);
        }
    }
    let store = Journal::open_with(folder.path(), OPTIONS).unwrap();
    answers(&store).assert_same(&answers(&replay(made(&store)).0));
    assert!(kept > 20, "{kept}");
}

#[test]
fn killed_while_creating_a_store_it_opens_afterwards() {
    for number in 0..40_u64 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/store");
        let kept = round(&path, number * 331 % 6_000).unwrap_or(0);
        let store = Journal::open_with(&path, OPTIONS).unwrap();
        assert!(made(&store) >= kept);
        answers(&store).assert_same(&answers(&replay(made(&store)).0));
    }
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Journal::open_with(folder.path(), OPTIONS).unwrap();
    let (mut child, mut lines) = start(folder.path());
    let refusal = lines.nth(1).unwrap();
    assert!(
        refusal.starts_with("refused the store `") && refusal.contains("in use by another process"),
        "{refusal}"
    );
    child.wait().unwrap();
    store.append(Batches::new(SEED).next()).unwrap();
}
