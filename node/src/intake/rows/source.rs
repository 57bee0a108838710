//! A file to import: recognised by what it holds, then read as rows, with its position for a progress bar.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{InvalidHeader, Reading, csv, json_lines, xlsx};

/// The formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Separated by commas, semicolons, tabs or bars, with a header row.
    Csv,
    /// One flat JSON object a line.
    JsonLines,
    /// An Office Open XML workbook; one sheet of it, with a header row.
    Xlsx,
}

/// A word that names no format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no format that can be read; it is one of `csv`, `json-lines`, `xlsx`")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "csv" => Ok(Self::Csv),
            "json-lines" => Ok(Self::JsonLines),
            "xlsx" => Ok(Self::Xlsx),
            _ => Err(UnknownFormat(text.to_owned())),
        }
    }
}

/// How to read a file, where its content and name don't say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadOptions {
    /// `None`: by content, then by the name's ending.
    pub format: Option<Format>,
    /// A label such as `windows-1252`. A byte order mark wins; `None` is UTF-8.
    pub encoding: Option<String>,
    /// Between cells of a CSV file; `None`: the likeliest of `,`, `;`, tab and `|`.
    pub delimiter: Option<char>,
    /// The sheet of a workbook; `None`: the first that is visible.
    pub sheet: Option<String>,
}

/// A file that can't be read, or not to its end. What was pushed before is good.
#[derive(Debug, Error)]
pub enum FileError {
    /// The operating system's word.
    #[error("the file can't be read: {0}")]
    Io(#[from] io::Error),
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// The header can't serve.
    #[error(transparent)]
    Header(#[from] InvalidHeader),
    /// An encoding nobody knows.
    #[error("`{0}` is no known encoding; try `utf-8`, `windows-1252` or `utf-16le`")]
    UnknownEncoding(String),
    /// A delimiter that can't separate.
    #[error("`{0}` can't separate cells; use a single ASCII character other than a quote or a line end")]
    Delimiter(char),
    /// UTF-16 that says so nowhere.
    #[error("the file seems to be {likely} without a byte order mark; say so with the option `encoding`")]
    UndeclaredEncoding {
        /// Its likely name.
        likely: &'static str,
    },
    /// An old binary workbook, or one under a password.
    #[error("the file is an old `.xls` workbook or is protected by a password; save it as `.xlsx` without a password")]
    OldWorkbook,
    /// Not a zip archive, or a cut one.
    #[error("the workbook is damaged or was not copied completely ({detail}); copy or save it again")]
    Damaged {
        /// What was found.
        detail: String,
    },
    /// An archive that inflates beyond all reason.
    #[error("the workbook is refused as a zip bomb: {detail}")]
    Bomb {
        /// Which limit it broke.
        detail: String,
    },
    /// No such sheet.
    #[error("the workbook has no sheet `{wanted}`; it has {have}")]
    NoSheet {
        /// What was asked for.
        wanted: String,
        /// The names of the sheets there are.
        have: String,
    },
    /// Neither text nor a workbook.
    #[error("the file is {what}, not CSV, JSON Lines or XLSX")]
    Foreign {
        /// What it looks like.
        what: &'static str,
    },
}

/// A readable, seekable stream of bytes.
pub trait Bytes: Read + Seek + Send {}
impl<T: Read + Seek + Send> Bytes for T {}

/// A file opened for import.
pub struct Source {
    bytes: Counting<Box<dyn Bytes>>,
    format: Format,
    options: ReadOptions,
    total: u64,
}

impl Source {
    /// Opens a file and finds out what it is.
    ///
    /// # Errors
    ///
    /// It can't be read, is empty, or is of no format that can be imported.
    pub fn open(path: &Path, options: ReadOptions) -> Result<Self, FileError> {
        let named = path
            .extension()
            .and_then(|ending| ending.to_str())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let named = match named.as_str() {
            "jsonl" | "ndjson" | "json" => Some(Format::JsonLines),
            "csv" | "tsv" | "txt" => Some(Format::Csv),
            _ => None,
        };
        Self::new(Box::new(File::open(path)?), named, options)
    }

    /// The same for bytes that are no file.
    ///
    /// # Errors
    ///
    /// As [`Source::open`].
    pub fn from_bytes(bytes: impl Bytes + 'static, options: ReadOptions) -> Result<Self, FileError> {
        Self::new(Box::new(bytes), None, options)
    }

    fn new(mut bytes: Box<dyn Bytes>, named: Option<Format>, options: ReadOptions) -> Result<Self, FileError> {
        let total = bytes.seek(SeekFrom::End(0))?;
        bytes.rewind()?;
        if total == 0 {
            return Err(FileError::Empty);
        }
        let mut start = Vec::with_capacity(512);
        bytes.by_ref().take(512).read_to_end(&mut start)?;
        bytes.rewind()?;
        let format = recognise(&start, named, options.format)?;
        Ok(Self {
            bytes: Counting {
                inner: bytes,
                position: Arc::default(),
            },
            format,
            options,
            total,
        })
    }

    /// What the file turned out to be.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The size of the file in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.total
    }

    /// How far reading has come, to be looked at from another thread.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            read: Arc::clone(&self.bytes.position),
            total: self.total,
        }
    }

    /// Reads all rows and pushes each to `each`, until that breaks off. A row lasts until the next one is read.
    ///
    /// # Errors
    ///
    /// The file itself is broken; rows pushed before that are good.
    pub fn read(self, each: &mut dyn FnMut(Reading<'_>) -> ControlFlow<()>) -> Result<(), FileError> {
        let encoding = match &self.options.encoding {
            None => None,
            Some(label) => {
                Some(Encoding::for_label(label.as_bytes()).ok_or_else(|| FileError::UnknownEncoding(label.clone()))?)
            }
        };
        match self.format {
            Format::Csv => csv::read(self.bytes, encoding, self.options.delimiter, each),
            Format::JsonLines => json_lines::read(self.bytes, encoding, each),
            Format::Xlsx => xlsx::read(self.bytes, self.total, self.options.sheet.as_deref(), each),
        }
    }
}

