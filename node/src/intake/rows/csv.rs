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

use self::lines::Line;
pub(super) use self::lines::Lines;
use self::split::{Split, likely_delimiter, split};
use super::text::Utf8Reader;
use super::{
    BrokenRow, CELL_BYTES_MAX, Fault, FaultKind, FileError, Header, InvalidHeader, ROW_BYTES_MAX, ROW_LINES_MAX,
    Reading, Row,
};

/// Reads all rows of a CSV stream.
pub(super) fn read<R: Read>(
    input: R,
    encoding: Option<&'static Encoding>,
    delimiter: Option<char>,
    each: &mut dyn FnMut(Reading) -> ControlFlow<()>,
) -> Result<(), FileError> {
    let mut lines = Lines::new(Utf8Reader::new(input, encoding)?);
    let mut delimiter = delimiter.map(delimiter_byte).transpose()?;
    let header = loop {
        let Some(line) = lines.next()? else {
            return Err(InvalidHeader::Blank.into());
        };
        if line.is_blank() {
            continue;
        }
        // Excel's own way of naming the delimiter, on a line before the header.
        if let Some(named) = line.bytes.trim_ascii().strip_prefix(b"sep=") {
            delimiter = delimiter.or(named.first().copied());
            continue;
        }
        let separator = *delimiter.get_or_insert_with(|| likely_delimiter(&line.bytes));
        let cells = record(line, &mut lines, separator)?.map_err(|broken| {
            InvalidHeader::Broken(broken.faults.first().map_or_else(String::new, |f| f.reason.clone()))
        })?;
        break Arc::new(Header::new(cells.iter().map(String::as_str))?);
    };
    let delimiter = delimiter.unwrap_or(b',');

    while let Some(line) = lines.next()? {
        if line.is_blank() {
            continue;
        }
        let number = line.number;
        let reading = match record(line, &mut lines, delimiter)? {
            Ok(cells) if cells.iter().all(|cell| cell.trim().is_empty()) => continue,
            Ok(cells) => fit(number, cells, &header),
            Err(broken) => Err(broken),
        };
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

/// The cells of the record that begins with `first`, taking further lines while a quote is open.
fn record<R: Read>(
    first: Line,
    lines: &mut Lines<R>,
    delimiter: u8,
) -> Result<Result<Vec<String>, BrokenRow>, FileError> {
    let number = first.number;
    let too_large = |what: &str| Ok(Err(BrokenRow::new(number, Fault::of_row(FaultKind::TooLarge, what))));
    if first.oversize {
        return too_large(&format!("the line is longer than {ROW_BYTES_MAX} bytes"));
    }
    let mut bytes = first.bytes;
    let mut taken: Vec<Line> = Vec::new();
    loop {
        match split(&bytes, delimiter) {
            Split::Cells(cells) => return Ok(text_cells(number, cells)),
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
                    let room = taken.len() + 1 < ROW_LINES_MAX;
                    let next = if room { lines.next()? } else { None };
                    let fits = next
                        .as_ref()
                        .is_some_and(|line| !line.oversize && bytes.len() + line.bytes.len() <= ROW_BYTES_MAX);
                    let Some(line) = next.filter(|_| fits) else {
                        lines.put_back(taken);
                        let reason = format!(
                            "cell {column} opens a quote that is not closed within {ROW_LINES_MAX} lines or by the end of \
                             the file; close it, or delete it"
                        );
                        return Ok(Err(BrokenRow::new(number, Fault::of_row(FaultKind::Quoting, reason))));
                    };
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

/// Bytes to text, cell by cell, so that the fault names the cell.
fn text_cells(line: u64, cells: Vec<Vec<u8>>) -> Result<Vec<String>, BrokenRow> {
    let mut texts = Vec::with_capacity(cells.len());
    for (position, cell) in cells.into_iter().enumerate() {
        let place = position + 1;
        let fault = if cell.len() > CELL_BYTES_MAX {
            Fault::of_row(
                FaultKind::TooLarge,
                format!("cell {place} is longer than {CELL_BYTES_MAX} bytes"),
            )
        } else if cell.contains(&0) {
            Fault::of_row(
                FaultKind::Encoding,
                format!("cell {place} holds a NUL byte; the file may be damaged"),
            )
        } else {
            match String::from_utf8(cell) {
                Ok(text) => {
                    texts.push(text);
                    continue;
                }
                Err(_) => Fault::of_row(
                    FaultKind::Encoding,
                    format!(
                        "cell {place} is not UTF-8; if the whole file is in another encoding, such as windows-1252, say so \
                         with the option `encoding`"
                    ),
                ),
            }
        };
        return Err(BrokenRow::new(line, fault));
    }
    Ok(texts)
}

/// A row has as many cells as the header has columns; blank ones beyond them are a spreadsheet's leftovers.
fn fit(line: u64, mut cells: Vec<String>, header: &Arc<Header>) -> Reading {
    let surplus_blank = cells
        .get(header.len()..)
        .is_some_and(|extra| extra.iter().all(|cell| cell.trim().is_empty()));
    if surplus_blank {
        cells.truncate(header.len());
    }
    if cells.len() != header.len() {
        let reason = format!(
            "the row has {} cells, the header {}; a delimiter may be missing or stand unquoted in a text",
            cells.len(),
            header.len()
        );
        return Err(BrokenRow::new(line, Fault::of_row(FaultKind::Ragged, reason)));
    }
    Ok(Row::new(line, Arc::clone(header), cells))
}
