//! What an import came to, in numbers that must add up.

use serde::Serialize;

use super::rows::Format;

/// Rows by what became of them. Every row is counted once in `rows` and once in one of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Rows read, blank ones left out.
    pub rows: u64,
    /// Rows that became records now.
    pub issued: u64,
    /// Rows that became records in an earlier import.
    pub duplicate: u64,
    /// Rows that would become records (dry run).
    pub valid: u64,
    /// Rows that can't become records, each with its reasons in the report.
    pub rejected: u64,
    /// Of the rejected: rows of which nobody can tell whose they are. Every importer of the same file rejects them.
    pub unattributed: u64,
    /// Rows of another member that takes part.
    pub elsewhere: u64,
    /// Rows of nobody who takes part.
    pub foreign: u64,
}

impl Counters {
    /// Whether every row is accounted for.
    #[must_use]
    pub fn add_up(&self) -> bool {
        let Self {
            rows,
            issued,
            duplicate,
            valid,
            rejected,
            unattributed,
            elsewhere,
            foreign,
        } = *self;
        rows == issued + duplicate + valid + rejected + elsewhere + foreign && unattributed <= rejected
    }
}

/// What an import came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The mapping's name.
    pub mapping: String,
    /// The file's format.
    pub format: Format,
    /// Rows by what became of them.
    #[serde(flatten)]
    pub counters: Counters,
    /// Columns of the file that the mapping neither uses nor ignores on purpose: nothing of them was imported.
    pub unused_columns: Vec<String>,
    /// Whether it was stopped before the end of the file. The same command goes on from there.
    pub stopped: bool,
}
