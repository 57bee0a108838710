//! `icomm record attach`, `photos` and `photo`: pictures of what a record tells.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use icomm_proto::v1::{self, attach_part::Part};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio_stream::wrappers::ReceiverStream;

use super::show;
use crate::cli::{Context, Exit, Failure, files, json::to_json, output::table, output::yes_no};

/// What is sent or read at once.
const PART_BYTES: usize = 256 << 10;
/// Parts that wait for the node.
const QUEUE_PARTS_MAX: usize = 4;

/// Add photos to a record of this member: it gets a new version
#[derive(Debug, Args)]
#[command(after_help = "\
JPEG and PNG, told by the content, not by the name. Only the picture stays: EXIF with place, time and camera, XMP, IPTC,
comments, previews, colour profiles and whatever stands behind the end are left out; how the picture is turned stays. Other
types are refused: export an X-ray picture as PNG or JPEG, and a document's pages as pictures.
Who is given the section `images` of the record is given its photos, nobody else. As with `icomm record amend`, the
earlier version is erased wherever it went.
KIND is photo (when it is left out), x-ray or document.

Example:
  icomm record attach 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11 bag.jpg x-ray=scan.png")]
pub(in crate::cli) struct Attach {
    /// The record's id
    record: String,
    /// The files, each with its kind before it, if it is no photo
    #[arg(required = true, value_name = "[KIND=]FILE")]
    files: Vec<Named>,
}

/// Clear one photo of a record of this member for the global node
#[derive(Debug, Args)]
#[command(after_help = "\
A photo goes to the global node only when its originator's officer has cleared it: look at it first, it may show a face, a
document, a number plate. One photo at a time, and for good: only a correction or a recall of the record takes it back.

Example:
  icomm record photo get 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11 2 --out look.png
  icomm record clear 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11 2")]
pub(in crate::cli) struct Clear {
    /// The record's id
    record: String,
    /// Which: its number in `icomm record photos`
    photo: u32,
}

/// The photos of a record, and how much of each is here
#[derive(Debug, Args)]
#[command(after_help = "\
Those of which this node may know. What another node may have comes over the link after the record, piece by piece.

Example:
  icomm record photos 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11")]
pub(in crate::cli) struct Photos {
    /// The record's id
    record: String,
}

/// One photo of a record
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Photo {
    Get(Get),
}

/// Write a photo of a record into a file
#[derive(Debug, Args)]
#[command(after_help = "\
Every piece is checked against what the record's originator signed. The file must not exist; only you can read it.

Example:
  icomm record photo get 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11 1 --out bag.jpg")]
pub(in crate::cli) struct Get {
    /// The record's id
    record: String,
    /// Which: its number in `icomm record photos`
    number: u32,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A file with the kind of photo that it is.
#[derive(Debug, Clone)]
pub(super) struct Named {
    kind: String,
    path: PathBuf,
}

impl FromStr for Named {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let kinds = ["photo", "x-ray", "document"];
        let named = text.split_once('=').filter(|(kind, _)| kinds.contains(kind));
        let (kind, path) = named.unwrap_or(("photo", text));
        Ok(Self {
            kind: kind.to_owned(),
            path: path.into(),
        })
    }
}

impl Attach {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self { record, files } = self;
        let target = v1::AttachTarget {
            record_id: record,
            ..v1::AttachTarget::default()
        };
        hand_in(context, target, files).await
    }
}

/// Hands in photos with what they are for, and tells what became of them.
pub(super) async fn hand_in(context: &Context, target: v1::AttachTarget, files: Vec<Named>) -> Result<Exit, Failure> {
    // All of them are there before the node is asked.
    let opened = files.into_iter().map(|Named { kind, path }| {
        let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
        Ok((kind, path, file))
    });
    let opened = opened.collect::<Result<Vec<_>, Failure>>()?;
    let mut client = context.photographer().await?;
    let (sender, parts) = tokio::sync::mpsc::channel(QUEUE_PARTS_MAX);
    let reading = tokio::task::spawn_blocking(move || {
        let send = |part| sender.blocking_send(v1::AttachPart { part: Some(part) }).is_ok();
        if !send(Part::Target(target)) {
            return Ok(());
        }
        for (kind, path, mut file) in opened {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !send(Part::File(v1::AttachFile { name, kind })) {
                return Ok(());
            }
            loop {
                let mut part = Vec::with_capacity(PART_BYTES);
                let read = (&mut file).take(PART_BYTES as u64).read_to_end(&mut part);
                if read.map_err(|error| unreadable(&path, &error))? == 0 {
                    break;
                }
                if !send(Part::Data(part.into())) {
                    return Ok(());
                }
            }
        }
        Ok(())
    });
    let reply = client.attach(ReceiverStream::new(parts)).await;
    if let Ok(Err(failure)) = reading.await {
        return Err(failure);
    }
    let reply = reply?.into_inner();
    let outcome = reply.outcome.clone().unwrap_or_default();
    context
        .output
        .answer(&to_json(&reply)?, || attached(&reply, &outcome))?;
    Ok(match outcome.result() {
        v1::outcome::Result::Issued | v1::outcome::Result::Duplicate | v1::outcome::Result::Valid => Exit::Ok,
        v1::outcome::Result::Rejected | v1::outcome::Result::Unspecified => Exit::Partly,
    })
}

