//! Enrolment: how a member and its node get certificates without any private key leaving their machine.
//!
//! The member sends an [`EnrolmentRequest`] (`icomm init` writes it), the authority compares its fingerprint with the
//! member over the telephone and answers with an [`Enrolment`]; with its own keys the node then has its
//! [`NodeCredentials`](crate::NodeCredentials). Renewal is the same exchange with the same keys; with new ones a
//! [`HandoverStatement`] follows, once the member has changed over.

mod grant;
mod handover;
mod request;

pub use grant::{Enrolment, InvalidEnrolment};
pub use handover::{HandoverStatement, InvalidHandover};
pub use request::{EnrolmentRequest, InvalidRequest, REQUEST_BYTES_MAX};
