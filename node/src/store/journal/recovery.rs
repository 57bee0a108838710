//! Opening a journal: what is whole stays, what was never acknowledged may go, and what was acknowledged and is not as it
//! was written is reported, never passed over.
//!
//! ```text
//!                 durable mark                  end of the last whole batch        end of the file
//!   ─────────────────┼─────────────────────────────────┼─────────────────────────────────┤
//!   acknowledged:    │ whole, but perhaps not synced:  │ a torn write: cut off           │
//!   damage is damage │ written again and synced        │                                 │
//! ```
//!
//! The durable mark is the furthest of what the watermark says and what any batch says, also one behind the end of the
//! last whole batch. If it lies beyond that end, the journal is damaged. What one fault can do is thus told from what a
//! crash can do. Two faults at once may go unseen in one case: a power cut that leaves the watermark of the sync before
//! the last, and damage to the last group of batches; that looks like a torn write.

use std::{collections::BTreeMap, collections::HashMap, path::Path, path::PathBuf, sync::Arc};

use super::{
    Options,
    active::Active,
    catalog::Catalog,
    frame::{SEGMENT_HEAD, SegmentHead},
    ids::Keys,
    part::Meta,
    reader::Reader,
    run::Run,
    scan::{Bodies, ScanEnd, ScannedBatch, durable_beyond, scan},
    segment_name, segment_path,
    table::Table,
    watermark::{Watermark, WatermarkFile},
};
use crate::store::{
    Damage, StoreError,
    disk::{Disk, DiskFile},
};

const JOURNAL: &str = "journal";
const JOURNAL_UNFINISHED: &str = "journal.new";

/// A journal as it was found and mended.
pub(crate) struct Recovered {
    pub(crate) catalog: Catalog,
    /// Whether the catalog came from the index.
    pub(crate) indexed: bool,
    pub(crate) reader: Reader,
    pub(crate) active: Active,
    pub(crate) table: Table,
    pub(crate) sealed: BTreeMap<u32, Keys>,
    pub(crate) watermark: WatermarkFile,
    pub(crate) mended: Vec<String>,
    pub(crate) damaged: Vec<Damage>,
    /// The bytes of all segments.
    pub(crate) bytes: u64,
}

/// The folder of the segments.
pub(crate) fn journal_folder(folder: &Path) -> PathBuf {
    folder.join(JOURNAL)
}

/// The folder of the runs.
pub(crate) fn runs_folder(folder: &Path) -> PathBuf {
    folder.join("runs")
}

/// Opens the journal in `folder`, making a new one if there is none. `load` may give the catalog for the sequence number
/// that the journal turns out to have.
pub(crate) fn open(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    options: &Options,
    load: &mut dyn FnMut(u64) -> Option<Catalog>,
) -> Result<Recovered, StoreError> {
    let mut mended = Vec::new();
    let mark = Watermark::read(disk.as_ref(), folder)?;
    if mark == Some(None) {
        mended.push("the journal's watermark could not be read and was made anew".to_owned());
    }
    let mark = mark.flatten();
    create_if_missing(disk.as_ref(), folder, options, mark)?;
    let segments = list_segments(disk.as_ref(), folder, mark)?;
    let reader = Reader::new(disk.clone(), journal_folder(folder));
    let mut damaged = Vec::new();

    let number = segments;
    let file = open_segment(disk.as_ref(), folder, number)?;
    let mut batches = Vec::new();
    let end = scan(file.as_ref(), number, Bodies::All, &mut |batch| {
        batches.push(batch);
        Ok(())
    })?;
    let active = mend(file, end, &mut batches, mark, &mut mended)?;

    let loaded = load(active.sequence);
    let indexed = loaded.is_some();
    let mut bytes = active.offset;
    let catalog = match loaded {
        Some(mut catalog) => {
            read_heads(&mut catalog, &reader)?;
            catalog
        }
        None => rebuild(disk.as_ref(), folder, number, &batches)?,
    };
    let mut table = Table::default();
    for batch in &batches {
        add_keys(&mut table, batch, &mut damaged);
    }
    let mut sealed = BTreeMap::new();
    for number in 1..segments {
        let chain = segment_head(disk.as_ref(), folder, number + 1)?.chain;
        bytes += open_segment(disk.as_ref(), folder, number)?
            .len()
            .map_err(StoreError::io("read the journal"))?;
        let runs = runs_folder(folder);
        let keys = match Run::open(disk.as_ref(), &runs, number, chain) {
            Some(run) => Keys::Run(run),
            None => {
                mended.push(format!("the run of segment {number} was made anew"));
                make_run(disk.as_ref(), folder, number, chain, &mut damaged)?
            }
        };
        sealed.insert(number, keys);
    }
    let mark = Watermark {
        segment: active.number,
        offset: active.offset,
        sequence: active.sequence,
    };
    let watermark = WatermarkFile::open(disk.as_ref(), folder, &mark)?;
    Ok(Recovered {
        catalog,
        indexed,
        reader,
        active,
        table,
        sealed,
        watermark,
        mended,
        damaged,
        bytes,
    })
}

