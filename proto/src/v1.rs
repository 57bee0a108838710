//! The generated types of `icomm/v1/*.proto`: messages as they travel, unchecked. Only this crate turns them into
//! domain types; the service stubs are used by the carriers. Two are written by hand (`raw`).

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "generated code"
)]

mod raw;

pub use raw::{ImportRow, SubmitRequest};

include!(concat!(env!("OUT_DIR"), "/icomm.v1.rs"));

/// The descriptors of all our .proto files with our options, encoded, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/icomm.bin"));
