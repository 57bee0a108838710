//! What lies on disk tells nobody without the store key what a record says, and nobody at all once it is erased.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use icomm_proto::{
    EntryHead, EntryKind, Origin, RecordKind, SectionKind, SectionSet, View,
    log::{ChunkBuilder, Frontier, Item},
    seal::seal,
};
use rand::{SeedableRng, rngs::SmallRng};

use super::{
    ONE_SEGMENT, OPTIONS,
    fixture::{Batches, answers, origins, record},
    folder, key, open, open_in, open_with_key,
};
use crate::store::{
    Batch, MemoryStore, NoteLog, Remains, Store, StoreError, StoredChunk, Widths,
    disk::simulated::{Faults, SimulatedDisk},
    journal::Journal,
};

const ENTRIES: u64 = 12;
const SLOT: usize = 20;
const KEYS_HEAD: usize = 28;

/// What a section of an entry says.
fn planted(index: u64, kind: SectionKind) -> String {
    format!("Planted-{index:02}-{kind} Wanjiku Otieno, 12 kg")
}

/// Twelve entries that say so in each of their sections.
fn views() -> Vec<View> {
    let mut chance = SmallRng::seed_from_u64(5);
    (0..ENTRIES)
        .map(|index| {
            let head = EntryHead {
                kind: EntryKind::Issue,
                record_kind: RecordKind::Seizure,
                record_id: record(index),
                version: 1,
            };
            let texts = SectionKind::ALL.map(|kind| (kind, planted(index, kind)));
            let sections: Vec<(SectionKind, &[u8])> =
                texts.iter().map(|(kind, text)| (*kind, text.as_bytes())).collect();
            seal(&head, &sections, &mut chance).unwrap()
        })
        .collect()
}

/// A chunk of de-nominalised views, and an overlay with the rest.
fn batches(origin: &Origin) -> [Batch; 2] {
    let views = views();
    let (mut open, mut whole, mut widens) = (ChunkBuilder::default(), ChunkBuilder::default(), Widths::default());
    let mut frontier = Frontier::new();
    for view in &views {
        open.disclose(view.redact(SectionSet::open()).bytes());
        whole.disclose(view.bytes());
        frontier.push(view.leaf_hash());
        let held = Widths::of_sections(Some(SectionSet::open()));
        widens += held.becoming(Widths::of_sections(Some(view.sections())));
    }
    let base = StoredChunk::extending(origin.clone(), 0, open.finish().unwrap(), frontier, "checkpoint".into());
    let overlay = StoredChunk::overlay(origin.clone(), 0, whole.finish().unwrap(), widens);
    let found = NoteLog::receipts();
    [
        Batch::new().chunk(base),
        Batch::new().chunk(overlay).note(found, "Planted note"),
    ]
}

fn filled(store: &dyn Store) -> Origin {
    let origin = origins()[0].clone();
    for batch in batches(&origin) {
        store.append(batch).unwrap();
    }
    origin
}

/// In which files a text is, as it is or in hexadecimal digits.
fn found(files: &[(PathBuf, Vec<u8>)], text: &str) -> usize {
    let digits = data_encoding::HEXLOWER.encode(text.as_bytes());
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    files
        .iter()
        .filter(|(_, bytes)| has(bytes, text) || has(bytes, &digits))
        .count()
}

/// How many keys of those that views had are destroyed.
fn destroyed(disk: &SimulatedDisk) -> usize {
    let keys = disk
        .files()
        .into_iter()
        .find(|(path, _)| path.ends_with("keys"))
        .unwrap()
        .1;
    let slots = keys.split_at(KEYS_HEAD).1.chunks(SLOT);
    slots.filter(|slot| slot.iter().all(|byte| *byte == 0)).count()
}

fn says(store: &dyn Store, origin: &Origin, index: u64) -> Vec<String> {
    match store.entry(origin, index).unwrap().unwrap() {
        Item::Withheld(_) => Vec::new(),
        Item::Disclosed(view) => {
            let view = View::parse(view).unwrap().verify().unwrap().into_view();
            let text = |kind| str::from_utf8(view.section(kind).unwrap()).unwrap().to_owned();
            view.sections().iter().map(text).collect()
        }
    }
}

fn files_in(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files_in(&path),
            false => vec![(path.clone(), std::fs::read(&path).unwrap())],
        })
        .collect()
}

