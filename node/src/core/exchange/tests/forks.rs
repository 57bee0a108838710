//! Originators with two histories: caught by whoever sees both, believed by nobody without proof, stopped everywhere.

use icomm_pki::MemberPath;
use icomm_proto::log::SignedNote;

use super::*;
use crate::core::session::DOUBTS_MAX;

/// A second history of the log, of so many commits.
fn other(origin: &str, commits: usize) -> Originator {
    let mut log = Originator::new(origin);
    log.commits(&vec![1; commits], 2);
    log
}

/// The document that proves that `one` and `two`, of as many entries, are two histories.
fn proof(network: &Network, one: &Originator, two: &Originator) -> v1::Document {
    let bundle = network.node(one.origin.member.as_str()).exchange.law().bundle();
    let path = MemberPath::of(&one.origin.member, &bundle).unwrap();
    let notes = [one, two].map(|log| SignedNote::parse(&log.checkpoint(log.size())).unwrap());
    let [one, two] = notes;
    document(Kind::Fork, ForkProof::new(path, one, two, None).to_bytes())
}

#[test]
fn the_proof_stops_the_log_both_ways_on_every_link_and_is_passed_on() {
    let network = Network::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut hub = network.node_over("RILO-ESA", store.clone());
    let (ke, es) = (log("KE/main", 3), log("ES/main", 2));
    hub.holds(&ke);
    hub.holds(&es);
    let region = icomm_policy::agreement::regional(
        &"esa".parse().unwrap(),
        &"RILO-ESA".parse().unwrap(),
        &["KE", "ES", "UG"].map(|member| member.parse().unwrap()),
        "2026-11-01".parse().unwrap(),
    );
    hub.adopt(&agreement(&region, &["RILO-ESA", "KE", "ES", "UG"]));
    let (originator, did) = hub.link(network.peer("KE"), &[&ke]);
    assert_eq!(did.wants(originator).len(), 1);
    let (reader, _) = hub.link(network.peer("UG"), &[]);
    assert_eq!(hub.frame(reader, want(&ke, 0)).chunks(reader).len(), 1);
    hub.frame(reader, want(&es, 0));

    let (accuser, _) = hub.link(network.peer("ES"), &[]);
    let fork = proof(&network, &ke, &other("KE/main", 3));
    let metrics = counted(|| {
        let did = hub.frame(accuser, Body::Document(fork.clone()));
        assert_eq!(did.refusals(reader), [("forked-log", "KE/main")]);
        let stopped = did
            .to(originator)
            .any(|body| matches!(body, Body::Want(want) if want.stop));
        assert!(stopped, "{did:?}");
        for link in [originator, reader] {
            assert_eq!(did.proofs(link), [&fork.document]);
        }
        assert!(did.proofs(accuser).is_empty() && did.closed.is_empty());
        // Again: nothing follows.
        assert!(hub.frame(accuser, Body::Document(fork.clone())).frames.is_empty());
    });
    assert!(
        metrics.contains(r#"icomm_forked_logs_total{origin="KE/main"} 1"#),
        "{metrics}"
    );
    // Not one more byte of it either way; the other log goes on.
    assert_eq!(
        hub.frame(reader, want(&ke, 0)).refusals(reader),
        [("forked-log", "KE/main")]
    );
    let longer = log("KE/main", 4);
    assert!(hub.chunk(originator, longer.whole(3, 4)).frames.is_empty());
    assert_eq!(size(&hub, &ke), 3);
    assert_eq!(hub.frame(reader, want(&es, 0)).chunks(reader).len(), 1);

    // Nor after a restart; and who comes later is told.
    let mut hub = network.node_over("RILO-ESA", store);
    let (late, did) = hub.link(network.peer("UG"), &[]);
    assert_eq!(did.proofs(late), [&fork.document]);
    assert_eq!(
        hub.frame(late, want(&ke, 0)).refusals(late),
        [("forked-log", "KE/main")]
    );
    assert!(hub.exchange.is_forked(&ke.origin) && !hub.exchange.is_forked(&es.origin));
}

#[test]
fn a_false_accusation_costs_the_accuser_and_nobody_else() {
    let (network, mut node, own) = serving(3);
    let honest = ForkProof::parse(&proof(&network, &own, &other("KE/main", 3)).document).unwrap();
    let [one, two] = honest.notes().map(Clone::clone);
    let path = |member: &str| MemberPath::of(&member.parse().unwrap(), &node.exchange.law().bundle()).unwrap();
    let forged = SignedNote::sign(two.text().to_owned(), &own.line, &key("UG")).unwrap();
    let accusations = [
        ForkProof::new(path("KE"), one.clone(), one.clone(), None),
        ForkProof::new(path("KE"), one.clone(), forged, None),
        ForkProof::new(path("UG"), one.clone(), two, None),
    ];
    let mut accusations: Vec<Vec<u8>> = accusations.iter().map(ForkProof::to_bytes).collect();
    accusations.push(b"they did it".to_vec());
    let (reader, _) = node.link(network.peer("ES"), &[]);
    for accusation in accusations {
        let (accuser, _) = node.link(network.peer("UG"), &[]);
        let metrics = counted(|| {
            let did = node.frame(accuser, Body::Document(document(Kind::Fork, accusation)));
            let [(link, closed)] = &did.closed[..] else {
                panic!("{did:?}")
            };
            assert_eq!((*link, closed.code.as_str()), (accuser, "false-accusation"));
            assert!(did.proofs(reader).is_empty());
        });
        let expected = r#"icomm_refused_documents_total{peer="UG",code="false-accusation"} 1"#;
        assert!(metrics.contains(expected), "{metrics}");
    }
    assert!(node.exchange.forks().is_empty());
    assert!(node.store.scan_state("fork/").unwrap().is_empty());
    assert_eq!(node.frame(reader, want(&own, 0)).chunks(reader).len(), 1);
}

#[test]
fn whoever_forked_stops_too() {
    let (network, mut node, own) = serving(3);
    let (reader, _) = node.link(network.peer("UG"), &[]);
    // Its own key over another history, as a relay has it.
    let did = node.frame(
        reader,
        Body::Head(v1::Head {
            origin: own.origin.to_string(),
            checkpoint: other("KE/main", 2).checkpoint(2),
        }),
    );
    assert_eq!(did.proofs(reader).len(), 1);
    assert!(did.refusals(reader).contains(&("forked-log", "KE/main")));
    assert!(node.frame(reader, want(&own, 0)).chunks(reader).is_empty());
}

#[test]
fn a_checkpoint_of_fewer_entries_is_held_against_a_longer_log() {
    let network = Network::new();
    let mut node = network.node("UG");
    let mut ke = Originator::new("KE/main");
    ke.commits(&[4, 3], 1);
    node.holds(&ke);
    let (hub, did) = node.link(network.peer("RILO-ESA"), &[&other("KE/main", 5)]);
    let [proof] = did.proofs(hub)[..] else {
        panic!("{did:?}")
    };
    let fork = ForkProof::parse(proof).unwrap().verify(&network.root()).unwrap();
    assert_eq!((fork.smaller.size, fork.larger.size), (5, 7));
}

#[test]
fn what_is_shown_ahead_of_time_is_compared_when_its_time_has_come() {
    let network = Network::new();
    let mut node = network.node("UG");
    let ke = log("KE/main", 4);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 2));
    let es: MemberId = "ES".parse().unwrap();
    // Gossip, from a member to which there is no link: a fork, and the truth.
    node.exchange
        .witness(&es, &ke.origin, other("KE/main", 4).checkpoint(4))
        .unwrap();
    node.exchange
        .witness(&"WCO".parse().unwrap(), &ke.origin, ke.checkpoint(3))
        .unwrap();
    node.chunk(link, ke.whole(2, 3));
    assert!(node.second().frames.is_empty());
    node.chunk(link, ke.whole(3, 4));
    let did = node.second();
    let [proof] = did.proofs(link)[..] else {
        panic!("{did:?}")
    };
    let fork = ForkProof::parse(proof).unwrap().verify(&network.root()).unwrap();
    assert_eq!((fork.smaller.size, fork.larger.size), (4, 4));
}

