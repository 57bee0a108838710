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
    let before = (
        node.store.scan_state("").unwrap(),
        node.exchange.law().shared_with(&"UG".parse().unwrap()),
        node.exchange.law().bundle().version(),
    );
    for (code, document) in cases {
        let metrics = counted(|| {
            let did = node.frame(link, Body::Document(document));
            assert!(did.frames.is_empty() && did.closed.is_empty(), "{code}: {did:?}");
        });
        let expected = format!(r#"icomm_refused_documents_total{{peer="UG",code="{code}"}} 1"#);
        assert!(metrics.contains(&expected), "{code}: {metrics}");
    }
    let after = (
        node.store.scan_state("").unwrap(),
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
    for frame in [Body::Receipt(receipt.sign(&key("UG"))), want(&own, 4)] {
        assert!(node.frame(link, frame).chunks(link).is_empty());
    }
    // The other partner is served on.
    assert!(
        !node
            .frame(other, Body::Receipt(receipt.sign(&key("ES"))))
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
