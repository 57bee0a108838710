//! What can be wrong with a row: which column, what stands there, why it can't be taken.

use serde::Serialize;

/// The most characters of a cell that a report repeats.
const VALUE_CHARS_MAX: usize = 200;

/// One thing that is wrong with a row. Its text may quote the record: it goes to the officer who imports, never to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The column's name as the file has it; `None` where the whole row is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What the cell holds, cut at 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// For programs.
    pub kind: FaultKind,
    /// For people: what is wrong and what to do.
    pub reason: String,
}

/// The kinds of fault, stable for programs that read reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// More or fewer cells than the header has columns.
    Ragged,
    /// A row, cell or number of columns beyond the limits.
    TooLarge,
    /// A quote that is not closed, or text after a closing quote.
    Quoting,
    /// Bytes that are not text in the file's encoding, or a NUL.
    Encoding,
    /// A line that is not a flat JSON object.
    Json,
    /// A spreadsheet formula.
    Formula,
    /// A spreadsheet cell with an error value or an unreadable one.
    Cell,
    /// A mandatory cell is blank.
    Missing,
    /// A value that the mapping's table doesn't know.
    UnknownValue,
    /// A value that the mapping refuses on purpose.
    RefusedValue,
    /// Not a number, or not one that can be held exactly.
    Number,
    /// Not a date in any of the formats that the mapping allows.
    Date,
    /// More entries in a list than allowed.
    List,
    /// The record that came out of the row is not valid.
    Record,
}

impl Fault {
    /// A fault of a whole row.
    #[must_use]
    pub fn of_row(kind: FaultKind, reason: impl Into<String>) -> Self {
        Self {
            column: None,
            value: None,
            kind,
            reason: reason.into(),
        }
    }

    /// A fault of one cell.
    #[must_use]
    pub fn of_cell(kind: FaultKind, column: &str, value: &str, reason: impl Into<String>) -> Self {
        Self {
            column: Some(column.to_owned()),
            value: Some(excerpt(value)),
            kind,
            reason: reason.into(),
        }
    }
}

/// A row that could not be read: its line and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokenRow {
    /// The line of the file, or the row of the sheet; from 1.
    pub line: u64,
    /// What is wrong; at least one.
    pub faults: Vec<Fault>,
}

impl BrokenRow {
    pub(crate) fn new(line: u64, fault: Fault) -> Self {
        Self {
            line,
            faults: vec![fault],
        }
    }
}

/// At most [`VALUE_CHARS_MAX`] characters of `text`, control characters shown as escapes.
pub(crate) fn excerpt(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(4 * VALUE_CHARS_MAX));
    let mut characters = text.chars();
    for character in characters.by_ref().take(VALUE_CHARS_MAX) {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}
