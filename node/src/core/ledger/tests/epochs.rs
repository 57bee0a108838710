//! Epochs: a ledger that began anew contradicts nothing of before, hides nothing, and goes on.

use super::signing::{add, all, finding, ledger, note, signed, tampered};
use crate::core::fixture::{domain, key};
use crate::core::ledger::*;
use icomm_proto::log::leaf_hash;

/// Five notes, signed after three and after five, and what a copy of the store after three makes of it.
fn put_back() -> (Vec<Bytes>, Arc<MemoryStore>) {
    let store = signed(&[3, 2]);
    let mut notes = all(&store, &NoteLog::disclosures());
    notes.truncate(3);
    let mut checkpoints = all(&store, &NoteLog::ledger());
    let lost = checkpoints.split_off(1);
    (lost, tampered(&store, notes, checkpoints))
}

use crate::store::MemoryStore;

fn checkpoint_of(epoch: &EpochId, notes: std::ops::Range<u64>) -> Bytes {
    let line = Line::new(&domain(), &"KE".parse().unwrap(), &"gw1".parse().unwrap());
    let frontier: Frontier = notes.map(|number| leaf_hash(&note(number))).collect();
    let signed = Checkpoint::of(line.of(epoch), &frontier).sign(&key("KE")).unwrap();
    signed.note().clone()
}

#[test]
fn what_somebody_holds_of_before_contradicts_nothing_and_is_told() {
    let (lost, store) = put_back();
    let ledger = ledger(&store);
    ledger.begin("restored", 77, [0, 0, 0, 9]).unwrap();
    assert_eq!(ledger.head().size, 0, "nothing is handed out before it is signed anew");
    assert!(ledger.growth(0).unwrap().is_none());
    ledger.sign().unwrap();
    assert_eq!(ledger.line(), "test.icomm.example/KE/gw1/disclosures/2-00000009");
    assert_eq!((ledger.head().size, ledger.verify().unwrap().size), (3, 3));
    assert_eq!(ledger.compare_with("WCO/gw1", lost[0].clone()).unwrap(), 0);
    assert!(ledger.fault().is_none());
    // Of what was there before nothing is lost, and what is edited is found.
    assert_eq!(
        ledger
            .compare_with("UG", checkpoint_of(&EpochId::default(), 0..2))
            .unwrap(),
        0
    );
    assert_eq!(ledger.compare_with("UG", ledger.head().checkpoint.unwrap()).unwrap(), 3);

    let epochs = ledger.epochs();
    let Epoch {
        since,
        notes,
        reason,
        former,
        ..
    } = &epochs.begun[0];
    assert_eq!((*since, *notes, reason.as_str(), former.size), (77, 3, "restored", 3));
    let lost = &epochs.lost[&EpochId::default()];
    assert_eq!((lost.holder.as_str(), lost.end.size), ("WCO/gw1", 5));
    // Both are named in a hand-over, the first as far as it was signed for sure.
    let ends: Vec<_> = ledger.ends().into_iter().map(|(name, end)| (name, end.size)).collect();
    assert_eq!(
        ends,
        [
            ("gw1/disclosures".to_owned(), 5),
            ("gw1/disclosures/2-00000009".to_owned(), 3)
        ]
    );

    // A restart goes on where it was.
    add(&store, 40..44);
    let again = super::signing::ledger(&store);
    assert_eq!((again.epochs(), again.head().size), (epochs, 3));
    assert_eq!(again.verify().unwrap().size, 7);
    assert_eq!(all(&store, &NoteLog::ledger()).len(), 3);
}

#[test]
fn a_restart_before_the_first_signature_forgets_nothing() {
    let (lost, store) = put_back();
    ledger(&store).begin("restored", 77, [1; 4]).unwrap();
    let again = ledger(&store);
    assert_eq!(again.head().size, 0);
    assert_eq!(again.compare_with("WCO/gw1", lost[0].clone()).unwrap(), 0);
    assert_eq!(again.verify().unwrap().size, 3);
}

#[test]
fn what_another_holds_against_it_is_put_aside_and_not_forgotten() {
    let (lost, store) = put_back();
    let before = ledger(&store);
    assert!(before.compare_with("WCO/gw1", lost[0].clone()).is_err());
    before.begin("a copy was put back", 77, [1; 4]).unwrap();
    assert!(before.fault().is_none());
    assert_eq!(before.epochs().lost[&EpochId::default()].end.size, 5);
    assert!(finding(&store).is_none(), "nor does a restart bring it back");
}

