//! A run: what is in a sealed segment, in a file that is searched in place.
//!
//! ```text
//! blocks   of each log: its chunks (from u64 | count u32 | position 16), its overlays (the same); of each list: its notes
//!          (position 16); record ids, then intake keys (key 16 | log u16 | index u64); position: offset u64 | meta u32 |
//!          body u32; 128 rows, then crc u32 (`blocks`)
//! states   count u32 | each: key length u16 | key | 0 (forgotten) or 1 | value length u32 | value
//! search   of record ids, then of intake keys: rows u64 | first key of each block 16 … | filter length u32 | filter
//! places   summary (`summary`) | of each log: first index of each block of chunks u64 …, of overlays u64 …
//! tail     segment u32 | chain u32 | lengths of states, search, places 3 × u32 | their crcs 3 × u32 | "icommrn3" | crc u32
//! ```
//!
//! `places` stays in memory (8 bytes for 128 chunks), `search` once something was searched for (11 bits a key); a question
//! reads a block or two. A run is derived: if it is missing, not of this segment (`chain` is the one after its last batch)
//! or damaged, it is made anew from the segment.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use icomm_proto::{Origin, log::CHUNK_ENTRIES_MAX};

use super::{
    files::Files,
    frame::{Fields, checked, sealed},
    part::Position,
    summary::{LogSummary, Summary},
    table::{ChunkAt, KeyKind, Row, Table},
};
use crate::store::{
    NoteLog, Place,
    disk::{Disk, DiskFile},
};

mod blocks;
mod filter;

pub(crate) use blocks::DamagedRun;
use blocks::{Output, ROWS, Rows};
use filter::Filter;

const TAIL: usize = 44;
const MAGIC: [u8; 8] = *b"icommrn3";

/// A run, open for searching.
pub(crate) struct Run {
    files: Arc<Files>,
    path: PathBuf,
    summary: Summary,
    logs: BTreeMap<Origin, LogPlaces>,
    lists: BTreeMap<NoteLog, Rows<Position>>,
    keys_at: u64,
    states: Part,
    search: Part,
    /// Read when it is first needed.
    searched: OnceLock<[Fences; 2]>,
}

/// A part of the file that is read at once.
#[derive(Clone, Copy)]
struct Part {
    offset: u64,
    len: u32,
    crc: u32,
}

/// Where the chunks and overlays of one log are.
struct LogPlaces {
    chunks: (Rows<ChunkAt>, Vec<u64>),
    overlays: (Rows<ChunkAt>, Vec<u64>),
}

/// Rows of one kind of key, the first keys of their blocks, and which keys they don't have.
struct Fences {
    rows: Rows<Row>,
    firsts: Vec<[u8; 16]>,
    filter: Filter,
}

impl Part {
    fn read(&self, file: &dyn DiskFile) -> Result<Vec<u8>, DamagedRun> {
        let mut bytes = vec![0; self.len as usize];
        file.read_exact_at(&mut bytes, self.offset).map_err(|_| DamagedRun)?;
        match crc32fast::hash(&bytes) == self.crc {
            true => Ok(bytes),
            false => Err(DamagedRun),
        }
    }
}

impl Run {
    /// Writes the run of a segment, durably but for its name.
    pub(crate) fn write(disk: &dyn Disk, folder: &Path, summary: &Summary, table: &Table) -> io::Result<()> {
        disk.create_folder(folder)?;
        let unfinished = folder.join(format!("{:08}.new", summary.segment));
        let mut out = Output::new(disk.create(&unfinished)?);
        let mut places = summary.encode();
        for log in &table.logs {
            let mut fence = |chunk: &ChunkAt| places.extend_from_slice(&chunk.from.to_be_bytes());
            out.rows(log.chunks.iter().copied(), &mut fence)?;
            out.rows(log.overlays.values().copied(), &mut fence)?;
        }
        for notes in table.lists.values() {
            out.rows(notes.iter().copied(), |_| {})?;
        }
        let mut search = Vec::new();
        for kind in [KeyKind::Record, KeyKind::Intake] {
            let rows = table.sorted(kind);
            search.extend_from_slice(&(rows.len() as u64).to_be_bytes());
            let filter = Filter::of(rows.len(), rows.iter().map(|row| &row.key));
            out.rows(rows, |row| search.extend_from_slice(&row.key))?;
            search.extend_from_slice(&length(filter.bytes()));
            search.extend_from_slice(filter.bytes());
        }
        let states = encode_states(&table.states);
        let parts = [&states, &search, &places];
        for part in parts {
            out.put(part)?;
        }
        let lengths: Vec<u8> = parts.iter().flat_map(|part| length(part)).collect();
        let crcs: Vec<u8> = parts
            .iter()
            .flat_map(|part| crc32fast::hash(part).to_be_bytes())
            .collect();
        let (segment, chain) = (summary.segment.to_be_bytes(), summary.chain.to_be_bytes());
        let tail: [u8; TAIL] = sealed(&[&segment, &chain, &lengths, &crcs, &MAGIC], 0);
        out.put(&tail)?;
        out.finish()?;
        disk.rename(&unfinished, &path(folder, summary.segment))
    }

