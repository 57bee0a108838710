//! `icomm record`: cases in, cases out.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use icomm_proto::v1;
use prost::Message as _;
use tonic::Code;

use super::{
    Context, Exit, Failure,
    audit::who::recalled,
    files,
    json::{from_json, to_json},
};

mod correct;
mod import;
mod mapping;
mod photo;
pub(super) mod show;

/// How many entries `list` asks for at a time.
const PAGE_ENTRIES: u32 = 500;

/// Records
#[derive(Debug, Subcommand)]
pub(super) enum Record {
    Import(import::Import),
    Submit(Submit),
    Example(Example),
    Amend(correct::Amend),
    Recall(correct::Recall),
    Attach(photo::Attach),
    Clear(photo::Clear),
    Photos(photo::Photos),
    /// One photo of a record: get.
    #[command(subcommand)]
    Photo(photo::Photo),
    Get(Get),
    List(List),
    Watch(Watch),
    /// Mappings: list, show.
    #[command(subcommand)]
    Mapping(mapping::MappingCommand),
}

/// Issue one record from a JSON file: validated, sealed, signed, durable when this returns
#[derive(Debug, Args)]
#[command(after_help = "\
The file is a `Draft` of record.proto in protobuf's JSON form; `icomm record example` prints one.
What the node works out itself (month, bands, age band) is left out. Every wrong field is reported at once.
Exits with 3 when the record is rejected.

Example:
  icomm record example > case.json
  icomm record submit case.json
  icomm record submit - --dry-run < case.json
  icomm record submit case.json --attach photo.jpg --attach x-ray=scan.png")]
pub(super) struct Submit {
    /// The file; `-` is standard input
    file: PathBuf,
    /// A key of your own, 32 hexadecimal digits: the same key issues one record only, however often it is sent
    #[arg(long, value_name = "HEX", value_parser = key)]
    key: Option<[u8; 16]>,
    /// A photo of it, as for `icomm record attach`: FILE or KIND=FILE; may be given several times
    #[arg(long, value_name = "[KIND=]FILE", conflicts_with = "dry_run")]
    attach: Vec<photo::Named>,
    /// Only validate; nothing is issued
    #[arg(long, conflicts_with = "key")]
    dry_run: bool,
}

/// Print a valid record in the short form, to copy and adapt
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  icomm record example > case.json")]
pub(super) struct Example {}

/// What `icomm record example` prints.
pub(super) const EXAMPLE: &str = include_str!("record/example.json");

/// One record, as this node may see it, from every log that holds a part of it
#[derive(Debug, Args)]
#[command(after_help = "\
Shows the latest version. Of a record that was recalled or corrected it says so, since when and why.
With --json a recall comes first, on a line of its own.

Example:
  icomm record get 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11
  icomm record get 0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11 --json | jq .record.case")]
pub(super) struct Get {
    /// The record's id
    id: String,
    /// Every version, also those that were replaced; of these only the hashes are left
    #[arg(long)]
    history: bool,
}

/// The entries of one log, in its order
#[derive(Debug, Args)]
#[command(after_help = "\
A withheld entry is listed by its hash: it is there, it is signed, and it is not for this node to read.
With --json, one entry a line.

Example:
  icomm record list                      this node's own log
  icomm record list UG/main --from 1000 --limit 20")]
pub(super) struct List {
    /// The log, MEMBER/NAME [default: this node's own]
    #[arg(default_value = "", hide_default_value = true)]
    origin: String,
    /// The first entry's index
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many entries at most
    #[arg(long, default_value_t = 50)]
    limit: u64,
    /// With --json: also each entry's stored form, which anybody can verify
    #[arg(long)]
    views: bool,
}

/// What arrives and what is issued, as it happens, until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = "\
With --json, one entry a line. With --from, entries held already come first.

Example:
  icomm record watch --json
  icomm record watch UG/main --from 0")]
pub(super) struct Watch {
    /// Only this log, MEMBER/NAME
    #[arg(default_value = "", hide_default_value = true)]
    origin: String,
    /// Start at this index
    #[arg(long, requires = "origin")]
    from: Option<u64>,
}

impl Record {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Import(command) => command.run(context).await,
            Self::Mapping(command) => command.run(context),
            Self::Submit(command) => command.run(context).await,
            Self::Example(Example {}) => context.output.line(EXAMPLE.trim_end()).map(|()| Exit::Ok),
            Self::Amend(command) => command.run(context).await,
            Self::Recall(command) => command.run(context).await,
            Self::Attach(command) => command.run(context).await,
            Self::Clear(command) => command.run(context).await,
            Self::Photos(command) => command.run(context).await,
            Self::Photo(command) => command.run(context).await,
            Self::Get(command) => command.run(context).await,
            Self::List(command) => command.run(context).await,
            Self::Watch(command) => command.run(context).await,
        }
    }
}

