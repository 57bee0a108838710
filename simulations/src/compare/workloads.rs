//! What is measured: a file a workload.

pub mod carriers;
pub mod catch_up;
pub mod footprint;
pub mod hub;
pub mod import;
pub mod latency;
pub mod policy;
pub mod reconnect;
pub mod root;
pub mod single_commits;
pub mod streaming;
pub mod verify;

use super::workload::Workload;

/// All workloads, in the order in which they are run.
pub const ALL: &[Workload] = &[
    import::WORKLOAD,
    catch_up::WORKLOAD,
    streaming::WORKLOAD,
    single_commits::WORKLOAD,
    latency::WORKLOAD,
    hub::WORKLOAD,
    root::WORKLOAD,
    reconnect::WORKLOAD,
    policy::WORKLOAD,
    verify::WORKLOAD,
    footprint::WORKLOAD,
    carriers::WORKLOAD,
];