/// What the first bytes say wins over the name; the caller's word wins over both, except against a workbook's signature.
fn recognise(start: &[u8], named: Option<Format>, told: Option<Format>) -> Result<Format, FileError> {
    const ZIP: &[u8] = b"PK";
    const COMPOUND_FILE: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
    if start.starts_with(COMPOUND_FILE) {
        return Err(FileError::OldWorkbook);
    }
    if start.starts_with(b"%PDF") {
        return Err(FileError::Foreign { what: "a PDF document" });
    }
    if start.starts_with(&[0x1f, 0x8b]) {
        return Err(FileError::Foreign {
            what: "compressed with gzip",
        });
    }
    let zip = start.starts_with(ZIP)
        && start
            .get(2..4)
            .is_some_and(|kind| matches!(kind, [3, 4] | [5, 6] | [7, 8]));
    match (zip, told) {
        (true, _) | (false, Some(Format::Xlsx)) => Ok(Format::Xlsx),
        (false, Some(format)) => Ok(format),
        (false, None) => Ok(named.unwrap_or_else(|| {
            let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
            if text.starts_with(b"{") {
                Format::JsonLines
            } else {
                Format::Csv
            }
        })),
    }
}

/// How many bytes of how many have been read.
#[derive(Clone, Debug)]
pub struct Position {
    read: Arc<AtomicU64>,
    total: u64,
}

impl Position {
    /// Bytes read, never more than the total.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed).min(self.total)
    }
}

/// Counts the bytes read, for progress.
pub(super) struct Counting<R> {
    inner: R,
    position: Arc<AtomicU64>,
}

impl<R> Counting<R> {
    /// Starts the count again: a workbook is looked through before it is read.
    pub(super) fn restart(&mut self) {
        self.position.store(0, Ordering::Relaxed);
    }
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.position.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl<R: Seek> Seek for Counting<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
