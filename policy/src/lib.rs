//! Policy: what may go to whom, and why.
//!
//! | module | job |
//! |---|---|
//! | [`agreement`] | documents that parties sign: terms, checks, signatures, suspension |
//! | [`directory`] | who is who, as the trust bundle says |
//!
//! Nothing here does I/O or reads a clock: documents come in as bytes, time as seconds since 1970.
#![warn(missing_docs)]

pub mod agreement;
mod cedar;
mod class;
pub mod directory;

pub use agreement::{
    Acknowledgement, Agreement, AgreementId, Digest, InvalidAgreement, InvalidSignatures, InvalidStatement, Ratified,
    Signed, SignedAgreement, Suspension, Verified,
};
pub use cedar::condition::{CONDITION_BYTES_MAX, InvalidCondition};
pub use cedar::grant::{GrantRef, InvalidGrant};
pub use cedar::overlay::{InvalidOverlay, OVERLAY_BYTES_MAX, OVERLAY_POLICIES_MAX, Overlay};
pub use cedar::question::EvaluationError;
pub use cedar::schema::{BrokenSchema, schema_text};
pub use class::{CLASS_BYTES_MAX, InvalidClass};
pub use directory::KeyDirectory;
