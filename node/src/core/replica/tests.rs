//! Whatever a peer sends: the true entries of the true log are stored, or nothing is.

use icomm_proto::log::{CHUNK_BYTES_MAX, Checkpoint, ChunkBuilder};
use icomm_proto::{SectionKind, Tampered, View};
use proptest::prelude::*;

use super::*;
use crate::core::delivery::{READ_LIMIT, facts};
use crate::core::fixture::{Originator, key, record, sealed};
use crate::store::{Batch, MemoryStore, Placement, Store, Widths};

mod merging;

const EXACT: SectionSet = SectionSet::EMPTY.with(SectionKind::Case).with(SectionKind::Exact);

impl Held for MemoryStore {
    fn held(&self, origin: &Origin, from: u64, to: u64) -> Result<Vec<(Hash, Option<SectionSet>)>, HeldError> {
        let mut held = Vec::new();
        for index in from..to {
            if let Some(item) = self.entry(origin, index)? {
                held.push(facts(item.as_item_ref())?);
            }
        }
        Ok(held)
    }

    fn history(&self, origin: &Origin, size: u64) -> Result<Option<History>, HeldError> {
        Ok(History::of(self, origin, size)?)
    }
}

/// A replica over a store.
struct Receiver {
    machine: Replica,
    store: MemoryStore,
    admission: Admission,
}

impl Receiver {
    fn of(log: &Originator) -> Self {
        Self {
            machine: Replica::new(log.origin.clone(), log.line.clone(), log.key.public().into()),
            store: MemoryStore::new(),
            admission: Admission::AnySection,
        }
    }

    /// Takes a chunk as an exchange does; gives how many chunks were stored.
    fn take(&mut self, chunk: v1::Chunk) -> Result<usize, ChunkFault> {
        let accepted = self.machine.accept(chunk, self.admission, &self.store)?;
        assert_eq!(
            (accepted.size, accepted.root),
            (self.machine.size(), self.machine.root())
        );
        let stored = accepted.chunks.len();
        if stored > 0 {
            let mut widths = self.store.widths(&accepted.chunks[0].origin).unwrap();
            for chunk in &accepted.chunks {
                widths += match chunk.placement {
                    Placement::Extends { .. } => Widths::of(&chunk.body),
                    Placement::Overlays { widens } => widens,
                };
            }
            let origin = accepted.chunks[0].origin.clone();
            let batch = accepted.chunks.into_iter().fold(Batch::new(), Batch::chunk);
            self.store.append(batch).unwrap();
            assert_eq!(
                self.store.widths(&origin).unwrap(),
                widths,
                "what overlays are said to change"
            );
        }
        Ok(stored)
    }

    /// What is held: of each entry its leaf hash and sections, each of which is verified against the originator's view.
    fn held(&self, log: &Originator) -> Vec<SectionSet> {
        let mut held = Vec::new();
        while let Some(stretch) = self.store.read(&log.origin, held.len() as u64, READ_LIMIT).unwrap() {
            for item in stretch.items() {
                let truth = &log.views[held.len()];
                if let ItemRef::Disclosed(bytes) = item {
                    let view = View::parse(Bytes::copy_from_slice(bytes)).unwrap();
                    assert_eq!(view, truth.redact(view.sections()), "not what the originator sealed");
                }
                let (leaf, sections) = facts(item).unwrap();
                assert_eq!(leaf, truth.leaf_hash());
                held.push(sections.unwrap_or(SectionSet::EMPTY));
            }
        }
        held
    }

    /// Refuses `bad` for what `because` says, without a trace, and still takes `good` afterwards.
    fn refuses(&mut self, log: &Originator, bad: v1::Chunk, because: impl Fn(&ChunkFault) -> bool) -> ChunkFault {
        let before = (self.machine.size(), self.machine.root(), self.held(log));
        let fault = match self.take(bad) {
            Err(fault) => fault,
            Ok(stored) => panic!("accepted, {stored} chunks stored"),
        };
        assert!(because(&fault), "{fault:?}");
        assert_eq!(before, (self.machine.size(), self.machine.root(), self.held(log)));
        fault
    }
}

