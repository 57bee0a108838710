//! The sender's file: a frame for every record, as long as what icomm stores of it.
//!
//! ```text
//! frame:  len u32 | crc-32 u32 | view with all sections, len bytes           all numbers big-endian
//! ```

use std::{
    collections::HashMap,
    fs::File,
    io::{BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use icomm_proto::log::{Frontier, Hash};

use crate::compare::{rows::Rows, sealed};

const HEAD_BYTES: usize = 8;
/// Bytes read at once.
const WINDOW_BYTES: usize = 1 << 20;

/// The file, and what must come of it.
pub(in super::super) struct Input {
    path: PathBuf,
    /// Entries.
    pub(in super::super) records: u64,
    /// How many of them the receiver gets as views; of the others it gets the hashes.
    pub(in super::super) disclosed: u64,
    /// The Merkle root over all.
    pub(in super::super) root: Hash,
    /// For each class of record whether it goes: what is left of the policy.
    pub(in super::super) decisions: HashMap<Box<[u8]>, bool>,
}

impl Input {
    /// Seals the rows into a file.
    pub(in super::super) fn write(rows: &Rows, path: &Path) -> anyhow::Result<Self> {
        let mut file = BufWriter::with_capacity(WINDOW_BYTES, File::create(path)?);
        let mut log = Frontier::new();
        let mut decisions = HashMap::new();
        let mut disclosed = 0;
        sealed::each(rows, |view| {
            let class = view.class_bytes().context("a record has no class")?;
            let goes = match decisions.get(class) {
                Some(goes) => *goes,
                None => {
                    let goes = sealed::covered(&view)?;
                    decisions.insert(class.into(), goes);
                    goes
                }
            };
            disclosed += u64::from(goes);
            log.push(view.leaf_hash());
            let bytes = view.bytes();
            file.write_all(&u32::try_from(bytes.len())?.to_be_bytes())?;
            file.write_all(&crc32fast::hash(bytes).to_be_bytes())?;
            file.write_all(bytes)?;
            Ok(())
        })?;
        file.into_inner()?.sync_all()?;
        Ok(Self {
            path: path.to_owned(),
            records: log.size(),
            disclosed,
            root: log.root(),
            decisions,
        })
    }

    /// The frames, from the first.
    pub(in super::super) fn frames(&self) -> anyhow::Result<Frames> {
        Ok(Frames {
            file: File::open(&self.path)?,
            window: Vec::new(),
            at: 0,
        })
    }
}

/// Frames on their way from the file, a window at a time.
pub(in super::super) struct Frames {
    file: File,
    window: Vec<u8>,
    /// Where the next frame begins in the window.
    at: usize,
}

impl Frames {
    /// The next view, its checksum compared.
    pub(in super::super) fn next(&mut self) -> anyhow::Result<&[u8]> {
        let (len, checksum) = loop {
            match self.head() {
                Some((len, checksum)) if self.window.len() >= self.at + HEAD_BYTES + len => break (len, checksum),
                _ => self.fill()?,
            }
        };
        let start = self.at + HEAD_BYTES;
        self.at = start + len;
        let view = self.window.get(start..self.at).unwrap_or_default();
        ensure!(crc32fast::hash(view) == checksum, "a frame of the input is damaged");
        Ok(view)
    }

    fn head(&self) -> Option<(usize, u32)> {
        let (len, rest) = self.window.get(self.at..)?.split_first_chunk()?;
        let checksum = rest.first_chunk()?;
        Some((u32::from_be_bytes(*len) as usize, u32::from_be_bytes(*checksum)))
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        self.window.drain(..self.at);
        self.at = 0;
        let held = self.window.len();
        self.window.resize(held + WINDOW_BYTES, 0);
        let read = self.file.read(self.window.get_mut(held..).unwrap_or_default())?;
        self.window.truncate(held + read);
        ensure!(read > 0, "the input ends too early");
        Ok(())
    }
}
