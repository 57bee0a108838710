//! Catch-up: a new partner comes and pulls the whole log.

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::{NAME, pair::Pair};
use crate::compare::{
    rows,
    series::Sample,
    workload::{Bench, Contestant, Kind},
};

struct CatchUp(Pair);

/// A sender whose log holds as many cases as the workload's size.
///
/// # Errors
/// It can't be set up.
pub async fn catch_up(bench: &Bench) -> anyhow::Result<impl Contestant + use<>> {
    let mut pair = Pair::prepare(bench, "catch-up")?;
    pair.seed(&rows::file(bench, bench.size)?, bench.size)?;
    pair.start_sender().await?;
    Ok(CatchUp(pair))
}

impl CatchUp {
    async fn pull(&mut self) -> anyhow::Result<Sample> {
        let Self(pair) = self;
        pair.renew_receiver().await?;
        let agreement = pair.sign().await?;
        let arrival = pair.arrival().await?;
        let before = pair.cost()?;
        let begun = Instant::now();
        pair.accept(agreement).await?;
        let seconds = (arrival.await?? - begun).as_secs_f64();
        let cost = pair.cost()? - before;
        pair.check().await?;
        pair.suspend().await?;
        Ok(cost.rate(pair.expected().covered, seconds))
    }
}

impl Contestant for CatchUp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Icomm
    }

    fn remark(&self) -> String {
        "the clock starts when the receiver, linked and empty, is handed the signed agreement; every view is verified \
         against the originator's signature, every disclosure noted durably before it leaves, every chunk acknowledged; \
         TLS 1.3 with client certificates"
            .to_owned()
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(self.pull())
    }

    fn finish(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(self.0.stop())
    }
}
