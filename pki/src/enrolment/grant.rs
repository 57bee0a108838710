//! What the authority answers: the certificates of the member and its node, and the chain above them.

use std::fmt;

use rustls_pki_types::CertificateDer;
use thiserror::Error;

use crate::{
    MemberId, NodeName, PeerId, Role, TrustDomain,
    certificate::{
        AuthorityCertificate, AuthorityKind, CERTIFICATE_BYTES_MAX, CHAIN_LENGTH_MAX, InvalidCertificate,
        MemberCertificate, NodeCertificate,
    },
    pem,
};

/// Why an enrolment file is refused.
#[derive(Debug, Error)]
pub enum InvalidEnrolment {
    /// The PEM text is broken or too large.
    #[error("the enrolment is not readable as PEM")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// Not a member's, a node's, perhaps an intermediate's and a root's certificate, in this order.
    #[error("the enrolment has {found} certificates, not 3 or 4; is this the file that the authority sent?")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// A certificate does not have the profile of its place.
    #[error("the enrolment's {place} certificate can't be used")]
    Certificate {
        /// `member`, `node`, `intermediate` or `root`.
        place: &'static str,
        /// What is wrong with it.
        source: InvalidCertificate,
    },
    /// The certificates are not about one member, one role, one network and one chain.
    #[error("the enrolment's certificates don't belong together")]
    Mixed,
}

/// The certificates of a member and one of its nodes, and the authorities above them. They belong together; whether
/// the root is the right one is for the reader to decide (by its fingerprint), and signatures, dates and revocation
/// are checked against a trust bundle.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrolment {
    member: MemberCertificate,
    node: NodeCertificate,
    intermediate: Option<AuthorityCertificate>,
    root: AuthorityCertificate,
}

impl Enrolment {
    /// What an authority has just issued. `above` is the root when the authority is an intermediate.
    pub(crate) fn of_issued(
        member: MemberCertificate,
        node: NodeCertificate,
        authority: AuthorityCertificate,
        above: Option<AuthorityCertificate>,
    ) -> Self {
        match above {
            Some(root) => Self {
                member,
                node,
                intermediate: Some(authority),
                root,
            },
            None => Self {
                member,
                node,
                intermediate: None,
                root: authority,
            },
        }
    }

    /// Reads what [`to_pem`](Self::to_pem) writes.
    pub fn from_pem(text: &str) -> Result<Self, InvalidEnrolment> {
        if text.len() > 2 * CHAIN_LENGTH_MAX * CERTIFICATE_BYTES_MAX {
            return Err(InvalidEnrolment::Count { found: 0 });
        }
        let mut certificates = pem::certificates(text).map_err(InvalidEnrolment::Pem)?;
        let found = certificates.len();
        let (true, Some(root)) = ((3..=CHAIN_LENGTH_MAX).contains(&found), certificates.pop()) else {
            return Err(InvalidEnrolment::Count { found });
        };
        let mut certificates = certificates.into_iter();
        let (Some(member), Some(node)) = (certificates.next(), certificates.next()) else {
            return Err(InvalidEnrolment::Count { found });
        };
        let at = |place| move |source| InvalidEnrolment::Certificate { place, source };
        let enrolment = Self {
            member: MemberCertificate::parse(member).map_err(at("member"))?,
            node: NodeCertificate::parse(node).map_err(at("node"))?,
            intermediate: certificates
                .next()
                .map(AuthorityCertificate::parse)
                .transpose()
                .map_err(at("intermediate"))?,
            root: AuthorityCertificate::parse(root).map_err(at("root"))?,
        };
        if enrolment.belongs_together() {
            Ok(enrolment)
        } else {
            Err(InvalidEnrolment::Mixed)
        }
    }

    fn belongs_together(&self) -> bool {
        let (member, node, root) = (&self.member, &self.node, &self.root);
        let issuer = self.intermediate.as_ref().unwrap_or(root);
        let chain = root.kind() == AuthorityKind::Root
            && issuer.issuer() == root.subject()
            && [member.issuer(), node.issuer()]
                .iter()
                .all(|name| *name == issuer.subject())
            && self
                .intermediate
                .as_ref()
                .is_none_or(|i| i.kind() == AuthorityKind::Intermediate);
        let domains = [member.trust_domain(), node.trust_domain(), issuer.trust_domain()];
        chain
            && domains.iter().all(|domain| *domain == root.trust_domain())
            && (member.member(), member.role()) == (node.member(), node.role())
    }

    /// The enrolment as PEM: the member's certificate, the node's, perhaps an intermediate's, the root's; each with a
    /// line above it that says what it is.
    pub fn to_pem(&self) -> String {
        let line = |what: &str, name: &dyn fmt::Display, der: &CertificateDer<'_>| {
            format!("{what} {name}\n{}", pem::block("CERTIFICATE", der))
        };
        let node = format!("{}/{}", self.member(), self.node_name());
        let mut text = line("member", self.member(), self.member.der());
        text += &line("node", &node, self.node.der());
        if let Some(intermediate) = &self.intermediate {
            text += &line("intermediate authority of", intermediate.member(), intermediate.der());
        }
        text + &line("root authority of", self.root.trust_domain(), self.root.der())
    }

    /// The network.
    pub fn trust_domain(&self) -> &TrustDomain {
        self.root.trust_domain()
    }

    /// The enrolled member.
    pub fn member(&self) -> &MemberId {
        self.member.member()
    }

    /// The member's role.
    pub fn role(&self) -> Role {
        self.member.role()
    }

    /// The enrolled node.
    pub fn node_name(&self) -> &NodeName {
        self.node.node()
    }

    /// The node's libp2p identity.
    pub fn peer_id(&self) -> PeerId {
        self.node.peer_id()
    }

    /// The member's certificate.
    pub fn member_certificate(&self) -> &MemberCertificate {
        &self.member
    }

    /// The node's certificate.
    pub fn node_certificate(&self) -> &NodeCertificate {
        &self.node
    }

    /// The root's certificate, which the node pins once its operator has compared the fingerprint.
    pub fn root_certificate(&self) -> &AuthorityCertificate {
        &self.root
    }

    /// The intermediate authority's certificate, if it was not the root that issued.
    pub fn intermediate_certificate(&self) -> Option<&AuthorityCertificate> {
        self.intermediate.as_ref()
    }

    /// The member's certificate and the intermediate's, if there is one; never the root's.
    pub fn member_chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain(self.member.der())
    }

    /// The node's certificate and the intermediate's, if there is one; never the root's.
    pub fn node_chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain(self.node.der())
    }

    fn chain(&self, leaf: &CertificateDer<'static>) -> Vec<CertificateDer<'static>> {
        std::iter::once(leaf)
            .chain(self.intermediate.as_ref().map(AuthorityCertificate::der))
            .cloned()
            .collect()
    }
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolment")
            .field("member", &self.member)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}
