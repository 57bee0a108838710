//! CSV, as it really comes: RFC 4180 with other delimiters, any line end, quotes where they don't belong.
//!
//! Our own splitter and not a crate's, for one reason: a quote that is opened and never closed must cost one row and a
//! bounded buffer. Readers that follow the quote to the end of the file lose everything behind it. Here a row whose quote
//! isn't closed within [`ROW_LINES_MAX`] lines is reported, and reading goes on with the very next line.

mod lines;
mod split;

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;

use encoding_rs::Encoding;
use memchr::memchr;

pub(super) use self::lines::{Line, Lines};
use self::split::{Split, likely_delimiter, split};
use super::text::Utf8Reader;
use super::{
    BrokenRow, CELL_BYTES_MAX, Fault, FaultKind, FileError, Header, InvalidHeader, ROW_BYTES_MAX, ROW_LINES_MAX,
    Reading, Row, Span,
};

/// Reads all rows of a CSV stream.
pub(super) fn read<R: Read>(
    input: R,
    encoding: Option<&'static Encoding>,
    delimiter: Option<char>,
    each: &mut dyn FnMut(Reading<'_>) -> ControlFlow<()>,
) -> Result<(), FileError> {
    let mut lines = Lines::new(Utf8Reader::new(input, encoding)?);
    let mut delimiter = delimiter.map(delimiter_byte).transpose()?;
    let mut line = Line::default();
    let mut cells = Cells::default();
    let header = loop {
        if !lines.next(&mut line)? {
            return Err(InvalidHeader::Blank.into());
        }
        if line.is_blank() {
            continue;
        }
        // Excel's own way of naming the delimiter, on a line before the header.
        if let Some(named) = line.bytes.trim_ascii().strip_prefix(b"sep=") {
            delimiter = delimiter.or(named.first().copied());
            continue;
        }
        let separator = *delimiter.get_or_insert_with(|| likely_delimiter(&line.bytes));
        cells.read(&mut line, &mut lines, separator)?.map_err(|broken| {
            InvalidHeader::Broken(broken.faults.first().map_or_else(String::new, |f| f.reason.clone()))
        })?;
        break Arc::new(Header::new(cells.texts())?);
    };
    let delimiter = delimiter.unwrap_or(b',');

    let mut row = Row::empty(header);
    while lines.next(&mut line)? {
        if line.is_blank() {
            continue;
        }
        let number = line.number;
        let reading = match cells.read(&mut line, &mut lines, delimiter)? {
            Ok(()) => {
                cells.swap_into(&mut row);
                if row.is_blank() {
                    continue;
                }
                fit(number, &mut row)
            }
            Err(broken) => Err(broken),
        };
        let reading = reading.map(|()| &row);
        if each(reading).is_break() {
            break;
        }
    }
    Ok(())
}

fn delimiter_byte(delimiter: char) -> Result<u8, FileError> {
    match u8::try_from(delimiter) {
        Ok(byte) if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0) => Ok(byte),
        _ => Err(FileError::Delimiter(delimiter)),
    }
}

