//! The callers' end: a connection each, on which commits go and the index of each one's last record comes back.
//!
//! ```text
//! commit:  len u32 | { len u32 | view with all sections } …           answer:  index u64           all numbers big-endian
//! ```

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_rustls::{client, server};

use super::{Input, Load, Tls};

type Caller = client::TlsStream<TcpStream>;

/// So many connections, both ends of each.
pub(super) async fn connect(
    tls: &Tls,
    door: &TcpListener,
    callers: usize,
) -> anyhow::Result<(Vec<Caller>, Vec<server::TlsStream<TcpStream>>)> {
    let mut ends = (Vec::with_capacity(callers), Vec::with_capacity(callers));
    for _ in 0..callers {
        let (caller, sender) = tokio::try_join!(tls.connect(door.local_addr()?), tls.accept(door))?;
        ends.0.push(caller);
        ends.1.push(sender);
    }
    Ok(ends)
}

/// Commits that nobody has taken yet.
type Left = Arc<Mutex<VecDeque<Vec<u8>>>>;

/// The input as commits, made before the clock.
pub(super) fn commits(input: &Input, commit_records: usize) -> anyhow::Result<VecDeque<Vec<u8>>> {
    let mut frames = input.frames()?;
    let mut commits = VecDeque::new();
    let mut left = input.records;
    while left > 0 {
        let count = left.min(commit_records as u64);
        let mut commit = vec![0; 4];
        for _ in 0..count {
            let view = frames.next()?;
            commit.extend_from_slice(&u32::try_from(view.len())?.to_be_bytes());
            commit.extend_from_slice(view);
        }
        let len = u32::try_from(commit.len() - 4)?;
        if let Some(head) = commit.first_chunk_mut() {
            *head = len.to_be_bytes();
        }
        commits.push_back(commit);
        left -= count;
    }
    Ok(commits)
}

/// Commits everything. When each commit was called, by the index of its last record.
pub(super) async fn run(
    callers: Vec<Caller>,
    commits: VecDeque<Vec<u8>>,
    load: Load,
) -> anyhow::Result<Vec<(u64, Instant)>> {
    let left = Arc::new(Mutex::new(commits));
    let tasks: JoinSet<_> = callers
        .into_iter()
        .map(|caller| call(caller, Arc::clone(&left), load))
        .collect();
    let mut called = Vec::new();
    for caller in tasks.join_all().await {
        called.extend(caller?);
    }
    Ok(called)
}

async fn call(caller: Caller, left: Left, load: Load) -> anyhow::Result<Vec<(u64, Instant)>> {
    let (answers, mut stream) = split(caller);
    let room = Arc::new(Semaphore::new(load.under_way));
    let (waiting, moments) = mpsc::unbounded_channel();
    let answers = tokio::spawn(listen(answers, moments, Arc::clone(&room)));
    let mut ticks = load.pace.map(|pace| {
        let mut ticks = interval(pace * u32::try_from(load.callers).unwrap_or(u32::MAX));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        ticks
    });
    loop {
        if let Some(ticks) = &mut ticks {
            ticks.tick().await;
        }
        room.acquire().await?.forget();
        let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(commit) = next else { break };
        waiting.send(Instant::now())?;
        write(&mut stream, &commit).await?;
    }
    drop(waiting);
    let called = answers.await?;
    stream.shutdown().await?;
    called
}

async fn write(stream: &mut WriteHalf<Caller>, commit: &[u8]) -> anyhow::Result<()> {
    stream.write_all(commit).await?;
    stream.flush().await.context("the sender is gone")
}

/// Answers come in the order of the calls.
async fn listen(
    mut answers: ReadHalf<Caller>,
    mut moments: mpsc::UnboundedReceiver<Instant>,
    room: Arc<Semaphore>,
) -> anyhow::Result<Vec<(u64, Instant)>> {
    let mut called = Vec::new();
    while let Some(moment) = moments.recv().await {
        called.push((answers.read_u64().await?, moment));
        room.add_permits(1);
    }
    Ok(called)
}
