//! Views of one log by several routes: they end in the union of what was sent, whatever the order.

use super::*;

fn open_or(index: u64, wide: SectionSet) -> impl Fn(u64) -> SectionSet {
    move |i| if i == index { wide } else { SectionSet::open() }
}

#[test]
fn a_wider_view_of_what_is_held_becomes_an_overlay_and_merges() {
    let (log, _) = begun();
    let mut receiver = Receiver::of(&log);
    let persons = SectionSet::open().with(SectionKind::Persons);
    receiver.take(log.chunk(0, 4, open_or(1, SectionSet::EMPTY))).unwrap();
    assert_eq!(receiver.take(log.chunk(0, 4, open_or(2, persons))).unwrap(), 1);
    assert_eq!(receiver.take(log.chunk(0, 4, open_or(2, EXACT))).unwrap(), 1);
    let open = SectionSet::open();
    let all = EXACT.with(SectionKind::Persons);
    assert_eq!(receiver.held(&log), vec![open, open, all, open]);
    // What is no wider than the union, though none of the views that came was as wide, stores nothing.
    assert_eq!(receiver.take(log.chunk(0, 4, open_or(2, all))).unwrap(), 0);
    assert_eq!(receiver.take(log.chunk(0, 4, |_| SectionSet::EMPTY)).unwrap(), 0);
    assert_eq!(receiver.held(&log), vec![open, open, all, open]);
}

#[test]
fn a_chunk_across_the_end_of_what_is_held_is_overlay_and_extension() {
    let (log, _) = begun();
    let mut receiver = Receiver::of(&log);
    receiver.take(log.chunk(0, 4, |_| SectionSet::open())).unwrap();
    let accepted = receiver
        .machine
        .accept(log.chunk(0, 7, |_| EXACT), Admission::AnySection, &receiver.store)
        .unwrap();
    let [overlay, extension] = &accepted.chunks[..] else {
        panic!("{accepted:?}")
    };
    assert_eq!((overlay.from, overlay.end()), (0, 4));
    assert!(
        matches!(overlay.placement, Placement::Overlays { widens } if widens.disclosed == 4 && widens.denominalised == -4)
    );
    assert_eq!((extension.from, extension.end()), (4, 7));
    assert!(matches!(extension.placement, Placement::Extends { .. }));
    let batch = accepted.chunks.into_iter().fold(Batch::new(), Batch::chunk);
    receiver.store.append(batch).unwrap();
    assert_eq!(receiver.held(&log), vec![EXACT; 7]);
}

#[test]
fn a_false_overlay_spoils_the_true_extension_it_comes_with() {
    let (log, mut receiver) = begun();
    let mut body = ChunkBuilder::default();
    body.disclose(log.views[1].bytes());
    for view in &log.views[1..7] {
        body.disclose(view.bytes());
    }
    let bad = log.chunk_of(0, body, log.checkpoint(7));
    receiver.refuses(&log, bad, |fault| {
        matches!(fault, ChunkFault::Entries(InvalidChunk::OtherEntry { index: 0 }))
    });
    goes_on(&log, &mut receiver);
}

#[test]
fn what_could_not_be_stored_is_taken_again() {
    let (log, mut receiver) = begun();
    receiver
        .machine
        .accept(log.whole(4, 7), Admission::AnySection, &receiver.store)
        .unwrap();
    assert_eq!(receiver.machine.size(), 7, "verified, never stored");
    receiver.machine.resume(receiver.store.head(&log.origin).unwrap());
    goes_on(&log, &mut receiver);
}

/// What somebody sends: entries between two boundaries, with these sections each, perhaps spoilt.
#[derive(Debug, Clone)]
struct Sent {
    ends: (usize, usize),
    sections: Vec<u8>,
    spoilt: Option<(usize, u8)>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let spoilt = proptest::option::weighted(0.25, (any::<usize>(), 0u8..8));
    ((0usize..6, 0usize..6), proptest::collection::vec(0u8..8, 12), spoilt).prop_map(|(ends, sections, spoilt)| Sent {
        ends,
        sections,
        spoilt,
    })
}

fn set(bits: u8) -> SectionSet {
    let kinds = [SectionKind::Case, SectionKind::Exact, SectionKind::Persons];
    (0..)
        .zip(kinds)
        .filter(|(bit, _)| bits & (1 << bit) != 0)
        .fold(SectionSet::EMPTY, |set, (_, kind)| set.with(kind))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_of_chunks_ends_in_the_union_of_what_was_sent(chunks in proptest::collection::vec(sent(), 1..24)) {
        let mut log = Originator::new("KE/main");
        log.commits(&[1, 4, 2, 3, 2], 1);
        let boundaries: Vec<u64> = std::iter::once(0).chain(log.boundaries()).collect();
        let mut receiver = Receiver::of(&log);
        let mut union: Vec<SectionSet> = Vec::new();
        for Sent { ends: (a, b), sections, spoilt } in chunks {
            let (from, to) = (boundaries[a.min(b)], boundaries[a.max(b)]);
            if from == to {
                continue;
            }
            let sections = |index: u64| set(sections[usize::try_from(index).unwrap()]);
            let mut chunk = log.chunk(from, to, sections);
            if let Some((place, bit)) = spoilt {
                let mut body = chunk.body.to_vec();
                let place = place % body.len();
                body[place] ^= 1 << bit;
                chunk.body = body.into();
                prop_assert!(receiver.take(chunk).is_err());
                continue;
            }
            let welcome = from <= union.len() as u64;
            let taken = receiver.take(chunk);
            prop_assert_eq!(taken.is_ok(), welcome, "{:?}", taken);
            if welcome {
                union.resize(union.len().max(usize::try_from(to).unwrap()), SectionSet::EMPTY);
                for (index, held) in (0..).zip(&mut union).filter(|(index, _)| (from..to).contains(index)) {
                    *held = held.union(sections(index));
                }
            }
        }
        // `held` compares every view with the originator's.
        prop_assert_eq!(receiver.held(&log), union);
    }
}
