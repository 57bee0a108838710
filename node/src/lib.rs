//! icomm-node

pub mod config;
pub mod intake;
pub mod observe;
pub mod store;