#[test]
fn a_log_that_stands_still_behind_what_was_shown_is_asked_about_once() {
    let network = Network::new();
    let mut node = network.node("UG");
    let (ke, two) = (log("KE/main", 2), other("KE/main", 5));
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 2));
    let (hub, did) = node.link(network.peer("RILO-ESA"), &[&two]);
    assert_eq!(did.wants(hub), [("KE/main", 0)]);
    let did = node.second();
    assert_eq!(did.doubts(hub), [("KE/main", 2, 5)]);
    for _ in 0..3 {
        assert!(node.second().frames.is_empty());
    }
}

/// `KE` told `UG` two entries, and the hub five others.
fn told_two_ways() -> (Network, TestNode, LinkId, TestNode, LinkId) {
    let network = Network::new();
    let (mut node, mut hub) = (network.node("UG"), network.node("RILO-ESA"));
    let (ke, two) = (log("KE/main", 2), other("KE/main", 5));
    node.holds(&ke);
    hub.holds(&two);
    let region = icomm_policy::agreement::regional(
        &"esa".parse().unwrap(),
        &"RILO-ESA".parse().unwrap(),
        &["KE", "UG"].map(|member| member.parse().unwrap()),
        "2026-11-01".parse().unwrap(),
    );
    hub.adopt(&agreement(&region, &["RILO-ESA", "KE", "UG"]));
    let (to_hub, _) = node.link(network.peer("RILO-ESA"), &[&two]);
    let (to_node, _) = hub.link(network.peer("UG"), &[]);
    (network, node, to_hub, hub, to_node)
}