fn attached(reply: &v1::AttachReply, outcome: &v1::Outcome) -> String {
    let v1::AttachReply { photos, stripped, .. } = reply;
    let mut text = show::outcome(outcome);
    for (photo, stripped) in photos.iter().zip(stripped) {
        let v1::Stripped { bytes, kept, removed } = stripped;
        let left_out = match removed.is_empty() {
            true => "nothing had to be left out".to_owned(),
            false => format!("left out: {}", removed.join(", ")),
        };
        text += &format!(
            "\n  {} {}: {kept} of {bytes} bytes, {left_out}",
            photo.kind, photo.media_type
        );
    }
    text
}

impl Clear {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            record: record_id,
            photo: number,
        } = self;
        let mut client = context.photographer().await?;
        let request = v1::ClearPhotoRequest { record_id, number };
        let reply = client.clear_photo(request).await?.into_inner();
        context.output.answer(&to_json(&reply)?, || {
            let v1::ClearPhotoReply { origin, index, before } = &reply;
            match before {
                true => format!("cleared before, by entry {index} of {origin}"),
                false => format!("cleared for the global node by entry {index} of {origin}"),
            }
        })?;
        Ok(Exit::Ok)
    }
}

impl Photos {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let record_id = self.record;
        let mut client = context.photographer().await?;
        let reply = client
            .list_photos(v1::ListPhotosRequest { record_id })
            .await?
            .into_inner();
        if context.output.is_json() {
            reply
                .photos
                .iter()
                .try_for_each(|photo| context.output.json(&to_json(photo)?))?;
            return Ok(Exit::Ok);
        }
        let mut rows = table(["number", "log", "what", "type", "bytes", "here", "cleared", "sha256"]);
        for photo in &reply.photos {
            let image = photo.image.clone().unwrap_or_default();
            rows.add_row([
                photo.number.to_string(),
                format!("{} {}", photo.origin, photo.index),
                image.kind,
                image.media_type,
                image.size.to_string(),
                here(photo.held, image.size),
                yes_no(photo.cleared).to_owned(),
                HEXLOWER.encode(&image.sha256),
            ]);
        }
        match reply.photos.is_empty() {
            true => context.output.line("no photos of this record are known here")?,
            false => context.output.line(rows)?,
        }
        Ok(Exit::Ok)
    }
}

fn here(held: u64, size: u64) -> String {
    match held {
        0 => "nothing yet".to_owned(),
        held if held >= size => "all".to_owned(),
        held => format!("{} %", held.saturating_mul(100) / size.max(1)),
    }
}

impl Photo {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Get(command) => command.run(context).await,
        }
    }
}

impl Get {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            record: record_id,
            number,
            out,
        } = self;
        let mut client = context.photographer().await?;
        let mut parts = client
            .get_photo(v1::GetPhotoRequest { record_id, number })
            .await?
            .into_inner();
        let mut first = parts.message().await?;
        let image = first.as_mut().and_then(|part| part.image.take()).unwrap_or_default();
        // Only once the node gives something is there a file.
        let mut file = files::open_private(&out).map_err(|error| unwritable(&out, &error))?;
        let written = async {
            let (mut next, mut hash) = (first, Sha256::new());
            while let Some(v1::PhotoData { data, .. }) = next {
                hash.update(&data);
                file.write_all(&data).map_err(|error| unwritable(&out, &error))?;
                next = parts.message().await?;
            }
            file.sync_all().map_err(|error| unwritable(&out, &error))?;
            // Beside the pieces, which the node checked: the hash that anybody's tools compute.
            match hash.finalize()[..] == image.sha256[..] {
                true => Ok(()),
                false => Err(Failure::new("the photo has another SHA-256 than its originator says")),
            }
        };
        if let Err(failure) = written.await {
            // Half a photo is of no use to anybody.
            drop(std::fs::remove_file(&out));
            return Err(failure);
        }
        let sha256 = HEXLOWER.encode(&image.sha256);
        let told = json!({ "file": out, "sha256": sha256, "media_type": image.media_type, "size": image.size });
        context.output.answer(&told, || {
            format!(
                "`{}`: {}, {} bytes, SHA-256 {sha256}",
                out.display(),
                image.media_type,
                image.size
            )
        })?;
        Ok(Exit::Ok)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format_args!("can't read `{}`: {error}", path.display()))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format_args!("can't write `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Named;

    #[test]
    fn a_file_may_have_its_kind_before_it() {
        for (text, kind, path) in [
            ("bag.jpg", "photo", "bag.jpg"),
            ("x-ray=scan.png", "x-ray", "scan.png"),
            ("document=a=b.png", "document", "a=b.png"),
            ("other=scan.png", "photo", "other=scan.png"),
        ] {
            let named: Named = text.parse().unwrap();
            assert_eq!((named.kind.as_str(), named.path.as_path()), (kind, Path::new(path)));
        }
    }
}
