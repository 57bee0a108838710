//! What a node is: its certificates and its secret keys, known to fit together.

use std::fmt;

use rustls_pki_types::CertificateDer;
use thiserror::Error;

use crate::{
    Enrolment, Expiring, Expiry, InvalidEnrolment, InvalidKey, MemberId, MemberKey, MemberPublicKey, NodeKey, NodeName,
    PeerId, Role, TrustDomain,
};

/// Why keys and certificates don't make credentials.
#[derive(Debug, Error)]
pub enum InvalidCredentials {
    /// The enrolment file can't be used.
    #[error("the enrolment file can't be used")]
    Enrolment(#[from] InvalidEnrolment),
    /// A key file can't be used.
    #[error("the {which} key file can't be used")]
    Key {
        /// `member` or `node`.
        which: &'static str,
        /// What is wrong with it.
        source: InvalidKey,
    },
    /// A key is another one than its certificate names.
    #[error("the {which} key is not the one that the enrolment certifies; enrol again, or put back the right key file")]
    OtherKey {
        /// `member`, `node TLS` or `node libp2p`.
        which: &'static str,
    },
}

/// A node's certificates and keys, each key the one that its certificate names. Cloning is cheap enough for setup.
#[derive(Clone)]
pub struct NodeCredentials {
    enrolment: Enrolment,
    member_key: MemberKey,
    node_key: NodeKey,
}

impl NodeCredentials {
    /// Puts credentials together, if every key is the certified one.
    pub fn new(enrolment: Enrolment, member_key: MemberKey, node_key: NodeKey) -> Result<Self, InvalidCredentials> {
        let fits = [
            ("member", member_key.public() == enrolment.member_certificate().key()),
            (
                "node TLS",
                rcgen::PublicKeyData::der_bytes(node_key.tls()) == enrolment.node_certificate().point(),
            ),
            ("node libp2p", node_key.peer_id() == enrolment.peer_id()),
        ];
        match fits.into_iter().find(|(_, fits)| !fits) {
            Some((which, _)) => Err(InvalidCredentials::OtherKey { which }),
            None => Ok(Self {
                enrolment,
                member_key,
                node_key,
            }),
        }
    }

    /// Reads the three files of a node: enrolment, member key, node keys.
    pub fn from_pem(enrolment: &str, member_key: &str, node_key: &str) -> Result<Self, InvalidCredentials> {
        let wrong = |which| move |source| InvalidCredentials::Key { which, source };
        Self::new(
            Enrolment::from_pem(enrolment)?,
            MemberKey::from_pkcs8_pem(member_key).map_err(wrong("member"))?,
            NodeKey::from_pem(node_key).map_err(wrong("node"))?,
        )
    }

    /// Reads enrolment and node keys; the certified member key is in a token, which need not be there yet.
    pub fn with_token(
        enrolment: &str,
        token: impl FnOnce(MemberPublicKey) -> MemberKey,
        node_key: &str,
    ) -> Result<Self, InvalidCredentials> {
        let enrolment = Enrolment::from_pem(enrolment)?;
        let member_key = token(enrolment.member_certificate().key());
        let wrong = |source| InvalidCredentials::Key { which: "node", source };
        Self::new(enrolment, member_key, NodeKey::from_pem(node_key).map_err(wrong)?)
    }

    /// The network.
    pub fn trust_domain(&self) -> &TrustDomain {
        self.enrolment.trust_domain()
    }

    /// The member whose node this is.
    pub fn member(&self) -> &MemberId {
        self.enrolment.member()
    }

    /// The member's role.
    pub fn role(&self) -> Role {
        self.enrolment.role()
    }

    /// The node's name.
    pub fn node_name(&self) -> &NodeName {
        self.enrolment.node_name()
    }

    /// The node's libp2p identity.
    pub fn peer_id(&self) -> PeerId {
        self.enrolment.peer_id()
    }

    /// The certificates.
    pub fn enrolment(&self) -> &Enrolment {
        &self.enrolment
    }

    /// The key that the member signs with.
    pub fn member_key(&self) -> &MemberKey {
        &self.member_key
    }

    /// The node's transport keys.
    pub fn node_key(&self) -> &NodeKey {
        &self.node_key
    }

    /// The chain that the node shows, on TLS and on libp2p streams: its certificate and perhaps an intermediate.
    pub fn node_chain(&self) -> Vec<CertificateDer<'static>> {
        self.enrolment.node_chain()
    }

    /// When what expires, the earliest first.
    pub fn expiries(&self) -> Vec<Expiry> {
        let (member, node, root) = (
            self.enrolment.member_certificate(),
            self.enrolment.node_certificate(),
            self.enrolment.root_certificate(),
        );
        let mut expiries = vec![
            Expiry {
                what: Expiring::Member(self.member().clone()),
                at: member.validity().not_after(),
            },
            Expiry {
                what: Expiring::Node(self.member().clone(), self.node_name().clone()),
                at: node.validity().not_after(),
            },
            Expiry {
                what: Expiring::Root,
                at: root.validity().not_after(),
            },
        ];
        expiries.extend(self.enrolment.intermediate_certificate().map(|intermediate| Expiry {
            what: Expiring::Intermediate(intermediate.member().clone()),
            at: intermediate.validity().not_after(),
        }));
        expiries.sort();
        expiries
    }
}

impl fmt::Debug for NodeCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeCredentials")
            .field("enrolment", &self.enrolment)
            .finish_non_exhaustive()
    }
}