    /// Opens the run of a segment; None if there is none that fits.
    pub(crate) fn open(files: &Arc<Files>, folder: &Path, segment: u32, chain: u32) -> Option<Self> {
        let path = path(folder, segment);
        files.forget(&path);
        let file = files.open(&path).ok()?;
        let end = file.len().ok()?.checked_sub(TAIL as u64)?;
        let mut tail = [0; TAIL];
        file.read_exact_at(&mut tail, end).ok()?;
        let (mut fields, _) = checked(&tail, 0)?;
        if (fields.u32()?, fields.u32()?) != (segment, chain) {
            return None;
        }
        let lengths = [fields.u32()?, fields.u32()?, fields.u32()?];
        let crcs = [fields.u32()?, fields.u32()?, fields.u32()?];
        if fields.take()? != MAGIC {
            return None;
        }
        let mut offset = end.checked_sub(lengths.iter().map(|len| u64::from(*len)).sum())?;
        let parts_at = offset;
        let [states, search, places] = [0, 1, 2].map(|number: usize| {
            let part = Part {
                offset,
                len: lengths.get(number).copied().unwrap_or_default(),
                crc: crcs.get(number).copied().unwrap_or_default(),
            };
            offset += u64::from(part.len);
            part
        });
        let places = places.read(file.as_ref()).ok()?;
        let mut fields = Fields(&places);
        let summary = Summary::read(&mut fields)?;
        let mut at = 0;
        let mut logs = BTreeMap::new();
        for log in &summary.logs {
            logs.insert(log.origin.clone(), LogPlaces::read(log, &mut at, &mut fields)?);
        }
        let mut lists = BTreeMap::new();
        for (list, notes) in &summary.lists {
            let rows = Rows::at(at, *notes);
            at = rows.end();
            lists.insert(list.clone(), rows);
        }
        (at <= parts_at && (summary.segment, summary.chain) == (segment, chain)).then_some(Self {
            files: files.clone(),
            path,
            summary,
            logs,
            lists,
            keys_at: at,
            states,
            search,
            searched: OnceLock::new(),
        })
    }

    /// What the catalog needs to know of the segment.
    pub(crate) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The last value of each key that the segment changes; None where it forgets it.
    pub(crate) fn states(&self) -> Result<Vec<(String, Option<Bytes>)>, DamagedRun> {
        let bytes = self.states.read(self.file()?.as_ref())?;
        decode_states(&bytes).ok_or(DamagedRun)
    }

    fn file(&self) -> Result<Arc<dyn DiskFile>, DamagedRun> {
        self.files.open(&self.path).map_err(|_| DamagedRun)
    }

    /// The chunks that hold entries of a range, in order.
    pub(crate) fn chunks(&self, origin: &Origin, range: &Range<u64>) -> Result<Vec<ChunkAt>, DamagedRun> {
        match self.logs.get(origin) {
            Some(LogPlaces { chunks, .. }) => self.touching(chunks, range.start, range),
            None => Ok(Vec::new()),
        }
    }

    /// The overlays that touch a range.
    pub(crate) fn overlays(&self, origin: &Origin, range: &Range<u64>) -> Result<Vec<ChunkAt>, DamagedRun> {
        let first = range.start.saturating_sub(u64::from(CHUNK_ENTRIES_MAX));
        match self.logs.get(origin) {
            Some(LogPlaces { overlays, .. }) => self.touching(overlays, first, range),
            None => Ok(Vec::new()),
        }
    }

    /// Those of rows in the order of their first index that touch a range; all that do begin after `first`, or just before.
    fn touching(
        &self,
        (rows, firsts): &(Rows<ChunkAt>, Vec<u64>),
        first: u64,
        range: &Range<u64>,
    ) -> Result<Vec<ChunkAt>, DamagedRun> {
        let file = self.file()?;
        let mut found = Vec::new();
        let begin = firsts.partition_point(|from| *from < first).saturating_sub(1);
        for (block, from) in (0..).zip(firsts).skip(begin) {
            if *from >= range.end {
                break;
            }
            let rows = rows.block(file.as_ref(), block, self.summary.segment)?;
            let touching = rows
                .into_iter()
                .filter(|chunk| chunk.from < range.end && chunk.end() > range.start);
            found.extend(touching);
        }
        Ok(found)
    }

