//! Physical lines, ended by LF, CRLF or CR, each at most [`ROW_BYTES_MAX`] bytes long; lines can be put back.
//!
//! A line is read into memory that the one before had.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use memchr::memchr2;

use super::super::ROW_BYTES_MAX;
use super::super::text::Utf8Reader;

/// A line with its end, which belongs to the text where a quote is open.
#[derive(Default)]
pub(in crate::intake::rows) struct Line {
    pub(in crate::intake::rows) number: u64,
    pub(in crate::intake::rows) bytes: Vec<u8>,
    /// Longer than the limit: only its beginning is here, the rest was skipped.
    pub(in crate::intake::rows) oversize: bool,
}

impl Line {
    pub(in crate::intake::rows) fn is_blank(&self) -> bool {
        !self.oversize && self.bytes.trim_ascii().is_empty()
    }
}

pub(in crate::intake::rows) struct Lines<R> {
    input: Utf8Reader<R>,
    number: u64,
    again: VecDeque<Line>,
}

impl<R: Read> Lines<R> {
    pub(in crate::intake::rows) fn new(input: Utf8Reader<R>) -> Self {
        Self {
            input,
            number: 0,
            again: VecDeque::new(),
        }
    }

    /// Lines to be given out again, in their order, before any other.
    pub(in crate::intake::rows) fn put_back(&mut self, lines: Vec<Line>) {
        for line in lines.into_iter().rev() {
            self.again.push_front(line);
        }
    }

    /// Reads the next line into `line`; false at the end of the file.
    pub(in crate::intake::rows) fn next(&mut self, line: &mut Line) -> io::Result<bool> {
        if let Some(again) = self.again.pop_front() {
            *line = again;
            return Ok(true);
        }
        let Line {
            number,
            bytes,
            oversize,
        } = line;
        bytes.clear();
        *oversize = false;
        let mut any = false;
        loop {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            any = true;
            let end = memchr2(b'\n', b'\r', chunk);
            let taken = end.map_or(chunk.len(), |end| end + 1);
            let line_end = end.and_then(|end| chunk.get(end).copied());
            let room = ROW_BYTES_MAX.saturating_sub(bytes.len());
            *oversize |= taken > room;
            bytes.extend_from_slice(chunk.get(..taken.min(room)).unwrap_or_default());
            self.input.consume(taken);
            match line_end {
                Some(b'\r') => {
                    if self.input.fill_buf()?.first() == Some(&b'\n') {
                        self.input.consume(1);
                        bytes.push(b'\n');
                    }
                    break;
                }
                Some(_) => break,
                None => {}
            }
        }
        if any {
            self.number += 1;
            *number = self.number;
        }
        Ok(any)
    }
}
