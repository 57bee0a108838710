//! The trust bundle: all that a node must believe about who is who, in one signed, versioned, expiring document.
//!
//! ```text
//! {"format":"icomm-bundle/v1","version":7,…}          one line: the document, compact JSON in one spelling only
//! {"member":"WCO","signature":"…base64…"}             one line: the signature of a global member over the first line
//! ```
//!
//! The global member publishes it ([`TrustBundle::sign`]), hubs relay its bytes unchanged, every node checks it against
//! the root certificate that its operator pinned ([`VerifiedBundle::verify`]). A node never goes back to an older
//! version; when its bundle expires, it authenticates nobody.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::OffsetDateTime;

use crate::{
    MemberId, Role, Signature,
    certificate::InvalidCertificate,
    revocation::InvalidRevocationList,
    trust::{InvalidPath, InvalidTrust},
};

mod directory;
mod document;
mod keys;
mod quorum;
mod verified;

pub use directory::{DirectoryEntry, InvalidDirectory, NodeEntry};
pub use document::{FormerListing, Listing, TrustBundle};
pub use keys::{
    BeyondHandover, Digest32, FORMER_KEYS_MAX, FormerKey, HANDOVER_DOCUMENTS_MAX, HANDOVER_LOGS_MAX, Handover, LogEnd,
    MemberKeys,
};
pub use quorum::Quorum;
pub use verified::VerifiedBundle;

/// The largest bundle that is read, in bytes: some thousand members.
pub const BUNDLE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most members of a network.
pub const MEMBERS_MAX: usize = 1024;
/// The most nodes of one member.
pub const NODES_MAX: usize = 16;
/// The most addresses of one node.
pub const ADDRESSES_MAX: usize = 16;
/// The longest address, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 256;
/// The most regions that a member may belong to.
pub const REGIONS_MAX: usize = 8;
/// The most code lists whose version a bundle may name.
pub const CODE_LISTS_MAX: usize = 64;

const FORMAT: &str = "icomm-bundle/v1";

/// The second line of a signed bundle.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureLine {
    member: MemberId,
    signature: Signature,
}

/// Why a trust bundle is refused.
#[derive(Debug, Error)]
pub enum InvalidBundle {
    /// More than [`BUNDLE_BYTES_MAX`].
    #[error("the trust bundle has {bytes} bytes, more than {BUNDLE_BYTES_MAX}")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// Not two lines, or not the JSON of a bundle and a signature.
    #[error("the trust bundle is not readable")]
    Encoding(#[source] Option<serde_json::Error>),
    /// Another format than ours.
    #[error("the trust bundle has the format `{0}`, this program reads `{FORMAT}`; is it out of date?")]
    Format(String),
    /// The same content written in another way.
    #[error("the trust bundle is not in its canonical spelling")]
    NotCanonical,
    /// A certificate in it does not have the profile of its place.
    #[error("the trust bundle's {place} certificate can't be used")]
    Certificate {
        /// `root`, `intermediate` or a member's id.
        place: String,
        /// What is wrong with it.
        source: InvalidCertificate,
    },
    /// A revocation list in it does not have the profile.
    #[error("a revocation list of the trust bundle can't be used")]
    RevocationList(#[from] InvalidRevocationList),
    /// Its root is not the pinned one.
    #[error("the trust bundle's root is not the one that this node trusts; is the bundle of another network?")]
    OtherRoot,
    /// Its authorities and lists don't fit together.
    #[error("the trust bundle's authorities can't be used")]
    Trust(#[from] InvalidTrust),
    /// The trust domain is not the root's.
    #[error("the trust bundle is for another trust domain than its root")]
    TrustDomain,
    /// The signer is no member of the directory.
    #[error("the trust bundle is signed by `{0}`, who is no member")]
    UnknownSigner(MemberId),
    /// The signer is not a global member.
    #[error("the trust bundle is signed by `{member}`, a {role} member; only a global member may")]
    SignerNotGlobal {
        /// Who signed.
        member: MemberId,
        /// The signer's role.
        role: Role,
    },
    /// The signer's certificate does not count.
    #[error("the certificate of the trust bundle's signer can't be used")]
    SignerPath(#[source] InvalidPath),
    /// The signature does not fit.
    #[error("the trust bundle's signature is wrong: it was changed, or somebody else signed it")]
    Signature,
    /// It has expired.
    #[error("the trust bundle expired {expired}; get a newer one")]
    Expired {
        /// When.
        expired: OffsetDateTime,
    },
    /// It is from the future.
    #[error("the trust bundle was issued {issued}, which is in the future; is this machine's clock right?")]
    NotYetIssued {
        /// When it says it was issued.
        issued: OffsetDateTime,
    },
    /// It is older than what the node has seen.
    #[error("the trust bundle has version {version}, this node has seen version {at_least}")]
    Older {
        /// The bundle's version.
        version: u64,
        /// The version that it must not be below.
        at_least: u64,
    },
    /// A second bundle with a version that the node has seen with other content.
    #[error("there are two trust bundles of version {version}; the root must be asked which one is true")]
    Fork {
        /// The version.
        version: u64,
    },
    /// It asks for more witnesses than it lists.
    #[error("the trust bundle asks for a quorum of {asked}, and lists {listed} regional and global members")]
    Quorum {
        /// What it asks for.
        asked: Quorum,
        /// What there is.
        listed: usize,
    },
    /// The directory contradicts itself.
    #[error("the trust bundle's directory can't be used")]
    Directory(#[from] InvalidDirectory),
}

/// Why a bundle can't be signed.
#[derive(Debug, Error)]
pub enum BundleError {
    /// It would be refused by everybody.
    #[error("the trust bundle would be refused by every node")]
    Refused(#[from] InvalidBundle),
    /// Encoding failed: our fault.
    #[error("the trust bundle could not be encoded; this is a fault of icomm")]
    Encoding(#[source] serde_json::Error),
    /// The publisher's key does not sign.
    #[error(transparent)]
    Signing(#[from] crate::SigningError),
}