/// Ten entries, of which a receiver holds the first four: `4..7` and `7..10` are to come.
fn begun() -> (Originator, Receiver) {
    let mut log = Originator::new("KE/main");
    log.commits(&[4, 3, 3], 1);
    let mut receiver = Receiver::of(&log);
    receiver.take(log.whole(0, 4)).unwrap();
    (log, receiver)
}

/// The rest of the log, which must be welcome after whatever was refused.
fn goes_on(log: &Originator, receiver: &mut Receiver) {
    assert_eq!(receiver.take(log.whole(4, 7)).unwrap(), 1);
    assert_eq!(receiver.take(log.whole(7, 10)).unwrap(), 1);
    assert_eq!(receiver.held(log).len(), 10);
    assert_eq!(receiver.machine.size(), 10);
}

/// The chunk `4..7` with the view of entry 5 replaced by other bytes.
fn with_view(log: &Originator, bytes: &[u8]) -> v1::Chunk {
    let mut body = ChunkBuilder::default();
    body.disclose(log.views[4].bytes())
        .disclose(bytes)
        .disclose(log.views[6].bytes());
    log.chunk_of(4, body, log.checkpoint(7))
}

/// Where a section's salt begins in a view with all sections.
fn salt_at(view: &View, kind: SectionKind) -> usize {
    let sections = view.section(kind).unwrap();
    let content = sections.as_ptr() as usize - view.bytes().as_ptr() as usize;
    content - 4 - 16
}

#[test]
fn an_altered_view_is_refused() {
    let (log, mut receiver) = begun();
    let view = &log.views[5];
    let salt = salt_at(view, SectionKind::Persons);
    let tampered = |place: usize| {
        let mut bytes = view.bytes().to_vec();
        bytes[place] ^= 1;
        with_view(&log, &bytes)
    };
    let section = |fault: &ChunkFault| {
        matches!(
            fault,
            ChunkFault::Entries(InvalidChunk::Tampered {
                index: 5,
                source: Tampered { .. }
            })
        )
    };
    // The section's last byte, and its salt.
    receiver.refuses(&log, tampered(view.bytes().len() - 1), section);
    let fault = receiver.refuses(&log, tampered(salt), section);
    assert_eq!(fault.code(), "tampered-chunk");
    assert!(!fault.to_string().contains("Planted"));
    // The entry itself: its nonce, which no section's hash covers; and a commitment.
    let head = 2 + 1 + 1 + 1 + 1 + 16 + 4;
    receiver.refuses(&log, tampered(head), |fault| {
        matches!(fault, ChunkFault::Entries(InvalidChunk::Root { from: 4, end: 7 }))
    });
    goes_on(&log, &mut receiver);
}

#[test]
fn every_flipped_bit_is_refused_or_changes_nothing() {
    let (log, mut receiver) = begun();
    let good = log.chunk(4, 7, |index| if index == 5 { EXACT } else { SectionSet::EMPTY });
    for place in 0..good.body.len() {
        let mut body = good.body.to_vec();
        body[place] ^= 1 << (place % 8);
        let bad = v1::Chunk {
            body: body.into(),
            ..good.clone()
        };
        assert!(receiver.take(bad).is_err(), "byte {place}");
    }
    assert_eq!(receiver.held(&log).len(), 4);
    goes_on(&log, &mut receiver);
}

