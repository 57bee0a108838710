//! Catch-up: the initial copy of a new subscription.

use tokio::time::{Instant, sleep};

use super::{
    general,
    installation::Installation,
    pair::{POLL, Pair},
    table::{self, TABLE},
};
use crate::compare::{rows, series::Sample, workload::Bench};

/// The publisher holds all rows; in each round the subscriber comes anew.
pub(super) struct CatchUp {
    pair: Pair,
    covered: u64,
}

impl CatchUp {
    pub(super) async fn prepare(bench: &Bench, installation: &Installation) -> anyhow::Result<Self> {
        let rows = general::file(&rows::file(bench, bench.size)?)?;
        let covered = rows.covered()?;
        let pair = Pair::start(bench, installation, &rows).await?;
        pair.publisher.copy_file(&rows).await?;
        // So that no round pays for what only the first reader of new rows does.
        pair.publishers
            .batch_execute(&format!("VACUUM ANALYZE {TABLE}"))
            .await?;
        Ok(Self { pair, covered })
    }

    pub(super) async fn round(&mut self) -> anyhow::Result<Sample> {
        let Self { pair, covered } = self;
        pair.unsubscribe().await?;
        pair.subscribers.batch_execute(&format!("TRUNCATE {TABLE}")).await?;
        pair.checkpoint().await?;
        let in_sync = "SELECT FROM pg_subscription_rel WHERE srsubstate IN ('s', 'r')";
        let in_sync = pair.subscribers.prepare(in_sync).await?;
        let (before, begun) = (pair.cost()?, Instant::now());
        pair.subscribe(true).await?;
        while pair.subscribers.query_opt(&in_sync, &[]).await?.is_none() {
            sleep(POLL).await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let cost = pair.cost()? - before;
        pair.flowing().await?;
        table::expect(&pair.subscribers, *covered).await?;
        let delivered = pair.table.delivered(&pair.subscribers).await?;
        Ok(delivered.beside(cost.rate(*covered, seconds)))
    }
}
