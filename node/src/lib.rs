//! icomm-node

pub mod config;
pub mod observe;
