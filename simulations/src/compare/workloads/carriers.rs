//! l, `carriers`: the same catch-up over each carrier that links can run on.

use crate::compare::{
    icomm,
    scale::Sizes,
    workload::{Bench, Better, Field, Growth, Workload},
};

/// De-nominalised views delivered a second.
pub const WORKLOAD: Workload = Workload {
    name: "carriers",
    what: "a new partner's catch-up over TLS, and over libp2p's QUIC and Noise",
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
        .with(icomm::catch_up_over_quic(bench).await?)
        .with(icomm::catch_up_over_noise(bench).await?))
}
