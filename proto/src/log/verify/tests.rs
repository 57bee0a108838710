//! A chunk as it should be, in every disclosure, and every way to falsify it that we could think of.

use bytes::Bytes;
use icomm_pki::MemberKey;
use proptest::prelude::*;

use super::*;
use crate::{
    SectionKind, SectionSet, View,
    log::{Checkpoint, ChunkBuilder, Item, leaf_hash},
    view::tests::sealed,
};

const ORIGIN: &str = "demo.icomm.example/KE/main";

/// A log of `size` entries with three sections each, and its key.
struct Originator {
    key: MemberKey,
    views: Vec<View>,
}

impl Originator {
    fn new(size: u64) -> Self {
        let sections: [(SectionKind, &[u8]); 3] = [
            (SectionKind::Case, b"the case"),
            (SectionKind::Exact, b"exact"),
            (SectionKind::Persons, b"somebody"),
        ];
        Self {
            key: MemberKey::from_seed(&[7; 32]),
            views: (0..size).map(|seed| sealed(&sections, seed)).collect(),
        }
    }

    fn frontier(&self, size: u64) -> Frontier {
        self.views.iter().take(size as usize).map(View::leaf_hash).collect()
    }

    fn checkpoint(&self, size: u64) -> VerifiedCheckpoint {
        let signed = Checkpoint::of(ORIGIN, &self.frontier(size)).sign(&self.key).unwrap();
        VerifiedCheckpoint::verify(signed.note().clone(), ORIGIN, &self.key.public()).unwrap()
    }

    /// The items of entries `range`, each disclosed as `sections` says by turns (None: withheld).
    fn items(&self, range: Range<u64>, sections: &[Option<SectionSet>]) -> Vec<Item> {
        let by_turns = sections.iter().cycle();
        range
            .zip(by_turns)
            .map(|(index, sections)| {
                let view = &self.views[index as usize];
                match sections {
                    Some(sections) => Item::Disclosed(view.redact(*sections).bytes().clone()),
                    None => Item::Withheld(view.leaf_hash()),
                }
            })
            .collect()
    }
}

fn overlay(from: u64, held: &[Hash], body: &ChunkBody) -> Result<(), InvalidChunk> {
    verify_overlay(from, held, body, |_, _| Ok(()))
}

fn body(items: &[Item]) -> ChunkBody {
    let mut builder = ChunkBuilder::default();
    for item in items {
        match item {
            Item::Withheld(leaf) => builder.withhold(leaf),
            Item::Disclosed(view) => builder.disclose(view),
        };
    }
    builder.finish().unwrap()
}

#[test]
fn every_disclosure_of_a_chunk_verifies() {
    let ke = Originator::new(20);
    let open = Some(SectionSet::open());
    for sections in [
        vec![None],
        vec![Some(SectionSet::ALL)],
        vec![open],
        vec![Some(SectionSet::EMPTY), None, open],
    ] {
        let items = ke.items(7..20, &sections);
        let disclosed = items.iter().filter(|item| matches!(item, Item::Disclosed(_))).count();
        let chunk = verify_chunk(&ke.frontier(7), ke.checkpoint(20), body(&items)).unwrap();
        assert_eq!(chunk.range(), 7..20);
        assert_eq!(chunk.disclosed() as usize, disclosed);
        assert_eq!(*chunk.frontier(), ke.frontier(20));
    }
}

#[test]
fn chunks_continue_each_other() {
    let ke = Originator::new(30);
    let mut frontier = Frontier::new();
    for range in [0..1, 1..8, 8..9, 9..30] {
        let checkpoint = ke.checkpoint(range.end);
        let chunk = verify_chunk(&frontier, checkpoint, body(&ke.items(range, &[Some(SectionSet::ALL)]))).unwrap();
        frontier = chunk.into_parts().1;
    }
    assert_eq!(frontier, ke.frontier(30));
}

#[test]
fn items_altered_moved_doubled_left_out_or_put_in_are_refused() {
    let ke = Originator::new(12);
    let (before, checkpoint) = (ke.frontier(4), ke.checkpoint(12));
    let items = ke.items(4..12, &[Some(SectionSet::open()), None]);
    let refused = |items: &[Item]| verify_chunk(&before, checkpoint.clone(), body(items)).unwrap_err();
    let root = InvalidChunk::Root { from: 4, end: 12 };

    for i in 0..items.len() {
        let mut left_out = items.clone();
        left_out.remove(i);
        assert_eq!(
            refused(&left_out),
            InvalidChunk::Size {
                from: 4,
                end: 11,
                checkpoint: 12
            }
        );
        // The same with another item to keep the count right.
        left_out.push(Item::Withheld(leaf_hash(b"made up")));
        assert_eq!(refused(&left_out), root);

        let mut doubled = items.clone();
        doubled.insert(i, items[i].clone());
        assert_eq!(
            refused(&doubled),
            InvalidChunk::Size {
                from: 4,
                end: 13,
                checkpoint: 12
            }
        );
        doubled.pop();
        assert!(i == items.len() - 1 || refused(&doubled) == root);

        for j in 0..i {
            let mut moved = items.clone();
            moved.swap(i, j);
            assert_eq!(refused(&moved), root);
        }

        let mut other = items.clone();
        other[i] = Item::Withheld(leaf_hash(b"another entry"));
        assert_eq!(refused(&other), root);
        // A well-formed view of an entry that the originator never issued.
        other[i] = Item::Disclosed(sealed(&[(SectionKind::Case, b"forged")], 99).bytes().clone());
        assert_eq!(refused(&other), root);
    }
}

