//! What can be wrong with a ledger.

use icomm_proto::log::{InvalidCheckpoint, NotSigned};
use thiserror::Error;

use super::epoch::EPOCHS_MAX;
use crate::store::StoreError;

/// Why the notes are not those that were signed. Somebody edited or cut them, or the store was put back to an older state.
#[derive(Debug, Clone, Error)]
pub enum InvalidLedger {
    /// There are fewer notes than were signed.
    #[error("the disclosure log ends before note {notes}, but {signed} notes were signed: the last were cut off")]
    Cut {
        /// How many there are.
        notes: u64,
        /// How many were signed.
        signed: u64,
    },
    /// A stretch of notes has another hash than was signed.
    #[error("among notes {from} to {last} of the disclosure log at least one is not the one that was signed")]
    Changed {
        /// The first note of the stretch.
        from: u64,
        /// Its last.
        last: u64,
    },
    /// A kept checkpoint is none of this ledger's.
    #[error("checkpoint {number} of the disclosure log is not the one that was signed")]
    Checkpoint {
        /// Which.
        number: u64,
        /// What is wrong with it.
        #[source]
        source: InvalidCheckpoint,
    },
    /// Kept checkpoints are not in the order in which they were signed.
    #[error("checkpoint {number} of the disclosure log is not larger than the one before it")]
    Order {
        /// Which.
        number: u64,
    },
    /// Another member holds a checkpoint of this ledger over more notes than there are.
    #[error(
        "`{holder}` holds this node's own signature over {held} disclosures, and only {notes} are noted here: the last were cut \
         off, or the store was put back to an older state"
    )]
    Beyond {
        /// Who.
        holder: String,
        /// Over how many notes.
        held: u64,
        /// How many there are.
        notes: u64,
    },
    /// Another member holds a checkpoint of other notes.
    #[error(
        "`{holder}` holds this node's own signature over {held} disclosures, and among the first {held} that are noted here \
         at least one is another"
    )]
    Elsewhere {
        /// Who.
        holder: String,
        /// Over how many notes.
        held: u64,
    },
    /// It can't begin anew once more.
    #[error("the disclosure log began anew {EPOCHS_MAX} times already: set up a new node")]
    Epochs,
    /// The key does not sign now. Nothing is wrong with the notes.
    #[error("the disclosure log is not signed: {0}")]
    Unsigned(#[from] NotSigned),
    /// The store can't read it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why what a peer keeps of this ledger is not what is here.
#[derive(Debug, Error)]
pub enum Disagreement {
    /// It is no checkpoint of this ledger: the peer's fault.
    #[error("what it keeps is no checkpoint of this node's ledger: {0}")]
    Foreign(#[from] InvalidCheckpoint),
    /// It is, and the notes here are not those that were signed.
    #[error(transparent)]
    Ledger(#[from] InvalidLedger),
}

impl InvalidLedger {
    /// Whether somebody else holds what is not here, while nothing here contradicts itself: it may begin anew.
    pub fn is_told_by_others(&self) -> bool {
        matches!(self, Self::Beyond { .. } | Self::Elsewhere { .. })
    }
}

/// Why a ledger is not begun anew at an officer's word.
#[derive(Debug, Error)]
pub enum BeginError {
    /// There is no need to.
    #[error("nobody holds more of the disclosure log than is here; it goes on as it is")]
    NotNeeded,
    /// A new beginning mends nothing of this.
    #[error(transparent)]
    Ledger(#[from] InvalidLedger),
}
