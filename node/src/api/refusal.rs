//! Every error of the node as a gRPC status, by whose fault it is:
//!
//! | whose | code | what the caller can do |
//! |---|---|---|
//! | the caller's | `INVALID_ARGUMENT`, `NOT_FOUND`, `OUT_OF_RANGE` | send something else |
//! | the state of things (an agreement that does not count, say) | `FAILED_PRECONDITION` | change that first |
//! | the operator's (a full disk) | `RESOURCE_EXHAUSTED` | try again when mended |
//! | the disk's | `DATA_LOSS`, `UNAVAILABLE` | call the operator |
//! | ours | `INTERNAL` | report it |
//!
//! The caller is this member's own program, so messages say everything that helps; they quote no record.

use icomm_policy::NotSigned;
use icomm_proto::log::ProofError as InclusionError;
use tonic::{Code, Status};

use crate::{
    backup::{BackupError, PackError},
    causes::chain,
    core::{
        delivery::DeliveryError,
        exchange::{FinishError, NotCleared},
        law::AdoptError,
        ledger::{BeginError, InvalidLedger},
    },
    issuer::IssueError,
    link::InvalidParcel,
    node::{
        AgreementError, AttachError, ConsentError, CorrectError, DisclosuresError, ExportParcelError, HoldingsError,
        ImportParcelError, ProofError, RestrictedError, RetentionError, SubmitError,
    },
    sessions::PostError,
    store::StoreError,
};

/// The caller sent something that can't be read.
pub(super) fn unreadable(error: &dyn std::error::Error) -> Status {
    Status::invalid_argument(chain(error))
}

/// There is no such thing here.
pub(super) fn unknown(what: &str, name: &str) -> Status {
    Status::not_found(format!("there is no {what} `{name}` here"))
}

impl From<SubmitError> for Status {
    fn from(error: SubmitError) -> Self {
        let code = match &error {
            SubmitError::TooMany(_) | SubmitError::Draft { .. } => Code::InvalidArgument,
            SubmitError::Issue(issue) => of_issue(issue),
            SubmitError::Holdings(holdings) => of_holdings(holdings),
            SubmitError::Stopped => Code::Unavailable,
        };
        Self::new(code, chain(&error))
    }
}

impl From<HoldingsError> for Status {
    fn from(error: HoldingsError) -> Self {
        Self::new(of_holdings(&error), chain(&error))
    }
}

impl From<AgreementError> for Status {
    fn from(error: AgreementError) -> Self {
        let code = match &error {
            AgreementError::Invalid(_) => Code::InvalidArgument,
            AgreementError::NotSigned(not_signed) => of_not_signed(not_signed),
            AgreementError::Adopt(adopt) => of_adopt(adopt),
            AgreementError::Unknown(_) | AgreementError::UnknownMember(_) | AgreementError::UnknownRecord(_) => {
                Code::NotFound
            }
            AgreementError::Holdings(holdings) => of_holdings(holdings),
        };
        Self::new(code, chain(&error))
    }
}

impl From<ConsentError> for Status {
    fn from(error: ConsentError) -> Self {
        let code = match &error {
            ConsentError::Word(_) | ConsentError::WhichAgreement(_) | ConsentError::Ambiguous(_) => {
                Code::InvalidArgument
            }
            ConsentError::UnknownRecord(_) | ConsentError::UnknownMember(_) | ConsentError::Unknown(_) => {
                Code::NotFound
            }
            ConsentError::OwnRecord(_)
            | ConsentError::NotGlobal(_)
            | ConsentError::NotHeld(_)
            | ConsentError::Forbidden(_)
            | ConsentError::TooMuch { .. }
            | ConsentError::OtherAgreement { .. }
            | ConsentError::NotOurs(_)
            | ConsentError::Answered(_)
            | ConsentError::NotApproved
            | ConsentError::Unasked(_) => Code::FailedPrecondition,
            ConsentError::Adopt(adopt) => of_adopt(adopt),
            ConsentError::Holdings(holdings) => of_holdings(holdings),
        };
        Self::new(code, chain(&error))
    }
}

