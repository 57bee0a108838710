//! The member's own log: sealed records are appended, one checkpoint is signed for each commit.

use icomm_pki::MemberKey;
use icomm_proto::log::{
    CHUNK_BYTES_MAX, CHUNK_ENTRIES_MAX, Checkpoint, ChunkBuilder, Frontier, InvalidChunkBody, NotSigned,
};
use icomm_proto::{Origin, View};
use thiserror::Error;

use crate::store::{Boundary, IntakeKey, StoredChunk};

/// A tag and a length stand before every view in a chunk.
const ITEM_HEAD_BYTES: usize = 5;

/// A sealed record on its way into the log, with the key that keeps it from being issued twice.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// All sections.
    pub view: View,
    /// What an import knows it by.
    pub key: Option<IntakeKey>,
}

/// Why a commit could not be made. Ours, or the key's.
#[derive(Debug, Error)]
pub enum AppendError {
    /// More than fits into one chunk.
    #[error("a commit does not fit into one chunk: {0}")]
    TooLarge(#[from] InvalidChunkBody),
    /// The checkpoint could not be signed.
    #[error("the log's new state can't be signed: {0}")]
    Checkpoint(#[from] NotSigned),
}

/// The state of the own log: what is durable, and what has been handed to the store on top of it.
#[derive(Debug)]
pub struct OwnLog {
    origin: Origin,
    line: String,
    frontier: Frontier,
}

impl OwnLog {
    /// An empty log; [`OwnLog::resume`] brings it to what the store holds.
    pub fn new(origin: Origin, line: String) -> Self {
        Self {
            origin,
            line,
            frontier: Frontier::new(),
        }
    }

    /// Which log.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Entries, those on their way to the disk included.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The frontier after them.
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// How many of `records` fit into one commit.
    pub fn fits(records: &[Sealed]) -> usize {
        let mut bytes = 0;
        records
            .iter()
            .take(CHUNK_ENTRIES_MAX as usize)
            .take_while(|record| {
                bytes += ITEM_HEAD_BYTES + record.view.bytes().len();
                bytes <= CHUNK_BYTES_MAX
            })
            .count()
    }

    /// Appends at least one record as one commit and signs the log's new state. The caller stores the chunk, or falls
    /// back to what the store holds.
    pub fn append(&mut self, records: &[Sealed], key: &MemberKey) -> Result<StoredChunk, AppendError> {
        let from = self.frontier.size();
        let mut frontier = self.frontier.clone();
        let mut body = ChunkBuilder::with_capacity(
            records
                .iter()
                .map(|record| ITEM_HEAD_BYTES + record.view.bytes().len())
                .sum(),
        );
        for record in records {
            frontier.push(record.view.leaf_hash());
            body.disclose(record.view.bytes());
        }
        let body = body.finish()?;
        let checkpoint = Checkpoint::of(&self.line, &frontier).sign(key)?;
        let keys = (0..)
            .zip(records)
            .filter_map(|(offset, record)| Some((offset, record.key?)))
            .collect();
        self.frontier = frontier.clone();
        Ok(
            StoredChunk::extending(self.origin.clone(), from, body, frontier, checkpoint.note().clone())
                .with_intake_keys(keys),
        )
    }

    /// Takes the store's word for what is held: at start, and after something could not be stored.
    pub fn resume(&mut self, held: Option<Boundary>) {
        self.frontier = held.map_or_else(Frontier::new, |held| held.frontier);
    }
}
