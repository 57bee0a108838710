//! Witnesses: what they sign and never sign, what counts of it, and who hears of it.

use icomm_proto::log::SignedNote;
use icomm_proto::proof::witness_name;

use super::*;
use crate::core::fixture::domain;

/// The checkpoint of so many entries with the lines of these witnesses.
fn cosigned(log: &Originator, size: u64, witnesses: &[&str]) -> SignedNote {
    let mut note = SignedNote::parse(&log.checkpoint(size)).unwrap();
    for witness in witnesses {
        let name = witness_name(&witness.parse().unwrap(), &domain());
        note.cosign(&name, &key(witness), UNIX_NOW).unwrap();
    }
    note
}

fn said(log: &Originator, note: &SignedNote) -> Body {
    Body::Cosigned(v1::Cosigned {
        origin: log.origin.to_string(),
        checkpoint: note.to_bytes().into(),
    })
}

/// What one link is told that witnesses say: log, size, witnesses.
fn told(did: &Did, link: LinkId) -> Vec<(String, u64, Vec<&'static str>)> {
    let notes = did.to(link).filter_map(|body| match body {
        Body::Cosigned(said) => Some((said.origin.clone(), SignedNote::parse(&said.checkpoint).unwrap())),
        _ => None,
    });
    notes
        .map(|(origin, note)| {
            let size = icomm_proto::log::Checkpoint::parse(note.text()).unwrap().size;
            let by = ["RILO-ESA", "WCO"].into_iter().filter(|witness| {
                let name = witness_name(&witness.parse().unwrap(), &domain());
                note.cosigned(&name, &key(witness).public()).unwrap() == Some(UNIX_NOW)
            });
            (origin, size, by.collect())
        })
        .collect()
}

fn settled(node: &TestNode, log: &Originator) -> u64 {
    node.exchange.witnessed(&log.origin).settled
}

fn regional() -> v1::Document {
    let text = icomm_policy::agreement::regional(
        &"esa".parse().unwrap(),
        &"RILO-ESA".parse().unwrap(),
        &["KE", "UG"].map(|member| member.parse().unwrap()),
        "2026-11-01".parse().unwrap(),
    );
    agreement(&text, &["RILO-ESA", "KE", "UG"])
}

#[test]
fn a_hub_cosigns_what_has_grown_and_tells_those_who_may_know() {
    let network = Network::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut hub = network.node_over("RILO-ESA", store.clone());
    let ke = log("KE/main", 3);
    hub.adopt(&regional());
    let (originator, _) = hub.link(network.peer("KE"), &[&ke]);
    let (partner, _) = hub.link(network.peer("UG"), &[]);
    let (stranger, _) = hub.link(network.peer("ES"), &[]);
    assert!(hub.second().frames.is_empty(), "of nothing nothing is said");
    hub.chunk(originator, ke.whole(0, 2));
    let did = hub.second();
    let expected = [("KE/main".to_owned(), 2, vec!["RILO-ESA"])];
    assert_eq!(told(&did, originator), expected);
    assert_eq!(told(&did, partner), expected);
    assert!(told(&did, stranger).is_empty());
    assert!(hub.second().frames.is_empty(), "once");
    hub.chunk(originator, ke.whole(2, 3));
    assert_eq!(
        told(&hub.second(), originator),
        [("KE/main".to_owned(), 3, vec!["RILO-ESA"])]
    );
    // Who comes later hears it, also after a restart, in which nothing is signed again.
    let mut hub = network.node_over("RILO-ESA", store);
    hub.adopt(&regional());
    let (late, did) = hub.link(network.peer("UG"), &[]);
    assert_eq!(told(&did, late), [("KE/main".to_owned(), 3, vec!["RILO-ESA"])]);
    let (stranger, did) = hub.link(network.peer("ES"), &[]);
    assert!(told(&did, stranger).is_empty());
    assert!(hub.second().frames.is_empty());
}

