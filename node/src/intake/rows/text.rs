//! Bytes to UTF-8: a reader that decodes the declared (or evident) encoding as it goes.
//!
//! UTF-8 passes through unchanged, bad sequences included, so that one bad byte costs one row and not the file. What is
//! not UTF-8 must be declared or carry a byte order mark: guessing between single-byte code pages corrupts names silently.

use std::io::{self, BufRead, BufReader, Read};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::FileError;

const CHUNK_BYTES: usize = 64 * 1024;

/// A UTF-8 stream over any byte stream.
pub(super) enum Utf8Reader<R> {
    Plain(BufReader<R>),
    Decoding(Box<Transcoder<R>>),
}

pub(super) struct Transcoder<R> {
    input: BufReader<R>,
    decoder: Decoder,
    output: Vec<u8>,
    read: usize,
    finished: bool,
}

impl<R: Read> Utf8Reader<R> {
    /// Chooses by byte order mark, else by `declared`, else UTF-8.
    pub(super) fn new(input: R, declared: Option<&'static Encoding>) -> Result<Self, FileError> {
        let mut input = BufReader::with_capacity(CHUNK_BYTES, input);
        let start = input.fill_buf()?;
        let (encoding, mark_len) = match Encoding::for_bom(start) {
            Some((encoding, len)) => (encoding, len),
            None => (declared.unwrap_or(UTF_8), 0),
        };
        if mark_len == 0
            && declared.is_none()
            && let Some(likely) = utf16_without_mark(start)
        {
            return Err(FileError::UndeclaredEncoding { likely: likely.name() });
        }
        input.consume(mark_len);
        if encoding == UTF_8 {
            return Ok(Self::Plain(input));
        }
        Ok(Self::Decoding(Box::new(Transcoder {
            input,
            decoder: encoding.new_decoder_without_bom_handling(),
            output: Vec::with_capacity(CHUNK_BYTES),
            read: 0,
            finished: false,
        })))
    }
}

/// Text in UTF-16 has a NUL in every other byte wherever it is ASCII.
fn utf16_without_mark(start: &[u8]) -> Option<&'static Encoding> {
    let pairs: Vec<[u8; 2]> = start
        .chunks_exact(2)
        .take(64)
        .filter_map(|pair| pair.try_into().ok())
        .collect();
    if pairs.len() < 4 {
        return None;
    }
    let little = pairs.iter().filter(|[low, high]| *low != 0 && *high == 0).count();
    let big = pairs.iter().filter(|[high, low]| *high == 0 && *low != 0).count();
    if little * 4 > pairs.len() * 3 {
        Some(UTF_16LE)
    } else if big * 4 > pairs.len() * 3 {
        Some(UTF_16BE)
    } else {
        None
    }
}

impl<R: Read> Transcoder<R> {
    fn fill(&mut self) -> io::Result<()> {
        self.output.clear();
        self.read = 0;
        while self.output.is_empty() && !self.finished {
            let chunk = self.input.fill_buf()?;
            let last = chunk.is_empty();
            self.output.resize(CHUNK_BYTES, 0);
            // Malformed input becomes U+FFFD, which the record's own checks refuse by name.
            let (result, consumed, written, _) = self.decoder.decode_to_utf8(chunk, &mut self.output, last);
            self.output.truncate(written);
            self.input.consume(consumed);
            self.finished = last && result == CoderResult::InputEmpty;
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf8Reader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let taken = available.take(into.len() as u64).read(into)?;
        self.consume(taken);
        Ok(taken)
    }
}

impl<R: Read> BufRead for Utf8Reader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Plain(input) => input.fill_buf(),
            Self::Decoding(transcoder) => {
                if transcoder.read >= transcoder.output.len() {
                    transcoder.fill()?;
                }
                Ok(transcoder.output.get(transcoder.read..).unwrap_or_default())
            }
        }
    }

    fn consume(&mut self, amount: usize) {
        match self {
            Self::Plain(input) => input.consume(amount),
            Self::Decoding(transcoder) => transcoder.read += amount,
        }
    }
}
