//! `icomm audit`: what a data-protection officer or a court asks. A file a verb.

use clap::Subcommand;

use super::{Context, Exit, Failure};

mod disclosures;

/// What left this node, and who has it
#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    Disclosures(disclosures::Disclosures),
}

impl Audit {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Disclosures(command) => command.run(context).await,
        }
    }
}
