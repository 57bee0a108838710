//! Batches: what is appended together, whole or not at all.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use icomm_proto::{
    Origin, SectionSet,
    log::{ChunkBody, Frontier, InvalidChunkBody, ItemRef},
};

use super::Widths;

/// The most items in a batch.
pub const BATCH_ITEMS_MAX: usize = 1024;
/// The most bytes in a batch, all items together.
pub const BATCH_BYTES_MAX: usize = 64 << 20;
/// The longest key of a state.
pub const STATE_KEY_BYTES_MAX: usize = 512;
/// The longest value of a state.
pub const STATE_VALUE_BYTES_MAX: usize = 1 << 20;
/// The longest note.
pub const NOTE_BYTES_MAX: usize = 1 << 20;

/// What is appended together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    items: Vec<BatchItem>,
}

/// One thing to keep.
#[derive(Clone, Debug)]
pub enum BatchItem {
    /// Entries of a log.
    Chunk(StoredChunk),
    /// A new value for a key, or its end.
    State {
        /// The key.
        key: String,
        /// The value; None forgets the key.
        value: Option<Bytes>,
    },
    /// The end of some or all that is held of an entry.
    Erase {
        /// The log.
        origin: Origin,
        /// The index of the entry, which must be held, if only by its hash.
        index: u64,
        /// What stays of it.
        remains: Remains,
    },
    /// One more note in a list.
    Note {
        /// The list.
        log: NoteLog,
        /// The note.
        bytes: Bytes,
    },
}

/// What stays of an entry when the rest is erased. The leaf hash always does, so that its log still verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// The entry and, of the sections that are held, these; none of them is fine.
    Sections(SectionSet),
    /// The bare leaf hash: the record can't be found by this entry any more.
    Hash,
}

/// Entries of a log, own or a replica's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChunk {
    /// The log.
    pub origin: Origin,
    /// The index of the first entry.
    pub from: u64,
    /// The entries.
    pub body: ChunkBody,
    /// How they relate to what is held.
    pub placement: Placement,
    /// The keys of entries issued from imported rows: offset in this chunk, key.
    pub intake_keys: Vec<(u32, IntakeKey)>,
}

/// How a chunk relates to what is held of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It continues the log, up to a checkpoint.
    Extends {
        /// The frontier after its last entry.
        frontier: Frontier,
        /// The originator's checkpoint there, as a signed note.
        checkpoint: Bytes,
    },
    /// It has wider views of entries that are held already.
    Overlays {
        /// What that changes: so many more entries of one width, so many fewer of another.
        widens: Widths,
    },
}

impl Batch {
    /// A batch of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a chunk that continues a log or overlays it.
    #[must_use]
    pub fn chunk(mut self, chunk: StoredChunk) -> Self {
        self.items.push(BatchItem::Chunk(chunk));
        self
    }

    /// With a value for a key.
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.items.push(BatchItem::State {
            key: key.into(),
            value: Some(value.into()),
        });
        self
    }

    /// Without a key.
    #[must_use]
    pub fn forget(mut self, key: impl Into<String>) -> Self {
        self.items.push(BatchItem::State {
            key: key.into(),
            value: None,
        });
        self
    }

    /// Without what is held of an entry beyond what remains: base, overlays and what the batch has of it before this item.
    /// Nothing happens if there is no more than that. A wider view that is kept later widens the entry again: whoever erases
    /// has to keep such views out.
    #[must_use]
    pub fn erase(mut self, origin: Origin, index: u64, remains: Remains) -> Self {
        self.items.push(BatchItem::Erase { origin, index, remains });
        self
    }

    /// With a note in a list.
    #[must_use]
    pub fn note(mut self, log: NoteLog, bytes: impl Into<Bytes>) -> Self {
        self.items.push(BatchItem::Note {
            log,
            bytes: bytes.into(),
        });
        self
    }

    /// Adds an item.
    pub fn push(&mut self, item: BatchItem) {
        self.items.push(item);
    }

    /// The items, in order.
    pub fn items(&self) -> &[BatchItem] {
        &self.items
    }

    /// The items, by value.
    pub fn into_items(self) -> Vec<BatchItem> {
        self.items
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether it erases something.
    pub(crate) fn erases(&self) -> bool {
        self.items.iter().any(|item| matches!(item, BatchItem::Erase { .. }))
    }

    /// Checks everything that can be checked without knowing what is held.
    pub(crate) fn check(&self) -> Result<(), InvalidBatch> {
        if self.items.len() > BATCH_ITEMS_MAX {
            return Err(InvalidBatch::Items(self.items.len()));
        }
        let mut bytes = 0;
        for item in &self.items {
            bytes += match item {
                BatchItem::Chunk(chunk) => chunk.check()?,
                BatchItem::State { key, value } => check_state(key, value.as_deref().unwrap_or_default())?,
                BatchItem::Note { bytes, .. } if bytes.len() > NOTE_BYTES_MAX => {
                    return Err(InvalidBatch::Note(bytes.len()));
                }
                BatchItem::Note { bytes, .. } => bytes.len(),
                BatchItem::Erase { .. } => 0,
            };
        }
        if bytes > BATCH_BYTES_MAX {
            return Err(InvalidBatch::Bytes(bytes));
        }
        Ok(())
    }
}

