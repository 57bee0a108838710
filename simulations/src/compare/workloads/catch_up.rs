//! Catch-up: a new partner pulls everything that it is granted.

use tokio::task::block_in_place;

use crate::compare::{
    icomm, limits, nats, postgres,
    scale::Sizes,
    workload::{Bench, Better, Field, Growth, Workload},
};

/// De-nominalised views delivered a second.
pub const WORKLOAD: Workload = Workload {
    name: "catch-up",
    what: "a new partner pulls all that it is granted of a log, de-nominalised; durable at both ends",
    unit: "records/s",
    better: Better::Higher,
    sizes: Sizes {
        tiny: 500,
        quick: 100_000,
        full: 500_000,
    },
    counts: "entries in the log",
    growth: Growth::Linear,
    field: |bench| Box::pin(field(bench)),
};

async fn field(bench: &Bench) -> anyhow::Result<Field> {
    let field = Field::default().with(icomm::catch_up(bench).await?);
    if !bench.peers {
        return Ok(field);
    }
    Ok(field
        .with_or_absent(postgres::catch_up(bench).await?)
        .with_or_absent(nats::catch_up(bench).await?)
        .with(block_in_place(|| limits::bare_path(bench))?))
}
