//! f, `hub`: twenty administrations hand their logs to their liaison office; the office passes all of them on, de-nominalised,
//! to the global node, and shows each administration the others'.
//!
//! Hub and root are processes of their own and the ones that are measured. The members are real nodes that share a process
//! ([`Fleet`]). The clock runs from the moment when the hub takes the agreements in, which then reach everybody by their links.
//! Fan-in and fan-out go on together: the figure is what the root holds when it holds everything, over the time until then.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use futures::future::BoxFuture;
use icomm_node::network::{Basis, Network, Node, Reach, Region, terms};
use icomm_pki::{MemberId, Role};
use tokio::time::Instant;

use crate::compare::{
    fleet::Fleet,
    icomm::{NAME, seed},
    meter,
    network::{self, ARRIVE_WITHIN, READY_WITHIN, ROOT, SINCE, STOP_WITHIN, until},
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
        let mut all = vec![
            network::member(ROOT, Role::Global, Reach::Tls)?,
            network::member(HUB, Role::Regional, Reach::Tls)?,
        ];
        let mut members = Vec::new();
        for number in 1..=count {
            let mut member = network::member(&format!("M{number}"), Role::National, Reach::Nowhere)?;
            member.regions.push(Region {
                office: hub.clone(),
                basis: Basis::Inferred,
            });
            members.push(member.id.clone());
            all.push(member);
        }
        let agreements = vec![
            terms::regional(&hub, &members, since)?,
            terms::upstream(&hub, &root, since)?,
        ];
        let each = (bench.size / count).max(1);
        Ok(Self {
            bench: bench.clone(),
            network: network::prepare(bench, "hub", all, agreements)?,
            rows: rows::file(bench, each)?,
            members,
            each,
        })
    }

    /// Stops hub and root, empties every store and fills the members' logs.
    async fn reset(&mut self) -> anyhow::Result<Vec<PathBuf>> {
        for id in [HUB, ROOT] {
            self.network.node_mut(&id.parse()?)?.empty(STOP_WITHIN).await?;
        }
        let domain = self.network.plan().trust_domain.clone();
        let mut homes = Vec::new();
        for id in &self.members {
            let node = self.network.node_mut(id)?;
            node.empty(STOP_WITHIN).await?;
            seed::own_log(node, &domain, &self.rows, self.each)?;
            homes.push(node.home().to_owned());
        }
        Ok(homes)
    }

    async fn measure(&mut self) -> anyhow::Result<Sample> {
        let homes = self.reset().await?;
        for id in [ROOT, HUB] {
            let node = self.network.node_mut(&id.parse()?)?;
            node.start()?;
            node.ready(READY_WITHIN).await?;
        }
        let (hub, root) = (self.network.node(&HUB.parse()?)?, self.network.node(&ROOT.parse()?)?);
        let fleet = Fleet::start(&self.bench, &homes).await?;
        // All members, and the root.
        network::linked(hub, homes.len() + 1).await?;
        let running = |node: &Node| node.process_id().context("a node does not run");
        let processes = [running(hub)?, running(root)?];
        let agreements = network::signed_agreements(&self.network)?;

        let (begin, cpu) = (Instant::now(), meter::cpu_seconds(&processes)?);
        for agreement in agreements {
            hub.accept_agreement(agreement.into()).await?;
        }
        let count = self.members.len() as u64;
        let (all, shown) = (count * self.each, count * (count - 1) * self.each);
        let views = until(root, ARRIVE_WITHIN, POLL, |status| {
            let entries: u64 = status.logs.iter().map(|log| log.entries).sum();
            match entries >= all {
                true => Ok(status.logs.iter().map(|log| log.denominalised).sum::<u64>()),
                false => Err(format!("of {all} entries {entries} arrived at the root")),
            }
        })
        .await?;
        let (fan_in, fan_in_cpu) = (begin.elapsed().as_secs_f64(), meter::cpu_seconds(&processes)? - cpu);
        anyhow::ensure!(views > 0, "the root holds hashes alone");
        until(hub, ARRIVE_WITHIN, POLL, |status| {
            let members = status.links.iter().filter(|link| link.member != ROOT);
            let sent: u64 = members.map(|link| link.sent_entries).sum();
            match sent >= shown {
                true => Ok(()),
                false => Err(format!("of {shown} entries {sent} were shown to the members")),
            }
        })
        .await?;
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
