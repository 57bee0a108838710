//! Terms that change: what was sent before goes again as far as it is wider, once, and so it comes in.

use icomm_policy::{Agreement, REVISION_BYTES_MAX};
use icomm_proto::SectionSet;

use super::*;
use crate::core::delivery::facts;

/// A version of the agreement between KE and UG that gives these sections.
pub(super) fn giving(version: u32, sections: &str) -> v1::Document {
    let mut terms = Agreement::read(&bilateral("KE", "UG")).unwrap().terms().clone();
    terms.version = version;
    for grant in &mut terms.grants {
        grant.sections = sections.parse().unwrap();
    }
    agreement(&serde_json::to_string(&terms).unwrap(), &["KE", "UG"])
}

fn want_under(log: &Originator, from: u64, under: v1::Revisions) -> Body {
    Body::Want(v1::Want {
        origin: log.origin.to_string(),
        from,
        stop: false,
        under: Some(under),
    })
}

pub(super) fn refills(did: &Did, link: LinkId) -> Vec<v1::Refill> {
    did.to(link)
        .filter_map(|body| match body {
            Body::Refill(refill) => Some(refill.clone()),
            _ => None,
        })
        .collect()
}

pub(super) fn stored(refill: &v1::Refill) -> Body {
    Body::Refilled(v1::Refilled {
        origin: refill.origin.clone(),
        revision: refill.revision.clone(),
        through: refill.through,
    })
}

/// KE with a log of its own, serving the open section to UG, which has asked for all of it; and the revision of that.
pub(super) fn served(commits: usize) -> (Network, TestNode, Originator, LinkId, String) {
    let network = Network::new();
    let mut node = network.node("KE");
    let own = log("KE/main", commits);
    node.holds(&own);
    node.adopt(&giving(1, "case"));
    let (link, _) = node.link(network.peer("UG"), &[]);
    let did = node.frame(link, want_under(&own, 0, v1::Revisions::default()));
    assert_eq!(did.chunks(link).len(), 1);
    let [first] = &refills(&did, link)[..] else {
        panic!("{did:?}")
    };
    assert!(
        first.complete && first.chunk.is_none(),
        "nothing came before: {first:?}"
    );
    (network, node, own, link, first.revision.clone())
}

/// What `node` holds of each entry.
pub(super) fn held(node: &TestNode, log: &Originator) -> Vec<SectionSet> {
    let mut held = Vec::new();
    while let Some(stretch) = node
        .store
        .read(&log.origin, held.len() as u64, delivery::READ_LIMIT)
        .unwrap()
    {
        held.extend(stretch.items().map(|item| facts(item).unwrap().1.unwrap_or_default()));
    }
    held
}

#[test]
fn wider_terms_send_again_what_went_before_and_narrower_ones_do_not() {
    let (_, mut node, own, link, first) = served(3);
    let notes = || node.store.notes_len(&NoteLog::disclosures()).unwrap();
    let before = notes();
    let did = node.adopt(&giving(2, "case+exact"));
    let [refill] = &refills(&did, link)[..] else {
        panic!("{did:?}")
    };
    let chunk = refill.chunk.as_ref().unwrap();
    assert_eq!((chunk.from, chunk.count, refill.through), (0, 3, 3));
    assert!(!refill.complete && refill.revision != first);
    assert_eq!(chunk.checkpoint, own.checkpoint(3));
    assert!(did.chunks(link).is_empty(), "nothing new");
    assert_eq!(node.store.notes_len(&NoteLog::disclosures()).unwrap(), before + 1);
    let note = node.store.notes(&NoteLog::disclosures(), before, 1).unwrap();
    let note = Note::decode(&note[0].1).unwrap();
    assert_eq!(
        (note.from, note.count, note.terms[0].sections.as_str()),
        (0, 3, "case+exact")
    );

    // Until it is stored there is no other, and no word that all is done.
    assert!(refills(&node.handle(link, Event::Changed), link).is_empty());
    let done = refills(&node.frame(link, stored(refill)), link);
    assert!(
        done.len() == 1 && done[0].complete && done[0].revision == refill.revision,
        "{done:?}"
    );

    let did = node.adopt(&giving(3, "case"));
    let done = refills(&did, link);
    assert!(
        done.len() == 1 && done[0].complete && done[0].chunk.is_none(),
        "{done:?}"
    );
    assert!(did.chunks(link).is_empty());
}

