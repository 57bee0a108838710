//! icomm-proto
