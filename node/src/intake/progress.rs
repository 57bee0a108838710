//! How far an import has come, for whoever watches.

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::summary::Counters;

const TEMPLATE: &str = "{bar:30} {percent:>3} %  {bytes} of {total_bytes}  {msg}  {eta} left";

/// Is told after each batch.
pub trait Progress: Send + Sync {
    /// So many bytes of so many are read, and so many rows done.
    fn advanced(&self, bytes: u64, bytes_total: u64, counters: &Counters);
}

/// Nobody watches.
pub struct Unwatched;

impl Progress for Unwatched {
    fn advanced(&self, _: u64, _: u64, _: &Counters) {}
}

/// A bar on a terminal, with rate and time left; hidden where standard error is none.
pub struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar on standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self::on(ProgressDrawTarget::stderr())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), target);
        // The template is a constant, tested below; a bar without style still counts.
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("━━ "));
        }
        Self { bar }
    }

    /// Takes the bar away; what is to be said at the end is the caller's.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn advanced(&self, bytes: u64, bytes_total: u64, counters: &Counters) {
        self.bar.set_length(bytes_total);
        self.bar
            .set_message(message(counters, self.bar.elapsed().as_secs_f64()));
        self.bar.set_position(bytes);
    }
}

/// Rows, their rate, and what became of them.
fn message(counters: &Counters, seconds: f64) -> String {
    // A rate for people: three digits would do.
    let rate = (counters.rows as f64 / seconds.max(0.001)) as u64;
    let mut message = format!("{} rows ({} /s)", HumanCount(counters.rows), HumanCount(rate));
    for (count, what) in [
        (counters.issued, "issued"),
        (counters.valid, "valid"),
        (counters.duplicate, "known"),
        (counters.rejected, "rejected"),
    ] {
        if count > 0 {
            message.push_str(&format!(", {} {what}", HumanCount(count)));
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_tells_rows_rate_and_outcomes() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        let counters = Counters {
            rows: 12_500,
            issued: 12_000,
            rejected: 500,
            ..Counters::default()
        };
        assert_eq!(
            message(&counters, 2.0),
            "12,500 rows (6,250 /s), 12,000 issued, 500 rejected"
        );
        assert_eq!(message(&Counters::default(), 0.0), "0 rows (0 /s)");
    }

    #[test]
    fn the_bar_follows() {
        let bar = Bar::on(ProgressDrawTarget::hidden());
        bar.advanced(25, 100, &Counters::default());
        bar.advanced(
            75,
            100,
            &Counters {
                rows: 3,
                ..Counters::default()
            },
        );
        assert_eq!((bar.bar.position(), bar.bar.length()), (75, Some(100)));
        assert!(bar.bar.message().starts_with("3 rows"));
        bar.clear();
        assert!(bar.bar.is_finished());
    }
}
