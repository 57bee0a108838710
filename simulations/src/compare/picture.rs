//! The comparison as a picture: a bar for each contestant beside icomm, goals as marks on the bars, and below all goals with
//! what was reached.
//!
//! ```text
//!   catch-up     a new partner pulls …           1/2    1     2     5
//!     postgresql                                         │██████████┃█ 3.1× ✓     312,000 : 101,000 records/s
//!     nats                                               │████┃███ 1.8× ✓
//!     (bare-path)                                   ▒▒▒▒▒│ 1/1.6
//!   Goals
//!     ✓ catch-up, records/s ÷ PostgreSQL's …                          ≥ 2.5      3.1
//! ```

mod axis;
mod canvas;
mod rows;

use self::{
    axis::Axis,
    canvas::{Anchor, Canvas, Ink, wrap},
    rows::{Bar, Group, Row},
};
use super::{
    goals::{self, Verdict},
    machine,
    outcome::Outcome,
    table::{self, figure},
};

/// Where columns begin and end, in pixels.
const MARGIN: f64 = 24.0;
const LABEL: f64 = 40.0;
const BARS: (f64, f64) = (200.0, 640.0);
const RIGHT: f64 = canvas::WIDTH - MARGIN;
/// Where the goals' bounds end.
const BOUND: f64 = 800.0;

const ROW: f64 = 24.0;
const LINE: f64 = 17.0;
/// How much of a row a bar takes.
const THICK: f64 = 14.0;

/// The picture as SVG.
pub fn draw(outcomes: &[Outcome]) -> String {
    let groups: Vec<Group> = outcomes.iter().map(Group::of).collect();
    let bars = groups.iter().flat_map(|group| &group.rows).filter_map(Row::bar);
    let axis = Axis::over(
        bars.flat_map(|bar| [Some(bar.better), bar.goal].into_iter().flatten()),
        BARS,
    );
    let mut canvas = Canvas::default();
    head(&mut canvas, outcomes);
    if let Some(axis) = &axis {
        chart(&mut canvas, axis, &groups);
    }
    let verdicts = goals::judge(outcomes);
    if !verdicts.is_empty() {
        scores(&mut canvas, &verdicts);
    }
    canvas.down(8.0);
    canvas.finish()
}

fn head(canvas: &mut Canvas, outcomes: &[Outcome]) {
    canvas.down(38.0);
    canvas.text(
        MARGIN,
        Anchor::Start,
        Ink::Title,
        "icomm beside its peers and the machine's limits",
    );
    canvas.down(24.0);
    let rounds = outcomes
        .iter()
        .filter_map(|outcome| Some(outcome.icomm()?.rounds))
        .max();
    let told = format!(
        "Same rows, same machine, same run; medians of {}.",
        table::rounds(rounds.unwrap_or_default())
    );
    canvas.text(MARGIN, Anchor::Start, Ink::Faint, &told);
    canvas.down(LINE);
    canvas.text(MARGIN, Anchor::Start, Ink::Faint, &machine::describe());
}

/// The bars, group by group, below an axis, above it again.
fn chart(canvas: &mut Canvas, axis: &Axis, groups: &[Group]) {
    canvas.down(32.0);
    let mut x = MARGIN;
    for (fill, says) in [
        ("better", "icomm is so many times better"),
        ("worse", "icomm is worse"),
        ("limit", "beside a part of the work alone: a limit, not a product"),
    ] {
        canvas.bar(x, x + THICK, THICK, fill);
        canvas.text(x + THICK + 6.0, Anchor::Start, Ink::Small, says);
        x += THICK + 30.0 + canvas::width(says, Ink::Small);
    }
    canvas.mark(x, ROW);
    canvas.text(x + 8.0, Anchor::Start, Ink::Small, "goal");

    canvas.down(34.0);
    ticks(canvas, axis);
    canvas.text(RIGHT, Anchor::End, Ink::Small, "icomm : the other");
    let top = canvas.at() + 6.0;
    canvas.down(8.0);
    for group in groups {
        canvas.down(30.0);
        canvas.text(MARGIN, Anchor::Start, Ink::Strong, group.name);
        for (line, text) in wrap(&group.what, Ink::Small, RIGHT - BARS.0).iter().enumerate() {
            canvas.down(if line == 0 { 0.0 } else { LINE });
            canvas.text(BARS.0, Anchor::Start, Ink::Small, text);
        }
        for row in &group.rows {
            canvas.down(ROW);
            draw_row(canvas, axis, row);
        }
    }
    let bottom = canvas.at() + 12.0;
    for (value, _) in axis.ticks() {
        canvas.rule(axis.x(value), top, bottom, value == 1.0);
    }
    canvas.down(28.0);
    ticks(canvas, axis);
}

