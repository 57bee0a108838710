//! What is measured: a file a workload.

use super::workload::Workload;

/// All workloads, in the order in which they are run.
pub const ALL: &[Workload] = &[];
