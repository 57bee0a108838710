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
    /// All cells, with whatever stands between them.
    text: String,
    /// INVARIANT: as many as the header has columns, each a slice of the text; readers refuse ragged rows.
    cells: Vec<Span>,
    filled: Vec<Filled>,
    single_spaced: bool,
}

/// Where a cell stands in its row's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A cell that isn't blank, without the white space around its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Filled {
    column: u16,
    text: Span,
}

/// What a reader pushes: a row, or what is wrong with it.
pub type Reading<'a> = Result<&'a Row, BrokenRow>;

impl Span {
    /// Rows are at most a mebibyte long.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let place = |place| u32::try_from(place).unwrap_or(u32::MAX);
        Self {
            start: place(start),
            end: place(end),
        }
    }

    fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl Row {
    /// A row of separate cells, as many as the header has columns.
    pub(crate) fn new(line: u64, header: Arc<Header>, cells: &[String]) -> Self {
        debug_assert_eq!(header.len(), cells.len());
        let mut row = Self::empty(header);
        row.line = line;
        for cell in cells {
            let start = row.text.len();
            row.text.push_str(cell);
            row.cells.push(Span::new(start, row.text.len()));
        }
        row.find_filled();
        row
    }

    /// A row that a reader fills again and again.
    fn empty(header: Arc<Header>) -> Self {
        Self {
            line: 0,
            header,
            text: String::new(),
            cells: Vec::new(),
            filled: Vec::new(),
            single_spaced: false,
        }
    }

    fn find_filled(&mut self) {
        self.single_spaced = is_single_spaced(self.text.as_bytes());
        self.filled.clear();
        for (column, span) in (0..).zip(&self.cells) {
            // Most columns of most rows hold nothing.
            if span.start == span.end {
                continue;
            }
            let raw = span.of(&self.text);
            let text = if is_trimmed(raw) { *span } else { trimmed(*span, raw) };
            if text.start < text.end {
                self.filled.push(Filled { column, text });
            }
        }
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
        Some(self.at(self.header.position(column)?))
    }

    /// The trimmed text in a column, by its place.
    pub(crate) fn at(&self, column: usize) -> &str {
        let raw = self.cells.get(column).map_or("", |span| span.of(&self.text));
        if is_trimmed(raw) { raw } else { raw.trim() }
    }

    /// Column names with their texts, in the order of the file.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str)> {
        self.header
            .names()
            .zip(self.cells.iter().map(|span| span.of(&self.text)))
    }

    /// The columns that hold something, by their places, with their trimmed texts, in the order of the file.
    pub(crate) fn filled(&self) -> impl ExactSizeIterator<Item = (usize, &str)> {
        let filled = self.filled.iter();
        filled.map(|filled| (usize::from(filled.column), filled.text.of(&self.text)))
    }

    /// Whether no cell can hold any other white space than single spaces within its trimmed text. Known of the row as a
    /// whole, so that not every cell has to be looked through for it; false says nothing.
    pub(crate) fn is_single_spaced(&self) -> bool {
        self.single_spaced
    }

    /// Whether every cell is blank.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.filled.is_empty()
    }
}

/// Printable ASCII without two spaces side by side.
fn is_single_spaced(text: &[u8]) -> bool {
    // Without an early end, and without carrying anything over, it is done many bytes at a time.
    let printable = text.iter().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'));
    let pairs = text.iter().zip(text.get(1..).unwrap_or_default());
    printable & pairs.fold(true, |all, (a, b)| all & ((*a != b' ') | (*b != b' ')))
}

/// Whether a text clearly neither begins nor ends with white space: nearly every cell.
fn is_trimmed(text: &str) -> bool {
    matches!(text.as_bytes(), [] | [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'])
}

/// A cell without the white space around its text.
fn trimmed(cell: Span, raw: &str) -> Span {
    let text = raw.trim_start();
    let start = cell.start as usize + (raw.len() - text.len());
    Span::new(start, start + text.trim_end().len())
}

#[cfg(test)]
pub(crate) use tests::workbook as test_workbook;

#[cfg(test)]
mod tests;
