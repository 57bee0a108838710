//! Peers that ask, send or offer too much, or never answer.

use super::*;

/// Records so large that a chunk carries one of them.
fn large(origin: &str, records: u64) -> Originator {
    let mut log = Originator::new(origin);
    for serial in 0..records {
        log.commit([record("KE", serial, &"x".repeat(800 << 10))]);
    }
    log
}

#[test]
fn a_peer_that_never_acknowledges_gets_one_window() {
    let (network, mut node, _) = serving(0);
    let own = large("KE/main", 8);
    node.holds(&own);
    let (silent, _) = node.link(network.peer("UG"), &[]);
    let (prompt, _) = node.link(network.peer("ES"), &[]);
    let did = node.frame(silent, want(&own, 0));
    assert_eq!(did.chunks(silent).len(), WINDOW_CHUNKS);
    // Whatever else happens, no more goes there.
    let did = node.handle(silent, Event::Changed);
    assert!(did.chunks(silent).is_empty());
    // The other link is served to the end meanwhile.
    let mut chunks = node.frame(prompt, want(&own, 0)).chunks(prompt).len();
    for size in 1..=8 {
        let root = {
            let boundary = node.store.boundary(&own.origin, size).unwrap().unwrap();
            boundary.frontier.root()
        };
        let receipt = Receipt {
            origin: own.origin.clone(),
            size,
            root,
            time: UNIX_NOW,
        };
        let did = node.frame(prompt, Body::Receipt(receipt.sign(&key("ES")).unwrap()));
        chunks += did.chunks(prompt).len();
        assert!(did.chunks(silent).is_empty());
    }
    assert_eq!(chunks, 8);
}

