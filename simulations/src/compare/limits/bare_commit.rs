//! Commits with everything left out that can be: from callers to the sender's file and on to the receiver's, over TLS 1.3, all
//! in this process.
//!
//! ```text
//!   caller ──TLS 1.3──▶ whatever waits: leaf, Merkle range, append, one sync ──answer──▶ caller
//!                                         │ signature, root
//!                                         └──TLS 1.3──▶ section hash, leaf, Merkle range, signature ─▶ append, one sync ─▶ seen
//! ```
//!
//! It keeps icomm's promises: a commit is answered when it is durable, the note of a disclosure is durable before anything
//! leaves, and nothing is stored that did not verify. Of two syncs and two hops none can be saved; what icomm takes longer is
//! the price of validation, sealing, the policy, gRPC, sessions and the index.

mod callers;
mod sender;

#[cfg(test)]
mod tests;

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use futures::future::BoxFuture;
use icomm_pki::MemberKey;
use tokio::{net::TcpListener, time::Instant};

use super::bare_path::{input::Input, receiver, receiver::Received, tls::Tls};
use crate::compare::{
    delays::Delays,
    meter, rows,
    series::Sample,
    workload::{Bench, Contestant, Kind},
};

/// Who commits, and how.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Callers, each with a connection of its own.
    pub callers: usize,
    /// Records in a commit.
    pub commit_records: usize,
    /// Commits of one caller that wait for their answer.
    pub under_way: usize,
    /// Between two commits; `None` where a caller's next one waits for nothing but room.
    pub pace: Option<Duration>,
}

/// The bare commit, ready to run.
pub struct BareCommit(Arc<Path>);

struct Path {
    folder: PathBuf,
    input: Input,
    load: Load,
    key: MemberKey,
    tls: Tls,
}

/// Sets it up for as many rows as the workload has.
///
/// # Errors
/// The input file can't be made.
pub fn bare_commit(bench: &Bench, load: Load) -> anyhow::Result<BareCommit> {
    let folder = bench.fresh_folder("bare-commit")?;
    let input = Input::write(&rows::file(bench, bench.size)?, &folder.join("input"))?;
    Ok(BareCommit(Arc::new(Path {
        folder,
        input,
        load,
        key: MemberKey::from_seed(&[7; 32]),
        tls: Tls::new()?,
    })))
}

/// What one end says of a log: how large it was at which moments, ascending.
type Sizes = Vec<(u64, Instant)>;

impl Path {
    /// The receiver's end, until it has everything.
    async fn receive(&self, listener: TcpListener) -> anyhow::Result<(Received, Sizes)> {
        let mut stream = self.tls.accept(&listener).await?;
        let mut sizes = Sizes::new();
        let stored = |size| sizes.push((size, Instant::now()));
        let output = self.folder.join("output");
        let received = receiver::receive(&mut stream, &output, self.input.records, &self.key.public(), stored).await?;
        Ok((received, sizes))
    }

    async fn round(self: Arc<Self>) -> anyhow::Result<Sample> {
        let link = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let link_address = link.local_addr()?;
        let receiver = tokio::spawn({
            let path = Arc::clone(&self);
            async move { path.receive(link).await }
        });
        let link = self.tls.connect(link_address).await?;
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (callers, streams) = callers::connect(&self.tls, &door, self.load.callers).await?;
        let commits = callers::commits(&self.input, self.load.commit_records)?;

        let cpu = meter::own_cpu_seconds()?;
        let begun = Instant::now();
        let sender = tokio::spawn(sender::run(Arc::clone(&self), streams, link));
        let called = callers::run(callers, commits, self.load).await?;
        let root = sender.await??;
        let (received, sizes) = receiver.await??;
        let (_, end) = sizes.last().copied().context("nothing arrived")?;
        let (seconds, cpu) = ((end - begun).as_secs_f64(), meter::own_cpu_seconds()? - cpu);

        let disclosed = received.disclosed.count;
        let same = disclosed == self.input.disclosed && received.root == root;
        ensure!(same, "something else arrived than was committed");
        let delays = delays(&called, &sizes).context("a commit did not arrive")?;
        let sample = delays.sample().context("nothing was committed")?;
        if self.load.pace.is_some() {
            return Ok(sample);
        }
        Ok(Sample::rate(disclosed, seconds, cpu))
    }
}

/// From the call of each commit to the moment at which the receiver's log was longer than the commit's last index.
fn delays(called: &[(u64, Instant)], sizes: &Sizes) -> Option<Delays> {
    let delay = |(last, called): &(u64, Instant)| {
        let at = sizes.partition_point(|(size, _)| size <= last);
        sizes.get(at).map(|(_, seen)| seen.saturating_duration_since(*called))
    };
    called.iter().map(delay).collect()
}

impl Contestant for BareCommit {
    fn name(&self) -> &'static str {
        "bare-commit"
    }

    fn kind(&self) -> Kind {
        Kind::Limit
    }

    fn remark(&self) -> String {
        "the same views from callers to one file and on to another over TLS 1.3, all in one process, whose CPU time includes \
         the callers': what waits together shares a sync and a signature, then every section and leaf is hashed and one sync \
         made at the receiver; no validation, sealing, gRPC, Protocol Buffers, Cedar, sessions or index"
            .to_owned()
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(Arc::clone(&self.0).round())
    }
}
