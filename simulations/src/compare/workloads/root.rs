//! g, `root`: the global node takes in the de-nominalised logs of all 187 members at once.
//!
//! The root is a process of its own and the one that is measured. The members are real nodes that share a process
//! ([`Fleet`]): keys, stores, links and TLS of their own, all dialling the root over loopback. Their logs are filled before,
//! with sealed and signed cases. The clock runs from the first agreement that counts until the root holds every entry. Then
//! the root is restarted, cleanly and after a kill.

use std::path::PathBuf;

use anyhow::Context as _;
use futures::future::BoxFuture;
use icomm_node::network::{Network, Reach, terms};
use icomm_pki::{MemberId, Role};
use tokio::time::Instant;

use crate::compare::{
    fleet::Fleet,
    icomm::{NAME, seed},
    meter,
    network::{self, ARRIVE_WITHIN, POLL, READY_WITHIN, ROOT, SINCE, STOP_WITHIN, until},
    rows,
    scale::{Scale, Sizes},
    series::Sample,
    workload::{Bench, Better, Contestant, Field, Growth, Kind, Workload},
};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "root",
    what: "the global node takes in the logs of all members at once, then is restarted",
    unit: "records/s",
    better: Better::Higher,
    sizes: Sizes {
        tiny: 400,
        quick: 374_000,
        full: 10_000_000,
    },
    counts: "entries of all members",
    growth: Growth::Linear,
    field: |bench| Box::pin(field(bench)),
};

/// The WCO's members.
const MEMBERS: u64 = 187;

/// Members where only is shown that it runs.
const MEMBERS_TINY: u64 = 4;

/// Rows in the file that logs are filled from.
const ROWS_MAX: u64 = 10_000;

async fn field(bench: &Bench) -> anyhow::Result<Field> {
    let root = Root::prepare(bench)?;
    Ok(Field::default().with(root))
}

/// The root and its members, whose logs are filled.
struct Root {
    bench: Bench,
    network: Network,
    homes: Vec<PathBuf>,
    agreements: Vec<Vec<u8>>,
    entries: u64,
}

impl Root {
    fn prepare(bench: &Bench) -> anyhow::Result<Self> {
        let (root, since) = (ROOT.parse::<MemberId>()?, SINCE.parse()?);
        let count = match bench.scale {
            Scale::Tiny => MEMBERS_TINY,
            Scale::Quick | Scale::Full => MEMBERS,
        };
        let mut members = vec![network::member(ROOT, Role::Global, Reach::Tls)?];
        let mut agreements = Vec::new();
        for number in 1..=count {
            let member = network::member(&format!("M{number}"), Role::National, Reach::Nowhere)?;
            agreements.push(terms::upstream(&member.id, &root, since)?);
            members.push(member);
        }
        let network = network::prepare(bench, "root", members, agreements)?;
        let each = (bench.size / count).max(1);
        let rows = rows::file(bench, each.min(ROWS_MAX))?;
        let domain = &network.plan().trust_domain;
        let mut homes = Vec::new();
        for node in network.nodes() {
            if node.member().id != root {
                seed::own_log(node, domain, &rows, each)?;
                homes.push(node.home().to_owned());
            }
        }
        let agreements = network::signed_agreements(&network)?;
        Ok(Self {
            bench: bench.clone(),
            network,
            homes,
            agreements,
            entries: each * count,
        })
    }

    async fn measure(&mut self) -> anyhow::Result<Sample> {
        let root = self.network.node_mut(&ROOT.parse()?)?;
        root.empty(STOP_WITHIN).await?;
        root.start()?;
        root.ready(READY_WITHIN).await?;
        let fleet = Fleet::start(&self.bench, &self.homes).await?;
        network::linked(root, self.homes.len()).await?;
        let process = root.process_id().context("the root does not run")?;
        let idle = meter::memory(process)?;

        let (begin, cpu) = (Instant::now(), meter::cpu_seconds(&[process])?);
        for agreement in &self.agreements {
            root.accept_agreement(agreement.clone().into()).await?;
        }
        let entries = self.entries;
        let held = until(root, ARRIVE_WITHIN, POLL, |status| {
            match status.logs.iter().map(|log| log.denominalised).sum::<u64>() {
                held if held >= entries => Ok(held),
                held => Err(format!("of {entries} views {held} arrived")),
            }
        })
        .await?;
        let (wall, cpu) = (begin.elapsed().as_secs_f64(), meter::cpu_seconds(&[process])? - cpu);
        let memory = meter::memory(process)?;
        fleet.stop().await?;
        anyhow::ensure!(held == entries, "{held} views of {entries} entries");

        root.stop(STOP_WITHIN).await?;
        let disk = meter::disk_bytes(&root.config().store.folder)?;
        let start = network::started(root).await?;
        let restarted = meter::memory(root.process_id().context("the root does not run")?)?;
        root.kill()?;
        let start_after_kill = network::started(root).await?;
        let mb = |bytes: u64| bytes as f64 / 1e6;
        Ok(Sample::rate(self.entries, wall, cpu)
            .with("root_memory_mb", mb(memory.peak))
            .with("linked_memory_mb", mb(idle.now))
            .with("filled_memory_mb", mb(memory.now))
            .with("restarted_memory_mb", mb(restarted.now))
            .with("disk_bytes_per_record", disk as f64 / self.entries as f64)
            .with("start_ms", start.as_secs_f64() * 1000.0)
            .with("start_after_kill_ms", start_after_kill.as_secs_f64() * 1000.0))
    }
}

impl Contestant for Root {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Icomm
    }

    fn remark(&self) -> String {
        format!(
            "{} members, real nodes that share one process; CPU and memory (the most at any time) of the root alone",
            self.homes.len()
        )
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(self.measure())
    }

    fn finish(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Ok(self.network.stop().await?) })
    }
}