#[test]
fn a_receipt_of_somebody_else_ends_the_session() {
    let (network, mut node, _) = serving(0);
    let own = large("KE/main", 8);
    node.holds(&own);
    let (link, _) = node.link(network.peer("UG"), &[]);
    let sent = node.frame(link, want(&own, 0)).chunks(link).len();
    let boundary = node.store.boundary(&own.origin, 4).unwrap().unwrap();
    let root = boundary.frontier.root();
    let receipt = Receipt {
        origin: own.origin.clone(),
        size: 4,
        root,
        time: UNIX_NOW,
    };
    let mut after = Vec::new();
    let metrics = counted(|| {
        let did = node.frame(link, Body::Receipt(receipt.sign(&key("ES")).unwrap()));
        assert_eq!(did.closed[0].1.code, "invalid-receipt");
        after = did.chunks(link).into_iter().cloned().collect();
    });
    assert!(
        metrics.contains(r#"icomm_refused_receipts_total{peer="UG"} 1"#),
        "{metrics}"
    );
    assert_eq!(
        (sent, after.len()),
        (WINDOW_CHUNKS, 0),
        "nothing more is given for a false receipt"
    );
    assert!(node.store.scan_state("receipt/").unwrap().is_empty());
}

#[test]
fn receipts_for_logs_not_held_and_older_ones_replace_nothing() {
    let (network, mut node, own) = serving(3);
    let (link, _) = node.link(network.peer("UG"), &[]);
    node.frame(link, want(&own, 0));
    let receipt = |origin: &Origin, size: u64| {
        let held = node.store.boundary(&own.origin, size).unwrap();
        let root = held.map_or(Hash::from([9; 32]), |held| held.frontier.root());
        Body::Receipt(
            Receipt {
                origin: origin.clone(),
                size,
                root,
                time: UNIX_NOW,
            }
            .sign(&key("UG"))
            .unwrap(),
        )
    };
    let frames: Vec<Body> = [3, 1].map(|size| receipt(&own.origin, size)).into();
    let elsewhere = (0..50).map(|k| receipt(&format!("UG/x{k}").parse().unwrap(), 1));
    let beyond = receipt(&own.origin, 1 << 40);
    let frames: Vec<Body> = frames.into_iter().chain(elsewhere).chain([beyond]).collect();
    for frame in frames {
        assert!(node.frame(link, frame).closed.is_empty());
    }
    let kept = node.store.scan_state("receipt/").unwrap();
    let [(name, bytes)] = &kept[..] else {
        panic!("{} receipts", kept.len())
    };
    assert_eq!(name, "receipt/KE/main/UG");
    let kept: v1::Receipt = Message::decode(bytes.clone()).unwrap();
    assert_eq!(kept.size, 3, "what the peer once signed it can't take back");
}

#[test]
fn offers_that_nobody_signed_take_no_room() {
    let network = Network::new();
    let mut node = network.node("UG");
    let (flooder, _) = node.link(network.peer("ES"), &[]);
    for k in 0..ORIGINS_MAX + 1 {
        let head = v1::Head {
            origin: format!("KE/x{k}"),
            checkpoint: Bytes::from_static(b"nobody signed this"),
        };
        let did = node.frame(flooder, Body::Head(head));
        assert_eq!(did.refusals(flooder).len(), 1);
    }
    let ke = log("KE/main", 1);
    let (link, did) = node.link(network.peer("KE"), &[&ke]);
    assert_eq!(did.wants(link), [("KE/main", 0)]);
    assert_eq!(node.chunk(link, ke.whole(0, 1)).receipts(link), [("KE/main", 1)]);
}

#[test]
fn one_member_can_not_fill_a_node_with_its_logs() {
    let network = Network::new();
    let mut node = network.node("UG");
    let (greedy, _) = node.link(network.peer("ES"), &[]);
    let mut asked = 0;
    for k in 0..2 * MEMBER_LOGS_MAX {
        let log = log(&format!("ES/x{k}"), 1);
        let head = v1::Head {
            origin: log.origin.to_string(),
            checkpoint: log.checkpoint(1),
        };
        let did = node.frame(greedy, Body::Head(head));
        asked += did.wants(greedy).len();
        if k >= MEMBER_LOGS_MAX {
            assert_eq!(did.refusals(greedy)[0].0, "too-many-logs");
        }
    }
    assert_eq!(asked, MEMBER_LOGS_MAX);
    let ke = log("KE/main", 1);
    let (link, did) = node.link(network.peer("KE"), &[&ke]);
    assert_eq!(did.wants(link), [("KE/main", 0)]);
}

#[test]
fn a_record_that_can_not_go_upstream_stops_its_log_without_a_livelock() {
    let network = Network::new();
    let mut node = network.node("RILO-ESA");
    let text = icomm_policy::agreement::regional(
        &"region".parse().unwrap(),
        &"RILO-ESA".parse().unwrap(),
        &["KE".parse().unwrap(), "UG".parse().unwrap()],
        "2026-11-01".parse().unwrap(),
    );
    node.adopt(&agreement(&text, &["RILO-ESA", "KE", "UG"]));
    // KE smuggles a field into the open section; UG does not.
    let mut case = record("KE", 1, "x").section(SectionKind::Case).unwrap().to_vec();
    prost::encoding::string::encode(60, &"Planted Name".to_owned(), &mut case);
    let mut ke = Originator::new("KE/main");
    ke.commit([crate::core::fixture::sealed(1, &[(SectionKind::Case, case)])]);
    let ug = log("UG/main", 2);
    node.holds(&ke);
    node.holds(&ug);
    let (root, _) = node.link(network.peer("WCO"), &[]);
    let did = node.frame(root, want(&ke, 0));
    assert!(did.chunks(root).is_empty());
    assert!(node.handle(root, Event::Changed).chunks(root).is_empty());
    let did = node.frame(root, want(&ug, 0));
    assert_eq!(did.chunks(root)[0].count, 2);
}

#[test]
fn a_flood_of_documents_is_refused_one_by_one_and_the_link_lives() {
    let (network, mut node, own) = serving(2);
    let (link, _) = node.link(network.peer("UG"), &[]);
    let metrics = counted(|| {
        for k in 0..500_u32 {
            let kind = [
                Kind::Unspecified,
                Kind::Agreement,
                Kind::Suspension,
                Kind::Acknowledgement,
                Kind::Bundle,
            ][k as usize % 5];
            let did = node.frame(link, Body::Document(document(kind, k.to_be_bytes().repeat(64))));
            let told = |body: &Body| matches!(body, Body::DocumentRefused(_));
            assert!(did.frames.len() == 1 && did.to(link).all(told) && did.closed.is_empty());
        }
    });
    let reports = node.store.scan_state("refused/").unwrap().len();
    assert_eq!(
        reports,
        crate::core::refused::REPORTS_PER_PEER_MAX,
        "the disk does no more"
    );
    let refused: u64 = metrics
        .lines()
        .filter(|line| line.starts_with(r#"icomm_refused_documents_total{peer="UG""#))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(refused, 500, "{metrics}");
    assert_eq!(node.store.scan_state("law/").unwrap().len(), 2);
    assert_eq!(node.frame(link, want(&own, 0)).chunks(link).len(), 1);
    let large = document(
        Kind::Agreement,
        vec![b' '; crate::core::session::DOCUMENT_BYTES_MAX + 1],
    );
    assert_eq!(
        node.frame(link, Body::Document(large)).closed[0].1.code,
        "document-too-large"
    );
}

#[test]
fn a_replayed_chunk_costs_the_receiver_no_disk() {
    let network = Network::new();
    let mut node = network.node("UG");
    let ke = log("KE/main", 3);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 3));
    let before = node.store.health().batches;
    for _ in 0..20 {
        assert_eq!(node.chunk(link, ke.whole(0, 3)).receipts(link), [("KE/main", 3)]);
    }
    assert_eq!(node.store.health().batches, before);
}

#[test]
fn a_false_body_beside_a_true_one_is_still_refused() {
    let network = Network::new();
    let mut node = network.node("UG");
    let ke = log("KE/main", 2);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    let mut body = ChunkBuilder::default();
    body.disclose(ke.views[0].bytes()).withhold(&Hash::from([1; 32]));
    let did = node.chunk(link, ke.chunk_of(0, body, ke.checkpoint(2)));
    assert_eq!(did.refusals(link), [("tampered-chunk", "KE/main")]);
}
