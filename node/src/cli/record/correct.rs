//! `icomm record amend` and `icomm record recall`: correcting and withdrawing what this member issued.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use icomm_pki::moment_at;
use icomm_proto::v1;

use super::show;
use crate::cli::{
    Context, Exit, Failure, files,
    json::{from_json, to_json},
    output::moment,
};

/// Replace a record of this member by a new version, from a JSON file
#[derive(Debug, Args)]
#[command(after_help = "\
The file is the whole record as it should be, in the form of `icomm record submit`. When this returns, the new version is
signed and durable and nothing is left of the earlier ones on this node. Everybody who was given any of them erases them
too, at once or first of all when it is linked again, and signs for that: see `icomm audit who`. The new version goes to
whom the agreements let have it. Nothing is issued if the file says what the latest version says.
Exits with 3 when the record is rejected.

Example:
  icomm record amend 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11 corrected.json")]
pub(in crate::cli) struct Amend {
    /// The record's id
    record: String,
    /// The file; `-` is standard input
    file: PathBuf,
}

/// Withdraw a record of this member, everywhere
#[derive(Debug, Args)]
#[command(after_help = "\
When this returns, nothing of the record is left on this node, in no version. Everybody who was given any of it erases it
too, at once or first of all when it is linked again, and signs for that: see `icomm audit who`. The hashes stay, so that
all logs still verify. There is no way back; what was right after all is issued anew.

Example:
  icomm record recall 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11 --reason cleared")]
pub(in crate::cli) struct Recall {
    /// The record's id
    record: String,
    /// Why; all holders are told this code and nothing else
    #[arg(long, value_enum)]
    reason: Reason,
}

/// Why a record is recalled.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Reason {
    /// It should not have been issued as it was
    Error,
    /// The same case is there under another id
    Duplicate,
    /// The suspicion turned out to be wrong
    Cleared,
    /// By a court or a data-protection authority
    Ordered,
    /// This member may not keep it any longer
    Expired,
}

impl Reason {
    const fn code(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Duplicate => "duplicate",
            Self::Cleared => "cleared",
            Self::Ordered => "ordered",
            Self::Expired => "expired",
        }
    }
}

impl Amend {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            record: record_id,
            file,
        } = self;
        let draft: v1::Draft = from_json(&files::read_text(&file)?)
            .map_err(|failure| Failure::new(format_args!("`{}`: {failure}", file.display())))?;
        let draft = Some(draft);
        let reply = context
            .client()
            .await?
            .amend(v1::AmendRequest { record_id, draft })
            .await?;
        let outcome = reply.into_inner().outcome;
        let outcome = outcome.ok_or_else(|| Failure::new("the node gave no outcome"))?;
        context.output.answer(&to_json(&outcome)?, || match outcome.result() {
            v1::outcome::Result::Issued => {
                format!(
                    "corrected: {} is now entry {} of {}",
                    outcome.record_id, outcome.index, outcome.origin
                )
            }
            v1::outcome::Result::Duplicate => "nothing was issued: the latest version says the same".to_owned(),
            _ => show::outcome(&outcome),
        })?;
        Ok(match outcome.result() {
            v1::outcome::Result::Issued | v1::outcome::Result::Duplicate | v1::outcome::Result::Valid => Exit::Ok,
            v1::outcome::Result::Rejected | v1::outcome::Result::Unspecified => Exit::Partly,
        })
    }
}

impl Recall {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            record: record_id,
            reason,
        } = self;
        let reason = reason.code().to_owned();
        let reply = context
            .client()
            .await?
            .recall(v1::RecallRequest { record_id, reason })
            .await?
            .into_inner();
        context.output.answer(&to_json(&reply)?, || told(&reply))?;
        Ok(Exit::Ok)
    }
}

fn told(reply: &v1::RecallReply) -> String {
    let v1::RecallReply {
        recall,
        holders,
        before,
    } = reply;
    let recall = recall.clone().unwrap_or_default();
    let v1::RecordRecall {
        origin,
        index,
        reason,
        time,
        ..
    } = &recall;
    let first = match before {
        true => format!(
            "recalled before, on {} ({reason}): entry {index} of {origin}",
            moment_at(*time).map_or_else(|| time.to_string(), moment)
        ),
        false => format!("recalled ({reason}): entry {index} of {origin}; nothing of it is left on this node"),
    };
    match holders.is_empty() {
        true => format!("{first}\nnobody was given any of it"),
        false => format!("{first}\nto be erased by: {}", holders.join(", ")),
    }
}
