//! Recalls: what is erased, what is answered, what is passed on, and everything that is refused.

use icomm_proto::log::Item;
use icomm_proto::{EntryKind, SectionSet, View};

use super::*;
use crate::core::recall::{Erasure, RecallKey};
use crate::core::tally::Tally;
use crate::store::Place;

fn recalls(recalls: &[&v1::Recall]) -> Body {
    Body::Recalls(v1::Recalls {
        recalls: recalls.iter().map(|recall| (*recall).clone()).collect(),
        more: false,
    })
}

fn erasures(erased: &[&v1::Erased]) -> Body {
    Body::Erasures(v1::Erasures {
        erased: erased.iter().map(|erased| (*erased).clone()).collect(),
        answered: false,
    })
}

/// The sections of an entry that a node holds; none if only its hash is.
pub(super) fn sections(node: &TestNode, log: &Originator, index: u64) -> Option<SectionSet> {
    match node.store.entry(&log.origin, index).unwrap().unwrap() {
        Item::Withheld(_) => None,
        Item::Disclosed(bytes) => Some(View::parse(bytes).unwrap().sections()),
    }
}

pub(super) fn verifies(node: &TestNode, log: &Originator) -> bool {
    let mut tally = Tally::default();
    tally
        .advance(&*node.store, &log.origin, &log.line, &log.key.public().into())
        .unwrap();
    tally.verified && tally.entries() == size(node, log)
}

fn record_key(log: &Originator, index: usize) -> RecallKey {
    (log.origin.clone(), log.views[index].head().record_id)
}

/// What a member signs when it has erased what `recall` voids in a log.
fn signed(by: &str, log: &Originator, recall: &v1::Recall, passed_on: Vec<v1::Holder>) -> v1::Erased {
    let view = &log.views[usize::try_from(recall.index).unwrap()];
    Erasure {
        origin: log.origin.clone(),
        record: view.head().record_id,
        leaf: view.leaf_hash(),
        index: recall.index,
        by: by.parse().unwrap(),
        node: "n1".parse().unwrap(),
        time: UNIX_NOW,
        entries: 1,
        passed_on,
    }
    .sign(&key(by))
    .unwrap()
}

/// `UG` holds three records of `KE`, which is linked to it.
pub(super) fn holding() -> (Network, TestNode, Originator, LinkId) {
    let network = Network::new();
    let mut node = network.node("UG");
    let ke = log("KE/main", 3);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 3));
    assert_eq!(sections(&node, &ke, 1), Some(ke.views[1].sections()));
    (network, node, ke, link)
}

#[test]
fn a_holder_erases_signs_and_its_replica_still_verifies() {
    let (_, mut node, mut ke, link) = holding();
    let recall = ke.void(1, EntryKind::Recall);
    let did = node.frame(link, recalls(&[&recall]));
    let [erased] = did.erasures(link)[..] else {
        panic!("{did:?}")
    };
    let erasure = Erasure::verify(erased, &key("UG").public().into()).unwrap();
    assert_eq!((erasure.record, erasure.entries), (record_key(&ke, 1).1, 1));
    assert!(erasure.passed_on.is_empty());
    assert_eq!(sections(&node, &ke, 1), Some(SectionSet::EMPTY));
    assert_eq!(sections(&node, &ke, 0), Some(ke.views[0].sections()), "the others stay");
    assert!(verifies(&node, &ke));
    // The log goes on, the recall among it as one more hash.
    let did = node.chunk(link, ke.chunk(3, 4, |_| SectionSet::EMPTY));
    assert_eq!(did.receipts(link), [("KE/main", 4)]);
    assert!(verifies(&node, &ke));
}