/// The cells of one record, in memory that the record before had.
#[derive(Default)]
struct Cells {
    text: String,
    /// The text before it is known to be one: its memory goes to and fro.
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Cells {
    /// Reads the record that begins with `first`, taking further lines while a quote is open.
    fn read<R: Read>(
        &mut self,
        first: &mut Line,
        lines: &mut Lines<R>,
        delimiter: u8,
    ) -> Result<Result<(), BrokenRow>, FileError> {
        let number = first.number;
        let too_large = |what: &str| Ok(Err(BrokenRow::new(number, Fault::of_row(FaultKind::TooLarge, what))));
        if first.oversize {
            return too_large(&format!("the line is longer than {ROW_BYTES_MAX} bytes"));
        }
        if !self.text.is_empty() {
            self.bytes = std::mem::take(&mut self.text).into_bytes();
        }
        let bytes = &mut first.bytes;
        let mut taken: Vec<Line> = Vec::new();
        loop {
            match split(bytes, delimiter, &mut self.bytes, &mut self.spans) {
                Split::Cells => return Ok(self.check(number)),
                Split::TooManyColumns => {
                    lines.put_back(taken);
                    return too_large(&format!("the row has more than {} columns", super::COLUMNS_MAX));
                }
                Split::TextAfterQuote { column } => {
                    lines.put_back(taken);
                    let reason = format!(
                        "cell {column} goes on after its closing quote; a quote within a quoted cell is written twice"
                    );
                    return Ok(Err(BrokenRow::new(number, Fault::of_row(FaultKind::Quoting, reason))));
                }
                Split::Open { column } => {
                    // Only a line with a quote can close it, so others are added without splitting again.
                    loop {
                        let mut line = Line::default();
                        let room = taken.len() + 1 < ROW_LINES_MAX;
                        let read = room && lines.next(&mut line)?;
                        if !read || line.oversize || bytes.len() + line.bytes.len() > ROW_BYTES_MAX {
                            taken.extend(read.then_some(line));
                            lines.put_back(taken);
                            let reason = format!(
                                "cell {column} opens a quote that is not closed within {ROW_LINES_MAX} lines or by the end \
                                 of the file; close it, or delete it"
                            );
                            return Ok(Err(BrokenRow::new(number, Fault::of_row(FaultKind::Quoting, reason))));
                        }
                        let may_close = line.bytes.contains(&b'"');
                        bytes.extend_from_slice(&line.bytes);
                        taken.push(line);
                        if may_close {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Bytes to text. A fault names its cell.
    fn check(&mut self, line: u64) -> Result<(), BrokenRow> {
        let bytes = std::mem::take(&mut self.bytes);
        let good = bytes.len() <= CELL_BYTES_MAX && memchr(0, &bytes).is_none();
        match String::from_utf8(bytes) {
            Ok(text) => {
                self.text = text;
                if good {
                    return Ok(());
                }
            }
            Err(error) => self.bytes = error.into_bytes(),
        }
        // Something may be wrong with one of the cells.
        let bytes = if self.text.is_empty() {
            &self.bytes
        } else {
            self.text.as_bytes()
        };
        let faults = (1..).zip(&self.spans).find_map(|(place, span)| {
            cell_fault(
                place,
                bytes.get(span.start as usize..span.end as usize).unwrap_or_default(),
            )
        });
        faults.map_or(Ok(()), |fault| Err(BrokenRow::new(line, fault)))
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.spans.iter().map(|span| span.of(&self.text))
    }

    /// Makes them the row's, and its memory ours.
    fn swap_into(&mut self, row: &mut Row) {
        std::mem::swap(&mut self.text, &mut row.text);
        std::mem::swap(&mut self.spans, &mut row.cells);
        row.find_filled();
    }
}

/// What is wrong with the bytes of a cell, counted from 1.
fn cell_fault(place: usize, cell: &[u8]) -> Option<Fault> {
    if cell.len() > CELL_BYTES_MAX {
        let reason = format!("cell {place} is longer than {CELL_BYTES_MAX} bytes");
        return Some(Fault::of_row(FaultKind::TooLarge, reason));
    }
    if memchr(0, cell).is_some() {
        let reason = format!("cell {place} holds a NUL byte; the file may be damaged");
        return Some(Fault::of_row(FaultKind::Encoding, reason));
    }
    str::from_utf8(cell).err().map(|_| {
        let reason = format!(
            "cell {place} is not UTF-8; if the whole file is in another encoding, such as windows-1252, say so with the option \
             `encoding`"
        );
        Fault::of_row(FaultKind::Encoding, reason)
    })
}

/// A row has as many cells as the header has columns; blank ones beyond them are a spreadsheet's leftovers.
fn fit(line: u64, row: &mut Row) -> Result<(), BrokenRow> {
    row.line = line;
    let columns = row.header.len();
    let surplus_blank = row.filled.last().is_none_or(|last| usize::from(last.column) < columns);
    if surplus_blank {
        row.cells.truncate(columns);
    }
    if row.cells.len() != columns {
        let reason = format!(
            "the row has {} cells, the header {columns}; a delimiter may be missing or stand unquoted in a text",
            row.cells.len(),
        );
        return Err(BrokenRow::new(line, Fault::of_row(FaultKind::Ragged, reason)));
    }
    Ok(())
}
