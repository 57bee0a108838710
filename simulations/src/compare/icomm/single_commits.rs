//! Single commits: 16 programs, each handing over one record at a time and waiting until it is durable.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use icomm_node::api::client::Client;
use icomm_proto::v1;
use tokio::{task::JoinSet, time::Instant};

use super::{
    NAME,
    writer::{Call, Cases},
};
use crate::compare::{
    meter,
    series::Sample,
    workload::{Bench, Contestant, Kind},
    workloads::single_commits::WRITERS,
};

struct SingleCommits(Cases);

/// Two linked nodes, and as many cases a round as the workload's size.
///
/// # Errors
/// It can't be set up.
pub async fn single_commits(bench: &Bench) -> anyhow::Result<impl Contestant + use<>> {
    Ok(SingleCommits(Cases::prepare(bench, "single-commits").await?))
}

/// Cases that nobody has taken yet.
type Left = Arc<Mutex<std::vec::IntoIter<v1::ImportRow>>>;

impl SingleCommits {
    async fn commit(&mut self) -> anyhow::Result<Sample> {
        let Self(cases) = self;
        let left: Left = Arc::new(Mutex::new(cases.next().into_iter()));
        let pair = &cases.pair;
        let mut clients = Vec::with_capacity(WRITERS);
        for _ in 0..WRITERS {
            clients.push(pair.sender()?.client().await?);
        }
        let arrival = pair.arrival().await?;
        let (before, writer_before) = (pair.cost()?, meter::own_cpu_seconds()?);
        let begun = Instant::now();
        let mut writers: JoinSet<_> = clients
            .into_iter()
            .map(|client| write(client, Arc::clone(&left)))
            .collect();
        while let Some(written) = writers.join_next().await {
            written??;
        }
        let seconds = (arrival.await?? - begun).as_secs_f64();
        let (cost, writer) = (pair.cost()? - before, meter::own_cpu_seconds()? - writer_before);
        pair.check().await?;
        let delivered = cases.covered();
        let sample = cost.rate(delivered, seconds);
        Ok(sample.with("writer_cpu_us_per_record", writer * 1e6 / delivered as f64))
    }
}

async fn write(mut client: Client, left: Left) -> anyhow::Result<()> {
    let mut call = Call::open(&mut client).await?;
    loop {
        let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(row) = next else { return Ok(()) };
        call.commit(vec![row]).await?;
    }
}

impl Contestant for SingleCommits {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Icomm
    }

    fn remark(&self) -> String {
        "16 connections with an `Import` call on each, which hands over one record, waits until it is durable, and only then \
         hands over the next; commits that wait together share a signature and a sync"
            .to_owned()
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(self.commit())
    }

    fn finish(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(self.0.pair.stop())
    }
}
