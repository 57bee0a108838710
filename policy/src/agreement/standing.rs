//! What happens to an agreement after it was signed: one party suspends it, the others acknowledge.
//!
//! ```text
//!   {"statement":{"format":"icomm-suspension/v1","agreement":"ke-ug",…},"signature":"base64"}
//! ```
//! Compact JSON; the signature is over the statement's own compact JSON, in the statement's domain.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use icomm_pki::{Digest32, Domain, MemberId, MemberKey, Signature};

use super::{NotSigned, words::AgreementId};
use crate::directory::KeyDirectory;

/// The most bytes of a signed statement.
pub const STATEMENT_BYTES_MAX: usize = 16 * 1024;

/// Something that one member signs about an agreement.
pub trait Statement: Serialize + DeserializeOwned + Clone {
    /// What its signature is about.
    const DOMAIN: Domain;

    /// Who says it, and so whose signature it needs.
    fn by(&self) -> &MemberId;
}

/// A party no longer exchanges under this version of the agreement, nor under an earlier one. It counts at once, whatever
/// the others say; only a new version, signed by all, brings the agreement back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suspension {
    /// The layout.
    pub format: SuspensionFormat,
    /// Which agreement.
    pub agreement: AgreementId,
    /// The latest version that is suspended.
    pub version: u32,
    /// The party that suspends it.
    pub by: MemberId,
    /// When it was signed, in seconds since 1970; for the record.
    pub at: u64,
    /// Why, in words.
    pub reason: String,
}

/// The layout of a suspension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SuspensionFormat {
    /// The layout of this file.
    #[serde(rename = "icomm-suspension/v1")]
    V1,
}

/// A party has seen another's suspension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    /// The layout.
    pub format: AcknowledgementFormat,
    /// Which agreement.
    pub agreement: AgreementId,
    /// The version that the suspension names.
    pub version: u32,
    /// The party that suspended it.
    pub suspended_by: MemberId,
    /// The party that acknowledges.
    pub by: MemberId,
    /// When it was signed, in seconds since 1970.
    pub at: u64,
}

/// The layout of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AcknowledgementFormat {
    /// The layout of this file.
    #[serde(rename = "icomm-acknowledgement/v1")]
    V1,
}

impl Suspension {
    /// `by` suspends `agreement` up to `version`, at `at` seconds since 1970.
    #[must_use]
    pub fn new(agreement: AgreementId, version: u32, by: MemberId, at: u64, reason: impl Into<String>) -> Self {
        Self {
            format: SuspensionFormat::V1,
            agreement,
            version,
            by,
            at,
            reason: reason.into(),
        }
    }
}

impl Acknowledgement {
    /// `by` has seen `suspension`, at `at` seconds since 1970.
    #[must_use]
    pub fn new(suspension: &Suspension, by: MemberId, at: u64) -> Self {
        let Suspension {
            agreement,
            version,
            by: suspended_by,
            ..
        } = suspension.clone();
        Self {
            format: AcknowledgementFormat::V1,
            agreement,
            version,
            suspended_by,
            by,
            at,
        }
    }
}

impl Statement for Suspension {
    const DOMAIN: Domain = Domain::Suspension;

    fn by(&self) -> &MemberId {
        &self.by
    }
}

impl Statement for Acknowledgement {
    const DOMAIN: Domain = Domain::Acknowledgement;

    fn by(&self) -> &MemberId {
        &self.by
    }
}

/// A statement and a signature, not verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed<T> {
    statement: T,
    signature: Signature,
}

/// Why a statement does not count.
#[derive(Debug, Error)]
pub enum InvalidStatement {
    /// More than [`STATEMENT_BYTES_MAX`].
    #[error("the statement has {0} bytes, more than the {STATEMENT_BYTES_MAX} allowed")]
    TooLong(usize),
    /// Not JSON, or other keys.
    #[error("the statement can't be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Readable, but not in the one form it can have.
    #[error("the statement is not in canonical form")]
    NotCanonical,
    /// A member that the trust bundle does not know.
    #[error("the trust bundle does not know `{0}`, so its signature can't be checked")]
    UnknownMember(MemberId),
    /// A signature that is not the member's over this text.
    #[error("the signature of `{0}` is not over this statement, or not with its key")]
    BadSignature(MemberId),
}

impl<T: Statement> Signed<T> {
    /// Signs `statement` with the key of its member.
    ///
    /// # Errors
    /// The key does not sign now. Statements can be written.
    pub fn sign(statement: T, key: &MemberKey) -> Result<Self, NotSigned> {
        let signature = key.sign(T::DOMAIN, &serde_json::to_vec(&statement)?)?;
        Ok(Self { statement, signature })
    }

    /// What a hand-over of the signer's key calls it, if `member` signed.
    pub(crate) fn signed_digest(&self, member: &MemberId) -> Option<Digest32> {
        let message = serde_json::to_vec(&self.statement).ok()?;
        (self.statement.by() == member).then(|| Digest32::of_signed(T::DOMAIN, &message))
    }

    /// Reads the stored and sent form.
    ///
    /// # Errors
    /// When it is no such statement, or not in the one form it can have.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidStatement> {
        if bytes.len() > STATEMENT_BYTES_MAX {
            return Err(InvalidStatement::TooLong(bytes.len()));
        }
        let parsed: Self = serde_json::from_slice(bytes)?;
        (parsed.to_bytes() == bytes)
            .then_some(parsed)
            .ok_or(InvalidStatement::NotCanonical)
    }

    /// What it says, whoever signed it.
    #[must_use]
    pub const fn statement(&self) -> &T {
        &self.statement
    }

    /// The stored and sent form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Nothing in a statement can fail to be written; if it did, the empty bytes would be refused.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// When the member is unknown or the signature not its own.
    pub fn verify(self, directory: &dyn KeyDirectory) -> Result<Verified<T>, InvalidStatement> {
        let by = self.statement.by();
        let message = serde_json::to_vec(&self.statement)?;
        directory
            .verify(by, T::DOMAIN, &message, &self.signature)
            .ok_or_else(|| InvalidStatement::UnknownMember(by.clone()))?
            .map_err(|_| InvalidStatement::BadSignature(by.clone()))?;
        Ok(Verified(self))
    }
}

/// A statement whose signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(Signed<T>);

impl<T: Statement> Verified<T> {
    /// What was said.
    #[must_use]
    pub fn statement(&self) -> &T {
        &self.0.statement
    }

    /// The statement with its signature, to store and to send.
    #[must_use]
    pub fn signed(&self) -> &Signed<T> {
        &self.0
    }
}
