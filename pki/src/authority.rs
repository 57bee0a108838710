//! Authorities: who certifies members and nodes, and says which certificates count no more.
//!
//! The root belongs to the global member; regional offices run intermediates, whose certificates the root issues and
//! confines to the members of the region. Every authority keeps two files: itself (key and chain, PEM, secret) and its
//! last revocation list (PEM, public).

use std::fmt;

use rustls_pki_types::CertificateDer;
use thiserror::Error;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::{
    InvalidKey, MemberId, Role, TrustDomain, Validity,
    certificate::{AuthorityCertificate, AuthorityKind, InvalidCertificate},
    enrolment::{Enrolment, EnrolmentRequest},
    key::TlsKey,
    pem,
    revocation::{InvalidRevocationList, Revocation, RevocationList},
    validity::whole_seconds,
};

mod issue;
mod request;

pub(crate) use issue::dns;
pub use request::{AuthorityRequest, InvalidAuthorityRequest};

/// The most members that one intermediate may certify.
pub const REGION_MEMBERS_MAX: usize = 128;

/// An authority's secret P-256 key.
#[derive(Clone)]
pub struct AuthorityKey(TlsKey);

impl AuthorityKey {
    /// A new key from the operating system's randomness.
    pub fn generate() -> Result<Self, InvalidKey> {
        TlsKey::generate().map(Self)
    }

    /// Reads a PEM text with exactly one PKCS#8 P-256 `PRIVATE KEY`.
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        let [key] = pem::private_keys(text)?;
        TlsKey::from_pkcs8(key.secret_pkcs8_der()).map(Self)
    }

    /// One PKCS#8 `PRIVATE KEY` block.
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.0.to_pem()
    }
}

impl fmt::Debug for AuthorityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorityKey(..)")
    }
}

