//! Drafts in, outcomes out: validate, seal, issue.

use bytes::Bytes;
use icomm_proto::draft::{Draft, InvalidDraft};
use icomm_proto::record::Record;
use icomm_proto::seal::Sealer;
use icomm_proto::{FieldError, RecordId};
use rand::Rng;
use thiserror::Error;

use super::{HoldingsError, Node};
use crate::core::own::Sealed;
use crate::issuer::{IssueError, Placed};
use crate::store::{IntakeKey, Place};

/// Drafts in one batch at most.
pub const BATCH_MAX: usize = 1000;

/// A single draft up to this length is prepared where it arrives: handing it to another thread costs more.
const SMALL_DRAFT_BYTES_MAX: usize = 16 << 10;

/// A record handed in.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Under the same key nothing is issued twice.
    pub key: Option<IntakeKey>,
    /// The record: an encoded [`Draft`].
    pub draft: Bytes,
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
    /// A record that can't be read. The caller's fault.
    #[error("record {place} of the batch: {invalid}")]
    Draft {
        /// Which, from 1.
        place: usize,
        /// Why not.
        #[source]
        invalid: InvalidDraft,
    },
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

/// A batch after validation, in its order.
struct Prepared {
    /// None: that is for the log to say.
    outcomes: Vec<Option<Outcome>>,
    /// What is to be issued.
    sealed: Vec<Sealed>,
}

fn is_small(batch: &[Submission]) -> bool {
    matches!(batch, [one] if one.draft.len() <= SMALL_DRAFT_BYTES_MAX)
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
        let Prepared { outcomes, sealed } = match is_small(&batch) {
            true => self.prepare(&batch, dry_run)?,
            false => {
                let node = self.clone();
                // Validation and hashing take their time; the links go on meanwhile.
                let prepared = tokio::task::spawn_blocking(move || node.prepare(&batch, dry_run));
                prepared.await.map_err(|_| SubmitError::Stopped)??
            }
        };
        let ids: Vec<RecordId> = sealed.iter().map(|sealed| sealed.view.head().record_id).collect();
        let placed = match sealed.is_empty() {
            true => Vec::new(),
            false => self.0.issuer.issue(sealed).await?,
        };
        let mut issued = ids.into_iter().zip(placed);
        let mut count = 0;
        let mut told = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            told.push(match outcome {
                Some(outcome) => outcome,
                None => match issued.next().ok_or(IssueError::Stopped)? {
                    (id, Placed::Issued(place)) => {
                        count += 1;
                        Outcome::Issued { id, place }
                    }
                    (_, Placed::Duplicate(place)) => self.duplicate(place)?,
                },
            });
        }
        metrics::counter!("icomm_issued_records_total").increment(count);
        Ok(told)
    }

    fn prepare(&self, batch: &[Submission], dry_run: bool) -> Result<Prepared, SubmitError> {
        let inner = &self.0;
        let originator = &inner.exchange.local().member;
        let mut random = self.random();
        let now_ms = u64::try_from(inner.environment.clock.now().unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        // A view is about twice as long as its draft: every section has a salt and a hash.
        let drafts: usize = batch.iter().map(|submission| submission.draft.len()).sum();
        let mut sealer = Sealer::with_capacity(2 * drafts);
        let mut keys = Vec::with_capacity(batch.len());
        let mut outcomes = Vec::with_capacity(batch.len());
        for (place, Submission { key, draft }) in (1..).zip(batch) {
            if let Some(key) = key
                && let Some(place) = inner.store.issued(key).map_err(IssueError::from)?
            {
                outcomes.push(Some(self.duplicate(place)?));
                continue;
            }
            let draft = Draft::parse(draft).map_err(|invalid| SubmitError::Draft { place, invalid })?;
            // Photos come with their bytes, or not at all: see `attach`.
            let images = draft.images.as_ref().map_or(0, |section| section.images.len());
            if images > 0 {
                outcomes.push(Some(Outcome::Rejected(
                    (0..images).map(FieldError::without_photo).collect(),
                )));
                continue;
            }
            outcomes.push(match Record::validate(draft, &inner.codes, originator) {
                Err(errors) => Some(Outcome::Rejected(errors)),
                Ok(_) if dry_run => Some(Outcome::Valid),
                Ok(record) => {
                    let mut bits = [0; 10];
                    random.fill_bytes(&mut bits);
                    sealer.seal(&record, RecordId::new(now_ms, bits), 1, &mut random);
                    keys.push(*key);
                    None
                }
            });
        }
        let sealed = sealer.finish().zip(keys).map(|(view, key)| Sealed { view, key });
        Ok(Prepared {
            outcomes,
            sealed: sealed.collect(),
        })
    }

    pub(super) fn duplicate(&self, place: Place) -> Result<Outcome, HoldingsError> {
        let id = self.record_at(&place)?;
        Ok(Outcome::Duplicate { id, place })
    }

    fn record_at(&self, place: &Place) -> Result<RecordId, HoldingsError> {
        let view = self
            .view_at(place)?
            .ok_or_else(|| HoldingsError::Missing(place.clone()))?;
        Ok(view.head().record_id)
    }
}
