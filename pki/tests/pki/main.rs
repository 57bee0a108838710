//! The crate through its public interface: enrolment, trust bundles, authentication and TLS handshakes, each with the
//! certificates and documents that must be refused.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test")]

mod bundles;
mod certificates;
mod directories;
mod enrolment;
mod handshakes;
mod network;
mod paths;
mod profiles;
mod renewal;
