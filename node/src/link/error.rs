//! What goes wrong with links, as types: binding, connecting, refusing.

use std::io;

use icomm_pki::{InvalidPath, InvalidPeer, MemberId};

use super::{InvalidAddress, TooManyConnections, p2p};

/// Why a node's links can't start: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// With this variable set, libp2p's TLS writes its session keys to a file.
    #[error("the environment variable SSLKEYLOGFILE is set, which would write session keys to a file; unset it")]
    KeyLog,
    /// Somebody else listens there, or the address isn't this machine's.
    #[error("can't listen on `{address}`: {reason}")]
    Listen {
        /// The address of the configuration.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// This node's own certificate doesn't hold under its own bundle.
    #[error("this node's own certificate isn't valid under the trust bundle: {}", with_causes(.0))]
    OwnCertificate(#[source] InvalidPeer),
    /// The bundle has expired.
    #[error("the trust bundle has expired; fetch a current one")]
    BundleExpired,
    /// TLS can't be set up with this identity and bundle.
    #[error("can't set up TLS: {0}")]
    Tls(#[source] rustls::Error),
    /// libp2p can't be set up.
    #[error("can't set up libp2p: {0}")]
    Libp2p(String),
    /// Gossip can't be set up.
    #[error("can't set up gossip: {0}")]
    Gossip(String),
}

/// Why a trust bundle isn't taken into use; the current one stays.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// Somebody offers an older bundle than the one in force.
    #[error("trust bundle version {offered} is older than version {held}, which is in force")]
    Older {
        /// The version offered.
        offered: u64,
        /// The version in force.
        held: u64,
    },
    /// It has expired already.
    #[error("trust bundle version {0} has expired")]
    Expired(u64),
    /// TLS can't be set up with it.
    #[error("can't set up TLS with this trust bundle: {0}")]
    Tls(#[source] rustls::Error),
}

/// Why there is no link over some address, seen from the side that reports it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing happened in time.
    #[error("no answer in time for {0}")]
    Timeout(&'static str),
    /// No TCP connection.
    #[error("can't connect: {0}")]
    Tcp(#[source] io::Error),
    /// The TLS handshake failed for another reason than our judgement of the peer's certificate.
    #[error("TLS handshake failed: {0}")]
    Tls(#[source] io::Error),
    /// No libp2p stream.
    #[error("no libp2p stream: {0}")]
    Stream(#[source] p2p::OpenError),
    /// The certificates weren't exchanged on a libp2p stream.
    #[error(transparent)]
    Attest(p2p::AttestError),
    /// The peer isn't let in: its certificate is foreign, revoked or expired, or it isn't the node that the directory
    /// or the dialled address promises.
    #[error("the peer is refused: {}", with_causes(.0))]
    Peer(#[from] InvalidPeer),
    /// The peer is in the bundle and has no address, there or in the configuration.
    #[error("no address of `{0}` is known; the member directory has none either")]
    NoAddress(MemberId),
    /// The peer isn't in the bundle.
    #[error("`{0}` is not in the member directory of the trust bundle")]
    NotListed(MemberId),
    /// An address in the member directory can't be used.
    #[error("the member directory has an address that this node can't use: {0}")]
    Address(#[from] InvalidAddress),
    /// The peer has too many connections to us.
    #[error(transparent)]
    TooMany(#[from] TooManyConnections),
    /// A session between the two nodes runs already.
    #[error("a session with this node runs already")]
    AlreadyLinked,
    /// The connection was lost before a session began, often because the peer refused our certificate.
    #[error("the peer closed the connection before a session began: {0}")]
    Lost(String),
}

impl ConnectError {
    /// What a failed TLS handshake means.
    pub(super) fn handshake(error: io::Error) -> Self {
        let refusal = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref())
            .and_then(icomm_pki::tls::refusal);
        match refusal {
            Some(refusal) => Self::Peer(refusal.clone()),
            None => Self::Tls(error),
        }
    }

    /// The value of the label `reason` in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Timeout(_) | Self::Stream(p2p::OpenError::Timeout) => "timeout",
            Self::Tcp(_) => "tcp",
            Self::Tls(error) => tls_label(error),
            Self::Stream(p2p::OpenError::Denied(_)) => "not-allowed",
            Self::Stream(_) => "stream",
            Self::Attest(_) => "certificate-exchange",
            Self::Peer(refusal) => peer_label(refusal),
            Self::NoAddress(_) | Self::Address(_) => "no-address",
            Self::NotListed(_) => "not-listed",
            Self::TooMany(_) => "too-many",
            Self::AlreadyLinked => "already-linked",
            Self::Lost(_) => "lost",
        }
    }

    /// The member that the refused certificate names, whether or not that is true.
    pub(super) fn claimed(&self) -> Option<&MemberId> {
        match self {
            Self::TooMany(error) => Some(&error.member),
            Self::Peer(
                InvalidPeer::Path { member, .. }
                | InvalidPeer::UnknownMember(member)
                | InvalidPeer::Member { member, .. }
                | InvalidPeer::Role { member, .. }
                | InvalidPeer::UnknownNode { member, .. }
                | InvalidPeer::PeerId { member, .. },
            ) => Some(member),
            _ => None,
        }
    }

    /// Whether an authority of ours stands behind [`claimed`](Self::claimed), so that it is true.
    pub(super) fn is_proven(&self) -> bool {
        match self {
            Self::Peer(InvalidPeer::Path { source, .. }) => matches!(source, InvalidPath::Revoked),
            _ => self.claimed().is_some(),
        }
    }
}

fn peer_label(refusal: &InvalidPeer) -> &'static str {
    match refusal {
        InvalidPeer::BundleExpired(_) => "bundle-expired",
        InvalidPeer::ChainLength(_) | InvalidPeer::Certificate(_) => "certificate",
        InvalidPeer::TrustDomain(_) => "foreign",
        InvalidPeer::Path { source, .. } | InvalidPeer::Member { source, .. } => match source {
            InvalidPath::UnknownIssuer | InvalidPath::Signature => "foreign",
            InvalidPath::Revoked => "revoked",
            InvalidPath::Expired | InvalidPath::NotYetValid | InvalidPath::RootDates => "expired",
            InvalidPath::RevocationListExpired => "revocation-list-expired",
            InvalidPath::OutsideRegion { .. } | InvalidPath::RoleNeedsRoot { .. } => "issuer",
            InvalidPath::Refused(_) => "certificate",
        },
        InvalidPeer::UnknownMember(_) | InvalidPeer::UnknownNode { .. } => "not-listed",
        InvalidPeer::Role { .. } => "role",
        InvalidPeer::PeerId { .. } | InvalidPeer::OtherConnection { .. } => "peer-id",
        InvalidPeer::OtherNode { .. } => "other-node",
    }
}

/// What failed in a TLS handshake.
fn tls_label(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::NoCertificatesPresented) => "no-certificate",
        Some(rustls::Error::AlertReceived(_)) => "refused-by-peer",
        _ => "handshake",
    }
}

/// An error and its causes in a line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
