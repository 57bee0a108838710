//! `icomm record import`: a file's rows become records.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use clap::Args;
use icomm_pki::{Enrolment, MemberId};
use icomm_proto::{CodeLists, v1};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::mapping::named;
use crate::{
    api::sink::NodeSink,
    causes::chain,
    cli::{
        Context, Exit, Failure,
        output::{count, table},
    },
    config::Config,
    intake::{
        Bar, Cause, Detail, DryRun, ImportError, Mapping, Plan, Progress, Report, Sink, Source, Summary, Unwatched,
        import, validation,
    },
};

/// The most rows in one message, as node.proto says.
const BATCH_ROWS_MAX: usize = 1000;

/// Issue the cases of a CSV, JSON Lines or XLSX file, of any size
#[derive(Debug, Args)]
#[command(after_help = "\
Good rows go in, bad rows are reported with line, column, value and reason, and every row is counted. Importing the same
file again, or a longer version of it, issues nothing twice: the k-th copy of a row is the k-th case. Ctrl-C stops between
batches; the same command then goes on. A row of another member is counted and left alone.

The report is JSON Lines, one rejected row a line, the summary last. It quotes the rows: keep it as safe as the file.

Exits with 3 when rows were rejected, with 130 when stopped.

Example:
  icomm record import seizures.csv --mapping unodc-ids --report seizures.report.jsonl
  icomm record import seizures.xlsx --mapping ./our-sheet.toml --dry-run
  icomm record mapping list              which mappings there are")]
pub(in crate::cli) struct Import {
    /// The file
    file: PathBuf,
    /// A mapping's name, or the path of one (*.toml)
    #[arg(long, value_name = "NAME")]
    mapping: String,
    /// Only validate; nothing is issued
    #[arg(long)]
    dry_run: bool,
    /// Write a line about every rejected row to this file; an earlier report is replaced
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// With --dry-run and no node: whose rows these are [default: the member that the node's folder is enrolled as]
    #[arg(long, requires = "dry_run")]
    member: Option<MemberId>,
    /// In the report, also a line about every row that was taken, with its record's id
    #[arg(long, requires = "report")]
    report_all: bool,
    /// Members whose rows in this file are theirs to import: counted as `elsewhere`, not as `foreign`
    #[arg(long, value_name = "MEMBER", value_delimiter = ',')]
    others: Vec<MemberId>,
    /// Rows in one message
    #[arg(long, value_name = "ROWS", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
}

