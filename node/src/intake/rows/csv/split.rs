//! One record's bytes into cells.
//!
//! A cell that begins with a quote ends with one; within it a quote is written twice. A quote elsewhere is a plain
//! character (`5" pipe`). A line end within a quoted cell belongs to it.

use memchr::{memchr, memchr_iter};

use super::super::{COLUMNS_MAX, Span};

/// What stands between the cells of a record that had quotes: a cell's text never runs into the next one's.
const BETWEEN: u8 = b'\n';

/// What a record's bytes turned out to be.
pub(super) enum Split {
    /// The cells were found.
    Cells,
    /// A quote opened in this cell (from 1) isn't closed by the end of the bytes.
    Open {
        column: usize,
    },
    /// A quoted cell (from 1) goes on after its closing quote.
    TextAfterQuote {
        column: usize,
    },
    TooManyColumns,
}

/// Finds the cells of a record: their texts go to `text`, their places in it to `cells`.
pub(super) fn split(record: &[u8], delimiter: u8, text: &mut Vec<u8>, cells: &mut Vec<Span>) -> Split {
    text.clear();
    cells.clear();
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    let record = record.strip_suffix(b"\r").unwrap_or(record);
    if memchr(b'"', record).is_some() {
        return split_quoted(record, delimiter, text, cells);
    }
    text.extend_from_slice(record);
    let mut start = 0;
    for end in memchr_iter(delimiter, record) {
        cells.push(Span::new(start, end));
        start = end + 1;
        if cells.len() == COLUMNS_MAX {
            return Split::TooManyColumns;
        }
    }
    cells.push(Span::new(start, record.len()));
    Split::Cells
}

fn split_quoted(record: &[u8], delimiter: u8, text: &mut Vec<u8>, cells: &mut Vec<Span>) -> Split {
    let mut rest = record;
    loop {
        let column = cells.len() + 1;
        if column > COLUMNS_MAX {
            return Split::TooManyColumns;
        }
        let start = text.len();
        let after = match rest.strip_prefix(b"\"") {
            None => {
                let end = memchr(delimiter, rest);
                text.extend_from_slice(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default());
                end.and_then(|end| rest.get(end + 1..))
            }
            Some(quoted) => {
                let Some(after) = unquote(quoted, text) else {
                    return Split::Open { column };
                };
                match after.split_first() {
                    None => None,
                    Some((byte, after)) if *byte == delimiter => Some(after),
                    Some(_) => return Split::TextAfterQuote { column },
                }
            }
        };
        cells.push(Span::new(start, text.len()));
        text.push(BETWEEN);
        match after {
            Some(after) => rest = after,
            None => return Split::Cells,
        }
    }
}

/// Appends the text up to the closing quote, and gives what follows it; `None` where there is no closing quote.
fn unquote<'a>(mut quoted: &'a [u8], cell: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let quote = memchr(b'"', quoted)?;
        let (text, rest) = quoted.split_at_checked(quote)?;
        cell.extend_from_slice(text);
        let rest = rest.get(1..)?;
        match rest.strip_prefix(b"\"") {
            Some(after) => {
                cell.push(b'"');
                quoted = after;
            }
            None => return Some(rest),
        }
    }
}

/// Of the usual delimiters the one that occurs most on the header line, outside quotes.
pub(super) fn likely_delimiter(line: &[u8]) -> u8 {
    const USUAL: [u8; 4] = [b',', b';', b'\t', b'|'];
    let mut counts = [0usize; USUAL.len()];
    let mut quoted = false;
    for byte in line {
        quoted ^= *byte == b'"';
        if quoted {
            continue;
        }
        for (count, usual) in counts.iter_mut().zip(USUAL) {
            *count += usize::from(*byte == usual);
        }
    }
    // The first of equals, so that a single column is read with commas.
    let most = counts.iter().max().copied().unwrap_or_default();
    USUAL
        .into_iter()
        .zip(counts)
        .find(|(_, count)| *count == most)
        .map_or(b',', |(usual, _)| usual)
}
