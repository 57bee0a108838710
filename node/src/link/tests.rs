//! Links between whole nodes over real sockets on loopback.
//!
//! `world` makes the network (authority, members, bundles) and `node` its nodes; each other file is one promise.

mod announcements;
mod carriers;
mod hostile;
mod limits;
mod node;
mod reconnect;
mod refusals;
mod relay;
mod revocation;
pub(super) mod world;
