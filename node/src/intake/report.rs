//! The report: JSON Lines for programs, a line for every row that was not taken, and a summary at the end.
//!
//! ```text
//! {"line":17,"outcome":"rejected","faults":[{"column":"DRUG_UNIT","value":"Acres","kind":"unknown-value","reason":"…"}]}
//! {"line":18,"outcome":"issued","record":"0192…"}                             only in a full report
//! {"summary":{"mapping":"unodc-ids","format":"csv","rows":8861,"issued":…}}
//! ```
//!
//! It quotes what the rows hold, names included, so its file is for its owner alone.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use super::rows::Fault;
use super::summary::Summary;

/// How much a report tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Rejected rows.
    #[default]
    Rejected,
    /// Every row, issued ones with their record's id.
    All,
}

/// Writes a report.
pub struct Report {
    out: Box<dyn Write + Send>,
    detail: Detail,
}

#[derive(Serialize)]
struct Line<'a> {
    line: u64,
    outcome: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    record: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    faults: &'a [Fault],
}

impl Report {
    /// Writes to `out`.
    pub fn new(out: impl Write + Send + 'static, detail: Detail) -> Self {
        Self {
            out: Box::new(out),
            detail,
        }
    }

    /// Writes nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::new(io::sink(), Detail::Rejected)
    }

    /// Writes to a new file that only its owner may read. An earlier report of that name is replaced.
    ///
    /// # Errors
    ///
    /// The file can't be made.
    pub fn create(path: &Path, detail: Detail) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self::new(BufWriter::new(options.open(path)?), detail))
    }

    pub(super) fn rejected(&mut self, line: u64, faults: &[Fault]) -> io::Result<()> {
        self.write(&Line {
            line,
            outcome: "rejected",
            record: "",
            faults,
        })
    }

    pub(super) fn taken(&mut self, line: u64, outcome: &'static str, record: &str) -> io::Result<()> {
        match self.detail {
            Detail::Rejected => Ok(()),
            Detail::All => self.write(&Line {
                line,
                outcome,
                record,
                faults: &[],
            }),
        }
    }

    pub(super) fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        #[derive(Serialize)]
        struct Last<'a> {
            summary: &'a Summary,
        }
        self.write(&Last { summary })?;
        self.flush()
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }
}
