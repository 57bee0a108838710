//! A run: the record ids and intake keys of a sealed segment, sorted, in a file that is searched in place.
//!
//! ```text
//! blocks   of record ids, then of intake keys: up to 128 rows (key 16 | log u16 | index u64) | crc u32
//! footer   logs u16 | each: len u8 | origin
//!          record rows u64 | first key of each block 16 …
//!          intake rows u64 | first key of each block 16 …
//! tail     segment u32 | chain u32 | footer len u32 | footer crc u32 | "icommrn1" | crc u32
//! ```
//!
//! The footer stays in memory (16 bytes for 128 rows); a search reads one block. A run is derived: if it is missing, not
//! of this segment (`chain` is the one after its last batch) or damaged, it is made anew from the segment.

use std::{io, path::Path, sync::Arc};

use icomm_proto::Origin;

use super::{
    frame::{Fields, checked, sealed},
    table::{KeyKind, Row, Table, places},
};
use crate::store::{
    Place,
    disk::{Disk, DiskFile},
};

const ROWS_PER_BLOCK: usize = 128;
const ROW: usize = 26;
const TAIL: usize = 28;
const MAGIC: [u8; 8] = *b"icommrn1";

/// A run, open for searching.
pub(crate) struct Run {
    file: Arc<dyn DiskFile>,
    logs: Vec<Origin>,
    records: Fences,
    intake: Fences,
}

/// The first keys of the blocks of one kind.
struct Fences {
    /// Offset of the first block.
    start: u64,
    rows: u64,
    firsts: Vec<[u8; 16]>,
}

/// A block whose bytes are not what was written.
#[derive(Debug)]
pub(crate) struct DamagedRun;

impl Run {
    /// Writes the run of a segment whose last chain value is `chain`.
    pub(crate) fn write(disk: &dyn Disk, folder: &Path, segment: u32, chain: u32, table: &Table) -> io::Result<()> {
        let (records, intake) = (table.sorted(KeyKind::Record), table.sorted(KeyKind::Intake));
        let mut bytes = Vec::with_capacity((records.len() + intake.len()) * (ROW + 1) + 4096);
        let mut footer = Vec::new();
        footer.extend_from_slice(&u16::try_from(table.logs.len()).unwrap_or(u16::MAX).to_be_bytes());
        for origin in &table.logs {
            let origin = origin.to_string();
            footer.push(u8::try_from(origin.len()).unwrap_or(u8::MAX));
            footer.extend_from_slice(origin.as_bytes());
        }
        for rows in [&records, &intake] {
            write_blocks(rows, &mut bytes, &mut footer);
        }
        let (len, crc) = (
            u32::try_from(footer.len()).unwrap_or(u32::MAX),
            crc32fast::hash(&footer),
        );
        let (segment_bytes, chain) = (segment.to_be_bytes(), chain.to_be_bytes());
        let tail: [u8; TAIL] = sealed(
            &[&segment_bytes, &chain, &len.to_be_bytes(), &crc.to_be_bytes(), &MAGIC],
            0,
        );
        bytes.extend_from_slice(&footer);
        bytes.extend_from_slice(&tail);

        disk.create_folder(folder)?;
        let unfinished = folder.join(format!("{segment:08}.new"));
        let file = disk.create(&unfinished)?;
        file.write_all_at(&bytes, 0)?;
        file.sync()?;
        disk.rename(&unfinished, &path(folder, segment))
    }

