//! Why the book does not take a document.

use thiserror::Error;

use icomm_pki::MemberId;

use crate::agreement::{AgreementId, InvalidAgreement, InvalidSignatures, InvalidStatement};

/// Why the book does not take a document. [`Refusal::code`] is what a peer is told.
#[derive(Debug, Error)]
pub enum Refusal {
    /// It is no agreement.
    #[error(transparent)]
    Agreement(#[from] InvalidAgreement),
    /// Its signatures don't make it binding: one-sided, unsigned, a bad signature, an unknown party …
    #[error(transparent)]
    Signatures(#[from] InvalidSignatures),
    /// It is no suspension or acknowledgement, or not rightly signed.
    #[error(transparent)]
    Statement(#[from] InvalidStatement),
    /// The book's owner is not a party, so it is none of its business.
    #[error("`{owner}` is not a party to the agreement `{agreement}`")]
    NotOurs {
        /// The agreement.
        agreement: AgreementId,
        /// Whose book it is.
        owner: MemberId,
    },
    /// Its last day was over before it arrived.
    #[error("`{agreement}` version {version} is over; sign a new version")]
    Expired {
        /// The agreement.
        agreement: AgreementId,
        /// Its version.
        version: u32,
    },
    /// The book has a higher version.
    #[error(
        "`{agreement}` version {version} is older than version {highest}, which was adopted; versions never go back"
    )]
    OlderVersion {
        /// The agreement.
        agreement: AgreementId,
        /// The version that came.
        version: u32,
        /// The version that the book has.
        highest: u32,
    },
    /// The book has this version with another text.
    #[error("`{agreement}` version {version} was adopted with another text; a changed text needs a higher version")]
    OtherText {
        /// The agreement.
        agreement: AgreementId,
        /// The version.
        version: u32,
    },
    /// A party to the version before is not a party to this one, and so has not signed the change.
    #[error(
        "`{agreement}` version {version} drops {}, which have not signed the change; a party leaves by a version that \
         all sign and that gives it no grant",
        dropped.iter().map(|member| format!("`{member}`")).collect::<Vec<_>>().join(", ")
    )]
    PartiesDropped {
        /// The agreement.
        agreement: AgreementId,
        /// The version that came.
        version: u32,
        /// Who is missing.
        dropped: Vec<MemberId>,
    },
    /// Somebody else's agreement.
    #[error("`{member}` has no say here: it is not a party to `{agreement}`, or it is its own suspension")]
    NotParty {
        /// The agreement.
        agreement: AgreementId,
        /// Who signed the statement.
        member: MemberId,
    },
    /// An acknowledgement of nothing.
    #[error("`{agreement}` is not suspended by that member in that version, so there is nothing to acknowledge")]
    NotSuspended {
        /// The agreement.
        agreement: AgreementId,
    },
    /// More than [`super::AGREEMENTS_MAX`].
    #[error("the book is full: {} agreements", super::AGREEMENTS_MAX)]
    TooManyAgreements,
    /// More than [`super::AWAITED_PER_MEMBER_MAX`].
    #[error(
        "`{member}` has suspended {} agreements that never arrived",
        super::AWAITED_PER_MEMBER_MAX
    )]
    TooManyAwaited {
        /// Who suspended them.
        member: MemberId,
    },
    /// More than [`super::VERSIONS_MAX`].
    #[error("`{agreement}` has {} versions already; begin a new agreement", super::VERSIONS_MAX)]
    TooManyVersions {
        /// The agreement.
        agreement: AgreementId,
    },
}

impl Refusal {
    /// A stable code, for a peer, a metric or a script.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Agreement(InvalidAgreement::Faults(_)) => "agreement-faulty",
            Self::Agreement(_) => "agreement-unreadable",
            Self::Signatures(invalid) => match invalid {
                InvalidSignatures::Unsigned => "unsigned",
                InvalidSignatures::OneSided { .. } => "one-sided",
                InvalidSignatures::Stranger { .. } => "signed-by-stranger",
                InvalidSignatures::UnknownParty { .. } => "unknown-party",
                InvalidSignatures::BadSignature { .. } => "bad-signature",
                InvalidSignatures::OtherText => "other-text",
                InvalidSignatures::BeyondOpen { .. } => "beyond-open",
                InvalidSignatures::Grant { .. } => "grant-undecidable",
            },
            Self::Statement(InvalidStatement::UnknownMember(_)) => "unknown-party",
            Self::Statement(InvalidStatement::BadSignature(_)) => "bad-signature",
            Self::Statement(_) => "statement-unreadable",
            Self::NotOurs { .. } => "not-ours",
            Self::Expired { .. } => "expired",
            Self::OlderVersion { .. } => "older-version",
            Self::OtherText { .. } => "other-text",
            Self::PartiesDropped { .. } => "parties-dropped",
            Self::NotParty { .. } => "not-a-party",
            Self::NotSuspended { .. } => "not-suspended",
            Self::TooManyAgreements | Self::TooManyAwaited { .. } | Self::TooManyVersions { .. } => "too-many",
        }
    }
}