/// Why key and certificates don't make an authority.
#[derive(Debug, Error)]
pub enum InvalidAuthority {
    /// The key can't be read.
    #[error("the authority's key can't be used")]
    Key(#[from] InvalidKey),
    /// A certificate can't be read.
    #[error("the authority's chain has a certificate that can't be used")]
    Certificate(#[from] InvalidCertificate),
    /// The PEM text is broken.
    #[error("the authority's PEM text can't be read")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// Not the root alone, nor an intermediate followed by the root that issued it.
    #[error("the authority's chain is not the root alone, nor an intermediate and its root")]
    Chain,
    /// The key is another one than the certificate's.
    #[error("the key is not the one that the authority's certificate names; are the files of two authorities mixed?")]
    OtherKey,
}

/// Why an authority did not issue something.
#[derive(Debug, Error)]
pub enum IssueError {
    /// The wanted validity is not within the authority's own.
    #[error("the validity is not within that of the authority's own certificate, which ends {authority_ends}")]
    Validity {
        /// When the authority's certificate ends.
        authority_ends: OffsetDateTime,
    },
    /// The request is for another network.
    #[error("the request is for `{requested}`, the authority is of `{authority}`")]
    TrustDomain {
        /// Which network the request names.
        requested: TrustDomain,
        /// The authority's network.
        authority: TrustDomain,
    },
    /// The intermediate's region does not have this member.
    #[error("the authority of `{authority}` may not certify `{member}`: not in its region")]
    OutsideRegion {
        /// Who runs the authority.
        authority: MemberId,
        /// Who would have been certified.
        member: MemberId,
    },
    /// An intermediate was asked for a role that only the root gives.
    #[error("only the root certifies a member as `{role}`")]
    RoleNeedsRoot {
        /// The role.
        role: Role,
    },
    /// Only the root certifies intermediates.
    #[error("only the root certifies intermediates")]
    NotRoot,
    /// No members, or more than [`REGION_MEMBERS_MAX`].
    #[error("a region has 1 to {REGION_MEMBERS_MAX} members, not {0}")]
    RegionSize(usize),
    /// The list before is another authority's.
    #[error("the revocation list before this one can't be continued")]
    PreviousList(#[source] InvalidRevocationList),
    /// The certificate is revoked already.
    #[error("the certificate `{0}` is revoked already")]
    RevokedAlready(crate::Serial),
    /// What was made does not have our own profile: our fault.
    #[error("the new certificate does not have the profile; this is a fault of icomm")]
    Profile(#[from] InvalidCertificate),
    /// What was made is no list of our profile: our fault.
    #[error("the new revocation list does not have the profile; this is a fault of icomm")]
    ListProfile(#[from] InvalidRevocationList),
    /// Encoding or signing failed: our fault.
    #[error("the certificate could not be encoded or signed; this is a fault of icomm")]
    Encoding(#[from] rcgen::Error),
}

/// An authority: a secret key and the certificates that give it its power.
pub struct Authority {
    key: AuthorityKey,
    certificate: AuthorityCertificate,
    /// The root above an intermediate.
    root: Option<AuthorityCertificate>,
}

impl Authority {
    /// Makes the root of a network, run by `member`, with a certificate that it signs itself.
    pub fn root(
        trust_domain: &TrustDomain,
        member: &MemberId,
        key: AuthorityKey,
        validity: Validity,
    ) -> Result<Self, IssueError> {
        let certificate = issue::root(trust_domain, member, &key.0, validity)?;
        Ok(Self {
            key,
            certificate,
            root: None,
        })
    }

    /// Puts an authority together from its key and its chain: its own certificate, and the root's if it is not the
    /// root.
    pub fn new(key: AuthorityKey, chain: Vec<CertificateDer<'static>>) -> Result<Self, InvalidAuthority> {
        let chain: Result<Vec<_>, _> = chain.into_iter().map(AuthorityCertificate::parse).collect();
        let mut chain = chain?.into_iter();
        let (Some(certificate), root, None) = (chain.next(), chain.next(), chain.next()) else {
            return Err(InvalidAuthority::Chain);
        };
        let fits = match (&root, certificate.kind()) {
            (None, AuthorityKind::Root) => true,
            (Some(root), AuthorityKind::Intermediate) => {
                root.kind() == AuthorityKind::Root && root.subject() == certificate.issuer()
            }
            _ => false,
        };
        if !fits {
            return Err(InvalidAuthority::Chain);
        }
        if rcgen::PublicKeyData::der_bytes(&key.0) != certificate.point() {
            return Err(InvalidAuthority::OtherKey);
        }
        Ok(Self { key, certificate, root })
    }

    /// Reads what [`to_pem`](Self::to_pem) writes.
    pub fn from_pem(text: &str) -> Result<Self, InvalidAuthority> {
        let key = AuthorityKey::from_pem(text)?;
        Self::new(key, pem::certificates(text).map_err(InvalidAuthority::Pem)?)
    }

    /// The whole authority as PEM: the secret key, its certificate and, for an intermediate, the root's.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let key = self.key.to_pem();
        let chain: String = self
            .chain()
            .map(|certificate| pem::block("CERTIFICATE", certificate))
            .collect();
        Zeroizing::new([key.as_str(), chain.as_str()].concat())
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> &AuthorityCertificate {
        &self.certificate
    }

    /// The root's certificate: its own, or the one above it.
    pub fn root_certificate(&self) -> &AuthorityCertificate {
        self.root.as_ref().unwrap_or(&self.certificate)
    }

    /// Certifies a regional office's authority, for the listed members of its region and nobody else. Gives the
    /// chain with which the office puts its [`Authority`] together: the new certificate, then the root's.
    pub fn certify(
        &self,
        request: &AuthorityRequest,
        region: &[MemberId],
        validity: Validity,
    ) -> Result<Vec<CertificateDer<'static>>, IssueError> {
        if self.certificate.kind() != AuthorityKind::Root {
            return Err(IssueError::NotRoot);
        }
        if !(1..=REGION_MEMBERS_MAX).contains(&region.len()) {
            return Err(IssueError::RegionSize(region.len()));
        }
        self.check(request.trust_domain(), validity)?;
        let certificate = issue::intermediate(&self.certificate, &self.key.0, request, region, validity)?;
        Ok(vec![certificate.der().clone(), self.certificate.der().clone()])
    }

    /// Issues the certificates that a member asks for, in a role that the authority decides. The caller has made sure,
    /// by the request's fingerprint, that it comes from the member that it names.
    pub fn issue(&self, request: &EnrolmentRequest, role: Role, validity: Validity) -> Result<Enrolment, IssueError> {
        self.check(request.trust_domain(), validity)?;
        if !self.certificate.permits(request.member()) {
            let (authority, member) = (self.certificate.member().clone(), request.member().clone());
            return Err(IssueError::OutsideRegion { authority, member });
        }
        if self.certificate.kind() == AuthorityKind::Intermediate && !may_certify(AuthorityKind::Intermediate, role) {
            return Err(IssueError::RoleNeedsRoot { role });
        }
        let member = issue::member(&self.certificate, &self.key.0, request, role, validity)?;
        let node = issue::node(&self.certificate, &self.key.0, request, role, validity)?;
        Ok(Enrolment::of_issued(
            member,
            node,
            self.certificate.clone(),
            self.root.clone(),
        ))
    }

    /// The next revocation list: all that `previous` had, and `revoked`. A first list starts empty at number 1.
    pub fn revocation_list(
        &self,
        previous: Option<&RevocationList>,
        revoked: &[Revocation],
        validity: Validity,
    ) -> Result<RevocationList, IssueError> {
        if let Some(previous) = previous {
            previous.verify(&self.certificate).map_err(IssueError::PreviousList)?;
        }
        let mut entries = previous.map(|list| list.revoked().to_vec()).unwrap_or_default();
        for revocation in revoked {
            if entries.iter().any(|entry| entry.serial == revocation.serial) {
                return Err(IssueError::RevokedAlready(revocation.serial.clone()));
            }
            entries.push(Revocation {
                at: whole_seconds(revocation.at),
                ..revocation.clone()
            });
        }
        let number = previous.map_or(0, RevocationList::number).saturating_add(1);
        issue::revocation_list(&self.certificate, &self.key.0, number, &entries, validity)
    }

    fn chain(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        std::iter::once(&self.certificate)
            .chain(&self.root)
            .map(AuthorityCertificate::der)
    }

    fn check(&self, requested: &TrustDomain, validity: Validity) -> Result<(), IssueError> {
        if requested != self.certificate.trust_domain() {
            let authority = self.certificate.trust_domain().clone();
            return Err(IssueError::TrustDomain {
                requested: requested.clone(),
                authority,
            });
        }
        if !self.certificate.validity().encloses(&validity) {
            return Err(IssueError::Validity {
                authority_ends: self.certificate.validity().not_after(),
            });
        }
        Ok(())
    }
}

/// Which roles an authority may give. An office certifies administrations only: could it certify a global member, then
/// whoever steals its key could sign trust bundles for the whole network.
pub(crate) fn may_certify(kind: AuthorityKind, role: Role) -> bool {
    kind == AuthorityKind::Root || role == Role::National
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}