#[test]
fn a_section_added_moved_or_swapped_is_refused() {
    let (log, mut receiver) = begun();
    let view = &log.views[5];
    let whole = view.bytes();
    let [case, exact, persons] =
        [SectionKind::Case, SectionKind::Exact, SectionKind::Persons].map(|kind| salt_at(view, kind) - 1);
    let not_a_view = |fault: &ChunkFault| matches!(fault, ChunkFault::Entries(InvalidChunk::View { index: 5, .. }));
    // A fourth section, which the entry does not commit to: the persons' bytes as a narrative.
    let mut added = whole.to_vec();
    added[case - 1] += 1;
    let mut narrative = whole[persons..].to_vec();
    narrative[0] = SectionKind::Narrative.number();
    added.extend_from_slice(&narrative);
    assert_eq!(
        receiver.refuses(&log, with_view(&log, &added), not_a_view).code(),
        "malformed-chunk"
    );
    // The same sections in another order.
    let moved = [
        &whole[..case],
        &whole[exact..persons],
        &whole[case..exact],
        &whole[persons..],
    ]
    .concat();
    receiver.refuses(&log, with_view(&log, &moved), not_a_view);
    // The content of one section under the name of another.
    let mut renamed = whole[..exact].to_vec();
    renamed[case - 1] = 2;
    renamed.push(SectionKind::Exact.number());
    renamed.extend_from_slice(&whole[persons + 1..]);
    receiver.refuses(&log, with_view(&log, &renamed), |fault| {
        matches!(fault, ChunkFault::Entries(InvalidChunk::Tampered { index: 5, .. }))
    });
    // A section of another record, salt and all.
    let other = &log.views[6];
    let swapped = [
        &whole[..exact],
        &other.bytes()[salt_at(other, SectionKind::Exact) - 1..],
    ]
    .concat();
    receiver.refuses(&log, with_view(&log, &swapped), |fault| {
        matches!(fault, ChunkFault::Entries(InvalidChunk::Tampered { index: 5, .. }))
    });
    goes_on(&log, &mut receiver);
}

#[test]
fn a_record_left_out_put_in_doubled_moved_or_made_up_is_refused() {
    let (log, mut receiver) = begun();
    let root = |fault: &ChunkFault| matches!(fault, ChunkFault::Entries(InvalidChunk::Root { from: 4, end: 7 }));
    let of = |views: &[&View]| {
        let mut body = ChunkBuilder::default();
        for view in views {
            body.disclose(view.bytes());
        }
        log.chunk_of(4, body, log.checkpoint(7))
    };
    let [a, b, c] = [4, 5, 6].map(|index| &log.views[index]);
    let made_up = record("KE", 999, "Made Up");
    for views in [[b, a, c], [a, a, c], [a, b, &made_up], [&log.views[0], b, c]] {
        receiver.refuses(&log, of(&views), root);
    }
    // One fewer and one more do not end where the checkpoint does.
    for views in [&[a, b][..], &[a, b, c, &made_up]] {
        receiver.refuses(&log, of(views), |fault| {
            matches!(fault, ChunkFault::Size { signed: 7, .. })
        });
    }
    // An item turned into a bare hash, of another entry.
    let mut withheld = ChunkBuilder::default();
    withheld
        .disclose(a.bytes())
        .withhold(&made_up.leaf_hash())
        .disclose(c.bytes());
    receiver.refuses(&log, log.chunk_of(4, withheld, log.checkpoint(7)), root);
    goes_on(&log, &mut receiver);
}

#[test]
fn a_truncated_or_padded_body_is_refused() {
    let (log, mut receiver) = begun();
    let good = log.whole(4, 7);
    let body = |fault: &ChunkFault| matches!(fault, ChunkFault::Body(_));
    for length in [0, 1, 4, 5, 40, good.body.len() - 1] {
        let bad = v1::Chunk {
            body: good.body.slice(..length),
            ..good.clone()
        };
        assert_eq!(receiver.refuses(&log, bad, body).code(), "malformed-chunk");
    }
    let padded = v1::Chunk {
        body: [&good.body[..], &[0]].concat().into(),
        ..good.clone()
    };
    receiver.refuses(&log, padded, body);
    goes_on(&log, &mut receiver);
}

#[test]
fn an_oversized_chunk_is_refused() {
    let (log, mut receiver) = begun();
    let good = log.whole(4, 7);
    for count in [0, CHUNK_ENTRIES_MAX + 1, u32::MAX] {
        let bad = v1::Chunk { count, ..good.clone() };
        let fault = receiver.refuses(&log, bad, |fault| matches!(fault, ChunkFault::Count(_)));
        assert_eq!(fault.code(), "chunk-size");
    }
    let end_of_time = v1::Chunk {
        from: u64::MAX - 1,
        ..good.clone()
    };
    receiver.refuses(&log, end_of_time, |fault| matches!(fault, ChunkFault::Count(3)));
    let long = v1::Chunk {
        body: vec![0; CHUNK_BYTES_MAX + 1].into(),
        ..good
    };
    receiver.refuses(&log, long, |fault| {
        matches!(fault, ChunkFault::Body(InvalidChunkBody::TooLong(_)))
    });
    goes_on(&log, &mut receiver);
}

