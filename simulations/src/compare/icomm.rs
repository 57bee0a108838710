//! icomm's side: real processes of the program, one a node, started on folders that the workloads fill.

pub mod seed;
