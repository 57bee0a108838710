//! Views: round trip, redaction, named bad inputs, and every way to tamper that we could think of.

use proptest::prelude::*;
use rand::{SeedableRng, rngs::SmallRng};

use super::*;
use crate::denominalised::{Denominalised, NotDenominalised};
use crate::entry::{ENTRY_BYTES_MAX, EntryKind};
use crate::id::RecordId;
use crate::kind::RecordKind;
use crate::log::VIEW_BYTES_MAX;
use crate::seal::seal;

/// A view of an issued seizure that discloses all of `sections`.
pub(crate) fn sealed(sections: &[(SectionKind, &[u8])], seed: u64) -> View {
    let head = EntryHead {
        kind: EntryKind::Issue,
        record_kind: RecordKind::Seizure,
        record_id: RecordId::new(1_795_000_000_000, [7; 10]),
        version: 1,
    };
    seal(&head, sections, &mut SmallRng::seed_from_u64(seed)).unwrap()
}

const THREE: [(SectionKind, &[u8]); 3] = [
    (SectionKind::Case, b"\x22\x06harbor"),
    (SectionKind::Exact, b"exact"),
    (SectionKind::Persons, b"somebody"),
];

/// Bytes of a section before its content.
const HEAD: usize = 21;

/// The view of `THREE` taken apart: bytes up to the count, then each section with number, salt, length and content.
fn parts() -> (Vec<u8>, Vec<Vec<u8>>) {
    let view = sealed(&THREE, 1);
    let start = view.layout.entry().end;
    let sections = view
        .sections()
        .iter()
        .map(|kind| view.borrowed().whole_section(kind).unwrap().to_vec());
    (view.bytes[..start].to_vec(), sections.collect())
}

fn joined(front: &[u8], count: u8, sections: &[Vec<u8>]) -> Bytes {
    [front, &[count], &sections.concat()].concat().into()
}

#[test]
fn layout_is_as_drawn() {
    let (front, sections) = parts();
    assert_eq!(usize::from(u16::from_be_bytes([front[0], front[1]])), front.len() - 2);
    assert_eq!(sections[2][0], 4);
    assert_eq!(sections[2][17..21], [0, 0, 0, 8]);
    assert_eq!(&sections[2][HEAD..], b"somebody");
    assert_eq!(joined(&front, 3, &sections), sealed(&THREE, 1).bytes());
}

#[test]
fn cut_at_every_byte_is_refused() {
    let whole = sealed(&THREE, 1).bytes;
    for len in 0..whole.len() {
        let invalid = View::parse(whole.slice(..len)).unwrap_err();
        assert!(
            matches!(invalid, InvalidView::Truncated(at) if at == len),
            "{len}: {invalid}"
        );
    }
}

#[test]
fn named_bad_inputs_are_refused() {
    let (front, sections) = parts();
    let [case, exact, persons] = <[Vec<u8>; 3]>::try_from(sections.clone()).unwrap();
    let refused = |count, sections: &[Vec<u8>]| View::parse(joined(&front, count, sections)).unwrap_err();

    assert_eq!(refused(3, &[sections.concat(), vec![0]]), InvalidView::Trailing(1));
    assert_eq!(
        refused(2, &sections),
        InvalidView::Trailing(HEAD + 8),
        "count too small"
    );
    assert!(
        matches!(refused(3, &sections[..2]), InvalidView::Truncated(_)),
        "count too large"
    );
    assert_eq!(
        refused(4, &sections),
        InvalidView::Count {
            disclosed: 4,
            committed: 3
        }
    );
    assert_eq!(
        refused(2, &[exact.clone(), case.clone()]),
        InvalidView::Order(SectionKind::Case)
    );
    assert_eq!(
        refused(2, &[case.clone(), case.clone()]),
        InvalidView::Order(SectionKind::Case),
        "twice"
    );

    let renumbered = |number| [&[number], &persons[1..]].concat();
    assert_eq!(
        refused(3, &[case.clone(), exact.clone(), renumbered(8)]),
        InvalidView::Section(8)
    );
    assert_eq!(refused(1, &[renumbered(0)]), InvalidView::Section(0));
    assert_eq!(
        refused(1, &[renumbered(6)]),
        InvalidView::Uncommitted(SectionKind::Narrative)
    );

    let mut endless = persons.clone();
    endless[17..21].fill(0xff);
    assert!(matches!(refused(1, &[endless]), InvalidView::Truncated(_)));

    let oversized = View::parse(vec![0; VIEW_BYTES_MAX + 1].into()).unwrap_err();
    assert_eq!(oversized, InvalidView::Oversized(VIEW_BYTES_MAX + 1));
    assert!(matches!(
        View::parse(Bytes::from_static(&[0, 0, 0])),
        Err(InvalidView::Entry(_))
    ));
    let entry_too_long = [&[0xff, 0xff], vec![1; 70_000].as_slice()].concat();
    assert!(matches!(View::parse(entry_too_long.into()), Err(InvalidView::Entry(_))));
}

