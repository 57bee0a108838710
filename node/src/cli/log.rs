//! `icomm log`: the signed logs that this node holds.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use comfy_table::{CellAlignment, Table};
use icomm_proto::v1;

use super::{
    Context, Exit, Failure,
    json::to_json,
    output::{count, table, yes_no},
};

mod fork;
mod proof;

/// Signed logs
#[derive(Debug, Subcommand)]
pub(super) enum Log {
    List(List),
    Checkpoint(Checkpoint),
    Prove(proof::Prove),
    Verify(Verify),
}

/// Which logs are held, and how much of each
#[derive(Debug, Args)]
#[command(after_help = "\
Columns:
  disclosed       entries held with more than their open section
  de-nominalised  entries held with the open section only
  withheld        entries without any section here, known by hash or erased: counted, signed, not readable
  settled         entries that a quorum of witnesses, set in the trust bundle, has seen as this very history;
                  which witness has seen how many, and when, stands in --json

Example:
  icomm log list")]
pub(super) struct List {}

/// Print a log's latest signed checkpoint, as a C2SP signed note
#[derive(Debug, Args)]
#[command(after_help = "\
The note is what any tlog-checkpoint verifier reads: origin line, size, root hash, signature. With --settled it is the largest
one that bears the cosignatures of a quorum of witnesses; while a log grows without a pause it is some seconds behind.

Examples:
  icomm log checkpoint KE/main > ke-main.checkpoint
  icomm log checkpoint KE/main --settled > ke-main.checkpoint")]
pub(super) struct Checkpoint {
    /// The log, MEMBER/NAME
    #[arg(value_name = "ORIGIN")]
    origin: String,
    /// The largest with a quorum of cosignatures
    #[arg(long)]
    settled: bool,
}

/// Check logs held here, or with --root proof files of anybody, against their owner's signature
#[derive(Debug, Args)]
#[command(after_help = "\
Of a log every entry and every disclosed section is read from disk and hashed again, up to the signed root.
With --root no node is asked: the files are checked off-line, every signature and hash up to that certificate.
Exits with 1 when anything does not hold.

Examples:
  icomm log verify KE/main
  icomm log verify case.tlog-proof --root root.pem
  icomm log verify ke-main.fork --root root.pem")]
pub(super) struct Verify {
    /// The log, MEMBER/NAME; several, or none for every log held. With --root: files that `icomm log prove` or `icomm audit
    /// forks` wrote
    #[arg(value_name = "ORIGIN|FILE")]
    targets: Vec<String>,
    /// The root authority's certificate, PEM, as you trust it: check files off-line
    #[arg(long, value_name = "FILE", requires = "targets")]
    root: Option<PathBuf>,
}

impl Log {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::List(List {}) => {
                let logs = held(context).await?;
                if context.output.is_json() {
                    for log in &logs {
                        context.output.json(&to_json(log)?)?;
                    }
                } else {
                    context.output.line(table_of(&logs))?;
                }
                Ok(Exit::Ok)
            }
            Self::Checkpoint(Checkpoint { origin, settled }) => {
                let log = held(context)
                    .await?
                    .into_iter()
                    .find(|log| log.origin == origin)
                    .ok_or_else(|| {
                        Failure::new(format_args!("this node holds no log `{origin}`"))
                            .advice("`icomm log list` shows those it holds")
                    })?;
                if log.checkpoint.is_empty() {
                    return Err(Failure::new(format_args!(
                        "`{origin}` has no checkpoint yet: nothing was issued in it"
                    )));
                }
                let note = if settled {
                    &log.settled_checkpoint
                } else {
                    &log.checkpoint
                };
                if note.is_empty() {
                    return Err(
                        Failure::new(format_args!("no checkpoint of `{origin}` is settled")).advice(format_args!(
                            "it takes {}; `icomm log list --json` shows who has seen it",
                            log.quorum
                        )),
                    );
                }
                context.output.answer(&to_json(&log)?, || note.trim_end().to_owned())?;
                Ok(Exit::Ok)
            }
            Self::Prove(prove) => prove.run(context).await,
            Self::Verify(Verify {
                targets,
                root: Some(root),
            }) => proof::verify(context, &targets, &root),
            Self::Verify(Verify { targets, root: None }) => verify(context, targets).await,
        }
    }
}

async fn held(context: &Context) -> Result<Vec<v1::LogStatus>, Failure> {
    Ok(context
        .client()
        .await?
        .status(v1::StatusRequest {})
        .await?
        .into_inner()
        .logs)
}

async fn verify(context: &Context, mut origins: Vec<String>) -> Result<Exit, Failure> {
    if origins.is_empty() {
        origins = held(context).await?.into_iter().map(|log| log.origin).collect();
    }
    let mut client = context.client().await?;
    let mut exit = Exit::Ok;
    for origin in origins {
        let log = client.verify_log(v1::VerifyLogRequest { origin }).await?.into_inner();
        if !log.verified {
            exit = Exit::Failed;
        }
        context.output.answer(&to_json(&log)?, || {
            let finding = match (log.verified, log.forked) {
                (false, _) => "NOT VERIFIED",
                (true, false) => "verified",
                (true, true) => "verified, but its originator signed another history as well",
            };
            let root = data_encoding::BASE64.encode(&log.root);
            format!("{}: {} entries, root {root}: {finding}", log.origin, count(log.entries))
        })?;
    }
    Ok(exit)
}

/// Logs as a table; also part of `icomm status`.
pub(super) fn table_of(logs: &[v1::LogStatus]) -> Table {
    let heads = [
        "log",
        "entries",
        "disclosed",
        "de-nominalised",
        "withheld",
        "settled",
        "verified",
        "under",
    ];
    let mut rows = table(heads);
    for log in logs {
        let v1::LogStatus {
            origin,
            own,
            entries,
            disclosed,
            denominalised,
            withheld,
            verified,
            forked,
            settled,
            ..
        } = log;
        rows.add_row([
            if *own {
                format!("{origin} (own)")
            } else {
                origin.clone()
            },
            count(*entries),
            count(*disclosed),
            count(*denominalised),
            count(*withheld),
            count(*settled),
            if *forked { "FORKED" } else { yes_no(*verified) }.to_owned(),
            log.agreements.join(", "),
        ]);
    }
    for number in 1..=5 {
        if let Some(column) = rows.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    rows
}
