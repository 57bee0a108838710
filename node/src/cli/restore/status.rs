//! `icomm restore status` and `finish`: what a node that was put back got back, and the officer's word that this is all.

use clap::Args;
use comfy_table::Table;
use icomm_pki::moment_at;
use icomm_proto::v1;
use time::OffsetDateTime;

use crate::cli::{
    Context, Exit, Failure,
    json::to_json,
    output::{count, moment, table},
};

/// Missing entries that a person gets to see; `--json` has all.
const SHOWN_MAX: usize = 100;
/// Missing entries that are asked for at most.
const ASKED_MAX: usize = 1_000_000;

/// What a restored node got back of its own log, and what nobody holds
#[derive(Debug, Args)]
#[command(after_help = "\
A node that was put back to an older state asks everybody who may hold more of its own log, and takes nothing in until all that
it signed is here again. Exits with 3 while it is recovering.

Entries are listed that came back in part or only as their hash: of these the records have to be issued again from where they
came from, or amended. --json lists all of them.

Example:
  icomm restore status")]
pub(super) struct Status {}

/// Go on although not everybody who may hold more was heard
#[derive(Debug, Args)]
#[command(after_help = "\
The node ends its recovery by itself once everybody who may hold any of its log was heard. This is for a partner that is not
coming back. Whoever holds more than was recovered and is heard later proves that this node signed two histories of its log, and
then nobody takes it any more: do it only when that can't be.

What somebody has shown to be signed is never given up.

Example:
  icomm restore finish --accept-missing")]
pub(super) struct Finish {
    /// Accept that what unheard partners hold may be lost
    #[arg(long)]
    accept_missing: bool,
}

impl Status {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {} = self;
        let mut keeper = context.keeper().await?;
        let request = v1::RecoveryStatusRequest { missing_from: 0 };
        let mut status = keeper.recovery_status(request).await?.into_inner();
        while status.more && status.missing.len() < ASKED_MAX {
            let request = v1::RecoveryStatusRequest {
                missing_from: status.next,
            };
            let page = keeper.recovery_status(request).await?.into_inner();
            status.missing.extend(page.missing);
            (status.more, status.next) = (page.more, page.next);
        }
        context.output.answer(&to_json(&status)?, || told(&status))?;
        Ok(if status.recovering { Exit::Partly } else { Exit::Ok })
    }
}

impl Finish {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self { accept_missing } = self;
        let request = v1::FinishRecoveryRequest { accept_missing };
        let status = context.keeper().await?.finish_recovery(request).await?.into_inner();
        context.output.answer(&to_json(&status)?, || told(&status))?;
        Ok(Exit::Ok)
    }
}

fn told(status: &v1::RecoveryStatus) -> String {
    let v1::RecoveryStatus {
        origin,
        recovering,
        asking,
        why,
        base,
        held,
        signed,
        heard,
        unheard,
        recovered,
        missing,
        ..
    } = status;
    let mut text = match (recovering, asking) {
        (true, _) => format!(
            "`{origin}` is being recovered: {why}.\n{} entries were here, {} are, {} were signed.",
            count(*base),
            count(*held),
            count(*signed)
        ),
        (false, true) => format!("`{origin}`: partners are being asked how much of it they hold."),
        (false, false) => format!("`{origin}` is whole: {} entries.", count(*held)),
    };
    for v1::HeldBy { member, entries } in heard.iter().filter(|_| *recovering) {
        text.push_str(&format!("\n  {member} holds {}", count(*entries)));
    }
    for member in unheard.iter().filter(|_| *recovering) {
        text.push_str(&format!("\n  {member} was not heard"));
    }
    for past in recovered {
        let until = moment(moment_at(past.until).unwrap_or(OffsetDateTime::UNIX_EPOCH));
        text.push_str(&format!(
            "\nRecovered {until}: entries {} to {}, because {}.",
            past.from,
            past.to.saturating_sub(1),
            past.why
        ));
    }
    if !missing.is_empty() {
        text.push_str(&format!(
            "\n\n{} of them did not come back whole:\n{}",
            count(missing.len() as u64),
            listed(missing)
        ));
    }
    text
}

fn listed(missing: &[v1::MissingEntry]) -> Table {
    let mut rows = table(["entry", "record", "came back"]);
    for v1::MissingEntry {
        index,
        record_id,
        sections,
    } in missing.iter().take(SHOWN_MAX)
    {
        let known = match record_id.is_empty() {
            true => "its hash alone",
            false => sections.as_str(),
        };
        rows.add_row([index.to_string(), record_id.clone(), known.to_owned()]);
    }
    if missing.len() > SHOWN_MAX {
        rows.add_row(["…", "", "--json lists all"]);
    }
    rows
}
