//! Latency: from the commit to the partner, at 100 commits a second.

use std::time::Duration;

use tokio::task::block_in_place;

use crate::compare::{
    icomm,
    limits::bare_commit::{self, Load},
    nats, postgres,
    scale::Sizes,
    workload::{Bench, Better, Field, Growth, Workload},
};

/// The 99th percentile from the call to the partner.
pub const WORKLOAD: Workload = Workload {
    name: "latency",
    what: "100 single-record commits a second; from the call to the record at the partner, 99th percentile",
    unit: "ms",
    better: Better::Lower,
    sizes: Sizes {
        tiny: 100,
        quick: 1_000,
        full: 3_000,
    },
    counts: "commits",
    growth: Growth::FlatIn("p50_ms"),
    field: |bench| Box::pin(field(bench)),
};

/// Between two commits, whether the one before is through or not: a hundred a second.
pub const PACE: Duration = Duration::from_millis(10);

/// As many connections as PostgreSQL's side takes turns with.
const BARE: Load = Load {
    callers: 4,
    commit_records: 1,
    under_way: 1024,
    pace: Some(PACE),
};

async fn field(bench: &Bench) -> anyhow::Result<Field> {
    let field = Field::default().with(icomm::latency(bench).await?);
    if !bench.peers {
        return Ok(field);
    }
    Ok(field
        .with_or_absent(postgres::latency(bench).await?)
        .with_or_absent(nats::latency(bench).await?)
        .with(block_in_place(|| bare_commit::bare_commit(bench, BARE))?))
}