#[test]
fn nobody_but_a_hub_or_the_root_cosigns_and_nobody_its_own_log() {
    let network = Network::new();
    for (member, held, cosigns) in [
        ("UG", "KE/main", false),
        ("WCO", "KE/main", true),
        ("WCO", "WCO/main", false),
        ("RILO-ESA", "RILO-ESA/main", false),
        ("RILO-ESA", "WCO/main", true),
    ] {
        let mut node = network.node(member);
        let log = log(held, 2);
        node.holds(&log);
        node.second();
        let said = node.exchange.witnessed(&log.origin).cosignatures;
        assert_eq!(said.len(), usize::from(cosigns), "{member} of {held}");
    }
}

#[test]
fn without_its_word_on_disk_a_witness_tells_nobody() {
    let network = Network::new();
    let store = Arc::new(Failing::default());
    let mut hub = network.node_over("RILO-ESA", store.clone());
    let ke = log("KE/main", 1);
    hub.holds(&ke);
    let (originator, _) = hub.link(network.peer("KE"), &[&ke]);
    store.fail(true);
    assert!(told(&hub.second(), originator).is_empty());
    assert!(store.scan_state("cosigned/").unwrap().is_empty());
    // Nor who comes later.
    let (late, did) = hub.link(network.peer("KE"), &[&ke]);
    assert!(told(&did, late).is_empty());
    store.fail(false);
    assert_eq!(told(&hub.second(), late), [("KE/main".to_owned(), 1, vec!["RILO-ESA"])]);
}

#[test]
fn a_witness_signs_no_smaller_log_than_it_once_did_even_if_it_has_forgotten() {
    let network = Network::new();
    let mut hub = network.node("RILO-ESA");
    let ke = log("KE/main", 4);
    let (originator, _) = hub.link(network.peer("KE"), &[&ke]);
    // What it signed before it lost its store, as others have it.
    hub.frame(originator, said(&ke, &cosigned(&ke, 3, &["RILO-ESA"])));
    hub.chunk(originator, ke.whole(0, 2));
    assert!(told(&hub.second(), originator).is_empty());
    hub.chunk(originator, ke.whole(2, 4));
    assert_eq!(told(&hub.second(), originator).last().unwrap().1, 4);
}

#[test]
fn a_witness_signs_no_other_history_than_it_once_did() {
    let network = Network::new();
    let mut other = Originator::new("KE/main");
    other.commits(&[1, 1, 1], 2);
    let ke = log("KE/main", 2);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let note = cosigned(&ke, 2, &["RILO-ESA"]);
    store
        .append(Batch::new().set("cosigned/KE/main/RILO-ESA", note.to_bytes()))
        .unwrap();
    let mut hub = network.node_over("RILO-ESA", store);
    hub.holds(&other);
    let (originator, _) = hub.link(network.peer("KE"), &[&other]);
    assert!(told(&hub.second(), originator).is_empty());
}

#[test]
fn a_quorum_settles_as_much_as_all_of_it_has_seen() {
    let network = Network::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut node = network.node_over("UG", store.clone());
    let ke = log("KE/main", 5);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 5));
    assert_eq!(settled(&node, &ke), 0);
    // Two witnesses, so both are needed: see the trust bundle.
    node.frame(link, said(&ke, &cosigned(&ke, 4, &["WCO"])));
    assert_eq!(settled(&node, &ke), 0);
    node.frame(link, said(&ke, &cosigned(&ke, 2, &["RILO-ESA"])));
    assert_eq!(settled(&node, &ke), 2, "who has seen four has seen two");
    assert_eq!(node.exchange.witnessed(&ke.origin).note, None, "but not on one note");
    node.frame(link, said(&ke, &cosigned(&ke, 4, &["RILO-ESA"])));
    assert_eq!(settled(&node, &ke), 4);
    let note = node.exchange.witnessed(&ke.origin).note.unwrap();
    let both = SignedNote::parse(&note).unwrap();
    for witness in ["WCO", "RILO-ESA"] {
        let name = witness_name(&witness.parse().unwrap(), &domain());
        assert_eq!(both.cosigned(&name, &key(witness).public()), Ok(Some(UNIX_NOW)));
    }
    // One goes on alone: the note with both is kept for those who hold nothing else.
    node.frame(link, said(&ke, &cosigned(&ke, 5, &["WCO"])));
    assert_eq!(settled(&node, &ke), 4);
    assert_eq!(node.exchange.witnessed(&ke.origin).note.as_ref(), Some(&note));
    assert_eq!(node.exchange.cosigned_over(&ke.origin, 3).unwrap().to_bytes(), note);
    assert_eq!(
        node.exchange.cosigned_over(&ke.origin, 4).unwrap().signatures().len(),
        2
    );
    assert_eq!(node.exchange.cosigned_over(&ke.origin, 5), None);
    let again = network.node_over("UG", store);
    assert_eq!(
        again.exchange.witnessed(&ke.origin),
        node.exchange.witnessed(&ke.origin)
    );
}

