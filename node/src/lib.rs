//! icomm-node

pub mod api;
pub mod cli;
pub mod config;
pub mod environment;
pub mod intake;
pub mod link;
pub mod network;
pub mod observe;
pub mod store;
