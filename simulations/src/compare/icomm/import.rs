//! Import: the command-line program hands a CSV file to a running node.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use futures::future::BoxFuture;
use icomm_node::network::Node;
use serde_json::Value;
use tokio::{process::Command, time::Instant};

use super::{NAME, pair::Pair};
use crate::compare::{
    meter, network,
    rows::{self, Rows},
    series::Sample,
    workload::{Bench, Contestant, Kind},
};

struct Import {
    pair: Pair,
    program: PathBuf,
    rows: Rows,
}

/// A node, and a file with as many rows as the workload's size.
///
/// # Errors
/// It can't be set up.
pub async fn import(bench: &Bench) -> anyhow::Result<impl Contestant + use<>> {
    Ok(Import {
        pair: Pair::prepare(bench, "import")?,
        program: bench.program.clone(),
        rows: rows::file(bench, bench.size)?,
    })
}

impl Import {
    async fn import(&mut self) -> anyhow::Result<Sample> {
        self.pair.renew_sender().await?;
        let node = self.pair.sender()?;
        network::sure(node).await?;
        let mut command = import_command(&self.program, &self.rows, node);
        let before = meter::children_cpu_seconds()?;
        let begun = Instant::now();
        let ended = command.output().await?;
        let seconds = begun.elapsed().as_secs_f64();
        let cpu = meter::children_cpu_seconds()? - before;
        let said = String::from_utf8_lossy(&ended.stderr);
        anyhow::ensure!(ended.status.success(), "the import ended with {}: {said}", ended.status);
        let told: Value = serde_json::from_slice(&ended.stdout)?;
        let issued = told.pointer("/summary/issued").and_then(Value::as_u64);
        let issued = issued.context("the import does not say how many rows it issued")?;
        let log = node.verify_log("").await?;
        anyhow::ensure!(
            (issued, log.entries, log.verified) == (self.rows.rows, issued, true),
            "of {} rows {issued} were issued and {} are held, verified: {}",
            self.rows.rows,
            log.entries,
            log.verified
        );
        Ok(Sample::rate(issued, seconds, cpu))
    }
}

/// `icomm record import`, as a user has a running node take a file in.
pub fn import_command(program: &Path, rows: &Rows, node: &Node) -> Command {
    let mut command = Command::new(program);
    command
        .args(["record", "import"])
        .arg(&rows.file)
        .args(["--mapping", rows::MAPPING, "--json", "--home"])
        .arg(node.home())
        .env_remove("ICOMM_HOME")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

impl Contestant for Import {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Icomm
    }

    fn remark(&self) -> String {
        "`icomm record import` against a running node; every row is read, mapped, validated against the code lists, \
         generalised, sealed section by section, and issued under a key that keeps it from being issued twice"
            .to_owned()
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(self.import())
    }

    fn finish(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(self.pair.stop())
    }
}