#[test]
fn words_are_passed_on_once_and_not_back() {
    let (network, mut node, own) = serving(3);
    let (hub, _) = node.link(network.peer("RILO-ESA"), &[]);
    let (partner, _) = node.link(network.peer("UG"), &[]);
    let word = said(&own, &cosigned(&own, 3, &["RILO-ESA"]));
    let did = node.frame(hub, word.clone());
    assert!(told(&did, hub).is_empty());
    assert_eq!(told(&did, partner), [("KE/main".to_owned(), 3, vec!["RILO-ESA"])]);
    for link in [hub, partner] {
        assert!(node.frame(link, word.clone()).frames.is_empty());
    }
    // Of a note only what counts is passed on.
    let mut padded = cosigned(&own, 3, &["RILO-ESA", "WCO", "UG"]);
    padded
        .cosign("elsewhere.example/witness", &key("ES"), UNIX_NOW)
        .unwrap();
    let did = node.frame(hub, said(&own, &padded));
    assert_eq!(told(&did, partner), [("KE/main".to_owned(), 3, vec!["WCO"])]);
    let lines = did.to(partner).find_map(|body| match body {
        Body::Cosigned(said) => Some(SignedNote::parse(&said.checkpoint).unwrap().signatures().len()),
        _ => None,
    });
    assert_eq!(lines, Some(2));
}

#[test]
fn only_witnesses_of_the_bundle_count_and_nobody_for_its_own_log() {
    let network = Network::new();
    let mut node = network.node("UG");
    let office = log("RILO-ESA/main", 2);
    let (link, _) = node.link(network.peer("RILO-ESA"), &[&office]);
    node.chunk(link, office.whole(0, 2));
    for witness in ["UG", "ES", "RILO-ESA"] {
        node.frame(link, said(&office, &cosigned(&office, 2, &[witness])));
        assert!(
            node.exchange.witnessed(&office.origin).cosignatures.is_empty(),
            "{witness}"
        );
    }
    node.frame(link, said(&office, &cosigned(&office, 2, &["WCO"])));
    assert_eq!(settled(&node, &office), 2, "of a hub's log the other witnesses decide");
}

#[test]
fn what_witnesses_say_ahead_of_time_counts_when_it_is_held() {
    let network = Network::new();
    let mut node = network.node("UG");
    let ke = log("KE/main", 3);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    // Before anything of the log is here, and before all of it is.
    node.frame(link, said(&ke, &cosigned(&ke, 3, &["WCO"])));
    node.chunk(link, ke.whole(0, 1));
    node.frame(link, said(&ke, &cosigned(&ke, 3, &["RILO-ESA"])));
    node.second();
    assert_eq!(settled(&node, &ke), 0);
    node.chunk(link, ke.whole(1, 3));
    node.second();
    assert_eq!(settled(&node, &ke), 3);
}

