//! The member's append-only Merkle log: tree hashing, proofs and signed checkpoints.
