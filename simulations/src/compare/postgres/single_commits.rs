//! Single commits: 16 connections, each with one INSERT under way.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use csv::StringRecord;
use tokio::{task::JoinSet, time::Instant};
use tokio_postgres::Client;

use super::{
    cases::{self, Cases},
    installation::Installation,
};
use crate::compare::{meter, series::Sample, workload::Bench, workloads::single_commits::WRITERS};

/// A pair, and as many cases a round as the workload's size.
pub(super) struct SingleCommits {
    cases: Cases,
    writers: Vec<Arc<Client>>,
}

impl SingleCommits {
    pub(super) async fn prepare(bench: &Bench, installation: &Installation) -> anyhow::Result<Self> {
        let cases = Cases::prepare(bench, installation).await?;
        let writers = cases.writers(WRITERS).await?;
        Ok(Self { cases, writers })
    }

    pub(super) async fn round(&mut self) -> anyhow::Result<Sample> {
        let Self { cases, writers } = self;
        cases.pair.clear().await?;
        let insert = cases.pair.table.insert();
        let taken = Arc::new(AtomicUsize::new(0));
        let (before, writer_before) = (cases.pair.cost()?, meter::own_cpu_seconds()?);
        let begun = Instant::now();
        let mut writers: JoinSet<_> = writers
            .iter()
            .map(|writer| write(Arc::clone(writer), insert.clone(), cases.shared(), Arc::clone(&taken)))
            .collect();
        while let Some(written) = writers.join_next().await {
            written??;
        }
        cases.all_arrived().await?;
        let seconds = begun.elapsed().as_secs_f64();
        let (cost, writer) = (cases.pair.cost()? - before, meter::own_cpu_seconds()? - writer_before);
        cases.check().await?;
        let delivered = cases.covered();
        let sample = cost.rate(delivered, seconds);
        Ok(sample.with("writer_cpu_us_per_record", writer * 1e6 / delivered as f64))
    }
}

/// Writes cases that nobody has taken yet until none is left.
async fn write(
    writer: Arc<Client>,
    insert: String,
    cases: Arc<[StringRecord]>,
    taken: Arc<AtomicUsize>,
) -> anyhow::Result<()> {
    let insert = writer.prepare(&insert).await?;
    while let Some(case) = cases.get(taken.fetch_add(1, Ordering::Relaxed)) {
        cases::insert(&writer, &insert, case).await?;
    }
    Ok(())
}
