//! The command line: nouns and verbs, a file a noun.
//!
//! Commands that ask or change a running node are clients of its API and nothing else; those that make keys, certificates
//! and documents work on files and need no node. Answers go to standard output (tables, or JSON with `--json`), all else to
//! standard error.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::demo::Demo;

mod agreement;
mod audit;
mod backup;
mod consent;
mod context;
mod doctor;
mod exit;
mod files;
mod init;
mod json;
mod key;
mod link;
mod log;
pub(crate) mod output;
mod pki;
mod record;
mod restore;
mod retention;
mod run;
mod status;

pub use context::{Context, Global, HOME_VARIABLE};
pub use exit::{EXIT_CODES, Exit, Failure};
pub use output::Output;

const FIRST_STEPS: &str = "\
A node's life, in order:
  icomm init --member KE --node gw1 --trust-domain demo.icomm.example
                                         keys and a certificate request, in ./icomm
  (send ./icomm/identity/request.pem to your authority; no key travels: `icomm pki --help`)
  icomm pki install ke.pem bundle.json   the authority's answer
  icomm doctor                           is everything in place?
  icomm run                              the node; all else talks to it
  icomm agreement accept FILE            a legal basis, signed by all parties
  icomm record import FILE --mapping unodc-ids
  icomm status                           who holds what, and is it verified?";

/// icomm: customs administrations exchange seizure, suspect and company records, under agreements, each record signed
/// by its owner and verifiable by whoever holds a part of it.
#[derive(Debug, Parser)]
#[command(name = "icomm", version, after_help = FIRST_STEPS, after_long_help = format!("{FIRST_STEPS}\n\n{EXIT_CODES}"))]
#[command(propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
pub struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(Demo),
    Init(init::Init),
    Run(run::Run),
    Status(status::Status),
    Doctor(doctor::Doctor),
    /// Identity: authorities, enrolment, trust bundle.
    #[command(subcommand)]
    Pki(pki::Pki),
    #[command(subcommand)]
    Key(key::Key),
    /// Records: import, submit, example, get, list, watch, mapping.
    #[command(subcommand)]
    Record(record::Record),
    /// Agreements, the legal bases: draft, sign, accept, suspend, list, show, explain.
    #[command(subcommand)]
    Agreement(agreement::Agreement),
    /// How long what partners gave is kept: list, run, open.
    #[command(subcommand)]
    Retention(retention::Retention),
    /// Leave to pass records on: ask, list, show, approve, refuse, revoke.
    #[command(subcommand)]
    Consent(consent::Consent),
    /// Links to partners: list, test.
    #[command(subcommand)]
    Link(link::Link),
    /// Signed logs: list, checkpoint, verify.
    #[command(subcommand)]
    Log(log::Log),
    /// Audit: who received what, under which legal basis: disclosures, verify.
    #[command(subcommand)]
    Audit(audit::Audit),
    Backup(backup::Backup),
    Restore(restore::Restore),
}

/// Reads the command line, does what it says, and tells how it ended.
pub fn main() -> ExitCode {
    // clap prints its own errors and help, and ends with 2 and 0.
    let arguments = Arguments::parse();
    let context = Context::new(arguments.global);
    let exit = match run(arguments.command, &context) {
        Ok(exit) => exit,
        Err(failure) => {
            // Exit code 0: the reader of standard output hung up, and there is nobody to tell.
            if failure.exit_code() != Exit::Ok {
                report(&failure, context.output);
            }
            failure.exit_code()
        }
    };
    exit.into()
}

fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Demo(command) => command.run(context).await,
            Command::Init(command) => command.run(context),
            Command::Pki(command) => command.run(context).await,
            Command::Key(command) => command.run(context),
            Command::Run(command) => command.run(context).await,
            Command::Status(command) => command.run(context).await,
            Command::Doctor(command) => command.run(context).await,
            Command::Record(command) => command.run(context).await,
            Command::Agreement(command) => command.run(context).await,
            Command::Retention(command) => command.run(context).await,
            Command::Consent(command) => command.run(context).await,
            Command::Link(command) => command.run(context).await,
            Command::Log(command) => command.run(context).await,
            Command::Audit(command) => command.run(context).await,
            Command::Backup(command) => command.run(context).await,
            Command::Restore(command) => command.run(context).await,
        }
    })
}

fn report(failure: &Failure, output: Output) {
    if output.is_json() {
        // Also on standard error: what stands on standard output is an answer, and there is none.
        eprintln!("{}", failure.to_json());
    } else {
        eprintln!("{failure}");
    }
}

/// The record that `icomm record example` prints.
#[cfg(test)]
pub(crate) fn example_draft() -> icomm_proto::v1::Draft {
    json::from_json(record::EXAMPLE).unwrap()
}

#[cfg(test)]
mod tests;
