//! `icomm retention`: how long what partners gave is kept.

use clap::{Args, Subcommand};
use comfy_table::{CellAlignment, Table};
use icomm_pki::moment_at;
use icomm_policy::agreement::Day;
use icomm_proto::v1;

use super::{
    Context, Exit, Failure,
    json::to_json,
    output::{count, table},
    record,
};

/// How long what partners gave is kept
#[derive(Debug, Subcommand)]
pub(super) enum Retention {
    List(List),
    Run(Run),
    Open(Open),
}

/// What is over soon: by log, grant and day
#[derive(Debug, Args)]
#[command(after_help = "\
What a partner gave may be kept for as long as its grant says, counted in days (UTC) from its receipt: the day of receipt does
not count, the last day does. Of several grants the longest counts, also one that has ended since. Then everything but the
open section is erased, or shut away where the grant says so: kept, and shown to nobody. The originator is told.
Entries of which no grant in this node's book speaks are listed apart: they are not erased by themselves.

Columns:
  from      the member that sent them
  over      the first day on which they are not kept any more

Examples:
  icomm retention list
  icomm retention list --days 365
  icomm retention list --as-of 2027-06-01 --days 0 --json")]
pub(super) struct List {
    /// So many days ahead [default: `retention.notice_days` of the settings]
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    /// As if it were the beginning of that day
    #[arg(long, value_name = "DATE")]
    as_of: Option<Day>,
}

/// Erase or shut away what is over now
#[derive(Debug, Args)]
#[command(after_help = "\
A node does this by itself, at its start and after every midnight (UTC), as long as its trust bundle holds: a clock beyond the
bundle's end may be wrong, and what is erased does not come back. With --dry-run nothing changes; only then another day can be
supposed. Exits with 5 when a dry run found something.

Examples:
  icomm retention run --dry-run
  icomm retention run --dry-run --as-of 2027-06-01
  icomm retention run")]
pub(super) struct Run {
    /// Say what would be erased or shut away, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// As if it were the beginning of that day
    #[arg(long, value_name = "DATE", requires = "dry_run")]
    as_of: Option<Day>,
}

/// Show what is shut away of a record, for proceedings begun before its time was over
#[derive(Debug, Args)]
#[command(after_help = "\
Where a grant says `restrict`, what is over is kept and shown to nobody: not by any other command, not to partners. This one shows
it, to whom it names, and that is noted in the disclosure log first. `icomm audit disclosures --to NAME` shows the note.

Example:
  icomm retention open 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11 --for \"High Court, case 12/2027\"")]
pub(super) struct Open {
    /// The record's id
    record: String,
    /// Who reads it and what for
    #[arg(long = "for", value_name = "WHO")]
    reader: String,
}

impl Retention {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::List(List { days, as_of }) => {
                let reply = terms(context, as_of, days).await?;
                answer(context, &reply, "nothing is over within that time")?;
                Ok(Exit::Ok)
            }
            Self::Run(Run { dry_run: true, as_of }) => {
                let mut reply = terms(context, as_of, Some(0)).await?;
                reply.terms.retain(|term| term.over <= reply.as_of);
                answer(context, &reply, "nothing is over")?;
                Ok(match reply.terms.is_empty() {
                    true => Exit::Ok,
                    false => Exit::WouldChange,
                })
            }
            Self::Open(Open { record, reader }) => {
                let request = v1::RetentionOpenRequest {
                    record_id: record,
                    reader,
                };
                let opened = context.retention().await?.open(request).await?.into_inner();
                for entry in &opened.entries {
                    let json = to_json(entry)?;
                    context.output.answer(&json, || record::show::entry(entry, &json))?;
                }
                Ok(Exit::Ok)
            }
            Self::Run(Run { dry_run: false, .. }) => {
                let request = v1::RetentionApplyRequest {};
                let mut reply = context.retention().await?.apply(request).await?.into_inner();
                reply.terms.retain(|term| term.done);
                answer(context, &reply, "nothing is over")?;
                Ok(Exit::Ok)
            }
        }
    }
}

async fn terms(context: &Context, as_of: Option<Day>, days: Option<u32>) -> Result<v1::RetentionTermsReply, Failure> {
    let request = v1::RetentionTermsRequest {
        as_of: as_of.map_or(0, Day::begins),
        notice_days: days.unwrap_or_default(),
        default_notice: days.is_none(),
    };
    Ok(context.retention().await?.terms(request).await?.into_inner())
}

fn answer(context: &Context, reply: &v1::RetentionTermsReply, nothing: &str) -> Result<(), Failure> {
    context.output.answer(&to_json(reply)?, || shown(reply, nothing))
}

fn shown(reply: &v1::RetentionTermsReply, nothing: &str) -> String {
    let listed = match reply.terms.is_empty() {
        true => nothing.to_owned(),
        false => table_of(&reply.terms).to_string(),
    };
    let unknown = reply.unknown.iter().map(|unknown| {
        let v1::RetentionUnknown { origin, via, entries } = unknown;
        format!(
            "{} entries of {origin} from {via}: no agreement here says how long",
            count(*entries)
        )
    });
    std::iter::once(listed).chain(unknown).collect::<Vec<_>>().join("\n")
}

fn table_of(terms: &[v1::RetentionTerm]) -> Table {
    let mut rows = table(["log", "from", "under", "over", "then", "sections", "entries"]);
    for term in terms {
        let v1::RetentionTerm {
            origin,
            via,
            basis,
            sections,
            then,
            over,
            entries,
            done,
        } = term;
        let then = match (then.as_str(), done) {
            ("restrict", true) => "shut away",
            ("restrict", false) => "to be shut away",
            (_, true) => "erased",
            (_, false) => "to be erased",
        };
        let over = moment_at(*over).map_or_else(|| over.to_string(), |moment| moment.date().to_string());
        rows.add_row([
            origin.clone(),
            via.clone(),
            basis.clone(),
            over,
            then.to_owned(),
            sections.clone(),
            count(*entries),
        ]);
    }
    if let Some(column) = rows.column_mut(6) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_and_what_is_due_and_what_nobody_knows_is_shown() {
        let term = |then: &str, done| v1::RetentionTerm {
            origin: "ES/main".into(),
            via: "RILO-WE".into(),
            basis: "`es-pt` version 2, grant 0".into(),
            sections: "exact+persons".into(),
            then: then.into(),
            over: 1_795_392_000,
            entries: 12_345,
            done,
        };
        let reply = v1::RetentionTermsReply {
            terms: vec![
                term("erase", true),
                term("erase", false),
                term("restrict", true),
                term("restrict", false),
            ],
            unknown: vec![v1::RetentionUnknown {
                origin: "FR/main".into(),
                via: "FR".into(),
                entries: 3,
            }],
            as_of: 0,
        };
        let text = shown(&reply, "nothing");
        for expected in [
            "RILO-WE",
            "2026-11-23",
            "erased",
            "to be erased",
            "shut away",
            "to be shut away",
            "exact+persons",
            "3 entries of FR/main from FR: no agreement here says how long",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert_eq!(shown(&v1::RetentionTermsReply::default(), "nothing"), "nothing");
    }
}
