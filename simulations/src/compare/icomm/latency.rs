//! Latency: from an officer's commit to the moment at which the partner sees the record, at a steady pace.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use futures::future::BoxFuture;
use icomm_proto::v1;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{
    NAME,
    writer::{self, Cases},
};
use crate::compare::{
    delays::Delays,
    series::Sample,
    workload::{Bench, Contestant, Kind},
    workloads::latency::PACE,
};

/// How long the last records may take before the round has failed.
const ARRIVE_WITHIN: Duration = Duration::from_secs(60);

struct Latency(Cases);

/// Two linked nodes, and as many commits a round as the workload's size.
///
/// # Errors
/// It can't be set up.
pub async fn latency(bench: &Bench) -> anyhow::Result<impl Contestant + use<>> {
    Ok(Latency(Cases::prepare(bench, "latency").await?))
}

/// When what happened to the entry with an index.
type Moments = BTreeMap<u64, Instant>;

impl Latency {
    async fn pace(&mut self) -> anyhow::Result<Sample> {
        let Self(cases) = self;
        let from = cases.pair.expected().entries;
        let rows = cases.next();
        let (pair, covered) = (&cases.pair, cases.covered());
        let seen = watch(cases, from, covered).await?;
        let client = pair.sender()?.client().await?;
        let before = pair.cost()?;
        let mut commits = JoinSet::new();
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for v1::ImportRow { key, draft } in rows {
            ticks.tick().await;
            let mut client = client.clone();
            commits.spawn(async move {
                let called = Instant::now();
                let answer = client.submit(v1::SubmitRequest { draft, key }).await?;
                anyhow::Ok((writer::issued(answer.into_inner().outcome)?, called))
            });
        }
        let mut called = Moments::new();
        while let Some(commit) = commits.join_next().await {
            let (index, moment) = commit??;
            called.insert(index, moment);
        }
        let seen = seen.await??;
        let cost = pair.cost()? - before;
        pair.check().await?;
        let delay = |(index, seen): (u64, Instant)| Some(seen.saturating_duration_since(*called.get(&index)?));
        let delays: Option<Delays> = seen.into_iter().map(delay).collect();
        let delays = delays.context("the partner saw a record that nobody committed")?;
        let sample = delays.sample().context("the partner saw nothing")?;
        Ok(cost.beside(sample, covered))
    }
}

/// When the receiver sees each of so many records: those that are disclosed to it, in the log from an index on.
async fn watch(cases: &Cases, from: u64, records: u64) -> anyhow::Result<JoinHandle<anyhow::Result<Moments>>> {
    let request = v1::WatchRequest {
        origin: cases.pair.origin().to_owned(),
        from: Some(from),
    };
    let mut client = cases.pair.receiver()?.client().await?;
    let mut entries = client.watch(request).await?.into_inner();
    Ok(tokio::spawn(async move {
        let mut seen = Moments::new();
        while (seen.len() as u64) < records {
            let entry = timeout(ARRIVE_WITHIN, entries.message()).await;
            let entry = entry.context("not every record has arrived in time")??;
            let entry = entry.context("the receiver stopped")?;
            if !entry.sections.is_empty() {
                seen.insert(entry.index, Instant::now());
            }
        }
        Ok(seen)
    }))
}

impl Contestant for Latency {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Icomm
    }

    fn remark(&self) -> String {
        "from the call of `Submit` to the record on the partner's `Watch` stream, both ends durable by then".to_owned()
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(self.pace())
    }

    fn finish(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(self.0.pair.stop())
    }
}
