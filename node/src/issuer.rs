//! Issuing: sealed records become entries of the own log, durably, and never twice under one intake key.
//!
//! ```text
//!  callers ──Request──▶ queue ──▶ one thread: drop duplicates · append · sign once · one durable batch ──▶ replies
//! ```
//!
//! While one commit is being synced the next requests gather, so many small writers share signatures and syncs.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use icomm_pki::MemberKey;
use icomm_proto::Origin;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::core::exchange::Exchange;
use crate::core::own::{AppendError, OwnLog, Sealed};
use crate::store::{BATCH_BYTES_MAX, Batch, Boundary, IntakeKey, Place, Placement, Store, StoreError};

/// Requests that may wait.
const QUEUE_MAX: usize = 256;
/// Records gathered into one commit at most.
const COMMIT_RECORDS_MAX: usize = 4096;
/// Bytes of views in one commit at most: with keys and checkpoints it stays below what a batch may hold.
const COMMIT_BYTES_MAX: usize = BATCH_BYTES_MAX / 8 * 7;

/// Where a record went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// It is a new entry.
    Issued(Place),
    /// Its key was issued before, here.
    Duplicate(Place),
}

/// Why records could not be issued. None of them was.
#[derive(Debug, Clone, Error)]
pub enum IssueError {
    /// The store refused.
    #[error("nothing was issued: {0}")]
    Store(#[from] StoreError),
    /// More than can become durable together. The caller's fault.
    #[error("nothing was issued: {bytes} bytes of records are more than {COMMIT_BYTES_MAX}; submit fewer at a time")]
    TooMuch {
        /// What the records add up to.
        bytes: usize,
    },
    /// The commit could not be formed.
    #[error("nothing was issued: {0}")]
    Append(Arc<AppendError>),
    /// The node is stopping.
    #[error("nothing was issued: the node is stopping")]
    Stopped,
}

struct Request {
    records: Vec<Sealed>,
    bytes: usize,
    reply: oneshot::Sender<Result<Vec<Placed>, IssueError>>,
}

/// Appends to the own log.
#[derive(Debug, Clone)]
pub struct Issuer {
    queue: mpsc::Sender<Request>,
    origin: Origin,
}

impl Issuer {
    /// Starts the writing thread over the log as the store holds it.
    pub fn start(
        mut log: OwnLog,
        key: MemberKey,
        store: Arc<dyn Store>,
        exchange: Arc<Exchange>,
    ) -> Result<Self, StoreError> {
        log.resume(store.head(log.origin())?);
        let (queue, mut requests) = mpsc::channel::<Request>(QUEUE_MAX);
        let origin = log.origin().clone();
        let mut writer = Writer {
            log,
            key,
            store,
            exchange,
        };
        thread::spawn(move || {
            // What would have made the commit before too large.
            let mut waiting = None;
            while let Some(first) = waiting.take().or_else(|| requests.blocking_recv()) {
                let (mut records, mut bytes) = (first.records.len(), first.bytes);
                let mut gathered = vec![first];
                while records < COMMIT_RECORDS_MAX
                    && let Ok(next) = requests.try_recv()
                {
                    records += next.records.len();
                    bytes += next.bytes;
                    if bytes > COMMIT_BYTES_MAX {
                        waiting = Some(next);
                        break;
                    }
                    gathered.push(next);
                }
                writer.commit(gathered);
            }
        });
        Ok(Self { queue, origin })
    }

    /// The own log's name.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Issues records in order. They are durable when this returns.
    pub async fn issue(&self, records: Vec<Sealed>) -> Result<Vec<Placed>, IssueError> {
        let bytes = records.iter().map(|record| record.view.bytes().len()).sum();
        if bytes > COMMIT_BYTES_MAX {
            return Err(IssueError::TooMuch { bytes });
        }
        let (reply, answer) = oneshot::channel();
        self.queue
            .send(Request { records, bytes, reply })
            .await
            .map_err(|_| IssueError::Stopped)?;
        answer.await.unwrap_or(Err(IssueError::Stopped))
    }
}

struct Writer {
    log: OwnLog,
    key: MemberKey,
    store: Arc<dyn Store>,
    exchange: Arc<Exchange>,
}

impl Writer {
    fn commit(&mut self, requests: Vec<Request>) {
        match self.place(&requests) {
            Ok(placed) => {
                for (request, placed) in requests.into_iter().zip(placed) {
                    // A caller that went away finds its records by their keys.
                    let _ = request.reply.send(Ok(placed));
                }
            }
            Err(error) => {
                // What was appended in memory only must not be signed over.
                match self.store.head(self.log.origin()) {
                    Ok(held) => self.log.resume(held),
                    Err(error) => tracing::error!(%error, "the own log's end can't be read"),
                }
                tracing::error!(%error, "a commit failed");
                for request in requests {
                    let _ = request.reply.send(Err(error.clone()));
                }
            }
        }
    }

    fn place(&mut self, requests: &[Request]) -> Result<Vec<Vec<Placed>>, IssueError> {
        let origin = self.log.origin().clone();
        let mut next = self.log.size();
        let mut fresh: Vec<Sealed> = Vec::new();
        let mut keys: HashMap<IntakeKey, u64> = HashMap::new();
        let mut placed = Vec::with_capacity(requests.len());
        for request in requests {
            let mut of_request = Vec::with_capacity(request.records.len());
            for record in &request.records {
                of_request.push(match record.key {
                    Some(key) if let Some(&index) = keys.get(&key) => Placed::Duplicate(Place {
                        origin: origin.clone(),
                        index,
                    }),
                    Some(key) if let Some(place) = self.store.issued(&key)? => Placed::Duplicate(place),
                    key => {
                        let index = next;
                        next += 1;
                        if let Some(key) = key {
                            keys.insert(key, index);
                        }
                        fresh.push(record.clone());
                        Placed::Issued(Place {
                            origin: origin.clone(),
                            index,
                        })
                    }
                });
            }
            placed.push(of_request);
        }
        self.append(&fresh)?;
        Ok(placed)
    }

    /// Usually one chunk; more where the records are large. They share a batch, so all are durable or none is.
    fn append(&mut self, mut fresh: &[Sealed]) -> Result<(), IssueError> {
        let mut batch = Batch::new();
        let mut end = None;
        while !fresh.is_empty() {
            let (commit, rest) = fresh.split_at(OwnLog::fits(fresh).max(1));
            let chunk = self
                .log
                .append(commit, &self.key)
                .map_err(|error| IssueError::Append(Arc::new(error)))?;
            if let Placement::Extends { frontier, checkpoint } = &chunk.placement {
                end = Some(Boundary {
                    frontier: frontier.clone(),
                    checkpoint: checkpoint.clone(),
                });
            }
            batch = batch.chunk(chunk);
            fresh = rest;
        }
        let Some(end) = end else { return Ok(()) };
        self.store.append(batch)?;
        // INVARIANT: nothing fails from here on. The records are durable, and a caller told otherwise issues them again.
        self.exchange.grew(self.log.origin(), &end);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
