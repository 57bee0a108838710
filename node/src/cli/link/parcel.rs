//! `icomm link export` and `icomm link import`: a link that somebody carries on foot.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use clap::Args;
use icomm_pki::moment_at;
use icomm_proto::v1::{self, parcel_piece::Piece};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::cli::{
    Context, Exit, Failure,
    files::{self, Writing},
    json::to_json,
    output::{count, moment},
};

/// What goes to the node at once.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces read ahead of the node.
const PIECES_MAX: usize = 4;

/// Write a parcel for a partner that no network reaches
#[derive(Debug, Args)]
#[command(after_help = "\
A parcel is a link in a file: the same frames under the same checks, signed by this node and sealed to one node of the
partner, which alone can open it. What it discloses is noted before it is written, like anything that leaves.

Each parcel answers the last one from there. Two nodes that never met need three: the first says who we are, the second who
they are and what they want, the third brings it. From then on take turns; a lost one is made again by the next export.

Examples:
  icomm link export PT --out to-pt.parcel
  icomm link export PT --out to-pt.parcel --max-mb 600")]
pub(in crate::cli) struct Export {
    /// The partner's member id
    #[arg(value_name = "MEMBER")]
    member: String,
    /// Which of the partner's nodes it is for [default: the only one that the trust bundle lists]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    node: String,
    /// The new file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Begin no more chunks when it has so many megabytes; the next parcel goes on from there
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    max_mb: Option<u64>,
}

/// Take in a parcel that a partner's node wrote for this one
#[derive(Debug, Args)]
#[command(after_help = "\
All of it is checked before anything of it counts: it must be for this node, from a node in the trust bundle that holds the
key its certificates name, and whole. Taking the same parcel in twice changes nothing. What its sender asks for goes into the
next `icomm link export` to it. Exits with 3 when something of it was refused.

Example:
  icomm link import from-es.parcel")]
pub(in crate::cli) struct Import {
    /// The parcel
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Export {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            member,
            node,
            out,
            max_mb,
        } = self;
        // Before disclosures are noted that then do not happen.
        files::must_be_new(&out)?;
        let request = v1::ExportParcelRequest {
            member,
            node,
            bytes_max: max_mb.map_or(0, |mb| mb * 1_000_000),
        };
        let mut pieces = context.poster().await?.export(request).await?.into_inner();
        let mut writing = Writing::begin(&out)?;
        let mut summary = None;
        while let Some(v1::ParcelPiece { piece }) = pieces.message().await? {
            match piece {
                Some(Piece::Data(data)) => writing.add(&data)?,
                Some(Piece::Summary(end)) => summary = Some(end),
                None => {}
            }
        }
        let summary = summary.ok_or_else(|| Failure::new("the node broke off before the parcel was whole"))?;
        writing.finish()?;
        context
            .output
            .answer(&to_json(&summary)?, || exported(&summary, &out))?;
        Ok(Exit::Ok)
    }
}

impl Import {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self { file } = self;
        let unreadable =
            |error: &std::io::Error| Failure::new(format_args!("can't read `{}`: {error}", file.display()));
        let mut input = File::open(&file).map_err(|error| unreadable(&error))?;
        let mut poster = context.poster().await?;
        let (sender, pieces) = mpsc::channel(PIECES_MAX);
        let reading = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; PIECE_BYTES];
            loop {
                let read = input.read(&mut buffer)?;
                let data = buffer.get(..read).unwrap_or_default().to_vec();
                let piece = Some(Piece::Data(data.into()));
                if read == 0 || sender.blocking_send(v1::ParcelPiece { piece }).is_err() {
                    return Ok(());
                }
            }
        });
        let summary = poster.import(ReceiverStream::new(pieces)).await;
        if let Ok(Err(error)) = reading.await {
            return Err(unreadable(&error));
        }
        let summary = summary?.into_inner();
        context.output.answer(&to_json(&summary)?, || imported(&summary))?;
        Ok(if summary.refusals.is_empty() {
            Exit::Ok
        } else {
            Exit::Partly
        })
    }
}

fn exported(summary: &v1::ParcelSummary, out: &Path) -> String {
    let v1::ParcelSummary {
        member,
        node,
        bytes,
        complete,
        answers,
        ..
    } = summary;
    let next = match (answers, complete) {
        (false, _) => {
            "\nNothing from there was taken in yet: this one only says who we are. Its answer says what they want."
        }
        (true, false) => "\nMore is left: the next parcel goes on once a receipt for this one was taken in.",
        (true, true) => "",
    };
    format!(
        "`{}` for {member}/{node}, {} bytes: {}{}{next}",
        out.display(),
        count(*bytes),
        contents(summary),
        refusals(summary)
    )
}

fn imported(summary: &v1::ParcelSummary) -> String {
    let v1::ParcelSummary { member, node, time, .. } = summary;
    format!(
        "From {member}/{node}, made {}: {}{}",
        moment(moment_at(*time).unwrap_or(OffsetDateTime::UNIX_EPOCH)),
        contents(summary),
        refusals(summary)
    )
}

fn contents(summary: &v1::ParcelSummary) -> String {
    let v1::ParcelSummary {
        documents,
        receipts,
        recalls,
        erasures,
        wants,
        entries,
        ..
    } = summary;
    format!(
        "{} entries, {documents} documents, {recalls} recalls, {receipts} receipts, {erasures} of them for erasures, {wants} \
         logs asked for",
        count(*entries),
        receipts = receipts + erasures,
    )
}

fn refusals(summary: &v1::ParcelSummary) -> String {
    let lines = summary.refusals.iter().map(|refusal| {
        let v1::Refusal { code, message, .. } = refusal;
        format!("\n  refused ({code}): {message}")
    });
    lines.collect()
}