    /// Some notes of a list, counted from the segment's first.
    pub(crate) fn notes(&self, list: &NoteLog, range: &Range<u64>) -> Result<Vec<Position>, DamagedRun> {
        let Some(rows) = self.lists.get(list) else {
            return Ok(Vec::new());
        };
        let file = self.file()?;
        let (start, end) = (range.start, range.end.min(rows.count));
        let mut found = Vec::new();
        for block in start / ROWS..end.div_ceil(ROWS) {
            let positions = rows.block(file.as_ref(), block, self.summary.segment)?;
            let numbered = (block * ROWS..).zip(positions);
            found.extend(
                numbered
                    .filter(|(number, _)| (start..end).contains(number))
                    .map(|(_, at)| at),
            );
        }
        Ok(found)
    }

    /// Every place of a key.
    pub(crate) fn find(&self, kind: KeyKind, key: &[u8; 16]) -> Result<Vec<Place>, DamagedRun> {
        let [records, intake] = self.searched()?;
        let fences = match kind {
            KeyKind::Record => records,
            KeyKind::Intake => intake,
        };
        if fences.firsts.is_empty() || !fences.filter.may_hold(key) {
            return Ok(Vec::new());
        }
        let file = self.file()?;
        let mut found = Vec::new();
        // Rows of the key may begin in the block before the first that starts with it.
        let first = fences.firsts.partition_point(|first| first < key).saturating_sub(1);
        for (block, start) in (0..).zip(&fences.firsts).skip(first) {
            if start > key {
                break;
            }
            let rows = fences.rows.block(file.as_ref(), block, self.summary.segment)?;
            found.extend(
                rows.into_iter()
                    .filter(|row| row.key == *key)
                    .filter_map(|row| self.place(row)),
            );
        }
        Ok(found)
    }

    fn place(&self, row: Row) -> Option<Place> {
        let log = self.summary.logs.get(usize::from(row.log))?;
        Some(Place {
            origin: log.origin.clone(),
            index: row.index,
        })
    }

    fn searched(&self) -> Result<&[Fences; 2], DamagedRun> {
        if let Some(searched) = self.searched.get() {
            return Ok(searched);
        }
        let bytes = self.search.read(self.file()?.as_ref())?;
        let mut fields = Fields(&bytes);
        let records = Fences::read(&mut fields, self.keys_at).ok_or(DamagedRun)?;
        let intake = Fences::read(&mut fields, records.rows.end()).ok_or(DamagedRun)?;
        Ok(self.searched.get_or_init(|| [records, intake]))
    }
}

impl LogPlaces {
    fn read(log: &LogSummary, at: &mut u64, fields: &mut Fields<'_>) -> Option<Self> {
        let mut rows = |count| {
            let rows = Rows::at(*at, count);
            *at = rows.end();
            let firsts = (0..rows.blocks()).map(|_| fields.u64()).collect::<Option<Vec<_>>>()?;
            Some((rows, firsts))
        };
        Some(Self {
            chunks: rows(log.chunk_rows)?,
            overlays: rows(log.overlay_rows)?,
        })
    }
}

impl Fences {
    fn read(fields: &mut Fields<'_>, start: u64) -> Option<Self> {
        let rows = Rows::at(start, fields.u64()?);
        let firsts = (0..rows.blocks()).map(|_| fields.take()).collect::<Option<_>>()?;
        let len = fields.u32()?;
        let filter = Filter::from_bytes(fields.bytes(len as usize)?);
        Some(Self { rows, firsts, filter })
    }
}

fn path(folder: &Path, segment: u32) -> PathBuf {
    folder.join(format!("{segment:08}.run"))
}

/// What a segment's keys and places take is far below 4 GiB.
fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()
}

fn encode_states(states: &BTreeMap<String, Option<Bytes>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&u32::try_from(states.len()).unwrap_or(u32::MAX).to_be_bytes());
    for (key, value) in states {
        // Keys are bounded far below that.
        bytes.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(key.as_bytes());
        bytes.push(u8::from(value.is_some()));
        let value = value.as_deref().unwrap_or_default();
        bytes.extend_from_slice(&length(value));
        bytes.extend_from_slice(value);
    }
    bytes
}

fn decode_states(bytes: &[u8]) -> Option<Vec<(String, Option<Bytes>)>> {
    let mut fields = Fields(bytes);
    let state = |fields: &mut Fields<'_>| {
        let len = fields.u16()?;
        let key = str::from_utf8(fields.bytes(usize::from(len))?).ok()?.to_owned();
        let present = fields.u8()? == 1;
        let len = fields.u32()?;
        let value = fields.bytes(len as usize)?;
        Some((key, present.then(|| Bytes::copy_from_slice(value))))
    };
    (0..fields.u32()?).map(|_| state(&mut fields)).collect()
}

#[cfg(test)]
mod tests;
