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

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Options,
    active::Active,
    catalog::Catalog,
    erasing,
    files::Files,
    frame::{SEGMENT_HEAD, SegmentHead},
    index::State,
    keys::Keys,
    part::Meta,
    reader::Reader,
    scan::{ScanEnd, ScannedBatch, durable_beyond, scan},
    segment_name, segment_path,
    segments::Sealed,
    table::Table,
    watermark::{Watermark, WatermarkFile},
};
use crate::{
    environment::Entropy,
    store::{
        Damage, StoreError, StoreKey,
        disk::{Disk, DiskFile},
    },
};

mod sealed;

use sealed::SealedSegments;
pub(crate) use sealed::make_run;

const JOURNAL: &str = "journal";
const JOURNAL_UNFINISHED: &str = "journal.new";

/// A journal as it was found and mended.
pub(crate) struct Recovered {
    pub(crate) catalog: Catalog,
    /// The state as it was before the segment that is written to, if it did not come from the index.
    pub(crate) unindexed: Option<State>,
    pub(crate) reader: Reader,
    pub(crate) keys: Arc<Keys>,
    pub(crate) active: Active,
    /// The sequence number of the first batch of the segment that is written to.
    pub(crate) sequence: u64,
    pub(crate) table: Table,
    pub(crate) sealed: BTreeMap<u32, Sealed>,
    pub(crate) watermark: WatermarkFile,
    pub(crate) mended: Vec<String>,
    pub(crate) damaged: Vec<Damage>,
    /// The bytes of all segments.
    pub(crate) bytes: u64,
}

/// What the keys of views come from.
pub(crate) struct Secrets<'a> {
    pub(crate) key: &'a StoreKey,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Secrets<'_> {
    fn open(self, disk: &dyn Disk, folder: &Path, options: &Options, used: u64) -> Result<Keys, StoreError> {
        Keys::open(disk, folder, self.key, self.entropy, options.ahead_keys, used)
    }
}

/// The folder of the segments.
pub(crate) fn journal_folder(folder: &Path) -> PathBuf {
    folder.join(JOURNAL)
}

/// The folder of the runs.
pub(crate) fn runs_folder(folder: &Path) -> PathBuf {
    folder.join("runs")
}