#[test]
fn a_longer_history_that_does_not_fit_is_doubted_and_its_beginning_proves_the_fork() {
    let (network, mut node, to_hub, mut hub, to_node) = told_two_ways();
    let did = hub.frame(to_node, want(&other("KE/main", 5), 0));
    let [chunk] = did.chunks(to_node)[..] else {
        panic!("{did:?}")
    };
    let did = node.chunk(to_hub, chunk.clone());
    assert_eq!(did.refusals(to_hub), [("tampered-chunk", "KE/main")]);
    let doubt = did.to(to_hub).find(|body| matches!(body, Body::Doubt(_))).unwrap();
    let did = hub.frame(to_node, doubt.clone());
    let answer = did.to(to_node).find(|body| matches!(body, Body::Beginning(_))).unwrap();
    let did = node.frame(to_hub, answer.clone());
    let [proof] = did.proofs(to_hub)[..] else {
        panic!("{did:?}")
    };
    let fork = ForkProof::parse(proof).unwrap().verify(&network.root()).unwrap();
    assert_eq!((fork.smaller.size, fork.larger.size), (2, 5));
    // The hub believes the proof, too.
    hub.frame(to_node, Body::Document(document(Kind::Fork, proof.to_vec())));
    assert!(hub.exchange.is_forked(&fork.origin));
}

#[test]
fn a_bent_answer_to_a_doubt_convicts_nobody() {
    let (_, mut node, to_hub, mut hub, to_node) = told_two_ways();
    let (origin, size, of) = ("KE/main".to_owned(), 2, 5);
    let did = hub.frame(to_node, Body::Doubt(v1::Doubt { origin, size, of }));
    let answer = did.to(to_node).find_map(|body| match body {
        Body::Beginning(answer) => Some(answer.clone()),
        _ => None,
    });
    let answer = answer.unwrap();
    let bends: [fn(&mut v1::Beginning); 6] = [
        |answer| answer.root = vec![7; 32].into(),
        |answer| answer.root = Bytes::new(),
        |answer| drop(answer.path.pop()),
        |answer| answer.path = vec![vec![7; 32].into(); 65],
        |answer| answer.size = 1,
        |answer| answer.checkpoint = other("ES/main", 5).checkpoint(5),
    ];
    for bend in bends {
        let mut bent = answer.clone();
        bend(&mut bent);
        assert!(node.frame(to_hub, Body::Beginning(bent)).frames.is_empty());
    }
    assert!(node.exchange.forks().is_empty());
    node.frame(to_hub, Body::Beginning(answer));
    assert_eq!(node.exchange.forks().len(), 1, "else nothing was refused above");
}

#[test]
fn a_hub_that_spoils_what_is_honest_convicts_nobody_but_itself() {
    let network = Network::new();
    let mut node = network.node("UG");
    let ke = log("KE/main", 5);
    let short = log("KE/main", 2);
    node.holds(&short);
    let (hub, _) = node.link(network.peer("RILO-ESA"), &[&ke]);
    let did = node.chunk(hub, tampered(&ke.whole(0, 5)));
    assert_eq!(did.refusals(hub), [("tampered-chunk", "KE/main")]);
    assert_eq!(did.doubts(hub), [("KE/main", 2, 5)]);
    // The true beginning is what is held.
    let mut truth = network.node("KE");
    truth.holds(&ke);
    truth.adopt(&agreement(&bilateral("KE", "UG"), &["KE", "UG"]));
    let (link, _) = truth.link(network.peer("UG"), &[]);
    let (origin, size, of) = ("KE/main".to_owned(), 2, 5);
    let did = truth.frame(link, Body::Doubt(v1::Doubt { origin, size, of }));
    let answer = did.to(link).find(|body| matches!(body, Body::Beginning(_))).unwrap();
    assert!(node.frame(hub, answer.clone()).frames.is_empty());
    assert!(node.exchange.forks().is_empty());
}

#[test]
fn a_doubt_brings_nothing_of_what_may_not_be_served_and_not_without_end() {
    let (network, mut node, own) = serving(5);
    let (stranger, _) = node.link(network.peer("RILO-ESA"), &[]);
    let (partner, _) = node.link(network.peer("UG"), &[]);
    let doubt = |size, of| {
        let origin = own.origin.to_string();
        Body::Doubt(v1::Doubt { origin, size, of })
    };
    assert!(node.frame(stranger, doubt(2, 5)).frames.is_empty());
    for (size, of) in [(5, 5), (6, 5), (2, 9), (u64::MAX, 5)] {
        assert!(node.frame(partner, doubt(size, of)).frames.is_empty());
    }
    for _ in 4..DOUBTS_MAX {
        assert_eq!(node.frame(partner, doubt(2, 5)).frames.len(), 1);
    }
    assert_eq!(node.frame(partner, doubt(2, 5)).closed[0].1.code, "too-many-doubts");
}

#[test]
fn no_member_takes_the_room_of_others_with_its_forks() {
    let (network, mut node, own) = serving(1);
    let (link, _) = node.link(network.peer("ES"), &[]);
    for serial in 0..MEMBER_LOGS_MAX + 1 {
        let origin = format!("UG/x{serial}");
        let fork = proof(&network, &log(&origin, 1), &other(&origin, 1));
        assert!(node.frame(link, Body::Document(fork)).closed.is_empty());
    }
    assert_eq!(node.exchange.forks().len(), MEMBER_LOGS_MAX);
    let fork = proof(&network, &own, &other("KE/main", 1));
    node.frame(link, Body::Document(fork));
    assert!(node.exchange.is_forked(&own.origin));
}