#[test]
fn too_much_to_seal_is_refused() {
    let head = sealed(&THREE, 1).head();
    let long = vec![0; VIEW_BYTES_MAX - ENTRY_BYTES_MAX];
    let mut rng = SmallRng::seed_from_u64(1);
    assert!(seal(&head, &[(SectionKind::Case, &long)], &mut rng).is_ok());
    assert!(seal(&head, &[(SectionKind::Case, &vec![0; VIEW_BYTES_MAX])], &mut rng).is_err());
    assert!(seal(&head, &[(SectionKind::Exact, b"no case")], &mut rng).is_err());
}

#[test]
fn every_changed_byte_of_a_section_is_found() {
    let view = sealed(&THREE, 1);
    for kind in view.sections().iter() {
        let place = view.layout.section(kind).unwrap();
        for at in place.salt().chain(place.content()) {
            let mut bytes = view.bytes.to_vec();
            bytes[at] ^= 1;
            assert_eq!(
                View::parse(bytes.into()).unwrap().verify(),
                Err(Tampered(kind)),
                "byte {at}"
            );
        }
    }
}

#[test]
fn every_changed_byte_of_the_entry_is_found() {
    let view = sealed(&THREE, 1);
    for at in view.layout.entry() {
        let mut bytes = view.bytes.to_vec();
        bytes[at] ^= 1;
        // Refused by structure, or another leaf than the one in the log.
        if let Ok(changed) = View::parse(bytes.into()) {
            assert_ne!(changed.leaf_hash(), view.leaf_hash(), "byte {at}");
        }
    }
}

#[test]
fn an_added_section_does_not_verify() {
    let (front, sections) = parts();
    let without = View::parse(joined(&front, 2, &sections[..2])).unwrap();
    assert!(without.clone().verify().is_ok());
    // The withheld section made up anew, with a right form.
    let made_up = sealed(&[(SectionKind::Case, b""), (SectionKind::Persons, b"somebody")], 2);
    let forged = made_up.borrowed().whole_section(SectionKind::Persons).unwrap().to_vec();
    let view = View::parse(joined(&front, 3, &[sections[..2].concat(), forged])).unwrap();
    assert_eq!(view.verify(), Err(Tampered(SectionKind::Persons)));
}

#[test]
fn a_moved_section_does_not_verify() {
    let (front, sections) = parts();
    // `exact` under the number of `case`, salt and content untouched.
    let moved = [&[1], &sections[1][1..]].concat();
    assert_eq!(
        View::parse(joined(&front, 1, &[moved])).unwrap().verify(),
        Err(Tampered(SectionKind::Case))
    );
}

#[test]
fn swapped_contents_do_not_verify() {
    let (front, sections) = parts();
    let swapped = [[&[1], &sections[1][1..]].concat(), [&[2], &sections[0][1..]].concat()];
    assert_eq!(
        View::parse(joined(&front, 2, &swapped)).unwrap().verify(),
        Err(Tampered(SectionKind::Case))
    );
}

#[test]
fn a_section_of_another_record_does_not_verify() {
    let (front, sections) = parts();
    let other = sealed(&THREE, 2);
    let foreign = other.borrowed().whole_section(SectionKind::Case).unwrap().to_vec();
    assert_eq!(&foreign[HEAD..], &sections[0][HEAD..], "same content, another salt");
    assert_eq!(
        View::parse(joined(&front, 1, &[foreign])).unwrap().verify(),
        Err(Tampered(SectionKind::Case))
    );
}

#[test]
fn two_seals_of_equal_contents_share_no_hash() {
    let (a, b) = (sealed(&THREE, 1), sealed(&THREE, 2));
    assert_ne!(a.leaf_hash(), b.leaf_hash());
    for kind in a.sections().iter() {
        assert_ne!(a.entry().section_hash(kind), b.entry().section_hash(kind));
    }
}

#[test]
fn class_is_found_without_decoding() {
    let class = v1::Class {
        originator: "KE".into(),
        report_type: "seizure".into(),
        ..Default::default()
    };
    let case = v1::Case {
        class: Some(class.clone()),
        direction: "import".into(),
        ..Default::default()
    };
    let view = sealed(&[(SectionKind::Case, &case.encode_to_vec())], 1);
    assert_eq!(view.class_bytes(), Some(class.encode_to_vec().as_slice()));
    assert_eq!(view.redact(SectionSet::EMPTY).class_bytes(), None);
    assert_eq!(view.decode().unwrap().case, Some(case));

    for bad in [
        &[][..],
        &[0x0a],
        &[0x0a, 5, 1],
        &[0x12, 1, 0],
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x0a; 40],
    ] {
        let found = sealed(&[(SectionKind::Case, bad)], 1).class_bytes().map(<[u8]>::len);
        assert_eq!(found, (bad == [0x0a; 40]).then_some(10), "{bad:?}");
    }
    assert!(sealed(&[(SectionKind::Case, &[0xff; 9])], 1).decode().is_err());
}