#[test]
fn what_comes_new_does_not_wait_for_what_went_before() {
    let (_, mut node, mut own, link, _) = served(3);
    let did = node.adopt(&giving(2, "case+exact"));
    assert_eq!(refills(&did, link).len(), 1, "and its receipt does not come");
    node.frame(link, receipt(&own, 3));
    own.commit([record("KE", 77, "x")]);
    node.holds(&own);
    let did = node.handle(
        link,
        Event::Grew {
            origin: own.origin.clone(),
        },
    );
    let [chunk] = did.chunks(link)[..] else {
        panic!("{did:?}")
    };
    assert_eq!((chunk.from, chunk.count), (3, 1));
    assert!(refills(&did, link).is_empty());
}

pub(super) fn receipt(log: &Originator, size: u64) -> Body {
    let mut frontier = icomm_proto::log::Frontier::new();
    let entries = usize::try_from(size).unwrap();
    log.views[..entries]
        .iter()
        .for_each(|view| frontier.push(view.leaf_hash()));
    let receipt = Receipt {
        origin: log.origin.clone(),
        size,
        root: frontier.root(),
        time: UNIX_NOW,
    };
    Body::Receipt(receipt.sign(&key("UG")).unwrap())
}

#[test]
fn whoever_returns_says_under_what_it_received_and_gets_the_rest() {
    let (network, mut node, own, link, first) = served(3);
    node.exchange.closed(link);
    node.adopt(&giving(2, "case+exact"));
    let under = |revision: &str, refilling: &str, refilled| v1::Revisions {
        revision: revision.into(),
        refilling: refilling.into(),
        refilled,
        settled: false,
    };
    let mut asks = |under: v1::Revisions| {
        let (link, _) = node.link(network.peer("UG"), &[]);
        let did = node.frame(link, want_under(&own, 3, under));
        refills(&did, link)
    };
    let from = |refills: &[v1::Refill]| refills[0].chunk.as_ref().map(|chunk| chunk.from);
    let wider = asks(under(&first, "", 0));
    assert_eq!(from(&wider), Some(0));
    let second = wider[0].revision.clone();
    // An interrupted refill goes on where it was, but not one to terms that are over.
    assert_eq!(from(&asks(under(&first, &second, 2))), Some(2));
    assert_eq!(from(&asks(under(&first, "ke-ug@9/;00", 2))), Some(0));
    assert_eq!(from(&asks(under(&first, &second, u64::MAX))), None);
    // Of who says nothing, or nonsense, nothing is known: all of it goes.
    for unknown in ["", "nonsense", "ke-ug@1/;00000000000000000000000000000000"] {
        assert_eq!(from(&asks(under(unknown, "", 0))), Some(0), "{unknown}");
    }
    // Who has it all gets nothing.
    assert_eq!(asks(under(&second, "", 0)), []);
    let settled = asks(v1::Revisions {
        settled: true,
        ..Default::default()
    });
    assert!(settled.len() == 1 && settled[0].complete && settled[0].chunk.is_none());
}

#[test]
fn suspended_terms_send_nothing_of_before() {
    let (_, mut node, _, link, _) = served(3);
    let did = node.adopt(&giving(2, "case+exact"));
    let refill = refills(&did, link)[0].clone();
    node.exchange
        .law()
        .suspend(&"ke-ug".parse().unwrap(), "test", UNIX_NOW)
        .unwrap();
    let did = node.frame(link, stored(&refill));
    assert!(refills(&did, link).is_empty(), "{did:?}");
}