#[test]
fn a_correction_leaves_the_new_version_and_nothing_of_the_old() {
    let (_, mut node, mut ke, link) = holding();
    let amend = ke.void(1, EntryKind::Amend);
    node.chunk(link, ke.whole(3, 4));
    node.frame(link, recalls(&[&amend]));
    assert_eq!(sections(&node, &ke, 1), Some(SectionSet::EMPTY));
    assert_eq!(sections(&node, &ke, 3), Some(ke.views[3].sections()));
    // Once more, and then the whole record. The older order comes last and changes nothing.
    let again = ke.void(1, EntryKind::Amend);
    node.chunk(link, ke.whole(4, 5));
    node.frame(link, recalls(&[&again]));
    assert_eq!(sections(&node, &ke, 3), Some(SectionSet::EMPTY));
    let did = node.frame(link, recalls(&[&amend]));
    assert_eq!(
        did.erasures(link)[0].index,
        again.index,
        "it answers with what it did last"
    );
    assert_eq!(sections(&node, &ke, 4), Some(ke.views[4].sections()));
    let recall = ke.void(1, EntryKind::Recall);
    node.frame(link, recalls(&[&recall]));
    assert!(
        [1, 3, 4]
            .iter()
            .all(|index| sections(&node, &ke, *index) == Some(SectionSet::EMPTY))
    );
    assert!(verifies(&node, &ke));
}

#[test]
fn who_is_far_behind_obeys_at_once_and_takes_nothing_of_it_later_from_anybody() {
    let network = Network::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut ke = log("KE/main", 40);
    let recall = ke.void(7, EntryKind::Recall);
    let mut node = network.node_over("UG", store.clone());
    let (link, _) = node.link_with(network.peer("KE"), &[&ke], 1);
    let did = node.frame(link, recalls(&[&recall]));
    assert_eq!(did.erasures(link)[0].entries, 0, "nothing had arrived");
    // A relay that does not know sends the body, in a chunk among others; and so again after a restart.
    for _ in 0..2 {
        let mut node = network.node_over("UG", store.clone());
        let (relay, _) = node.link(network.peer("ES"), &[&ke]);
        let did = node.chunk(relay, ke.whole(0, 40));
        assert!(!did.receipts(relay).is_empty() && did.refusals(relay).is_empty());
        assert_eq!(sections(&node, &ke, 7), Some(SectionSet::EMPTY));
        assert_eq!(sections(&node, &ke, 8), Some(ke.views[8].sections()));
        assert!(verifies(&node, &ke));
    }
}

#[test]
fn a_replay_does_not_bring_back_what_was_erased() {
    let (network, mut node, mut ke, link) = holding();
    let recall = ke.void(1, EntryKind::Recall);
    node.frame(link, recalls(&[&recall]));
    node.chunk(link, ke.whole(0, 3));
    let (relay, _) = node.link(network.peer("ES"), &[&ke]);
    node.chunk(relay, ke.whole(0, 3));
    assert_eq!(sections(&node, &ke, 1), Some(SectionSet::EMPTY));
}

#[test]
fn a_recall_that_comes_twice_is_answered_twice_and_done_once() {
    let (_, mut node, mut ke, link) = holding();
    let recall = ke.void(1, EntryKind::Recall);
    let first = node.frame(link, recalls(&[&recall]));
    let batches = node.store.health().batches;
    let second = node.frame(link, recalls(&[&recall]));
    assert_eq!(first.erasures(link), second.erasures(link));
    assert_eq!(node.store.health().batches, batches);
}