#[test]
fn no_section_is_found_in_any_file_before_or_after_it_is_erased() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path(), OPTIONS).unwrap();
    let origin = filled(&store);
    let all: Vec<String> = (0..ENTRIES)
        .flat_map(|index| SectionKind::ALL.map(|kind| planted(index, kind)))
        .collect();
    let check = |store: Journal, when: &str| {
        for index in 0..ENTRIES {
            let expected = match (when, index) {
                ("after", 3) => Vec::new(),
                ("after", 4) => vec![planted(4, SectionKind::Case)],
                _ => SectionKind::ALL.map(|kind| planted(index, kind)).to_vec(),
            };
            assert_eq!(says(&store, &origin, index), expected, "{when}");
        }
        drop(store);
        let files = files_in(folder.path());
        // The search finds what is there in clear: a note, and what no section says.
        assert_eq!(found(&files, "Planted note"), 1);
        assert!(found(&files, "icommsg2") > 1 && found(&files, "icommrn3") > 0);
        for text in &all {
            assert_eq!(found(&files, text), 0, "{text} {when}");
        }
        for text in ["Wanjiku", "Otieno", "12 kg"] {
            assert_eq!(found(&files, text), 0, "{text} {when}");
        }
        let store = open_in(folder.path(), OPTIONS).unwrap();
        assert!(store.health().is_good() && store.health().mended.is_empty());
        store
    };
    let store = check(store, "before");
    let batch = Batch::new().erase(origin.clone(), 3, Remains::Hash).erase(
        origin.clone(),
        4,
        Remains::Sections(SectionSet::open()),
    );
    store.append(batch).unwrap();
    drop(check(store, "after"));
}

#[test]
fn erasing_destroys_the_keys_of_all_views_of_an_entry_and_no_others() {
    let disk = SimulatedDisk::new();
    let store = open(&disk, ONE_SEGMENT).unwrap();
    let origin = filled(&store);
    assert_eq!(destroyed(&disk), 0);
    // A base and an overlay of each.
    store
        .append(Batch::new().erase(origin.clone(), 3, Remains::Hash))
        .unwrap();
    assert_eq!(destroyed(&disk), 2);
    let narrow = Remains::Sections("case+exact".parse().unwrap());
    store.append(Batch::new().erase(origin.clone(), 4, narrow)).unwrap();
    assert_eq!(destroyed(&disk), 4);
    // What remained of it is erased too, and what is gone is not erased again.
    store
        .append(
            Batch::new()
                .erase(origin.clone(), 4, Remains::Hash)
                .erase(origin.clone(), 3, narrow),
        )
        .unwrap();
    assert_eq!(destroyed(&disk), 5);

    // All of a batch that brings and erases: nobody can read it even with what was on disk in between.
    let mut batches = Batches::new(1);
    let other = origins()[1].clone();
    let chunk = batches.whole_chunk(&other, 4);
    store
        .append(Batch::new().chunk(chunk).erase(other, 1, Remains::Hash))
        .unwrap();
    assert_eq!(destroyed(&disk), 6);
}

#[test]
fn an_erasure_that_the_power_cut_short_is_done_to_the_end_or_not_at_all() {
    let (mut none, mut cut_short) = (0, 0);
    for seed in 0..8 {
        for cut in 1..12 {
            let disk = SimulatedDisk::new();
            let store = open(&disk, ONE_SEGMENT).unwrap();
            let origin = filled(&store);
            disk.set_faults(Faults {
                power_cut: Some(disk.operations() + cut),
                ..Faults::default()
            });
            let batch = Batch::new().erase(origin.clone(), 3, Remains::Hash).erase(
                origin.clone(),
                9,
                Remains::Sections(SectionSet::open()),
            );
            let acknowledged = store.append(batch).is_ok();
            drop(store);
            let after = disk.after_power_cut(seed * 100 + cut);
            let zeros = destroyed(&after);
            let store = open(&after, ONE_SEGMENT).unwrap();
            let erased = says(&store, &origin, 3).is_empty();
            assert!(erased || !acknowledged);
            assert_eq!(says(&store, &origin, 9).len(), if erased { 1 } else { 7 });
            drop(store);
            none += u64::from(!erased);
            cut_short += u64::from(erased && zeros < 4);
            // What the start did is durable too.
            let again = after.after_power_cut(seed);
            assert_eq!(destroyed(&again), if erased { 4 } else { 0 });
            let store = open(&again, ONE_SEGMENT).unwrap();
            assert_eq!(says(&store, &origin, 3).is_empty(), erased);
            assert!(store.health().is_good() && store.health().mended.is_empty());
        }
    }
    assert!(none > 4 && cut_short > 4, "{none} {cut_short}");
}

