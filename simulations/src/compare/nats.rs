//! NATS JetStream: a stream of messages on one server and a mirror of it on another, what message brokers offer for the job.
//!
//! Its messages are the very bytes that icomm sends of each row that passes the filter: the sealed entry and the open
//! section. It can't filter by content, so only what passes is published. It signs and verifies nothing, and it acknowledges
//! what it has handed to the operating system, not what is on the disk.

mod catch_up;
mod client;
mod jetstream;
mod latency;
mod messages;
mod servers;
mod single_commits;
mod streaming;
mod wire;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context as _;
use futures::future::BoxFuture;
use tokio::time::Instant;

use self::{jetstream::Jetstream, messages::Messages, servers::Servers};
use super::{
    daemon,
    icomm::cost::Cost,
    meter,
    series::Sample,
    workload::{Absent, Bench, Contestant, Kind},
};

/// Its name.
const NAME: &str = "nats";

/// The server's program.
const PROGRAM: &str = "nats-server";

/// The subject of all messages.
const SUBJECT: &str = "cases";

/// How often a mirror is asked how much it has: seldom enough to cost it next to nothing.
const POLL: Duration = Duration::from_millis(5);

/// How long a mirror may stand still before the round has failed. It looks for lost connections every ten seconds.
const STILL_MAX: Duration = Duration::from_secs(30);

/// A mirror made new of a stream that is full.
///
/// # Errors
/// The servers don't start, or the rows can't be made.
pub async fn catch_up(bench: &Bench) -> anyhow::Result<Result<impl Contestant + use<>, Absent>> {
    contestant(bench, catch_up::CatchUp::new).await
}

/// One publisher with several hundred messages under way, until the mirror has all.
///
/// # Errors
/// The servers don't start, or the rows can't be made.
pub async fn streaming(bench: &Bench) -> anyhow::Result<Result<impl Contestant + use<>, Absent>> {
    contestant(bench, streaming::Streaming::new).await
}

/// Sixteen publishers that each wait until their message is stored, until the mirror has all.
///
/// # Errors
/// The servers don't start, or the rows can't be made.
pub async fn single_commits(bench: &Bench) -> anyhow::Result<Result<impl Contestant + use<>, Absent>> {
    contestant(bench, single_commits::SingleCommits::new).await
}

/// A hundred messages a second, from the call that publishes one to its delivery by the mirror.
///
/// # Errors
/// The servers don't start, or the rows can't be made.
pub async fn latency(bench: &Bench) -> anyhow::Result<Result<impl Contestant + use<>, Absent>> {
    contestant(bench, latency::Latency::new).await
}

/// One kind of round on two running servers.
trait Rounds: Send {
    /// One round, from a stream of its own to its end.
    fn round<'a>(&'a mut self, at: &'a Servers) -> BoxFuture<'a, anyhow::Result<Sample>>;
}

/// NATS as a contestant.
struct Nats<R> {
    rounds: R,
    servers: Servers,
    version: String,
}

impl<R: Rounds> Contestant for Nats<R> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> Kind {
        Kind::Peer
    }

    fn remark(&self) -> String {
        format!(
            "NATS JetStream {}: a mirror over a leaf node link, mutual TLS 1.3 on every connection; streams in files with \
             the default settings, which sync every 2 minutes and never for a message; nothing is signed or verified; it \
             has no filter by content, so only what passes is published",
            self.version
        )
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        self.rounds.round(&self.servers)
    }
}

/// What every workload begins with.
struct Setup {
    servers: Servers,
    messages: Messages,
    version: String,
}

impl Setup {
    async fn of(bench: &Bench) -> anyhow::Result<Result<Self, Absent>> {
        let Some(program) = daemon::installed(PROGRAM) else {
            let why = format!("there is no `{PROGRAM}`; Debian has it in the package `nats-server`");
            return Ok(Err(Absent { name: NAME, why }));
        };
        let messages = {
            let bench = bench.clone();
            tokio::task::spawn_blocking(move || Messages::of(&bench)).await??
        };
        Ok(Ok(Self {
            servers: Servers::start(&program, folder(bench)?).await?,
            messages,
            version: version(&program)?,
        }))
    }
}

/// The servers with rounds of one kind on them.
async fn contestant<R: Rounds>(
    bench: &Bench,
    rounds: impl AsyncFnOnce(&Servers, Messages) -> anyhow::Result<R>,
) -> anyhow::Result<Result<Nats<R>, Absent>> {
    Ok(match Setup::of(bench).await? {
        Err(absent) => Err(absent),
        Ok(Setup {
            servers,
            messages,
            version,
        }) => Ok(Nats {
            rounds: rounds(&servers, messages).await?,
            servers,
            version,
        }),
    })
}

fn folder(bench: &Bench) -> anyhow::Result<PathBuf> {
    bench.fresh_folder(NAME).context("the folder for NATS can't be made")
}

/// `nats-server: v2.9.10` → `2.9.10`.
fn version(program: &Path) -> anyhow::Result<String> {
    let output = Command::new(program).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (_, version) = text
        .trim()
        .rsplit_once('v')
        .context("`nats-server` does not tell its version")?;
    Ok(version.to_owned())
}

/// A measurement of publishing, under way.
struct Watch {
    before: Cost,
    own_before: f64,
    begun: Instant,
}

impl Watch {
    fn start(at: &Servers) -> anyhow::Result<Self> {
        Ok(Self {
            before: at.cost()?,
            own_before: meter::own_cpu_seconds()?,
            begun: Instant::now(),
        })
    }

    /// What it came to: so many messages, at the cost of both servers and, beside it, of us who wrote them.
    fn stop(self, at: &Servers, messages: u64) -> anyhow::Result<Sample> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let (cost, own) = (at.cost()? - self.before, meter::own_cpu_seconds()? - self.own_before);
        let sample = cost.rate(messages, seconds);
        Ok(sample.with("writer_cpu_us_per_record", own * 1e6 / messages as f64))
    }
}

/// The names of a round's stream and its mirror. New ones each time: a name that was used before may carry something over.
struct Names {
    stream: String,
    mirror: String,
}

impl Names {
    fn of_round(round: u32) -> Self {
        Self {
            stream: format!("CASES-{round}"),
            mirror: format!("MIRROR-{round}"),
        }
    }
}

/// A stream and its mirror that are known to work: one message has gone all the way.
async fn primed(sender: &Jetstream, receiver: &Jetstream, names: &Names) -> anyhow::Result<()> {
    sender.create(&names.stream, SUBJECT).await?;
    receiver.mirror(&names.mirror, &names.stream, servers::SENDER).await?;
    sender.publish(SUBJECT, b"first").done().await?;
    filled(receiver, &names.mirror, 1).await
}

/// Removes both again.
async fn removed(sender: &Jetstream, receiver: &Jetstream, names: &Names) -> anyhow::Result<()> {
    receiver.delete(&names.mirror).await?;
    sender.delete(&names.stream).await
}

/// Waits until a mirror has exactly that many messages.
async fn filled(receiver: &Jetstream, mirror: &str, messages: u64) -> anyhow::Result<()> {
    let (mut had, mut moved) = (0, Instant::now());
    loop {
        let has = receiver.messages(mirror).await?;
        anyhow::ensure!(
            has <= messages,
            "the mirror has {has} messages, of {messages} that were published"
        );
        if has == messages {
            return Ok(());
        }
        if has > had {
            (had, moved) = (has, Instant::now());
        }
        let still = moved.elapsed();
        anyhow::ensure!(
            still < STILL_MAX,
            "the mirror has stood still at {has} of {messages} messages"
        );
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests;
