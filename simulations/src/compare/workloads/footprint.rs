//! k, `footprint`: what a national node with a long log takes of memory, disk and time.
//!
//! The log is filled as a user fills it, by `icomm record import` into the running node, so that what an import leaves
//! behind in the process is counted. Each round then starts the node after a clean stop, and after a kill, which makes it
//! build its index anew, and has a partner with an empty store pull everything. Memory is what is resident (RSS) once each
//! of these is done; the figure is the most of any of them.

use anyhow::Context as _;
use futures::future::BoxFuture;
use icomm_node::network::{Network, Node};

use crate::compare::{
    icomm::{NAME, import_command},
    meter::{self, Memory},
    network::{self, NATIONAL, READY_WITHIN, ROOT, STOP_WITHIN},
    pair, rows,
    scale::Sizes,
    series::Sample,
    workload::{Bench, Better, Contestant, Field, Growth, Kind, Workload},
};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "footprint",
    what: "a national node after importing its log, after a clean and an unclean restart, and after a partner pulled all",
    unit: "MB",
    better: Better::Lower,
    sizes: Sizes {
        tiny: 2_000,
        quick: 100_000,
        full: 1_000_000,
    },
    counts: "entries in its log",
    growth: Growth::Linear,
    field: |bench| Box::pin(field(bench)),
};

async fn field(bench: &Bench) -> anyhow::Result<Field> {
    let footprint = Footprint::prepare(bench).await?;
    Ok(Field::default().with(footprint))
}

/// An administration with its log, and a partner that is emptied for every round.
struct Footprint {
    network: Network,
    entries: u64,
    empty: Memory,
    filled: Memory,
}

impl Footprint {
    async fn prepare(bench: &Bench) -> anyhow::Result<Self> {
        let entries = bench.size;
        let (mut network, _) = pair::prepare(bench, "footprint", 0)?;
        pair::start(&mut network, None).await?;
        let national = network.node(&NATIONAL.parse()?)?;
        let empty = memory(national)?;
        import(bench, national, entries).await?;
        let filled = memory(national)?;
        network::holds(network.node(&ROOT.parse()?)?, &NATIONAL.parse()?, entries).await?;
        Ok(Self {
            network,
            entries,
            empty,
            filled,
        })
    }

    async fn measure(&mut self) -> anyhow::Result<Sample> {
        let (national, root) = (NATIONAL.parse()?, ROOT.parse()?);
        // Nobody to serve until the restarts are measured.
        let partner = self.network.node_mut(&root)?;
        partner.empty(STOP_WITHIN).await?;

        let node = self.network.node_mut(&national)?;
        node.stop(STOP_WITHIN).await?;
        let start = network::started(node).await?;
        let restarted = memory(node)?;
        node.kill()?;
        let start_after_kill = network::started(node).await?;
        let rebuilt = memory(node)?;
        let disk = meter::disk_bytes(&node.config().store.folder)?;

        let partner = self.network.node_mut(&root)?;
        partner.start()?;
        partner.ready(READY_WITHIN).await?;
        network::holds(partner, &national, self.entries).await?;
        let served = memory(self.network.node(&national)?)?;

        let all = [self.filled, restarted, rebuilt, served];
        let most = all.iter().map(|memory| memory.now).max().unwrap_or_default();
        let per_record = |bytes: u64| bytes as f64 / self.entries as f64;
        Ok(Sample::of(mb(most))
            .with("national_memory_mb", mb(most))
            .with("empty_memory_mb", mb(self.empty.now))
            .with("filled_memory_mb", mb(self.filled.now))
            .with("import_peak_memory_mb", mb(self.filled.peak))
            .with("restarted_memory_mb", mb(restarted.now))
            .with("rebuilt_memory_mb", mb(rebuilt.now))
            .with("served_memory_mb", mb(served.now))
            .with(
                "memory_bytes_per_record",
                per_record(most.saturating_sub(self.empty.now)),
            )
            .with("disk_bytes_per_record", per_record(disk))
            .with("start_ms", start.as_secs_f64() * 1000.0)
            .with("start_after_kill_ms", start_after_kill.as_secs_f64() * 1000.0))
    }
}

impl Contestant for Footprint {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Icomm
    }

    fn remark(&self) -> String {
        "resident memory of the process, the most after import, restarts and a partner's whole catch-up".to_owned()
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(self.measure())
    }

    fn finish(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Ok(self.network.stop().await?) })
    }
}

/// Imports a file of so many cases, as a user does.
async fn import(bench: &Bench, node: &Node, entries: u64) -> anyhow::Result<()> {
    let rows = rows::file(bench, entries)?;
    let output = import_command(&bench.program, &rows, node).output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "the import ended with {}: {said}",
        output.status
    );
    Ok(())
}

fn memory(node: &Node) -> anyhow::Result<Memory> {
    let process = node.process_id().context("the node does not run")?;
    Ok(meter::memory(process)?)
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
