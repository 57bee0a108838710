//! What an operator sets about links: plain data, read from the node's TOML, with every bound named.

use std::time::Duration;

use icomm_pki::{MemberId, NodeName};
use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};

use super::{Address, backoff::Backoff};

/// Everything configurable about the links of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen: `tls://0.0.0.0:8443`, `/ip4/0.0.0.0/udp/4001/quic-v1`, `/ip4/0.0.0.0/tcp/4001`. Empty for a
    /// node that only dials out.
    pub listen: Vec<Address>,
    /// libp2p addresses under which others see this node, when they differ from what it listens on.
    pub external: Vec<Multiaddr>,
    /// Whom this node dials. Everybody in the trust bundle may dial it.
    pub peers: Vec<Peer>,
    /// Whether to dial every member that the directory lists with an address as well.
    pub dial_directory: bool,
    /// Members that are never dialled because of the directory.
    pub dial_never: Vec<MemberId>,
    /// Hubs at which this node keeps a relay reservation, so that others reach it behind NAT.
    pub relays: Vec<MemberId>,
    /// Whether this node relays circuits for members (hubs do).
    pub relay: bool,
    /// Bounds.
    pub limits: Limits,
}

/// A member that this node dials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// The member.
    pub member: MemberId,
    /// One of its nodes; any of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// Addresses to try before those in the member directory, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
}

/// Bounds on links. A peer is hostile until proven otherwise, also after it authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Longest time for connecting and authenticating, milliseconds.
    pub handshake_ms_max: u64,
    /// Longest time from accepting a connection to its first frame of a session, milliseconds: closes what only
    /// connects, sends half a header, or idles.
    pub opening_ms_max: u64,
    /// Handshakes under way at once, all callers together; more are closed at once.
    pub handshakes_max: usize,
    /// Of these, by one caller (address, or libp2p peer).
    pub caller_handshakes_max: usize,
    /// Connections that one member may have open to this node.
    pub member_connections_max: usize,
    /// Longest life of a connection, milliseconds. Certificates, CRLs and the bundle are checked anew after it.
    pub connection_age_ms_max: u64,
    /// Pause between HTTP/2 pings, milliseconds.
    pub keepalive_interval_ms: u64,
    /// Longest wait for the answer to a ping, milliseconds.
    pub keepalive_timeout_ms_max: u64,
    /// Largest frame of a session, bytes: the largest chunk with its envelope.
    pub frame_bytes_max: usize,
    /// Frames waiting to be sent on one link; the session waits when it is full.
    pub queue_frames_max: usize,
    /// Largest HTTP/2 header list, bytes.
    pub header_list_bytes_max: u32,
    /// HTTP/2 streams open at once on a connection; a session needs one.
    pub streams_max: u32,
    /// HTTP/2 flow-control window of a stream, bytes.
    pub stream_window_bytes: u32,
    /// HTTP/2 flow-control window of a connection, bytes.
    pub connection_window_bytes: u32,
    /// First and shortest pause before dialling again, milliseconds.
    pub retry_delay_ms_min: u64,
    /// Longest pause before dialling again, milliseconds.
    pub retry_delay_ms_max: u64,
    /// Addresses tried for one peer.
    pub peer_addresses_max: usize,
    /// Largest gossiped announcement, bytes.
    pub announcement_bytes_max: usize,
    /// Announcements of one member accepted in a minute.
    pub announcements_per_minute_max: u32,
    /// Reservations a relaying hub grants.
    pub relay_reservations_max: usize,
    /// Circuits a relaying hub carries.
    pub relay_circuits_max: usize,
    /// Bytes that one circuit may carry.
    pub relay_circuit_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_ms_max: 8_000,
            opening_ms_max: 9_000,
            handshakes_max: 1_024,
            caller_handshakes_max: 128,
            member_connections_max: 8,
            connection_age_ms_max: 3_600_000,
            keepalive_interval_ms: 10_000,
            keepalive_timeout_ms_max: 10_000,
            frame_bytes_max: 8 * 1024 * 1024,
            queue_frames_max: 8,
            header_list_bytes_max: 8 * 1024,
            streams_max: 4,
            stream_window_bytes: 4 * 1024 * 1024,
            connection_window_bytes: 8 * 1024 * 1024,
            retry_delay_ms_min: 500,
            retry_delay_ms_max: 60_000,
            peer_addresses_max: 16,
            announcement_bytes_max: 8 * 1024,
            announcements_per_minute_max: 600,
            relay_reservations_max: 512,
            relay_circuits_max: 512,
            relay_circuit_bytes_max: 64 * 1024 * 1024 * 1024,
        }
    }
}

impl Limits {
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(
            Duration::from_millis(self.retry_delay_ms_min),
            Duration::from_millis(self.retry_delay_ms_max),
        )
    }

    pub(super) fn handshake(&self) -> Duration {
        Duration::from_millis(self.handshake_ms_max)
    }

    pub(super) fn opening(&self) -> Duration {
        Duration::from_millis(self.opening_ms_max)
    }

    pub(super) fn connection_age(&self) -> Duration {
        Duration::from_millis(self.connection_age_ms_max)
    }

    pub(super) fn keepalive_interval(&self) -> Duration {
        Duration::from_millis(self.keepalive_interval_ms)
    }

    pub(super) fn keepalive_timeout(&self) -> Duration {
        Duration::from_millis(self.keepalive_timeout_ms_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_toml_is_enough_and_unknown_keys_are_refused() {
        let config: Config = toml::from_str(
            r#"
            listen = ["tls://0.0.0.0:8443", "/ip4/0.0.0.0/udp/4001/quic-v1"]
            relays = ["RILO-ESA"]
            [[peers]]
            member = "RILO-ESA"
            addresses = ["tls://hub.example:443"]
            [limits]
            member_connections_max = 2
            "#,
        )
        .unwrap();
        assert_eq!(config.listen.len(), 2);
        assert_eq!(config.limits.member_connections_max, 2);
        assert_eq!(config.limits.frame_bytes_max, Limits::default().frame_bytes_max);
        assert!(toml::from_str::<Config>("listn = []").is_err());
        assert!(toml::from_str::<Config>("listen = ['tls://nowhere']").is_err());
    }
}
