//! What a regional office sends to the root so that its authority gets certified: one PKCS#10 request.

use std::fmt;

use rcgen::{CertificateParams, SubjectPublicKeyInfo};
use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject};
use thiserror::Error;
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

use super::{AuthorityKey, issue};
use crate::{
    MemberId, TrustDomain,
    certificate::{Fingerprint, p256_point, subject_names},
    enrolment::REQUEST_BYTES_MAX,
    pem,
};

/// Why an authority's request is refused.
#[derive(Debug, Error)]
pub enum InvalidAuthorityRequest {
    /// Not one `CERTIFICATE REQUEST` block, too large, or not readable as PKCS#10.
    #[error("not one readable `CERTIFICATE REQUEST` of up to {REQUEST_BYTES_MAX} bytes")]
    Encoding,
    /// Not signed by the key that it carries.
    #[error("the request is not signed by its own key")]
    Signature,
    /// The key is not on P-256.
    #[error("the request's key is not on P-256")]
    Key,
    /// The subject does not name a trust domain and a member.
    #[error("the request's subject does not name a trust domain and a member")]
    Subject,
    /// Encoding or signing failed: our fault.
    #[error("the request could not be encoded or signed; this is a fault of icomm")]
    Issue(#[source] rcgen::Error),
}

/// A checked request: its key signed it. Who sent it has to be made sure of by its fingerprint.
pub struct AuthorityRequest {
    der: Vec<u8>,
    trust_domain: TrustDomain,
    member: MemberId,
    key: SubjectPublicKeyInfo,
}

impl AuthorityRequest {
    /// Makes a request for the office `member`.
    pub fn new(
        key: &AuthorityKey,
        trust_domain: &TrustDomain,
        member: &MemberId,
    ) -> Result<Self, InvalidAuthorityRequest> {
        let mut params = CertificateParams::default();
        params.distinguished_name = issue::subject(trust_domain, member, "icomm intermediate");
        let request = params
            .serialize_request(&key.0)
            .map_err(InvalidAuthorityRequest::Issue)?;
        Self::parse(request.der())
    }

    /// Reads and checks the one `CERTIFICATE REQUEST` block of a PEM text.
    pub fn from_pem(text: &str) -> Result<Self, InvalidAuthorityRequest> {
        if text.len() > REQUEST_BYTES_MAX {
            return Err(InvalidAuthorityRequest::Encoding);
        }
        let requests: Result<Vec<_>, _> = CertificateSigningRequestDer::pem_slice_iter(text.as_bytes()).collect();
        match requests.map_err(|_| InvalidAuthorityRequest::Encoding)?.as_slice() {
            [request] => Self::parse(request),
            _ => Err(InvalidAuthorityRequest::Encoding),
        }
    }

    fn parse(der: &[u8]) -> Result<Self, InvalidAuthorityRequest> {
        let Ok(([], request)) = X509CertificationRequest::from_der(der) else {
            return Err(InvalidAuthorityRequest::Encoding);
        };
        let info = &request.certification_request_info;
        p256_point(&info.subject_pki).ok_or(InvalidAuthorityRequest::Key)?;
        request
            .verify_signature()
            .map_err(|_| InvalidAuthorityRequest::Signature)?;
        let (trust_domain, member) = subject_names(&info.subject).map_err(|_| InvalidAuthorityRequest::Subject)?;
        let key = SubjectPublicKeyInfo::from_der(info.subject_pki.raw).map_err(|_| InvalidAuthorityRequest::Key)?;
        Ok(Self {
            der: der.to_vec(),
            trust_domain,
            member,
            key,
        })
    }

    /// One `CERTIFICATE REQUEST` block.
    pub fn to_pem(&self) -> String {
        pem::block("CERTIFICATE REQUEST", &self.der)
    }

    /// The network that it asks to join.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The office that asks.
    pub fn member(&self) -> &MemberId {
        &self.member
    }

    /// What both sides compare, over another channel than the request came by, before it is granted.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.der)
    }

    pub(super) fn key(&self) -> &SubjectPublicKeyInfo {
        &self.key
    }
}

impl fmt::Debug for AuthorityRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed = f.debug_struct("AuthorityRequest");
        printed
            .field("trust_domain", &self.trust_domain)
            .field("member", &self.member)
            .finish_non_exhaustive()
    }
}