    /// Opens the run of a segment; None if there is none that fits.
    pub(crate) fn open(disk: &dyn Disk, folder: &Path, segment: u32, chain: u32) -> Option<Self> {
        let file = disk.open(&path(folder, segment)).ok()?;
        let end = file.len().ok()?.checked_sub(TAIL as u64)?;
        let mut tail = [0; TAIL];
        file.read_exact_at(&mut tail, end).ok()?;
        let (mut fields, _) = checked(&tail, 0)?;
        if (fields.u32()?, fields.u32()?) != (segment, chain) {
            return None;
        }
        let (len, crc) = (fields.u32()?, fields.u32()?);
        if fields.take()? != MAGIC {
            return None;
        }
        let footer_at = end.checked_sub(u64::from(len))?;
        let mut footer = vec![0; len as usize];
        file.read_exact_at(&mut footer, footer_at).ok()?;
        if crc32fast::hash(&footer) != crc {
            return None;
        }
        let mut fields = Fields(&footer);
        let count = fields.u16()?;
        let log = |fields: &mut Fields<'_>| {
            let len = fields.u8()?;
            str::from_utf8(fields.bytes(usize::from(len))?).ok()?.parse().ok()
        };
        let logs = (0..count).map(|_| log(&mut fields)).collect::<Option<_>>()?;
        let records = Fences::read(&mut fields, 0)?;
        let intake = Fences::read(&mut fields, records.end())?;
        (intake.end() == footer_at).then_some(Self {
            file,
            logs,
            records,
            intake,
        })
    }

    /// Every place of a key.
    pub(crate) fn find(&self, kind: KeyKind, key: &[u8; 16]) -> Result<Vec<Place>, DamagedRun> {
        let fences = match kind {
            KeyKind::Record => &self.records,
            KeyKind::Intake => &self.intake,
        };
        let mut found = Vec::new();
        // Rows of the key may begin in the block before the first that starts with it.
        let first = fences.firsts.partition_point(|first| first < key).saturating_sub(1);
        for (block, start) in (first..).zip(fences.firsts.iter().skip(first)) {
            if start > key {
                break;
            }
            let rows = fences.block(self.file.as_ref(), block)?;
            found.extend(rows.into_iter().filter(|row| row.key == *key));
        }
        Ok(places(&self.logs, &found))
    }
}

fn path(folder: &Path, segment: u32) -> std::path::PathBuf {
    folder.join(format!("{segment:08}.run"))
}

fn write_blocks(rows: &[Row], bytes: &mut Vec<u8>, footer: &mut Vec<u8>) {
    footer.extend_from_slice(&(rows.len() as u64).to_be_bytes());
    for block in rows.chunks(ROWS_PER_BLOCK) {
        let start = bytes.len();
        if let Some(first) = block.first() {
            footer.extend_from_slice(&first.key);
        }
        for Row { key, log, index } in block {
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(&log.to_be_bytes());
            bytes.extend_from_slice(&index.to_be_bytes());
        }
        let crc = crc32fast::hash(bytes.get(start..).unwrap_or_default());
        bytes.extend_from_slice(&crc.to_be_bytes());
    }
}

impl Fences {
    fn read(fields: &mut Fields<'_>, start: u64) -> Option<Self> {
        let rows = fields.u64()?;
        let blocks = rows.div_ceil(ROWS_PER_BLOCK as u64);
        let firsts = (0..blocks).map(|_| fields.take()).collect::<Option<_>>()?;
        Some(Self { start, rows, firsts })
    }

    /// The offset after the last block.
    fn end(&self) -> u64 {
        self.start + self.rows * ROW as u64 + 4 * self.firsts.len() as u64
    }

    fn block(&self, file: &dyn DiskFile, number: usize) -> Result<Vec<Row>, DamagedRun> {
        let before = number as u64 * ROWS_PER_BLOCK as u64;
        let rows = self.rows.saturating_sub(before).min(ROWS_PER_BLOCK as u64) as usize;
        let mut bytes = vec![0; rows * ROW + 4];
        let offset = self.start + number as u64 * (ROWS_PER_BLOCK * ROW + 4) as u64;
        file.read_exact_at(&mut bytes, offset).map_err(|_| DamagedRun)?;
        let (rows, crc) = bytes.split_last_chunk::<4>().ok_or(DamagedRun)?;
        if crc32fast::hash(rows) != u32::from_be_bytes(*crc) {
            return Err(DamagedRun);
        }
        let row = |bytes: &[u8]| {
            let mut fields = Fields(bytes);
            Some(Row {
                key: fields.take()?,
                log: fields.u16()?,
                index: fields.u64()?,
            })
        };
        rows.chunks_exact(ROW)
            .map(|bytes| row(bytes).ok_or(DamagedRun))
            .collect()
    }
}
