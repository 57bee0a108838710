//! `icomm audit`: what a data-protection officer or a court asks. A file a verb.

use clap::Subcommand;

use super::{Context, Exit, Failure};

mod disclosures;
mod forks;
mod verify;

pub(super) use verify::text as told;
pub(super) mod who;

/// What left this node, and who has it
#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    Disclosures(disclosures::Disclosures),
    Forks(forks::Forks),
    Verify(verify::Verify),
    Who(who::Who),
}

impl Audit {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Disclosures(command) => command.run(context).await,
            Self::Forks(command) => command.run(context).await,
            Self::Verify(command) => command.run(context).await,
            Self::Who(command) => command.run(context).await,
        }
    }
}
