//! Single commits: 16 writers, one record each at a time.

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
    name: "single-commits",
    what: "16 writers, one record a commit, until the partner has all that it is granted",
    unit: "records/s",
    better: Better::Higher,
    sizes: Sizes {
        tiny: 160,
        quick: 5_000,
        full: 20_000,
    },
    counts: "records",
    growth: Growth::Linear,
    field: |bench| Box::pin(field(bench)),
};

/// Who write at the same time, each with one record under way.
pub const WRITERS: usize = 16;

const BARE: Load = Load {
    callers: WRITERS,
    commit_records: 1,
    under_way: 1,
    pace: None,
};

async fn field(bench: &Bench) -> anyhow::Result<Field> {
    let field = Field::default().with(icomm::single_commits(bench).await?);
    if !bench.peers {
        return Ok(field);
    }
    Ok(field
        .with_or_absent(postgres::single_commits(bench).await?)
        .with_or_absent(nats::single_commits(bench).await?)
        .with(block_in_place(|| bare_commit::bare_commit(bench, BARE))?))
}
