//! Drafts in, outcomes out: validate, seal, issue.

use icomm_proto::record::Record;
use icomm_proto::{FieldError, RecordId, v1};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use thiserror::Error;

use super::{HoldingsError, Node};
use crate::core::own::Sealed;
use crate::issuer::{IssueError, Placed};
use crate::store::{IntakeKey, Place};

/// Drafts in one batch at most.
pub const BATCH_MAX: usize = 1000;

/// A record handed in.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Under the same key nothing is issued twice.
    pub key: Option<IntakeKey>,
    /// The record.
    pub draft: v1::Draft,
}

/// What became of a submission.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is an entry of the own log now.
    Issued {
        /// The record.
        id: RecordId,
        /// Where.
        place: Place,
    },
    /// It was issued before under the same key.
    Duplicate {
        /// The record that was issued.
        id: RecordId,
        /// Where.
        place: Place,
    },
    /// It is wrong; nothing was issued.
    Rejected(Vec<FieldError>),
    /// It is right; nothing was issued because it was a dry run.
    Valid,
}

/// Why a batch could not be issued. Nothing of it was, unless it says so.
#[derive(Debug, Error)]
pub enum SubmitError {
    /// More than one batch may hold. The caller's fault.
    #[error("a batch of {0} records; at most {BATCH_MAX} go in one")]
    TooMany(usize),
    /// The log can't be written.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The record issued before can't be read.
    #[error("issued before, but it can't be read: {0}")]
    Holdings(#[from] HoldingsError),
    /// The work was given up because the node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

impl Node {
    /// Validates, seals and issues a batch; an outcome a submission, in order. Durable when it returns. A dry run issues
    /// nothing.
    ///
    /// # Errors
    /// Nothing of the batch was issued.
    pub async fn submit(&self, batch: Vec<Submission>, dry_run: bool) -> Result<Vec<Outcome>, SubmitError> {
        if batch.len() > BATCH_MAX {
            return Err(SubmitError::TooMany(batch.len()));
        }
        let node = self.clone();
        // Validation and hashing take their time; the links go on meanwhile.
        let prepared = tokio::task::spawn_blocking(move || node.prepare(batch, dry_run));
        let prepared = prepared.await.map_err(|_| SubmitError::Stopped)??;
        let sealed = prepared
            .iter()
            .filter_map(|one| one.as_ref().ok())
            .cloned()
            .collect::<Vec<_>>();
        let mut placed = if sealed.is_empty() {
            Vec::new()
        } else {
            self.0.issuer.issue(sealed).await?
        }
        .into_iter();
        let mut outcomes = Vec::with_capacity(prepared.len());
        for one in prepared {
            outcomes.push(match one {
                Err(outcome) => outcome,
                Ok(sealed) => match placed.next().ok_or(IssueError::Stopped)? {
                    Placed::Issued(place) => Outcome::Issued {
                        id: sealed.view.head().record_id,
                        place,
                    },
                    Placed::Duplicate(place) => Outcome::Duplicate {
                        id: self.record_at(&place)?,
                        place,
                    },
                },
            });
        }
        metrics::counter!("icomm_issued_records_total").increment(
            outcomes
                .iter()
                .filter(|outcome| matches!(outcome, Outcome::Issued { .. }))
                .count() as u64,
        );
        Ok(outcomes)
    }

    fn prepare(&self, batch: Vec<Submission>, dry_run: bool) -> Result<Vec<Result<Sealed, Outcome>>, SubmitError> {
        let inner = &self.0;
        let originator = inner.credentials.member();
        let mut seed = [0; 32];
        inner.environment.entropy.fill(&mut seed);
        let mut random = StdRng::from_seed(seed);
        let now_ms = u64::try_from(inner.environment.clock.now().unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        batch
            .into_iter()
            .map(|Submission { key, draft }| {
                if let Some(key) = key
                    && let Some(place) = inner.store.issued(&key).map_err(IssueError::from)?
                {
                    return Ok(Err(Outcome::Duplicate {
                        id: self.record_at(&place)?,
                        place,
                    }));
                }
                let record = match Record::validate(draft, &inner.codes, originator) {
                    Ok(record) => record,
                    Err(errors) => return Ok(Err(Outcome::Rejected(errors))),
                };
                if dry_run {
                    return Ok(Err(Outcome::Valid));
                }
                let mut bits = [0; 10];
                random.fill_bytes(&mut bits);
                let view = record.seal(RecordId::new(now_ms, bits), 1, &mut random);
                Ok(Ok(Sealed { view, key }))
            })
            .collect()
    }

    fn record_at(&self, place: &Place) -> Result<RecordId, HoldingsError> {
        let view = self
            .view_at(place)?
            .ok_or_else(|| HoldingsError::Missing(place.clone()))?;
        Ok(view.head().record_id)
    }
}
