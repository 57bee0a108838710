//! Streaming: one connection, transactions of 100 rows.

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;
use tokio_postgres::{Client, CopyInSink, Statement};

use super::{cases::Cases, installation::Installation, table};
use crate::compare::{
    meter,
    series::Sample,
    workload::Bench,
    workloads::streaming::{COMMIT_RECORDS, COMMITS_UNDER_WAY},
};

/// A pair, and as many cases a round as the workload's size.
pub(super) struct Streaming {
    cases: Cases,
    writer: Client,
    copy: Statement,
    /// What COPY takes, a commit each.
    commits: Vec<Bytes>,
}

impl Streaming {
    pub(super) async fn prepare(bench: &Bench, installation: &Installation) -> anyhow::Result<Self> {
        let cases = Cases::prepare(bench, installation).await?;
        let writer = cases.pair.publisher.connect().await?;
        let copy = writer.prepare(&cases.pair.table.copy()).await?;
        let commits = cases.all().chunks(COMMIT_RECORDS).map(table::copied).collect();
        Ok(Self {
            cases,
            writer,
            copy,
            commits,
        })
    }

    pub(super) async fn round(&mut self) -> anyhow::Result<Sample> {
        let Self {
            cases,
            writer,
            copy,
            commits,
        } = self;
        cases.pair.clear().await?;
        let commits: Vec<_> = commits.iter().map(|rows| commit(writer, copy, rows.clone())).collect();
        let (before, writer_before) = (cases.pair.cost()?, meter::own_cpu_seconds()?);
        let begun = Instant::now();
        stream::iter(commits)
            .buffered(COMMITS_UNDER_WAY)
            .try_collect::<()>()
            .await?;
        cases.arrived().await?;
        let seconds = begun.elapsed().as_secs_f64();
        let (cost, writer) = (cases.pair.cost()? - before, meter::own_cpu_seconds()? - writer_before);
        cases.check().await?;
        let covered = cases.covered();
        let delivered = cases.pair.table.delivered(&cases.pair.subscribers).await?;
        let sample = delivered.beside(cost.rate(covered, seconds));
        Ok(sample.with("writer_cpu_us_per_record", writer * 1e6 / covered as f64))
    }
}

async fn commit(writer: &Client, copy: &Statement, rows: Bytes) -> anyhow::Result<()> {
    let mut sink: std::pin::Pin<Box<CopyInSink<Bytes>>> = Box::pin(writer.copy_in(copy).await?);
    sink.send(rows).await?;
    sink.as_mut().finish().await?;
    Ok(())
}
