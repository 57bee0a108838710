//! Outcomes, goals and growth as tables for people.

use std::collections::BTreeSet;

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::{
    goals::Verdict,
    growth::Curve,
    outcome::{Outcome, Standing},
    series::{Measure, Series, Spread},
    workload::{Better, Kind},
};

/// Heads, a rule below them, rows without lines.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// How wide prose is where no terminal says it.
const PROSE_WIDTH: u16 = 130;

/// A table with these heads; columns whose head begins with `>` are aligned to the right.
fn empty<'a>(head: impl IntoIterator<Item = &'a str>) -> Table {
    let head: Vec<&str> = head.into_iter().collect();
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(head.iter().map(|head| head.trim_start_matches('>')));
    for (at, _) in head.iter().enumerate().filter(|(_, head)| head.starts_with('>')) {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A figure with three digits that count.
pub fn figure(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1000.0 {
        let mut digits = format!("{value:.0}");
        let mut at = digits.len();
        while at > 3 + usize::from(value < 0.0) {
            at -= 3;
            digits.insert(at, ',');
        }
        digits
    } else if magnitude >= 100.0 {
        format!("{value:.0}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else if magnitude >= 1.0 {
        format!("{value:.2}")
    } else if value == 0.0 {
        "0".to_owned()
    } else {
        format!("{value:.3}")
    }
}

/// A factor: `3.2×`, or `1/3.2` where it is less than 1.
pub fn times(factor: f64) -> String {
    if factor >= 1.0 {
        format!("{}×", figure(factor))
    } else {
        format!("1/{}", figure(1.0 / factor))
    }
}

/// How many rounds, in words.
pub fn rounds(rounds: usize) -> String {
    match rounds {
        1 => "one round".to_owned(),
        rounds => format!("{rounds} rounds"),
    }
}

fn spread(of: &Spread) -> String {
    // One round has none.
    if of.low == of.high {
        return String::new();
    }
    format!("{} – {}", figure(of.low), figure(of.high))
}

/// As it is shown: limits are told apart from products by parentheses.
pub(super) fn name(standing: &Standing) -> String {
    match standing.kind {
        Kind::Limit => format!("({})", standing.name),
        Kind::Icomm | Kind::Peer | Kind::Variant => standing.name.to_owned(),
    }
}

/// Who did how well, and who was absent.
pub fn outcomes(outcomes: &[Outcome]) -> String {
    let mut table = empty([
        "workload",
        "who",
        ">median",
        "unit",
        ">spread",
        ">icomm is",
        ">CPU µs/record",
        ">icomm takes",
    ]);
    for outcome in outcomes {
        for (at, standing) in outcome.standings.iter().enumerate() {
            let Series {
                value,
                cpu_us_per_record: cpu,
                ..
            } = &standing.series;
            let compared = |measure, better, worse| match outcome.times_better(standing, measure) {
                None => String::new(),
                Some(_) if standing.kind == Kind::Icomm => String::new(),
                Some(factor) if factor >= 1.0 => format!("{} {better}", times(factor)),
                Some(factor) => format!("{} {worse}", times(1.0 / factor)),
            };
            let (better, worse) = match outcome.workload.better {
                Better::Higher => ("as fast", "as slow"),
                Better::Lower => ("better", "worse"),
            };
            table.add_row([
                if at == 0 { outcome.workload.name } else { "" }.to_owned(),
                name(standing),
                figure(value.median),
                outcome.workload.unit.to_owned(),
                spread(value),
                compared(Measure::Value, better, worse),
                cpu.map_or_else(String::new, |cpu| figure(cpu.median)),
                compared(Measure::Cpu, "less", "more"),
            ]);
        }
        for absent in &outcome.absent {
            table.add_row(["", absent.name, "absent"]);
        }
    }
    table.to_string()
}

/// The further figures of a workload, a line each, a column for each contestant that has any; `None` where nobody has.
pub fn figures(outcome: &Outcome) -> Option<String> {
    let with = |standing: &&Standing| !standing.series.figures.is_empty();
    let standings: Vec<&Standing> = outcome.standings.iter().filter(with).collect();
    let names: BTreeSet<&String> = standings
        .iter()
        .flat_map(|standing| standing.series.figures.keys())
        .collect();
    let heads: Vec<String> = standings
        .iter()
        .map(|standing| format!(">{}", name(standing)))
        .collect();
    let mut table = empty(
        [outcome.workload.name]
            .into_iter()
            .chain(heads.iter().map(String::as_str)),
    );
    for name in &names {
        let of = |standing: &&Standing| {
            let found = standing.series.figures.get(*name);
            Cell::new(found.map_or_else(String::new, |spread| figure(spread.median)))
        };
        table.add_row([Cell::new(name)].into_iter().chain(standings.iter().map(of)));
    }
    (!names.is_empty()).then(|| table.to_string())
}

/// What a reader must know: what each workload is, and how each contestant did it or why it did not.
pub fn notes(outcomes: &[Outcome]) -> String {
    let mut notes = empty(["workload", "what happens", ">size", ""]);
    for Outcome { workload, size, .. } in outcomes {
        notes.add_row([workload.name, workload.what, &figure(*size as f64), workload.counts]);
    }
    // One that is the same in several workloads is told once.
    let mut told: Vec<(String, Vec<&str>, &str)> = Vec::new();
    for outcome in outcomes {
        let name_of = outcome.workload.name;
        let remarks = outcome
            .standings
            .iter()
            .map(|standing| (name(standing), standing.remark.as_str()));
        let absent = outcome
            .absent
            .iter()
            .map(|absent| (format!("{}, absent", absent.name), absent.why.as_str()));
        for (who, remark) in remarks.chain(absent).filter(|(_, remark)| !remark.is_empty()) {
            match told.iter_mut().find(|known| known.0 == who && known.2 == remark) {
                Some((_, workloads, _)) => workloads.push(name_of),
                None => told.push((who, vec![name_of], remark)),
            }
        }
    }
    // Those of a contestant stand together, in the order in which they came up.
    told.sort_by_key(|(who, ..)| {
        outcomes
            .iter()
            .flat_map(|outcome| &outcome.standings)
            .position(|at| name(at) == *who)
    });
    let mut how = empty(["who", "in", "how"]);
    for (who, workloads, remark) in &told {
        how.add_row([who, &workloads.join(", "), *remark]);
    }
    for table in [&mut notes, &mut how] {
        // Prose is wrapped also where there is no terminal.
        if table.width().is_none() {
            table.set_width(PROSE_WIDTH);
        }
    }
    format!("{notes}\n\n{how}")
}

/// What was to be reached, and what was.
pub fn goals(verdicts: &[Verdict]) -> String {
    let mut table = empty(["goal", ">bound", ">reached", ""]);
    for verdict in verdicts {
        let met = match verdict.met() {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "not measured",
        };
        table.add_row([
            verdict.goal.what,
            &verdict.goal.bound.to_string(),
            &verdict.reached.map_or_else(String::new, figure),
            met,
        ]);
    }
    table.to_string()
}

/// How cost grows.
pub fn growth(curves: &[Curve]) -> String {
    let mut table = empty(["workload", "sizes", "cost", ">slope", ">at most", ""]);
    for curve in curves {
        let join = |of: &dyn Fn(&(u64, f64)) -> String| curve.points.iter().map(of).collect::<Vec<_>>().join(" · ");
        let slope = curve.slope();
        table.add_row([
            curve.workload.name.to_owned(),
            format!("{} {}", join(&|point| figure(point.0 as f64)), curve.workload.counts),
            join(&|point| figure(point.1)),
            slope.map_or_else(String::new, |slope| format!("{slope:.2}")),
            format!("{}", curve.allowed()),
            match slope.map(|slope| slope <= curve.allowed()) {
                Some(true) => "holds",
                Some(false) => "STEEPER",
                None => "can't be told",
            }
            .to_owned(),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::{figure, figures, notes, outcomes, rounds, times};
    use crate::compare::picture::tests::outcomes as some;

    #[test]
    fn figures_have_three_digits_that_count() {
        for (value, says) in [
            (1_234_567.8, "1,234,568"),
            (999.4, "999"),
            (12.34, "12.3"),
            (1.234, "1.23"),
            (0.1234, "0.123"),
            (0.0, "0"),
        ] {
            assert_eq!(figure(value), says);
        }
        assert_eq!((times(2.5), times(0.25)), ("2.50×".to_owned(), "1/4.00".to_owned()));
        assert_eq!((rounds(1), rounds(5)), ("one round".to_owned(), "5 rounds".to_owned()));
    }

    /// A line of a table without its padding.
    fn line(table: &str, with: &str) -> String {
        let line = table.lines().find(|line| line.contains(with)).unwrap_or(table);
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn who_did_how_well_is_said_from_our_side() {
        let table = outcomes(&some());
        assert_eq!(
            line(&table, "(parse-hash-write)"),
            "(parse-hash-write) 190,000 records/s 171,000 – 209,000 3.09× as slow 4.20 5.07× more"
        );
        assert_eq!(
            line(&table, "78,400"),
            "postgresql 78,400 records/s 70,560 – 86,240 3.98× as fast 14.2 3.46× less"
        );
        assert_eq!(line(&table, "7.10"), "postgresql 7.10 ms 6.39 – 7.81 1.31× worse");
        assert_eq!(line(&table, "absent"), "nats absent");
    }

    #[test]
    fn what_is_the_same_in_several_workloads_is_told_once() {
        let notes = notes(&some());
        assert_eq!(
            line(&notes, "with settings"),
            "postgresql import, catch-up, single-commits, latency with settings"
        );
        assert!(
            line(&notes, "nats, absent").contains("single-commits there is no `nats-server`"),
            "{notes}"
        );
        assert!(notes.lines().all(|line| line.chars().count() <= 130), "{notes}");
    }

    #[test]
    fn figures_stand_side_by_side() {
        let all = some();
        let of = |name: &str| figures(all.iter().find(|outcome| outcome.workload.name == name).unwrap());
        assert_eq!(of("latency"), None);
        assert_eq!(line(&of("reconnect").unwrap(), "wire_kb"), "wire_kb 11.3");
    }
}
