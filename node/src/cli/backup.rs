//! `icomm backup`: a node in one encrypted file, and the keys that such files are sealed to.

use std::{
    fs::File,
    io::{self, BufReader, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use icomm_pki::{BackupKey, BackupRecipient, moment_at};
use icomm_proto::{LogName, Origin, v1, v1::backup_piece::Piece};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    Context, Exit, Failure,
    files::{self, Writing},
    json::to_json,
    output::{count, moment},
};
use crate::{
    api::convert,
    backup::{self, RestoreError, Source},
    causes::chain,
    environment::Environment,
    node::{open_store, start},
};

/// Backups: take, verify, and the keys for them
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Takes everything that the node needs to go on elsewhere: its store as it is at one moment, the key that opens the store, its
settings, mappings, laws and certificates; with --with-identity also the secret keys of the member and the node. The node goes
on meanwhile; where none runs, the backup is taken of its folder.

The file is encrypted to every recipient, and signed by the node. The secret half of a recipient's key belongs where the node
is not. A backup opens records that are recalled or erased after it was taken: keep it as carefully as the records, and no
longer. An existing file is left alone, and what is interrupted leaves nothing under the file's name; one that was killed may leave
FILE.….part, which nobody needs.

Examples:
  icomm backup key /media/safe/ke.backup-key
  icomm backup ke-2026-11-23.backup --to icomm-backup-to-2f6c…
  icomm backup verify ke-2026-11-23.backup --key /media/safe/ke.backup-key"
)]
pub(super) struct Backup {
    #[command(subcommand)]
    command: Option<Verb>,
    #[command(flatten)]
    take: Option<Take>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Key(Key),
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Take {
    /// The new file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public half of a backup key, as `icomm backup key` prints it, or a file that holds it; repeat for more
    #[arg(long, value_name = "RECIPIENT", required = true)]
    to: Vec<String>,
    /// Put the secret keys of the member and the node into it too: whoever opens it can then act as this node
    #[arg(long)]
    with_identity: bool,
}

/// Make a key that backups are sealed to
#[derive(Debug, Args)]
#[command(after_help = "\
The file gets the secret half, for this user alone; what is printed is the public half, which `icomm backup --to` takes. Keep
the file where the node is not, and twice: without it no backup can be read by anybody.

Example:
  icomm backup key /media/safe/ke.backup-key")]
struct Key {
    /// The new file for the secret half
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Check a backup from its first byte to its last, and say what it is
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  icomm backup verify ke-2026-11-23.backup --key /media/safe/ke.backup-key")]
struct Verify {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The secret half of a key that it is sealed to
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl Backup {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match (self.command, self.take) {
            (Some(Verb::Key(key)), _) => key.run(context),
            (Some(Verb::Verify(verify)), _) => verify.run(context).await,
            (None, Some(take)) => take.run(context).await,
            // clap asks for one or the other.
            (None, None) => Err(Failure::new("name the file to write").exit(Exit::Usage)),
        }
    }
}

impl Key {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let key = BackupKey::generate()?;
        files::create_private(&self.file, key.to_text().as_bytes())?;
        let recipient = key.recipient().to_string();
        let answer = json!({ "file": self.file, "recipient": recipient });
        context.output.answer(&answer, || recipient)?;
        Ok(Exit::Ok)
    }
}

impl Verify {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self { file, key } = self;
        let (key, input) = (read_key(&key)?, open(&file)?);
        let bar = bar(context);
        let manifest = interruptible(move |stop| {
            backup::verify(input, &key, &mut |done, total| {
                bar.set_length(total);
                bar.set_position(done);
                !stop.is_cancelled()
            })
        });
        let manifest = manifest.await??;
        let summary = convert::backup(&manifest, 0);
        context.output.answer(&to_json(&summary)?, || {
            format!("`{}` is whole: {}", file.display(), told(&summary))
        })?;
        Ok(Exit::Ok)
    }
}

impl Take {
    async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {
            file,
            to,
            with_identity,
        } = self;
        let to = to.iter().map(|text| recipient(text)).collect::<Result<Vec<_>, _>>()?;
        files::must_be_new(&file)?;
        let bar = bar(context);
        let keeper = match context.keeper().await {
            Ok(keeper) => Some(keeper),
            Err(failure) if failure.exit_code() == Exit::Unreachable && !context.names_api() => None,
            Err(failure) => return Err(failure),
        };
        let summary = match keeper {
            Some(keeper) => from_node(keeper, &file, &to, with_identity, &bar).await?,
            None => from_folder(context, &file, to, with_identity, bar.clone()).await?,
        };
        bar.finish_and_clear();
        context.output.answer(&to_json(&summary)?, || {
            format!(
                "`{}`, {} bytes: {}",
                file.display(),
                count(summary.bytes),
                told(&summary)
            )
        })?;
        Ok(Exit::Ok)
    }
}

