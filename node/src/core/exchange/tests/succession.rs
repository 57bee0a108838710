//! Members that change their key: what both keys sign for while it goes on, and what a thief gets for the old one.

use std::collections::BTreeMap;

use icomm_pki::{Digest32, Domain, Handover, LogEnd, MemberKey, MemberPath};
use icomm_policy::Agreement;
use icomm_proto::log::{Checkpoint, SignedNote};

use super::*;

fn new_key() -> MemberKey {
    MemberKey::from_seed(&[77; 32])
}

/// What a hand-over calls an agreement of this text.
fn named(text: &str) -> Digest32 {
    Digest32::of_signed(Domain::Agreement, Agreement::read(text).unwrap().canonical())
}

/// The old key of `KE` counts up to the first `size` entries of this log, and for its agreements with partners.
fn handed_over(log: &Originator, size: u64, stolen: bool) -> Handover {
    let checkpoint = SignedNote::parse(&log.checkpoint(size)).unwrap();
    let root = Checkpoint::parse(checkpoint.text()).unwrap().root;
    let end = LogEnd {
        size,
        root: (*root.as_bytes()).into(),
    };
    Handover {
        stolen,
        ends: BTreeMap::from([("main".to_owned(), end)]),
        documents: ["UG", "ES"].map(|partner| named(&bilateral("KE", partner))).into(),
    }
}

/// A log of three commits with the old key and two with the new one.
fn spanning() -> Originator {
    let mut log = log("KE/main", 3);
    log.key = new_key();
    log.commits(&[1, 1], 1);
    log
}

/// The same first three entries, and then others, all of them signed with the old key.
fn thiefs() -> Originator {
    let mut log = log("KE/main", 3);
    log.commits(&[1], 9);
    log
}

fn bundle(network: &Network, version: u64) -> v1::Document {
    document(Kind::Bundle, network.bundle(version, 30))
}

#[test]
fn a_log_of_two_keys_is_taken_from_its_first_entry_on() {
    let mut network = Network::new();
    let ke = spanning();
    let mut node = network.node("UG");
    let (link, _) = node.link(network.peer("KE"), &[&log("KE/main", 3)]);
    // Under a bundle that knows one key only, the other's entries don't count.
    node.chunk(link, ke.whole(0, 3));
    let did = node.chunk(link, ke.whole(3, 4));
    assert_eq!(did.refusals(link), [("invalid-checkpoint", "KE/main")]);

    // While the member changes over, both sign; afterwards the old one up to its end.
    network.succeed("KE", &new_key(), None);
    node.adopt(&bundle(&network, 6));
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    assert_eq!(node.chunk(link, ke.whole(3, 4)).receipts(link), [("KE/main", 4)]);
    network.succeed("KE", &new_key(), Some(handed_over(&ke, 3, false)));
    node.adopt(&bundle(&network, 7));
    assert_eq!(node.chunk(link, ke.whole(4, 5)).receipts(link), [("KE/main", 5)]);

    // A node that never saw the first bundle takes all of it, in whatever stretches.
    for stretches in [&[0, 1, 3, 4, 5][..], &[0, 3, 5], &[0, 2, 4, 5], &[0, 5]] {
        let mut fresh = network.node("ES");
        fresh.adopt(&bundle(&network, 7));
        let (link, _) = fresh.link(network.peer("RILO-ESA"), &[&ke]);
        for stretch in stretches.windows(2) {
            let did = fresh.chunk(link, ke.whole(stretch[0], stretch[1]));
            assert_eq!(did.receipts(link), [("KE/main", stretch[1])], "{stretches:?}");
        }
    }
}

#[test]
fn a_retired_key_neither_extends_a_log_nor_begins_one() {
    let mut network = Network::new();
    let (ke, thief) = (spanning(), thiefs());
    network.succeed("KE", &new_key(), Some(handed_over(&ke, 3, false)));
    let mut node = network.node("UG");
    node.adopt(&bundle(&network, 6));
    let (hub, _) = node.link(network.peer("RILO-ESA"), &[&ke]);
    node.chunk(hub, ke.whole(0, 3));
    let metrics = counted(|| {
        assert_eq!(
            node.chunk(hub, thief.whole(3, 4)).refusals(hub),
            [("retired-key", "KE/main")]
        );
    });
    let expected = r#"icomm_refused_chunks_total{peer="RILO-ESA",code="retired-key"} 1"#;
    assert!(metrics.contains(expected), "{metrics}");
    assert_eq!(size(&node, &ke), 3);

    // Offered it is not asked for, and a log that the hand-over does not name has no entries for it.
    let other = log("KE/special", 2);
    let (second, did) = node.link(network.peer("ES"), &[&thief, &other]);
    assert!(did.wants(second).is_empty(), "{did:?}");
    assert_eq!(
        did.refusals(second),
        [("retired-key", "KE/main"), ("retired-key", "KE/special")]
    );
    let did = node.chunk(second, other.whole(0, 1));
    assert!(did.receipts(second).is_empty() && size(&node, &other) == 0);
    // What the member itself signs goes on.
    let (originator, _) = node.link(network.peer("KE"), &[&ke]);
    assert_eq!(
        node.chunk(originator, ke.whole(3, 5)).receipts(originator),
        [("KE/main", 5)]
    );
    assert!(
        !node.exchange.is_forked(&ke.origin),
        "a refused signature convicts nobody"
    );
}

