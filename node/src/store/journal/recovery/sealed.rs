//! Opening the sealed segments: of each the head and the length are looked at, and its run says the rest. Only where there
//! is no run that fits, the segment is read to make it anew.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::super::{
    catalog::Catalog,
    files::Files,
    frame::SegmentHead,
    index::State,
    run::{DamagedRun, Run},
    scan::scan,
    segments::Sealed,
    summary::Summary,
    table::Table,
};
use super::{open_segment, runs_folder, segment_head};
use crate::store::{Damage, StoreError, disk::Disk};

/// All segments but the one that is written to.
pub(super) struct SealedSegments {
    /// What they hold, the state included.
    pub(super) catalog: Catalog,
    pub(super) sealed: BTreeMap<u32, Sealed>,
    /// The state, if it was gathered from them.
    pub(super) unindexed: Option<State>,
    /// Their length together.
    pub(super) bytes: u64,
}

/// Opens the segments before that of `head`.
pub(super) fn open(
    disk: &dyn Disk,
    files: &Arc<Files>,
    folder: &Path,
    head: &SegmentHead,
    load: &mut dyn FnMut(u64) -> Option<State>,
    mended: &mut Vec<String>,
    damaged: &mut Vec<Damage>,
) -> Result<SealedSegments, StoreError> {
    let runs = runs_folder(folder);
    let (mut catalog, mut sealed, mut bytes) = (Catalog::default(), BTreeMap::new(), 0);
    for number in 1..head.number {
        let damage = |offset, what| Damage {
            segment: number,
            offset,
            what,
        };
        // Of each segment, so that one that is missing, or another's copy, is noticed though nothing else of it is read.
        segment_head(disk, folder, number)?;
        let len = open_segment(disk, folder, number)?
            .len()
            .map_err(StoreError::io("read the journal"))?;
        let next = match number + 1 == head.number {
            true => *head,
            false => segment_head(disk, folder, number + 1)?,
        };
        let (segment, summary) = match Run::open(files, &runs, number, next.chain) {
            Some(run) => {
                let summary = run.summary().clone();
                (Sealed::Run(Arc::new(run)), summary)
            }
            None => {
                mended.push(format!("the run of segment {number} was made anew"));
                make_run(disk, files, folder, number, &next, damaged)?
            }
        };
        if summary.bytes != len {
            return Err(damage(len.min(summary.bytes), "the end of the segment").into());
        }
        let fits = catalog.take_in(&summary);
        fits.map_err(|_| damage(0, "the segment does not follow the one before"))?;
        bytes += len;
        sealed.insert(number, segment);
    }
    let indexed = load(head.sequence);
    let unindexed = match &indexed {
        Some(_) => None,
        None => Some(gather(disk, files, folder, head, &mut sealed, mended, damaged)?),
    };
    catalog.state = indexed.or_else(|| unindexed.clone()).unwrap_or_default();
    Ok(SealedSegments {
        catalog,
        sealed,
        unindexed,
        bytes,
    })
}

/// The state as the sealed segments left it.
fn gather(
    disk: &dyn Disk,
    files: &Arc<Files>,
    folder: &Path,
    head: &SegmentHead,
    sealed: &mut BTreeMap<u32, Sealed>,
    mended: &mut Vec<String>,
    damaged: &mut Vec<Damage>,
) -> Result<State, StoreError> {
    let mut state = State::new();
    for (number, segment) in sealed {
        let states = match segment.states() {
            Ok(states) => states,
            Err(DamagedRun) => {
                mended.push(format!("the run of segment {number} was damaged and made anew"));
                let next = match number + 1 == head.number {
                    true => *head,
                    false => segment_head(disk, folder, number + 1)?,
                };
                (*segment, _) = make_run(disk, files, folder, *number, &next, damaged)?;
                let unreadable = Damage {
                    segment: *number,
                    offset: 0,
                    what: "the run of the segment",
                };
                segment.states().map_err(|DamagedRun| unreadable)?
            }
        };
        for (key, value) in states {
            match value {
                Some(value) => drop(state.insert(key, value)),
                None => drop(state.remove(&key)),
            }
        }
    }
    Ok(state)
}

/// Makes the run of a sealed segment anew; `next` is the head of the one after it.
pub(crate) fn make_run(
    disk: &dyn Disk,
    files: &Arc<Files>,
    folder: &Path,
    number: u32,
    next: &SegmentHead,
    damaged: &mut Vec<Damage>,
) -> Result<(Sealed, Summary), StoreError> {
    let mut table = Table::default();
    let file = open_segment(disk, folder, number)?;
    let before = damaged.len();
    let end = scan(file.as_ref(), number, &mut |batch| {
        for part in &batch.parts {
            if part.body.is_none() {
                damaged.push(Damage {
                    segment: number,
                    offset: part.at.offset,
                    what: "the body of a part",
                });
            }
            table.add(part);
        }
        Ok(())
    })?;
    let damage = |what| Damage {
        segment: number,
        offset: end.offset,
        what,
    };
    if let Some(what) = end.stopped {
        return Err(damage(what).into());
    }
    if (end.sequence, end.chain) != (next.sequence, next.chain) {
        return Err(damage("the segment after it does not follow").into());
    }
    let summary = table.summary(number, end.chain, end.len);
    let runs = runs_folder(folder);
    // A run without the records of a damaged body would make them vanish quietly at the next opening.
    let whole = damaged.len() == before;
    if whole
        && Run::write(disk, &runs, &summary, &table).is_ok()
        && let Some(run) = Run::open(files, &runs, number, end.chain)
    {
        return Ok((Sealed::Run(Arc::new(run)), summary));
    }
    Ok((Sealed::Table(Arc::new(table)), summary))
}
