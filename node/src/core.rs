//! The sans-I/O core: logs, replicas, sessions and delivery as state machines.
//!
//! Inputs are events (a frame arrived, a batch became durable, an agreement changed), outputs are actions (send this
//! frame, store this batch, read that range). Nothing in here knows tokio, a socket, a file, a clock or a random
//! source, so the shell drives it with real ones and a simulator can drive the very same code with simulated ones.
//!
//! | module | job |
//! |---|---|
//! | [`own`] | the member's own log: append, sign |
//! | [`replica`] | another member's log as it arrives: verify, merge, refuse |
//! | [`session`] | one link: hellos, wants, chunks, receipts, refusals |
//! | [`feed`] | one log on its way to one peer: read, note, send, wait for the receipt |
//! | [`delivery`] | what of a stretch of a log goes to a peer, and the note of it |
//! | [`exchange`] | what all links share; performs what sessions decide |
//! | [`law`] | the agreements and the trust bundle in force |
//! | [`callback`] | what narrower terms take back: calls, erasing, signed answers |
//! | [`consents`] | what was asked of originators and answered |
//! | [`routes`] | whom to ask for which log |
//! | [`disclosure`] | the durable note of what was disclosed |
//! | [`ledger`] | the notes of disclosures as a signed log of their own |
//! | [`recall`] | what originators void: orders, erasing, signed answers |
//! | [`seat`] | where the member's key sits, and a new one takes its place |
//! | [`refused`] | the report of documents that do not count |
//! | [`retention`] | what came when, whose time is over, and the signed word of that |
//! | [`receipt`] | the receiver's signature over what it stored |
//! | [`tally`] | what is held of a log, counted while verifying it |

pub mod callback;
pub mod consents;
pub mod delivery;
pub mod disclosure;
pub mod exchange;
pub mod feed;
#[cfg(test)]
pub(crate) mod fixture;
pub mod law;
pub mod ledger;
pub mod own;
pub mod photo;
pub mod recall;
pub mod receipt;
pub mod refused;
pub mod replica;
pub mod retention;
pub mod routes;
pub mod seat;
pub mod session;
pub mod tally;
