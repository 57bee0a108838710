//! Certificates of authorities: the root and the regional intermediates.

use rustls_pki_types::CertificateDer;
use x509_parser::{extensions::GeneralName, x509::X509Name};

use super::{
    InvalidCertificate, Serial,
    profile::{CERT_AND_CRL_SIGN, Common, p256_point, read},
};
use crate::{MemberId, TrustDomain, Validity};

/// Which of the two kinds of authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityKind {
    /// Signs itself; certifies members of every role and intermediates.
    Root,
    /// Certified by the root; certifies the administrations of its region.
    Intermediate,
}

impl AuthorityKind {
    /// The word for it in certificates.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Intermediate => "intermediate",
        }
    }
}

/// An authority's certificate that has the whole profile of its kind. Only the root's own signature is checked here.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityCertificate {
    pub(super) der: CertificateDer<'static>,
    pub(super) kind: AuthorityKind,
    pub(super) trust_domain: TrustDomain,
    pub(super) member: MemberId,
    pub(super) validity: Validity,
    serial: Serial,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    point: [u8; 65],
    /// The DNS names under which an intermediate may certify; a root has none and may certify all.
    permitted: Vec<String>,
}

impl AuthorityCertificate {
    /// Reads a certificate, which must have the profile of a root or of an intermediate.
    pub fn parse(der: CertificateDer<'static>) -> Result<Self, InvalidCertificate> {
        let certificate = read(&der)?;
        let common = Common::check(&certificate)?;
        let basic = common.ca.ok_or(InvalidCertificate::NotAuthority)?;
        common.key_usage_is(CERT_AND_CRL_SIGN, "keyCertSign and cRLSign")?;
        if common.extended_key_usage.is_some() {
            return Err(InvalidCertificate::ExtendedKeyUsage { expected: "absent" });
        }
        if !common.names.is_empty() {
            return Err(InvalidCertificate::Names("an authority has no alternative names"));
        }
        let point = p256_point(certificate.public_key()).ok_or(InvalidCertificate::Key { expected: "on P-256" })?;
        let (trust_domain, member) = subject_names(certificate.subject())?;

        let (subject, issuer) = (
            certificate.subject().as_raw().to_vec(),
            certificate.issuer().as_raw().to_vec(),
        );
        let kind = if subject == issuer {
            AuthorityKind::Root
        } else {
            AuthorityKind::Intermediate
        };
        let expected = match kind {
            AuthorityKind::Root => 1,
            AuthorityKind::Intermediate => 0,
        };
        if basic.path_len_constraint != Some(expected) {
            return Err(InvalidCertificate::PathLength { expected });
        }
        let permitted = match (kind, common.constraints) {
            (AuthorityKind::Root, None) => Vec::new(),
            (AuthorityKind::Root, Some(_)) => return Err(InvalidCertificate::NameConstraints("a root has none")),
            (AuthorityKind::Intermediate, None) => {
                return Err(InvalidCertificate::NameConstraints(
                    "an intermediate has permitted DNS names",
                ));
            }
            (AuthorityKind::Intermediate, Some(constraints)) => permitted_members(constraints, &trust_domain)?,
        };
        if kind == AuthorityKind::Root && certificate.verify_signature(None).is_err() {
            return Err(InvalidCertificate::SignatureAlgorithm);
        }
        let (serial, validity) = (common.serial, common.validity);
        drop(certificate);
        Ok(Self {
            der,
            kind,
            trust_domain,
            member,
            validity,
            serial,
            subject,
            issuer,
            point,
            permitted,
        })
    }

    /// The certificate's bytes.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Root or intermediate.
    pub fn kind(&self) -> AuthorityKind {
        self.kind
    }

    /// The network that the authority belongs to.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The member that runs the authority.
    pub fn member(&self) -> &MemberId {
        &self.member
    }

    /// The certificate's serial number.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// From when to when it counts.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether the authority may certify this member at all.
    pub fn permits(&self, member: &MemberId) -> bool {
        let name = self.trust_domain.member_dns(member);
        self.kind == AuthorityKind::Root || self.permitted.contains(&name)
    }

    /// Whether `root` issued and signed this certificate. Dates and revocation are checked with each path.
    pub(crate) fn is_issued_by(&self, root: &Self) -> bool {
        root.issued(&self.der, &self.issuer)
    }

    /// Whether this authority signed a certificate that names `issuer` as its issuer.
    pub(crate) fn issued(&self, der: &CertificateDer<'_>, issuer: &[u8]) -> bool {
        let (Ok(certificate), Ok(own)) = (read(der), read(&self.der)) else {
            return false;
        };
        issuer == self.subject && certificate.verify_signature(Some(own.public_key())).is_ok()
    }

    /// The DER of the subject name.
    pub(crate) fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The DER of the issuer's name.
    pub(crate) fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// The public key as an uncompressed point.
    pub(crate) fn point(&self) -> &[u8; 65] {
        &self.point
    }
}

/// Trust domain and member out of `O=<trust domain>, OU=<member>, CN=…`.
pub(crate) fn subject_names(name: &X509Name<'_>) -> Result<(TrustDomain, MemberId), InvalidCertificate> {
    const WRONG: InvalidCertificate = InvalidCertificate::Names("the subject is not O, OU and CN of an authority");
    let domain = name
        .iter_organization()
        .next()
        .and_then(|o| o.as_str().ok())
        .ok_or(WRONG)?;
    let member = name
        .iter_organizational_unit()
        .next()
        .and_then(|o| o.as_str().ok())
        .ok_or(WRONG)?;
    if name.iter_attributes().count() != 3 || name.iter_common_name().count() != 1 {
        return Err(WRONG);
    }
    Ok((domain.parse().map_err(|_| WRONG)?, member.parse().map_err(|_| WRONG)?))
}

/// The permitted subtrees, which must all be DNS names of members.
fn permitted_members(
    constraints: &x509_parser::extensions::NameConstraints<'_>,
    trust_domain: &TrustDomain,
) -> Result<Vec<String>, InvalidCertificate> {
    let wrong = InvalidCertificate::NameConstraints("permitted subtrees must be DNS names of members, none excluded");
    let permitted = constraints.permitted_subtrees.as_deref().unwrap_or_default();
    if permitted.is_empty() || constraints.excluded_subtrees.is_some() {
        return Err(wrong);
    }
    let names = permitted.iter().map(|subtree| match &subtree.base {
        GeneralName::DNSName(name) => {
            let label = name.strip_suffix(trust_domain.as_str())?.strip_suffix('.')?;
            label
                .to_ascii_uppercase()
                .parse::<MemberId>()
                .ok()
                .filter(|member| member.dns_label() == label)?;
            Some((*name).to_owned())
        }
        _ => None,
    });
    names.collect::<Option<Vec<_>>>().ok_or(wrong)
}

impl rcgen::PublicKeyData for AuthorityCertificate {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}
