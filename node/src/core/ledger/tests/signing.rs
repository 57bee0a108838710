//! The ledger: what it signs, what it finds when notes or checkpoints were changed, and what its keepers see.

use std::ops::Range;

use icomm_pki::MemberKey;
use proptest::prelude::*;

use crate::core::fixture::{Stick, domain, key};
use crate::core::ledger::*;
use crate::store::MemoryStore;
use icomm_proto::log::leaf_hash;

pub(super) fn ledger(store: &Arc<MemoryStore>) -> Ledger {
    ledger_signing(store, key("KE"))
}

pub(super) fn ledger_signing(store: &Arc<MemoryStore>, key: MemberKey) -> Ledger {
    let line = Line::new(&domain(), &"KE".parse().unwrap(), &"gw1".parse().unwrap());
    Ledger::open(store.clone(), line, key.clone(), key.public().into()).unwrap()
}

pub(super) fn note(number: u64) -> Bytes {
    format!("note {number}").into()
}

pub(super) fn add(store: &MemoryStore, numbers: Range<u64>) {
    for number in numbers {
        store
            .append(Batch::new().note(NoteLog::disclosures(), note(number)))
            .unwrap();
    }
}

/// A store with `commits` of so many notes each, each signed.
pub(super) fn signed(commits: &[u64]) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let ledger = ledger(&store);
    for size in commits {
        let from = store.notes_len(&NoteLog::disclosures()).unwrap();
        add(&store, from..from + size);
        ledger.sign().unwrap();
    }
    store
}

pub(super) fn all(store: &MemoryStore, list: &NoteLog) -> Vec<Bytes> {
    let notes = store.notes(list, 0, usize::MAX).unwrap();
    notes.into_iter().map(|(_, note)| note).collect()
}

/// What somebody makes of a store who can write its files, but has no key.
pub(super) fn tampered(store: &MemoryStore, notes: Vec<Bytes>, checkpoints: Vec<Bytes>) -> Arc<MemoryStore> {
    let other = MemoryStore::new();
    let mut batch = Batch::new();
    for (list, kept) in [(NoteLog::disclosures(), notes), (NoteLog::ledger(), checkpoints)] {
        batch = kept
            .into_iter()
            .fold(batch, |batch, note| batch.note(list.clone(), note));
    }
    if let Some(frontier) = store.state(FRONTIER).unwrap() {
        batch = batch.set(FRONTIER, frontier);
    }
    other.append(batch).unwrap();
    Arc::new(other)
}

/// What verifying finds, however early.
pub(super) fn finding(store: &Arc<MemoryStore>) -> Option<InvalidLedger> {
    let ledger = ledger(store);
    let found = ledger.verify();
    assert_eq!(found.is_err(), ledger.fault().is_some(), "what is found is remembered");
    found.err()
}

/// Whether a finding says that something is wrong at this note.
fn names(finding: &InvalidLedger, number: usize) -> bool {
    match finding {
        InvalidLedger::Changed { from, last } => (*from..=*last).contains(&(number as u64)),
        _ => false,
    }
}

#[test]
fn no_log_of_records_has_a_ledgers_name() {
    let line = ledger(&signed(&[])).line().to_owned();
    assert_eq!(line, "test.icomm.example/KE/gw1/disclosures");
    assert!(icomm_proto::Origin::from_line(&line, &domain()).is_err());
}

#[test]
fn what_came_is_signed_in_stretches_and_goes_on_after_a_restart() {
    let store = signed(&[3, SIGN_NOTES_MAX + 1]);
    let sizes = |store| -> Vec<u64> {
        let checkpoints = all(store, &NoteLog::ledger());
        let checkpoints = checkpoints.iter().map(|note| {
            let line = "test.icomm.example/KE/gw1/disclosures";
            VerifiedCheckpoint::verify(note.clone(), line, &key("KE").public()).unwrap()
        });
        checkpoints.map(|checkpoint| checkpoint.size()).collect()
    };
    assert_eq!(sizes(&store), [3, 3 + SIGN_NOTES_MAX, 4 + SIGN_NOTES_MAX]);

    let again = ledger(&store);
    assert_eq!(again.head().size, 4 + SIGN_NOTES_MAX);
    again.sign().unwrap();
    assert_eq!(sizes(&store).len(), 3, "nothing came, nothing is signed");
    add(&store, 4 + SIGN_NOTES_MAX..5 + SIGN_NOTES_MAX);
    let head = again.verify().unwrap();
    assert_eq!(head.size, 5 + SIGN_NOTES_MAX, "an audit signs first");
    let expected: Frontier = all(&store, &NoteLog::disclosures())
        .iter()
        .map(|note| leaf_hash(note))
        .collect();
    assert_eq!(head.root, expected.root());
}

#[test]
fn a_lost_frontier_is_made_anew() {
    let store = signed(&[5, 2]);
    store.append(Batch::new().forget(FRONTIER)).unwrap();
    let ledger = ledger(&store);
    assert_eq!(ledger.head().size, 7);
    assert!(ledger.verify().is_ok());
}

#[test]
fn nothing_is_signed_on_top_of_a_cut() {
    let store = signed(&[5, 5]);
    let mut notes = all(&store, &NoteLog::disclosures());
    notes.truncate(7);
    let cut = tampered(&store, notes, all(&store, &NoteLog::ledger()));
    assert!(matches!(
        finding(&cut),
        Some(InvalidLedger::Cut { notes: 7, signed: 10 })
    ));
    let ledger = ledger(&cut);
    add(&cut, 90..99);
    ledger.sign().unwrap();
    assert_eq!(all(&cut, &NoteLog::ledger()).len(), 2);
    assert!(
        ledger.verify().is_err(),
        "nor is it well again with as many notes as before"
    );
}