#[test]
fn denominalised_holds_the_open_section_only() {
    let view = sealed(&THREE, 1);
    let upstream = Denominalised::of(&view.borrowed()).unwrap();
    assert_eq!(upstream.sections(), SectionSet::open());
    assert_eq!(upstream.leaf_hash(), view.leaf_hash());
    let mut written = Vec::new();
    upstream.write(&mut written);
    assert_eq!(written, view.redact(SectionSet::open()).bytes);
    for (kind, content) in &THREE[1..] {
        let held = written.windows(content.len()).any(|window| window == *content);
        assert!(!held, "`{kind}` must not go upstream");
    }
    for lacking in [SectionKind::Exact.into(), SectionSet::EMPTY] {
        assert_eq!(
            Denominalised::of(&view.redact(lacking).borrowed()),
            Err(NotDenominalised::Missing)
        );
    }

    let mut bytes = view.redact(SectionSet::open()).bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(
        Denominalised::of(&ViewRef::parse(&bytes).unwrap()),
        Err(NotDenominalised::Tampered(Tampered(SectionKind::Case)))
    );
}

#[test]
fn debug_shows_no_contents() {
    let shown = format!("{:?}", sealed(&THREE, 1));
    assert!(
        !shown.contains("somebody") && shown.contains("case+exact+persons"),
        "{shown}"
    );
}

/// Contents for `case` and for any of the other sections.
fn contents() -> impl Strategy<Value = Vec<(SectionKind, Vec<u8>)>> {
    let content = || proptest::collection::vec(any::<u8>(), 0..80);
    (content(), proptest::collection::vec(proptest::option::of(content()), 6)).prop_map(|(case, others)| {
        let mut sections = vec![(SectionKind::Case, case)];
        let rest = SectionKind::ALL.into_iter().skip(1).zip(others);
        sections.extend(rest.filter_map(|(kind, content)| Some((kind, content?))));
        sections
    })
}

fn section_set() -> impl Strategy<Value = SectionSet> {
    proptest::sample::subsequence(SectionKind::ALL.to_vec(), 0..=7).prop_map(|kinds| kinds.into_iter().collect())
}

proptest! {
    #[test]
    fn views_round_trip(contents in contents(), seed: u64) {
        let sections: Vec<_> = contents.iter().map(|(kind, content)| (*kind, content.as_slice())).collect();
        let view = sealed(&sections, seed);
        let parsed = View::parse(view.bytes.clone()).unwrap();
        prop_assert_eq!(&parsed, &view);
        prop_assert!(parsed.withheld().is_empty());
        for (kind, content) in sections {
            prop_assert_eq!(parsed.section(kind), Some(content));
        }
        prop_assert!(parsed.verify().is_ok());
    }

    #[test]
    fn any_redaction_verifies_with_the_same_leaf(contents in contents(), kept in section_set(), again in section_set()) {
        let sections: Vec<_> = contents.iter().map(|(kind, content)| (*kind, content.as_slice())).collect();
        let whole = sealed(&sections, 3);
        let view = whole.redact(kept);
        prop_assert_eq!(view.sections(), whole.sections().intersection(kept));
        prop_assert_eq!(view.withheld(), whole.sections().difference(kept));
        prop_assert_eq!(view.leaf_hash(), whole.leaf_hash());
        prop_assert_eq!(view.bytes.len(), whole.redacted_len(kept));
        // What redaction computed is what parsing its bytes finds, and it never depends on the way there.
        prop_assert_eq!(&View::parse(view.bytes.clone()).unwrap(), &view);
        prop_assert_eq!(view.redact(again), whole.redact(kept.intersection(again)));
        for (kind, content) in sections {
            prop_assert_eq!(view.section(kind), kept.contains(kind).then_some(content));
        }
        prop_assert!(view.verify().is_ok());
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        front in any::<bool>(), bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..250,
    ) {
        let mut view = if front { sealed(&THREE, 1).bytes.to_vec() } else { Vec::new() };
        view.truncate(at);
        view.extend(bytes);
        if let Ok(view) = View::parse(view.into()) {
            let _ = (view.class_bytes(), view.decode(), view.redact(SectionSet::open()));
            let _ = view.verify();
        }
    }
}
