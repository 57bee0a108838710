//! How long to wait before dialling again: doubling up to a bound, with half of each pause left to chance so that
//! the members of a region don't all come back to a restarted hub in the same instant.

use std::time::Duration;

/// The pauses of one peer.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    /// Pauses between half of `min` and `max`.
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        let min = min.max(Duration::from_millis(1));
        Self {
            min,
            max: max.max(min),
            attempt: 0,
        }
    }

    /// The next pause; `random` is 64 even random bits.
    pub(super) fn pause(&mut self, random: u64) -> Duration {
        let full = self
            .min
            .saturating_mul(1_u32.checked_shl(self.attempt).unwrap_or(u32::MAX))
            .min(self.max);
        self.attempt = self.attempt.saturating_add(1).min(31);
        let half = full / 2;
        let share = (random >> 40) as f64 / (1_u64 << 24) as f64;
        half + half.mul_f64(share)
    }

    /// Failed attempts since the last success.
    pub(super) fn attempts(&self) -> u32 {
        self.attempt
    }

    /// Starts over after a success.
    pub(super) fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn pauses_grow_and_stay_within_bounds(rolls in prop::collection::vec(any::<u64>(), 1..80)) {
            let (min, max) = (Duration::from_millis(500), Duration::from_secs(60));
            let mut backoff = Backoff::new(min, max);
            for (n, roll) in rolls.into_iter().enumerate() {
                let full = min.saturating_mul(1 << n.min(20)).min(max);
                let pause = backoff.pause(roll);
                prop_assert!(pause >= full / 2 && pause <= full, "pause {n} is {pause:?}");
            }
            backoff.reset();
            prop_assert!(backoff.pause(u64::MAX) <= min);
        }
    }

    #[test]
    fn chance_spreads_the_pauses() {
        let pause = |roll| Backoff::new(Duration::from_secs(1), Duration::from_secs(60)).pause(roll);
        assert_eq!(pause(0), Duration::from_millis(500));
        assert!(pause(u64::MAX) > Duration::from_millis(990));
    }
}