#[test]
fn a_sync_of_the_keys_that_fails_acknowledges_nothing_and_is_made_up_for() {
    let disk = SimulatedDisk::new();
    let store = open(&disk, ONE_SEGMENT).unwrap();
    let origin = filled(&store);
    disk.set_faults(Faults {
        // That of the journal succeeds.
        failing_sync: Some(disk.syncs() + 2),
        ..Faults::default()
    });
    let erased = store.append(Batch::new().erase(origin.clone(), 3, Remains::Hash));
    assert!(matches!(erased, Err(StoreError::Failed(_))));
    assert!(matches!(
        store.append(Batch::new().set("a", "b")),
        Err(StoreError::Failed(_))
    ));
    drop(store);
    let disk = disk.after_power_cut(0);
    let store = open(&disk, ONE_SEGMENT).unwrap();
    assert_eq!(
        (
            destroyed(&disk),
            says(&store, &origin, 3).len(),
            store.health().mended.len()
        ),
        (2, 0, 1)
    );
}

#[test]
fn with_another_store_key_or_without_the_keys_nothing_opens() {
    let (disk, model) = (SimulatedDisk::new(), MemoryStore::new());
    let store = open(&disk, OPTIONS).unwrap();
    filled(&store);
    filled(&model);
    drop(store);
    let refusal = |disk: &SimulatedDisk, number| open_with_key(disk, OPTIONS, &key(number)).err().unwrap();
    assert!(matches!(refusal(&disk, 2), StoreError::WrongKey));

    let path = folder().join("keys");
    let bytes = disk.files().into_iter().find(|(file, _)| *file == path).unwrap().1;
    let without = disk.after_kill();
    without.unlink(&path);
    assert!(matches!(refusal(&without, 1), StoreError::Keys("is missing")));
    for len in [0, 20, KEYS_HEAD, KEYS_HEAD + SLOT * 24 - 1] {
        let short = disk.after_kill();
        short.put(&path, bytes[..len].to_vec());
        assert!(matches!(refusal(&short, 1), StoreError::Keys(_)), "{len}");
    }
    // Slots that no view has are made anew.
    let short = disk.after_kill();
    short.put(&path, bytes[..KEYS_HEAD + SLOT * 24].to_vec());
    let store = open(&short, OPTIONS).unwrap();
    answers(&store).assert_same(&answers(&model));
}

#[test]
fn keys_swapped_or_destroyed_by_nobody_are_told() {
    let disk = SimulatedDisk::new();
    let store = open(&disk, ONE_SEGMENT).unwrap();
    let origin = filled(&store);
    drop(store);
    let path = folder().join("keys");
    let bytes = disk.files().into_iter().find(|(file, _)| *file == path).unwrap().1;
    let slot = |number: usize| KEYS_HEAD + SLOT * number..KEYS_HEAD + SLOT * (number + 1);
    let mut zero = bytes.clone();
    zero[slot(3)].fill(0);
    let mut swapped = bytes.clone();
    swapped.copy_within(slot(3), KEYS_HEAD + SLOT * 4);
    for changed in [zero, swapped] {
        let disk = disk.after_kill();
        disk.put(&path, changed);
        let store = open(&disk, ONE_SEGMENT).unwrap();
        assert!(matches!(store.entry(&origin, 3), Err(StoreError::Damaged(_))) || says(&store, &origin, 3).len() == 7);
        assert!(matches!(store.entry(&origin, 4), Err(StoreError::Damaged(_))) || says(&store, &origin, 4).len() == 7);
        assert_eq!(store.health().damaged.len(), 1);
    }
}

#[test]
fn readers_of_what_is_being_erased_see_it_before_or_after() {
    let disk = SimulatedDisk::new();
    let store = open(&disk, ONE_SEGMENT).unwrap();
    let origin = filled(&store);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    for index in 0..ENTRIES {
                        let sections = says(&store, &origin, index).len();
                        assert!([0, 1, 7].contains(&sections), "{sections}");
                    }
                }
            });
        }
        for index in 0..ENTRIES {
            for remains in [Remains::Sections(SectionSet::open()), Remains::Hash] {
                store
                    .append(Batch::new().erase(origin.clone(), index, remains))
                    .unwrap();
            }
        }
        done.store(true, Ordering::Release);
    });
    assert!(store.health().is_good());
}