/// Of a node that runs: what comes is a backup already.
async fn from_node(
    mut keeper: crate::api::client::Keeper,
    file: &Path,
    to: &[BackupRecipient],
    with_identity: bool,
    bar: &ProgressBar,
) -> Result<v1::BackupSummary, Failure> {
    let to = to.iter().map(ToString::to_string).collect();
    let mut pieces = keeper
        .take(v1::TakeBackupRequest { to, with_identity })
        .await?
        .into_inner();
    let mut writing = Writing::begin(file)?;
    let mut summary = None;
    let taken = async {
        while let Some(v1::BackupPiece { piece }) = pieces.message().await? {
            match piece {
                Some(Piece::FilesBytes(bytes)) => bar.set_length(bytes),
                Some(Piece::Data(data)) => {
                    bar.inc(data.len() as u64);
                    writing.add(&data)?;
                }
                Some(Piece::Summary(end)) => summary = Some(end),
                None => {}
            }
        }
        Ok::<_, Failure>(())
    };
    tokio::select! {
        taken = taken => taken?,
        _ = tokio::signal::ctrl_c() => return Err(interrupted()),
    }
    let summary = summary.ok_or_else(|| Failure::new("the node broke off before the backup was whole"))?;
    writing.finish()?;
    Ok(summary)
}

/// Of a node that is stopped.
async fn from_folder(
    context: &Context,
    file: &Path,
    to: Vec<BackupRecipient>,
    with_identity: bool,
    bar: ProgressBar,
) -> Result<v1::BackupSummary, Failure> {
    let (config, file) = (context.config()?, file.to_owned());
    let taking = interruptible(move |stop| {
        let failed = |error: &dyn std::error::Error| Failure::new(chain(error));
        let environment = Environment::system();
        let credentials = start::credentials(&config).map_err(|error| failed(&error))?;
        let journal = open_store(&config, &environment).map_err(|error| failed(&error))?;
        let log: LogName = config.identity.log.parse().map_err(|error| failed(&error))?;
        let source = Source {
            config: &config,
            journal: &journal,
            credentials: &credentials,
            origin: Origin::new(credentials.member().clone(), log),
            environment: &environment,
        };
        let mut writing = Writing::begin(&file)?;
        let watched = Watched {
            writing: &mut writing,
            stop: &stop,
            bar: &bar,
        };
        let out = io::BufWriter::with_capacity(1 << 20, watched);
        let taken = source.write(&to, with_identity, out, |bytes| bar.set_length(bytes));
        let taken = match taken {
            Err(_) if stop.is_cancelled() => return Err(interrupted()),
            taken => taken.map_err(|error| failed(&error))?,
        };
        writing.finish()?;
        Ok(convert::backup(&taken.manifest, taken.bytes))
    });
    taking.await?
}

/// A file being written, which Ctrl-C ends.
struct Watched<'a, 'b> {
    writing: &'a mut Writing<'b>,
    stop: &'a CancellationToken,
    bar: &'a ProgressBar,
}

impl Write for Watched<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("stopped"));
        }
        self.writing.write(bytes)?;
        self.bar.inc(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Does what blocks on the disk, and tells it when somebody presses Ctrl-C.
pub(super) async fn interruptible<T: Send + 'static>(
    work: impl FnOnce(CancellationToken) -> T + Send + 'static,
) -> Result<T, Failure> {
    let stop = CancellationToken::new();
    let mut working = tokio::task::spawn_blocking({
        let stop = stop.clone();
        move || work(stop)
    });
    let ended = tokio::select! {
        ended = &mut working => ended,
        _ = tokio::signal::ctrl_c() => {
            stop.cancel();
            working.await
        }
    };
    ended.map_err(|_| Failure::new("the work broke down; this is a fault of icomm"))
}

pub(super) fn interrupted() -> Failure {
    Failure::new("stopped by Ctrl-C; nothing was left behind").exit(Exit::Interrupted)
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Stopped => interrupted(),
            error => Self::new(chain(&error)),
        }
    }
}

/// The secret half of a backup key.
pub(super) fn read_key(path: &Path) -> Result<BackupKey, Failure> {
    let text = Zeroizing::new(files::read_text(path)?);
    text.parse()
        .map_err(|error| Failure::new(format_args!("`{}`: {error}", path.display())))
}

/// A backup to read.
pub(super) fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let file = File::open(path);
    let file = file.map_err(|error| Failure::new(format_args!("can't read `{}`: {error}", path.display())))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

/// The word itself, or the file that holds it.
fn recipient(text: &str) -> Result<BackupRecipient, Failure> {
    if let Ok(recipient) = text.parse() {
        return Ok(recipient);
    }
    let path = Path::new(text);
    let word = match path.is_file() {
        true => files::read_text(path)?,
        false => text.to_owned(),
    };
    let wrong = |error| Failure::new(format_args!("`{text}`: {error}")).exit(Exit::Usage);
    word.parse::<BackupRecipient>().map_err(wrong)
}

/// How far it is; hidden where standard error is no terminal.
pub(super) fn bar(context: &Context) -> ProgressBar {
    if context.output.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    let template = "{bar:30} {percent:>3} %  {binary_bytes} of {binary_total_bytes}  {eta} left";
    // A bar without style still counts.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━━ "));
    }
    bar
}

pub(super) fn told(summary: &v1::BackupSummary) -> String {
    let v1::BackupSummary {
        member,
        node,
        time,
        origin,
        entries,
        with_identity,
        peer_id,
        ..
    } = summary;
    format!(
        "{member}/{node} as it was {}, `{origin}` with {} entries, {}; signed by the node {peer_id}",
        moment(moment_at(*time).unwrap_or(OffsetDateTime::UNIX_EPOCH)),
        count(*entries),
        match with_identity {
            true => "with its secret keys",
            false => "without the keys of member and node",
        }
    )
}
