//! One record's bytes into cells.
//!
//! A cell that begins with a quote ends with one; within it a quote is written twice. A quote elsewhere is a plain
//! character (`5" pipe`). A line end within a quoted cell belongs to it.

use memchr::memchr;

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
    let (words, rest) = record.as_chunks();
    let mut at = 0;
    for word in words {
        let mut found = equal_bytes(*word, delimiter);
        while found != 0 {
            let end = at + found.trailing_zeros() / u8::BITS;
            found &= found - 1;
            cells.push(Span { start, end });
            start = end + 1;
        }
        at += size_of::<u64>() as u32;
        if cells.len() >= COLUMNS_MAX {
            return Split::TooManyColumns;
        }
    }
    for (end, byte) in (at..).zip(rest) {
        if *byte == delimiter {
            cells.push(Span { start, end });
            start = end + 1;
        }
    }
    if cells.len() >= COLUMNS_MAX {
        return Split::TooManyColumns;
    }
    cells.push(Span {
        start,
        end: at + rest.len() as u32,
    });
    Split::Cells
}

/// The highest bit of each of eight bytes that is `wanted`, the first byte's lowest. Where delimiters stand side by side, as
/// they do where most cells are blank, a search for each of them would cost more than looking at every byte.
fn equal_bytes(bytes: [u8; 8], wanted: u8) -> u64 {
    const LOW_BITS: u64 = u64::MAX / 0xff * 0x7f;
    let differs = u64::from_le_bytes(bytes) ^ (u64::MAX / 0xff * u64::from(wanted));
    // The addition carries into a byte's highest bit where one of its lower bits is set, and never beyond.
    !(((differs & LOW_BITS) + LOW_BITS) | differs | LOW_BITS)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_without_quotes_is_cut_at_every_delimiter(record in "[,;a\u{ac}\u{2c00}+-]{0,80}", delimiter in "[,;]") {
            let delimiter = delimiter.as_bytes()[0];
            let (mut text, mut cells) = (Vec::new(), Vec::new());
            prop_assert!(matches!(split(record.as_bytes(), delimiter, &mut text, &mut cells), Split::Cells));
            let found: Vec<&str> = cells.iter().map(|span| span.of(&record)).collect();
            let expected: Vec<&str> = record.split(char::from(delimiter)).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn equal_bytes_are_found_and_no_others(bytes in any::<[u8; 8]>(), wanted in any::<u8>()) {
            let expected = bytes.iter().rev().fold(0u64, |mask, byte| mask << 8 | u64::from(*byte == wanted) << 7);
            prop_assert_eq!(equal_bytes(bytes, wanted), expected);
            prop_assert_eq!(equal_bytes([wanted; 8], wanted), u64::MAX / 0xff * 0x80);
        }
    }

    #[test]
    fn a_record_with_too_many_cells_is_told_apart() {
        for (cells, fits) in [(COLUMNS_MAX, true), (COLUMNS_MAX + 1, false), (3 * COLUMNS_MAX, false)] {
            for cell in ["", "x", "twelve bytes"] {
                let record = vec![cell; cells].join(",");
                let split = split(record.as_bytes(), b',', &mut Vec::new(), &mut Vec::new());
                assert_eq!(matches!(split, Split::Cells), fits, "{cells} cells of `{cell}`");
            }
        }
    }
}
