//! Orders: what an originator may order, and everything that is refused.

use icomm_proto::RecordKind;
use icomm_proto::log::Checkpoint;
use icomm_proto::seal::seal;
use rand::{SeedableRng, rngs::StdRng};

use super::*;
use crate::core::fixture::{Originator, key, record};

/// A recall of record `serial` as the last entry of a log with `before` others.
fn recalled(kind: EntryKind, before: u64) -> (Originator, View, v1::Recall) {
    let mut log = Originator::new("KE/main");
    log.commits(&vec![1; usize::try_from(before).unwrap()], 1);
    let frontier: Frontier = log.views.iter().map(View::leaf_hash).collect();
    let head = record("KE", 7, "Planted Name").head();
    let view = voiding(kind, head, 2);
    log.commit([view.clone()]);
    let appended = Appended {
        origin: &log.origin,
        view: &view,
        before: &frontier,
        checkpoint: log.checkpoint(before + 1),
    };
    let reason = match kind {
        EntryKind::Amend => Reason::Amended,
        _ => Reason::Error,
    };
    let recall = Order::issue(&appended, reason, 1_795_435_200, &log.key).unwrap();
    (log, view, recall)
}

fn voiding(kind: EntryKind, head: EntryHead, version: u32) -> View {
    let head = EntryHead { kind, version, ..head };
    let case = record("KE", 7, "Corrected Name");
    let case = case.section(icomm_proto::SectionKind::Case).unwrap();
    let sections: &[_] = match kind {
        EntryKind::Recall => &[],
        _ => &[(icomm_proto::SectionKind::Case, case)],
    };
    seal(&head, sections, &mut StdRng::seed_from_u64(u64::from(version))).unwrap()
}

fn verify(log: &Originator, recall: &v1::Recall) -> Result<Order, InvalidOrder> {
    Order::verify(recall, &log.line, &log.key.public().into())
}

#[test]
fn an_order_verifies_wherever_it_stands_in_the_log() {
    for before in [0, 1, 2, 3, 4, 7, 8, 31, 100] {
        for kind in [EntryKind::Amend, EntryKind::Recall] {
            let (log, view, recall) = recalled(kind, before);
            let order = verify(&log, &recall).unwrap();
            assert_eq!((order.index(), order.head()), (before, view.head()));
            assert_eq!((order.leaf(), order.void().kind), (&view.leaf_hash(), kind));
        }
    }
}

#[test]
fn an_order_shows_no_section() {
    let (_, _, recall) = recalled(EntryKind::Amend, 5);
    assert_eq!(Entry::parse(&recall.entry).unwrap().bytes().len(), recall.entry.len());
}

#[test]
fn nobody_but_the_originator_can_order() {
    let (log, view, recall) = recalled(EntryKind::Recall, 5);
    let other = key("UG");
    assert!(matches!(
        Order::verify(&recall, &log.line, &other.public().into()),
        Err(InvalidOrder::Checkpoint(_))
    ));
    // With the originator's checkpoint, and an order of the other's own.
    let frontier: Frontier = log.views[..5].iter().map(View::leaf_hash).collect();
    let appended = Appended {
        origin: &log.origin,
        view: &view,
        before: &frontier,
        checkpoint: log.checkpoint(6),
    };
    let forged = Order::issue(&appended, Reason::Error, 1, &other).unwrap();
    assert_eq!(verify(&log, &forged), Err(InvalidOrder::Signature));
    // And with a log of its own under the originator's name.
    let mut whole = frontier.clone();
    whole.push(view.leaf_hash());
    let checkpoint = Checkpoint::of(&log.line, &whole).sign(&other).unwrap().note().clone();
    let appended = Appended { checkpoint, ..appended };
    let forged = Order::issue(&appended, Reason::Error, 1, &other).unwrap();
    assert!(matches!(verify(&log, &forged), Err(InvalidOrder::Checkpoint(_))));
}

#[test]
fn an_order_changed_in_any_field_is_refused() {
    let (log, _, recall) = recalled(EntryKind::Recall, 6);
    let change = |change: &dyn Fn(&mut v1::Recall)| {
        let mut changed = recall.clone();
        change(&mut changed);
        verify(&log, &changed).unwrap_err()
    };
    let another = voiding(EntryKind::Recall, record("KE", 8, "").head(), 2);
    assert!(matches!(
        change(&|it| it.entry = another.entry().bytes().to_vec().into()),
        InvalidOrder::Proof(_)
    ));
    assert!(matches!(change(&|it| it.index = 5), InvalidOrder::Proof(_)));
    assert!(matches!(change(&|it| drop(it.path.pop())), InvalidOrder::Proof(_)));
    assert!(matches!(
        change(&|it| it.path[0] = vec![1; 32].into()),
        InvalidOrder::Proof(_)
    ));
    assert_eq!(change(&|it| it.path[0] = vec![1; 31].into()), InvalidOrder::Path);
    assert_eq!(change(&|it| it.path = vec![vec![1; 32].into(); 65]), InvalidOrder::Path);
    assert!(matches!(
        change(&|it| it.checkpoint = log.checkpoint(6)),
        InvalidOrder::Proof(_)
    ));
    assert_eq!(change(&|it| it.time += 1), InvalidOrder::Signature);
    assert_eq!(change(&|it| it.reason = Code::Cleared.into()), InvalidOrder::Signature);
    assert_eq!(change(&|it| it.reason = Code::Amended.into()), InvalidOrder::Reason);
    assert_eq!(change(&|it| it.reason = 99), InvalidOrder::Reason);
    assert_eq!(change(&|it| it.origin = "KE/other".into()), InvalidOrder::Signature);
    assert!(matches!(change(&|it| it.origin = "KE".into()), InvalidOrder::Origin(_)));
    assert!(matches!(change(&|it| it.entry.truncate(30)), InvalidOrder::Entry(_)));
    assert_eq!(change(&|it| it.signature.truncate(63)), InvalidOrder::Signature);
}

#[test]
fn an_issue_voids_nothing() {
    let mut log = Originator::new("KE/main");
    log.commits(&[1, 1], 1);
    let frontier: Frontier = [log.views[0].leaf_hash()].into_iter().collect();
    let view = log.views[1].clone();
    let appended = Appended {
        origin: &log.origin,
        view: &view,
        before: &frontier,
        checkpoint: log.checkpoint(2),
    };
    let recall = Order::issue(&appended, Reason::Error, 1, &log.key).unwrap();
    assert_eq!(verify(&log, &recall), Err(InvalidOrder::Kind(EntryKind::Issue)));
    assert_eq!(view.head().record_kind, RecordKind::Seizure);
}

#[test]
fn reasons_are_codes() {
    for reason in Reason::OF_RECALLS {
        assert_eq!(reason.as_str().parse(), Ok(reason));
    }
    assert!("amended".parse::<Reason>().is_err(), "that is what an AMEND is for");
    assert!("because of J. Doe".parse::<Reason>().is_err());
}