/// Opens the journal in `folder`, making a new one if there is none. `load` may give the state as it was when the segment
/// that is written to began, which was with this sequence number.
pub(crate) fn open(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    options: &Options,
    secrets: Secrets<'_>,
    load: &mut dyn FnMut(u64) -> Option<State>,
) -> Result<Recovered, StoreError> {
    let mut mended = Vec::new();
    let mark = Watermark::read(disk.as_ref(), folder)?;
    if mark == Some(None) {
        mended.push("the journal's watermark could not be read and was made anew".to_owned());
    }
    let mark = mark.flatten();
    create_if_missing(disk.as_ref(), folder, options, mark)?;
    let number = list_segments(disk.as_ref(), folder, mark)?;
    let files = Arc::new(Files::new(disk.clone()));
    let mut damaged = Vec::new();

    let file = open_segment(disk.as_ref(), folder, number)?;
    // Two passes, so that a segment's records are never in memory together: what is whole first, then what it says.
    let mut marks = Vec::new();
    let end = scan(file.as_ref(), number, &mut |batch| {
        marks.push(BatchMark::of(&batch));
        Ok(())
    })?;
    let head = end.head;
    let active = mend(file, end, &marks, mark, &mut mended)?;
    drop(marks);

    let SealedSegments {
        mut catalog,
        sealed,
        unindexed,
        bytes,
    } = sealed::open(disk.as_ref(), &files, folder, &head, load, &mut mended, &mut damaged)?;
    let (mut table, mut destroyed) = (Table::default(), Vec::new());
    scan(active.file.as_ref(), number, &mut |batch| {
        destroyed.extend(erasing::destroyed(batch.parts.iter()));
        take_in(&mut catalog, &mut table, &batch, &mut damaged)
    })?;
    let keys = secrets.open(disk.as_ref(), folder, options, catalog.keys_end)?;
    // What an erasure said before a crash is done now. In sealed segments it was done before they were sealed.
    let destroy = StoreError::io("destroy the keys of what was erased");
    if !keys.are_destroyed(&destroyed).map_err(&destroy)? {
        keys.destroy(&destroyed).map_err(&destroy)?;
        mended.push("an erasure that was cut short was done to the end".to_owned());
    }
    let keys = Arc::new(keys);
    let reader = Reader::new(files, journal_folder(folder), keys.clone());
    read_heads(&mut catalog, &sealed, &reader)?;
    let mark = Watermark {
        segment: active.number,
        offset: active.offset,
        sequence: active.sequence,
    };
    let watermark = WatermarkFile::open(disk.as_ref(), folder, &mark)?;
    catalog.end = mark;
    Ok(Recovered {
        catalog,
        unindexed,
        reader,
        keys,
        bytes: bytes + active.offset,
        active,
        sequence: head.sequence,
        table,
        sealed,
        watermark,
        mended,
        damaged,
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

/// A whole batch of the last segment, and whether all its bodies are.
struct BatchMark {
    offset: u64,
    sequence: u64,
    /// The chain value before it.
    chain: u32,
    whole: bool,
}

impl BatchMark {
    fn of(batch: &ScannedBatch) -> Self {
        Self {
            offset: batch.offset,
            sequence: batch.sequence,
            chain: batch.chain,
            whole: batch.parts.iter().all(|part| part.body.is_some()),
        }
    }
}

/// Decides what of the last segment stays, and makes that durable.
fn mend(
    file: Arc<dyn DiskFile>,
    end: ScanEnd,
    batches: &[BatchMark],
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
    let (mut offset, mut sequence, mut chain) = (end.offset, end.sequence, end.chain);
    if let Some(torn) = batches.iter().find(|batch| batch.offset >= durable && !batch.whole) {
        (offset, sequence, chain) = (torn.offset, torn.sequence, torn.chain);
    }
    if let Some(mark) = mark {
        let known = batches
            .iter()
            .find(|batch| batch.offset == mark.offset && batch.offset < offset)
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

/// Takes a batch of the segment that is written to in.
fn take_in(
    catalog: &mut Catalog,
    table: &mut Table,
    batch: &ScannedBatch,
    damaged: &mut Vec<Damage>,
) -> Result<(), StoreError> {
    for part in &batch.parts {
        let (segment, offset) = (part.at.segment, part.at.offset);
        let damage = |what| Damage { segment, offset, what };
        if let Meta::Chunk(chunk) = &part.meta
            && catalog.admit(chunk, &mut HashMap::new()).is_err()
        {
            return Err(damage("a chunk does not continue its log").into());
        }
        if part.body.is_none() {
            damaged.push(damage("the body of a part"));
        }
        catalog.apply(part);
        table.add(part);
    }
    Ok(())
}

/// Reads the last boundary of the logs that end in a sealed segment.
fn read_heads(catalog: &mut Catalog, sealed: &BTreeMap<u32, Sealed>, reader: &Reader) -> Result<(), StoreError> {
    for (origin, log) in catalog.logs.iter_mut().filter(|(_, log)| log.head.is_none()) {
        let Some(span) = log.chunks.last() else { continue };
        let unreadable = Damage {
            segment: span.segment,
            offset: 0,
            what: "the run of the segment",
        };
        let sealed = sealed.get(&span.segment).ok_or(unreadable.clone())?;
        let chunks = sealed.chunks(origin, &(span.end.saturating_sub(1)..span.end));
        let chunks = chunks.map_err(|_| unreadable)?;
        let Some(last) = chunks.last() else { continue };
        if let Meta::Chunk(meta) = reader.meta(&last.at)? {
            log.head = meta.placed.into_end();
        }
    }
    Ok(())
}
