//! `icomm audit verify`: is the disclosure log what was signed?

use std::fmt::Write as _;

use clap::Args;
use data_encoding::BASE64;
use icomm_proto::v1;

use crate::cli::{Context, Exit, Failure, json::to_json, output::count};

/// Check the disclosure log: every note, and every checkpoint over them
#[derive(Debug, Args)]
#[command(after_help = "\
What left is noted before it leaves, and the notes are a Merkle log of their own that the node signs about once a second. Here
every note is read and hashed again and compared with every checkpoint. Offices and the root keep its latest head, and show it
when a link comes up: that tells of notes that were cut together with their checkpoints. Exits with 1 when anything was
edited, cut or put in. Where a disclosure log that is kept here for another node contradicts itself, both heads are shown.

Example:
  icomm audit verify")]
pub(in crate::cli) struct Verify {}

impl Verify {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {} = self;
        let request = v1::VerifyDisclosuresRequest {};
        let status = context.auditor().await?.verify_disclosures(request).await?.into_inner();
        context.output.answer(&to_json(&status)?, || text(&status))?;
        Ok(if status.verified { Exit::Ok } else { Exit::Failed })
    }
}

fn text(status: &v1::DisclosuresStatus) -> String {
    let v1::DisclosuresStatus {
        origin,
        notes,
        signed,
        root,
        verified,
        finding,
        checkpoint: _,
        holders,
        conflicts,
    } = status;
    let found = if *verified { "verified" } else { "NOT VERIFIED" };
    let (notes, signed, root) = (count(*notes), count(*signed), BASE64.encode(root));
    let mut text = format!("{origin}: {notes} notes, {signed} signed, root {root}: {found}");
    if !finding.is_empty() {
        let _ = write!(text, "\n  {finding}");
    }
    for v1::LedgerHolder { name, notes } in holders {
        let _ = write!(text, "\n  {name} keeps the head over {} of them", count(*notes));
    }
    for v1::LedgerConflict { name, checkpoints } in conflicts {
        let _ = write!(
            text,
            "\n\nthe disclosure log of {name} does not go on from what is kept of it here; it signed both:\n{checkpoints}"
        );
    }
    text
}
