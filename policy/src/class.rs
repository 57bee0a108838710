//! What a decision is about: the class of a record, read from the raw bytes of `Case.class`.
//!
//! Equal bytes mean an equal decision, so the bytes are the key of every memo; they are decoded once per class, not per
//! record. What can't be read exactly is refused: bytes that don't re-encode to themselves may hold a field that this
//! program does not know and that a newer law would forbid.

use prost::Message;
use thiserror::Error;

use icomm_pki::MemberId;
use icomm_proto::{RecordKind, v1};

use crate::agreement::HandlingCode;

/// The most bytes of a class.
pub const CLASS_BYTES_MAX: usize = 1024;

/// Why no decision can be made about a record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidClass {
    /// More than [`CLASS_BYTES_MAX`].
    #[error("the record's class has {0} bytes, more than the {CLASS_BYTES_MAX} allowed")]
    TooLong(usize),
    /// Not the message `Class`.
    #[error("the record's class can't be decoded")]
    Undecodable,
    /// It holds more than this program reads, or is not in the one form it can have.
    #[error("the record's class holds something that this program does not know")]
    Unknown,
    /// No kind, or one that this program does not know.
    #[error("the record's class has no kind that this program knows")]
    Kind,
    /// No member id.
    #[error("the record's class has no originator")]
    Originator,
    /// Another member than the one whose log it stands in.
    #[error("the record's class names `{claimed}` as originator, but it stands in a log of `{origin}`")]
    OtherOriginator {
        /// Who the class says.
        claimed: MemberId,
        /// Whose log it is.
        origin: MemberId,
    },
    /// No handling code, or one that this program does not know.
    #[error("the record's class has no handling code that this program knows")]
    Handling,
    /// Categories not in ascending order, or one of them twice or empty.
    #[error("the record's class lists its categories in another way than a record does")]
    Categories,
}

/// A class that was read and understood completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) kind: RecordKind,
    pub(crate) originator: MemberId,
    pub(crate) report_type: String,
    pub(crate) handling: HandlingCode,
    pub(crate) categories: Vec<String>,
    pub(crate) seizure_country: String,
    pub(crate) operation_id: String,
}

impl Class {
    /// Reads `bytes`, the class of a record in a log of `origin`.
    pub(crate) fn parse(bytes: &[u8], origin: &MemberId) -> Result<Self, InvalidClass> {
        if bytes.len() > CLASS_BYTES_MAX {
            return Err(InvalidClass::TooLong(bytes.len()));
        }
        let message = v1::Class::decode(bytes).map_err(|_| InvalidClass::Undecodable)?;
        if message.encode_to_vec() != bytes {
            return Err(InvalidClass::Unknown);
        }
        let kind = RecordKind::try_from(message.kind()).map_err(|_| InvalidClass::Kind)?;
        // Full destructuring: a new field must be thought about here.
        let v1::Class {
            kind: number,
            originator,
            report_type,
            handling_code,
            categories,
            seizure_country,
            operation_id,
        } = message;
        // An unknown number reads as unspecified, which was refused above; this says so to the reader.
        if number != i32::from(kind.number()) {
            return Err(InvalidClass::Kind);
        }
        let originator: MemberId = originator.parse().map_err(|_| InvalidClass::Originator)?;
        if originator != *origin {
            return Err(InvalidClass::OtherOriginator {
                claimed: originator,
                origin: origin.clone(),
            });
        }
        let handling = handling_code.parse().map_err(|_| InvalidClass::Handling)?;
        let ascending = categories.is_sorted_by(|a, b| a < b);
        if !ascending || categories.iter().any(String::is_empty) {
            return Err(InvalidClass::Categories);
        }
        Ok(Self {
            kind,
            originator,
            report_type,
            handling,
            categories,
            seizure_country,
            operation_id,
        })
    }
}
