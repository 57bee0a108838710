//! Policy: what may go to whom, and why.
//!
//! | module | job |
//! |---|---|
//! | [`agreement`] | documents that parties sign: terms, checks, signatures, suspension |
//! | [`book`] | the agreements that bind a member: versions, supersession, suspension |
//! | [`directory`] | who is who, as the trust bundle says |
//! | [`consent`] | what an originator lets a holder pass on, record by record |
//! | `cedar` | grants and national laws as Cedar policies |
//! | `lane` | what decides about one originator's records between one holder and one receiver |
//! | [`Policy`], [`SessionPolicy`] | the policy of a node, and what one link decides by |
//! | [`Revision`], [`Earlier`] | under what it was decided, and what an earlier revision gave |
//! | [`Keeping`] | how long a receiver may keep what it was given |
//! | [`Prospect`] | what an agreement would change, before anybody signs it |
//! | [`Permit`], [`Disclosed`], [`Upstream`] | permission as a value, and what a link is given |
//! | [`Explanation`] | what would go, and why |
//!
//! Nothing here does I/O or reads a clock: documents come in as bytes, time as seconds since 1970.
#![warn(missing_docs)]

pub mod agreement;
pub mod book;
mod cedar;
mod class;
pub mod consent;
mod covered;
mod decision;
pub mod directory;
mod earlier;
mod explain;
mod forbidden;
mod lane;
mod permit;
mod photo;
mod policy;
mod prospect;
mod receiving;
mod retention;
mod revision;
mod session;

pub use agreement::{
    Acknowledgement, Agreement, AgreementId, Digest, InvalidAgreement, InvalidSignatures, InvalidStatement, NotSigned,
    Ratified, Signed, SignedAgreement, Suspension, Verified,
};
pub use book::{Book, Change, DocumentKind, Refusal, Standing};
pub use cedar::condition::{CONDITION_BYTES_MAX, InvalidCondition};
pub use cedar::grant::{GrantRef, InvalidGrant};
pub use cedar::overlay::{InvalidOverlay, OVERLAY_BYTES_MAX, OVERLAY_POLICIES_MAX, Overlay};
pub use cedar::question::EvaluationError;
pub use cedar::schema::{BrokenSchema, schema_text};
pub use class::{CLASS_BYTES_MAX, InvalidClass};
pub use consent::{Consent, ConsentRefusal, ConsentRequest, ConsentSeen, Subject, Thread, Verdict};
pub use covered::Covered;
pub use decision::{Decision, Receiver, Request};
pub use directory::KeyDirectory;
pub use earlier::Earlier;
pub use explain::{ClassFacts, Explanation, GrantFate, SectionFate, Stopped};
pub use forbidden::Forbidden;
pub use permit::{Basis, Disclosed, Permit, Upstream, Way};
pub use photo::{DisclosedPhoto, DisclosedPiece};
pub use policy::Policy;
pub use prospect::{Comparison, Prospect};
pub use receiving::CLOCK_SLACK_S;
pub use retention::{Keeping, over};
pub use revision::{InvalidRevision, REVISION_BYTES_MAX, Revision};
pub use session::{PeerSession, REMEMBERED_CLASSES_MAX, SessionPolicy, UpstreamSession};
