//! Each carrier carries frames both ways and reports who is at the other end, whichever side dials.

use std::time::Duration;

use crate::environment::Environment;

use super::{
    node::{Node, QUIC, Session, TCP, TLS, config, counted, eventually, linked},
    world::World,
};
use crate::link::{Address, BindError, Carrier, DialState, Outcome, Peer};

async fn carries_both_ways(listen: &str, carrier: Carrier) {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let bundle = world.bundle();
    for ug_dials in [true, false] {
        let mut a = Node::start(&ke, &bundle, config(&[listen])).await;
        let mut b = Node::start(&ug, &bundle, config(&[listen])).await;
        let (mut of_a, mut of_b) = if ug_dials {
            linked(&mut a, &mut b).await
        } else {
            let (of_b, of_a) = linked(&mut b, &mut a).await;
            (of_a, of_b)
        };
        let is = |session: &Session, member: &str, dialled: bool| {
            assert_eq!(
                (session.peer.member().as_str(), session.carrier, session.dialled),
                (member, carrier, dialled)
            );
        };
        is(&of_a, "UG", !ug_dials);
        is(&of_b, "KE", ug_dials);
        assert_eq!(of_a.peer.peer_id(), ug.peer_id());
        assert_eq!(of_b.peer.peer_id(), ke.peer_id());
        for bytes in [0, 1, 70_000, 3_000_000] {
            of_a.carries(&mut of_b, bytes).await;
            of_b.carries(&mut of_a, bytes).await;
        }
        let [connection] = a.links.status().connections.try_into().unwrap();
        assert!(connection.session && connection.received_bytes > 3_000_000 && connection.sent_bytes > 3_000_000);
        assert!(counted(&["icomm_link_opened_total", "peer=\"UG\"", carrier.as_str()]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls() {
    carries_both_ways(TLS, Carrier::Tls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quic() {
    carries_both_ways(QUIC, Carrier::Quic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_and_yamux() {
    carries_both_ways(TCP, Carrier::NoiseYamux).await;
}

/// The session on the one connection that `node` has.
async fn staying(node: &mut Node) -> Session {
    let [connection] = node.links.status().connections.try_into().unwrap();
    loop {
        let session = node.session().await;
        if session.dialled == connection.dialled {
            return session;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_dial_at_once_and_one_session_stays() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let bundle = world.bundle();
    for listen in [TLS, QUIC] {
        let mut a = Node::start(&ke, &bundle, config(&[listen])).await;
        let mut b = Node::start(&ug, &bundle, config(&[listen])).await;
        a.dial(&b);
        b.dial(&a);
        let one = |node: &Node| node.links.status().connections.iter().filter(|c| c.session).count() == 1;
        let settled = |node: &Node| node.links.status().connections.len() == 1 && one(node);
        eventually("one session between the two", || settled(&a) && settled(&b)).await;
        // Whoever came second may have begun a session that gave way; the one that stays is in the registry.
        tokio::time::sleep(Duration::from_millis(300)).await;
        eventually("one session between the two", || settled(&a) && settled(&b)).await;
        let (mut of_a, mut of_b) = (staying(&mut a).await, staying(&mut b).await);
        assert_ne!(of_a.dialled, of_b.dialled);
        of_a.carries(&mut of_b, 1_000).await;
        of_b.carries(&mut of_a, 1_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_is_enough_to_find_a_peer() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let mut a = Node::start(&ke, &world.bundle(), config(&[TLS, QUIC])).await;
    world.set_addresses("KE", &a.addresses());
    let mut config = config(&[]);
    config.dial_directory = true;
    let mut b = Node::start(&ug, &world.bundle(), config).await;
    assert_eq!(a.session().await.peer.member().as_str(), "UG");
    assert_eq!(b.session().await.carrier, Carrier::Tls);
    let [peer] = b.links.status().peers.try_into().unwrap();
    assert_eq!(
        (peer.member.as_str(), &peer.state),
        ("KE", &DialState::Linked { carrier: Carrier::Tls })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn link_test_tells_address_by_address() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let bundle = world.bundle();
    let a = Node::start(&ke, &bundle, config(&[TLS, QUIC, TCP])).await;
    let mut b = Node::start(&ug, &bundle, config(&[])).await;
    let mut peer = a.as_peer();
    let closed = "tls://127.0.0.1:1";
    peer.addresses.push(closed.parse().unwrap());
    let report = b.links.test(&peer).await;
    assert!(report.is_reachable());
    let mut reached = Vec::new();
    for probe in &report.probes {
        match &probe.outcome {
            Outcome::Reached {
                carrier,
                setup_us,
                round_trip_us,
            } => {
                assert!(*round_trip_us > 0 && *setup_us > 0, "{probe:?}");
                reached.push(*carrier);
            }
            Outcome::Failed { reason, .. } => {
                assert_eq!((probe.address.to_string().as_str(), *reason), (closed, "tcp"))
            }
        }
    }
    let all = [Carrier::Tls, Carrier::Quic, Carrier::NoiseYamux];
    assert!(
        reached.len() == 3 && all.iter().all(|carrier| reached.contains(carrier)),
        "{report:?}"
    );
    // A test opens no session.
    assert!(b.stays_alone(Duration::from_millis(100)).await);
    assert!(
        a.links
            .status()
            .connections
            .iter()
            .all(|connection| !connection.session)
    );

    let nobody = Peer {
        member: "ZZ".parse().unwrap(),
        node: None,
        addresses: Vec::new(),
    };
    let report = b.links.test(&nobody).await;
    assert!(!report.is_reachable() && report.error.unwrap().contains("not in the member directory"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_said_before_anything_runs() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let bundle = world.bundle();
    let a = Node::start(&ke, &bundle, config(&[TLS, QUIC, TCP])).await;
    for address in a.addresses() {
        let address: Address = address;
        let mut config = config(&[]);
        config.listen = vec![address.clone()];
        let second = Node::try_start(&ug, &bundle, config, Environment::system()).await;
        match second {
            Err(BindError::Listen { address: said, .. }) => assert_eq!(said, address.to_string()),
            Err(other) => panic!("{address}: {other}"),
            Ok(_) => panic!("{address} was shared"),
        }
    }
}
