//! What an import costs at least: cells split, bytes hashed, bytes written; nothing of it understood.

use std::{
    fs::File,
    io::{BufReader, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, ensure};
use futures::future::BoxFuture;
use icomm_proto::{
    SectionKind,
    entry::{SALT_BYTES, section_hash},
    log::leaf_hash,
};
use tokio::{task::block_in_place, time::Instant};

use crate::compare::{
    meter,
    rows::{self, Rows},
    sealed,
    series::Sample,
    workload::{Bench, Contestant, Kind},
};

/// Bytes written at once.
const WRITE_BYTES: usize = 1 << 20;
/// What the store keeps of a record beside its view: the item's tag and length, and the row's intake key with its offset.
const STORED_BESIDE_BYTES: usize = 5 + 20;

/// Parsing, hashing and one sequential write, ready to run.
pub struct ParseHashWrite {
    rows: Rows,
    output: PathBuf,
    sizes: Vec<Sizes>,
}

/// What becomes of one row.
struct Sizes {
    /// Bytes of its entry, whose hash is the leaf.
    entry: u32,
    /// Bytes of all its sections together, each of which is hashed with its salt.
    sections: u32,
    /// Bytes that are written.
    stored: u32,
}

/// Sets it up for as many rows as the workload has.
///
/// # Errors
/// The rows can't be made or read.
pub fn parse_hash_write(bench: &Bench) -> anyhow::Result<ParseHashWrite> {
    let rows = rows::file(bench, bench.size)?;
    let mut sizes = Vec::new();
    sealed::each(&rows, |view| {
        let sections = view.sections().iter().filter_map(|kind| view.section(kind));
        sizes.push(Sizes {
            entry: u32::try_from(view.entry().bytes().len())?,
            sections: u32::try_from(sections.map(<[u8]>::len).sum::<usize>())?,
            stored: u32::try_from(view.bytes().len() + STORED_BESIDE_BYTES)?,
        });
        Ok(())
    })?;
    let output = bench.fresh_folder("parse-hash-write")?.join("output");
    Ok(ParseHashWrite { rows, output, sizes })
}

impl ParseHashWrite {
    fn run(&self) -> anyhow::Result<()> {
        let mut reader = csv::Reader::from_reader(BufReader::with_capacity(WRITE_BYTES, File::open(&self.rows.file)?));
        let mut row = csv::StringRecord::new();
        let mut output = File::create(&self.output)?;
        let mut bytes: Vec<u8> = Vec::with_capacity(2 * WRITE_BYTES);
        let mut salt = [0; SALT_BYTES];
        for sizes in &self.sizes {
            ensure!(reader.read_record(&mut row)?, "the file of rows ends too early");
            let start = bytes.len();
            let end = start + sizes.stored as usize;
            // What is hashed and written is the row's own text, cut or filled up to the length of the record.
            for cell in &row {
                bytes.extend_from_slice(cell.as_bytes());
            }
            bytes.resize(end, b' ');
            let record = bytes.get(start..).unwrap_or_default();
            let (entry, sections) = (sizes.entry as usize, sizes.sections as usize);
            let part = |len: usize| {
                record
                    .get(..len)
                    .context("a record is longer than what is stored of it")
            };
            let hash = section_hash(SectionKind::Case, &salt, part(sections)?);
            let leaf = leaf_hash(part(entry)?);
            // What comes of it goes into what is written, so that nothing of it can be left out.
            salt.copy_from_slice(
                hash.first_chunk::<SALT_BYTES>()
                    .context("a hash is longer than a salt")?,
            );
            if let Some(place) = bytes.last_chunk_mut::<32>() {
                *place = leaf.to_bytes();
            }
            if bytes.len() >= WRITE_BYTES {
                output.write_all(&bytes)?;
                bytes.clear();
            }
        }
        ensure!(!reader.read_record(&mut row)?, "the file has more rows than it should");
        output.write_all(&bytes)?;
        output.sync_data()?;
        Ok(())
    }
}

impl Contestant for ParseHashWrite {
    fn name(&self) -> &'static str {
        "parse-hash-write"
    }

    fn kind(&self) -> Kind {
        Kind::Limit
    }

    fn remark(&self) -> String {
        "one thread: the crate `csv` splits every cell of the file and checks its UTF-8; SHA-256 over as many bytes as the record's \
         sections and entry have (one call for all sections, one for the leaf); one sequential write of as many bytes as the store \
         gets, one sync at the end. No mapping, validation, encoding, randomness, checksum, Merkle tree, signature or duplicate \
         check, and nothing can be found again"
            .to_owned()
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(async {
            let cpu = meter::own_cpu_seconds()?;
            let begun = Instant::now();
            block_in_place(|| self.run())?;
            let (seconds, cpu) = (begun.elapsed().as_secs_f64(), meter::own_cpu_seconds()? - cpu);
            let written = std::fs::metadata(&self.output)?.len();
            let expected: u64 = self.sizes.iter().map(|sizes| u64::from(sizes.stored)).sum();
            ensure!(written == expected, "{written} bytes were written, not {expected}");
            let records = self.sizes.len() as u64;
            Ok(Sample::rate(records, seconds, cpu).with("written_bytes_per_record", written as f64 / records as f64))
        })
    }
}
