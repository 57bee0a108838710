//! Identities, certificates, trust bundle and revocation: who is who in the network, and how it is proved.
//!
//! Nothing here does I/O. Keys and certificates come in and go out as PEM text, time and (but for key generation)
//! randomness are arguments, so every rule is tested without a socket, a file or a clock.
//!
//! # A whole network in a few lines
//!
//! ```
//! use icomm_pki::*;
//! use time::{Duration, macros::datetime};
//!
//! let now = datetime!(2026-11-23 12:00 UTC);
//! let year = Validity::days(now, 365)?;
//! let domain: TrustDomain = "demo.icomm.example".parse()?;
//! let [wco, office, kenya]: [MemberId; 3] = ["WCO".parse()?, "RILO-ESA".parse()?, "KE".parse()?];
//!
//! // The root, and a regional authority that may certify Kenya and nobody else.
//! let root = Authority::root(&domain, &wco, AuthorityKey::generate()?, Validity::days(now, 3650)?)?;
//! let office_key = AuthorityKey::generate()?;
//! let asked = AuthorityRequest::new(&office_key, &domain, &office)?;
//! let regional = Authority::new(office_key, root.certify(&asked, &[kenya.clone()], Validity::days(now, 1825)?)?)?;
//!
//! // Each member makes its keys and asks; the authority answers with certificates.
//! let enrol = |authority: &Authority, member: &MemberId, role| -> Result<_, Box<dyn std::error::Error>> {
//!     let (member_key, node_key) = (MemberKey::generate()?, NodeKey::generate()?);
//!     let request = EnrolmentRequest::new(&domain, member, &"node1".parse()?, &member_key, &node_key)?;
//!     Ok(NodeCredentials::new(authority.issue(&request, role, year)?, member_key, node_key)?)
//! };
//! let global = enrol(&root, &wco, Role::Global)?;
//! let hub = enrol(&root, &office, Role::Regional)?;
//! let node = enrol(&regional, &kenya, Role::National)?;
//!
//! // The global member publishes who is who, and everybody checks it against the root that he pinned.
//! let mut bundle = TrustBundle::new(1, domain, root.certificate().der().clone(), now, now + Duration::days(30));
//! bundle.intermediates.push(regional.certificate().der().clone());
//! bundle.revocation_lists.push(root.revocation_list(None, &[], year)?);
//! bundle.revocation_lists.push(regional.revocation_list(None, &[], year)?);
//! bundle.members.push(Listing::new(global.enrolment(), vec![], vec!["tls://wco.example:7443".into()]));
//! bundle.members.push(Listing::new(hub.enrolment(), vec![], vec!["tls://rilo.example:7443".into()]));
//! bundle.members.push(Listing::new(node.enrolment(), vec![office], vec![]));
//! let signed = bundle.sign(&wco, global.member_key())?;
//! let bundle = VerifiedBundle::verify(&signed, root.certificate().der(), now, 0)?;
//!
//! let peer = authenticate(&node.node_chain(), &bundle, now)?;
//! assert_eq!((peer.member(), peer.role()), (&kenya, Role::National));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

mod authority;
mod bundle;
mod certificate;
mod credentials;
mod enrolment;
pub mod key;
pub mod name;
mod path;
mod peer;
mod pem;
mod revocation;
mod sealing;
pub mod tls;
mod trust;
mod validity;

pub use authority::{
    Authority, AuthorityKey, AuthorityRequest, InvalidAuthority, InvalidAuthorityRequest, IssueError,
    REGION_MEMBERS_MAX,
};
pub use bundle::{
    ADDRESS_BYTES_MAX, ADDRESSES_MAX, BUNDLE_BYTES_MAX, BeyondHandover, BundleError, CODE_LISTS_MAX, Digest32,
    DirectoryEntry, FORMER_KEYS_MAX, FormerKey, FormerListing, HANDOVER_DOCUMENTS_MAX, HANDOVER_LOGS_MAX, Handover,
    InvalidBundle, InvalidDirectory, Listing, LogEnd, MEMBERS_MAX, MemberKeys, NODES_MAX, NodeEntry, Quorum,
    REGIONS_MAX, TrustBundle, VerifiedBundle,
};
pub use certificate::{
    AuthorityCertificate, AuthorityKind, CERTIFICATE_BYTES_MAX, CHAIN_LENGTH_MAX, Expiring, Expiry, Fingerprint,
    InvalidCertificate, MemberCertificate, NodeCertificate, Serial,
};
pub use credentials::{InvalidCredentials, NodeCredentials};
pub use enrolment::{
    Enrolment, EnrolmentRequest, HandoverStatement, InvalidEnrolment, InvalidHandover, InvalidRequest,
    REQUEST_BYTES_MAX,
};
pub use key::{
    BackupKey, BackupRecipient, Domain, InvalidBackupKey, InvalidKey, InvalidSignature, MemberKey, MemberPublicKey,
    NodeKey, PeerId, Signature, SigningError, Token,
};
pub use name::{InvalidName, MemberId, NodeName, Role, TrustDomain};
pub use path::{InvalidMemberPath, MemberPath};
pub use peer::{InvalidPeer, PeerIdentity, authenticate, authenticate_libp2p};
pub use revocation::{
    InvalidReason, InvalidRevocationList, REVOCATION_LIST_BYTES_MAX, Revocation, RevocationList, RevocationReason,
};
/// The DER types that certificates and revocation lists travel in, as rustls understands them.
pub use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
pub use sealing::{
    ENCAPSULATED_BYTES, Opener, SEAL_BYTES, Sealer, SealingError, seal_to, seal_to_recipient, verify_by,
};
pub use trust::{INTERMEDIATES_MAX, InvalidPath, InvalidTrust};
pub use validity::{CLOCK_SKEW_MAX, InvalidValidity, Validity, moment_at};
