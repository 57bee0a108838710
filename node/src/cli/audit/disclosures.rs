//! `icomm audit disclosures`: what left this node, to whom, when and under which legal basis.

use clap::Args;
use comfy_table::Table;
use icomm_pki::moment_at;
use icomm_policy::AgreementId;
use icomm_proto::{Origin, v1};
use time::{Date, Duration, OffsetDateTime, macros::format_description};

use crate::cli::{
    Context, Exit, Failure,
    json::to_json,
    output::{count, moment, table},
};

/// What left this node: to whom, when, under which legal basis
#[derive(Debug, Args)]
#[command(after_help = "\
A line for every chunk that left over a link and every file that was handed out, oldest first. Each was noted before it left.
Conditions add up: only what meets all of them is shown. With --json, one disclosure a line.

Examples:
  icomm audit disclosures --to UG --since 2026-11-01
  icomm audit disclosures --agreement ke-ug --origin KE/main --json")]
pub(in crate::cli) struct Disclosures {
    /// To this member; of a file that was handed out: to whom, in the words of `icomm log prove --for`
    #[arg(long, value_name = "MEMBER")]
    to: Option<String>,
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
}

impl Disclosures {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let request = self.request()?;
        let mut pages = context.auditor().await?.disclosures(request).await?.into_inner();
        let mut shown = Vec::new();
        while let Some(page) = pages.message().await? {
            if context.output.is_json() {
                page.disclosures
                    .iter()
                    .try_for_each(|disclosure| context.output.json(&to_json(disclosure)?))?;
            } else {
                shown.extend(page.disclosures);
            }
        }
        if !context.output.is_json() {
            context.output.line(table_of(&shown))?;
        }
        Ok(Exit::Ok)
    }

    fn request(self) -> Result<v1::DisclosuresRequest, Failure> {
        let Self {
            to,
            origin,
            agreement,
            since,
            until,
        } = self;
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            return Err(Failure::new(format_args!(
                "the period ends on {until}, before it begins on {since}"
            )));
        }
        let end = |day: Date| day.midnight().assume_utc().saturating_add(Duration::DAY);
        Ok(v1::DisclosuresRequest {
            to: to.unwrap_or_default(),
            origin: origin.map(|origin| origin.to_string()).unwrap_or_default(),
            agreement: agreement.map(|id| id.to_string()).unwrap_or_default(),
            since: since
                .map(|day| seconds(day.midnight().assume_utc()))
                .unwrap_or_default(),
            until: until.map(|day| seconds(end(day))).unwrap_or_default(),
        })
    }
}

fn day(text: &str) -> Result<Date, String> {
    Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| "write a day that exists as YYYY-MM-DD".to_owned())
}

/// Seconds since 1970; a moment before that is as good as the first.
fn seconds(moment: OffsetDateTime) -> u64 {
    u64::try_from(moment.unix_timestamp()).unwrap_or(0)
}

fn table_of(disclosures: &[v1::Disclosure]) -> Table {
    let mut rows = table([
        "number",
        "when",
        "to",
        "log",
        "entries",
        "of these disclosed",
        "sections",
        "under",
    ]);
    for disclosure in disclosures {
        let v1::Disclosure {
            number,
            time,
            to,
            node,
            origin,
            from,
            count: entries,
            disclosed,
            terms,
        } = disclosure;
        let last = from.saturating_add(u64::from(*entries)).saturating_sub(1);
        rows.add_row([
            number.to_string(),
            moment_at(*time).map_or_else(|| time.to_string(), moment),
            if node.is_empty() {
                format!("{to} (file)")
            } else {
                format!("{to}/{node}")
            },
            origin.clone(),
            format!("{from} to {last}"),
            count(u64::from(*disclosed)),
            lines(terms.iter().map(|terms| terms.sections.clone())),
            lines(terms.iter().map(|terms| terms.bases.join(" and "))),
        ]);
    }
    rows
}

fn lines(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join("\n")
}
