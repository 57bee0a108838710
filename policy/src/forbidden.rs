//! Why something may not go. What is not permitted is forbidden; every refusal says which rule stopped it.

use thiserror::Error;

use icomm_pki::{MemberId, Role};

use crate::agreement::AgreementId;
use crate::book::Standing;
use crate::cedar::question::EvaluationError;
use crate::class::InvalidClass;

/// Why a record, or a whole log, may not go to a receiver. The texts quote nothing of a record but its class.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Forbidden {
    /// The trust bundle does not know one of those concerned.
    #[error("the trust bundle does not know the member `{0}`")]
    UnknownMember(MemberId),
    /// The receiver's certificate and the directory say different things.
    #[error("`{member}` shows the role {claimed}, but the trust bundle says {known}")]
    OtherRole {
        /// The receiver.
        member: MemberId,
        /// The role in its certificate.
        claimed: Role,
        /// The role in the directory.
        known: Role,
    },
    /// A member's own records are not sent to it.
    #[error("`{0}` would be sent its own records")]
    OwnRecords(MemberId),
    /// No agreement has a grant in this direction.
    #[error("no agreement gives `{to}` anything from `{from}`")]
    NoAgreement {
        /// Who would send.
        from: MemberId,
        /// Who would receive.
        to: MemberId,
    },
    /// There are grants in this direction, but none is in force.
    #[error(
        "no agreement that gives `{to}` anything from `{from}` is in force: {}",
        standings(agreements)
    )]
    NotInForce {
        /// Who would send.
        from: MemberId,
        /// Who would receive.
        to: MemberId,
        /// Every version with such a grant, and why it does not count.
        agreements: Vec<(AgreementId, u32, Standing)>,
    },
    /// The originator does not let the holder pass records on to this receiver.
    #[error("`{origin}` does not let `{holder}` pass its records on to `{receiver}`")]
    NotOnward {
        /// The originator.
        origin: MemberId,
        /// Who holds the records.
        holder: MemberId,
        /// Who would receive them.
        receiver: MemberId,
    },
    /// It does so only record by record, and no consent counts for this one.
    #[error(
        "`{origin}` lets `{holder}` pass its records on to `{receiver}` by consent only, and none counts; ask with \
         `icomm consent ask`"
    )]
    ConsentNeeded {
        /// The originator.
        origin: MemberId,
        /// Who holds the records.
        holder: MemberId,
        /// Who would receive them.
        receiver: MemberId,
    },
    /// The record belongs to an operation, and its originator has not approved that it goes to the global node.
    #[error(
        "records of the operation `{operation}` go to the global node `{receiver}` with the approval of `{origin}` only, and \
         none counts; ask with `icomm consent ask`"
    )]
    ApprovalNeeded {
        /// The originator.
        origin: MemberId,
        /// The operation.
        operation: String,
        /// The global node.
        receiver: MemberId,
    },
    /// The originator does not let the holder pass records on to the global node.
    #[error("`{origin}` does not let `{holder}` pass its records on to the global node `{receiver}`")]
    NotUpstream {
        /// The originator.
        origin: MemberId,
        /// Who holds the records.
        holder: MemberId,
        /// The global node.
        receiver: MemberId,
    },
    /// What the originator lets the holder use records for is nothing that the receiver may use them for.
    #[error("`{origin}` and `{holder}` allow `{receiver}` no purpose in common")]
    NoCommonPurpose {
        /// The originator.
        origin: MemberId,
        /// Who holds the records.
        holder: MemberId,
        /// Who would receive them.
        receiver: MemberId,
    },
    /// The entry discloses no class to decide on: the holder was not shown it, or it is no entry with sections.
    #[error("the holder knows nothing of the record that could be decided on")]
    NoClass,
    /// The class can't be decided on.
    #[error(transparent)]
    Class(#[from] InvalidClass),
    /// Grants are in force, but none covers a record of this class.
    #[error("no legal basis covers `{from} → {to}` for this {kind} ({handling}, {categories})")]
    NotCovered {
        /// Who would send.
        from: MemberId,
        /// Who would receive.
        to: MemberId,
        /// The record's kind.
        kind: &'static str,
        /// Its handling code.
        handling: &'static str,
        /// Its commodity categories.
        categories: String,
    },
    /// A national law forbids it.
    #[error("national law forbids it: {}", policies.join(", "))]
    Law {
        /// The policies that forbid it, `law:NAME/POLICY`.
        policies: Vec<String>,
    },
    /// A policy could not be evaluated.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// What was a policy of an agreement can't be put together any more; a fault of this program.
    #[error("the policies of this direction can't be put together: {0}")]
    Assembly(String),
}

fn standings(agreements: &[(AgreementId, u32, Standing)]) -> String {
    let one = |(id, version, standing): &(AgreementId, u32, Standing)| format!("`{id}` version {version} {standing}");
    agreements.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl Forbidden {
    /// A stable code, for a peer, a metric or a script.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownMember(_) => "unknown-member",
            Self::OtherRole { .. } => "other-role",
            Self::OwnRecords(_) => "own-records",
            Self::NoAgreement { .. } => "no-agreement",
            Self::NotInForce { .. } => "not-in-force",
            Self::NotOnward { .. } => "not-onward",
            Self::ConsentNeeded { .. } => "consent-needed",
            Self::ApprovalNeeded { .. } => "approval-needed",
            Self::NotUpstream { .. } => "not-upstream",
            Self::NoCommonPurpose { .. } => "no-common-purpose",
            Self::NoClass => "no-class",
            Self::Class(_) => "class-undecidable",
            Self::NotCovered { .. } => "not-covered",
            Self::Law { .. } => "national-law",
            Self::Evaluation(_) => "evaluation-failed",
            Self::Assembly(_) => "policy-broken",
        }
    }
}
