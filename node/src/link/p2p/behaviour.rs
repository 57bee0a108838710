//! The libp2p parts of a node, put together: allow list, limits, streams, relay, hole punching, reachability, gossip.

use std::time::Duration;

use libp2p::{
    Swarm, SwarmBuilder, allow_block_list, autonat, connection_limits, dcutr, gossipsub, identify,
    identity::Keypair,
    noise, ping, relay,
    swarm::{ConnectionDenied, NetworkBehaviour, behaviour::toggle::Toggle},
    tcp, yamux,
};

use super::{book::Book, gossip, streams};
use crate::link::{BindError, Config, Limits};

/// Connections between two nodes: a relayed one, its direct successor, and one more in each direction while dials cross.
const CONNECTIONS_PER_NODE_MAX: u32 = 8;
const IDLE_CONNECTION: Duration = Duration::from_secs(60);
const RELAY_PER_MEMBER_MAX: usize = 16;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    // First: what is not in the trust bundle gets no further.
    pub(super) allowed: allow_block_list::Behaviour<allow_block_list::AllowedPeers>,
    pub(super) limits: connection_limits::Behaviour,
    pub(super) book: Book,
    pub(super) streams: streams::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) relay: Toggle<relay::Behaviour>,
    pub(super) relayed: relay::client::Behaviour,
    pub(super) dcutr: dcutr::Behaviour,
    pub(super) reachability: autonat::v2::client::Behaviour,
    pub(super) dial_back: Toggle<autonat::v2::server::Behaviour>,
    pub(super) gossip: gossipsub::Behaviour,
}

/// Builds the swarm; nothing listens yet.
pub(super) fn swarm(
    key: &Keypair,
    config: &Config,
    streams: streams::Behaviour,
) -> Result<Swarm<Behaviour>, BindError> {
    let limits = &config.limits;
    let gossip = gossip::behaviour(key, limits)?;
    let local = key.public().to_peer_id();
    let handshake = limits.handshake();
    let swarm = SwarmBuilder::with_existing_identity(key.clone())
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )
        .map_err(|error| BindError::Libp2p(error.to_string()))?
        .with_quic_config(|mut quic| {
            quic.handshake_timeout = handshake;
            quic.max_idle_timeout = 30_000;
            quic.keep_alive_interval = Duration::from_secs(10);
            quic.max_concurrent_stream_limit = 64;
            quic
        })
        .with_dns()
        .map_err(|error| BindError::Libp2p(format!("can't read the system's DNS settings: {error}")))?
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .map_err(|error| BindError::Libp2p(error.to_string()))?
        .with_behaviour(|_, relayed| Behaviour {
            allowed: allow_block_list::Behaviour::default(),
            limits: connection_limits::Behaviour::new(connection_limits(limits)),
            book: Book::default(),
            streams,
            identify: identify::Behaviour::new(
                identify::Config::new("/icomm/1".to_owned(), key.public())
                    .with_agent_version("icomm".to_owned())
                    .with_push_listen_addr_updates(true),
            ),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_secs(15))),
            relay: config
                .relay
                .then(|| relay::Behaviour::new(local, relay_config(limits)))
                .into(),
            relayed,
            dcutr: dcutr::Behaviour::new(local),
            reachability: autonat::v2::client::Behaviour::default(),
            dial_back: config.relay.then(autonat::v2::server::Behaviour::default).into(),
            gossip,
        })
        .map_err(|error| BindError::Libp2p(error.to_string()))?
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(IDLE_CONNECTION))
        .with_connection_timeout(handshake)
        .build();
    Ok(swarm)
}

fn connection_limits(limits: &Limits) -> connection_limits::ConnectionLimits {
    let pending = u32::try_from(limits.handshakes_max).unwrap_or(u32::MAX);
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(pending))
        .with_max_pending_outgoing(Some(pending))
        .with_max_established_per_peer(Some(CONNECTIONS_PER_NODE_MAX))
}

/// libp2p's defaults (128 KiB, two minutes, sixteen circuits) are for finding a way to a direct connection; where
/// there is none, a hub carries the whole exchange.
fn relay_config(limits: &Limits) -> relay::Config {
    relay::Config {
        max_reservations: limits.relay_reservations_max,
        max_reservations_per_peer: RELAY_PER_MEMBER_MAX,
        max_circuits: limits.relay_circuits_max,
        max_circuits_per_peer: RELAY_PER_MEMBER_MAX,
        max_circuit_bytes: limits.relay_circuit_bytes_max,
        max_circuit_duration: limits
            .connection_age()
            .saturating_mul(2)
            .min(Duration::from_secs(u32::MAX.into())),
        ..relay::Config::default()
    }
}

/// Whether a connection was turned away because the peer isn't in the trust bundle.
pub(super) fn is_unlisted(cause: &ConnectionDenied) -> bool {
    cause.downcast_ref::<allow_block_list::NotAllowed>().is_some()
}
