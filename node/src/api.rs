//! The local API: how programs of this installation, and the command line, talk to the node.
//!
//! Two doors, one gRPC service (`icomm.v1.Node`, with reflection and the standard health service): a Unix socket that only
//! this user can open, and, if the settings name an address, TCP with mutual TLS for node certificates of the same member.
//! Beside them a small HTTP server for Prometheus and health probes, in clear and therefore on loopback.

pub mod client;
pub mod sink;
