//! Whole networks of the real core under simulated time and network: the same sessions, replicas, policy and delivery that
//! a node runs, driven by a discrete-event loop instead of tokio and sockets.
//!
//! What is real: certificates and bundle, agreements and Cedar decisions, sealing, Merkle logs and signatures, the session
//! protocol, the store's semantics ([`icomm_node::store::MemoryStore`]). What is simulated: the clock, the network (frames
//! arrive in order per direction, after a random delay; wires are cut, peers crash) and the disk's latency. The network
//! stack itself is not in it.
//!
//! The same seed gives the same run, to the byte: see [`world::World::trace`].

#![warn(missing_docs)]

pub mod compare;
pub mod members;
pub mod scenarios;
pub mod world;
