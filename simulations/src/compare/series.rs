//! What one contestant did in one round, and over all rounds.

use std::collections::BTreeMap;

use serde::Serialize;

/// One round of one contestant.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// The workload's figure, in its unit.
    pub value: f64,
    /// CPU time of all processes of the contestant, user and system, in µs a record; where that makes sense.
    pub cpu_us_per_record: Option<f64>,
    /// Further figures by name, the unit last in the name: `p99_ms`, `disk_bytes_per_record`.
    pub figures: BTreeMap<String, f64>,
}

impl Sample {
    /// A sample with nothing but the figure.
    pub fn of(value: f64) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }

    /// Records over wall time, with the CPU time they took.
    pub fn rate(records: u64, seconds: f64, cpu_seconds: f64) -> Self {
        let records = records as f64;
        Self {
            value: records / seconds,
            cpu_us_per_record: Some(cpu_seconds * 1e6 / records),
            figures: BTreeMap::new(),
        }
    }

    /// With a further figure.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: f64) -> Self {
        self.figures.insert(name.into(), value);
        self
    }
}

/// A figure over all rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The lowest round.
    pub low: f64,
    /// The highest round.
    pub high: f64,
}

impl Spread {
    /// `None` of nothing.
    pub fn over(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(*values.get(middle - 1)?, *values.get(middle)?),
            _ => *values.get(middle)?,
        };
        Some(Self { median, low, high })
    }
}

/// What contestants are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The workload's figure.
    Value,
    /// CPU time a record.
    Cpu,
}

/// All rounds of one contestant.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The workload's figure.
    pub value: Spread,
    /// CPU time in µs a record.
    pub cpu_us_per_record: Option<Spread>,
    /// Further figures.
    pub figures: BTreeMap<String, Spread>,
    /// How many rounds.
    pub rounds: usize,
}

impl Series {
    /// `None` of no rounds.
    pub fn over(samples: &[Sample]) -> Option<Self> {
        let names = samples.iter().flat_map(|sample| sample.figures.keys());
        let figures = names
            .filter_map(|name| {
                let values = samples.iter().filter_map(|sample| sample.figures.get(name).copied());
                Some((name.clone(), Spread::over(values)?))
            })
            .collect();
        Some(Self {
            value: Spread::over(samples.iter().map(|sample| sample.value))?,
            cpu_us_per_record: Spread::over(samples.iter().filter_map(|sample| sample.cpu_us_per_record)),
            figures,
            rounds: samples.len(),
        })
    }

    /// The median of a measure, where it was taken.
    pub fn median(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Value => Some(self.value.median),
            Measure::Cpu => self.cpu_us_per_record.map(|cpu| cpu.median),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Sample, Series, Spread};

    #[test]
    fn a_spread_has_its_median_between_its_ends() {
        assert_eq!(Spread::over([]), None);
        let odd = Spread::over([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.low, odd.median, odd.high), (1.0, 2.0, 3.0));
        assert_eq!(Spread::over([4.0, 1.0]).unwrap().median, 2.5);
    }

    #[test]
    fn a_series_keeps_every_figure_of_any_round() {
        let rounds = [
            Sample::rate(1000, 2.0, 0.5).with("p99_ms", 4.0),
            Sample::rate(1000, 1.0, 0.25),
        ];
        let series = Series::over(&rounds).unwrap();
        assert_eq!((series.value.median, series.rounds), (750.0, 2));
        assert_eq!(series.cpu_us_per_record.unwrap().high, 500.0);
        assert_eq!(series.figures["p99_ms"].median, 4.0);
        assert_eq!(Series::over(&[]), None);
    }
}
