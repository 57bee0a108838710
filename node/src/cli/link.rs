//! `icomm link`: the sessions with partners.

use clap::{Args, Subcommand};
use comfy_table::Table;
use icomm_proto::v1;

mod parcel;

use super::{
    Context, Exit, Failure, doctor,
    json::to_json,
    output::{count, table},
};

/// Links to partners
#[derive(Debug, Subcommand)]
pub(super) enum Link {
    List(List),
    Test(Test),
    Export(parcel::Export),
    Import(parcel::Import),
}

/// Who is linked, by which carrier, and what went wrong last
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  icomm link list")]
pub(super) struct List {}

/// Dial a partner and go through every step: address, handshake, certificate, hello, agreements
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is exchanged but the hellos. Exits with 3 when a step fails.

Example:
  icomm link test PT")]
pub(super) struct Test {
    /// The partner's member id
    member: String,
}

impl Link {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::List(List {}) => {
                let mut client = context.client().await?;
                let links = client.list_links(v1::ListLinksRequest {}).await?.into_inner().links;
                if context.output.is_json() {
                    for link in &links {
                        context.output.json(&to_json(link)?)?;
                    }
                } else if links.is_empty() {
                    context
                        .output
                        .line("no partner is configured: the trust bundle lists nobody with an address")?;
                } else {
                    context.output.line(table_of(&links))?;
                }
                Ok(Exit::Ok)
            }
            Self::Export(command) => command.run(context).await,
            Self::Import(command) => command.run(context).await,
            Self::Test(Test { member }) => {
                let mut client = context.client().await?;
                let report = client
                    .test_link(v1::TestLinkRequest { peer: member.clone() })
                    .await?
                    .into_inner();
                context.output.answer(&to_json(&report)?, || {
                    let finding = if report.reachable { "reachable" } else { "NOT reachable" };
                    format!("{}\n{member} is {finding}", doctor::table_of(&report.steps))
                })?;
                Ok(if report.reachable { Exit::Ok } else { Exit::Partly })
            }
        }
    }
}

/// Links as a table; also part of `icomm status`.
pub(super) fn table_of(links: &[v1::Link]) -> Table {
    let mut rows = table([
        "partner",
        "node",
        "state",
        "carrier",
        "dialled by",
        "sent",
        "received",
        "last error",
    ]);
    for link in links {
        let v1::Link {
            member,
            node,
            carrier,
            dialled,
            state,
            last_error,
            since: _,
            sent_entries,
            received_entries,
        } = link;
        let dialler = match (carrier.is_empty(), dialled) {
            (true, _) => "",
            (false, true) => "us",
            (false, false) => "them",
        };
        rows.add_row([
            member.clone(),
            node.clone(),
            state.clone(),
            carrier.clone(),
            dialler.to_owned(),
            count(*sent_entries),
            count(*received_entries),
            last_error.clone(),
        ]);
    }
    rows
}
