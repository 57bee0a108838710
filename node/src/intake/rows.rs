//! Rows: one shape for what a CSV file, a JSON Lines file and a spreadsheet hold.
//!
//! Readers push: [`Source::read`] calls back for each row, good or broken, in the order of the file. A broken row is named
//! and the next one goes on; a broken file ends with a [`FileError`] that tells what to do. Memory is bounded by the limits
//! below whatever the file holds, with one exception: a spreadsheet's shared strings, bounded by
//! [`xlsx::SHARED_STRINGS_BYTES_MAX`].

mod csv;
mod fault;
mod header;
mod json_lines;
mod source;
mod text;
mod xlsx;
mod zip_check;

pub use fault::{BrokenRow, Fault, FaultKind};
pub use header::{Header, InvalidHeader};
pub use source::{FileError, Format, ReadOptions, Source};
pub use xlsx::SHARED_STRINGS_BYTES_MAX;

use std::sync::Arc;

/// The most columns that a file may have.
pub const COLUMNS_MAX: usize = 512;
/// The most bytes in one cell: what a spreadsheet allows.
pub const CELL_BYTES_MAX: usize = 32 * 1024;
/// The most bytes in one row, quotes and line ends included.
pub const ROW_BYTES_MAX: usize = 1024 * 1024;
/// The most lines that one row may span by line breaks within quotes.
pub const ROW_LINES_MAX: usize = 200;

/// One row: the file's line (or the sheet's row) number from 1, and a text for every column of its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    line: u64,
    header: Arc<Header>,
    cells: Vec<String>,
}

/// What a reader pushes: a row, or what is wrong with it.
pub type Reading = Result<Row, BrokenRow>;

impl Row {
    /// INVARIANT: as many cells as the header has columns; readers refuse ragged rows before they come here.
    pub(crate) fn new(line: u64, header: Arc<Header>, cells: Vec<String>) -> Self {
        debug_assert_eq!(header.len(), cells.len());
        Self { line, header, cells }
    }

    /// The line of the file on which the row starts, or the row number of the sheet; from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The columns.
    #[must_use]
    pub fn header(&self) -> &Arc<Header> {
        &self.header
    }

    /// The trimmed text under a column name, without regard to its case; `None` where there is no such column.
    #[must_use]
    pub fn cell(&self, column: &str) -> Option<&str> {
        let position = self.header.position(column)?;
        self.cells.get(position).map(|text| text.trim())
    }

    /// Column names with their texts, in the order of the file.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str)> {
        self.header.names().zip(self.cells.iter().map(String::as_str))
    }

    /// Whether every cell is blank.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.cells.iter().all(|cell| cell.trim().is_empty())
    }
}

#[cfg(test)]
pub(crate) use tests::workbook as test_workbook;

#[cfg(test)]
mod tests;
