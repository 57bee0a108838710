//! Certificates of members and of their nodes.

use std::collections::BTreeSet;

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

use super::{
    InvalidCertificate, Serial,
    profile::{Common, DIGITAL_SIGNATURE, ed25519_bytes, p256_point, read},
};
use crate::{MemberId, MemberPublicKey, NodeName, PeerId, Role, TrustDomain, Validity, name::peer};

/// A member's certificate: whose the Ed25519 signing key is. It has the whole profile; its signature is not checked.
#[derive(Clone, PartialEq, Eq)]
pub struct MemberCertificate {
    der: CertificateDer<'static>,
    pub(super) trust_domain: TrustDomain,
    pub(super) member: MemberId,
    pub(super) role: Role,
    pub(super) key: MemberPublicKey,
    pub(super) serial: Serial,
    pub(super) validity: Validity,
    issuer: Vec<u8>,
}

impl MemberCertificate {
    /// Reads a certificate, which must have the profile of a member's.
    pub fn parse(der: CertificateDer<'static>) -> Result<Self, InvalidCertificate> {
        const KEY: InvalidCertificate = InvalidCertificate::Key { expected: "Ed25519" };
        let certificate = read(&der)?;
        let common = leaf(&certificate)?;
        if common.extended_key_usage.is_some() {
            return Err(InvalidCertificate::ExtendedKeyUsage { expected: "absent" });
        }
        let key = ed25519_bytes(certificate.public_key()).ok_or(KEY)?;
        let key = MemberPublicKey::from_bytes(&key).map_err(|_| KEY)?;

        let names = Names::read(common.names)?;
        let SpiffeId {
            trust_domain,
            member,
            node: None,
            role,
        } = names.spiffe()?
        else {
            return Err(InvalidCertificate::Names("the SPIFFE id is a node's"));
        };
        if names.dns != BTreeSet::from([trust_domain.member_dns(&member).as_str()]) {
            return Err(InvalidCertificate::Names("the DNS name is not the member's"));
        }
        let (serial, validity, issuer) = (common.serial, common.validity, certificate.issuer().as_raw().to_vec());
        drop(certificate);
        Ok(Self {
            der,
            trust_domain,
            member,
            role,
            key,
            serial,
            validity,
            issuer,
        })
    }

    /// The certificate's bytes.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The network that it is good for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The member that it names.
    pub fn member(&self) -> &MemberId {
        &self.member
    }

    /// The member's role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The member's signing key.
    pub fn key(&self) -> MemberPublicKey {
        self.key
    }

    /// The certificate's serial number.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// From when to when it counts.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The DER of the issuer's name.
    pub(crate) fn issuer(&self) -> &[u8] {
        &self.issuer
    }
}

/// A node's certificate: whose its TLS key and its libp2p key are. It has the whole profile; its signature is not
/// checked.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeCertificate {
    der: CertificateDer<'static>,
    pub(super) trust_domain: TrustDomain,
    pub(super) member: MemberId,
    pub(super) node: NodeName,
    pub(super) role: Role,
    pub(super) peer_id: PeerId,
    pub(super) serial: Serial,
    pub(super) validity: Validity,
    point: [u8; 65],
    issuer: Vec<u8>,
}

