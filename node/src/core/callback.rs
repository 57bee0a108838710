//! Calling back: what was given and is no longer covered, since the terms became narrower, is erased where it went.
//!
//! ```text
//!  giver                              holder                           who had it from the holder
//!  a narrower version begins
//!    │ notes: what went under it?
//!    │ policy: what may stay?
//!    ├── CallBack (entries, what      erase, durable
//!    │   may stay of each) ─────────▶ notes: who was given any?
//!    │                                  ├── CallBack of its own ────▶ erase, durable
//!    ◀── CalledBack (signed; waiting) ──┤
//!    │                                  ◀─────── CalledBack (signed) ┤
//!    ◀── CalledBack (nobody waited for) ┘
//! ```
//!
//! A recall is the originator's word to everybody; this is one member's word to another about what passed between the two, so it
//! counts on their link alone and for nothing that did not come over it. It takes nothing that the originator itself still gives
//! the holder. It is owed until it is answered, and asked again after every hello.
//!
//! Found by the notes: INVARIANT: what is given has its note first, and a body read before the search began does not go after it
//! ([`Voids::withhold`](crate::core::recall::Voids::withhold)).

mod answer;
mod call;
mod kept;

pub use answer::{Answer, InvalidAnswer};
pub use call::{Call, InvalidCall, Stretches};
pub use kept::{CALLBACKS_PREFIX, Made, made_state, owed_to, taken_state};

/// Entries that one call speaks of at most.
pub const CALL_ENTRIES_MAX: u64 = 65_536;
/// Members that one answer names at most.
pub const PASSED_ON_MAX: usize = 4096;
