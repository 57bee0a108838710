//! `icomm doctor`: is everything in place, and if not, what to do.

use clap::Args;
use comfy_table::Table;
use icomm_proto::v1;

use super::{Context, Exit, Failure, json::to_json, output::table};

mod local;

/// Check keys, clock, trust bundle, store and every link, and say what to do
#[derive(Debug, Args)]
#[command(after_help = "\
Checks the settings and the identity's files on its own and asks the running node for the rest. Where no node runs, it
verifies what a node verifies at its start: that keys, certificates, root and bundle belong together and count now.
Exits with 3 when a check finds an error; warnings alone exit with 0.

Example:
  icomm doctor")]
pub(super) struct Doctor {}

/// All is well.
const OK: &str = "ok";
/// Nothing is wrong, and something is missing.
const WARNING: &str = "warning";
/// Something is wrong.
const ERROR: &str = "error";

impl Doctor {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Self {} = self;
        let mut checks = Vec::new();
        match context.config() {
            Err(failure) => checks.push(check(
                "settings",
                ERROR,
                failure.what(),
                "mend the file, then run this again",
            )),
            Ok(config) => {
                checks.push(check(
                    "settings",
                    OK,
                    context.home.join(crate::config::FILE).display(),
                    "",
                ));
                let files = local::files(&config);
                let files_are_good = files.iter().all(|check| check.level == OK);
                checks.extend(files);
                match ask_node(context).await {
                    Ok(found) => checks.extend(found),
                    Err(failure) => {
                        // What is wrong with a file is said already.
                        if files_are_good {
                            checks.extend(local::start(&config, context.now()));
                        }
                        checks.push(check(
                            "node",
                            WARNING,
                            failure.what(),
                            "`icomm run` starts it; links and store are checked then",
                        ));
                    }
                }
            }
        }
        let failed = checks.iter().any(|check| check.level == ERROR);
        let reply = v1::DoctorReply { checks };
        context.output.answer(&to_json(&reply)?, || table_of(&reply.checks))?;
        Ok(if failed { Exit::Partly } else { Exit::Ok })
    }
}

/// What the running node finds.
///
/// # Errors
/// It does not run.
async fn ask_node(context: &Context) -> Result<Vec<v1::Check>, Failure> {
    let mut client = context.client().await?;
    Ok(match client.doctor(v1::DoctorRequest {}).await {
        Ok(reply) => reply.into_inner().checks,
        Err(status) => vec![check(
            "node",
            ERROR,
            Failure::from(status).what(),
            "read the node's log",
        )],
    })
}

fn check(name: &str, level: &str, finding: impl ToString, advice: &str) -> v1::Check {
    v1::Check {
        name: name.into(),
        level: level.into(),
        finding: finding.to_string(),
        advice: advice.into(),
    }
}

/// Checks as a table; also what `icomm link test` shows.
pub(super) fn table_of(checks: &[v1::Check]) -> Table {
    let mut rows = table(["check", "level", "finding", "what to do"]);
    for v1::Check {
        name,
        level,
        finding,
        advice,
    } in checks
    {
        let advice = if level == OK { "" } else { advice };
        rows.add_row([name, level, finding, advice]);
    }
    rows
}
