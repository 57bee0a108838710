//! Bare limits: parts of the same work on the same rows with nothing around them, to show how close icomm comes to what this
//! machine can do at all.
//!
//! | limit | what is left of the work |
//! |---|---|
//! | [`bare_path()`] | catch-up without gRPC, Protocol Buffers, Cedar, sessions and any index |
//! | [`bare_commit()`] | commits, from the caller to the receiver's disk, without the same |
//! | [`parse_hash_write()`] | an import that splits cells, hashes and writes, and understands nothing |
//! | [`hashing()`] | verification that hashes the same bytes and looks at nothing |
//! | [`signatures()`] | verification with a signature for each view instead of one for a chunk |

pub mod bare_commit;
pub mod bare_path;
pub mod hashing;
pub mod parse_hash_write;
pub mod signatures;

pub use bare_commit::bare_commit;
pub use bare_path::bare_path;
pub use hashing::hashing;
pub use parse_hash_write::parse_hash_write;
pub use signatures::signatures;
