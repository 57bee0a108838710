//! Catch-up: the initial copy of a new subscription.

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};

use super::{
    NAME,
    installation::Installation,
    pair::{POLL, Pair},
    table::{self, TABLE},
};
use crate::compare::{
    rows,
    series::Sample,
    workload::{Bench, Contestant, Kind},
};

/// The publisher holds all rows; in each round the subscriber comes anew.
pub struct CatchUp {
    pair: Pair,
    covered: u64,
    remark: String,
}

impl CatchUp {
    pub(super) async fn prepare(bench: &Bench, installation: &Installation) -> anyhow::Result<Self> {
        let rows = rows::file(bench, bench.size)?;
        let covered = rows.covered()?;
        let pair = Pair::start(bench, installation, &rows).await?;
        pair.publisher
            .copy_file(&rows, TABLE, &table::columns_of(&rows)?)
            .await?;
        // So that no round pays for what only the first reader of new rows does.
        pair.publishers.simple_query(&format!("VACUUM ANALYZE {TABLE}")).await?;
        Ok(Self {
            pair,
            covered,
            remark: super::remark(installation, "initial copy of a new subscription"),
        })
    }

    async fn copy(&mut self) -> anyhow::Result<Sample> {
        let Self { pair, covered, .. } = self;
        pair.unsubscribe().await?;
        pair.subscribers.batch_execute(&format!("TRUNCATE {TABLE}")).await?;
        futures::try_join!(
            pair.publishers.batch_execute("CHECKPOINT"),
            pair.subscribers.batch_execute("CHECKPOINT")
        )?;
        let in_sync = "SELECT FROM pg_subscription_rel WHERE srsubstate IN ('s', 'r')";
        let in_sync = pair.subscribers.prepare(in_sync).await?;

        let (before, begun) = (pair.cost()?, Instant::now());
        pair.subscribe(true).await?;
        while pair.subscribers.query_opt(&in_sync, &[]).await?.is_none() {
            sleep(POLL).await;
        }
        let (seconds, cost) = (begun.elapsed().as_secs_f64(), pair.cost()? - before);

        pair.flowing().await?;
        pair.expect(*covered).await?;
        Ok(cost.rate(*covered, seconds))
    }
}

impl Contestant for CatchUp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Peer
    }

    fn remark(&self) -> String {
        self.remark.clone()
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(self.copy())
    }
}
