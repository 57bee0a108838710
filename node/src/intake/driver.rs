//! The import itself: a thread reads and maps rows, batches of drafts go to the sink, outcomes come back in order.
//!
//! At most [`Plan::in_flight`] batches are with the sink and two more wait, so memory stays flat whatever the file's size
//! and the sink's pace. Stopping is clean: the reader ends, what is under way is waited for and counted. Nothing needs to
//! be remembered for going on later, since rows carry their keys.

mod reader;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use icomm_pki::MemberId;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use self::reader::{Batch, Item, Line};
use super::mapping::{Mapping, Trail};
use super::progress::Progress;
use super::report::Report;
use super::rows::{Fault, FaultKind, FileError, Source};
use super::sink::{Outcome, RecordFault, Sink};
use super::summary::{Counters, Summary};

/// Batches that are read ahead.
const READ_AHEAD_BATCHES: usize = 2;

/// What to import, and for whom.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the columns mean.
    pub mapping: Arc<Mapping>,
    /// Who imports: rows of others are counted and left alone.
    pub member: MemberId,
    /// Who else takes part, to tell others' rows (`elsewhere`) from nobody's (`foreign`).
    pub others: BTreeSet<MemberId>,
    /// Rows in a batch at most, at least 1; fewer where they are long.
    pub batch_rows: usize,
    /// Batches with the sink at once, at least 1.
    pub in_flight: usize,
}

impl Plan {
    /// The usual: batches of 1000, four at once, and nobody else's rows.
    #[must_use]
    pub fn new(mapping: Arc<Mapping>, member: MemberId) -> Self {
        Self {
            mapping,
            member,
            others: BTreeSet::new(),
            batch_rows: 1000,
            in_flight: 4,
        }
    }
}

/// An import that didn't come to the end of its file. What the summary counts is done and stays done.
#[derive(Debug, Error)]
#[error("{cause}")]
pub struct ImportError<E: std::error::Error + 'static> {
    /// How far it came.
    pub summary: Box<Summary>,
    /// Why it ended.
    pub cause: Cause<E>,
}

/// Why an import ended early.
#[derive(Debug, Error)]
pub enum Cause<E: std::error::Error + 'static> {
    /// The file is broken.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file and the mapping are not made for each other.
    #[error("the file has no column {}, which every row needs under the mapping `{mapping}`; it has {}", missing.join(", "), have.join(", "))]
    Columns {
        /// The mapping's name.
        mapping: String,
        /// What is missing.
        missing: Vec<String>,
        /// What there is.
        have: Vec<String>,
    },
    /// The sink takes no more.
    #[error("rows could not be handed over: {0}")]
    Sink(#[source] E),
    /// The sink answered for more or fewer rows than it was given.
    #[error("{given} rows were handed over and {answered} answered for")]
    Outcomes {
        /// Rows handed over.
        given: usize,
        /// Outcomes that came back.
        answered: usize,
    },
    /// The report can't be written.
    #[error("the report can't be written: {0}")]
    Report(#[source] std::io::Error),
    /// The reading thread broke down: our fault.
    #[error("reading broke down; this is a fault of the program")]
    Reader,
}

/// Imports a file.
///
/// # Errors
///
/// The file, the sink or the report fails; the error holds what was done until then.
pub async fn import<S: Sink>(
    source: Source,
    plan: &Plan,
    sink: &S,
    report: &mut Report,
    progress: &dyn Progress,
    stop: &CancellationToken,
) -> Result<Summary, ImportError<S::Error>> {
    let position = source.position();
    let bytes_total = source.total_bytes();
    let mut run = Run {
        summary: Summary {
            mapping: plan.mapping.name().to_owned(),
            format: source.format(),
            counters: Counters::default(),
            unused_columns: Vec::new(),
            stopped: false,
        },
        plan,
        report,
    };

    let (sender, receiver) = mpsc::channel(READ_AHEAD_BATCHES);
    // The reader stops when told, and when nobody takes its batches any more.
    let stop_reader = stop.child_token();
    let ended = stop_reader.clone().drop_guard();
    let reader = {
        let plan = plan.clone();
        tokio::task::spawn_blocking(move || reader::read(source, &plan, &stop_reader, &sender))
    };
    let mut batches = ReceiverStream::new(receiver)
        .map(|mut batch: Batch| async move {
            let drafts = batch.submissions();
            let given = drafts.len();
            let outcomes = if drafts.is_empty() {
                Ok(Vec::new())
            } else {
                sink.submit(drafts).await
            };
            (batch.items, given, outcomes)
        })
        .buffered(plan.in_flight.max(1));

    let mut result = Ok(());
    while let Some((items, given, outcomes)) = batches.next().await {
        let settled = match outcomes {
            Err(error) => Err(Cause::Sink(error)),
            Ok(outcomes) if outcomes.len() != given => Err(Cause::Outcomes {
                given,
                answered: outcomes.len(),
            }),
            Ok(outcomes) => run.settle(items, outcomes).map_err(Cause::Report),
        };
        if settled.is_err() {
            result = settled;
            break;
        }
        progress.advanced(position.read_bytes(), bytes_total, &run.summary.counters);
    }
    drop(batches);
    drop(ended);
    let read = reader.await.map_err(|_| Cause::Reader);
    let result = result.and_then(|()| {
        let end = read?.map_err(|error| error.into_cause(plan.mapping.name()))?;
        run.summary.unused_columns = end.unused_columns;
        run.summary.stopped = end.stopped;
        Ok(())
    });
    let reported = run.report.finish(&run.summary).map_err(Cause::Report);
    let summary = run.summary;
    match result.and(reported) {
        Ok(()) => Ok(summary),
        Err(cause) => Err(ImportError {
            summary: Box::new(summary),
            cause,
        }),
    }
}

struct Run<'a> {
    summary: Summary,
    plan: &'a Plan,
    report: &'a mut Report,
}

