//! Cosignatures: made and read as another implementation of C2SP `tlog-cosignature` makes them, and the bad ones.

use proptest::prelude::*;

use super::super::{Checkpoint, Hash};
use super::*;

const LOG: &str = "demo.icomm.example/KE/main";
const WITNESS: &str = "demo.icomm.example/RILO-ESA";
const TIME: u64 = 1_795_428_000;

/// Signed and cosigned by aics-tlog 0.2.1 (PyPI), with the keys of [`log_key`] and [`witness_key`].
const COSIGNED: &str = "\
demo.icomm.example/KE/main\n\
5\n\
AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\
\n\
— demo.icomm.example/KE/main xvBPZJOLg22I0IWlSgULqtnvqJlsLRyCLGkISj3zwhFo+FHz45r+zhwHsWQ01a5qpPpYcYZ5SacdlVkClTC0O4yCngk=\n\
— demo.icomm.example/RILO-ESA zGoFKAAAAABrBA6g55DcdvLXAF72n8IFNctUWU6k7d0QUjeK2u/Q/bzUJFigJGtHn//TF4mVAdjmDSLzISKd5l1LpfVoYjdz+aVxAw==\n";

fn log_key() -> MemberKey {
    MemberKey::from_seed(&[1; 32])
}

fn witness_key() -> MemberKey {
    MemberKey::from_seed(&[2; 32])
}

fn signed() -> SignedNote {
    let checkpoint = Checkpoint {
        origin: LOG.to_owned(),
        size: 5,
        root: Hash::from(std::array::from_fn(|k| u8::try_from(k).unwrap())),
    };
    SignedNote::parse(checkpoint.sign(&log_key()).unwrap().note()).unwrap()
}

#[test]
fn cosigning_gives_the_bytes_of_another_implementation() {
    let mut note = signed();
    note.cosign(WITNESS, &witness_key(), TIME).unwrap();
    assert_eq!(note.to_string(), COSIGNED);
    let read = SignedNote::parse(COSIGNED.as_bytes()).unwrap();
    assert_eq!(read.cosigned(WITNESS, &witness_key().public()), Ok(Some(TIME)));
    read.verify(LOG, &log_key().public()).unwrap();
}

#[test]
fn neither_line_stands_for_the_other() {
    // One member, one key: its signature as originator is no cosignature, and the other way round.
    let mut note = signed();
    assert_eq!(note.cosigned(LOG, &log_key().public()), Ok(None));
    note.signatures.clear();
    note.cosign(LOG, &log_key(), TIME).unwrap();
    assert_eq!(
        note.verify(LOG, &log_key().public()),
        Err(InvalidNote::NotSignedBy(LOG.to_owned()))
    );
}

#[test]
fn a_later_cosignature_takes_the_place_of_an_earlier_one() {
    let mut note = signed();
    note.cosign(WITNESS, &witness_key(), TIME).unwrap();
    note.cosign(WITNESS, &witness_key(), TIME + 60).unwrap();
    assert_eq!(note.signatures().len(), 2);
    assert_eq!(note.cosigned(WITNESS, &witness_key().public()), Ok(Some(TIME + 60)));
}

#[test]
fn bad_cosignatures_are_refused() {
    let key = witness_key().public();
    let wrong = Err(InvalidNote::WrongSignature(WITNESS.to_owned()));
    let good = SignedNote::parse(COSIGNED.as_bytes()).unwrap();
    assert_eq!(good.cosigned(WITNESS, &log_key().public()), Ok(None), "another key");
    assert_eq!(good.cosigned("elsewhere", &key), Ok(None), "another name");

    let changed = |change: fn(&mut Vec<u8>)| {
        let mut note = good.clone();
        change(&mut note.signatures[1].signature);
        note.cosigned(WITNESS, &key)
    };
    assert_eq!(changed(|line| line[7] ^= 1), wrong, "another time");
    assert_eq!(changed(|line| line[40] ^= 1), wrong, "another signature");
    assert_eq!(changed(|line| line.truncate(71)), wrong, "cut short");
    assert_eq!(changed(|line| line.truncate(5)), wrong, "no time");
    assert_eq!(changed(|line| line[0] = 0x80), wrong, "a time beyond the limit");

    let mut twice = good.clone();
    twice.signatures.push(twice.signatures[1].clone());
    assert_eq!(twice.cosigned(WITNESS, &key), wrong, "twice");

    let mut other_text = good.clone();
    other_text.text = other_text.text.replace("\n5\n", "\n6\n");
    assert_eq!(other_text.cosigned(WITNESS, &key), wrong, "of another checkpoint");
}

#[test]
fn what_can_not_be_cosigned_is_said() {
    let mut note = signed();
    let late = COSIGNATURE_TIME_MAX + 1;
    assert!(matches!(
        note.cosign(WITNESS, &witness_key(), late),
        Err(NotSigned::Note(InvalidNote::CosignatureTime(time))) if time == late
    ));
    assert!(matches!(
        note.cosign("two words", &witness_key(), TIME),
        Err(NotSigned::Note(InvalidNote::Name(_)))
    ));
    for number in 1..NOTE_SIGNATURES_MAX {
        note.cosign(&format!("witness{number}"), &witness_key(), TIME).unwrap();
    }
    assert!(matches!(
        note.cosign(WITNESS, &witness_key(), TIME),
        Err(NotSigned::Note(InvalidNote::TooManySignatures))
    ));
    let again = note.cosign("witness7", &witness_key(), TIME + 1);
    assert!(again.is_ok(), "in its own place");
}

proptest! {
    #[test]
    fn cosignatures_round_trip(seed: [u8; 32], time in 0..=COSIGNATURE_TIME_MAX, name in "[a-z./-]{1,40}") {
        let key = MemberKey::from_seed(&seed);
        let mut note = signed();
        note.cosign(&name, &key, time).unwrap();
        let read = SignedNote::parse(&note.to_bytes()).unwrap();
        prop_assert_eq!(read.cosigned(&name, &key.public()), Ok(Some(time)));
    }
}
