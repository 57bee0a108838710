//! Many real nodes in one process: keys, certificates, stores, links and sessions of their own, each on a folder of its own.
//! For workloads that measure one node among many; a process for each would measure the machine's memory instead.
//!
//! The program runs a fleet when it is called by the name [`PROGRAM`], with a list of folders. It says `READY` once all
//! are open, and stops when its standard input closes. What it costs is told apart from the node that is measured.

use std::{
    io::Write as _,
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context as _;
use icomm_node::{config::Config, environment::Environment, node::Node};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::workload::Bench;

/// The name under which this program is a fleet.
pub const PROGRAM: &str = "icomm-fleet";

/// What it says when all nodes are open.
const READY: &str = "ready";

/// A fleet that runs. Dropping it kills it.
pub struct Fleet {
    child: Child,
}

impl Fleet {
    /// Starts the nodes of these folders, none of which runs; returns when all are open. They serve no local API.
    ///
    /// # Errors
    /// A node can't be opened: its reason is on standard error.
    pub async fn start(bench: &Bench, homes: &[PathBuf]) -> anyhow::Result<Self> {
        let program = bench.folder.join(PROGRAM);
        if !program.exists() {
            symlink(std::fs::read_link(&bench.program)?, &program)?;
        }
        let mut command = std::process::Command::new(program);
        // A group of its own: Ctrl-C on the terminal is for us.
        command
            .args(homes)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        let mut child = Command::from(command).kill_on_drop(true).spawn()?;
        let said = child.stdout.take().context("the fleet has no output")?;
        let mut lines = BufReader::new(said).lines();
        let line = lines.next_line().await?;
        anyhow::ensure!(line.as_deref() == Some(READY), "the fleet did not come up");
        Ok(Self { child })
    }

    /// Stops all of them and waits for it.
    ///
    /// # Errors
    /// It can't be waited for, or a node did not end well.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait().await?;
        anyhow::ensure!(status.success(), "the fleet ended with {status}");
        Ok(())
    }
}

/// Runs the nodes of these folders until standard input closes.
///
/// # Errors
/// A node can't be opened, or ends by itself.
pub fn run(homes: impl Iterator<Item = PathBuf>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let stop = CancellationToken::new();
    let ended = stop.clone();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        ended.cancel();
    });
    runtime.block_on(async {
        let mut nodes = JoinSet::new();
        for home in homes {
            let node = open(&home).await?;
            let stop = stop.clone();
            nodes.spawn(async move { node.run(stop).await });
        }
        writeln!(std::io::stdout(), "{READY}")?;
        while let Some(ended) = nodes.join_next().await {
            ended??;
        }
        Ok(())
    })
}

async fn open(home: &Path) -> anyhow::Result<Node> {
    let config = Config::load(home)?;
    let node = Node::open(config, Environment::system()).await;
    node.with_context(|| format!("the node in `{}` can't be opened", home.display()))
}
