//! `icomm audit disclosures`: what left this node, to whom, when and under which legal basis.

use std::path::PathBuf;

use clap::Args;
use comfy_table::Table;
use icomm_policy::AgreementId;
use icomm_proto::{Origin, RecordId, v1};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use time::{Date, Duration, OffsetDateTime, macros::format_description};

use self::{
    export::Export,
    row::{cells, columns},
};
use super::verify::began_anew;
use crate::cli::{
    Context, Exit, Failure,
    json::to_json,
    output::{count, table_with},
};

mod export;
mod row;

/// Rows that a person gets to see; more go into a file.
const SHOWN_MAX: usize = 1000;

/// What left this node: to whom, when, under which legal basis
#[derive(Debug, Args)]
#[command(after_help = "\
A row for every chunk that left over a link and every file that was handed out, oldest first. Each was noted before it left.
Of a record: a row for each time that one of its versions left with sections, and which; not where its hash alone went.
Conditions add up: only what meets all of them is shown. With --json, one disclosure a line.

A CSV file has every text in quotes, and an apostrophe before one that a spreadsheet would take for a formula. An XLSX file
has dates, numbers and texts, and no formulas. A file that exists is left alone.

Examples:
  icomm audit disclosures --to UG --since 2026-11-01
  icomm audit disclosures --record 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11
  icomm audit disclosures --agreement ke-ug --origin KE/main --xlsx ke-ug.xlsx")]
pub(in crate::cli) struct Disclosures {
    /// To this member; of a file that was handed out: to whom, in the words of `icomm log prove --for`
    #[arg(long, value_name = "MEMBER")]
    to: Option<String>,
    /// Of this record
    #[arg(long, value_name = "ID")]
    record: Option<RecordId>,
    /// Of this log, MEMBER/NAME
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<Origin>,
    /// Under this agreement, whichever version
    #[arg(long, value_name = "ID")]
    agreement: Option<AgreementId>,
    /// From this day on, YYYY-MM-DD, UTC
    #[arg(long, value_name = "DATE", value_parser = day)]
    since: Option<Date>,
    /// Until this day has ended, YYYY-MM-DD, UTC
    #[arg(long, value_name = "DATE", value_parser = day)]
    until: Option<Date>,
    /// Write a new CSV file instead
    #[arg(long, value_name = "FILE", conflicts_with = "xlsx")]
    csv: Option<PathBuf>,
    /// Write a new spreadsheet instead
    #[arg(long, value_name = "FILE")]
    xlsx: Option<PathBuf>,
}

impl Disclosures {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let request = self.request()?;
        let of_record = self.record.is_some();
        let mut pages = context.auditor().await?.disclosures(request).await?.into_inner();
        let Some(file) = self.csv.as_ref().or(self.xlsx.as_ref()) else {
            return show(pages, of_record, context).await;
        };
        // Once the node has taken the conditions: a mistake in them leaves no file.
        let mut export = match &self.xlsx {
            Some(xlsx) => Export::xlsx(xlsx, columns(of_record).collect())?,
            None => Export::csv(file, &columns(of_record).collect::<Vec<_>>())?,
        };
        let bar = bar(context);
        let mut disclosures = 0_u64;
        while let Some(page) = pages.message().await? {
            warn(&page.epochs);
            for disclosure in &page.disclosures {
                export.add(&cells(disclosure, of_record))?;
                disclosures += 1;
            }
            bar.set_length(page.notes);
            bar.set_position(page.looked_at);
        }
        export.finish()?;
        bar.finish_and_clear();
        let answer = json!({ "file": file, "disclosures": disclosures });
        context.output.answer(&answer, || {
            format!("{}: {} disclosures", file.display(), count(disclosures))
        })?;
        Ok(Exit::Ok)
    }

    fn request(&self) -> Result<v1::DisclosuresRequest, Failure> {
        let Self {
            to,
            record,
            origin,
            agreement,
            since,
            until,
            csv: _,
            xlsx: _,
        } = self;
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            let what = format!("the period ends on {until}, before it begins on {since}");
            return Err(Failure::new(what).exit(Exit::Usage));
        }
        let end = |day: &Date| day.midnight().assume_utc().saturating_add(Duration::DAY);
        let text = |word: Option<String>| word.unwrap_or_default();
        Ok(v1::DisclosuresRequest {
            to: text(to.clone()),
            record_id: text(record.map(|record| record.to_string())),
            origin: text(origin.as_ref().map(ToString::to_string)),
            agreement: text(agreement.as_ref().map(ToString::to_string)),
            since: since
                .map(|day| seconds(day.midnight().assume_utc()))
                .unwrap_or_default(),
            until: until.as_ref().map(|day| seconds(end(day))).unwrap_or_default(),
        })
    }
}

/// On standard output: as they come for a program, the first of them for a person.
async fn show(
    mut pages: tonic::Streaming<v1::DisclosuresPage>,
    of_record: bool,
    context: &Context,
) -> Result<Exit, Failure> {
    let mut rows = table_of(of_record);
    let mut shown = 0;
    while let Some(page) = pages.message().await? {
        warn(&page.epochs);
        for disclosure in &page.disclosures {
            if context.output.is_json() {
                context.output.json(&to_json(disclosure)?)?;
            } else if shown < SHOWN_MAX {
                rows.add_row(cells(disclosure, of_record).iter().map(row::Cell::text));
                shown += 1;
            } else {
                context.output.line(&rows)?;
                eprintln!(
                    "the first {} of more: add conditions, or write all to a file with --csv or --xlsx",
                    count(SHOWN_MAX as u64)
                );
                return Ok(Exit::Ok);
            }
        }
    }
    if !context.output.is_json() {
        context.output.line(&rows)?;
    }
    Ok(Exit::Ok)
}

/// Says on standard error from when on notes may be missing.
fn warn(epochs: &[v1::LedgerEpoch]) {
    for epoch in epochs {
        eprintln!(
            "the disclosure log {}; what left between its last note then and that moment is not in it",
            began_anew(epoch)
        );
    }
}

fn table_of(of_record: bool) -> Table {
    table_with(columns(of_record).map(|(name, _)| name))
}

/// How far the node has looked; hidden where standard error is no terminal.
fn bar(context: &Context) -> ProgressBar {
    if context.output.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    // A bar without style still counts.
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {percent:>3} %  {human_pos} of {human_len} notes  {eta} left")
    {
        bar.set_style(style.progress_chars("━━ "));
    }
    bar
}

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| "write a day that exists as YYYY-MM-DD".to_owned())
}

/// Seconds since 1970; a moment before that is as good as the first.
fn seconds(moment: OffsetDateTime) -> u64 {
    u64::try_from(moment.unix_timestamp()).unwrap_or(0)
}
