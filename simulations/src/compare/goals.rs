//! The goals, as ratios of figures of one run, and whether they were reached.

use super::{outcome::Outcome, series::Series};

/// What must be reached.
#[derive(Clone, Copy)]
pub struct Goal {
    /// In words.
    pub what: &'static str,
    /// Which workload tells.
    pub workload: &'static str,
    /// The figure, out of the workload's outcome; `None` where somebody is absent.
    pub figure: fn(&Outcome) -> Option<f64>,
    /// The bound.
    pub bound: Bound,
}

/// A bound, and which side of it is good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// At least.
    AtLeast(f64),
    /// At most.
    AtMost(f64),
}

impl Bound {
    /// Whether a figure keeps it.
    pub fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(bound) => figure >= bound,
            Self::AtMost(bound) => figure <= bound,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}

/// icomm's figure over another's.
fn ratio(outcome: &Outcome, other: &str, figure: fn(&Series) -> Option<f64>) -> Option<f64> {
    Some(figure(outcome.icomm()?)? / figure(outcome.of(other)?)?)
}

/// A figure of icomm's by name.
fn figure(outcome: &Outcome, name: &str) -> Option<f64> {
    outcome.icomm()?.figures.get(name).map(|spread| spread.median)
}

fn value(series: &Series) -> Option<f64> {
    Some(series.value.median)
}

fn cpu(series: &Series) -> Option<f64> {
    series.cpu_us_per_record.map(|cpu| cpu.median)
}

fn p99(series: &Series) -> Option<f64> {
    series.figures.get("p99_ms").map(|spread| spread.median)
}

/// All goals.
pub const ALL: &[Goal] = &[
    Goal {
        what: "catch-up, records/s ÷ PostgreSQL's initial copy, rows/s",
        workload: "catch-up",
        figure: |outcome| ratio(outcome, "postgresql", value),
        bound: Bound::AtLeast(2.5),
    },
    Goal {
        what: "catch-up, CPU per record, both ends ÷ PostgreSQL's",
        workload: "catch-up",
        figure: |outcome| ratio(outcome, "postgresql", cpu),
        bound: Bound::AtMost(0.4),
    },
    Goal {
        what: "streaming in commits of 100 ÷ PostgreSQL",
        workload: "streaming",
        figure: |outcome| ratio(outcome, "postgresql", value),
        bound: Bound::AtLeast(4.0),
    },
    Goal {
        what: "single commits from 16 writers ÷ PostgreSQL",
        workload: "single-commits",
        figure: |outcome| ratio(outcome, "postgresql", value),
        bound: Bound::AtLeast(8.0),
    },
    Goal {
        what: "p99 from commit to visible ÷ PostgreSQL",
        workload: "latency",
        figure: |outcome| ratio(outcome, "postgresql", p99),
        bound: Bound::AtMost(0.7),
    },
    Goal {
        what: "catch-up ÷ NATS mirror catch-up, which neither syncs nor verifies",
        workload: "catch-up",
        figure: |outcome| ratio(outcome, "nats", value),
        bound: Bound::AtLeast(1.5),
    },
    Goal {
        what: "catch-up, CPU per record ÷ the bare path without gRPC, protobuf and Cedar",
        workload: "catch-up",
        figure: |outcome| ratio(outcome, "bare-path", cpu),
        bound: Bound::AtMost(1.5),
    },
    Goal {
        what: "import ÷ parse, hash and one sequential write alone",
        workload: "import",
        figure: |outcome| ratio(outcome, "parse-hash-write", value),
        bound: Bound::AtLeast(0.5),
    },
    Goal {
        what: "verifying a view ÷ hashing alone, time",
        workload: "verify",
        figure: |outcome| ratio(outcome, "hashing", value),
        bound: Bound::AtMost(1.5),
    },
    Goal {
        what: "no-change reconnect, round trips",
        workload: "reconnect",
        figure: |outcome| figure(outcome, "round_trips"),
        bound: Bound::AtMost(2.0),
    },
    Goal {
        what: "no-change reconnect, kB on the wire",
        workload: "reconnect",
        figure: |outcome| figure(outcome, "wire_kb"),
        bound: Bound::AtMost(10.0),
    },
    Goal {
        what: "a decision with 10,000 agreements ÷ with 1",
        workload: "policy",
        figure: |outcome| figure(outcome, "growth"),
        bound: Bound::AtMost(1.2),
    },
    Goal {
        what: "memory of a national node, MB",
        workload: "footprint",
        figure: |outcome| figure(outcome, "national_memory_mb"),
        bound: Bound::AtMost(150.0),
    },
    Goal {
        what: "memory of the root with 187 origins, MB",
        workload: "root",
        figure: |outcome| figure(outcome, "root_memory_mb"),
        bound: Bound::AtMost(1000.0),
    },
];

/// A goal beside what was reached.
#[derive(Clone, Copy)]
pub struct Verdict {
    /// The goal.
    pub goal: &'static Goal,
    /// What was reached; `None` where it could not be told.
    pub reached: Option<f64>,
}

impl Verdict {
    /// Whether it was reached; `None` where it could not be told.
    pub fn met(&self) -> Option<bool> {
        self.reached.map(|figure| self.goal.bound.holds(figure))
    }
}

/// The goals that the outcomes speak of.
pub fn judge(outcomes: &[Outcome]) -> Vec<Verdict> {
    let verdict = |goal: &'static Goal| {
        let outcome = outcomes.iter().find(|outcome| outcome.workload.name == goal.workload)?;
        let reached = (goal.figure)(outcome).filter(|figure| figure.is_finite());
        Some(Verdict { goal, reached })
    };
    ALL.iter().filter_map(verdict).collect()
}
