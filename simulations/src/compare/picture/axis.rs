//! A logarithmic axis from worse to better, with 1 somewhere on it.

/// The axis ends here whatever is to be shown; what lies beyond is drawn to the end, and its figure says the rest.
const LOW_MIN: f64 = 1e-3;
const HIGH_MAX: f64 = 1e4;

/// What is always on the axis.
const ALWAYS: [f64; 2] = [0.5, 2.0];

/// Room beyond the lowest and the highest, as a factor.
const ROOM: f64 = 1.1;

/// More ticks than this would run into each other.
const TICKS_MAX: usize = 10;

/// Values to pixels.
pub(super) struct Axis {
    low: f64,
    high: f64,
    pixels: (f64, f64),
}

impl Axis {
    /// An axis that has all these values on it; `None` of no values.
    pub(super) fn over(values: impl IntoIterator<Item = f64>, pixels: (f64, f64)) -> Option<Self> {
        let mut values = values
            .into_iter()
            .filter(|value| value.is_finite() && *value > 0.0)
            .peekable();
        values.peek()?;
        let (low, high) = values.chain(ALWAYS).fold((1.0_f64, 1.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        Some(Self {
            low: (low / ROOM).max(LOW_MIN),
            high: (high * ROOM).min(HIGH_MAX),
            pixels,
        })
    }

    /// Where a value is.
    pub(super) fn x(&self, value: f64) -> f64 {
        let share = (value.clamp(self.low, self.high) / self.low).ln() / (self.high / self.low).ln();
        self.pixels.0 + share * (self.pixels.1 - self.pixels.0)
    }

    /// Round values on it, and how they are written.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let among = |steps: &[i32]| -> Vec<(f64, String)> {
            let ticks = (-3..=4).flat_map(|decade| steps.iter().map(move |step| (decade, *step)));
            ticks
                .map(|(decade, step)| tick(decade, step))
                .filter(|(value, _)| (self.low..=self.high).contains(value))
                .collect()
        };
        let fine = among(&[1, 2, 5]);
        if fine.len() > TICKS_MAX { among(&[1]) } else { fine }
    }
}

/// `step` × 10 ^ `decade`. Below 1 it is written as a fraction: 1/5, not 0.2×.
fn tick(decade: i32, step: i32) -> (f64, String) {
    let value = f64::from(step) * 10f64.powi(decade);
    let text = match value {
        1.0 => "1".to_owned(),
        below if below < 1.0 => format!("1/{:.0}", 1.0 / below),
        above => format!("{above:.0}×"),
    };
    (value, text)
}

#[cfg(test)]
mod tests {
    use super::{Axis, ROOM};

    #[test]
    fn an_axis_reaches_from_the_lowest_to_the_highest() {
        let axis = Axis::over([0.1, 10.0], (0.0, 100.0)).unwrap();
        for (value, x) in [
            (0.1 / ROOM, 0.0),
            (1.0, 50.0),
            (10.0 * ROOM, 100.0),
            (0.0, 0.0),
            (1e9, 100.0),
        ] {
            assert!((axis.x(value) - x).abs() < 1e-9, "{value} is at {}", axis.x(value));
        }
        let ticks: Vec<String> = axis.ticks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(ticks, ["1/10", "1/5", "1/2", "1", "2×", "5×", "10×"]);
    }

    #[test]
    fn a_long_axis_has_few_ticks() {
        let ticks = Axis::over([0.002, 2000.0], (0.0, 1.0)).unwrap().ticks();
        assert_eq!(ticks.len(), 6, "{ticks:?}");
    }

    #[test]
    fn there_is_no_axis_of_nothing() {
        assert!(Axis::over([f64::NAN, f64::INFINITY, 0.0], (0.0, 1.0)).is_none());
    }
}
