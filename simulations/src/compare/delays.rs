//! How long something took, many times over: percentiles by the nearest rank.

use std::time::Duration;

use super::series::Sample;

/// Delays of one round.
#[derive(Debug, Clone, Default)]
pub struct Delays(Vec<Duration>);

impl Delays {
    /// One more.
    pub fn add(&mut self, delay: Duration) {
        self.0.push(delay);
    }

    /// The delay in ms that a share of all does not exceed, `None` of none. The share is given in a thousand.
    pub fn ms_at(&self, per_mille: usize) -> Option<f64> {
        let mut delays = self.0.clone();
        delays.sort_unstable();
        let rank = (delays.len() * per_mille).div_ceil(1000).max(1);
        delays.get(rank - 1).map(|delay| delay.as_secs_f64() * 1e3)
    }

    /// A sample whose value is the 99th percentile, beside the median and the 99.9th, all in ms. `None` of no delays.
    pub fn sample(&self) -> Option<Sample> {
        let (p50, p99, p999) = (self.ms_at(500)?, self.ms_at(990)?, self.ms_at(999)?);
        let sample = Sample::of(p99).with("p50_ms", p50).with("p99_ms", p99);
        Some(sample.with("p999_ms", p999))
    }
}

impl FromIterator<Duration> for Delays {
    fn from_iter<I: IntoIterator<Item = Duration>>(delays: I) -> Self {
        Self(delays.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Delays;

    #[test]
    fn percentiles_are_delays_that_were_seen() {
        let delays: Delays = (1..=1000).rev().map(Duration::from_millis).collect();
        for (per_mille, ms) in [(0, 1.0), (500, 500.0), (990, 990.0), (999, 999.0), (1000, 1000.0)] {
            assert_eq!(delays.ms_at(per_mille), Some(ms));
        }
        let sample = delays.sample().unwrap();
        assert_eq!((sample.value, sample.figures["p999_ms"]), (990.0, 999.0));
    }

    #[test]
    fn few_delays_have_percentiles_too() {
        let one: Delays = [Duration::from_millis(7)].into_iter().collect();
        assert_eq!((one.ms_at(1), one.ms_at(999)), (Some(7.0), Some(7.0)));
        assert!(Delays::default().sample().is_none());
    }
}