#[test]
fn a_refill_is_checked_stored_and_remembered() {
    let network = Network::new();
    let mut node = network.node("UG");
    node.adopt(&giving(1, "case"));
    let ke = log("KE/main", 3);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.chunk(0, 3, |_| SectionSet::open()));
    let refill = |through: u64, chunk: v1::Chunk| v1::Refill {
        origin: "KE/main".into(),
        revision: "r2".into(),
        through,
        complete: false,
        chunk: Some(chunk),
    };
    let wider = |from, to| {
        ke.chunk(
            from,
            to,
            |index| if index == 1 { SectionSet::ALL } else { SectionSet::EMPTY },
        )
    };
    let did = node.frame(link, Body::Refill(refill(2, wider(0, 2))));
    let answered = did.to(link).any(|body| *body == stored(&refill(2, wider(0, 2))));
    assert!(answered && did.receipts(link).is_empty(), "{did:?}");
    assert_eq!(
        held(&node, &ke),
        [SectionSet::open(), ke.views[1].sections(), SectionSet::open()]
    );

    // After a restart the cursor is where it was, and how far the refill came is said.
    let mut again = network.node_over("UG", node.store.clone());
    let (_, did) = again.link(network.peer("KE"), &[&ke]);
    let asked = did.frames.iter().find_map(|(_, body)| match body {
        Body::Want(want) => Some(want.clone()),
        _ => None,
    });
    let asked = asked.unwrap();
    let under = asked.under.unwrap();
    assert_eq!((asked.from, under.revision.as_str()), (3, ""));
    assert_eq!((under.refilling.as_str(), under.refilled), ("r2", 2));

    // What does not verify or contradicts itself changes nothing.
    let kept = node.store.scan_state("revisions/").unwrap();
    let bad = [
        ("tampered-chunk", refill(3, tampered(&wider(0, 3)))),
        ("malformed-refill", refill(3, wider(0, 2))),
        (
            "malformed-refill",
            refill(
                3,
                v1::Chunk {
                    origin: "KE/other".into(),
                    ..wider(0, 3)
                },
            ),
        ),
        (
            "malformed-refill",
            v1::Refill {
                revision: "x".repeat(REVISION_BYTES_MAX + 1),
                ..refill(3, wider(0, 3))
            },
        ),
    ];
    for (code, refill) in bad {
        let mut node = network.node_over("UG", node.store.clone());
        let (link, _) = node.link(network.peer("KE"), &[&ke]);
        let did = node.frame(link, Body::Refill(refill));
        assert_eq!(did.refusals(link), [(code, "KE/main")]);
    }
    assert_eq!(node.store.scan_state("revisions/").unwrap(), kept);
}

#[test]
fn a_refill_nobody_asked_for_is_not_taken() {
    let network = Network::new();
    let mut node = network.node("UG");
    let ke = log("KE/main", 1);
    let (link, _) = node.link(network.peer("KE"), &[]);
    let refill = v1::Refill {
        origin: "KE/main".into(),
        revision: "r".into(),
        through: 1,
        complete: true,
        chunk: Some(ke.whole(0, 1)),
    };
    assert!(node.frame(link, Body::Refill(refill)).frames.is_empty());
    assert!(node.store.origins().is_empty() && node.store.scan_state("revisions/").unwrap().is_empty());
}

#[test]
fn a_hub_that_is_given_more_passes_more_on_of_what_it_passed_on_before() {
    let network = Network::new();
    let mut hub = network.node("RILO-ESA");
    let region = |version: u32| {
        let text = icomm_policy::agreement::regional(
            &"esa".parse().unwrap(),
            &"RILO-ESA".parse().unwrap(),
            &["KE", "UG"].map(|id| id.parse().unwrap()),
            "2026-11-01".parse().unwrap(),
        );
        let mut terms = Agreement::read(&text).unwrap().terms().clone();
        terms.version = version;
        agreement(&serde_json::to_string(&terms).unwrap(), &["RILO-ESA", "KE", "UG"])
    };
    hub.adopt(&region(1));
    let ke = log("KE/main", 2);
    let (from_ke, _) = hub.link(network.peer("KE"), &[&ke]);
    // Nothing yet of the second.
    let narrow = ke.chunk(0, 2, |index| {
        if index == 0 {
            SectionSet::open()
        } else {
            SectionSet::EMPTY
        }
    });
    hub.chunk(from_ke, narrow);
    let (to_ug, _) = hub.link(network.peer("UG"), &[]);
    let did = hub.frame(to_ug, want_under(&ke, 0, v1::Revisions::default()));
    let first = refills(&did, to_ug)[0].revision.clone();
    let refill = |complete, chunk| v1::Refill {
        origin: "KE/main".into(),
        revision: "r2".into(),
        through: 2,
        complete,
        chunk,
    };
    let wider = ke.chunk(0, 2, |index| {
        if index == 1 {
            SectionSet::open()
        } else {
            SectionSet::EMPTY
        }
    });
    hub.frame(from_ke, Body::Refill(refill(false, Some(wider))));
    let did = hub.frame(from_ke, Body::Refill(refill(true, None)));
    let passed = refills(&did, to_ug);
    assert!(passed.len() == 1 && passed[0].revision != first, "{did:?}");
    let chunk = passed[0].chunk.as_ref().unwrap();
    assert_eq!((chunk.from, chunk.count), (0, 2));
    // It knows so after a restart, too; somebody was linked until then.
    hub.second();
    let mut hub = network.node_over("RILO-ESA", hub.store.clone());
    let (to_ug, _) = hub.link(network.peer("UG"), &[]);
    let under = v1::Revisions {
        revision: first,
        ..Default::default()
    };
    let did = hub.frame(to_ug, want_under(&ke, 2, under));
    assert!(refills(&did, to_ug)[0].chunk.is_some());
}
