//! Whether a version of an agreement decides at a given moment.

use std::fmt;

use icomm_pki::MemberId;

use crate::agreement::Day;

/// Whether a version decides at a given moment, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum Standing {
    /// It decides.
    InForce {
        /// The first second at which it no longer does, as far as documents say so; `u64::MAX` without an end.
        until: u64,
    },
    /// It begins later.
    NotYet {
        /// The first second in force.
        from: u64,
    },
    /// A higher version has taken its place.
    Superseded {
        /// That version.
        by: u32,
    },
    /// A party suspended it.
    Suspended {
        /// Who, at least one.
        by: Vec<MemberId>,
    },
    /// Its last day is over.
    Ended {
        /// The first second no longer in force.
        since: u64,
    },
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day =
            |instant: u64| Day::of(instant).map_or_else(|_| "a day beyond counting".to_owned(), |day| day.to_string());
        match self {
            Self::InForce { until: u64::MAX } => f.write_str("is in force"),
            Self::InForce { until } => write!(f, "is in force until {}", day(until.saturating_sub(1))),
            Self::NotYet { from } => write!(f, "begins on {}", day(*from)),
            Self::Superseded { by } => write!(f, "was superseded by version {by}"),
            Self::Suspended { by } => {
                let by: Vec<&str> = by.iter().map(MemberId::as_str).collect();
                write!(f, "is suspended by {}", by.join(", "))
            }
            Self::Ended { since } => write!(f, "ended on {}", day(since.saturating_sub(1))),
        }
    }
}
