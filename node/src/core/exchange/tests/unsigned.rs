//! A member key in a token that is away and comes back: what is owed is signed then, once, and nothing before.

use icomm_policy::{Signed, Suspension};
use icomm_proto::EntryKind;

use super::callbacks::{answers, asks, call};
use super::*;
use crate::core::fixture::Stick;
use crate::core::retention::{DAY_S, Expiry};
use crate::store::MemoryStore;

/// `UG`, whose key is in a token, linked with `KE`.
fn receiving() -> (TestNode, Stick, Originator, LinkId) {
    let network = Network::new();
    let (stick, key) = Stick::with_key_of("UG");
    let mut node = network.node_signing("UG", Arc::new(MemoryStore::new()), key);
    let ke = log("KE/main", 4);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    (node, stick, ke, link)
}

#[test]
fn receipts_wait_for_the_token_and_the_last_covers_those_before() {
    let (mut node, stick, ke, link) = receiving();
    // Also with the token there the session does not wait for it.
    let did = node.chunk(link, ke.whole(0, 1));
    assert_eq!(did.receipts(link), []);
    assert_eq!(size(&node, &ke), 1, "what came is kept");
    assert_eq!(node.sign_owed().unwrap().receipts(link), [("KE/main", 1)]);
    assert_eq!(node.sign_owed().unwrap().receipts(link), [], "once");

    stick.plug(false);
    node.chunk(link, ke.whole(1, 2));
    assert_eq!(node.sign_owed().unwrap_err().code(), "key-absent");
    node.chunk(link, ke.whole(2, 3));
    assert!(node.sign_owed().is_err());
    assert_eq!(size(&node, &ke), 3);

    stick.plug(true);
    assert_eq!(node.sign_owed().unwrap().receipts(link), [("KE/main", 3)]);
}

#[test]
fn what_is_owed_to_a_link_goes_with_it() {
    let (mut node, stick, ke, link) = receiving();
    stick.plug(false);
    node.chunk(link, ke.whole(0, 1));
    assert!(node.sign_owed().is_err());
    node.exchange.closed(link);
    assert!(node.sign_owed().is_ok(), "nothing is asked of the token");
}

#[test]
fn a_suspension_counts_at_once_and_is_acknowledged_when_the_token_is_back() {
    let (mut node, stick, _, link) = receiving();
    stick.plug(false);
    let statement = Suspension::new("ke-ug".parse().unwrap(), 1, "KE".parse().unwrap(), UNIX_NOW, "test");
    let suspension = document(
        Kind::Suspension,
        Signed::sign(statement, &key("KE")).unwrap().to_bytes(),
    );
    let acknowledgements = |did: &Did| {
        let sent = did
            .to(link)
            .filter(|body| matches!(body, Body::Document(sent) if sent.kind() == Kind::Acknowledgement));
        sent.count()
    };
    let did = node.frame(link, Body::Document(suspension));
    assert_eq!(acknowledgements(&did), 0);
    let (ke, now) = ("KE".parse().unwrap(), UNIX_NOW);
    assert!(
        node.exchange.law().policy().receives(&ke, &ke, now).is_err(),
        "it counts"
    );
    assert!(node.sign_owed().is_err());
    stick.plug(true);
    assert_eq!(acknowledgements(&node.sign_owed().unwrap()), 1);
    assert_eq!(acknowledgements(&node.sign_owed().unwrap()), 0, "once");
}

#[test]
fn a_recall_is_carried_out_at_once_and_answered_when_the_token_is_back() {
    let (mut node, stick, mut ke, link) = receiving();
    node.chunk(link, ke.whole(0, 4));
    stick.plug(false);
    let recall = ke.void(1, EntryKind::Recall);
    let recalls = v1::Recalls {
        recalls: vec![recall],
        more: false,
    };
    let did = node.frame(link, Body::Recalls(recalls));
    assert_eq!(did.erasures(link), Vec::<&v1::Erased>::new());
    let held = node.store.entry(&ke.origin, 1).unwrap();
    assert!(
        matches!(held, Some(icomm_proto::log::Item::Disclosed(view))
        if icomm_proto::View::parse(view.clone()).unwrap().sections().is_empty()),
        "erased"
    );
    assert!(node.sign_owed().is_err());
    stick.plug(true);
    let did = node.sign_owed().unwrap();
    let [erased] = did.erasures(link)[..] else {
        panic!("{did:?}")
    };
    assert!(crate::core::recall::Erasure::verify(erased, &key("UG").public().into()).is_ok());
    assert_eq!(node.sign_owed().unwrap().erasures(link).len(), 0, "once");
}

