//! Who is at the other end: from a certificate chain to a member, by one rule for TLS and for libp2p.

use rustls_pki_types::CertificateDer;
use thiserror::Error;
use time::OffsetDateTime;

use crate::{
    CHAIN_LENGTH_MAX, InvalidCertificate, MemberId, NodeCertificate, NodeName, PeerId, Role, Serial, TrustDomain,
    VerifiedBundle, trust::InvalidPath,
};

/// A peer whose certificate was checked against a trust bundle and its directory. Only [`authenticate`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerIdentity {
    member: MemberId,
    role: Role,
    node: NodeName,
    peer_id: PeerId,
    serial: Serial,
    not_after: OffsetDateTime,
}

impl PeerIdentity {
    /// The member.
    pub fn member(&self) -> &MemberId {
        &self.member
    }

    /// The member's role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Which of the member's nodes.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// The node's libp2p identity, also when it came over TLS.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// The serial number of the node's certificate.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// After this moment the node's certificate counts no more, and its links must close.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }
}

/// Why a peer is not let in. Nothing of it is told to the peer.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum InvalidPeer {
    /// No certificate, or more than a chain may have.
    #[error("the peer sent {0} certificates, not 1 to {CHAIN_LENGTH_MAX}")]
    ChainLength(usize),
    /// Our own trust bundle has expired: the operator's fault, not the peer's.
    #[error("this node's trust bundle expired {0}; get a newer one")]
    BundleExpired(OffsetDateTime),
    /// The certificate does not have the profile of a node's.
    #[error("the peer's certificate is not that of a node")]
    Certificate(#[from] InvalidCertificate),
    /// The certificate is of another network.
    #[error("the peer is of another network, `{0}`")]
    TrustDomain(TrustDomain),
    /// No authority of ours stands behind the certificate at this time.
    #[error("the certificate of `{member}` node `{node}` does not count")]
    Path {
        /// Who the certificate says it is.
        member: MemberId,
        /// Which node.
        node: NodeName,
        /// Why not.
        source: InvalidPath,
    },
    /// The member is not in the directory.
    #[error("`{0}` is not in the directory")]
    UnknownMember(MemberId),
    /// The member's own certificate does not count.
    #[error("the member certificate of `{member}` does not count")]
    Member {
        /// Who.
        member: MemberId,
        /// Why not.
        source: InvalidPath,
    },
    /// Certificate and directory name different roles.
    #[error("`{member}` is `{directory}` by the directory, its node's certificate says `{certificate}`")]
    Role {
        /// Who.
        member: MemberId,
        /// The certificate's role.
        certificate: Role,
        /// The directory's role.
        directory: Role,
    },
    /// The node is not in the directory.
    #[error("`{member}` has no node `{node}` in the directory")]
    UnknownNode {
        /// Whose.
        member: MemberId,
        /// Which name.
        node: NodeName,
    },
    /// Certificate and directory name different libp2p identities for the node.
    #[error("the certificate of `{member}` node `{node}` names `{certificate}`, the directory another libp2p identity")]
    PeerId {
        /// Whose.
        member: MemberId,
        /// Which node.
        node: NodeName,
        /// The certificate's libp2p identity.
        certificate: PeerId,
    },
    /// The libp2p connection is to another peer than the certificate names.
    #[error("the connection is to `{connection}`, the certificate is that of `{member}` node `{node}`")]
    OtherConnection {
        /// Who holds the connection.
        connection: PeerId,
        /// Whose certificate was shown.
        member: MemberId,
        /// Which node's.
        node: NodeName,
    },
    /// The server is another node than the one that was dialled.
    #[error("`{dialled}` was dialled, `{answered}` answered")]
    OtherNode {
        /// The DNS name that was dialled.
        dialled: String,
        /// The DNS name of the node that answered.
        answered: String,
    },
}

/// Checks a chain (the node's certificate first) whose key the peer has proved to hold: profile, path, revocation,
/// and that names, role and libp2p identity are those of the directory.
pub fn authenticate(
    chain: &[CertificateDer<'_>],
    bundle: &VerifiedBundle,
    now: OffsetDateTime,
) -> Result<PeerIdentity, InvalidPeer> {
    let (1..=CHAIN_LENGTH_MAX, Some(leaf)) = (chain.len(), chain.first()) else {
        return Err(InvalidPeer::ChainLength(chain.len()));
    };
    if bundle.expires() < now {
        return Err(InvalidPeer::BundleExpired(bundle.expires()));
    }
    let node = NodeCertificate::parse(leaf.clone().into_owned())?;
    if node.trust_domain() != bundle.trust_domain() {
        return Err(InvalidPeer::TrustDomain(node.trust_domain().clone()));
    }
    let (member, name) = (node.member().clone(), node.node().clone());
    bundle.check_node(&node, now).map_err(|source| InvalidPeer::Path {
        member: member.clone(),
        node: name.clone(),
        source,
    })?;

    if let Some(reason) = bundle.unusable_because(&member) {
        return Err(InvalidPeer::Member {
            member,
            source: reason.clone(),
        });
    }
    let Some(entry) = bundle.member(&member) else {
        return Err(InvalidPeer::UnknownMember(member));
    };
    if !entry.certificate.validity().contains(now) {
        return Err(InvalidPeer::Member {
            member,
            source: InvalidPath::Expired,
        });
    }
    if entry.role != node.role() {
        return Err(InvalidPeer::Role {
            member,
            certificate: node.role(),
            directory: entry.role,
        });
    }
    let Some(listed) = entry.node(&name) else {
        return Err(InvalidPeer::UnknownNode { member, node: name });
    };
    if listed.peer_id != node.peer_id() {
        return Err(InvalidPeer::PeerId {
            member,
            node: name,
            certificate: node.peer_id(),
        });
    }
    Ok(PeerIdentity {
        member,
        role: node.role(),
        node: name,
        peer_id: node.peer_id(),
        serial: node.serial().clone(),
        not_after: node.validity().not_after(),
    })
}

/// [`authenticate`], for a chain that came over a libp2p connection to `connection`: the certificate must name that
/// very peer, since on libp2p it is the peer's Ed25519 key that was proved to be held.
pub fn authenticate_libp2p(
    chain: &[CertificateDer<'_>],
    connection: &PeerId,
    bundle: &VerifiedBundle,
    now: OffsetDateTime,
) -> Result<PeerIdentity, InvalidPeer> {
    let identity = authenticate(chain, bundle, now)?;
    if identity.peer_id != *connection {
        let PeerIdentity { member, node, .. } = identity;
        return Err(InvalidPeer::OtherConnection {
            connection: *connection,
            member,
            node,
        });
    }
    Ok(identity)
}