#[test]
fn a_chunk_out_of_order_leaves_a_gap() {
    let (log, mut receiver) = begun();
    let fault = receiver.refuses(&log, log.whole(7, 10), |fault| {
        matches!(fault, ChunkFault::Gap { from: 7, held: 4 })
    });
    assert_eq!(fault.code(), "gap");
    goes_on(&log, &mut receiver);
}

#[test]
fn a_replayed_chunk_is_no_chunk_at_all() {
    let (log, mut receiver) = begun();
    for (from, to) in [(0, 4), (4, 7), (0, 4), (4, 7), (0, 7)] {
        let size = receiver.machine.size();
        let stored = receiver.take(log.whole(from, to)).unwrap();
        assert_eq!(stored, usize::from(to > size));
    }
    assert_eq!(receiver.take(log.whole(7, 10)).unwrap(), 1);
    assert_eq!(
        receiver.held(&log),
        vec![SectionSet::ALL.intersection(log.views[0].sections()); 10]
    );
}

#[test]
fn only_the_originators_checkpoint_of_this_log_counts() {
    let (log, mut receiver) = begun();
    let good = log.whole(4, 7);
    let invalid = |fault: &ChunkFault| matches!(fault, ChunkFault::Checkpoint(_));
    let frontier = {
        let mut frontier = Frontier::new();
        log.views[..7].iter().for_each(|view| frontier.push(view.leaf_hash()));
        frontier
    };
    let by = |line: &str, signer: &str| {
        let signed = Checkpoint::of(line, &frontier).sign(&key(signer)).unwrap();
        signed.note().clone()
    };
    let (other_line, other_name) = (log.line.replace("/KE/", "/UG/"), log.line.replace("main", "special"));
    let genuine = by(&log.line, "KE");
    assert_eq!(genuine, log.checkpoint(7));
    let mut flipped = genuine.to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let cases: [Bytes; 8] = [
        by(&log.line, "UG"),
        by(&other_line, "KE"),
        by(&other_line, "UG"),
        by(&other_name, "KE"),
        flipped.into(),
        genuine.slice(..genuine.len() - 2),
        Bytes::new(),
        vec![0xff; 1 << 16].into(),
    ];
    for checkpoint in cases {
        let bad = v1::Chunk {
            checkpoint,
            ..good.clone()
        };
        assert_eq!(receiver.refuses(&log, bad, invalid).code(), "invalid-checkpoint");
    }
    goes_on(&log, &mut receiver);
}

#[test]
fn a_genuine_checkpoint_of_another_size_does_not_cover_the_chunk() {
    let (log, mut receiver) = begun();
    for size in [4, 10] {
        let bad = v1::Chunk {
            checkpoint: log.checkpoint(size),
            ..log.whole(4, 7)
        };
        let fault = receiver.refuses(
            &log,
            bad,
            |fault| matches!(fault, ChunkFault::Size { end: 7, signed } if *signed == size),
        );
        assert_eq!(fault.code(), "invalid-checkpoint");
    }
    goes_on(&log, &mut receiver);
}

/// The same originator with another history from the third commit on: `4..7` differs, or all does.
fn forked(salt: u64, common: &[u64], own: &[u64]) -> Originator {
    let mut other = Originator::new("KE/main");
    other.commits(common, 1).commits(own, salt);
    other
}

#[test]
fn another_root_for_the_size_held_is_a_fork_and_both_checkpoints_tell_it() {
    let (log, mut receiver) = begun();
    let other = forked(2, &[], &[4]);
    let fault = receiver.refuses(&log, other.whole(0, 4), |fault| {
        matches!(fault, ChunkFault::Fork { size: 4, .. })
    });
    assert_eq!(fault.code(), "forked-log");
    let ChunkFault::Fork { ours, theirs, .. } = fault else {
        panic!()
    };
    let [ours, theirs] =
        [ours, theirs].map(|note| VerifiedCheckpoint::verify(note, &log.line, &log.key.public()).unwrap());
    assert_eq!((ours.size(), theirs.size()), (4, 4));
    assert_ne!(ours.root(), theirs.root());
    // The machine goes on until it is told to freeze.
    receiver.take(log.whole(4, 7)).unwrap();
    receiver.machine.freeze();
    receiver.refuses(&log, log.whole(7, 10), |fault| matches!(fault, ChunkFault::Frozen));
}

