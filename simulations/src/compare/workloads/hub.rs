//! f, `hub`: twenty administrations hand their logs to their liaison office; the office passes all of them on, de-nominalised,
//! to the global node, and shows each administration the others'.
//!
//! Hub and root are processes of their own and the ones that are measured. The members are real nodes that share a process
//! ([`Fleet`]). The clock runs from the moment when the hub takes the agreements in, which then reach everybody by their links.
//! Fan-in and fan-out go on together: the figure is what the root holds when it holds everything, over the time until then.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context as _;
use futures::future::BoxFuture;
use icomm_node::{
    environment::Environment,
    network::{Basis, Folder, Network, Plan, Reach, Region, terms},
};
use icomm_pki::{MemberId, Role};
use tokio::time::Instant;

use crate::compare::{
    fleet::Fleet,
    icomm::{NAME, seed},
    meter,
    pair::{self, DOMAIN, ROOT, SINCE},
    rows::{self, Rows},
    scale::{Scale, Sizes},
    series::Sample,
    workload::{Bench, Better, Contestant, Field, Growth, Kind, Workload},
};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "hub",
    what: "twenty members' logs go through their office to the root, and to each other",
    unit: "records/s",
    better: Better::Higher,
    sizes: Sizes {
        tiny: 90,
        quick: 20_000,
        full: 100_000,
    },
    counts: "entries of all members",
    growth: Growth::Linear,
    field: |bench| Box::pin(field(bench)),
};

/// The office.
const HUB: &str = "RILO-WE";

/// Its members.
const MEMBERS: u64 = 20;

/// Members where only is shown that it runs.
const MEMBERS_TINY: u64 = 3;

/// How long a node may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// How often is asked how far it is.
const POLL: Duration = Duration::from_millis(10);

async fn field(bench: &Bench) -> anyhow::Result<Field> {
    let hub = Hub::prepare(bench)?;
    Ok(Field::default().with(hub))
}

/// The root, the office and its members.
struct Hub {
    bench: Bench,
    network: Network,
    rows: Rows,
    members: Vec<MemberId>,
    /// Entries of each member.
    each: u64,
}

impl Hub {
    fn prepare(bench: &Bench) -> anyhow::Result<Self> {
        let (hub, root, since) = (HUB.parse::<MemberId>()?, ROOT.parse()?, SINCE.parse()?);
        let count = match bench.scale {
            Scale::Tiny => MEMBERS_TINY,
            Scale::Quick | Scale::Full => MEMBERS,
        };
        let mut plan = Plan {
            trust_domain: DOMAIN.parse()?,
            members: vec![
                pair::member(ROOT, Role::Global, Reach::Tls)?,
                pair::member(HUB, Role::Regional, Reach::Tls)?,
            ],
            agreements: Vec::new(),
        };
        let mut members = Vec::new();
        for number in 1..=count {
            let mut member = pair::member(&format!("M{number}"), Role::National, Reach::Nowhere)?;
            member.regions.push(Region {
                office: hub.clone(),
                basis: Basis::Inferred,
            });
            members.push(member.id.clone());
            plan.members.push(member);
        }
        plan.agreements = vec![
            terms::regional(&hub, &members, since)?,
            terms::upstream(&hub, &root, since)?,
        ];
        let folder = Folder::kept(&bench.fresh_folder("hub")?)?;
        let network = Network::prepare(plan, &bench.program, folder, Environment::system())?;
        let each = (bench.size / count).max(1);
        Ok(Self {
            bench: bench.clone(),
            network,
            rows: rows::file(bench, each)?,
            members,
            each,
        })
    }

    /// Stops hub and root, empties every store and fills the members' logs.
    async fn reset(&mut self) -> anyhow::Result<Vec<PathBuf>> {
        for id in [HUB, ROOT] {
            self.network.node_mut(&id.parse()?)?.stop(STOP_WITHIN).await?;
        }
        let domain = &self.network.plan().trust_domain;
        let mut homes = Vec::new();
        for node in self.network.nodes() {
            let store = &node.config().store.folder;
            if store.exists() {
                fs::remove_dir_all(store)?;
            }
            if self.members.contains(&node.member().id) {
                seed::own_log(node, domain, &self.rows, self.each)?;
                homes.push(node.home().to_owned());
            }
        }
        Ok(homes)
    }

    async fn measure(&mut self) -> anyhow::Result<Sample> {
        let homes = self.reset().await?;
        for id in [ROOT, HUB] {
            let node = self.network.node_mut(&id.parse()?)?;
            node.start()?;
            node.ready(pair::READY_WITHIN).await?;
        }
        let (hub, root) = (self.network.node(&HUB.parse()?)?, self.network.node(&ROOT.parse()?)?);
        let fleet = Fleet::start(&self.bench, &homes).await?;
        // All members, and the root.
        pair::linked(hub, homes.len() + 1).await?;
        let running = |node: &icomm_node::network::Node| node.process_id().context("a node does not run");
        let processes = [running(hub)?, running(root)?];
        let agreements = pair::signed_agreements(&self.network)?;

        let (begin, cpu) = (Instant::now(), meter::cpu_seconds(&processes)?);
        for agreement in agreements {
            hub.accept_agreement(agreement.into()).await?;
        }
        let count = self.members.len() as u64;
        let (all, shown) = (count * self.each, count * (count - 1) * self.each);
        let deadline = begin + pair::ARRIVE_WITHIN;
        let views = loop {
            let logs = root.status().await?.logs;
            if logs.iter().map(|log| log.entries).sum::<u64>() >= all {
                break logs.iter().map(|log| log.denominalised).sum::<u64>();
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "not all of {all} entries arrived at the root"
            );
            tokio::time::sleep(POLL).await;
        };
        let (fan_in, fan_in_cpu) = (begin.elapsed().as_secs_f64(), meter::cpu_seconds(&processes)? - cpu);
        anyhow::ensure!(views > 0, "the root holds hashes alone");
        loop {
            let links = hub.status().await?.links;
            let sent = links
                .iter()
                .filter(|link| link.member != ROOT)
                .map(|link| link.sent_entries);
            if sent.sum::<u64>() >= shown {
                break;
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "not all of {shown} entries were shown to the members"
            );
            tokio::time::sleep(POLL).await;
        }
        let fan_out = begin.elapsed().as_secs_f64();
        let memory = meter::memory(running(hub)?)?;
        fleet.stop().await?;
        Ok(Sample::rate(views, fan_in, fan_in_cpu)
            .with("fan_out_entries_per_s", shown as f64 / fan_out)
            .with("hub_memory_mb", memory.peak as f64 / 1e6))
    }
}

impl Contestant for Hub {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Icomm
    }

    fn remark(&self) -> String {
        format!(
            "{} members, real nodes that share one process; CPU of hub and root while fan-out goes on beside",
            self.members.len()
        )
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(self.measure())
    }

    fn finish(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Ok(self.network.stop().await?) })
    }
}
