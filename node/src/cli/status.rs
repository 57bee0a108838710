//! `icomm status`: what this node is, holds and is linked to.

use clap::Args;
use icomm_proto::v1;

use super::{Context, Exit, Failure, json::to_json, link, log, output::yes_no};

/// What this node is, what it holds of whom, and whether it is verified
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  icomm status
  icomm status --json | jq '.logs[] | {origin, entries, verified}'

Exits with 3 when the node is running but not serving.")]
pub(super) struct Status {}

impl Status {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {} = self;
        let status = context.client().await?.status(v1::StatusRequest {}).await?.into_inner();
        let serving = status.serving;
        if context.output.is_json() {
            context.output.json(&to_json(&status)?)?;
        } else {
            show(context, &status)?;
        }
        Ok(if serving { Exit::Ok } else { Exit::Partly })
    }
}

fn show(context: &Context, status: &v1::StatusReply) -> Result<(), Failure> {
    let out = context.output;
    out.line(format_args!(
        "{} · node {} · {} · icomm {}",
        status.member, status.node, status.role, status.version
    ))?;
    out.line(format_args!("serving: {}", yes_no(status.serving)))?;
    for reason in &status.reasons {
        out.line(format_args!("  because {reason}"))?;
    }
    out.line(format_args!(
        "trust bundle {} expires {}",
        status.bundle_version, status.bundle_expires
    ))?;
    out.line(format_args!("certificate expires {}", status.certificate_expires))?;
    if !status.logs.is_empty() {
        out.line(format_args!("\n{}", log::table_of(&status.logs)))?;
        for log in status.logs.iter().filter(|log| !log.waits_for.is_empty()) {
            let (origin, members) = (&log.origin, log.waits_for.join(", "));
            out.line(format_args!(
                "{origin} is not passed on before {members} was heard, since this node was away"
            ))?;
        }
    }
    if !status.links.is_empty() {
        out.line(format_args!("\n{}", link::table_of(&status.links)))?;
    }
    Ok(())
}
