//! What a node keeps: logs (its own and replicas of others'), small state, and notes; durably, in atomic batches.
//!
//! ```text
//!   Batch ──► Store::append ──► durable ──► readable       a batch is there whole or not at all, also after a power cut
//!
//!   log      entries 0, 1, 2, … of an origin, each a view or a leaf hash, in chunks that end on a checkpoint;
//!            an overlay is a wider view of entries already held, and reading joins the two;
//!            an erasure leaves some sections of an entry, or its hash alone
//!   state    key → value, small: agreements, cursors
//!   notes    append-only lists: disclosures, receipts
//!   photos   the bytes that section `images` of an entry names, for as long as that section is held
//! ```
//!
//! [`Restricting`] lies before either of these two: what is shut away can't be read through it.
//! [`Journal`] keeps them on disk and [`MemoryStore`] in memory, for simulations and tests. What is read is what was
//! acknowledged: bytes that changed on disk give [`StoreError::Damaged`], never a wrong answer.

use std::{ops::Range, sync::mpsc};

use bytes::Bytes;
use icomm_proto::{
    Origin, RecordId,
    log::{ChunkBody, Frontier, Hash, Item, ItemRef, LeafHashes},
};

mod batch;
mod disk;
mod error;
mod journal;
mod key;
mod memory;
mod merge;
mod photos;
mod restricted;
mod spans;
mod widths;

pub use batch::{
    BATCH_BYTES_MAX, BATCH_ITEMS_MAX, Batch, BatchItem, IntakeKey, InvalidBatch, InvalidNoteLog, NOTE_BYTES_MAX,
    NoteLog, Placement, Remains, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX, StoredChunk,
};
pub use error::{Damage, Health, StoreError};
pub use journal::{Journal, OpenError, SNAPSHOT_PIECE_BYTES, Snapshot};
pub use key::{InvalidStoreKey, StoreKey};
pub use memory::MemoryStore;
pub use photos::{Album, Photos, PieceKept};
pub use restricted::{Restricting, ShutAway};
pub use spans::Spans;
pub use widths::Widths;

/// Called once when a batch is durable, or with the reason why it will never be. Runs on the store's writing thread:
/// it must be quick and must not call [`Store::append`].
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A place where batches are kept. Every method may be called from any thread and may block on the disk; an async
/// caller appends with [`submit`](Self::submit).
pub trait Store: Send + Sync {
    /// Hands a batch over; `done` hears when it is durable. Batches submitted from one thread are kept in order, and
    /// batches of several threads share one sync. Blocks only while the queue to the disk is full.
    fn submit(&self, batch: Batch, done: Done);

    /// Appends a batch and returns when it is durable.
    fn append(&self, batch: Batch) -> Result<(), StoreError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.submit(batch, Box::new(move |result| drop(sender.send(result))));
        receiver.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Keeps a batch that nobody waits for together with the next one, or by itself when none comes soon, so that it costs
    /// no sync of its own. Only for what comes again if a power cut takes it.
    fn ride(&self, batch: Batch) {
        self.submit(batch, Box::new(|_| {}));
    }

    /// The logs of which there is at least one chunk, in order.
    fn origins(&self) -> Vec<Origin>;

    /// The last boundary of a log that is not beyond `size`: a checkpoint that is held and the frontier there. None if
    /// there is none.
    fn boundary(&self, origin: &Origin, size: u64) -> Result<Option<Boundary>, StoreError>;

    /// The end of a log as it is held; None if nothing of it is.
    fn head(&self, origin: &Origin) -> Result<Option<Boundary>, StoreError> {
        self.boundary(origin, u64::MAX)
    }

    /// How much of a log's entries is held; nothing if the log is not. Costs no reading.
    fn widths(&self, origin: &Origin) -> Result<Widths, StoreError>;

    /// The entries of a log from index `from` on, up to a boundary: whole stored chunks while they fit into `limit`,
    /// but at least what is left of the first. None if the log holds nothing at `from`.
    fn read(&self, origin: &Origin, from: u64, limit: ReadLimit) -> Result<Option<Stretch>, StoreError>;

    /// One entry. None if the log does not reach that far.
    fn entry(&self, origin: &Origin, index: u64) -> Result<Option<Item>, StoreError>;

    /// Calls `each` with the leaf hashes of a range, in order. The range must be held.
    fn leaf_hashes(&self, origin: &Origin, range: Range<u64>, each: &mut dyn FnMut(Hash)) -> Result<(), StoreError>;

    /// Every entry about a record, in every log, as far as disclosed here and not erased to its hash: ordered by origin, then index.
    fn find(&self, id: &RecordId) -> Result<Vec<Place>, StoreError>;

    /// Where the row with this key was issued, if it was; the first place if the caller issued it more than once.
    fn issued(&self, key: &IntakeKey) -> Result<Option<Place>, StoreError>;

    /// The value kept under a key.
    fn state(&self, key: &str) -> Result<Option<Bytes>, StoreError>;

    /// All keys that begin with `prefix`, in order, with their values.
    fn scan_state(&self, prefix: &str) -> Result<Vec<(String, Bytes)>, StoreError>;

    /// How many notes a list has.
    fn notes_len(&self, log: &NoteLog) -> Result<u64, StoreError>;

    /// At most `max` notes of a list from number `from` on, with their numbers.
    fn notes(&self, log: &NoteLog, from: u64, max: usize) -> Result<Vec<(u64, Bytes)>, StoreError>;

    /// The photos that its records name.
    fn photos(&self) -> &dyn Photos;

    /// Whether the store can still do its duty.
    fn health(&self) -> Health;
}

/// An entry's place: which log, which index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The log.
    pub origin: Origin,
    /// The index in it, from 0.
    pub index: u64,
}

/// A size of a log at which a checkpoint is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// The frontier there; its size is the boundary's.
    pub frontier: Frontier,
    /// The originator's checkpoint over it, as a signed note.
    pub checkpoint: Bytes,
}

impl Boundary {
    /// The number of entries up to the boundary.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }
}

/// Consecutive entries that end on a boundary: what chunks on a link are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The index of the first.
    pub from: u64,
    /// The entries, at least one, in as many bodies as they are kept in.
    pub bodies: Vec<ChunkBody>,
    /// Where they end.
    pub end: Boundary,
}

impl Stretch {
    /// The entries in order, where they lie.
    pub fn items(&self) -> impl Iterator<Item = ItemRef<'_>> {
        self.bodies.iter().flat_map(ChunkBody::item_refs)
    }

    /// The entries in order, sharing the memory of the bodies.
    pub fn shared_items(&self) -> impl Iterator<Item = Item> {
        self.bodies.iter().flat_map(ChunkBody::items)
    }

    /// How many entries there are.
    pub fn count(&self) -> u64 {
        self.end.size().saturating_sub(self.from)
    }
}

/// How much [`Store::read`] gathers before it stops at the next boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// Entries.
    pub entries_max: u32,
    /// Bytes as stored.
    pub bytes_max: usize,
}

/// One log of a store, as a source of leaf hashes for proofs.
pub struct StoredLog<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The log.
    pub origin: &'a Origin,
}

impl LeafHashes for StoredLog<'_> {
    type Error = StoreError;

    fn leaf_hashes(&self, range: Range<u64>, each: &mut dyn FnMut(Hash)) -> Result<(), StoreError> {
        self.store.leaf_hashes(self.origin, range, each)
    }
}
