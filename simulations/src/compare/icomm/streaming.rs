//! Streaming: one program hands over commits of 100 records, and the partner gets them as they come.

use futures::future::BoxFuture;
use icomm_proto::v1;
use tokio::{task::block_in_place, time::Instant};

use super::{
    NAME,
    writer::{self, Cases},
};
use crate::compare::{
    delivered::Delivered,
    meter, rows,
    series::Sample,
    workload::{Bench, Contestant, Kind},
    workloads::streaming::{COMMIT_RECORDS, COMMITS_UNDER_WAY},
};

struct Streaming {
    cases: Cases,
    delivered: Delivered,
}

/// Two linked nodes, and as many cases a round as the workload's size.
///
/// # Errors
/// It can't be set up.
pub async fn streaming(bench: &Bench) -> anyhow::Result<impl Contestant + use<>> {
    let rows = rows::file(bench, bench.size)?;
    Ok(Streaming {
        delivered: block_in_place(|| Delivered::by_icomm(&rows))?,
        cases: Cases::prepare(bench, "streaming").await?,
    })
}

impl Streaming {
    async fn stream(&mut self) -> anyhow::Result<Sample> {
        let Self { cases, delivered } = self;
        let batches = batches(cases.next());
        let pair = &cases.pair;
        let mut client = pair.sender()?.client().await?;
        let arrival = pair.arrival().await?;
        let (before, writer_before) = (pair.cost()?, meter::own_cpu_seconds()?);
        let begun = Instant::now();
        writer::import(&mut client, batches, COMMITS_UNDER_WAY).await?;
        let seconds = (arrival.await?? - begun).as_secs_f64();
        let (cost, writer) = (pair.cost()? - before, meter::own_cpu_seconds()? - writer_before);
        pair.check().await?;
        let covered = cases.covered();
        let sample = delivered.beside(cost.rate(covered, seconds));
        Ok(sample.with("writer_cpu_us_per_record", writer * 1e6 / covered as f64))
    }
}

fn batches(rows: Vec<v1::ImportRow>) -> Vec<Vec<v1::ImportRow>> {
    let mut rows = rows.into_iter();
    let batch = || Some(rows.by_ref().take(COMMIT_RECORDS).collect::<Vec<_>>()).filter(|batch| !batch.is_empty());
    std::iter::from_fn(batch).collect()
}

impl Contestant for Streaming {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Icomm
    }

    fn remark(&self) -> String {
        "one `Import` call with 4 batches of 100 typed drafts under way; each batch is validated, sealed and issued with an \
         intake key a record, and durable when it is answered"
            .to_owned()
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(self.stream())
    }

    fn finish(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(self.cases.pair.stop())
    }
}