fn ticks(canvas: &mut Canvas, axis: &Axis) {
    for (value, text) in axis.ticks() {
        canvas.text(axis.x(value), Anchor::Middle, Ink::Small, &text);
    }
}

fn draw_row(canvas: &mut Canvas, axis: &Axis, row: &Row) {
    match row {
        Row::Bar(bar) => draw_bar(canvas, axis, bar),
        Row::Alone { figure } => {
            canvas.text(LABEL, Anchor::Start, Ink::Plain, "icomm");
            canvas.text(RIGHT, Anchor::End, Ink::Small, figure);
        }
        Row::Absent { name, why } => {
            canvas.text(LABEL, Anchor::Start, Ink::Plain, name);
            for (line, text) in wrap(&format!("absent: {why}"), Ink::Small, RIGHT - BARS.0)
                .iter()
                .enumerate()
            {
                canvas.down(if line == 0 { 0.0 } else { LINE });
                canvas.text(BARS.0, Anchor::Start, Ink::Small, text);
            }
        }
    }
}

fn draw_bar(canvas: &mut Canvas, axis: &Axis, bar: &Bar) {
    canvas.text(LABEL, Anchor::Start, Ink::Plain, &bar.label);
    let (one, end) = (axis.x(1.0), axis.x(bar.better));
    let fill = match (bar.limit, bar.better >= 1.0) {
        (true, _) => "limit",
        (false, true) => "better",
        (false, false) => "worse",
    };
    canvas.bar(one.min(end), one.max(end), THICK, fill);
    let goal = bar.goal.map(|goal| (axis.x(goal), bar.better >= goal));
    if let Some((goal, _)) = goal {
        canvas.mark(goal, ROW);
    }
    // Always to the right, where nothing else stands: to the left of a bar labels are near.
    let right = goal.map_or(one, |(goal, _)| goal).max(one).max(end) + 8.0;
    let times = table::times(bar.better);
    canvas.text(right, Anchor::Start, Ink::Plain, &times);
    if let Some((_, met)) = goal {
        canvas.verdict(right + canvas::width(&times, Ink::Plain) + 4.0, Some(met));
    }
    canvas.text(RIGHT, Anchor::End, Ink::Small, &bar.figures);
}

/// All goals that were asked about.
fn scores(canvas: &mut Canvas, verdicts: &[Verdict]) {
    canvas.down(40.0);
    canvas.text(MARGIN, Anchor::Start, Ink::Strong, "Goals");
    canvas.text(BOUND, Anchor::End, Ink::Small, "bound");
    canvas.text(RIGHT, Anchor::End, Ink::Small, "reached");
    for verdict in verdicts {
        canvas.down(ROW - 2.0);
        canvas.verdict(MARGIN, verdict.met());
        canvas.text(LABEL + 4.0, Anchor::Start, Ink::Plain, verdict.goal.what);
        canvas.text(BOUND, Anchor::End, Ink::Plain, &verdict.goal.bound.to_string());
        let reached = verdict.reached.map_or_else(|| "not measured".to_owned(), figure);
        canvas.text(RIGHT, Anchor::End, Ink::Plain, &reached);
    }
}

#[cfg(test)]
pub(super) mod tests;
