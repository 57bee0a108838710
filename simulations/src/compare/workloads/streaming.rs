//! Streaming: commits of 100 records reach the partner as they are made.

use tokio::task::block_in_place;

use crate::compare::{
    icomm,
    limits::bare_commit::{self, Load},
    nats, postgres,
    scale::Sizes,
    workload::{Bench, Better, Field, Growth, Workload},
};

/// De-nominalised views delivered a second.
pub const WORKLOAD: Workload = Workload {
    name: "streaming",
    what: "commits of 100 records, up to 4 under way, until the partner has all that it is granted",
    unit: "records/s",
    better: Better::Higher,
    sizes: Sizes {
        tiny: 500,
        quick: 20_000,
        full: 50_000,
    },
    counts: "records",
    growth: Growth::Linear,
    field: |bench| Box::pin(field(bench)),
};

/// Records in one commit.
pub const COMMIT_RECORDS: usize = 100;

/// Commits under way at once.
pub const COMMITS_UNDER_WAY: usize = 4;

const BARE: Load = Load {
    callers: 1,
    commit_records: COMMIT_RECORDS,
    under_way: COMMITS_UNDER_WAY,
    pace: None,
};

async fn field(bench: &Bench) -> anyhow::Result<Field> {
    let field = Field::default().with(icomm::streaming(bench).await?);
    if !bench.peers {
        return Ok(field);
    }
    Ok(field
        .with_or_absent(postgres::streaming(bench).await?)
        .with_or_absent(nats::streaming(bench).await?)
        .with(block_in_place(|| bare_commit::bare_commit(bench, BARE))?))
}