impl From<DisclosuresError> for Status {
    fn from(error: DisclosuresError) -> Self {
        let code = match &error {
            DisclosuresError::Store(store) => of_store(store),
            DisclosuresError::Unreadable { .. } => Code::DataLoss,
        };
        Self::new(code, chain(&error))
    }
}

impl From<RetentionError> for Status {
    fn from(error: RetentionError) -> Self {
        let code = match &error {
            RetentionError::Delivery(DeliveryError::Store(store)) => of_store(store),
            RetentionError::Delivery(_) => Code::DataLoss,
            RetentionError::Busy => Code::Aborted,
        };
        Self::new(code, chain(&error))
    }
}

impl From<RestrictedError> for Status {
    fn from(error: RestrictedError) -> Self {
        let code = match &error {
            RestrictedError::Reader => Code::InvalidArgument,
            RestrictedError::Nothing(_) => Code::NotFound,
            RestrictedError::Holdings(holdings) => of_holdings(holdings),
            RestrictedError::Note(store) => of_store(store),
            RestrictedError::Encoding(_) => Code::Internal,
        };
        Self::new(code, chain(&error))
    }
}

impl From<ProofError> for Status {
    fn from(error: ProofError) -> Self {
        let code = match &error {
            ProofError::Recipient => Code::InvalidArgument,
            ProofError::UnknownRecord(_) => Code::NotFound,
            ProofError::Recalling(_) | ProofError::HeldBack { .. } => Code::Aborted,
            ProofError::NotAllowed { .. } | ProofError::Sections { .. } | ProofError::UnknownMember(_) => {
                Code::FailedPrecondition
            }
            ProofError::Holdings(holdings) => of_holdings(holdings),
            ProofError::Inclusion(InclusionError::Source(store)) | ProofError::Note(store) => of_store(store),
            ProofError::Inclusion(_) | ProofError::Checkpoint(_) => Code::DataLoss,
            ProofError::Encoding(_) => Code::Internal,
        };
        Self::new(code, chain(&error))
    }
}

impl From<CorrectError> for Status {
    fn from(error: CorrectError) -> Self {
        let code = match &error {
            CorrectError::Draft(_) | CorrectError::Kind { .. } => Code::InvalidArgument,
            CorrectError::NotOwn(_) | CorrectError::NoPhoto { .. } => Code::NotFound,
            CorrectError::Recalled(_) | CorrectError::Versions(_) => Code::FailedPrecondition,
            CorrectError::Holdings(holdings) => of_holdings(holdings),
            CorrectError::Issue(issue) => of_issue(issue),
            CorrectError::Trace(store) => of_store(store),
            CorrectError::Stopped => Code::Unavailable,
        };
        Self::new(code, chain(&error))
    }
}

impl From<AttachError> for Status {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::Submit(submit) => submit.into(),
            AttachError::Correct(correct) => correct.into(),
            AttachError::Store(store) => Self::new(of_store(&store), chain(&store)),
            AttachError::Refused { .. } | AttachError::Draft(_) => Self::invalid_argument(chain(&error)),
            AttachError::Stopped => Self::unavailable(chain(&error)),
        }
    }
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        Self::new(of_store(&error), chain(&error))
    }
}

impl From<ExportParcelError> for Status {
    fn from(error: ExportParcelError) -> Self {
        let code = match &error {
            ExportParcelError::UnknownMember(_) | ExportParcelError::UnknownNode { .. } => Code::NotFound,
            ExportParcelError::WhichNode { .. } => Code::InvalidArgument,
            ExportParcelError::BundleExpired => Code::FailedPrecondition,
            // The parcel goes to the caller, who hung up.
            ExportParcelError::Post(PostError::Parcel(_)) => Code::Cancelled,
            ExportParcelError::Post(PostError::Closed { .. }) => Code::FailedPrecondition,
            ExportParcelError::Post(PostError::Store(store)) => of_store(store),
        };
        Self::new(code, chain(&error))
    }
}