/// Makes a new journal beside its place and moves it there once it is whole and durable.
fn create_if_missing(
    disk: &dyn Disk,
    folder: &Path,
    options: &Options,
    mark: Option<Watermark>,
) -> Result<(), StoreError> {
    let create = StoreError::io("create the journal");
    disk.create_folder(folder).map_err(&create)?;
    let names = disk.list(folder).map_err(&create)?.unwrap_or_default();
    if names.iter().any(|name| name == JOURNAL) {
        return Ok(());
    }
    if let Some(mark) = mark {
        let Watermark { segment, offset, .. } = mark;
        return Err(Damage {
            segment,
            offset,
            what: "the folder of the journal is missing",
        }
        .into());
    }
    let unfinished = folder.join(JOURNAL_UNFINISHED);
    if names.iter().any(|name| name == JOURNAL_UNFINISHED) {
        disk.remove_folder(&unfinished).map_err(&create)?;
    }
    disk.create_folder(&unfinished).map_err(&create)?;
    let head = SegmentHead {
        number: 1,
        sequence: 0,
        chain: 0,
        salt: options.salt,
    };
    let file = disk.create(&segment_path(&unfinished, 1)).map_err(&create)?;
    file.write_all_at(&head.encode(), 0).map_err(&create)?;
    file.sync().map_err(&create)?;
    disk.sync_folder(&unfinished).map_err(&create)?;
    disk.rename(&unfinished, &journal_folder(folder)).map_err(&create)?;
    disk.sync_folder(folder).map_err(&create)?;
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        disk.sync_folder(above).map_err(&create)?;
    }
    Ok(())
}

/// The number of segments, which must all be there.
fn list_segments(disk: &dyn Disk, folder: &Path, mark: Option<Watermark>) -> Result<u32, StoreError> {
    let names = disk
        .list(&journal_folder(folder))
        .map_err(StoreError::io("read the journal"))?
        .unwrap_or_default();
    let number = |name: &String| name.strip_suffix(".seg").and_then(|number| number.parse().ok());
    let last = names.iter().filter_map(number).max().unwrap_or(0);
    let last = mark.map_or(last, |mark| last.max(mark.segment)).max(1);
    match (1..=last).find(|number| !names.contains(&segment_name(*number))) {
        Some(segment) => Err(Damage {
            segment,
            offset: 0,
            what: "the segment is missing",
        }
        .into()),
        None => Ok(last),
    }
}

fn open_segment(disk: &dyn Disk, folder: &Path, number: u32) -> Result<Arc<dyn DiskFile>, StoreError> {
    disk.open(&segment_path(&journal_folder(folder), number))
        .map_err(StoreError::io("open a segment of the journal"))
}

/// The head of a segment.
pub(crate) fn segment_head(disk: &dyn Disk, folder: &Path, number: u32) -> Result<SegmentHead, StoreError> {
    let mut bytes = [0; SEGMENT_HEAD];
    let read = open_segment(disk, folder, number)?.read_exact_at(&mut bytes, 0);
    let head = read
        .ok()
        .and_then(|()| SegmentHead::decode(&bytes))
        .filter(|head| head.number == number);
    head.ok_or_else(|| {
        Damage {
            segment: number,
            offset: 0,
            what: "the head of the segment",
        }
        .into()
    })
}

/// Decides what of the last segment stays, and makes that durable.
fn mend(
    file: Arc<dyn DiskFile>,
    end: ScanEnd,
    batches: &mut Vec<ScannedBatch>,
    mark: Option<Watermark>,
    mended: &mut Vec<String>,
) -> Result<Active, StoreError> {
    let number = end.head.number;
    let damaged = |offset, what| {
        StoreError::from(Damage {
            segment: number,
            offset,
            what,
        })
    };
    let mark = mark.filter(|mark| mark.segment == number);
    let mut durable = mark.map_or(end.durable, |mark| end.durable.max(mark.offset));
    if let Some(what) = end.stopped {
        durable = durable.max(durable_beyond(file.as_ref(), &end)?);
        if end.offset < durable {
            return Err(damaged(end.offset, what));
        }
    }
    if end.offset < durable {
        return Err(damaged(end.offset, "acknowledged bytes are missing"));
    }
    let torn = |batch: &ScannedBatch| batch.offset >= durable && batch.parts.iter().any(|part| part.body.is_none());
    let (mut offset, mut sequence, mut chain) = (end.offset, end.sequence, end.chain);
    if let Some(first) = batches.iter().position(torn) {
        if let Some(batch) = batches.get(first) {
            (offset, sequence, chain) = (batch.offset, batch.sequence, batch.chain);
        }
        batches.truncate(first);
    }
    if let Some(mark) = mark {
        let known = batches
            .iter()
            .find(|batch| batch.offset == mark.offset)
            .map(|batch| batch.sequence);
        let known = known.or((mark.offset == offset).then_some(sequence));
        if known != Some(mark.sequence) {
            return Err(damaged(mark.offset, "the watermark is not of this journal"));
        }
    }
    let write = StoreError::io("mend the journal");
    if offset < end.len {
        let torn = written_beyond(file.as_ref(), offset, end.len).map_err(&write)?;
        file.set_len(offset).map_err(&write)?;
        file.sync().map_err(&write)?;
        if torn > 0 {
            mended.push(format!(
                "{torn} bytes of a write that was never acknowledged were cut off"
            ));
        }
    }
    if durable < offset {
        // These bytes may be in the system's cache only, even as the remains of a sync that failed: write them again.
        let mut bytes = vec![0; usize::try_from(offset - durable).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, durable).map_err(&write)?;
        file.write_all_at(&bytes, durable).map_err(&write)?;
        file.sync().map_err(&write)?;
    }
    Ok(Active {
        file,
        number,
        offset,
        len: offset,
        sequence,
        chain,
        salt: end.head.salt,
    })
}

