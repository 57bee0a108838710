//! From when to when something counts.

use thiserror::Error;
use time::{Duration, OffsetDateTime, UtcOffset};

/// How far the clocks of two nodes may differ without harm: what is issued counts this much earlier already.
pub const CLOCK_SKEW_MAX: Duration = Duration::minutes(5);

/// A span of time in whole seconds, both ends included, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

/// The end is not after the start, or one of them is outside of what certificates can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a validity from {not_before} to {not_after} is not a span of time between 1970 and 9999")]
pub struct InvalidValidity {
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

impl Validity {
    /// From one moment to another; fractions of seconds are cut off.
    pub fn new(not_before: OffsetDateTime, not_after: OffsetDateTime) -> Result<Self, InvalidValidity> {
        let (not_before, not_after) = (whole_seconds(not_before), whole_seconds(not_after));
        if not_before < not_after && not_before.unix_timestamp() >= 0 && not_after.year() <= 9999 {
            Ok(Self { not_before, not_after })
        } else {
            Err(InvalidValidity { not_before, not_after })
        }
    }

    /// From [`CLOCK_SKEW_MAX`] before `now` to `days` after it.
    pub fn days(now: OffsetDateTime, days: u16) -> Result<Self, InvalidValidity> {
        Self::new(
            now.saturating_sub(CLOCK_SKEW_MAX),
            now.saturating_add(Duration::days(days.into())),
        )
    }

    /// The first second that counts.
    pub fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// The last second that counts.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// Whether `now` is within.
    pub fn contains(&self, now: OffsetDateTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Whether all of `inner` is within.
    pub fn encloses(&self, inner: &Self) -> bool {
        self.not_before <= inner.not_before && inner.not_after <= self.not_after
    }
}

/// The moment so many seconds after the start of 1970; none beyond the year 9999.
#[must_use]
pub fn moment_at(unix_seconds: u64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(unix_seconds).ok()?).ok()
}

/// The moment in UTC without its fraction of a second, as certificates and bundles can say it.
pub(crate) fn whole_seconds(moment: OffsetDateTime) -> OffsetDateTime {
    let moment = moment.to_offset(UtcOffset::UTC);
    moment.replace_nanosecond(0).unwrap_or(moment)
}
