//! Who isn't a node in the trust bundle, or isn't who an address promises, gets no session: with a typed error where
//! one can be given, and a metric always.

use std::{sync::Arc, time::Duration};

use icomm_pki::{InvalidPath, InvalidPeer, NodeCredentials, VerifiedBundle};
use libp2p::Multiaddr;
use tokio::sync::{broadcast, mpsc};

use crate::environment::Environment;

use super::{
    hostile::{call_with, gate},
    node::{Node, QUIC, TCP, TLS, config, counted, eventually, movable},
    world::World,
};
use crate::link::{
    Address, BindError, ConnectError, Limits, Outcome, Peer, gate::Gate, p2p::P2p, registry::Registry, trust::Trust,
};

/// Lets `caller` try to reach `a` by every address; nobody may get through.
async fn refused(a: &mut Node, caller: &Arc<NodeCredentials>, theirs: &Arc<VerifiedBundle>) -> Vec<&'static str> {
    let mut b = Node::start(caller, theirs, config(&[])).await;
    let report = b.links.test(&a.as_peer()).await;
    b.dial(a);
    assert!(
        b.stays_alone(Duration::from_millis(400)).await,
        "a session at {report:?}"
    );
    assert!(a.stays_alone(Duration::from_millis(1)).await);
    let reasons = report.probes.iter().map(|probe| match &probe.outcome {
        Outcome::Failed { reason, .. } => *reason,
        Outcome::Reached { .. } => panic!("reached: {probe:?}"),
    });
    reasons.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_network_is_foreign() {
    let (mut ours, mut theirs) = (World::new(), World::new());
    let (ke, ug) = (ours.enrol("KE"), ours.enrol("UG"));
    let _ = ug;
    // The same names under another root.
    let (their_ke, their_ug) = (theirs.enrol("KE"), theirs.enrol("UG"));
    let mut a = Node::start(&ke, &ours.bundle(), config(&[TLS, QUIC, TCP])).await;
    let reasons = refused(&mut a, &their_ug, &theirs.bundle()).await;
    // Our certificate is foreign to them; over libp2p our node isn't the one that they list.
    assert_eq!(reasons.first(), Some(&"foreign"), "{reasons:?}");
    assert_ne!(their_ke.peer_id(), ke.peer_id());

    // A caller that takes any server for good, over each carrier: refused by us.
    let answer = call_with(&their_ug, &mut theirs, &a.addresses()[0]).await;
    assert!(matches!(answer, Ok(0) | Err(_)), "{answer:?}");
    let keypair = their_ug.node_key().libp2p().clone();
    let gate = gate(&their_ug, &theirs.bundle());
    let (incoming, _accepted) = mpsc::channel(1);
    let (announcements, _) = broadcast::channel(1);
    let (p2p, tasks) = P2p::bind(&config(&[]), &keypair, &gate, incoming, announcements)
        .await
        .unwrap();
    tasks.into_iter().for_each(|task| drop(tokio::spawn(task)));
    for address in libp2p(&a) {
        assert!(p2p.connect_fresh(ke.peer_id(), address).await.is_err());
    }
    eventually("strangers counted", || {
        let refused =
            |rest: [&str; 3]| counted(&[&["icomm_link_refused_total", "peer=\"unknown\""], &rest[..]].concat());
        refused(["claimed=\"UG\"", "carrier=\"tls\"", "reason=\"foreign\""])
    })
    .await;
    assert!(a.stays_alone(Duration::from_millis(1)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_id_that_is_not_listed_gets_no_connection() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let before = world.bundle();
    world.unlist("UG");
    let mut a = Node::start(&ke, &world.bundle(), config(&[QUIC, TCP])).await;
    refused(&mut a, &ug, &before).await;
    eventually("counted", || {
        ["quic", "noise-yamux"].iter().all(|carrier| {
            counted(&[
                "icomm_link_refused_total",
                "peer=\"unknown\"",
                carrier,
                "reason=\"not-listed\"",
            ])
        })
    })
    .await;
}

fn libp2p(node: &Node) -> Vec<Multiaddr> {
    let addresses = node.addresses().into_iter();
    addresses
        .filter_map(|address| match address {
            Address::Libp2p(address) => Some(address),
            Address::Tls(_) => None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_refused() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let before = world.bundle();
    world.revoke("UG");
    // The revoked node still believes in the bundle before.
    let mut a = Node::start(&ke, &world.bundle(), config(&[TLS, QUIC, TCP])).await;
    refused(&mut a, &ug, &before).await;
    eventually("counted", || {
        ["tls", "quic", "noise-yamux"]
            .iter()
            .all(|carrier| counted(&["icomm_link_refused_total", "peer=\"UG\"", carrier, "reason=\"revoked\""]))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol_for("UG", 2));
    let bundle = world.bundle();
    let (ahead_of_ug, seconds) = movable();
    seconds.store(3 * 86_400, std::sync::atomic::Ordering::SeqCst);
    let mut a = Node::try_start(&ke, &bundle, config(&[TLS, QUIC]), ahead_of_ug)
        .await
        .unwrap();
    refused(&mut a, &ug, &bundle).await;
    eventually("counted", || {
        counted(&[
            "icomm_link_refused_total",
            "claimed=\"UG\"",
            "carrier=\"tls\"",
            "expired",
        ])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_member_at_the_address_is_refused() {
    let mut world = World::new();
    let (ke, ug, tz) = (world.enrol("KE"), world.enrol("UG"), world.enrol("TZ"));
    let bundle = world.bundle();
    let a = Node::start(&ke, &bundle, config(&[TLS, QUIC])).await;
    let mut b = Node::start(&ug, &bundle, config(&[])).await;
    let _ = tz;
    // TZ is dialled where KE answers.
    let wrong = Peer {
        member: "TZ".parse().unwrap(),
        node: None,
        addresses: a.addresses(),
    };
    let report = b.links.test(&wrong).await;
    let reasons = report.probes.iter().map(|probe| match &probe.outcome {
        Outcome::Failed { reason, .. } => *reason,
        Outcome::Reached { .. } => "reached",
    });
    let reasons: Vec<_> = reasons.collect();
    assert_eq!(reasons.first(), Some(&"other-node"));
    assert!(!reasons.contains(&"reached"));
    b.links.dial(wrong);
    assert!(b.stays_alone(Duration::from_millis(300)).await);
    eventually("counted", || {
        counted(&["icomm_link_dial_failures_total", "peer=\"TZ\"", "reason=\"other-node\""])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_peer_id_is_refused() {
    let mut world = World::new();
    let (ke, ug, tz) = (world.enrol("KE"), world.enrol("UG"), world.enrol("TZ"));
    let bundle = world.bundle();
    let mut a = Node::start(&ke, &bundle, config(&[QUIC])).await;
    // UG's libp2p key, which is listed, together with TZ's certificate.
    let trust = Arc::new(Trust::new(tz, bundle, Environment::system()).unwrap());
    let keypair = ug.node_key().libp2p().clone();
    let gate = Arc::new(Gate::new(trust, Registry::new(ug.peer_id(), 8), Limits::default()));
    let (incoming, _accepted) = mpsc::channel(1);
    let (announcements, _) = broadcast::channel(1);
    let (p2p, tasks) = P2p::bind(&config(&[]), &keypair, &gate, incoming, announcements)
        .await
        .unwrap();
    tasks.into_iter().for_each(|task| drop(tokio::spawn(task)));
    // Our own side is content with KE; KE isn't with us.
    let _io = p2p.connect(ke.peer_id(), libp2p(&a)).await;
    eventually("counted", || {
        counted(&["icomm_link_refused_total", "carrier=\"quic\"", "reason=\"peer-id\""])
    })
    .await;
    assert!(a.stays_alone(Duration::from_millis(1)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_its_own_bundle_refuses_does_not_start() {
    let mut world = World::new();
    let ke = world.enrol("KE");
    world.revoke("KE");
    let refused = Node::try_start(&ke, &world.bundle(), config(&[]), Environment::system()).await;
    assert!(matches!(refused, Err(BindError::OwnCertificate(_))));

    let mut world = World::new();
    let ke = world.enrol("KE");
    let (late, seconds) = movable();
    seconds.store(400 * 86_400, std::sync::atomic::Ordering::SeqCst);
    let refused = Node::try_start(&ke, &world.bundle(), config(&[]), late).await;
    assert!(matches!(refused, Err(BindError::BundleExpired)));
}

#[test]
fn errors_name_their_kind_for_metrics() {
    assert_eq!(ConnectError::Timeout("connecting").label(), "timeout");
    assert_eq!(ConnectError::NotListed("ZZ".parse().unwrap()).label(), "not-listed");
    let revoked = InvalidPeer::Path {
        member: "UG".parse().unwrap(),
        node: "node-1".parse().unwrap(),
        source: InvalidPath::Revoked,
    };
    let error = ConnectError::Peer(revoked);
    assert_eq!((error.label(), error.is_proven()), ("revoked", true));
    assert!(error.to_string().ends_with("was revoked"), "{error}");
}
