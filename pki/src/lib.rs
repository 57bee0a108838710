//! Identities, certificates, trust bundle and revocation: who is who in the network, and how it is proved.
//!
//! Nothing here does I/O. Keys and certificates come in and go out as PEM text, time and (but for key generation)
//! randomness are arguments, so every rule is tested without a socket, a file or a clock.
#![warn(missing_docs)]

mod authority;
mod certificate;
mod credentials;
mod enrolment;
pub mod key;
pub mod name;
mod pem;
mod revocation;
mod validity;

pub use authority::{
    Authority, AuthorityKey, AuthorityRequest, InvalidAuthority, InvalidAuthorityRequest, IssueError,
    REGION_MEMBERS_MAX,
};
pub use certificate::{
    AuthorityCertificate, AuthorityKind, CERTIFICATE_BYTES_MAX, CHAIN_LENGTH_MAX, Expiring, Expiry, Fingerprint,
    InvalidCertificate, MemberCertificate, NodeCertificate, Serial,
};
pub use credentials::{InvalidCredentials, NodeCredentials};
pub use enrolment::{Enrolment, EnrolmentRequest, InvalidEnrolment, InvalidRequest, REQUEST_BYTES_MAX};
pub use key::{Domain, InvalidKey, InvalidSignature, MemberKey, MemberPublicKey, NodeKey, PeerId, Signature};
pub use name::{InvalidName, MemberId, NodeName, Role, TrustDomain};
pub use revocation::{
    InvalidReason, InvalidRevocationList, REVOCATION_LIST_BYTES_MAX, Revocation, RevocationList, RevocationReason,
};
/// The DER types that certificates and revocation lists travel in, as rustls understands them.
pub use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
pub use validity::{CLOCK_SKEW_MAX, InvalidValidity, Validity};
