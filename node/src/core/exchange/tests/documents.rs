//! Agreements, suspensions and bundles as peers send them.

use icomm_policy::{Agreement, Signed, SignedAgreement, Suspension};

use super::*;

fn version(text: &str, version: u32) -> String {
    let changed = text.replace("version = 1\n", &format!("version = {version}\n"));
    assert!(changed != text || version == 1);
    changed
}

fn suspension(by: &str, version: u32) -> v1::Document {
    let statement = Suspension::new("ke-ug".parse().unwrap(), version, by.parse().unwrap(), UNIX_NOW, "test");
    document(Kind::Suspension, Signed::sign(statement, &key(by)).unwrap().to_bytes())
}

#[test]
fn a_document_that_does_not_count_changes_nothing_and_is_counted() {
    let (network, mut node, own) = serving(1);
    let text = bilateral("KE", "UG");
    node.adopt(&agreement(&version(&text, 3), &["KE", "UG"]));
    let (link, _) = node.link(network.peer("UG"), &[]);
    let wider = version(&text, 4).replace("\"companies\"]", "\"companies\", \"narrative\"]");
    let signed = agreement(&version(&text, 3), &["KE", "UG"]);
    let altered = String::from_utf8(signed.document.to_vec()).unwrap().replace("H1", "H0");
    let over = version(&text, 4)
        .replace("2026-11-01", "2025-11-01")
        .replace("# in_force_until = 2031-12-31", "in_force_until = 2026-10-31");
    let cases = [
        ("older-version", agreement(&version(&text, 2), &["KE", "UG"])),
        ("expired", agreement(&over, &["KE", "UG"])),
        ("one-sided", agreement(&wider, &["UG"])),
        ("unsigned", agreement(&wider, &[])),
        ("bad-signature", document(Kind::Agreement, altered.into_bytes())),
        (
            "other-text",
            agreement(&version(&text, 3).replace("H1", "H0"), &["KE", "UG"]),
        ),
        ("not-ours", agreement(&bilateral("ES", "UG"), &["ES", "UG"])),
        ("invalid-bundle", document(Kind::Bundle, network.bundle(4, 30))),
        ("not-a-party", {
            let statement = Suspension::new("ke-ug".parse().unwrap(), 3, "ES".parse().unwrap(), UNIX_NOW, "x");
            document(
                Kind::Suspension,
                Signed::sign(statement, &key("ES")).unwrap().to_bytes(),
            )
        }),
    ];
    let law = |node: &TestNode| {
        let mut state = node.store.scan_state("").unwrap();
        state.retain(|(key, _)| !key.starts_with("refused/"));
        state
    };
    let before = (
        law(&node),
        node.exchange.law().shared_with(&"UG".parse().unwrap()),
        node.exchange.law().bundle().version(),
    );
    for (code, document) in cases {
        let metrics = counted(|| {
            let sha256 = crate::core::refused::digest(&document.document);
            let kind = document.kind;
            let did = node.frame(link, Body::Document(document));
            let told = Body::DocumentRefused(v1::DocumentRefused {
                kind,
                sha256: sha256.to_vec().into(),
                code: code.into(),
            });
            assert!(did.closed.is_empty() && did.to(link).eq([&told]), "{code}: {did:?}");
        });
        let expected = format!(r#"icomm_refused_documents_total{{peer="UG",code="{code}"}} 1"#);
        assert!(metrics.contains(&expected), "{code}: {metrics}");
    }
    let after = (
        law(&node),
        node.exchange.law().shared_with(&"UG".parse().unwrap()),
        node.exchange.law().bundle().version(),
    );
    assert_eq!(before, after);
    // What was in force is still served.
    assert_eq!(node.frame(link, want(&own, 0)).chunks(link).len(), 1);
}

#[test]
fn a_suspension_in_mid_stream_stops_the_next_chunk_both_ways() {
    let (network, mut node, _) = serving(0);
    let mut own = Originator::new("KE/main");
    for serial in 0..8 {
        own.commit([record("KE", serial, &"x".repeat(800 << 10))]);
    }
    node.holds(&own);
    let (link, _) = node.link(network.peer("UG"), &[]);
    let (other, _) = node.link(network.peer("ES"), &[]);
    assert_eq!(node.frame(link, want(&own, 0)).chunks(link).len(), WINDOW_CHUNKS);
    node.frame(other, want(&own, 0));
    let did = node.frame(link, Body::Document(suspension("UG", 1)));
    assert_eq!(did.refusals(link), [("no-agreement", "KE/main")]);
    assert!(did.refusals(other).is_empty());
    let acknowledged = did
        .to(link)
        .any(|body| matches!(body, Body::Document(document) if document.kind() == Kind::Acknowledgement));
    assert!(acknowledged, "{did:?}");
    let root = node.store.boundary(&own.origin, 4).unwrap().unwrap().frontier.root();
    let receipt = Receipt {
        origin: own.origin.clone(),
        size: 4,
        root,
        time: UNIX_NOW,
    };
    // Neither a receipt nor a new want brings anything.
    for frame in [Body::Receipt(receipt.sign(&key("UG")).unwrap()), want(&own, 4)] {
        assert!(node.frame(link, frame).chunks(link).is_empty());
    }
    // The other partner is served on.
    assert!(
        !node
            .frame(other, Body::Receipt(receipt.sign(&key("ES")).unwrap()))
            .chunks(other)
            .is_empty()
    );
}

#[test]
fn suspending_again_and_again_costs_no_more_than_once() {
    let (network, mut node, _) = serving(1);
    let (link, _) = node.link(network.peer("UG"), &[]);
    node.frame(link, Body::Document(suspension("UG", 1)));
    let kept = node.store.scan_state("law/").unwrap().len();
    for at in 0..50 {
        let statement = Suspension::new(
            "ke-ug".parse().unwrap(),
            1,
            "UG".parse().unwrap(),
            UNIX_NOW + at,
            "again",
        );
        let again = document(
            Kind::Suspension,
            Signed::sign(statement, &key("UG")).unwrap().to_bytes(),
        );
        assert!(node.frame(link, Body::Document(again)).frames.is_empty());
    }
    assert_eq!(node.store.scan_state("law/").unwrap().len(), kept);
}

#[test]
fn a_party_that_signs_twice_does_not_speak_for_the_other() {
    let network = Network::new();
    let mut node = network.node("KE");
    let mut signed = SignedAgreement::unsigned(Agreement::read(&bilateral("KE", "UG")).unwrap());
    signed.sign(&"UG".parse().unwrap(), &key("UG")).unwrap();
    signed.sign(&"KE".parse().unwrap(), &key("UG")).unwrap();
    let (link, _) = node.link(network.peer("UG"), &[]);
    let metrics = counted(|| {
        node.frame(link, Body::Document(document(Kind::Agreement, signed.to_bytes())));
    });
    assert!(metrics.contains(r#"code="bad-signature""#), "{metrics}");
    assert!(node.exchange.law().shared_with(&"UG".parse().unwrap()).is_empty());
}

#[test]
fn the_law_outlives_a_restart_and_a_newer_bundle_an_older_one() {
    let (network, mut node, _) = serving(1);
    let (link, _) = node.link(network.peer("UG"), &[]);
    node.frame(link, Body::Document(suspension("UG", 1)));
    let did = node.frame(link, Body::Document(document(Kind::Bundle, network.bundle(6, 20))));
    assert!(did.closed.is_empty());
    assert_eq!(node.exchange.law().bundle().version(), 6);
    let expired = document(Kind::Bundle, network.bundle(5, 20));
    assert_eq!(
        node.exchange.law().adopt(&expired, UNIX_NOW).unwrap_err().code(),
        "invalid-bundle"
    );
    let again = network.node_over("KE", node.store.clone());
    let [agreement] = &again.exchange.law().shared_with(&"UG".parse().unwrap())[..] else {
        panic!("the agreement was lost")
    };
    assert!(agreement.suspended);
}

#[test]
fn what_is_refused_is_reported_once_until_a_newer_version_settles_it() {
    use crate::core::refused::{REPORTS_PER_PEER_MAX, RefusedDocument};
    let (network, mut node, _) = serving(1);
    let text = bilateral("KE", "UG");
    // The hub passes on what KE and UG signed, too: two texts under one version, here in the other order.
    let other = agreement(&text.replace("H1", "H0"), &["KE", "UG"]);
    let half = agreement(&version(&text, 2), &["UG"]);
    let (link, _) = node.link(network.peer("UG"), &[]);
    let (hub, _) = node.link(network.peer("RILO-ESA"), &[]);
    for _ in 0..3 {
        node.frame(link, Body::Document(other.clone()));
        node.frame(link, Body::Document(half.clone()));
    }
    node.frame(hub, Body::Document(other.clone()));
    let reports = |node: &TestNode| RefusedDocument::all(&*node.store).unwrap();
    let mut found: Vec<_> = reports(&node)
        .into_iter()
        .map(|report| {
            (
                report.peer,
                report.code,
                report.agreement.unwrap(),
                report.version.unwrap(),
                report.by_peer,
            )
        })
        .collect();
    found.sort();
    let report =
        |peer: &str, code: &str, version| (peer.to_owned(), code.to_owned(), "ke-ug".to_owned(), version, false);
    assert_eq!(
        found,
        [
            report("RILO-ESA", "other-text", 1),
            report("UG", "one-sided", 2),
            report("UG", "other-text", 1)
        ]
    );
    assert!(
        reports(&node)
            .iter()
            .all(|report| report.time == UNIX_NOW && !report.reason.is_empty())
    );

    // The peer says the same of ours; of what it never got it can say nothing.
    let ours = node.exchange.law().documents_shared_with(&"UG".parse().unwrap());
    let refused = |document: &v1::Document| {
        Body::DocumentRefused(v1::DocumentRefused {
            kind: document.kind,
            sha256: crate::core::refused::digest(&document.document).to_vec().into(),
            code: "other-text <b>".into(),
        })
    };
    node.frame(link, refused(&ours[0]));
    node.frame(link, refused(&half));
    let by_peer: Vec<_> = reports(&node).into_iter().filter(|report| report.by_peer).collect();
    assert!(by_peer.len() == 1 && by_peer[0].code == "other-textb", "{by_peer:?}");

    // However many come, so many are kept.
    for number in 0..REPORTS_PER_PEER_MAX + 9 {
        let text = version(&text, 2).replace("H1", &format!("H1\"\n# {number}\n#\""));
        let text = text.replace("title = \"", &format!("title = \"{number} "));
        node.frame(link, Body::Document(agreement(&text, &["UG"])));
    }
    let of_ug = reports(&node).iter().filter(|report| report.peer == "UG").count();
    assert_eq!(of_ug, REPORTS_PER_PEER_MAX);

    // They outlive a restart, and not the version that settles them.
    let again = network.node_over("KE", node.store.clone());
    assert_eq!(reports(&again), reports(&node));
    node.adopt(&agreement(&version(&text, 3), &["KE", "UG"]));
    assert_eq!(reports(&node), []);
}

#[test]
fn a_receiver_stops_taking_at_the_next_chunk_and_takes_again_under_a_new_version() {
    let network = Network::new();
    let mut node = network.node("UG");
    let text = bilateral("KE", "UG");
    node.adopt(&agreement(&text, &["KE", "UG"]));
    let ke = log("KE/main", 4);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    assert_eq!(node.chunk(link, ke.whole(0, 1)).receipts(link), [("KE/main", 1)]);
    // UG suspends; KE has not heard of it, or does not mind.
    node.exchange
        .law()
        .suspend(&"ke-ug".parse().unwrap(), "test", UNIX_NOW)
        .unwrap();
    let did = node.chunk(link, ke.whole(1, 2));
    assert_eq!(did.refusals(link), [("no-agreement", "KE/main")]);
    assert!(did.closed.is_empty() && did.receipts(link).is_empty());
    assert!(node.chunk(link, ke.whole(1, 2)).frames.is_empty());
    assert_eq!(size(&node, &ke), 1);
    // What both sign anew brings it back, from where it was.
    let did = node.adopt(&agreement(&version(&text, 2), &["KE", "UG"]));
    assert_eq!(did.wants(link), [("KE/main", 1)]);
    assert_eq!(node.chunk(link, ke.whole(1, 4)).receipts(link), [("KE/main", 4)]);
}