/// How much after the last batch is more than the zeros that are written ahead.
fn written_beyond(file: &dyn DiskFile, offset: u64, len: u64) -> std::io::Result<u64> {
    let mut bytes = vec![0; usize::try_from(len - offset).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, offset)?;
    let last = bytes.iter().rposition(|byte| *byte != 0);
    Ok(last.map_or(0, |last| last as u64 + 1))
}

/// Makes the catalog from the journal: of sealed segments nothing but heads and metas is read.
fn rebuild(disk: &dyn Disk, folder: &Path, last: u32, batches: &[ScannedBatch]) -> Result<Catalog, StoreError> {
    let mut catalog = Catalog::default();
    let (mut sequence, mut chain) = (0, 0);
    for number in 1..last {
        let file = open_segment(disk, folder, number)?;
        let end = scan(file.as_ref(), number, Bodies::States, &mut |batch| {
            take_in(&mut catalog, &batch)
        })?;
        let damaged = |offset, what| {
            StoreError::from(Damage {
                segment: number,
                offset,
                what,
            })
        };
        if (end.head.sequence, end.head.chain) != (sequence, chain) {
            return Err(damaged(0, "the segment does not follow the one before"));
        }
        if let Some(what) = end.stopped {
            return Err(damaged(end.offset, what));
        }
        (sequence, chain) = (end.sequence, end.chain);
    }
    let head = segment_head(disk, folder, last)?;
    if (head.sequence, head.chain) != (sequence, chain) {
        let what = "the segment does not follow the one before";
        return Err(Damage {
            segment: last,
            offset: 0,
            what,
        }
        .into());
    }
    batches.iter().try_for_each(|batch| take_in(&mut catalog, batch))?;
    Ok(catalog)
}

fn take_in(catalog: &mut Catalog, batch: &ScannedBatch) -> Result<(), StoreError> {
    for part in &batch.parts {
        if let Meta::Chunk(chunk) = &part.meta
            && catalog.admit(chunk, &mut HashMap::new()).is_err()
        {
            let (segment, offset) = (part.at.segment, part.at.offset);
            return Err(Damage {
                segment,
                offset,
                what: "a chunk does not continue its log",
            }
            .into());
        }
        catalog.apply(part);
    }
    Ok(())
}

/// Reads the last boundary of each log, which the index does not hold.
fn read_heads(catalog: &mut Catalog, reader: &Reader) -> Result<(), StoreError> {
    for log in catalog.logs.values_mut() {
        let Some(last) = log.chunks.last() else { continue };
        if let Meta::Chunk(meta) = reader.meta(&last.at)? {
            log.head = meta.end;
        }
    }
    Ok(())
}

fn add_keys(table: &mut Table, batch: &ScannedBatch, damaged: &mut Vec<Damage>) {
    for part in &batch.parts {
        if part.body.is_none() {
            damaged.push(Damage {
                segment: part.at.segment,
                offset: part.at.offset,
                what: "the body of a part",
            });
        }
        table.add(part);
    }
}

/// Makes the run of a sealed segment anew.
pub(crate) fn make_run(
    disk: &dyn Disk,
    folder: &Path,
    number: u32,
    chain: u32,
    damaged: &mut Vec<Damage>,
) -> Result<Keys, StoreError> {
    let mut table = Table::default();
    let file = open_segment(disk, folder, number)?;
    let before = damaged.len();
    let end = scan(file.as_ref(), number, Bodies::All, &mut |batch| {
        add_keys(&mut table, &batch, damaged);
        Ok(())
    })?;
    if let Some(what) = end.stopped {
        return Err(Damage {
            segment: number,
            offset: end.offset,
            what,
        }
        .into());
    }
    let runs = runs_folder(folder);
    // A run without the keys of a damaged body would make its records vanish quietly at the next opening.
    let whole = damaged.len() == before;
    if whole
        && Run::write(disk, &runs, number, chain, &table).is_ok()
        && let Some(run) = Run::open(disk, &runs, number, chain)
    {
        return Ok(Keys::Run(run));
    }
    Ok(Keys::Table(table))
}
