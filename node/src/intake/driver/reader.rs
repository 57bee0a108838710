//! The reading half of an import: runs on a thread of its own, since files block.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;
use icomm_proto::draft::Draft;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::{Cause, Plan};
use crate::intake::IntakeKey;
use crate::intake::key::Keys;
use crate::intake::mapping::{Columns, Owner, Trail};
use crate::intake::rows::{Fault, FileError, Format, Header, Row, Source};
use crate::intake::sink::Submission;

/// A batch with so many bytes of drafts goes, however few rows it has: some rows are long, and a message is bounded.
const BATCH_BYTES: usize = 512 << 10;

/// Rows in the order of the file; drafts in the order of the items that have one.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    keys: Vec<(IntakeKey, Range<usize>)>,
    /// All drafts, encoded, one after the other.
    drafts: Vec<u8>,
}

impl Batch {
    /// An empty one with the room that the one before took.
    fn after(last: &Self) -> Self {
        Self {
            items: Vec::with_capacity(last.items.len()),
            keys: Vec::with_capacity(last.keys.len()),
            drafts: Vec::with_capacity(last.drafts.len() + last.drafts.len() / 8),
        }
    }

    fn is_full(&self, plan: &Plan) -> bool {
        self.items.len() >= plan.batch_rows.max(1) || self.drafts.len() >= BATCH_BYTES
    }

    /// What is to be handed over; the drafts share one piece of memory.
    pub(super) fn submissions(&mut self) -> Vec<Submission> {
        let drafts = Bytes::from(std::mem::take(&mut self.drafts));
        let keys = std::mem::take(&mut self.keys).into_iter();
        keys.map(|(key, range)| Submission {
            key,
            draft: drafts.slice(range),
        })
        .collect()
    }

    fn push(&mut self, key: IntakeKey, draft: &Draft<'_>) {
        let start = self.drafts.len();
        draft.write(&mut self.drafts);
        self.keys.push((key, start..self.drafts.len()));
    }
}

pub(super) struct Item {
    pub(super) line: u64,
    pub(super) what: Line,
}

pub(super) enum Line {
    Submitted(Trail),
    /// `attributed`: it is known to be the importer's row.
    Faulty {
        faults: Vec<Fault>,
        attributed: bool,
    },
    Elsewhere,
    Foreign,
}

/// How reading ended, if it ended well.
pub(super) struct End {
    pub(super) unused_columns: Vec<String>,
    pub(super) stopped: bool,
}

pub(super) enum ReadError {
    File(FileError),
    Columns { missing: Vec<String>, have: Vec<String> },
}

impl ReadError {
    pub(super) fn into_cause<E: std::error::Error>(self, mapping: &str) -> Cause<E> {
        match self {
            Self::File(error) => Cause::File(error),
            Self::Columns { missing, have } => Cause::Columns {
                mapping: mapping.to_owned(),
                missing,
                have,
            },
        }
    }
}

pub(super) fn read(
    source: Source,
    plan: &Plan,
    stop: &CancellationToken,
    batches: &Sender<Batch>,
) -> Result<End, ReadError> {
    // JSON Lines name their columns anew in each line; a missing one is that row's fault.
    let one_header = source.format() != Format::JsonLines;
    let mut keys = Keys::default();
    let mut batch = Batch::default();
    let mut laid: Option<(Arc<Header>, Columns<'_>)> = None;
    let mut end = End {
        unused_columns: Vec::new(),
        stopped: false,
    };
    let mut unfit = None;
    let read = source.read(&mut |reading| {
        if stop.is_cancelled() {
            end.stopped = true;
            return ControlFlow::Break(());
        }
        if let Ok(row) = &reading {
            let known = laid
                .as_ref()
                .is_some_and(|(header, _)| Arc::ptr_eq(header, row.header()));
            if !known {
                let fit = plan.mapping.fit(row.header());
                if one_header && !fit.missing.is_empty() {
                    let have = row.header().names().map(|name| format!("`{name}`")).collect();
                    let missing = fit.missing.iter().map(|name| format!("`{name}`")).collect();
                    unfit = Some(ReadError::Columns { missing, have });
                    return ControlFlow::Break(());
                }
                note_unused(&mut end.unused_columns, fit.unused);
                laid = Some((Arc::clone(row.header()), plan.mapping.over(row.header())));
            }
        }
        match (reading, &mut laid) {
            (Ok(row), Some((_, columns))) => take(row, plan, columns, &mut keys, &mut batch),
            (Err(broken), _) => batch.items.push(Item {
                line: broken.line,
                what: Line::Faulty {
                    faults: broken.faults,
                    attributed: false,
                },
            }),
            // A row brings its header.
            (Ok(_), None) => {}
        }
        if batch.is_full(plan) {
            let next = Batch::after(&batch);
            if batches.blocking_send(std::mem::replace(&mut batch, next)).is_err() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    });
    // What was read before a file breaks off is good.
    if !batch.items.is_empty() {
        let _ = batches.blocking_send(batch);
    }
    match (unfit, read) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(ReadError::File(error)),
        (None, Ok(())) => Ok(end),
    }
}

/// Sorts a row into the batch.
fn take(row: &Row, plan: &Plan, columns: &mut Columns<'_>, keys: &mut Keys, batch: &mut Batch) {
    // Every readable row counts as a copy of its like, whoever's it is and whether it is good.
    let key = keys.next(columns, row);
    let what = match columns.owner(row) {
        Err(fault) => Line::Faulty {
            faults: vec![fault],
            attributed: false,
        },
        Ok(Owner::Member(owner)) if *owner != plan.member => {
            if plan.others.contains(owner) {
                Line::Elsewhere
            } else {
                Line::Foreign
            }
        }
        Ok(Owner::Member(_) | Owner::Importer) => match columns.draft(row) {
            Err(faults) => Line::Faulty {
                faults,
                attributed: true,
            },
            Ok(mapped) => {
                batch.push(key, &mapped.draft);
                Line::Submitted(mapped.trail)
            }
        },
    };
    batch.items.push(Item { line: row.line(), what });
}

fn note_unused(all: &mut Vec<String>, more: Vec<String>) {
    const UNUSED_MAX: usize = 64;
    for name in more {
        if all.len() < UNUSED_MAX && !all.contains(&name) {
            all.push(name);
        }
    }
}
