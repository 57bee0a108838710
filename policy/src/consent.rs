//! Consent: an originator lets one holder pass on certain sections of one record to one member; or lets what belongs to an
//! operation go to the global node.
//!
//! ```text
//!   who asks: ConsentRequest ──▶ the originator's officer ──▶ Consent: approved, refused, later perhaps revoked
//!        ◀───────────────────────────────────────────────────────┘
//!   ConsentSeen ──▶
//! ```
//!
//! Each is a [`Statement`](crate::agreement::Statement): compact JSON, signed in a domain of its own. A record's consent is for
//! one entry of a log, named by its leaf hash: a correction is another entry, and asked for anew. A consent is never enough
//! by itself: the originator's grant to the holder has to be in force and to ask for consent, and the holder needs a grant
//! to the receiver.
//!
//! What belongs together is a *thread*: subject, holder, receiver. Answers in a thread are numbered by `version`, and a lower
//! one never follows a higher: a revocation can't be undone by showing the approval again.

mod checks;
mod held;
mod statements;
mod words;

use thiserror::Error;

use icomm_pki::MemberId;

use crate::agreement::InvalidStatement;

pub(crate) use held::{Consents, Counting, Held, HeldConsent};
pub use statements::{
    Consent, ConsentFormat, ConsentRequest, ConsentRequestFormat, ConsentSeen, ConsentSeenFormat, Verdict,
};
pub use words::{InvalidConsentWord, Officer, OperationId, REASON_CHARS_MAX, Reason, Subject, Thread};

/// The longest time for which a consent may be given, in seconds: ten years.
pub const CONSENT_SECONDS_MAX: u64 = 10 * 366 * 24 * 60 * 60;

/// Why a request for consent, or an answer to one, does not count.
#[derive(Debug, Error)]
pub enum ConsentRefusal {
    /// It can't be read, or its signature is not that of the member that it names.
    #[error(transparent)]
    Statement(#[from] InvalidStatement),
    /// It contradicts itself.
    #[error("it contradicts itself: {0}")]
    Contradiction(&'static str),
    /// Somebody answers for records of another.
    #[error("`{by}` answers for records of `{owner}`, which alone may")]
    NotOwner {
        /// Who answers.
        by: MemberId,
        /// Whose records they are.
        owner: MemberId,
    },
    /// It is for another member.
    #[error("it is for `{wanted}` and not for `{owner}`")]
    Misdirected {
        /// For whom it is.
        wanted: MemberId,
        /// To whom it came.
        owner: MemberId,
    },
    /// A later answer is known.
    #[error("it is answer {version} of its thread, and {known} is known already")]
    Older {
        /// Its version.
        version: u32,
        /// The known one.
        known: u32,
    },
    /// Another answer of the same version is known.
    #[error("another answer {0} of its thread is known already")]
    OtherAnswer(u32),
    /// Nobody here asked for it.
    #[error("it approves what was not asked for")]
    Unasked,
    /// It approves more than, or something else than, was asked for.
    #[error("it approves something else than was asked for: {0}")]
    OtherThanAsked(&'static str),
}

impl ConsentRefusal {
    /// A stable code, for a peer, a metric or a script.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Statement(InvalidStatement::BadSignature(_) | InvalidStatement::UnknownMember(_)) => "forged-consent",
            Self::Statement(_) | Self::Contradiction(_) => "malformed-consent",
            Self::NotOwner { .. } => "not-the-owner",
            Self::Misdirected { .. } => "misdirected-consent",
            Self::Older { .. } => "older-consent",
            Self::OtherAnswer(_) => "other-consent",
            Self::Unasked => "unasked-consent",
            Self::OtherThanAsked(_) => "beyond-request",
        }
    }
}

#[cfg(test)]
mod tests;