impl Submit {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            file,
            key,
            attach,
            dry_run,
        } = self;
        let draft: v1::Draft = from_json(&files::read_text(&file)?)
            .map_err(|failure| Failure::new(format_args!("`{}`: {failure}", file.display())))?;
        if !attach.is_empty() {
            let target = v1::AttachTarget {
                draft: draft.encode_to_vec().into(),
                key: key.map(|key| key.to_vec().into()).unwrap_or_default(),
                record_id: String::new(),
            };
            return photo::hand_in(context, target, attach).await;
        }
        let draft = Some(draft.encode_to_vec().into());
        let mut client = context.client().await?;
        let outcome = if dry_run {
            let row = v1::ImportRow {
                key: bytes::Bytes::new(),
                draft,
            };
            let request = v1::ImportRequest {
                rows: vec![row],
                dry_run: true,
            };
            let mut replies = client.import(tokio_stream::once(request)).await?.into_inner();
            replies
                .message()
                .await?
                .and_then(|reply| reply.outcomes.into_iter().next())
        } else {
            let key = key.map(|key| bytes::Bytes::copy_from_slice(&key)).unwrap_or_default();
            client
                .submit(v1::SubmitRequest { draft, key })
                .await?
                .into_inner()
                .outcome
        };
        let outcome = outcome.ok_or_else(|| Failure::new("the node gave no outcome"))?;
        context.output.answer(&to_json(&outcome)?, || show::outcome(&outcome))?;
        Ok(match outcome.result() {
            v1::outcome::Result::Issued | v1::outcome::Result::Duplicate | v1::outcome::Result::Valid => Exit::Ok,
            v1::outcome::Result::Rejected | v1::outcome::Result::Unspecified => Exit::Partly,
        })
    }
}

impl Get {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self { id: record_id, history } = self;
        let request = v1::GetRequest { record_id, history };
        let v1::GetReply { entries, recalls } = context.client().await?.get(request).await?.into_inner();
        for recall in &recalls {
            context.output.answer(&to_json(recall)?, || recalled(recall))?;
        }
        for entry in &entries {
            let json = to_json(entry)?;
            context.output.answer(&json, || show::entry(entry, &json))?;
        }
        Ok(Exit::Ok)
    }
}

impl List {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            origin,
            mut from,
            limit,
            views,
        } = self;
        let mut client = context.client().await?;
        let mut left = limit;
        let mut shown = Vec::new();
        while left > 0 {
            let limit = u32::try_from(left).unwrap_or(PAGE_ENTRIES).min(PAGE_ENTRIES);
            let request = v1::ListRequest {
                origin: origin.clone(),
                from,
                limit,
                with_views: views,
            };
            let page = client.list(request).await?.into_inner();
            left = left.saturating_sub(page.entries.len() as u64);
            let done = page.end || page.entries.is_empty();
            from = page.next;
            if context.output.is_json() {
                page.entries
                    .iter()
                    .try_for_each(|entry| context.output.json(&to_json(entry)?))?;
            } else {
                shown.extend(page.entries);
            }
            if done {
                break;
            }
        }
        if !context.output.is_json() {
            context.output.line(show::table_of(&shown))?;
        }
        Ok(Exit::Ok)
    }
}

impl Watch {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self { origin, from } = self;
        let mut entries = context
            .client()
            .await?
            .watch(v1::WatchRequest { origin, from })
            .await?
            .into_inner();
        loop {
            let next = tokio::select! {
                next = entries.message() => next,
                stopped = tokio::signal::ctrl_c() => {
                    stopped?;
                    return Ok(Exit::Ok);
                }
            };
            match next {
                Ok(Some(entry)) => context.output.answer(&to_json(&entry)?, || show::line(&entry))?,
                Ok(None) => return Ok(Exit::Ok),
                Err(status) if status.code() == Code::Unavailable => {
                    return Err(Failure::from(status).advice("the node stopped; watch again once it runs"));
                }
                Err(status) => return Err(status.into()),
            }
        }
    }
}

fn key(text: &str) -> Result<[u8; 16], String> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(|error| error.to_string())?;
    bytes.try_into().map_err(|_| "write 32 hexadecimal digits".to_owned())
}
