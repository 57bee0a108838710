//! What the network's certificates say, read strictly.
//!
//! ```text
//! root           CA, path length 1                       O=<trust domain>, OU=<member>, CN=icomm root <key id>
//! intermediate   CA, path length 0, permitted DNS names  O=<trust domain>, OU=<member>, CN=icomm intermediate <key id>
//! member         Ed25519 member key, no TLS              DNS <member>.<td>
//!                                                        URI spiffe://<td>/member/<ID>/role/<role>
//! node           P-256 TLS key, server and client        DNS <node>.<member>.<td>
//!                                                        DNS <libp2p id>.peer.<member>.<td>
//!                                                        URI spiffe://<td>/member/<ID>/node/<node>/role/<role>
//! ```
//!
//! Each kind is a type whose constructor checks the whole profile: exact key usages, exact names, known extensions
//! only, one key and one signature algorithm. That a certificate reads well says nothing about who signed it;
//! signatures, dates and revocation are checked against a trust bundle ([`VerifiedBundle`](crate::VerifiedBundle)).

use std::fmt;

use rustls_pki_types::CertificateDer;
use thiserror::Error;
use time::OffsetDateTime;

mod authority;
mod leaf;
mod profile;
mod serial;

pub(crate) use authority::subject_names;
pub use authority::{AuthorityCertificate, AuthorityKind};
pub use leaf::{MemberCertificate, NodeCertificate};
pub(crate) use profile::{ed25519_bytes, p256_point};
pub use serial::Serial;

/// The largest certificate that is read, in bytes. Ours have 600 to 1,500, an intermediate with 60 members 3,000.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// The longest chain that is read, root included.
pub const CHAIN_LENGTH_MAX: usize = 4;

/// How a certificate departs from the profile of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidCertificate {
    /// More than [`CERTIFICATE_BYTES_MAX`].
    #[error("the certificate has {bytes} bytes, more than {CERTIFICATE_BYTES_MAX}")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// Not DER of an X.509 certificate, bytes after its end, or an extension that can't be read.
    #[error("the certificate is not readable as X.509")]
    Encoding,
    /// Not X.509 version 3.
    #[error("the certificate is not X.509 version 3")]
    Version,
    /// Negative, zero or longer than 20 bytes.
    #[error("the certificate's serial number is not positive or longer than 20 bytes")]
    Serial,
    /// Signed otherwise than with ECDSA on P-256 and SHA-256.
    #[error("the certificate is not signed with ECDSA P-256 and SHA-256")]
    SignatureAlgorithm,
    /// The key is not of the kind that this certificate must have.
    #[error("the certificate's key is not {expected}")]
    Key {
        /// The kind of key.
        expected: &'static str,
    },
    /// The date that it starts to count on is not before the one on which it ends.
    #[error("the certificate's validity ends before it starts")]
    Validity,
    /// An extension that our certificates don't have.
    #[error("the certificate has an extension `{oid}` that the profile does not know")]
    UnknownExtension {
        /// The object identifier.
        oid: String,
    },
    /// An extension twice.
    #[error("the certificate has the extension `{0}` twice")]
    RepeatedExtension(&'static str),
    /// An extension that is missing.
    #[error("the certificate lacks the extension `{0}`")]
    MissingExtension(&'static str),
    /// An extension that is marked critical and must not be, or the other way round.
    #[error("the certificate's extension `{0}` is critical although it must not be, or is not although it must")]
    Criticality(&'static str),
    /// An authority's certificate where a member's or a node's must be.
    #[error("the certificate is an authority's and can't stand for a member or a node")]
    IsAuthority,
    /// A member's or node's certificate where an authority's must be.
    #[error("the certificate is not an authority's")]
    NotAuthority,
    /// The path length is not 1 (root) or 0 (intermediate).
    #[error("the authority certificate's path length is not {expected}")]
    PathLength {
        /// What it must be.
        expected: u32,
    },
    /// The key usage bits are not exactly those of the kind.
    #[error("the certificate's key usage is not exactly {expected}")]
    KeyUsage {
        /// The exact set.
        expected: &'static str,
    },
    /// The extended key usage is not exactly that of the kind.
    #[error("the certificate's extended key usage is not exactly {expected}")]
    ExtendedKeyUsage {
        /// The exact set.
        expected: &'static str,
    },
    /// The names are not those that member, node and role give.
    #[error("the certificate's names don't fit its kind: {0}")]
    Names(&'static str),
    /// Name constraints where none belong, none where they do, or others than DNS names of members.
    #[error("the certificate's name constraints don't fit its kind: {0}")]
    NameConstraints(&'static str),
}

/// Prints a certificate type by its main names and not its bytes.
macro_rules! debug_certificate {
    ($name:ident { $($field:ident),+ }) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))$(.field(stringify!($field), &self.$field))+.finish_non_exhaustive()
            }
        }
    };
}
debug_certificate!(AuthorityCertificate {
    kind,
    trust_domain,
    member,
    validity
});
debug_certificate!(MemberCertificate {
    trust_domain,
    member,
    role,
    key,
    serial,
    validity
});
debug_certificate!(NodeCertificate {
    trust_domain,
    member,
    node,
    role,
    peer_id,
    serial,
    validity
});

/// What expires at some time, for health and the doctor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    /// The moment after which it counts no more.
    pub at: OffsetDateTime,
    /// What expires.
    pub what: Expiring,
}

/// The kinds of things that expire.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expiring {
    /// The trust bundle as a whole.
    Bundle,
    /// The root certificate.
    Root,
    /// The certificate of a member's intermediate authority.
    Intermediate(crate::MemberId),
    /// The revocation list of a member's authority.
    RevocationList(crate::MemberId),
    /// A member's certificate.
    Member(crate::MemberId),
    /// The certificate of a node of a member.
    Node(crate::MemberId, crate::NodeName),
}

impl fmt::Display for Expiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundle => f.write_str("trust bundle"),
            Self::Root => f.write_str("root certificate"),
            Self::Intermediate(member) => write!(f, "intermediate certificate of {member}"),
            Self::RevocationList(member) => write!(f, "revocation list of {member}"),
            Self::Member(member) => write!(f, "member certificate of {member}"),
            Self::Node(member, node) => write!(f, "node certificate of {member}/{node}"),
        }
    }
}

/// A SHA-256 over a certificate or request, in groups that people can read to each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate's DER bytes, the same that `openssl x509 -fingerprint -sha256` prints.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Self {
        Self::of(certificate)
    }

    pub(crate) fn of(bytes: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { ":" };
            write!(f, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}