impl From<ImportParcelError> for Status {
    fn from(error: ImportParcelError) -> Self {
        let code = match &error {
            ImportParcelError::Invalid(invalid) | ImportParcelError::Post(PostError::Parcel(invalid)) => {
                match invalid {
                    InvalidParcel::Unreadable(_) => Code::Unavailable,
                    InvalidParcel::Addressee { .. } | InvalidParcel::Sender(_) => Code::FailedPrecondition,
                    _ => Code::InvalidArgument,
                }
            }
            ImportParcelError::Post(PostError::Closed { .. }) => Code::FailedPrecondition,
            ImportParcelError::Post(PostError::Store(store)) => of_store(store),
        };
        Self::new(code, chain(&error))
    }
}

impl From<FinishError> for Status {
    fn from(error: FinishError) -> Self {
        let code = match &error {
            FinishError::Store(store) => of_store(store),
            _ => Code::FailedPrecondition,
        };
        Self::new(code, chain(&error))
    }
}

impl From<BeginError> for Status {
    fn from(error: BeginError) -> Self {
        let code = match &error {
            BeginError::Ledger(InvalidLedger::Store(store)) => of_store(store),
            BeginError::NotNeeded | BeginError::Ledger(_) => Code::FailedPrecondition,
        };
        Self::new(code, chain(&error))
    }
}

impl From<BackupError> for Status {
    fn from(error: BackupError) -> Self {
        let code = match &error {
            BackupError::Recipients(_) => Code::InvalidArgument,
            BackupError::Pack(PackError::Sealing(_)) => Code::InvalidArgument,
            BackupError::Unreadable { .. } => Code::FailedPrecondition,
            BackupError::Store(store) => of_store(store),
            // The backup goes to the caller, who hung up.
            BackupError::Pack(PackError::Write(_)) => Code::Cancelled,
            BackupError::Pack(PackError::Key(_)) | BackupError::Manifest(_) => Code::Internal,
        };
        Self::new(code, chain(&error))
    }
}

impl From<AdoptError> for Status {
    fn from(error: AdoptError) -> Self {
        Self::new(of_adopt(&error), chain(&error))
    }
}

fn of_issue(error: &IssueError) -> Code {
    match error {
        IssueError::Store(store) => of_store(store),
        IssueError::TooMuch { .. } => Code::ResourceExhausted,
        IssueError::Append(_) => Code::Internal,
        IssueError::NotCleared(NotCleared::Asking) | IssueError::Key(_) | IssueError::Stopped => Code::Unavailable,
        IssueError::NotCleared(_) => Code::FailedPrecondition,
    }
}

fn of_holdings(error: &HoldingsError) -> Code {
    match error {
        HoldingsError::Store(store) => of_store(store),
        HoldingsError::View(_) | HoldingsError::Missing(_) => Code::DataLoss,
        HoldingsError::UnknownLog(_) => Code::NotFound,
    }
}

fn of_adopt(error: &AdoptError) -> Code {
    match error {
        AdoptError::UnknownKind => Code::InvalidArgument,
        AdoptError::NotSigned(not_signed) => of_not_signed(not_signed),
        AdoptError::Refused(_) | AdoptError::Bundle(_) => Code::FailedPrecondition,
        AdoptError::UnknownAgreement(_) => Code::NotFound,
        AdoptError::Consent(_) => Code::FailedPrecondition,
        AdoptError::Store(store) => of_store(store),
    }
}

fn of_not_signed(error: &NotSigned) -> Code {
    match error {
        NotSigned::Stranger(_) => Code::InvalidArgument,
        NotSigned::Encoding(_) => Code::Internal,
        NotSigned::Key(_) => Code::Unavailable,
    }
}

fn of_store(error: &StoreError) -> Code {
    match error {
        StoreError::Full => Code::ResourceExhausted,
        StoreError::Damaged(_) | StoreError::Photo(_) | StoreError::Keys(_) | StoreError::WrongKey => Code::DataLoss,
        StoreError::Failed(_) | StoreError::Io { .. } | StoreError::Closed => Code::Unavailable,
        StoreError::NotHeld { .. } => Code::OutOfRange,
        // The node itself puts batches together.
        StoreError::Invalid(_) | StoreError::OutOfPlace { .. } => Code::Internal,
    }
}
