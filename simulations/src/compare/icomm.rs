//! icomm's side: real processes of the program, one a node, started on folders that the workloads fill.
//!
//! Everything is told to the nodes through their API, as any program would tell it. What a round must not count is done
//! before and after its clock: certificates, signatures under the agreement, an empty store for the receiver, and the
//! receiver's own verification of all that it got.

mod catch_up;
pub mod cost;
mod import;
mod latency;
pub mod pair;
pub mod seed;
mod single_commits;
mod streaming;
mod writer;

pub use self::{
    catch_up::{catch_up, catch_up_over_noise, catch_up_over_quic},
    import::{import, import_command},
    latency::latency,
    single_commits::single_commits,
    streaming::streaming,
};

/// Its name as a contestant.
pub const NAME: &str = "icomm";
