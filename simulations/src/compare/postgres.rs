//! PostgreSQL's logical replication, what an administration would use instead: two servers on loopback, a publication with a
//! row filter and a column list, TLS 1.3 with client certificates, everything synced. It signs nothing and proves nothing.
//!
//! Servers are made for each workload, in the run's folder, and go away with it; an installed server is left alone. Each job
//! is done in the way that was fastest here: `\copy` from a file, a COPY for every commit of 100 rows (multi-row INSERTs reach
//! three quarters of that), prepared INSERTs for single rows, and values replicated in binary form.

mod cases;
mod catch_up;
mod general;
mod import;
mod installation;
mod latency;
mod pair;
mod server;
mod single_commits;
mod streaming;
mod table;
#[cfg(test)]
mod tests;

use futures::future::BoxFuture;

use self::{
    catch_up::CatchUp, import::Import, installation::Installation, latency::Latency, single_commits::SingleCommits,
    streaming::Streaming,
};
use super::{
    series::Sample,
    workload::{Absent, Bench, Contestant, Kind},
};

/// Its name in tables and JSON.
const NAME: &str = "postgresql";

/// PostgreSQL, ready for the rounds of one workload.
pub struct PostgreSql {
    job: Job,
    version: String,
}

enum Job {
    Import(Import),
    CatchUp(CatchUp),
    Streaming(Streaming),
    SingleCommits(SingleCommits),
    Latency(Latency),
}

/// Import: `psql` copies a file into a table.
///
/// # Errors
/// A server can't be set up.
pub async fn import(bench: &Bench) -> anyhow::Result<Result<PostgreSql, Absent>> {
    set_up(async |installation| Ok(Job::Import(Import::prepare(bench, installation).await?))).await
}

/// Catch-up: the initial copy of a new subscription.
///
/// # Errors
/// A server can't be set up.
pub async fn catch_up(bench: &Bench) -> anyhow::Result<Result<PostgreSql, Absent>> {
    set_up(async |installation| Ok(Job::CatchUp(CatchUp::prepare(bench, installation).await?))).await
}

/// Streaming: transactions of 100 rows, which the subscriber applies.
///
/// # Errors
/// A server can't be set up.
pub async fn streaming(bench: &Bench) -> anyhow::Result<Result<PostgreSql, Absent>> {
    set_up(async |installation| Ok(Job::Streaming(Streaming::prepare(bench, installation).await?))).await
}

/// Single commits: 16 writers, one row a transaction.
///
/// # Errors
/// A server can't be set up.
pub async fn single_commits(bench: &Bench) -> anyhow::Result<Result<PostgreSql, Absent>> {
    set_up(async |installation| Ok(Job::SingleCommits(SingleCommits::prepare(bench, installation).await?))).await
}

/// Latency: from an INSERT to its notification at the subscriber, at a steady pace.
///
/// # Errors
/// A server can't be set up.
pub async fn latency(bench: &Bench) -> anyhow::Result<Result<PostgreSql, Absent>> {
    set_up(async |installation| Ok(Job::Latency(Latency::prepare(bench, installation).await?))).await
}

async fn set_up(
    prepare: impl AsyncFnOnce(&Installation) -> anyhow::Result<Job>,
) -> anyhow::Result<Result<PostgreSql, Absent>> {
    let installation = match Installation::find() {
        Ok(installation) => installation,
        Err(why) => return Ok(Err(Absent { name: NAME, why })),
    };
    let job = prepare(&installation).await?;
    let version = installation.version().to_owned();
    Ok(Ok(PostgreSql { job, version }))
}

impl Contestant for PostgreSql {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Peer
    }

    fn remark(&self) -> String {
        let how = match &self.job {
            Job::Import(_) => "`\\copy` into one table with a primary key",
            Job::CatchUp(_) => "initial copy of a new subscription, from CREATE SUBSCRIPTION until in sync",
            Job::Streaming(_) => "a COPY of 100 rows a transaction, 4 sent ahead on one connection",
            Job::SingleCommits(_) => "16 connections, a prepared INSERT at a time on each",
            Job::Latency(_) => "from the call of a prepared INSERT to a trigger's NOTIFY at the subscriber",
        };
        let replication = match &self.job {
            Job::Import(_) => "",
            _ => {
                " at both ends, row filter and column list, month, bands and ages made beforehand, binary form, TLS 1.3 with \
                  client certificates"
            }
        };
        let version = &self.version;
        format!(
            "{version}; {how}; fsync and synchronous_commit on{replication}; autovacuum off in its favour; nothing is \
             validated, signed or verified"
        )
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        match &mut self.job {
            Job::Import(job) => Box::pin(job.round()),
            Job::CatchUp(job) => Box::pin(job.round()),
            Job::Streaming(job) => Box::pin(job.round()),
            Job::SingleCommits(job) => Box::pin(job.round()),
            Job::Latency(job) => Box::pin(job.round()),
        }
    }
}
