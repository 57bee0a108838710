//! Keys: the member's signing key, the node's two transport keys, and the signatures that they make.
//!
//! A member speaks with one Ed25519 key ([`MemberKey`]); every signature names the [`Domain`] it was made for, so that
//! none can be shown as another. A node proves itself with a P-256 key on TLS and an Ed25519 key on libp2p
//! ([`NodeKey`]). Secrets are wiped when dropped and never printed.

use thiserror::Error;

mod backup;
mod member;
mod node;
mod signature;
mod token;

pub use backup::{BackupKey, BackupRecipient, InvalidBackupKey};
pub use libp2p_identity::PeerId;
pub use member::{MemberKey, MemberPublicKey};
pub use node::NodeKey;
pub(crate) use node::TlsKey;
pub(crate) use signature::decode_base64;
pub use signature::{Domain, Signature};
pub use token::{SigningError, Token};

/// Why a text or some bytes are not a usable key.
#[derive(Debug, Error)]
pub enum InvalidKey {
    /// No PEM block of the wanted kind, or a broken one.
    #[error("no readable `PRIVATE KEY` block in the PEM text; is this the right file?")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// The PEM file has more or fewer keys than it should.
    #[error("{found} private keys in the PEM text, {expected} expected")]
    Count {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// PKCS#8 that is broken or of another algorithm than wanted.
    #[error("not {wanted} key in PKCS#8 form")]
    Algorithm {
        /// The wanted kind of key, with its article.
        wanted: &'static str,
    },
    /// Not 32 bytes that encode, in the one canonical way, a point that is safe to verify with.
    #[error("not an Ed25519 public key: not a canonical point of full order")]
    Point,
    /// Not as many bytes as this kind of key or signature has, or not base64.
    #[error("not {expected} bytes in base64")]
    Base64 {
        /// How many bytes were expected.
        expected: usize,
    },
    /// The operating system gave no randomness, or the crypto library refused to make a key.
    #[error("can't generate a key: the system's source of randomness failed")]
    Generation,
}

/// The signature does not fit the message, the domain or the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the signature is not the key's signature over this message in this domain")]
pub struct InvalidSignature;

#[cfg(test)]
mod tests;
