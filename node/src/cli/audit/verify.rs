//! `icomm audit verify`: is the disclosure log what was signed?

use std::fmt::Write as _;

use clap::Args;
use data_encoding::BASE64;
use icomm_proto::v1;
use time::OffsetDateTime;

use crate::cli::{
    Context, Exit, Failure,
    json::to_json,
    output::{count, moment as moment_text},
};

/// Check the disclosure log: every note, and every checkpoint over them
#[derive(Debug, Args)]
#[command(after_help = "\
What left is noted before it leaves, and the notes are a Merkle log of their own that the node signs about once a second. Here
every note is read and hashed again and compared with every checkpoint. Offices and the root keep its latest head, and show it
when a link comes up: that tells of notes that were cut together with their checkpoints. Exits with 1 when anything was
edited, cut or put in. A node that was put back to an older state begins its log anew and says so for good; what was noted in
between is lost, and who keeps the head of before holds the proof of how much that was. Where a disclosure log that is kept here for another node contradicts itself, both heads are shown.

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

pub(in crate::cli) fn text(status: &v1::DisclosuresStatus) -> String {
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
        epochs,
        lost,
        restarts,
    } = status;
    let found = if *verified { "verified" } else { "NOT VERIFIED" };
    let (notes, signed, root) = (count(*notes), count(*signed), BASE64.encode(root));
    let mut text = format!("{origin}: {notes} notes, {signed} signed, root {root}: {found}");
    if !finding.is_empty() {
        let _ = write!(text, "\n  {finding}");
    }
    for epoch in epochs {
        let _ = write!(text, "\n  {}", began_anew(epoch));
    }
    for v1::LostDisclosures {
        epoch, holder, signed, ..
    } in lost
    {
        let _ = write!(
            text,
            "\n  {holder} holds this node's signature over {} notes of epoch {epoch}, and not all of them are here: those are lost",
            count(*signed)
        );
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
    for v1::LedgerRestart {
        name,
        epoch,
        since,
        signed,
        unchanged,
        checkpoint,
    } in restarts
    {
        let (since, signed, unchanged) = (when(*since), count(*signed), count(*unchanged));
        let _ = write!(
            text,
            "\n\nthe disclosure log of {name} began anew, which was learnt on {since}: of {signed} notes of epoch {epoch}, \
             {unchanged} at least are still there; it had signed:\n{checkpoint}"
        );
    }
    text
}

/// Where a disclosure log began anew, in a line.
pub(in crate::cli) fn began_anew(epoch: &v1::LedgerEpoch) -> String {
    let v1::LedgerEpoch {
        epoch,
        since,
        reason,
        notes,
        signed: _,
    } = epoch;
    format!(
        "began anew on {} with {} notes, as epoch {epoch}: {reason}",
        when(*since),
        count(*notes)
    )
}

fn when(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().map(OffsetDateTime::from_unix_timestamp);
    moment.and_then(Result::ok).map(moment_text).unwrap_or_default()
}
