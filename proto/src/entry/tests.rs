//! Entries: round trip and named bad inputs.

use proptest::prelude::*;

use sha2::{Digest, Sha256};

use super::*;

fn head() -> EntryHead {
    EntryHead {
        kind: EntryKind::Issue,
        record_kind: RecordKind::Seizure,
        record_id: RecordId::new(1_795_000_000_000, [7; 10]),
        version: 1,
    }
}

fn entry(sections: &[SectionKind]) -> Vec<u8> {
    let hashes: Vec<_> = sections
        .iter()
        .map(|kind| (*kind, [kind.number(); HASH_BYTES]))
        .collect();
    let mut bytes = Vec::new();
    Entry::write(&head(), [9; NONCE_BYTES], &hashes, &mut bytes);
    bytes
}

#[test]
fn layout_is_as_drawn() {
    let bytes = entry(&[SectionKind::Case, SectionKind::Persons]);
    let mut drawn = vec![1, 1, 1, 2];
    drawn.extend(head().record_id.as_bytes());
    drawn.extend([0, 0, 0, 1]);
    drawn.extend([9; 16]);
    drawn.extend([[1; 33], [4; 33]].concat());
    assert_eq!(bytes, drawn);
    assert_eq!(entry(&SectionKind::ALL).len(), ENTRY_BYTES_MAX);
}

#[test]
fn section_hash_is_as_documented() {
    let mut preimage = b"icomm/v1 section\0\x04".to_vec();
    preimage.extend([3; 16]);
    preimage.extend(b"content");
    let expected: [u8; 32] = Sha256::digest(&preimage).into();
    assert_eq!(section_hash(SectionKind::Persons, &[3; 16], b"content"), expected);
}

#[test]
fn cut_at_every_byte_is_refused() {
    let whole = entry(&SectionKind::ALL);
    for len in 0..whole.len() {
        assert_eq!(Entry::parse(&whole[..len]), Err(InvalidEntry::Truncated(len)));
    }
}

#[test]
fn named_bad_inputs_are_refused() {
    let whole = entry(&[SectionKind::Case, SectionKind::Persons]);
    let refused = |place: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[place] = byte;
        Entry::parse(&bytes).unwrap_err()
    };
    assert_eq!(refused(0, 2), InvalidEntry::Tag(2));
    assert_eq!(refused(1, 0), InvalidEntry::Kind(0));
    assert_eq!(refused(1, 5), InvalidEntry::Kind(5));
    assert_eq!(refused(2, 9), InvalidEntry::RecordKind(9));
    assert_eq!(refused(3, 8), InvalidEntry::Count(8));
    assert_eq!(refused(3, 1), InvalidEntry::Trailing(33, 1));
    assert!(matches!(refused(10, 0x40), InvalidEntry::RecordId(_)));
    assert_eq!(refused(HEAD_BYTES, 0), InvalidEntry::Section(0));
    assert_eq!(refused(HEAD_BYTES + 33, 200), InvalidEntry::Section(200));
    assert_eq!(
        refused(HEAD_BYTES + 33, 1),
        InvalidEntry::Order(SectionKind::Case),
        "twice"
    );
    assert_eq!(
        refused(HEAD_BYTES, 5),
        InvalidEntry::Order(SectionKind::Persons),
        "descending"
    );
    assert_eq!(refused(HEAD_BYTES, 2), InvalidEntry::NoCase);
    assert_eq!(Entry::parse(&entry(&[])), Err(InvalidEntry::NoCase));
    assert_eq!(
        Entry::parse(&[whole, vec![0]].concat()),
        Err(InvalidEntry::Trailing(1, 2))
    );
}

#[test]
fn a_recall_needs_no_section() {
    let mut bytes = Vec::new();
    let recall = EntryHead {
        kind: EntryKind::Recall,
        version: 2,
        ..head()
    };
    Entry::write(&recall, [0; NONCE_BYTES], &[], &mut bytes);
    assert_eq!(Entry::parse(&bytes).unwrap().head(), recall);
}

proptest! {
    #[test]
    fn entries_round_trip(
        others in proptest::sample::subsequence(SectionKind::ALL[1..].to_vec(), 0..=6),
        kind in 1_u8..=4, record_kind in 1_u8..=3, ms in 0_u64..1 << 48, version: u32, random: [u8; 10],
        nonce: [u8; 16], hash: [u8; 32],
    ) {
        let head = EntryHead {
            kind: EntryKind::from_number(kind).unwrap(),
            record_kind: RecordKind::try_from(record_kind).unwrap(),
            record_id: RecordId::new(ms, random),
            version,
        };
        let sections = [&[SectionKind::Case], others.as_slice()].concat();
        let hashes: Vec<_> = sections.iter().map(|kind| {
            let mut own = hash;
            own[0] ^= kind.number();
            (*kind, own)
        }).collect();
        let mut bytes = Vec::new();
        Entry::write(&head, nonce, &hashes, &mut bytes);
        let entry = Entry::parse(&bytes).unwrap();
        prop_assert_eq!(entry.head(), head);
        prop_assert_eq!(entry.sections(), sections.iter().copied().collect());
        for kind in SectionKind::ALL {
            let committed = hashes.iter().find(|(section, _)| *section == kind).map(|(_, hash)| hash);
            prop_assert_eq!(entry.section_hash(kind), committed);
        }
        prop_assert_eq!(entry.leaf_hash(), leaf_hash(&bytes));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Entry::parse(&bytes);
    }
}
