//! A peer that was away is found again, after pauses that grow.

use std::time::Duration;

use crate::environment::Environment;

use super::{
    node::{Node, QUIC, TLS, config, counted, eventually, linked},
    world::World,
};
use crate::link::{Address, Carrier, CloseReason, DialState, LinkLost, Peer};

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_peer_is_dialled_again() {
    for listen in [TLS, QUIC] {
        let mut world = World::new();
        let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
        let bundle = world.bundle();
        let mut a = Node::start(&ke, &bundle, config(&[listen])).await;
        // A peer that vanishes without a word is noticed by HTTP/2 pings, and its old connection given up.
        let mut quick = config(&[]);
        quick.limits.keepalive_interval_ms = 300;
        quick.limits.keepalive_timeout_ms_max = 300;
        quick.limits.handshake_ms_max = 1_000;
        let mut b = Node::start(&ug, &bundle, quick).await;
        let (of_a, mut of_b) = linked(&mut a, &mut b).await;

        let mut same = config(&[]);
        same.listen = a.addresses();
        drop((a, of_a));
        of_b.gone().await;
        drop(of_b);
        let failures = |b: &Node| match b.links.status().peers.remove(0).state {
            DialState::Waiting { failures, pause_ms, .. } => Some((failures, pause_ms)),
            _ => None,
        };
        // Pauses grow while it is away: the third is at least twice the shortest first.
        eventually("a third attempt", || {
            failures(&b).is_some_and(|(n, pause)| n >= 3 && pause >= 100)
        })
        .await;

        let mut a = loop {
            // Over QUIC the port may take a moment to be free.
            match Node::try_start(&ke, &bundle, same.clone(), Environment::system()).await {
                Ok(a) => break a,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        let (mut of_a, of_b) = (a.session().await, b.session().await);
        of_b.carries(&mut of_a, 1_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_address_does_not_hold_up_other_peers_or_addresses() {
    let mut world = World::new();
    let (ke, ug, tz) = (world.enrol("KE"), world.enrol("UG"), world.enrol("TZ"));
    let _ = tz;
    let bundle = world.bundle();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = Address::Tls(silent.local_addr().unwrap().into());
    let mut a = Node::start(&ke, &bundle, config(&[TLS])).await;
    let mut quick = config(&[]);
    quick.limits.handshake_ms_max = 500;
    let mut b = Node::start(&ug, &bundle, quick).await;
    let peer = |member: &str, addresses| Peer {
        member: member.parse().unwrap(),
        node: None,
        addresses,
    };
    b.links.dial(peer("TZ", vec![dead.clone()]));
    let mut addresses = vec![dead];
    addresses.extend(a.addresses());
    b.links.dial(peer("KE", addresses));
    assert_eq!(b.session().await.peer.member().as_str(), "KE");
    assert_eq!(a.session().await.peer.member().as_str(), "UG");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_libp2p_costs_its_links_for_a_moment_and_no_other() {
    let mut world = World::new();
    let (ke, ug, tz) = (world.enrol("KE"), world.enrol("UG"), world.enrol("TZ"));
    let bundle = world.bundle();
    // A port of its own, which the next swarm has to get back.
    let port = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut a = Node::start(
        &ke,
        &bundle,
        config(&[TLS, &format!("/ip4/127.0.0.1/udp/{port}/quic-v1")]),
    )
    .await;
    let (by_tls, by_quic): (Vec<_>, Vec<_>) = a.addresses().into_iter().partition(|at| matches!(at, Address::Tls(_)));
    let mut b = Node::start(&ug, &bundle, config(&[])).await;
    b.links.dial(Peer {
        addresses: by_tls,
        ..a.as_peer()
    });
    let (mut a_of_b, mut b_of_a) = (a.session().await, b.session().await);
    let mut c = Node::start(&tz, &bundle, config(&[])).await;
    c.links.dial(Peer {
        addresses: by_quic,
        ..a.as_peer()
    });
    let (mut a_of_c, mut c_of_a) = (a.session().await, c.session().await);

    a.links.panic_swarm().await;
    assert_eq!(a_of_c.gone().await, LinkLost::Closed(CloseReason::Carrier));
    a_of_b.carries(&mut b_of_a, 1_000).await;
    b_of_a.carries(&mut a_of_b, 1_000).await;
    drop(a_of_c);
    c_of_a.gone().await;
    drop(c_of_a);
    let (mut a_of_c, c_of_a) = (a.session().await, c.session().await);
    assert_eq!(c_of_a.carrier, Carrier::Quic);
    c_of_a.carries(&mut a_of_c, 1_000).await;
    assert!(counted(&["icomm_link_swarm_panics_total"]));
}
