//! `icomm restore disclosures`: an officer accepts that notes of disclosures are lost.

use clap::Args;
use icomm_proto::v1;

use crate::cli::{Context, Exit, Failure, audit, json::to_json};

/// Let the disclosure log begin anew after the node was put back to an older state
#[derive(Debug, Args)]
#[command(after_help = "\
A node that was restored from a backup, or finds that its own log was longer, begins its disclosure log anew by itself. Where only
notes of disclosures are missing, nothing tells a copy that was put back from notes that somebody cut: the node stops signing
them, and says that it is not well, until an officer says that it was put back. Nothing is hidden by that: offices and the root
keep the head of before, and `icomm audit verify` says there and here, for good, since when and why.

Example:
  icomm restore disclosures --reason 'disk replaced on 23 November, store copied back from the night before'")]
pub(super) struct Disclosures {
    /// Why, in words; kept and shown with the log
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Disclosures {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self { reason } = self;
        let request = v1::BeginDisclosuresRequest { reason };
        let status = context.keeper().await?.begin_disclosures(request).await?.into_inner();
        context.output.answer(&to_json(&status)?, || audit::told(&status))?;
        Ok(Exit::Ok)
    }
}
