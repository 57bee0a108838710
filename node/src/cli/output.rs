//! Where answers go: standard output, as tables and lines for a person or as JSON for a program.
//!
//! With `--json` a command prints one JSON value, or one a line where it lists or watches; nothing else goes to standard
//! output. A reader that hangs up (`icomm record list | head`) ends the command quietly.

use std::fmt;
#[cfg(not(test))]
use std::io::{self, Write};

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use serde_json::Value;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

#[cfg(not(test))]
use super::exit::Exit;
use super::exit::Failure;

/// Heads, a rule below them, rows without lines.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Prints a command's answers.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// For a person, or for a program.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a program reads.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// One line.
    pub fn line(self, line: impl fmt::Display) -> Result<(), Failure> {
        write_line(&line)
    }

    /// One JSON value on one line.
    pub fn json(self, value: &Value) -> Result<(), Failure> {
        write_line(value)
    }

    /// The answer in the form that was asked for; `person` is only built when a person reads.
    pub fn answer<T: fmt::Display>(self, value: &Value, person: impl FnOnce() -> T) -> Result<(), Failure> {
        if self.json {
            self.json(value)
        } else {
            self.line(person())
        }
    }
}

/// A table as all commands show it, with these column heads.
pub(crate) fn table<const N: usize>(heads: [&str; N]) -> Table {
    table_with(heads)
}

/// The same with as many columns as it turns out.
pub(super) fn table_with<'a>(heads: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(heads.into_iter().collect::<Vec<_>>());
    table
}

/// `yes` or `no`, for a table's cell.
pub(super) fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// A count with thousands set apart: `44,229`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A moment as all commands show it: RFC 3339, UTC, whole seconds.
pub(super) fn moment(moment: OffsetDateTime) -> String {
    let moment = moment.to_offset(UtcOffset::UTC);
    let moment = moment.replace_nanosecond(0).unwrap_or(moment);
    moment.format(&Rfc3339).unwrap_or_else(|_| moment.to_string())
}

/// Tests of commands leave the answers to the test harness.
#[cfg(test)]
fn write_line(line: &dyn fmt::Display) -> Result<(), Failure> {
    println!("{line}");
    Ok(())
}

#[cfg(not(test))]
fn write_line(line: &dyn fmt::Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| match error.kind() {
            // Nobody reads any more: nothing went wrong.
            io::ErrorKind::BrokenPipe => Failure::new("the reader of standard output hung up").exit(Exit::Ok),
            _ => Failure::new(format_args!("can't write to standard output: {error}")),
        })
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (311_038, "311,038"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(count(number), text);
        }
    }
}
