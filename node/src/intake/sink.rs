//! Where drafts go, and what comes back for each.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use icomm_pki::MemberId;
use icomm_proto::codes::CodeLists;
use icomm_proto::draft::Draft;
use icomm_proto::{FieldError, Record};

use super::IntakeKey;

/// One row's draft on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// The same key is issued once, whenever and however often it is submitted.
    pub key: IntakeKey,
    /// An encoded [`Draft`], not yet validated.
    pub draft: Bytes,
}

/// What became of one submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is a record now, durably.
    Issued {
        /// The record's id.
        record: String,
    },
    /// It was issued before under the same key.
    Duplicate {
        /// The record's id, where the sink knows it.
        record: String,
    },
    /// It would be issued (dry run).
    Valid,
    /// It is not a valid record.
    Rejected(Vec<RecordFault>),
}

/// One thing that validation finds wrong with a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFault {
    /// The record's field: `goods[0].unit`.
    pub field: String,
    /// What it holds.
    pub value: String,
    /// Why that can't be.
    pub reason: String,
    /// The code list and its version that decide, or empty.
    pub list: String,
}

impl RecordFault {
    /// A fault of the whole.
    fn of_record(fault: &impl ToString) -> Self {
        Self {
            field: String::new(),
            value: String::new(),
            reason: fault.to_string(),
            list: String::new(),
        }
    }
}

impl From<FieldError> for RecordFault {
    fn from(error: FieldError) -> Self {
        let FieldError {
            field,
            value,
            reason,
            list,
        } = error;
        let list = list.map_or_else(String::new, |(name, version)| format!("{name} {version}"));
        Self {
            field,
            value,
            reason: reason.to_string(),
            list,
        }
    }
}

/// Takes batches of drafts. Several batches may be under way at once.
pub trait Sink: Sync {
    /// A batch could not be taken at all; what is wrong with single drafts is an [`Outcome`].
    type Error: std::error::Error + Send + Sync + 'static;

    /// Takes a batch and answers with one outcome for each of it, in order.
    fn submit(&self, batch: Vec<Submission>) -> impl Future<Output = Result<Vec<Outcome>, Self::Error>> + Send;
}

/// All that is wrong with a draft that `member` is about to issue.
pub fn validation(lists: Arc<CodeLists>, member: MemberId) -> impl Fn(Draft<'_>) -> Vec<RecordFault> + Sync {
    move |draft: Draft<'_>| match Record::validate(draft, &lists, &member) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(RecordFault::from).collect(),
    }
}

/// Validates drafts and keeps nothing but their keys: a dry run within one process, and the tests' stand-in for a node.
pub struct DryRun<V> {
    validate: V,
    keys: Mutex<HashSet<IntakeKey>>,
    issue: bool,
}

impl<V: Fn(Draft<'_>) -> Vec<RecordFault> + Sync> DryRun<V> {
    /// A dry run by this validation: every good draft is [`Outcome::Valid`].
    pub fn new(validate: V) -> Self {
        Self {
            validate,
            keys: Mutex::default(),
            issue: false,
        }
    }

    /// One that answers as a node would, with [`Outcome::Issued`] the first time and [`Outcome::Duplicate`] from then on.
    #[cfg(test)]
    pub(crate) fn issuing(validate: V) -> Self {
        Self {
            validate,
            keys: Mutex::default(),
            issue: true,
        }
    }
}

impl<V: Fn(Draft<'_>) -> Vec<RecordFault> + Sync> Sink for DryRun<V> {
    type Error = Infallible;

    async fn submit(&self, batch: Vec<Submission>) -> Result<Vec<Outcome>, Infallible> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let outcomes = batch.into_iter().map(|Submission { key, draft }| {
            if keys.contains(&key) {
                return Outcome::Duplicate { record: String::new() };
            }
            let faults = match Draft::parse(&draft) {
                Ok(draft) => (self.validate)(draft),
                Err(invalid) => vec![RecordFault::of_record(&invalid)],
            };
            if !faults.is_empty() {
                return Outcome::Rejected(faults);
            }
            keys.insert(key);
            if self.issue {
                Outcome::Issued {
                    record: format!("{key:?}"),
                }
            } else {
                Outcome::Valid
            }
        });
        Ok(outcomes.collect())
    }
}
