//! h, `reconnect`: two nodes that hold the same log meet again after their link was cut. Nothing has changed, so little
//! should be said, however long the log is.
//!
//! The administration dials the global node through a [`Relay`] that counts what passes on its sockets. Time and bytes are
//! taken without delay in the relay, time as the median of several. The round trips are told from two further reconnects over lines of different length:
//! what the session takes more on the longer line, over how much longer that is, is the number of one-way trips that had to
//! wait for each other. The session counts from its first byte after the TLS handshake, which takes one round trip of its
//! own, to the last byte that either side has to say.
//!
//! Each round begins with a restart of the administration's node, for the figures `restarted_*`: then nothing is remembered
//! but what is on the disk.

use std::time::Duration;

use anyhow::Context as _;
use futures::future::BoxFuture;
use icomm_node::network::Network;

use crate::compare::{
    icomm::NAME,
    network::{self, NATIONAL, ROOT},
    pair,
    relay::{Passed, Relay},
    scale::Sizes,
    series::{Sample, Spread},
    workload::{Bench, Better, Contestant, Field, Growth, Kind, Workload},
};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "reconnect",
    what: "a link is cut and comes back; both nodes hold the same log, and nothing has changed",
    unit: "ms",
    better: Better::Lower,
    sizes: Sizes {
        tiny: 2_000,
        quick: 100_000,
        full: 1_000_000,
    },
    counts: "entries on both sides",
    growth: Growth::Flat,
    field: |bench| Box::pin(field(bench)),
};

/// When nothing was said for so long, nothing is left to be said. The nodes' keep-alive is far rarer.
const QUIET: Duration = Duration::from_millis(600);

/// How long a reconnect may take.
const WITHIN: Duration = Duration::from_secs(120);

/// The two lines, one way, from which the round trips are told.
const LINES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(70)];

/// How many reconnects a round's time is the median of: it is a few milliseconds, of which a wake-up is one.
const REPEATED: usize = 5;

async fn field(bench: &Bench) -> anyhow::Result<Field> {
    let reconnect = Reconnect::prepare(bench).await?;
    Ok(Field::default().with(reconnect))
}

/// Two nodes in step, and the relay between them.
struct Reconnect {
    bench: Bench,
    network: Network,
    relay: Relay,
    entries: u64,
}

impl Reconnect {
    async fn prepare(bench: &Bench) -> anyhow::Result<Self> {
        let (mut network, seeded) = pair::prepare(bench, "reconnect", bench.size)?;
        let target = pair::tls_address(network.node(&ROOT.parse()?)?)?;
        let relay = Relay::to(target).await?;
        pair::start(&mut network, Some(relay.address())).await?;
        let prepared = Self {
            bench: bench.clone(),
            network,
            relay,
            entries: seeded.entries,
        };
        prepared.in_step().await?;
        Ok(prepared)
    }

    async fn in_step(&self) -> anyhow::Result<()> {
        network::holds(self.network.node(&ROOT.parse()?)?, &NATIONAL.parse()?, self.entries).await
    }

    /// Restarts the administration's node, and tells what was said until both were in step again.
    async fn restart(&mut self) -> anyhow::Result<Passed> {
        let national = NATIONAL.parse()?;
        let node = self.network.node_mut(&national)?;
        node.stop(WITHIN).await?;
        self.relay.hold_back(Duration::ZERO);
        self.relay.cut();
        node.start()?;
        let passed = self.relay.settled(QUIET, WITHIN).await?;
        self.network.node_mut(&national)?.ready(WITHIN).await?;
        Ok(passed)
    }

    /// Cuts the link, and tells what was said until both were in step again.
    async fn reconnect(&self, delay: Duration) -> anyhow::Result<Passed> {
        self.relay.hold_back(delay);
        self.relay.cut();
        self.relay.settled(QUIET, WITHIN).await
    }

    async fn measure(&mut self) -> anyhow::Result<Sample> {
        let restarted = self.restart().await?;
        let direct = self.reconnect(Duration::ZERO).await?;
        let mut times = vec![direct.whole.as_secs_f64() * 1000.0];
        while times.len() < REPEATED {
            times.push(self.reconnect(Duration::ZERO).await?.whole.as_secs_f64() * 1000.0);
        }
        let time = Spread::over(times).context("nothing was timed")?;
        let [short, long] = LINES;
        let over_short = self.reconnect(short).await?;
        let over_long = self.reconnect(long).await?;
        let flights =
            (over_long.session.as_secs_f64() - over_short.session.as_secs_f64()) / (long - short).as_secs_f64();
        // They were in step, and the link carries what comes next.
        self.entries += 1;
        pair::issue_one(&self.bench, &self.network).await?;
        self.in_step()
            .await
            .context("after the reconnect nothing new arrives")?;
        let kb = |bytes: u64| bytes as f64 / 1000.0;
        Ok(Sample::of(time.median)
            .with("round_trips", flights.round() / 2.0)
            .with("wire_kb", kb(direct.session_bytes))
            .with("wire_with_tls_kb", kb(direct.session_bytes + direct.handshake_bytes))
            .with("session_ms", direct.session.as_secs_f64() * 1000.0)
            .with("restarted_wire_kb", kb(restarted.session_bytes))
            .with("restarted_ms", restarted.whole.as_secs_f64() * 1000.0))
    }
}

impl Contestant for Reconnect {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Icomm
    }

    fn remark(&self) -> String {
        "from the TCP connection to the last byte; kB on the sockets, both ways, TLS records and HTTP/2 included"
            .to_owned()
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(self.measure())
    }

    fn finish(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Ok(self.network.stop().await?) })
    }
}
