//! The behaviour in swarms of its own: every request is answered, no stream is lost, direct connections come first.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder, allow_block_list,
    identity::Keypair,
    noise,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use tokio::sync::mpsc;

use super::{Behaviour, Control, Inbound, OpenError};
use crate::link::Carrier;

const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
const TCP: &str = "/ip4/127.0.0.1/tcp/0";

#[derive(NetworkBehaviour)]
struct Alone {
    blocked: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    streams: Behaviour,
}

struct Node {
    peer: PeerId,
    address: Multiaddr,
    control: Control,
    inbound: mpsc::Receiver<Inbound>,
}

async fn node(listen: &str, blocks: &[PeerId]) -> Node {
    let (sender, inbound) = mpsc::channel(512);
    let (streams, control) = Behaviour::new(sender, Duration::from_secs(10));
    let key = Keypair::generate_ed25519();
    let peer = key.public().to_peer_id();
    let mut swarm: Swarm<Alone> = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )
        .unwrap()
        .with_quic()
        .with_behaviour(|_| Alone {
            blocked: allow_block_list::Behaviour::default(),
            streams,
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(30)))
        .build();
    for peer in blocks {
        swarm.behaviour_mut().blocked.block_peer(*peer);
    }
    swarm.listen_on(listen.parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    Node {
        peer,
        address,
        control,
        inbound,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_unconnected_peers_at_once() {
    for (listen, carrier) in [(QUIC, Carrier::Quic), (TCP, Carrier::NoiseYamux)] {
        let me = node(listen, &[]).await;
        let mut peers = Vec::new();
        for _ in 0..20 {
            peers.push(node(listen, &[]).await);
        }
        let opened = peers
            .iter()
            .map(|peer| me.control.open(peer.peer, vec![peer.address.clone()]));
        for opened in futures::future::join_all(opened).await {
            assert_eq!(opened.unwrap().carrier, carrier);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_stream_of_a_burst_is_lost() {
    for listen in [QUIC, TCP] {
        let mut server = node(listen, &[]).await;
        let client = node(listen, &[]).await;
        let (control, peer, address) = (client.control.clone(), server.peer, server.address.clone());
        // The first makes the connection; the others come all at once.
        let mut first = control.open(peer, vec![address]).await.unwrap().stream;
        first.write_all(&[0]).await.unwrap();
        first.flush().await.unwrap();
        let burst = (1..=100_u8).map(|n| {
            let control = control.clone();
            async move {
                let mut stream = control.open(peer, Vec::new()).await.unwrap().stream;
                stream.write_all(&[n]).await.unwrap();
                stream.flush().await.unwrap();
                stream
            }
        });
        let streams = futures::future::join_all(burst);
        let received = async {
            let mut seen = Vec::new();
            while seen.len() < 101 {
                let mut inbound = server.inbound.recv().await.unwrap();
                assert_eq!(inbound.peer, client.peer);
                let mut byte = [0];
                inbound.stream.read_exact(&mut byte).await.unwrap();
                seen.push(byte[0]);
            }
            seen.sort_unstable();
            seen
        };
        let (_streams, seen) = tokio::join!(streams, received);
        assert_eq!(seen, (0..=100).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_answered() {
    let me = node(QUIC, &[]).await;
    let stranger = Keypair::generate_ed25519().public().to_peer_id();
    // Nobody there, no address, somebody else there.
    let closed: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    assert!(matches!(
        me.control.open(stranger, vec![closed]).await,
        Err(OpenError::Unreachable(_))
    ));
    assert!(matches!(
        me.control.open(stranger, Vec::new()).await,
        Err(OpenError::Unreachable(_))
    ));
    let other = node(TCP, &[]).await;
    let wrong = me.control.open(stranger, vec![other.address.clone()]).await;
    assert!(
        matches!(wrong, Err(OpenError::Denied(_) | OpenError::Unreachable(_))),
        "{:?}",
        wrong.err()
    );
    // Who blocks us: the connection closes under the request.
    let blocking = node(QUIC, &[me.peer]).await;
    let refused = me.control.open(blocking.peer, vec![blocking.address]).await;
    assert!(refused.is_err());
    // A fresh connection although there is one already, and only to the address given.
    me.control.open(other.peer, vec![other.address.clone()]).await.unwrap();
    me.control.open_fresh(other.peer, other.address.clone()).await.unwrap();
    let elsewhere = me
        .control
        .open_fresh(other.peer, "/ip4/127.0.0.1/tcp/1".parse().unwrap())
        .await;
    assert!(matches!(elsewhere, Err(OpenError::Unreachable(_))));
    tokio::time::timeout(Duration::from_secs(1), me.control.direct(other.peer))
        .await
        .expect("connected directly");
}