#[test]
fn after_an_edit_what_comes_is_still_signed_over_what_was() {
    let store = signed(&[5, 5]);
    let mut notes = all(&store, &NoteLog::disclosures());
    notes[6] = note(99);
    let edited = tampered(&store, notes, all(&store, &NoteLog::ledger()));
    let ledger = ledger(&edited);
    assert!(ledger.verify().is_err());
    add(&edited, 10..11);
    ledger.sign().unwrap();
    let mut expected: Frontier = (0..11).map(|number| leaf_hash(&note(number))).collect();
    assert_eq!(ledger.head().root, expected.root());
    expected.push(leaf_hash(b"x"));
    assert_ne!(ledger.head().root, expected.root());
}

#[test]
fn tampered_checkpoints_are_found() {
    let store = signed(&[5, 5, 5]);
    let notes = || all(&store, &NoteLog::disclosures());
    let with = |change: fn(&mut Vec<Bytes>)| {
        let mut checkpoints = all(&store, &NoteLog::ledger());
        change(&mut checkpoints);
        finding(&tampered(&store, notes(), checkpoints))
    };
    assert!(with(|_| {}).is_none());
    assert!(matches!(
        with(|all| all.swap(0, 1)),
        Some(InvalidLedger::Order { number: 1 })
    ));
    assert!(matches!(
        with(|all| all[1] = "no checkpoint\n".into()),
        Some(InvalidLedger::Checkpoint { number: 1, .. })
    ));
    assert!(matches!(
        with(|all| all[2] = all[1].clone()),
        Some(InvalidLedger::Order { number: 2 })
    ));
    // Another member's signature over the same.
    let line = "test.icomm.example/KE/gw1/disclosures";
    let frontier: Frontier = notes().iter().map(|note| leaf_hash(note)).collect();
    let forged = Checkpoint::of(line, &frontier).sign(&key("UG")).unwrap();
    let mut checkpoints = all(&store, &NoteLog::ledger());
    checkpoints[2] = forged.note().clone();
    let found = finding(&tampered(&store, notes(), checkpoints));
    assert!(matches!(found, Some(InvalidLedger::Checkpoint { number: 2, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_edit_cut_swap_or_insertion_is_found(
        commits in prop::collection::vec(1..9u64, 1..9),
        at in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let store = signed(&commits);
        let (notes, checkpoints) = (all(&store, &NoteLog::disclosures()), all(&store, &NoteLog::ledger()));
        let (at, other) = (at.index(notes.len()), other.index(notes.len()));
        let with = |change: &dyn Fn(&mut Vec<Bytes>)| {
            let mut notes = notes.clone();
            change(&mut notes);
            finding(&tampered(&store, notes, checkpoints.clone()))
        };
        let unchanged = with(&|_| {});
        prop_assert!(unchanged.is_none());
        let edited = with(&|notes| notes[at] = note(99)).unwrap();
        prop_assert!(names(&edited, at), "{edited}");
        if at != other {
            let swapped = with(&|notes| notes.swap(at, other)).unwrap();
            prop_assert!(names(&swapped, at.min(other)), "{swapped}");
        }
        let inserted = with(&|notes| notes.insert(at, note(99))).unwrap();
        prop_assert!(names(&inserted, at), "{inserted}");
        let removed = with(&|notes| drop(notes.remove(at))).unwrap();
        prop_assert!(matches!(removed, InvalidLedger::Cut { .. }), "{removed}");
        let cut = with(&|notes| notes.truncate(at)).unwrap();
        prop_assert!(matches!(cut, InvalidLedger::Cut { notes, .. } if notes == at as u64), "{cut}");
    }
}

#[test]
fn without_its_token_a_ledger_is_not_at_fault_and_judges_what_peers_hold() {
    let store = Arc::new(MemoryStore::new());
    add(&store, 0..5);
    let (stick, token) = Stick::with_key_of("KE");
    // What a peer was handed before a power cut took it here.
    let line = Line::new(&domain(), &"KE".parse().unwrap(), &"gw1".parse().unwrap());
    let checkpoint = |notes: Range<u64>| {
        let frontier: Frontier = notes.map(|number| leaf_hash(&note(number))).collect();
        Checkpoint::of(line.of(&EpochId::default()), &frontier)
            .sign(&key("KE"))
            .unwrap()
            .note()
            .clone()
    };
    stick.plug(false);
    let ledger = ledger_signing(&store, token);
    assert!(matches!(ledger.sign(), Err(InvalidLedger::Unsigned(_))));
    assert_eq!(ledger.verify().unwrap().size, 0);
    assert_eq!(ledger.compare_with("UG", checkpoint(0..4)).unwrap(), 4);
    assert!(ledger.fault().is_none());

    stick.plug(true);
    ledger.sign().unwrap();
    assert_eq!(ledger.head().size, 5);
    stick.plug(false);
    let beyond = ledger.compare_with("UG", checkpoint(0..6)).unwrap_err();
    assert!(
        matches!(
            beyond,
            Disagreement::Ledger(InvalidLedger::Beyond { held: 6, notes: 5, .. })
        ),
        "{beyond}"
    );
    assert!(ledger.fault().is_some());
}
