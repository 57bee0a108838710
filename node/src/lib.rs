//! icomm-node

pub mod intake;
