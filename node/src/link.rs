//! Links to other nodes: carriers, the sessions on them, and gossip.
//!
//! One gRPC service ([`icomm_proto::v1`]'s `Exchange`) runs over interchangeable carriers: TCP with mutual TLS 1.3, and
//! libp2p streams (QUIC, TCP with Noise and yamux, circuits through hubs). Either side may dial; both then run the same
//! [`SessionHandler`]. What is true of every link, whatever carries it:
//!
//! - the peer is a node in the current trust bundle's directory, with a certificate that holds now, and loses the link
//!   within a second of a bundle that says otherwise;
//! - everything has a bound ([`Limits`]) and a deadline; who is slow or silent is closed;
//! - links share no task and no queue, so none holds up another.
//!
//! ```text
//! tls::accept ──┐                                   ┌── dialer (one a peer) ── tls::connect
//!               ├─ gate ─▶ CarrierIo ─▶ server      │                      └── p2p.connect
//! p2p::accept ──┘  (who?)  (registry)   (HTTP/2) ───┴─▶ session::run ─▶ SessionHandler
//! ```

mod address;
mod backoff;
mod carrier;
mod client;
mod config;
mod connection;
mod dialer;
mod error;
mod gate;
mod links;
mod meter;
mod p2p;
pub(crate) mod parcel;
mod probe;
mod registry;
mod server;
mod session;
mod tls;
mod trust;

pub use address::{Address, HostPort, InvalidAddress};
pub use carrier::Carrier;
pub use config::{Config, Limits, Peer};
pub use connection::{CloseReason, ConnectionStatus};
pub use dialer::{DialState, PeerStatus};
pub use error::{AdoptError, BindError, ConnectError};
pub use links::{Announcement, Links, Status};
pub use p2p::{AttestError, OpenError};
pub use parcel::InvalidParcel;
pub use probe::{Outcome, Probe, Report};
pub use registry::TooManyConnections;
pub use session::{FrameStream, LinkLost, SessionHandler};

#[cfg(test)]
mod tests;
