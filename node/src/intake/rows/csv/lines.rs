//! Physical lines, ended by LF, CRLF or CR, each at most [`ROW_BYTES_MAX`] bytes long; lines can be put back.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use super::super::ROW_BYTES_MAX;
use super::super::text::Utf8Reader;

/// A line with its end, which belongs to the text where a quote is open.
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

    pub(in crate::intake::rows) fn next(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.again.pop_front() {
            return Ok(Some(line));
        }
        let mut bytes = Vec::new();
        let mut oversize = false;
        let mut any = false;
        loop {
            let chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                break;
            }
            any = true;
            let end = chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let taken = end.map_or(chunk.len(), |end| end + 1);
            let line_end = end.and_then(|end| chunk.get(end).copied());
            let room = ROW_BYTES_MAX.saturating_sub(bytes.len());
            oversize |= taken > room;
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
        if !any {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(Line {
            number: self.number,
            bytes,
            oversize,
        }))
    }
}