#[test]
fn what_contradicts_itself_can_not_begin_anew() {
    let store = signed(&[5, 5]);
    let mut notes = all(&store, &NoteLog::disclosures());
    notes.truncate(7);
    let cut = tampered(&store, notes, all(&store, &NoteLog::ledger()));
    let ledger = ledger(&cut);
    assert!(matches!(
        ledger.begin("restored", 77, [1; 4]),
        Err(InvalidLedger::Cut { .. })
    ));
    assert!(ledger.epochs().begun.is_empty() && ledger.fault().is_some());
}

#[test]
fn an_edit_is_found_in_every_epoch() {
    let (_, store) = put_back();
    let ledger = ledger(&store);
    ledger.begin("restored", 77, [1; 4]).unwrap();
    add(&store, 3..6);
    ledger.sign().unwrap();
    let epochs = store.state(EPOCHS).unwrap().unwrap();
    for edited in 0..6 {
        let mut notes = all(&store, &NoteLog::disclosures());
        notes[edited] = note(99);
        let other = tampered(&store, notes, all(&store, &NoteLog::ledger()));
        other.append(Batch::new().set(EPOCHS, epochs.clone())).unwrap();
        let found = finding(&other);
        assert!(
            matches!(found, Some(InvalidLedger::Changed { .. })),
            "{edited}: {found:?}"
        );
    }
    // Checkpoints of an epoch that nobody began are none.
    let other = tampered(
        &store,
        all(&store, &NoteLog::disclosures()),
        all(&store, &NoteLog::ledger()),
    );
    assert!(matches!(finding(&other), Some(InvalidLedger::Order { number: 1 })));
}

#[test]
fn an_epoch_that_is_not_known_was_lost_with_the_store_or_tells_that_it_is_older() {
    let (_, store) = put_back();
    let unknown = checkpoint_of(&EpochId::new(2, [7; 4]), 0..9);
    // In its first epoch a node knows of no other: it was put back.
    let first = ledger(&store);
    let told = first.compare_with("WCO/gw1", unknown.clone()).unwrap_err();
    assert!(
        matches!(told, Disagreement::Ledger(InvalidLedger::Beyond { held: 9, .. })),
        "{told}"
    );
    // Once it was restored, it may be one of those that the backup does not have.
    first.begin("restored", 77, [1; 4]).unwrap();
    first.sign().unwrap();
    assert_eq!(first.compare_with("WCO/gw1", unknown.clone()).unwrap(), 0);
    // But not for who has kept something of this one: keepers only go forward.
    first.heard("WCO/gw1");
    let again = ledger(&store);
    assert_eq!(again.compare_with("RILO-ESA/gw1", unknown.clone()).unwrap(), 0);
    assert!(again.compare_with("WCO/gw1", unknown).is_err());
    assert!(again.fault().is_some());
    add(&store, 50..51);
    again.sign().unwrap();
    assert_eq!(again.head().size, 3, "nothing is signed any more");
}

#[test]
fn epochs_are_bounded() {
    let (_, store) = put_back();
    let ledger = ledger(&store);
    for number in 0..EPOCHS_MAX {
        ledger.begin("restored", 77, [number as u8; 4]).unwrap();
    }
    assert!(matches!(
        ledger.begin("restored", 77, [99; 4]),
        Err(InvalidLedger::Epochs)
    ));
    assert_eq!(ledger.epochs().begun.len(), EPOCHS_MAX);
    assert!(ledger.verify().is_ok(), "and it goes on in the last");
    let longest = ledger.ends().into_iter().map(|(name, _)| name.len()).max().unwrap();
    assert!(longest <= "gw1/disclosures/33-00000000".len());
}

#[test]
fn while_it_is_asked_who_holds_more_nothing_is_signed() {
    let (lost, store) = put_back();
    let ledger = ledger(&store);
    ledger.wait(true);
    add(&store, 60..62);
    ledger.sign().unwrap();
    assert_eq!(ledger.verify().unwrap().size, 3);
    // As many notes as were signed, but others.
    let told = ledger.compare_with("WCO/gw1", lost[0].clone()).unwrap_err();
    assert!(
        matches!(told, Disagreement::Ledger(InvalidLedger::Elsewhere { held: 5, .. })),
        "{told}"
    );
    ledger.begin("its own log was longer", 77, [1; 4]).unwrap();
    ledger.wait(false);
    assert_eq!(ledger.verify().unwrap().size, 5);
}
