//! Bulk import: a CSV file on the disk becomes durable in one node.

use tokio::task::block_in_place;

use crate::compare::{
    icomm, limits, postgres,
    scale::Sizes,
    workload::{Bench, Better, Field, Growth, Workload},
};

/// Records a second, from the file to durable.
pub const WORKLOAD: Workload = Workload {
    name: "import",
    what: "a CSV file of cases, from the disk to durable in one node",
    unit: "records/s",
    better: Better::Higher,
    sizes: Sizes {
        tiny: 500,
        quick: 100_000,
        full: 500_000,
    },
    counts: "records",
    growth: Growth::Linear,
    field: |bench| Box::pin(field(bench)),
};

async fn field(bench: &Bench) -> anyhow::Result<Field> {
    let field = Field::default().with(icomm::import(bench).await?);
    if !bench.peers {
        return Ok(field);
    }
    Ok(field
        .with_or_absent(postgres::import(bench).await?)
        .with(block_in_place(|| limits::parse_hash_write(bench))?))
}
