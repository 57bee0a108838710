//! PostgreSQL's logical replication, what an administration would use instead: two servers on loopback, a publication with a
//! row filter and a column list, TLS 1.3 with client certificates, everything synced. It signs nothing and proves nothing.
//!
//! Servers are made for each workload, in the run's folder, and go away with it; an installed server is left alone.

mod catch_up;
mod installation;
mod pair;
mod server;
mod table;
#[cfg(test)]
mod tests;

pub use self::catch_up::CatchUp;
use self::installation::Installation;
use super::workload::{Absent, Bench};

/// Its name in tables and JSON.
const NAME: &str = "postgresql";

/// Catch-up: the initial copy of a new subscription.
///
/// # Errors
/// A server can't be set up.
pub async fn catch_up(bench: &Bench) -> anyhow::Result<Result<CatchUp, Absent>> {
    match found() {
        Ok(installation) => CatchUp::prepare(bench, &installation).await.map(Ok),
        Err(absent) => Ok(Err(absent)),
    }
}

fn found() -> Result<Installation, Absent> {
    Installation::find().map_err(|why| Absent { name: NAME, why })
}

fn remark(installation: &Installation, how: &str) -> String {
    let version = installation.version();
    format!(
        "PostgreSQL {version}, {how}; row filter, column list, TLS 1.3 with client certificates, fsync and synchronous_commit \
         on at both ends, autovacuum off; nothing is signed or verified"
    )
}
