//! `icomm audit forks`: logs of which the originator signed two histories, and the evidence.

use std::path::PathBuf;

use clap::Args;
use icomm_proto::v1;

use crate::cli::{Context, Exit, Failure, files, json::to_json};

/// Logs of which the originator signed two histories, with both signed checkpoints
#[derive(Debug, Args)]
#[command(after_help = "\
Such a log is neither served nor taken any more, by any node that has seen the proof; what was held of it before stays
readable. The file that --out writes has both checkpoints, the hashes that show that no single history has them, and the
originator's certificates: `icomm log verify FILE --root ROOT.pem` checks it without a node or a network.

Examples:
  icomm audit forks
  icomm audit forks KE/main --out ke-main.fork")]
pub(in crate::cli) struct Forks {
    /// This log alone, MEMBER/NAME
    #[arg(value_name = "ORIGIN")]
    origin: Option<String>,
    /// The new file to write the proof to
    #[arg(long, value_name = "FILE", requires = "origin")]
    out: Option<PathBuf>,
}

impl Forks {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self { origin, out } = self;
        let mut forks = context
            .auditor()
            .await?
            .forks(v1::ForksRequest {})
            .await?
            .into_inner()
            .forks;
        if let Some(origin) = &origin {
            forks.retain(|fork| fork.origin == *origin);
        }
        match (&out, forks.first()) {
            (Some(out), Some(fork)) => files::create_public(out, &fork.proof)?,
            (Some(_), None) => {
                return Err(Failure::new("no fork of this log is known here").advice("`icomm audit forks` shows all"));
            }
            (None, _) => {}
        }
        if context.output.is_json() {
            forks.iter().try_for_each(|fork| context.output.json(&to_json(fork)?))?;
        } else if forks.is_empty() {
            context.output.line("no forks are known here")?;
        } else {
            forks.iter().try_for_each(|fork| context.output.line(shown(fork)))?;
        }
        Ok(Exit::Ok)
    }
}

fn shown(fork: &v1::Fork) -> String {
    let v1::Fork {
        origin,
        smaller,
        larger,
        proof: _,
    } = fork;
    format!("{origin} has two histories: its originator signed\n\n{smaller}\nand, which contradicts it,\n\n{larger}")
}