#[test]
fn what_is_no_recall_is_counted_and_erases_nothing() {
    let (_, mut node, mut ke, link) = holding();
    let recall = ke.void(1, EntryKind::Recall);
    let changed = |change: &dyn Fn(&mut v1::Recall)| {
        let mut changed = recall.clone();
        change(&mut changed);
        changed
    };
    // Of the own member, of nobody, of another log with the same leaf at its place, by another member.
    let mut own = log("UG/main", 2);
    let mut stranger = log("FR/main", 2);
    let mut fork = Originator::new("KE/main");
    fork.commits(&[1], 2);
    let mut foreign = Originator::new("ES/main");
    foreign.commit([ke.views[0].clone()]);
    let cases = [
        ("unsigned-recall", changed(&|it| it.time += 1)),
        ("unproven-recall", changed(&|it| it.index = 2)),
        ("unproven-recall", changed(&|it| it.path[0] = vec![0; 32].into())),
        ("unproven-recall", changed(&|it| it.origin = "ES/main".into())),
        ("malformed-recall", changed(&|it| it.entry.truncate(9))),
        ("malformed-recall", changed(&|it| it.origin = "nowhere".into())),
        ("own-record", own.void(0, EntryKind::Recall)),
        ("unknown-member", stranger.void(0, EntryKind::Recall)),
        ("forked-log", fork.void(0, EntryKind::Recall)),
        ("foreign-record", foreign.void(0, EntryKind::Recall)),
    ];
    for (code, recall) in cases {
        let metrics = counted(|| {
            let did = node.frame(link, recalls(&[&recall]));
            assert!(did.erasures(link).is_empty() && did.closed.is_empty(), "{code}");
        });
        let expected = format!(r#"icomm_refused_recalls_total{{peer="KE",code="{code}"}} 1"#);
        assert!(metrics.contains(&expected), "{code}: {metrics}");
        assert!((0..3).all(|index| sections(&node, &ke, index) == Some(ke.views[0].sections())));
    }
    // And more of them than a frame holds.
    let many = vec![&recall; crate::core::recall::RECALLS_MAX + 1];
    let did = node.frame(link, recalls(&many));
    assert_eq!(did.closed[0].1.code, "recalls-too-many");
    assert_eq!(sections(&node, &ke, 1), Some(ke.views[1].sections()));
}

/// `RILO-ESA` holds a log of `KE`, linked to it, and has passed it on to `UG`.
pub(super) fn passed_on() -> (Network, Arc<dyn Store>, TestNode, Originator, [LinkId; 2]) {
    let network = Network::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut hub = network.node_over("RILO-ESA", store.clone());
    let ke = log("KE/main", 2);
    for (a, b) in [("KE", "RILO-ESA"), ("RILO-ESA", "UG")] {
        hub.adopt(&agreement(&crate::core::fixture::onward(a, b), &[a, b]));
    }
    let (from, _) = hub.link(network.peer("KE"), &[&ke]);
    hub.chunk(from, ke.whole(0, 2));
    let (to, _) = hub.link(network.peer("UG"), &[]);
    let did = hub.frame(to, want(&ke, 0));
    assert!(!did.chunks(to).is_empty(), "{did:?}");
    assert_eq!(
        Note::decode(&store.notes(&NoteLog::disclosures(), 0, 1).unwrap()[0].1)
            .unwrap()
            .to,
        "UG"
    );
    (network, store, hub, ke, [from, to])
}

#[test]
fn a_hub_names_whom_it_gave_it_to_tells_them_and_passes_their_answers_back() {
    let (network, store, mut hub, mut ke, [from, to]) = passed_on();
    let recall = ke.void(0, EntryKind::Recall);
    let did = hub.frame(from, recalls(&[&recall]));
    assert_eq!(did.recalls(to), [&recall], "as it came, with its proof");
    let [own] = did.erasures(from)[..] else {
        panic!("{did:?}")
    };
    let own = Erasure::verify(own, &key("RILO-ESA").public().into()).unwrap();
    let [holder] = &own.passed_on[..] else {
        panic!("{own:?}")
    };
    assert_eq!((holder.member.as_str(), holder.index), ("UG", 0));
    assert!(!holder.bases.is_empty());
    // Not answered yet: it is owed, also after a restart, right after the hellos.
    let mut hub_again = network.node_over("RILO-ESA", store.clone());
    let (again, did) = hub_again.link(network.peer("UG"), &[&log("UG/main", 1)]);
    assert_eq!(did.recalls(again), [&recall]);
    let recalls_at = did.to(again).position(|body| matches!(body, Body::Recalls(_)));
    let want_at = did.to(again).position(|body| matches!(body, Body::Want(_)));
    assert!(
        recalls_at < want_at && want_at.is_some(),
        "before anything else: {did:?}"
    );
    // The answer goes back to the originator as it is.
    let answer = signed("UG", &ke, &recall, Vec::new());
    let did = hub.frame(to, erasures(&[&answer]));
    assert_eq!(did.erasures(from), [&answer]);
    // It is asked no more, and the originator, asking again, hears of both.
    let (again, did) = hub.link(network.peer("UG"), &[]);
    assert!(did.recalls(again).is_empty());
    let did = hub.frame(from, recalls(&[&recall]));
    assert_eq!(did.erasures(from).len(), 2);
}

#[test]
fn an_answer_that_is_forged_or_was_not_asked_for_settles_nothing() {
    let (_, _, mut hub, mut ke, [from, to]) = passed_on();
    let recall = ke.void(0, EntryKind::Recall);
    hub.frame(from, recalls(&[&recall]));
    let good = signed("UG", &ke, &recall, Vec::new());
    let mut other = log("KE/main", 3);
    let another = other.void(1, EntryKind::Recall);
    let cases = [
        // In another's name, for another record, changed on the way, by nobody.
        v1::Erased {
            by: "ES".into(),
            ..good.clone()
        },
        signed("UG", &other, &another, Vec::new()),
        v1::Erased {
            entries: 9,
            ..good.clone()
        },
        v1::Erased {
            by: "FR".into(),
            ..good.clone()
        },
        v1::Erased {
            by: "no name".into(),
            ..good.clone()
        },
    ];
    for case in cases {
        let metrics = counted(|| {
            let did = hub.frame(to, erasures(&[&case]));
            assert!(did.erasures(from).is_empty() && did.closed.is_empty());
        });
        assert!(
            metrics.contains(r#"icomm_refused_erasures_total{peer="UG"} 1"#),
            "{metrics}"
        );
        assert!(hub.exchange.voids.owes(&"UG".parse().unwrap(), &record_key(&ke, 0)));
    }
    // Of somebody who got it from `UG`, it is not settled until that one has signed too.
    let holder = |member: &str| v1::Holder {
        member: member.into(),
        node: "n1".into(),
        ..Default::default()
    };
    let owes = |hub: &TestNode| hub.exchange.voids.owes(&"UG".parse().unwrap(), &record_key(&ke, 0));
    hub.frame(to, erasures(&[&signed("UG", &ke, &recall, vec![holder("ES")])]));
    assert!(owes(&hub));
    hub.frame(to, erasures(&[&signed("ES", &ke, &recall, vec![holder("UG")])]));
    assert!(!owes(&hub), "whoever gave it to whom");
}

#[test]
fn nothing_of_a_log_is_served_while_its_recalls_are_coming() {
    let (network, store, mut hub, mut ke, [from, to]) = passed_on();
    let recall = ke.void(0, EntryKind::Recall);
    hub.exchange.closed(from);
    let (back, _) = hub.link_with(network.peer("KE"), &[&ke], 1);
    assert!(hub.frame(to, want(&ke, 0)).chunks(to).is_empty());
    let notes = store.notes_len(&NoteLog::disclosures()).unwrap();
    let did = hub.frame(back, recalls(&[&recall]));
    let chunks = did.chunks(to);
    assert_eq!(chunks.len(), 1, "now it goes on");
    let body = icomm_proto::log::ChunkBody::parse(chunks[0].body.clone(), chunks[0].count).unwrap();
    let items: Vec<Item> = body.items().collect();
    assert!(matches!(items[..], [Item::Withheld(_), Item::Disclosed(_)]));
    assert_eq!(store.notes_len(&NoteLog::disclosures()).unwrap(), notes + 1);
    let told = did.to(to).position(|body| matches!(body, Body::Recalls(_)));
    let served = did.to(to).position(|body| matches!(body, Body::Chunk(_)));
    assert!(told < served, "the recall goes first");
    // Who says so and says no more holds up its own logs as long as it is linked.
    let (silent, _) = hub.link_with(network.peer("KE"), &[], 1);
    assert!(hub.frame(to, want(&ke, 0)).chunks(to).is_empty());
    hub.exchange.closed(silent);
    assert!(!hub.handle(to, Event::Changed).chunks(to).is_empty());
}

#[test]
fn the_global_node_is_told_in_the_same_form() {
    let network = Network::new();
    let mut node = network.node("WCO");
    let mut ke = log("KE/main", 2);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.chunk(0, 2, |_| SectionSet::open()));
    let recall = ke.void(0, EntryKind::Amend);
    let did = node.frame(link, recalls(&[&recall]));
    assert_eq!(did.erasures(link).len(), 1);
    assert_eq!(sections(&node, &ke, 0), Some(SectionSet::EMPTY));
    assert_eq!(sections(&node, &ke, 1), Some(SectionSet::open()));
}

#[test]
fn what_a_crash_left_untraced_is_finished_at_the_next_start() {
    let (network, store, hub, mut ke, _) = passed_on();
    let recall = ke.void(0, EntryKind::Recall);
    drop(hub);
    // As it is between the two batches: erased, and nobody looked up yet.
    let kept = v1::KeptRecall {
        recall: Some(recall.clone()),
        callers: vec!["KE".into()],
        ..Default::default()
    };
    let key = crate::core::recall::recall_state(&record_key(&ke, 0));
    store.append(Batch::new().set(key, kept.encode_to_vec())).unwrap();
    let mut hub = network.node_over("RILO-ESA", store);
    let (to, did) = hub.link(network.peer("UG"), &[]);
    assert_eq!(did.recalls(to), [&recall]);
    let (from, _) = hub.link(network.peer("KE"), &[]);
    let did = hub.frame(from, recalls(&[&recall]));
    assert_eq!(did.erasures(from)[0].passed_on[0].member, "UG");
}

#[test]
fn an_originator_tells_all_holders_and_keeps_nothing_itself() {
    let (network, mut node, own) = serving(3);
    let mut own = own;
    let (ug, _) = node.link(network.peer("UG"), &[]);
    node.frame(ug, want(&own, 0));
    let order = own.void(1, EntryKind::Recall);
    let view = own.views[3].clone();
    let batch = node.exchange.voiding(&own.origin, &view, order.clone()).unwrap();
    // Between the entry's making and its being durable nothing is read.
    let (es, _) = node.link(network.peer("ES"), &[]);
    assert!(node.frame(es, want(&own, 0)).chunks(es).is_empty());
    node.store.append(batch).unwrap();
    node.exchange.voided(&own.origin);
    node.exchange.trace(&[record_key(&own, 1)]).unwrap();
    let did = node.handle(ug, Event::Changed);
    assert_eq!(did.recalls(ug), [&order]);
    assert!(did.recalls(es).is_empty(), "it was given nothing");
    assert_eq!(sections(&node, &own, 1), Some(SectionSet::EMPTY));
    assert!(!did.chunks(es).is_empty());
    let place = Place {
        origin: own.origin.clone(),
        index: 1,
    };
    let of = crate::core::recall::holders(&*node.store, &[place.clone()].into()).unwrap();
    assert!(of[&place].iter().all(|holder| holder.member == "UG"));
}

#[test]
fn who_gets_its_own_log_back_is_told_of_the_recalls_that_it_lost_and_of_no_earlier_ones() {
    let (_, mut node, mut ke, link) = holding();
    let (first, second) = (ke.void(0, EntryKind::Recall), ke.void(1, EntryKind::Recall));
    node.frame(link, recalls(&[&first, &second]));
    node.chunk(link, ke.chunk(3, 5, |_| SectionSet::EMPTY));
    let told = |did: &Did| -> Vec<u64> {
        let own = did.to(link).filter_map(|body| match body {
            Body::OwnRecalls(recalls) => Some(&recalls.recalls),
            _ => None,
        });
        own.flatten().map(|recall| recall.index).collect()
    };
    let mut all = told(&node.frame(link, want(&ke, 0)));
    all.sort_unstable();
    assert_eq!(all, [first.index, second.index]);
    assert_eq!(told(&node.frame(link, want(&ke, second.index))), [second.index]);
    assert_eq!(told(&node.frame(link, want(&ke, 5))), Vec::<u64>::new());
}
