//! `icomm restore`: a node put in place from a backup.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Context, Exit, Failure,
    backup::{bar, interruptible, open, read_key, told},
    json::to_json,
};
use crate::{
    api::convert,
    backup::{self, Restored},
    environment::Environment,
};

mod disclosures;
mod status;

/// Put a node in place from a backup, and follow how its log is recovered: status, finish, disclosures
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
The whole backup is checked, written beside its place and opened before the folder is there; whatever goes wrong leaves
nothing. A backup without the secret keys needs them put back from their own copies before the node starts.

A restored store says that it is one. What its node signed after the backup is known to its partners alone, so the node issues
nothing until it has its own log back from them: `icomm restore status`. Start one node only, the restored one.

Examples:
  icomm restore ke-2026-11-23.backup --to /srv/icomm --key /media/safe/ke.backup-key
  icomm restore status"
)]
pub(super) struct Restore {
    #[command(subcommand)]
    command: Option<Verb>,
    #[command(flatten)]
    put: Option<Put>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status(status::Status),
    Finish(status::Finish),
    Disclosures(disclosures::Disclosures),
}

#[derive(Debug, Args)]
struct Put {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The node's new folder, which is not there or empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The secret half of a key that the backup is sealed to
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl Restore {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match (self.command, self.put) {
            (Some(Verb::Status(status)), _) => status.run(context).await,
            (Some(Verb::Finish(finish)), _) => finish.run(context).await,
            (Some(Verb::Disclosures(begin)), _) => begin.run(context).await,
            (None, Some(put)) => put.run(context).await,
            // clap asks for one or the other.
            (None, None) => Err(Failure::new("name the backup").exit(Exit::Usage)),
        }
    }
}

impl Put {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self { file, to, key } = self;
        let (key, input, bar) = (read_key(&key)?, open(&file)?, bar(context));
        let restoring = interruptible({
            let (to, bar) = (to.clone(), bar.clone());
            move |stop| {
                backup::restore(input, &key, &to, &Environment::system(), &mut |done, total| {
                    bar.set_length(total);
                    bar.set_position(done);
                    !stop.is_cancelled()
                })
            }
        });
        let Restored { manifest, elsewhere } = restoring.await??;
        bar.finish_and_clear();
        let summary = convert::backup(&manifest, 0);
        let answer = json!({ "folder": to, "backup": to_json(&summary)?, "elsewhere": elsewhere });
        context.output.answer(&answer, || {
            let mut said = format!("`{}` is in place: {}", to.display(), told(&summary));
            if !summary.with_identity {
                said.push_str("\nPut `identity/member-key.pem` and `identity/node-key.pem` back before `icomm run`.");
            }
            for other in &elsewhere {
                said.push_str(&format!("\nMend `icomm.toml`: {other}."));
            }
            said
        })?;
        Ok(Exit::Ok)
    }
}