impl Import {
    pub(in crate::cli) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mapping = Arc::new(named(context, &self.mapping)?);
        let client = match context.client().await {
            // A dry run needs no node; one that runs knows what was issued before.
            Err(_) if self.dry_run => None,
            client => Some(client?),
        };
        let Some(mut client) = client else {
            return self.run_alone(mapping, context).await;
        };
        let member = client.status(v1::StatusRequest {}).await?.into_inner().member;
        let sink = NodeSink::new(client, self.dry_run);
        self.drive(mapping, member.parse()?, &sink, context, |status| {
            status.code() == Code::Unavailable
        })
        .await
    }

    /// A dry run without a node: validation alone.
    async fn run_alone(&self, mapping: Arc<Mapping>, context: &Context) -> Result<Exit, Failure> {
        let config = context.config().unwrap_or_default();
        let member = match &self.member {
            Some(member) => member.clone(),
            None => enrolled(&config)?,
        };
        let lists = &config.intake.code_lists;
        let mut codes = CodeLists::built_in();
        if lists.exists() {
            codes.load_dir(lists).map_err(|error| Failure::because(&error))?;
        }
        let validate = validation(Arc::new(codes), member.clone());
        self.drive(
            mapping,
            member,
            &DryRun::new(validate),
            context,
            |never| match *never {},
        )
        .await
    }

    async fn drive<S: Sink>(
        &self,
        mapping: Arc<Mapping>,
        member: MemberId,
        sink: &S,
        context: &Context,
        unreachable: impl Fn(&S::Error) -> bool,
    ) -> Result<Exit, Failure> {
        let plan = Plan {
            others: self.others.iter().cloned().collect::<BTreeSet<_>>(),
            batch_rows: usize::from(self.batch).min(BATCH_ROWS_MAX),
            ..Plan::new(Arc::clone(&mapping), member)
        };
        let source = Source::open(&self.file, mapping.read_options().clone())
            .map_err(|error| Failure::new(format_args!("`{}`: {}", self.file.display(), chain(&error))))?;
        let ended = self.watched(source, &plan, sink, context).await?;
        self.tell(ended, context, unreachable)
    }

    /// The import with a progress bar, until its end or Ctrl-C.
    async fn watched<S: Sink>(
        &self,
        source: Source,
        plan: &Plan,
        sink: &S,
        context: &Context,
    ) -> Result<Result<Summary, ImportError<S::Error>>, Failure> {
        let mut report = match &self.report {
            None => Report::none(),
            Some(path) => {
                let detail = if self.report_all { Detail::All } else { Detail::Rejected };
                Report::create(path, detail)
                    .map_err(|error| Failure::new(format_args!("can't write `{}`: {error}", path.display())))?
            }
        };
        let bar = (!context.output.is_json()).then(Bar::stderr);
        let progress: &dyn Progress = bar.as_ref().map_or(&Unwatched, |bar| bar);
        let stop = CancellationToken::new();
        let running = import(source, plan, sink, &mut report, progress, &stop);
        tokio::pin!(running);
        let ended = tokio::select! {
            ended = &mut running => ended,
            stopped = tokio::signal::ctrl_c() => {
                stopped?;
                stop.cancel();
                running.await
            }
        };
        if let Some(bar) = &bar {
            bar.clear();
        }
        Ok(ended)
    }

    fn tell<E: std::error::Error>(
        &self,
        ended: Result<Summary, ImportError<E>>,
        context: &Context,
        unreachable: impl Fn(&E) -> bool,
    ) -> Result<Exit, Failure> {
        match ended {
            Ok(summary) => {
                context.output.answer(&self.facts(&summary)?, || self.text(&summary))?;
                Ok(match summary {
                    Summary { stopped: true, .. } => Exit::Interrupted,
                    Summary { counters, .. } if counters.rejected > 0 => Exit::Partly,
                    Summary { .. } => Exit::Ok,
                })
            }
            Err(ImportError { summary, cause }) => {
                context.output.answer(&self.facts(&summary)?, || self.text(&summary))?;
                let what = format!("the import of `{}` ended early: {}", self.file.display(), chain(&cause));
                let goes_on = "what is counted above is done; once this is mended, the same command goes on";
                let failure = Failure::new(what).advice(goes_on);
                Err(match cause {
                    Cause::Sink(error) if unreachable(&error) => failure.exit(Exit::Unreachable),
                    _ => failure,
                })
            }
        }
    }

    fn facts(&self, summary: &Summary) -> Result<Value, Failure> {
        Ok(
            json!({ "file": self.file, "dry_run": self.dry_run, "report": self.report, "summary": serde_json::to_value(summary)? }),
        )
    }

    fn text(&self, summary: &Summary) -> String {
        let counters = &summary.counters;
        let mut rows = table(["rows", "", "what became of them"]);
        for (number, what, meaning) in [
            (counters.issued, "issued", "records now"),
            (counters.duplicate, "known", "issued by an earlier import"),
            (counters.valid, "valid", "would become records"),
            (counters.rejected, "rejected", "each with its reasons in the report"),
            (counters.elsewhere, "elsewhere", "another member's to import"),
            (counters.foreign, "foreign", "of nobody who takes part"),
        ] {
            if number > 0 {
                rows.add_row([count(number), what.to_owned(), meaning.to_owned()]);
            }
        }
        rows.add_row([count(counters.rows), "in all".to_owned(), String::new()]);
        let mut text = rows.to_string();
        if !summary.unused_columns.is_empty() {
            text += &format!(
                "\nnot imported, since the mapping does not name them: {}",
                summary.unused_columns.join(", ")
            );
        }
        match &self.report {
            Some(path) => text += &format!("\nreport: `{}`", path.display()),
            None if counters.rejected > 0 => text += "\n`--report FILE` tells which rows are rejected, and why",
            None => {}
        }
        if summary.stopped {
            text += "\nstopped; the same command goes on from here";
        }
        text
    }
}

/// Whom the node's folder is enrolled as.
fn enrolled(config: &Config) -> Result<MemberId, Failure> {
    let enrolment = &config.identity.enrolment;
    let unknown = |_| {
        Failure::new("whose rows these are is not known: there is no enrolled node here")
            .exit(Exit::Usage)
            .advice("say it with `--member KE`, or name the node's folder with `--home`")
    };
    let text = std::fs::read_to_string(enrolment).map_err(unknown)?;
    let enrolment = Enrolment::from_pem(&text).map_err(|error| Failure::because(&error))?;
    Ok(enrolment.member().clone())
}
