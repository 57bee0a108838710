//! The Merkle log: what makes every view of a member's records verify against one signature.
//!
//! A member's log is a list of entries. Their RFC 6962 leaf hashes form a Merkle tree, and a *checkpoint* is the
//! member's signature over the tree's size and root. Whoever holds all leaf hashes up to a checkpoint, whether it
//! sees the entries behind them or not, knows that nothing was added, left out, altered or moved.
//!
//! ```text
//!   entries      e0     e1     e2     e3     e4          Hash: SHA-256(0x00 ‖ entry), SHA-256(0x01 ‖ left ‖ right)
//!                 \     /       \     /      |           Frontier: the roots of the full subtrees, here [n03, e4]
//!   nodes          n01             n23       |           Checkpoint: origin, size 5, root, signature
//!                     \           /          |           Chunk: consecutive items up to a size with a checkpoint,
//!                          n03               |                  each a view or a bare leaf hash
//!                               \            |
//!                                    root ---+
//! ```
//!
//! Everything here is without I/O. Other people's tools can check the bytes: hashing and proofs follow RFC 6962 and
//! RFC 9162, checkpoints are C2SP `tlog-checkpoint` in C2SP `signed-note`, witnesses' lines on them C2SP `tlog-cosignature`,
//! and a proof that leaves the house is a C2SP `tlog-proof`.

mod checkpoint;
mod chunk;
mod cosignature;
mod frontier;
mod hash;
mod note;
mod proof;
mod tlog_proof;
mod verify;

pub use checkpoint::{Checkpoint, InvalidCheckpoint, SignedCheckpoint, VerifiedCheckpoint};
pub use chunk::{
    CHUNK_BYTES_MAX, CHUNK_ENTRIES_MAX, ChunkBody, ChunkBuilder, InvalidChunkBody, Item, ItemRef, ItemRefs,
    VIEW_BYTES_MAX,
};
pub use cosignature::{COSIGNATURE_TIME_MAX, cosigner_key_id};
pub use frontier::{Frontier, InvalidFrontier, LOG_SIZE_MAX};
pub use hash::{Hash, InvalidHash, empty_root, leaf_hash, node_hash};
pub use note::{InvalidNote, NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, NotSigned, NoteSignature, SignedNote, key_id};
pub use proof::{
    ConsistencyProof, InclusionProof, InvalidProof, LeafHashes, OutOfRange, ProofError, consistency_proof,
    inclusion_proof,
};
pub use tlog_proof::{InvalidTlogProof, TLOG_PROOF_BYTES_MAX, TLOG_PROOF_HASHES_MAX, TlogProof};
pub use verify::{InvalidChunk, VerifiedChunk, verify_chunk, verify_chunk_with, verify_overlay};
