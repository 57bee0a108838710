//! The exchange end to end: real node processes, driven through their public interfaces only.
//!
//! One binary with a module a story, because linking it is what takes time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod away;
mod backups;
mod bench;
mod consents;
mod crash;
mod demo;
mod foreign;
mod forks;
mod full_disk;
mod interrupted;
mod keys;
mod leak;
mod ledger;
mod offline;
mod operator;
mod parcels;
mod photos;
mod place;
mod proofs;
mod real_data;
mod recalls;
mod refused;
mod retention;
mod rollback;
mod soak;
mod terms;
mod token;
mod witnesses;