#[test]
fn what_nobody_signed_costs_the_link() {
    let network = Network::new();
    let ke = log("KE/main", 2);
    let good = cosigned(&ke, 2, &["WCO"]).to_string();
    let (head, line) = good.trim_end().rsplit_once(' ').unwrap();
    let mut bytes = data_encoding::BASE64.decode(line.as_bytes()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = format!("{head} {}\n", data_encoding::BASE64.encode(&bytes));
    let stranger = SignedNote::sign(cosigned(&ke, 2, &[]).text().to_owned(), &ke.line, &key("UG")).unwrap();
    for (name, note) in [
        ("a wrong line of a witness", forged),
        ("not the originator's", stranger.to_string()),
        ("no note", "settled, believe me".to_owned()),
    ] {
        let mut node = network.node("UG");
        let (link, _) = node.link(network.peer("KE"), &[&ke]);
        node.chunk(link, ke.whole(0, 2));
        let metrics = counted(|| {
            let body = Body::Cosigned(v1::Cosigned {
                origin: "KE/main".into(),
                checkpoint: note.into_bytes().into(),
            });
            let did = node.frame(link, body);
            assert_eq!(did.closed[0].1.code, "invalid-cosignature", "{name}");
        });
        assert!(
            metrics.contains(r#"icomm_refused_cosignatures_total{peer="KE"} 1"#),
            "{metrics}"
        );
        assert!(node.exchange.witnessed(&ke.origin).cosignatures.is_empty());
    }
    // Of a log that is not held here nothing is kept, and nobody is blamed.
    let mut node = network.node("UG");
    let (link, _) = node.link(network.peer("ES"), &[]);
    let did = node.frame(link, said(&ke, &cosigned(&ke, 2, &["WCO"])));
    assert!(did.closed.is_empty() && node.store.scan_state("").unwrap().is_empty());
}

#[test]
fn what_a_witness_saw_of_another_history_proves_the_fork() {
    let network = Network::new();
    let mut node = network.node("UG");
    let ke = log("KE/main", 3);
    let mut other = Originator::new("KE/main");
    other.commits(&[1, 1, 1], 2);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 3));
    node.frame(link, said(&ke, &cosigned(&ke, 3, &["RILO-ESA"])));
    let did = node.frame(link, said(&other, &cosigned(&other, 3, &["WCO"])));
    assert_eq!(did.proofs(link).len(), 1);
    assert_eq!(settled(&node, &ke), 0, "no quorum for two histories");
}

#[test]
fn who_may_not_have_a_log_hears_of_no_more_of_it_than_it_sent_itself() {
    let network = Network::new();
    let mut root = network.node("WCO");
    let ke = log("KE/main", 4);
    let open = |from, to| ke.chunk(from, to, |_| icomm_proto::SectionSet::open());
    let (originator, _) = root.link(network.peer("KE"), &[&ke]);
    root.chunk(originator, open(0, 2));
    let expected = [("KE/main".to_owned(), 2, vec!["WCO"])];
    assert_eq!(told(&root.second(), originator), expected);
    // Naming the log, or showing a checkpoint that went round, opens nothing.
    let old = log("KE/main", 1);
    let (stranger, did) = root.link(network.peer("ES"), &[&old]);
    assert!(told(&did, stranger).is_empty(), "{did:?}");
    for checkpoint in [Bytes::from_static(b"nobody signed this"), ke.checkpoint(4)] {
        let origin = "KE/main".to_owned();
        let did = root.frame(stranger, Body::Head(v1::Head { origin, checkpoint }));
        assert!(told(&did, stranger).is_empty());
    }
    // A relay, over which the rest comes, hears back what the root says of that.
    root.exchange.closed(originator);
    let (relay, did) = root.link(network.peer("RILO-ESA"), &[&ke]);
    assert!(told(&did, relay).is_empty());
    root.frame(
        stranger,
        Body::Refusal(v1::Refusal {
            code: "store".into(),
            message: String::new(),
            origin: "KE/main".into(),
        }),
    );
    root.chunk(relay, open(2, 4));
    let did = root.second();
    assert_eq!(told(&did, relay), [("KE/main".to_owned(), 4, vec!["WCO"])]);
    assert!(told(&did, stranger).is_empty());
}