#[test]
fn a_node_that_starts_without_its_token_owes_what_it_owed() {
    let network = Network::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (stick, token) = Stick::with_key_of("UG");
    let mut node = network.node_signing("UG", store.clone(), token.clone());
    let mut ke = log("KE/main", 4);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 4));
    stick.plug(false);
    let recalls = v1::Recalls {
        recalls: vec![ke.void(1, EntryKind::Recall)],
        more: false,
    };
    node.frame(link, Body::Recalls(recalls));
    drop(node);

    let mut node = network.node_signing("UG", store, token);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    assert!(node.sign_owed().is_err());
    stick.plug(true);
    assert_eq!(node.sign_owed().unwrap().erasures(link).len(), 1);
}

#[test]
fn a_witness_cosigns_when_its_token_is_back() {
    let network = Network::new();
    let (stick, key) = Stick::with_key_of("RILO-ESA");
    let mut node = network.node_signing("RILO-ESA", Arc::new(MemoryStore::new()), key);
    let ke = log("KE/main", 2);
    node.holds(&ke);
    stick.plug(false);
    node.sign_owed().unwrap_err();
    stick.plug(true);
    node.sign_owed().unwrap();
    let witnessed = node.exchange.witnessed(&ke.origin);
    assert_eq!(witnessed.cosignatures.len(), 1, "{witnessed:?}");
}

#[test]
fn what_is_called_back_is_given_up_at_once_and_answered_when_the_token_is_back() {
    let (mut node, stick, ke, link) = receiving();
    node.chunk(link, ke.whole(0, 4));
    stick.plug(false);
    let call = call(&ke, &[(1, "case")]);
    let did = node.frame(link, asks(&call));
    assert!(answers(&did, link, "UG").is_empty() && did.closed.is_empty(), "{did:?}");
    let held = node.store.entry(&ke.origin, 1).unwrap();
    assert!(
        matches!(held, Some(icomm_proto::log::Item::Disclosed(view))
        if icomm_proto::View::parse(view.clone()).unwrap().sections() == icomm_proto::SectionSet::open()),
        "erased"
    );
    assert!(node.sign_owed().is_err());
    stick.plug(true);
    let did = node.sign_owed().unwrap();
    let [answer] = &answers(&did, link, "UG")[..] else {
        panic!("{did:?}")
    };
    assert_eq!((answer.digest, answer.entries), (call.digest(), 1));
    assert!(answers(&node.sign_owed().unwrap(), link, "UG").is_empty(), "once");
}

#[test]
fn what_is_over_is_erased_without_the_token_and_the_word_of_it_goes_when_it_is_back() {
    let network = Network::new();
    let (stick, token) = Stick::with_key_of("UG");
    let mut node = network.node_signing("UG", Arc::new(MemoryStore::new()), token);
    let whole = r#"retention = { days = 1825, then = "erase" }"#;
    let terms = bilateral("KE", "UG").replace(whole, r#"retention = { days = 30, then = "erase" }"#);
    node.adopt(&agreement(&terms, &["KE", "UG"]));
    let ke = log("KE/main", 3);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 3));
    stick.plug(false);
    let sweep = Sweep {
        now: UNIX_NOW + 31 * DAY_S,
        notice_days: 30,
        act: true,
    };
    let swept = node.exchange.sweep(sweep).unwrap();
    assert!(swept.terms[0].done, "{swept:?}");
    let words = |did: &Did| {
        let bodies = did.to(link);
        let words = bodies.filter_map(|body| match body {
            Body::Expiries(expiries) => Some(expiries.expired.clone()),
            _ => None,
        });
        words.flatten().collect::<Vec<_>>()
    };
    assert!(words(&node.handle(link, Event::Changed)).is_empty());
    node.sign_owed().unwrap_err();
    stick.plug(true);
    let did = node.sign_owed().unwrap();
    let [word] = &words(&did)[..] else { panic!("{did:?}") };
    let expiry = Expiry::verify(word, &key("UG").public().into()).unwrap();
    assert_eq!(expiry.spans[0].count, 3);
}