#[test]
fn another_root_for_a_smaller_size_is_a_fork_too() {
    let (log, mut receiver) = begun();
    goes_on(&log, &mut receiver);
    let other = forked(2, &[4], &[3]);
    let fault = receiver.refuses(&log, other.whole(4, 7), |fault| {
        matches!(fault, ChunkFault::Fork { size: 7, .. })
    });
    let ChunkFault::Fork { ours, theirs, .. } = fault else {
        panic!()
    };
    assert_eq!((ours, theirs), (log.checkpoint(7), other.checkpoint(7)));
    // Also when the entries sent are the true ones, and only the checkpoint tells of another history.
    let disguised = v1::Chunk {
        checkpoint: other.checkpoint(7),
        ..log.whole(4, 7)
    };
    receiver.refuses(&log, disguised, |fault| {
        matches!(fault, ChunkFault::Fork { size: 7, .. })
    });
}

#[test]
fn a_longer_history_that_is_not_a_continuation_is_refused() {
    let (log, mut receiver) = begun();
    let longer = forked(2, &[], &[4, 3]);
    receiver.refuses(&log, longer.whole(4, 7), |fault| {
        matches!(fault, ChunkFault::Entries(InvalidChunk::Root { from: 4, end: 7 }))
    });
    // Nor when it starts in what is held.
    let straddling = forked(3, &[], &[7]);
    receiver.refuses(&log, straddling.whole(0, 7), |fault| {
        matches!(fault, ChunkFault::Entries(InvalidChunk::OtherEntry { index: 0 }))
    });
    goes_on(&log, &mut receiver);
}

#[test]
fn a_global_node_takes_the_open_section_only() {
    let (log, _) = begun();
    let mut receiver = Receiver {
        admission: Admission::OpenOnly,
        ..Receiver::of(&log)
    };
    let open = SectionSet::open();
    for (index, sections) in [
        (0, EXACT),
        (3, log.views[3].sections()),
        (2, SectionKind::Persons.into()),
    ] {
        let bad = log.chunk(0, 4, |i| if i == index { sections } else { open });
        let fault = receiver.refuses(&log, bad, |fault| {
            matches!(fault, ChunkFault::NotDenominalised { index: i, sections: s } if (*i, *s) == (index, sections))
        });
        assert_eq!(fault.code(), "not-denominalised");
    }
    let mixed = log.chunk(0, 4, |index| if index == 1 { SectionSet::EMPTY } else { open });
    receiver.take(mixed).unwrap();
    // Nor by way of a wider view of what it holds.
    receiver.refuses(&log, log.whole(0, 4), |fault| {
        matches!(fault, ChunkFault::NotDenominalised { .. })
    });
    receiver.refuses(&log, log.whole(0, 7), |fault| {
        matches!(fault, ChunkFault::NotDenominalised { .. })
    });
    assert_eq!(receiver.held(&log), vec![open, SectionSet::EMPTY, open, open]);
}

#[test]
fn a_global_node_takes_no_field_that_nobody_knows() {
    // The originator itself signed a name into a field of the open section that no version has.
    let mut log = Originator::new("KE/main");
    let mut case = record("KE", 1, "x").section(SectionKind::Case).unwrap().to_vec();
    prost::encoding::string::encode(60, &"Planted Name".to_owned(), &mut case);
    log.commit([sealed(1, &[(SectionKind::Case, case)])]);
    let mut receiver = Receiver {
        admission: Admission::OpenOnly,
        ..Receiver::of(&log)
    };
    let fault = receiver.refuses(&log, log.whole(0, 1), |fault| {
        matches!(fault, ChunkFault::ForeignField { index: 0, .. })
    });
    assert_eq!(fault.code(), "not-denominalised");
    assert!(!fault.to_string().contains("Planted"));
}
