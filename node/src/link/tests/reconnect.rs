//! A peer that was away is found again, after pauses that grow.

use std::time::Duration;

use super::{
    node::{Node, QUIC, TLS, config, eventually, linked},
    world::World,
};
use crate::link::DialState;

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_peer_is_dialled_again() {
    for listen in [TLS, QUIC] {
        let mut world = World::new();
        let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
        let bundle = world.bundle();
        let mut a = Node::start(&ke, &bundle, config(&[listen])).await;
        let mut b = Node::start(&ug, &bundle, config(&[])).await;
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
            match Node::try_start(&ke, &bundle, same.clone(), super::node::environment()).await {
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
    let dead = crate::link::Address::Tls(silent.local_addr().unwrap().into());
    let mut a = Node::start(&ke, &bundle, config(&[TLS])).await;
    let mut quick = config(&[]);
    quick.limits.handshake_ms_max = 500;
    let mut b = Node::start(&ug, &bundle, quick).await;
    let peer = |member: &str, addresses| crate::link::Peer {
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
