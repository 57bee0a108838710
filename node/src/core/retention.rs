//! Retention: what others gave is kept for as long as their grants say, counted from its receipt, and no longer.
//!
//! ```text
//!  a chunk is stored ──▶ in the same batch: which entries came today, by whom             (Receiving)
//!      …days…
//!  sweep ──▶ whose time is over, by the book (`policy`)? ──▶ batch: erased or shut away,  (Expiry, signed)
//!                                                            and never again              (Expired)
//!  the originator ◀── the signed word, by the way on which the entries came
//! ```
//!
//! What is over is everything but the open section, which names nobody: the view falls back to that, and to sections that
//! another grant still allows. The clock of a section starts when it came, not when its entry did, so that what wider terms
//! bring later has its full time. What expired stays so under whatever terms come: nothing of it is stored again, whoever
//! sends it; only the originator can issue it anew.
//!
//! Days are those of UTC, counted from 1970.

mod expired;
mod expiry;
mod received;

pub use expired::Expired;
pub use expiry::{Expiry, InvalidExpiry, SPANS_MAX, Span};
pub use received::{Came, Part, Receiving, begin, parts};

use icomm_policy::agreement::{Expiry as Then, Retention};
use icomm_proto::v1;

/// Seconds of a day.
pub const DAY_S: u64 = 86_400;

/// Expiries in one frame at most.
pub const EXPIRIES_MAX: usize = 32;

/// Expiries of one member for one log that others keep at most: each is of up to [`SPANS_MAX`] stretches of entries.
pub const EXPIRIES_KEPT_MAX: usize = 65_536;

/// What was said of an originator's terms, as policy speaks of it; none for what no grant can say.
pub fn told(keep: &v1::Keep) -> Option<Retention> {
    let v1::Keep { days, restrict } = *keep;
    let then = if restrict { Then::Restrict } else { Then::Erase };
    (days > 0).then_some(Retention { days, then })
}

/// The same, to be sent.
pub fn keep(retention: Retention) -> v1::Keep {
    v1::Keep {
        days: retention.days,
        restrict: retention.then == Then::Restrict,
    }
}
