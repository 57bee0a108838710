//! What stands in the picture: a group for each workload, a row for each comparison with icomm.

use crate::compare::{
    goals::{self, Bound, Figure, Goal},
    outcome::{Outcome, Standing},
    series::Measure,
    table::{self, figure},
    workload::Kind,
};

/// A workload's rows.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) what: String,
    pub(super) rows: Vec<Row>,
}

pub(super) enum Row {
    Bar(Bar),
    /// There is nobody to compare with.
    Alone {
        figure: String,
    },
    Absent {
        name: &'static str,
        why: String,
    },
}

/// icomm beside another.
pub(super) struct Bar {
    pub(super) label: String,
    /// How many times better icomm is.
    pub(super) better: f64,
    /// How many times better it is to be.
    pub(super) goal: Option<f64>,
    /// The other is no product.
    pub(super) limit: bool,
    /// Both figures.
    pub(super) figures: String,
}

impl Row {
    pub(super) fn bar(&self) -> Option<&Bar> {
        match self {
            Self::Bar(bar) => Some(bar),
            Self::Alone { .. } | Self::Absent { .. } => None,
        }
    }
}

impl Group {
    pub(super) fn of(outcome: &Outcome) -> Self {
        let bars = |other| {
            [Measure::Value, Measure::Cpu]
                .into_iter()
                .filter_map(move |measure| bar(outcome, other, measure))
        };
        let mut rows: Vec<Row> = outcome.others().flat_map(bars).map(Row::Bar).collect();
        if let (true, Some(ours)) = (rows.is_empty(), outcome.icomm()) {
            let alone = format!("{} {}", figure(ours.value.median), outcome.workload.unit);
            rows.push(Row::Alone { figure: alone });
        }
        rows.extend(outcome.absent.iter().map(|absent| Row::Absent {
            name: absent.name,
            why: absent.why.clone(),
        }));
        let Outcome { workload, size, .. } = outcome;
        Self {
            name: workload.name,
            what: format!("{} ({} {})", workload.what, figure(*size as f64), workload.counts),
            rows,
        }
    }
}

fn bar(outcome: &Outcome, other: &Standing, measure: Measure) -> Option<Bar> {
    let about =
        |goal: &&Goal| goal.workload == outcome.workload.name && goal.figure == Figure::Ratio(measure, other.name);
    let goal = goals::ALL.iter().find(about);
    let limit = other.kind == Kind::Limit;
    // What a limit costs in CPU time says something only where it is asked for.
    if measure == Measure::Cpu && limit && goal.is_none() {
        return None;
    }
    let (suffix, unit) = match measure {
        Measure::Value => ("", outcome.workload.unit),
        Measure::Cpu => (", CPU", "µs a record"),
    };
    let (ours, theirs) = (outcome.icomm()?.median(measure)?, other.series.median(measure)?);
    Some(Bar {
        label: table::name(other) + suffix,
        better: outcome.times_better(other, measure)?,
        goal: goal.map(|goal| times_better(goal.bound)),
        limit,
        figures: format!("{} : {} {unit}", figure(ours), figure(theirs)),
    })
}

/// The bound of a ratio as times better: where less is better, it is the ratio turned over.
fn times_better(bound: Bound) -> f64 {
    match bound {
        Bound::AtLeast(ratio) => ratio,
        Bound::AtMost(ratio) => 1.0 / ratio,
    }
}
