//! A node of the exchange: its sans-I/O [`core`] and the shell around it.

pub mod api;
pub mod backup;
pub mod causes;
pub mod cli;
pub mod config;
pub mod core;
pub mod demo;
pub mod environment;
pub mod intake;
pub mod issuer;
pub mod link;
pub mod network;
pub mod node;
pub mod observe;
pub mod sessions;
pub mod store;
mod token;
