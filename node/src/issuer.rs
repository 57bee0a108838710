//! Issuing: sealed records become entries of the own log, durably, and never twice under one intake key.
//!
//! ```text
//!  callers ─▶ queue ─▶ one at a time: drop duplicates · append · sign once · one batch ─▶ store ─▶ replies
//! ```
//!
//! While commits are on their way to the disk the next requests gather, so many small writers share signatures and syncs.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use icomm_pki::SigningError;
use icomm_proto::Origin;
use icomm_proto::log::NotSigned;
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};

use crate::core::exchange::{Exchange, NotCleared};
use crate::core::own::{AppendError, OwnLog, Sealed};
use crate::core::recall::Reason;
use crate::core::seat::Seat;
use crate::store::{BATCH_BYTES_MAX, Place, Store, StoreError};

mod queue;
mod writer;

use queue::{Queue, Request};
use writer::Writer;

/// Requests that may wait or be under way.
const REQUESTS_MAX: usize = 256;
/// How often it is looked whether the log is certain to be whole, after the start.
const CLEARED_CHECK: Duration = Duration::from_millis(50);
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
    /// It is not certain that the log is whole.
    #[error("nothing was issued: {0}")]
    NotCleared(#[from] NotCleared),
    /// The member's key does not sign now.
    #[error("nothing was issued: {0}")]
    Key(#[from] SigningError),
    /// The node is stopping.
    #[error("nothing was issued: the node is stopping")]
    Stopped,
}

impl From<AppendError> for IssueError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Checkpoint(NotSigned::Key(error)) => Self::Key(error),
            error => Self::Append(Arc::new(error)),
        }
    }
}

/// Appends to the own log. Clones append to the same.
#[derive(Clone)]
pub struct Issuer(Arc<Handle>);

struct Handle {
    queue: Arc<Queue>,
    // The issuing thread's most of the time, a caller's for a moment.
    writer: Arc<Mutex<Writer>>,
    exchange: Arc<Exchange>,
    room: Arc<Semaphore>,
    origin: Origin,
    key: Seat,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Issuer {
    /// Starts the issuing thread over the log as the store holds it.
    pub fn start(
        mut log: OwnLog,
        key: impl Into<Seat>,
        store: Arc<dyn Store>,
        exchange: Arc<Exchange>,
    ) -> Result<Self, StoreError> {
        log.resume(store.head(log.origin())?);
        let (origin, key): (_, Seat) = (log.origin().clone(), key.into());
        let queue = Arc::new(Queue::default());
        let writer = Arc::new(Mutex::new(Writer {
            log,
            key: key.clone(),
            store,
            exchange: exchange.clone(),
            queue: queue.clone(),
        }));
        thread::spawn({
            let (writer, queue) = (writer.clone(), queue.clone());
            move || writer::run(&writer, &queue)
        });
        let room = Arc::new(Semaphore::new(REQUESTS_MAX));
        Ok(Self(Arc::new(Handle {
            queue,
            writer,
            exchange,
            room,
            origin,
            key,
        })))
    }

    /// The own log's name.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Lets `change` happen between two commits: all that was signed is durable, and nothing is signed meanwhile. Blocks.
    pub fn pause<T>(&self, change: impl FnOnce() -> T) -> T {
        let writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.queue.wait_until_idle();
        let changed = change();
        drop(writer);
        changed
    }

    /// Issues records in order. They are durable when this returns.
    pub async fn issue(&self, records: Vec<Sealed>) -> Result<Vec<Placed>, IssueError> {
        self.request(records, None).await
    }

    /// Issues a correction or a recall: what it voids is gone from this node when this returns, whatever the caller does.
    pub async fn void(&self, entry: Sealed, reason: Reason) -> Result<Place, IssueError> {
        let placed = self.request(vec![entry], Some(reason)).await?;
        let (Placed::Issued(place) | Placed::Duplicate(place)) =
            placed.into_iter().next().ok_or(IssueError::Stopped)?;
        Ok(place)
    }

    async fn request(&self, records: Vec<Sealed>, voids: Option<Reason>) -> Result<Vec<Placed>, IssueError> {
        let bytes = records.iter().map(|record| record.view.bytes().len()).sum();
        if bytes > COMMIT_BYTES_MAX {
            return Err(IssueError::TooMuch { bytes });
        }
        while let Err(NotCleared::Asking) = self.0.exchange.may_append() {
            tokio::time::sleep(CLEARED_CHECK).await;
            self.0.exchange.settle_own();
        }
        let room = self.0.room.clone().acquire_owned().await;
        let room = room.map_err(|_| IssueError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        let little = self.0.queue.push(Request {
            records,
            bytes,
            voids,
            reply,
            _room: room,
        });
        if little {
            // A key that takes long to sign keeps no caller's thread.
            match self.0.key.key().signs_at_once().then(|| self.0.writer.try_lock()) {
                Some(Ok(mut writer)) => writer.issue_little(),
                _ => self.0.queue.wake(),
            }
        }
        answer.await.unwrap_or(Err(IssueError::Stopped))
    }
}

#[cfg(test)]
mod tests;