impl NodeCertificate {
    /// Reads a certificate, which must have the profile of a node's.
    pub fn parse(der: CertificateDer<'static>) -> Result<Self, InvalidCertificate> {
        let certificate = read(&der)?;
        let common = leaf(&certificate)?;
        // `any` and a missing extension would both satisfy webpki.
        let tls_only = common.extended_key_usage.is_some_and(|usage| {
            let others = usage.any
                || usage.code_signing
                || usage.email_protection
                || usage.time_stamping
                || usage.ocsp_signing
                || !usage.other.is_empty();
            usage.server_auth && usage.client_auth && !others
        });
        if !tls_only {
            return Err(InvalidCertificate::ExtendedKeyUsage {
                expected: "serverAuth and clientAuth",
            });
        }
        let point = p256_point(certificate.public_key()).ok_or(InvalidCertificate::Key { expected: "on P-256" })?;

        let names = Names::read(common.names)?;
        let SpiffeId {
            trust_domain,
            member,
            node: Some(node),
            role,
        } = names.spiffe()?
        else {
            return Err(InvalidCertificate::Names("the SPIFFE id is a member's"));
        };
        let under_peer = format!(".peer.{}", trust_domain.member_dns(&member));
        let label = names.dns.iter().find_map(|name| name.strip_suffix(&under_peer));
        let Some(peer_id) = label.and_then(peer::from_dns_label) else {
            return Err(InvalidCertificate::Names(
                "no DNS name binds a libp2p identity of this member",
            ));
        };
        let (node_dns, peer_dns) = (
            trust_domain.node_dns(&member, &node),
            trust_domain.peer_dns(&member, &peer_id),
        );
        if names.dns != [node_dns.as_str()].into_iter().chain(peer_dns.as_deref()).collect() {
            return Err(InvalidCertificate::Names("the DNS names are not the node's"));
        }
        let (serial, validity, issuer) = (common.serial, common.validity, certificate.issuer().as_raw().to_vec());
        drop(certificate);
        Ok(Self {
            der,
            trust_domain,
            member,
            node,
            role,
            peer_id,
            serial,
            validity,
            point,
            issuer,
        })
    }

    /// The certificate's bytes.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The network that it is good for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The member whose node it is.
    pub fn member(&self) -> &MemberId {
        &self.member
    }

    /// The node's name.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// The member's role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The libp2p identity that it binds.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// The certificate's serial number.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// From when to when it counts.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The TLS key as an uncompressed point.
    pub(crate) fn point(&self) -> &[u8; 65] {
        &self.point
    }

    /// The DER of the issuer's name.
    pub(crate) fn issuer(&self) -> &[u8] {
        &self.issuer
    }
}

/// What members' and nodes' certificates have in common.
fn leaf<'a>(certificate: &'a x509_parser::certificate::X509Certificate<'a>) -> Result<Common<'a>, InvalidCertificate> {
    let common = Common::check(certificate)?;
    if common.ca.is_some() {
        return Err(InvalidCertificate::IsAuthority);
    }
    common.key_usage_is(DIGITAL_SIGNATURE, "digitalSignature")?;
    if common.constraints.is_some() {
        return Err(InvalidCertificate::NameConstraints("only an intermediate has them"));
    }
    Ok(common)
}

/// The alternative names of a leaf: DNS names and exactly one URI, as SPIFFE demands.
struct Names<'a> {
    dns: BTreeSet<&'a str>,
    uri: &'a str,
}

/// What a SPIFFE id says.
struct SpiffeId {
    trust_domain: TrustDomain,
    member: MemberId,
    node: Option<NodeName>,
    role: Role,
}

impl<'a> Names<'a> {
    fn read(names: &'a [GeneralName<'a>]) -> Result<Self, InvalidCertificate> {
        let mut dns = BTreeSet::new();
        let mut uri = None;
        for name in names {
            let fresh = match name {
                GeneralName::DNSName(name) => dns.insert(*name),
                GeneralName::URI(name) => uri.replace(*name).is_none(),
                _ => return Err(InvalidCertificate::Names("only DNS names and a URI are known")),
            };
            if !fresh {
                return Err(InvalidCertificate::Names(
                    "a name is repeated, or there is more than one URI",
                ));
            }
        }
        Ok(Self {
            dns,
            uri: uri.ok_or(InvalidCertificate::Names("there is no SPIFFE id"))?,
        })
    }

    fn spiffe(&self) -> Result<SpiffeId, InvalidCertificate> {
        const WRONG: InvalidCertificate = InvalidCertificate::Names("the URI is no SPIFFE id of a member or node");
        let parts: Vec<_> = self.uri.strip_prefix("spiffe://").ok_or(WRONG)?.split('/').collect();
        let (trust_domain, member, node, role) = match parts.as_slice() {
            [domain, "member", member, "role", role] => (domain, member, None, role),
            [domain, "member", member, "node", node, "role", role] => (domain, member, Some(node), role),
            _ => return Err(WRONG),
        };
        Ok(SpiffeId {
            trust_domain: trust_domain.parse().map_err(|_| WRONG)?,
            member: member.parse().map_err(|_| WRONG)?,
            node: node.map(|node| node.parse()).transpose().map_err(|_| WRONG)?,
            role: role.parse().map_err(|_| WRONG)?,
        })
    }
}