#[test]
fn two_histories_by_two_keys_of_one_member_are_a_fork() {
    let mut network = Network::new();
    let (ke, mut other) = (spanning(), log("KE/main", 3));
    other.key = new_key();
    other.commits(&[1, 1], 9);
    network.succeed("KE", &new_key(), None);
    let mut node = network.node("UG");
    node.adopt(&bundle(&network, 6));
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 4));
    // The old key signs four other entries: with the new one's four they prove it.
    let did = node.link(network.peer("ES"), &[&thiefs()]).1;
    assert!(node.exchange.is_forked(&ke.origin), "{did:?}");
    let proof = &node.exchange.forks()[&ke.origin];
    let fork = ForkProof::parse(proof).unwrap().verify(&network.root()).unwrap();
    let keys = [fork.originator.key(), fork.successor.unwrap().key()];
    assert!(keys.contains(&new_key().public()) && keys.contains(&key("KE").public()));
}

#[test]
fn what_a_thief_signs_convicts_nobody_and_a_conviction_by_it_is_lifted() {
    let mut network = Network::new();
    let (ke, thief) = (log("KE/main", 3), {
        let mut thief = log("KE/main", 2);
        thief.commits(&[1], 9);
        thief
    });
    let path = |node: &TestNode| MemberPath::of(&ke.origin.member, &node.exchange.law().bundle()).unwrap();
    let notes = [&ke, &thief].map(|log| SignedNote::parse(&log.checkpoint(3)).unwrap());
    let [one, two] = notes;
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut node = network.node_over("UG", store.clone());
    let proof = document(Kind::Fork, ForkProof::new(path(&node), one, two, None).to_bytes());
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 3));
    node.frame(link, Body::Document(proof.clone()));
    assert!(node.exchange.is_forked(&ke.origin));

    // The bundle says that the key was stolen, and which history is the member's.
    network.succeed("KE", &new_key(), Some(handed_over(&ke, 3, true)));
    node.adopt(&bundle(&network, 6));
    node.second();
    assert!(!node.exchange.is_forked(&ke.origin));
    assert!(
        store.state("fork-by-thief/KE/main").unwrap().is_some(),
        "the evidence stays"
    );
    assert!(store.state("fork/KE/main").unwrap().is_none());
    // Who brings the proof again is not at fault, and nothing comes of it.
    let (hub, did) = node.link(network.peer("RILO-ESA"), &[]);
    assert!(did.proofs(hub).is_empty());
    let did = node.frame(hub, Body::Document(proof.clone()));
    assert!(did.closed.is_empty() && !node.exchange.is_forked(&ke.origin));

    // The member goes on with its new key from the good checkpoint, and the thief does not.
    let mut ke = ke;
    ke.key = new_key();
    ke.commits(&[1], 1);
    let (link, did) = node.link(network.peer("KE"), &[&ke]);
    assert_eq!(did.wants(link).len(), 1, "{did:?}");
    assert_eq!(node.chunk(link, ke.whole(3, 4)).receipts(link), [("KE/main", 4)]);
    let did = node.link(network.peer("ES"), &[&thiefs()]).1;
    assert!(
        did.frames
            .iter()
            .any(|(_, body)| format!("{body:?}").contains("retired-key")),
        "{did:?}"
    );
    assert!(!node.exchange.is_forked(&ke.origin));

    // After a restart as before.
    let node = network.node_over("UG", store);
    assert!(!node.exchange.is_forked(&ke.origin));
}

#[test]
fn documents_of_a_closed_key_count_if_they_are_named() {
    let mut network = Network::new();
    let ke = log("KE/main", 1);
    network.succeed("KE", &new_key(), Some(handed_over(&ke, 1, true)));
    let mut node = network.node("UG");
    node.adopt(&bundle(&network, 6));
    let (hub, _) = node.link(network.peer("RILO-ESA"), &[]);
    node.frame(hub, Body::Document(agreement(&bilateral("KE", "UG"), &["KE", "UG"])));
    let book = |node: &TestNode| node.exchange.law().shared_with(&"KE".parse().unwrap()).len();
    assert_eq!(book(&node), 1);
    // One that the hand-over does not name: a thief and an insider may have made it.
    let other = bilateral("KE", "UG").replace("ke-ug", "ke-ug-more");
    let did = node.frame(hub, Body::Document(agreement(&other, &["KE", "UG"])));
    assert_eq!(book(&node), 1, "{did:?}");
}
