//! One record's bytes into cells.
//!
//! A cell that begins with a quote ends with one; within it a quote is written twice. A quote elsewhere is a plain
//! character (`5" pipe`). A line end within a quoted cell belongs to it.

use super::super::COLUMNS_MAX;

/// What a record's bytes turned out to be.
pub(super) enum Split {
    Cells(Vec<Vec<u8>>),
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

pub(super) fn split(record: &[u8], delimiter: u8) -> Split {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    let record = record.strip_suffix(b"\r").unwrap_or(record);
    let mut cells: Vec<Vec<u8>> = Vec::new();
    let mut rest = record;
    loop {
        let column = cells.len() + 1;
        if column > COLUMNS_MAX {
            return Split::TooManyColumns;
        }
        let (cell, after) = match rest.strip_prefix(b"\"") {
            None => match rest.iter().position(|byte| *byte == delimiter) {
                Some(end) => (rest.get(..end).unwrap_or_default().to_vec(), rest.get(end + 1..)),
                None => (rest.to_vec(), None),
            },
            Some(quoted) => {
                let Some((cell, after)) = unquote(quoted) else {
                    return Split::Open { column };
                };
                match after.split_first() {
                    None => (cell, None),
                    Some((byte, after)) if *byte == delimiter => (cell, Some(after)),
                    Some(_) => return Split::TextAfterQuote { column },
                }
            }
        };
        cells.push(cell);
        match after {
            Some(after) => rest = after,
            None => return Split::Cells(cells),
        }
    }
}

/// The text up to the closing quote, and what follows it; `None` where there is no closing quote.
fn unquote(mut quoted: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut cell = Vec::new();
    loop {
        let quote = quoted.iter().position(|byte| *byte == b'"')?;
        let (text, rest) = quoted.split_at_checked(quote)?;
        cell.extend_from_slice(text);
        let rest = rest.get(1..)?;
        match rest.strip_prefix(b"\"") {
            Some(after) => {
                cell.push(b'"');
                quoted = after;
            }
            None => return Some((cell, rest)),
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
