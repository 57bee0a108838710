//! Nodes that nobody can reach directly meet through a hub, and leave it as soon as they can.

use super::{
    node::{Node, QUIC, TCP, config},
    world::World,
};
use crate::link::{Address, Carrier, Config, Outcome, Peer};

fn peer(member: &str) -> Peer {
    Peer {
        member: member.parse().unwrap(),
        node: None,
        addresses: Vec::new(),
    }
}

fn behind(hub: &str, listen: &[&str]) -> Config {
    Config {
        relays: vec![hub.parse().unwrap()],
        ..config(listen)
    }
}

async fn through_a_hub(hub_listens: &str) {
    let mut world = World::new();
    let (rilo, ke, ug) = (world.enrol("RILO-ESA"), world.enrol("KE"), world.enrol("UG"));
    let hub = Node::start(
        &rilo,
        &world.bundle(),
        Config {
            relay: true,
            ..config(&[hub_listens])
        },
    )
    .await;
    world.set_addresses("RILO-ESA", &hub.addresses());
    let bundle = world.bundle();
    hub.links.set_bundle(bundle.clone()).await.unwrap();

    let mut a = Node::start(&ke, &bundle, behind("RILO-ESA", &[])).await;
    let mut b = Node::start(&ug, &bundle, behind("RILO-ESA", &[])).await;
    b.links.dial(peer("KE"));
    let (mut of_b, mut of_a) = (b.session().await, a.session().await);
    assert_eq!((of_a.carrier, of_b.carrier), (Carrier::Relayed, Carrier::Relayed));
    assert_eq!((of_a.peer.member().as_str(), of_b.peer.member().as_str()), ("UG", "KE"));
    // Far more than libp2p's default of 128 KiB a circuit.
    for _ in 0..5 {
        of_a.carries(&mut of_b, 500_000).await;
        of_b.carries(&mut of_a, 500_000).await;
    }
    // The hub carries a circuit and has no session of its own in it.
    assert!(hub.links.status().connections.is_empty());
    assert!(a.addresses().iter().all(Address::is_relayed) && !a.addresses().is_empty());
    let report = b.links.test(&peer("KE")).await;
    assert!(
        matches!(
            report.probes[0].outcome,
            Outcome::Reached {
                carrier: Carrier::Relayed,
                ..
            }
        ),
        "{report:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hidden_nodes_meet_through_a_quic_hub() {
    through_a_hub(QUIC).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hidden_nodes_meet_through_a_tcp_hub() {
    through_a_hub(TCP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relayed_link_moves_to_a_direct_connection() {
    let mut world = World::new();
    let (rilo, ke, ug) = (world.enrol("RILO-ESA"), world.enrol("KE"), world.enrol("UG"));
    let hub = Node::start(
        &rilo,
        &world.bundle(),
        Config {
            relay: true,
            ..config(&[QUIC])
        },
    )
    .await;
    world.set_addresses("RILO-ESA", &hub.addresses());
    let bundle = world.bundle();
    hub.links.set_bundle(bundle.clone()).await.unwrap();

    // Reachable directly, but the directory doesn't know.
    let mut a = Node::start(&ke, &bundle, behind("RILO-ESA", &[QUIC])).await;
    let mut b = Node::start(&ug, &bundle, behind("RILO-ESA", &[QUIC])).await;
    b.links.dial(peer("KE"));
    let (mut of_b, mut of_a) = (b.session().await, a.session().await);
    while of_b.carrier == Carrier::Relayed {
        // The relayed session ends when the direct one has taken over.
        of_b.gone().await;
        of_b = b.session().await;
    }
    while of_a.carrier == Carrier::Relayed {
        of_a.gone().await;
        of_a = a.session().await;
    }
    assert_eq!((of_a.carrier, of_b.carrier), (Carrier::Quic, Carrier::Quic));
    of_a.carries(&mut of_b, 100_000).await;
    of_b.carries(&mut of_a, 100_000).await;
}