impl Run<'_> {
    /// Counts and reports the rows of one batch.
    fn settle(&mut self, items: Vec<Item>, outcomes: Vec<Outcome>) -> std::io::Result<()> {
        let mut outcomes = outcomes.into_iter();
        for Item { line, what } in items {
            let counters = &mut self.summary.counters;
            counters.rows += 1;
            match what {
                Line::Elsewhere => counters.elsewhere += 1,
                Line::Foreign => counters.foreign += 1,
                Line::Faulty { faults, attributed } => {
                    counters.rejected += 1;
                    counters.unattributed += u64::from(!attributed);
                    self.report.rejected(line, &faults)?;
                }
                // There is an outcome for each draft: their number was compared.
                Line::Submitted(trail) => match outcomes.next() {
                    Some(Outcome::Issued { record }) => {
                        counters.issued += 1;
                        self.report.taken(line, "issued", &record)?;
                    }
                    Some(Outcome::Duplicate { record }) => {
                        counters.duplicate += 1;
                        self.report.taken(line, "duplicate", &record)?;
                    }
                    Some(Outcome::Valid) => {
                        counters.valid += 1;
                        self.report.taken(line, "valid", "")?;
                    }
                    Some(Outcome::Rejected(faults)) => {
                        counters.rejected += 1;
                        let faults: Vec<Fault> = faults
                            .into_iter()
                            .map(|fault| named(fault, &self.plan.mapping, &trail))
                            .collect();
                        self.report.rejected(line, &faults)?;
                    }
                    None => {}
                },
            }
        }
        self.report.flush()
    }
}

/// A fault of the record, told by the file's column where the field came from one.
fn named(fault: RecordFault, mapping: &Mapping, trail: &Trail) -> Fault {
    let RecordFault {
        field,
        value,
        reason,
        list,
    } = fault;
    // A reason about an unknown code names the list already; others may need it.
    let reason = match list.split_whitespace().next() {
        Some(name) if !reason.contains(name) => format!("{reason} (list {list})"),
        _ => reason,
    };
    let column = mapping.column_of(trail, &field);
    let reason = format!("{reason}; field `{field}` of the record");
    Fault::of_cell(FaultKind::Record, column.unwrap_or(&field), &value, reason)
}

#[cfg(test)]
mod tests;
