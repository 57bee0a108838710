//! Outcomes, goals and growth as tables for people.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::{
    goals::Verdict,
    growth::Curve,
    outcome::Outcome,
    series::Spread,
    workload::{Better, Kind},
};

/// Heads, a rule below them, rows without lines.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

fn empty(head: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(head);
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
    } else {
        format!("{value:.3}")
    }
}

fn spread(of: &Spread) -> String {
    format!("{} – {}", figure(of.low), figure(of.high))
}

/// Who did how well. Limits are told apart from peers, and who was absent is said.
pub fn outcomes(outcomes: &[Outcome]) -> String {
    let mut table = empty(&[
        "workload",
        "who",
        "median",
        "unit",
        "spread",
        "CPU µs/record",
        "icomm ÷ it",
    ]);
    for at in [2, 4, 5, 6] {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for outcome in outcomes {
        let ours = outcome.icomm().map(|ours| ours.value.median);
        for (at, standing) in outcome.standings.iter().enumerate() {
            let series = &standing.series;
            let ratio = match standing.kind {
                Kind::Icomm => match outcome.workload.better {
                    Better::Higher => "more is better".to_owned(),
                    Better::Lower => "less is better".to_owned(),
                },
                _ => ours.map_or_else(String::new, |ours| figure(ours / series.value.median)),
            };
            let name = match standing.kind {
                Kind::Limit => format!("({})", standing.name),
                _ => standing.name.to_owned(),
            };
            let cpu = series.cpu_us_per_record;
            table.add_row([
                if at == 0 { outcome.workload.name } else { "" }.to_owned(),
                name,
                figure(series.value.median),
                outcome.workload.unit.to_owned(),
                spread(&series.value),
                cpu.map_or_else(String::new, |cpu| figure(cpu.median)),
                ratio,
            ]);
        }
        for absent in &outcome.absent {
            table.add_row(["", absent.name, "absent", "", &absent.why, "", ""]);
        }
    }
    table.to_string()
}

/// The further figures of every outcome, a line each.
pub fn figures(outcomes: &[Outcome]) -> String {
    let mut table = empty(&["workload", "who", "figure", "median", "spread"]);
    for outcome in outcomes {
        for standing in &outcome.standings {
            for (name, value) in &standing.series.figures {
                table.add_row([
                    outcome.workload.name,
                    standing.name,
                    name,
                    &figure(value.median),
                    &spread(value),
                ]);
            }
        }
    }
    table.to_string()
}

/// What a reader must know of each contestant's settings, and of each workload: a line each.
pub fn remarks(outcomes: &[Outcome]) -> Vec<String> {
    let mut lines = Vec::new();
    for outcome in outcomes {
        let workload = &outcome.workload;
        let size = figure(outcome.size as f64);
        lines.push(format!(
            "{}: {} ({size} {})",
            workload.name, workload.what, workload.counts
        ));
        let remarked = outcome.standings.iter().filter(|standing| !standing.remark.is_empty());
        lines.extend(remarked.map(|standing| format!("  {}: {}", standing.name, standing.remark)));
    }
    lines
}

/// What was to be reached, and what was.
pub fn goals(verdicts: &[Verdict]) -> String {
    let mut table = empty(&["goal", "bound", "reached", ""]);
    for verdict in verdicts {
        let met = match verdict.met() {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "can't be told",
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
    let mut table = empty(&["workload", "sizes", "cost", "slope", "at most", ""]);
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
    use super::figure;

    #[test]
    fn figures_have_three_digits_that_count() {
        for (value, says) in [
            (1_234_567.8, "1,234,568"),
            (999.4, "999"),
            (12.34, "12.3"),
            (1.234, "1.23"),
            (0.1234, "0.123"),
        ] {
            assert_eq!(figure(value), says);
        }
    }
}
