//! icomm beside what an administration would use instead, on the same rows, the same machine, in the same run.
//!
//! ```text
//!  Workload ──field()──▶ contestants: icomm first, peers, bare limits ──▶ rounds, alternating ──▶ Series ──▶ Outcome
//!                                                                                                           │
//!                                              goals ◀── table, JSON, picture ◀─────────────────────────────┘
//! ```
//!
//! icomm runs as real processes: the program `compare` is `icomm` too when it is called by that name, so that one build makes
//! both. Peers run as their own servers, started and stopped here; a peer that is not installed is reported absent, and icomm
//! runs alone. Times on a busy machine mean little: every figure is a median over rounds in which the contestants take turns,
//! and what counts is the ratio.

pub mod certificates;
pub mod daemon;
pub mod delays;
pub mod delivered;
pub mod fleet;
pub mod goals;
pub mod growth;
pub mod icomm;
pub mod limits;
pub mod machine;
pub mod meter;
pub mod nats;
pub mod network;
pub mod outcome;
pub mod pair;
pub mod picture;
pub mod postgres;
pub mod relay;
pub mod rounds;
pub mod rows;
pub mod scale;
pub mod sealed;
pub mod series;
pub mod table;
pub mod workload;
pub mod workloads;
