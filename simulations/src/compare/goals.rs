//! The goals, as ratios of figures of one run, and whether they were reached.

use super::{
    outcome::Outcome,
    series::{Measure, Series},
};

/// What must be reached.
#[derive(Clone, Copy)]
pub struct Goal {
    /// In words.
    pub what: &'static str,
    /// Which workload tells.
    pub workload: &'static str,
    /// Which figure of it.
    pub figure: Figure,
    /// The bound.
    pub bound: Bound,
}

/// A figure that is told by a workload's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// icomm's over that of the contestant with this name.
    Ratio(Measure, &'static str),
    /// icomm's own with this name.
    Own(&'static str),
}

impl Figure {
    /// The figure; `None` where somebody is absent.
    pub fn of(self, outcome: &Outcome) -> Option<f64> {
        let ours: &Series = outcome.icomm()?;
        match self {
            Self::Ratio(measure, other) => Some(ours.median(measure)? / outcome.of(other)?.median(measure)?),
            Self::Own(name) => ours.figures.get(name).map(|spread| spread.median),
        }
    }
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

/// All goals.
pub const ALL: &[Goal] = &[
    Goal {
        what: "catch-up, records/s ÷ PostgreSQL's initial copy, rows/s",
        workload: "catch-up",
        figure: Figure::Ratio(Measure::Value, "postgresql"),
        bound: Bound::AtLeast(2.5),
    },
    Goal {
        what: "catch-up, CPU per record, both ends ÷ PostgreSQL's",
        workload: "catch-up",
        figure: Figure::Ratio(Measure::Cpu, "postgresql"),
        bound: Bound::AtMost(0.4),
    },
    Goal {
        what: "streaming in commits of 100 ÷ PostgreSQL",
        workload: "streaming",
        figure: Figure::Ratio(Measure::Value, "postgresql"),
        bound: Bound::AtLeast(4.0),
    },
    Goal {
        what: "single commits from 16 writers ÷ PostgreSQL",
        workload: "single-commits",
        figure: Figure::Ratio(Measure::Value, "postgresql"),
        bound: Bound::AtLeast(8.0),
    },
    Goal {
        what: "p99 from commit to visible ÷ PostgreSQL",
        workload: "latency",
        figure: Figure::Ratio(Measure::Value, "postgresql"),
        bound: Bound::AtMost(0.7),
    },
    Goal {
        what: "catch-up ÷ NATS mirror catch-up, which neither syncs nor verifies",
        workload: "catch-up",
        figure: Figure::Ratio(Measure::Value, "nats"),
        bound: Bound::AtLeast(1.5),
    },
    Goal {
        what: "catch-up, CPU per record ÷ the bare path without gRPC, protobuf and Cedar",
        workload: "catch-up",
        figure: Figure::Ratio(Measure::Cpu, "bare-path"),
        bound: Bound::AtMost(1.5),
    },
    Goal {
        what: "import ÷ parse, hash and one sequential write alone",
        workload: "import",
        figure: Figure::Ratio(Measure::Value, "parse-hash-write"),
        bound: Bound::AtLeast(0.5),
    },
    Goal {
        what: "verifying a view ÷ hashing alone, time",
        workload: "verify",
        figure: Figure::Ratio(Measure::Value, "hashing"),
        bound: Bound::AtMost(1.5),
    },
    Goal {
        what: "no-change reconnect, round trips",
        workload: "reconnect",
        figure: Figure::Own("round_trips"),
        bound: Bound::AtMost(2.0),
    },
    Goal {
        what: "no-change reconnect, kB on the wire",
        workload: "reconnect",
        figure: Figure::Own("wire_kb"),
        bound: Bound::AtMost(10.0),
    },
    Goal {
        what: "a decision with 10,000 agreements ÷ with 1",
        workload: "policy",
        figure: Figure::Own("growth"),
        bound: Bound::AtMost(1.2),
    },
    Goal {
        what: "memory of a national node, MB",
        workload: "footprint",
        figure: Figure::Own("national_memory_mb"),
        bound: Bound::AtMost(150.0),
    },
    Goal {
        what: "memory of the root with 187 origins, MB",
        workload: "root",
        figure: Figure::Own("root_memory_mb"),
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
        let reached = goal.figure.of(outcome).filter(|figure| figure.is_finite());
        Some(Verdict { goal, reached })
    };
    ALL.iter().filter_map(verdict).collect()
}
