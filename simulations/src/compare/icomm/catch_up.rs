//! Catch-up: a new partner comes and pulls the whole log.

use futures::future::BoxFuture;
use icomm_node::network::Reach;
use tokio::{task::block_in_place, time::Instant};

use super::{NAME, pair::Pair};
use crate::compare::{
    delivered::Delivered,
    rows,
    series::Sample,
    workload::{Bench, Contestant, Kind},
};

struct CatchUp {
    pair: Pair,
    name: &'static str,
    carrier: Reach,
    delivered: Delivered,
}

/// A sender whose log holds as many cases as the workload's size, over TCP with mutual TLS.
///
/// # Errors
/// It can't be set up.
pub async fn catch_up(bench: &Bench) -> anyhow::Result<impl Contestant + use<>> {
    over(bench, NAME, Reach::Tls).await
}

/// The same over libp2p's QUIC.
///
/// # Errors
/// It can't be set up.
pub async fn catch_up_over_quic(bench: &Bench) -> anyhow::Result<impl Contestant + use<>> {
    over(bench, "quic", Reach::Quic).await
}

/// The same over libp2p's TCP with Noise and yamux.
///
/// # Errors
/// It can't be set up.
pub async fn catch_up_over_noise(bench: &Bench) -> anyhow::Result<impl Contestant + use<>> {
    over(bench, "noise", Reach::Noise).await
}

async fn over(bench: &Bench, name: &'static str, carrier: Reach) -> anyhow::Result<CatchUp> {
    let mut pair = Pair::prepare_over(bench, &format!("catch-up-{name}"), carrier)?;
    let rows = rows::file(bench, bench.size)?;
    let delivered = block_in_place(|| Delivered::by_icomm(&rows))?;
    pair.seed(&rows, bench.size)?;
    pair.start_sender().await?;
    Ok(CatchUp {
        pair,
        name,
        carrier,
        delivered,
    })
}

impl CatchUp {
    async fn pull(&mut self) -> anyhow::Result<Sample> {
        let Self { pair, delivered, .. } = self;
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
        Ok(delivered.beside(cost.rate(pair.expected().covered, seconds)))
    }
}

impl Contestant for CatchUp {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> Kind {
        match self.carrier {
            Reach::Tls => Kind::Icomm,
            Reach::Quic | Reach::Noise | Reach::Nowhere => Kind::Variant,
        }
    }

    fn remark(&self) -> String {
        let carrier = match self.carrier {
            Reach::Tls | Reach::Nowhere => "TLS 1.3 with client certificates",
            Reach::Quic => "libp2p over QUIC",
            Reach::Noise => "libp2p over TCP with Noise and yamux",
        };
        format!(
            "the clock starts when the receiver, linked and empty, is handed the signed agreement; every view is verified \
             against the originator's signature, every disclosure noted durably before it leaves, every chunk \
             acknowledged; {carrier}"
        )
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(self.pull())
    }

    fn finish(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(self.pair.stop())
    }
}
