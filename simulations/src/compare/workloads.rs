//! What is measured: a file a workload.

pub mod verify;

use super::workload::Workload;

/// All workloads, in the order in which they are run.
pub const ALL: &[Workload] = &[verify::WORKLOAD];