#[test]
fn every_flipped_byte_of_a_body_is_refused() {
    let ke = Originator::new(3);
    let whole = body(&ke.items(0..3, &[Some(SectionSet::ALL), None]));
    for at in 0..whole.bytes().len() {
        let mut bytes = whole.bytes().to_vec();
        bytes[at] ^= 0x10;
        if let Ok(body) = ChunkBody::parse(bytes.into(), 3) {
            assert!(
                verify_chunk(&Frontier::new(), ke.checkpoint(3), body).is_err(),
                "byte {at}"
            );
        }
    }
}

#[test]
fn broken_views_are_named_by_their_entry() {
    let ke = Originator::new(6);
    let mut items = ke.items(2..6, &[Some(SectionSet::ALL)]);
    let Item::Disclosed(view) = items[1].clone() else {
        panic!("withheld")
    };
    items[1] = Item::Disclosed(view.slice(..view.len() - 1));
    let refused = verify_chunk(&ke.frontier(2), ke.checkpoint(6), body(&items)).unwrap_err();
    assert!(matches!(refused, InvalidChunk::View { index: 3, .. }), "{refused:?}");

    let mut altered = view.to_vec();
    *altered.last_mut().unwrap() ^= 1;
    items[1] = Item::Disclosed(altered.into());
    let refused = verify_chunk(&ke.frontier(2), ke.checkpoint(6), body(&items)).unwrap_err();
    assert!(
        matches!(refused, InvalidChunk::Tampered { index: 3, .. }),
        "{refused:?}"
    );
}

#[test]
fn a_checkpoint_of_another_size_or_history_is_refused() {
    let ke = Originator::new(10);
    let items = body(&ke.items(0..5, &[Some(SectionSet::ALL)]));
    let verify = |before: &Frontier, checkpoint| verify_chunk(before, checkpoint, items.clone()).unwrap_err();
    let size = |from, end, checkpoint| InvalidChunk::Size { from, end, checkpoint };
    assert_eq!(verify(&Frontier::new(), ke.checkpoint(6)), size(0, 5, 6));
    assert_eq!(verify(&ke.frontier(1), ke.checkpoint(5)), size(1, 6, 5));
    // Replayed one chunk later: the indices fit, the history does not.
    assert_eq!(
        verify(&ke.frontier(5), ke.checkpoint(10)),
        InvalidChunk::Root { from: 5, end: 10 }
    );
    // The originator signed two histories.
    let fork = Originator {
        views: Originator::new(11).views.split_off(1),
        ..Originator::new(0)
    };
    assert_eq!(
        verify(&Frontier::new(), fork.checkpoint(5)),
        InvalidChunk::Root { from: 0, end: 5 }
    );
}

#[test]
fn overlays_widen_held_entries_only() {
    let ke = Originator::new(9);
    let held: Vec<Hash> = ke.views[3..6].iter().map(View::leaf_hash).collect();
    let wider = ke.items(3..6, &[Some(SectionSet::ALL), None]);
    assert_eq!(overlay(3, &held, &body(&wider)), Ok(()));

    let not_held = InvalidChunk::NotHeld {
        from: 3,
        end: 6,
        held: 2,
    };
    assert_eq!(overlay(3, &held[..2], &body(&wider)), Err(not_held));
    let mut swapped = wider.clone();
    swapped.swap(0, 2);
    assert_eq!(
        overlay(3, &held, &body(&swapped)),
        Err(InvalidChunk::OtherEntry { index: 3 })
    );
    let other = Item::Disclosed(ke.views[8].bytes().clone());
    let others = [wider[0].clone(), wider[1].clone(), other];
    assert_eq!(
        overlay(3, &held, &body(&others)),
        Err(InvalidChunk::OtherEntry { index: 5 })
    );
    let Item::Disclosed(view) = &wider[0] else {
        panic!("withheld")
    };
    let cut = [
        Item::Disclosed(view.slice(..view.len() - 1)),
        wider[1].clone(),
        wider[2].clone(),
    ];
    assert!(matches!(
        overlay(3, &held, &body(&cut)),
        Err(InvalidChunk::View { index: 3, .. })
    ));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), views in 1usize..3) {
        let items = vec![Item::Disclosed(Bytes::from(bytes)); views];
        let ke = Originator::new(views as u64);
        prop_assert!(verify_chunk(&Frontier::new(), ke.checkpoint(views as u64), body(&items)).is_err());
    }
}

#[test]
fn a_receivers_own_rule_is_asked_of_every_view_before_it_counts() {
    let ke = Originator::new(6);
    let items = ke.items(2..6, &[Some(SectionSet::ALL), None, Some(SectionSet::open())]);
    let mut asked = Vec::new();
    let verified = verify_chunk_with(&ke.frontier(2), ke.checkpoint(6), body(&items), |index, view| {
        asked.push((index, view.sections()));
        Ok::<(), InvalidChunk>(())
    });
    assert!(verified.is_ok());
    let three = ke.views[0].sections();
    assert_eq!(asked, [(2, three), (4, SectionSet::open()), (5, three)]);
    let refuses = |index, _: &ViewRef<'_>| match index {
        4 => Err(InvalidChunk::OtherEntry { index }),
        _ => Ok(()),
    };
    let refused = verify_chunk_with(&ke.frontier(2), ke.checkpoint(6), body(&items), refuses);
    assert_eq!(refused, Err(InvalidChunk::OtherEntry { index: 4 }));
    let held: Vec<Hash> = ke.views[2..6].iter().map(View::leaf_hash).collect();
    let refused = verify_overlay(2, &held, &body(&items), refuses);
    assert_eq!(refused, Err(InvalidChunk::OtherEntry { index: 4 }));
}
