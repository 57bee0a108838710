//! What can go wrong in a store, and how it tells.

use std::{fmt, io, sync::Arc};

use icomm_proto::Origin;

use super::batch::InvalidBatch;

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The caller's batch can't be kept as it is.
    #[error(transparent)]
    Invalid(#[from] InvalidBatch),
    /// A chunk does not continue its log, or an overlay covers entries that are not held. Delivering a chunk twice ends
    /// here, and does no harm.
    #[error("the log `{origin}` has {size} entries, the chunk covers {from} to {end}")]
    OutOfPlace {
        /// The log.
        origin: Origin,
        /// Its size when the batch came to be kept.
        size: u64,
        /// The index of the chunk's first entry.
        from: u64,
        /// The index after its last.
        end: u64,
    },
    /// Leaf hashes were asked for that the log does not hold.
    #[error("the log `{origin}` has {size} entries, asked for up to {end}")]
    NotHeld {
        /// The log.
        origin: Origin,
        /// Its size.
        size: u64,
        /// The end of what was asked for.
        end: u64,
    },
    /// Bytes on disk changed.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The store key is another than the store was made with.
    #[error(
        "the store key is not the one that the store was made with; put the right one back, or restore it from a copy"
    )]
    WrongKey,
    /// The file of the views' keys is not as it was left.
    #[error("the file `keys` of the store {0}; without it nothing can be read, so restore it from a copy")]
    Keys(&'static str),
    /// A photo on disk is not what its record commits to.
    #[error("{0} changed on the disk; a photo of another member comes again when its file is removed")]
    Photo(&'static str),
    /// No room: nothing of the batch was kept, and everything kept before can still be read.
    #[error("the disk is full; free some space, then try again")]
    Full,
    /// The disk failed while writing. Nothing is accepted until the node is restarted on a disk that works.
    #[error("the disk failed: {0}; the store accepts nothing more until it is opened again")]
    Failed(Arc<io::Error>),
    /// The disk failed while reading.
    #[error("can't {action}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// Why it failed.
        source: Arc<io::Error>,
    },
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// An I/O error as the reason why `action` could not be done.
    pub(crate) fn io(action: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io {
            action,
            source: Arc::new(source),
        }
    }
}

/// Where in the journal bytes are not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment} of the journal is damaged at byte {offset}: {what}; restore it from a copy or a peer")]
pub struct Damage {
    /// The segment's number.
    pub segment: u32,
    /// The first byte of the frame in question.
    pub offset: u64,
    /// What does not fit.
    pub what: &'static str,
}

/// The state of a store, for health checks and `doctor`.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Why nothing can be appended any more, if so.
    pub failed: Option<String>,
    /// The last batch was refused because the disk is full.
    pub full: bool,
    /// Damaged frames found so far.
    pub damaged: Vec<Damage>,
    /// What opening had to mend: a torn tail that nobody was told about, an index made anew.
    pub mended: Vec<String>,
    /// The bytes of the journal.
    pub bytes: u64,
    /// The syncs since the store was opened.
    pub syncs: u64,
    /// The batches kept since the store was opened.
    pub batches: u64,
}

impl Health {
    /// Whether the store accepts batches and has found nothing damaged.
    pub fn is_good(&self) -> bool {
        self.failed.is_none() && !self.full && self.damaged.is_empty()
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.failed, self.full, self.damaged.first()) {
            (Some(reason), ..) => write!(f, "failed: {reason}"),
            (_, true, _) => f.write_str("the disk is full"),
            (.., Some(damage)) => write!(f, "{damage} ({} in all)", self.damaged.len()),
            _ => f.write_str("good"),
        }
    }
}
