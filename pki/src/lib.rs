//! Identities, certificates, trust bundle and revocation: who is who in the network, and how it is proved.
//!
//! Nothing here does I/O. Keys and certificates come in and go out as PEM text, time and (but for key generation)
//! randomness are arguments, so every rule is tested without a socket, a file or a clock.
#![warn(missing_docs)]

pub mod key;
pub mod name;
mod pem;

pub use key::{Domain, InvalidKey, InvalidSignature, MemberKey, MemberPublicKey, NodeKey, PeerId, Signature};
pub use name::{InvalidName, MemberId, NodeName, Role, TrustDomain};
/// The DER types that certificates and revocation lists travel in, as rustls understands them.
pub use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
