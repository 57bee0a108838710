//! Where a node can be reached: `tls://host:port`, or a libp2p multiaddr.
//!
//! Both forms stand in the member directory of the trust bundle, in the configuration and in status texts as plain
//! strings; here they are parsed once.

use std::{fmt, str::FromStr};

use libp2p::{Multiaddr, multiaddr::Protocol};

/// One address of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP with mutual TLS 1.3.
    Tls(HostPort),
    /// A libp2p transport: QUIC, TCP with Noise and yamux, or a circuit through a relay.
    Libp2p(Multiaddr),
}

/// A host name or IP address (IPv6 without its brackets) and a TCP port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// The host: a DNS name, an IPv4 or an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl From<std::net::SocketAddr> for HostPort {
    fn from(address: std::net::SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

/// Why a text is not an address.
#[derive(Debug, thiserror::Error)]
pub enum InvalidAddress {
    /// The part after `tls://` has no `host:port` shape.
    #[error("`{0}` is not of the form `tls://host:port`")]
    Tls(String),
    /// Neither `tls://…` nor a multiaddr.
    #[error("`{text}` is neither `tls://host:port` nor a multiaddr such as `/ip4/192.0.2.1/udp/4001/quic-v1`")]
    Multiaddr {
        /// The text as given.
        text: String,
        /// What the multiaddr parser says.
        #[source]
        source: libp2p::multiaddr::Error,
    },
    /// A multiaddr over a transport that this node doesn't have.
    #[error("`{0}` uses a transport that icomm doesn't speak; use `/tcp/PORT`, `/udp/PORT/quic-v1` or `/p2p-circuit`")]
    Transport(String),
}

impl Address {
    /// Whether the address leads through a relay.
    pub fn is_relayed(&self) -> bool {
        match self {
            Self::Tls(_) => false,
            Self::Libp2p(address) => address.iter().any(|part| part == Protocol::P2pCircuit),
        }
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        if let Some(rest) = text.strip_prefix("tls://") {
            return host_port(rest)
                .map(Self::Tls)
                .ok_or_else(|| InvalidAddress::Tls(text.to_owned()));
        }
        let address: Multiaddr = text.parse().map_err(|source| InvalidAddress::Multiaddr {
            text: text.to_owned(),
            source,
        })?;
        let carries = |part| matches!(part, Protocol::Tcp(_) | Protocol::QuicV1 | Protocol::P2pCircuit);
        let spoken = address.iter().any(carries);
        if spoken {
            Ok(Self::Libp2p(address))
        } else {
            Err(InvalidAddress::Transport(text.to_owned()))
        }
    }
}

fn host_port(text: &str) -> Option<HostPort> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())?,
        // An IPv6 address without brackets can't be told from its port.
        None if host.contains(':') => return None,
        None => host,
    };
    let plain = host
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_' | '%'));
    if host.is_empty() || host.len() > 253 || !plain {
        return None;
    }
    Some(HostPort {
        host: host.to_owned(),
        port: port.parse().ok()?,
    })
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(address) => write!(f, "tls://{address}"),
            Self::Libp2p(address) => address.fmt(f),
        }
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_keep_their_text() {
        for text in [
            "tls://node-a.ke.demo.icomm.example:8443",
            "tls://192.0.2.7:443",
            "tls://[2001:db8::1]:443",
            "/ip4/192.0.2.1/udp/4001/quic-v1",
            "/dns4/hub.example/tcp/4001",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn bad_addresses_say_what_is_wrong() {
        for text in [
            "tls://",
            "tls://host",
            "tls://:443",
            "tls://host:70000",
            "tls://::1:443",
            "tls://a b:1",
        ] {
            assert!(matches!(text.parse::<Address>(), Err(InvalidAddress::Tls(_))), "{text}");
        }
        assert!(matches!(
            "http://x".parse::<Address>(),
            Err(InvalidAddress::Multiaddr { .. })
        ));
        assert!(matches!(
            "/ip4/192.0.2.1".parse::<Address>(),
            Err(InvalidAddress::Transport(_))
        ));
        assert!(matches!(
            "/ip4/192.0.2.1/udp/1".parse::<Address>(),
            Err(InvalidAddress::Transport(_))
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn what_parses_round_trips(text in "(tls://|/)[a-z0-9./:\\[\\]-]{0,40}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
            }
        }
    }
}