fn check_state(key: &str, value: &[u8]) -> Result<usize, InvalidBatch> {
    if key.is_empty() || key.len() > STATE_KEY_BYTES_MAX || value.len() > STATE_VALUE_BYTES_MAX {
        return Err(InvalidBatch::State {
            key: key.chars().take(80).collect(),
            bytes: value.len(),
        });
    }
    Ok(key.len() + value.len())
}

impl StoredChunk {
    /// A chunk that continues a log up to a checkpoint; `frontier` is the one after its last entry.
    pub fn extending(origin: Origin, from: u64, body: ChunkBody, frontier: Frontier, checkpoint: Bytes) -> Self {
        Self {
            origin,
            from,
            body,
            placement: Placement::Extends { frontier, checkpoint },
            intake_keys: Vec::new(),
        }
    }

    /// Wider views of entries that are held; `widens` is what that changes.
    pub fn overlay(origin: Origin, from: u64, body: ChunkBody, widens: Widths) -> Self {
        Self {
            origin,
            from,
            body,
            placement: Placement::Overlays { widens },
            intake_keys: Vec::new(),
        }
    }

    /// With the keys of the imported rows that its entries were issued from.
    #[must_use]
    pub fn with_intake_keys(mut self, keys: Vec<(u32, IntakeKey)>) -> Self {
        self.intake_keys = keys;
        self
    }

    /// The index after the last entry.
    pub fn end(&self) -> u64 {
        self.from.saturating_add(u64::from(self.body.count()))
    }

    fn check(&self) -> Result<usize, InvalidBatch> {
        let place = |what| InvalidBatch::Chunk {
            origin: self.origin.clone(),
            from: self.from,
            what,
        };
        let mut bytes = self.body.bytes().len();
        if let Placement::Extends { frontier, checkpoint } = &self.placement {
            if frontier.size() != self.end() {
                return Err(place("its frontier is not the one after its last entry"));
            }
            bytes += checkpoint.len();
        }
        if self.intake_keys.iter().any(|(offset, _)| *offset >= self.body.count()) {
            return Err(place("an intake key belongs to no entry of it"));
        }
        for item in self.body.item_refs() {
            if matches!(item, ItemRef::Disclosed(view) if !has_entry(view)) {
                return Err(place("a view in it is too short for an entry"));
            }
        }
        Ok(bytes)
    }
}

/// Whether there is a whole entry at the front of a view, with a record id.
fn has_entry(view: &[u8]) -> bool {
    let entry = view.split_first_chunk::<2>();
    record_id(view).is_some() && entry.is_some_and(|(len, rest)| rest.len() >= usize::from(u16::from_be_bytes(*len)))
}

/// The record id of a view: it stands at a fixed place in the entry, after the entry's length, tag, kind, record kind and
/// section count.
pub(crate) fn record_id(view: &[u8]) -> Option<[u8; 16]> {
    view.get(2 + 4..)?.first_chunk().copied()
}

/// Names one row of an imported file, so that importing it again issues nothing twice: the start of SHA-256 over its
/// normalised content and how many equal rows came before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntakeKey([u8; 16]);

impl IntakeKey {
    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for IntakeKey {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for IntakeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IntakeKey({:032x})", u128::from_be_bytes(self.0))
    }
}

/// The name of a list of notes, such as `disclosures` or `receipts/KE`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoteLog(Arc<str>);

impl NoteLog {
    /// A list of this name: 1 to 64 printable ASCII characters.
    pub fn new(name: &str) -> Result<Self, InvalidNoteLog> {
        if name.is_empty() || name.len() > 64 || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidNoteLog(name.chars().take(80).collect()));
        }
        Ok(Self(name.into()))
    }

    /// What was disclosed, to whom, on which basis.
    pub fn disclosures() -> Self {
        Self("disclosures".into())
    }

    /// The checkpoints over the list of disclosures.
    pub fn ledger() -> Self {
        Self("ledger".into())
    }

    /// Signed answers to recalls, given and got.
    pub fn erasures() -> Self {
        Self("erasures".into())
    }

    /// Receipts given and got.
    pub fn receipts() -> Self {
        Self("receipts".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not the name of a list of notes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` does not name a list of notes: 1 to 64 printable ASCII characters do")]
pub struct InvalidNoteLog(String);

/// Why a batch can't be kept as it is: the caller's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBatch {
    /// Beyond [`BATCH_ITEMS_MAX`].
    #[error("a batch of {0} items is larger than {BATCH_ITEMS_MAX}")]
    Items(usize),
    /// Beyond [`BATCH_BYTES_MAX`].
    #[error("a batch of {0} bytes is larger than {BATCH_BYTES_MAX}")]
    Bytes(usize),
    /// A chunk that contradicts itself.
    #[error("the chunk of `{origin}` from {from} can't be kept: {what}")]
    Chunk {
        /// The log.
        origin: Origin,
        /// The index of the first entry.
        from: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// An empty or long key, or a long value.
    #[error("the state `{key}` of {bytes} bytes can't be kept: key or value is too long, or the key is empty")]
    State {
        /// The key, shortened.
        key: String,
        /// The length of the value.
        bytes: usize,
    },
    /// What remains of erased entries does not fit into a chunk.
    #[error("what remains of the erased entries can't be kept: {0}")]
    Remains(#[source] InvalidChunkBody),
    /// Beyond [`NOTE_BYTES_MAX`].
    #[error("a note of {0} bytes is longer than {NOTE_BYTES_MAX}")]
    Note(usize),
}
