//! The sender's end: takes whatever waits together, makes it durable with one sync, answers, and passes it on.

use std::{fs::File, io::Write as _, sync::Arc};

use anyhow::Context as _;
use icomm_proto::log::{Frontier, Hash};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    net::TcpStream,
    sync::mpsc,
    task::{JoinSet, block_in_place},
};
use tokio_rustls::{client, server};

use super::{
    super::bare_path::sender::{Chunk, NOTE_BYTES},
    Path,
};

/// Commits that share a sync at most.
const COMMITS_TOGETHER_MAX: usize = 256;
/// Chunks that wait for the link.
const CHUNKS_WAITING_MAX: usize = 4;
/// Room for a small chunk.
const CHUNK_BYTES: usize = 4 << 10;

/// A commit, and on which connection it is answered.
struct Commit {
    connection: usize,
    views: Vec<u8>,
}

/// Until every caller has gone; the root of what was committed.
pub(super) async fn run(
    path: Arc<Path>,
    callers: Vec<server::TlsStream<TcpStream>>,
    link: client::TlsStream<TcpStream>,
) -> anyhow::Result<Hash> {
    let (handed_over, mut commits) = mpsc::channel(COMMITS_TOGETHER_MAX);
    let mut readers = JoinSet::new();
    let mut answers = Vec::new();
    for (connection, stream) in callers.into_iter().enumerate() {
        let (stream, answer) = split(stream);
        readers.spawn(read(stream, connection, handed_over.clone()));
        answers.push(answer);
    }
    drop(handed_over);
    let (chunks, waiting) = mpsc::channel(CHUNKS_WAITING_MAX);
    let forwarding = tokio::spawn(forward(link, waiting));
    let mut journal = File::create(path.folder.join("journal"))?;
    let mut log = Frontier::new();
    let mut together = Vec::new();
    while commits.recv_many(&mut together, COMMITS_TOGETHER_MAX).await > 0 {
        let (chunk, indexes) = block_in_place(|| append(&path, &mut journal, &mut log, &together))?;
        for (commit, index) in together.drain(..).zip(indexes) {
            let answer = answers.get_mut(commit.connection).context("there is a connection")?;
            reply(answer, index).await?;
        }
        chunks.send(chunk).await?;
    }
    while let Some(read) = readers.join_next().await {
        read??;
    }
    drop(chunks);
    forwarding.await??;
    Ok(log.root())
}

async fn read(
    mut stream: ReadHalf<server::TlsStream<TcpStream>>,
    connection: usize,
    commits: mpsc::Sender<Commit>,
) -> anyhow::Result<()> {
    // A caller that has no more commits shuts its stream.
    while let Ok(len) = stream.read_u32().await {
        let mut views = vec![0; len as usize];
        stream.read_exact(&mut views).await?;
        commits.send(Commit { connection, views }).await?;
    }
    Ok(())
}

/// Appends commits and the note of their disclosure with one sync; the chunk that goes, and each commit's last index.
fn append(
    path: &Path,
    journal: &mut File,
    log: &mut Frontier,
    commits: &[Commit],
) -> anyhow::Result<(Vec<u8>, Vec<u64>)> {
    let mut chunk = Chunk::with_capacity(CHUNK_BYTES);
    let mut durable = Vec::with_capacity(CHUNK_BYTES);
    let mut indexes = Vec::with_capacity(commits.len());
    for commit in commits {
        let mut rest = commit.views.as_slice();
        while let Some((len, after)) = rest.split_first_chunk() {
            let view = after.split_at_checked(u32::from_be_bytes(*len) as usize);
            let (view, after) = view.context("a commit is cut off")?;
            chunk.push(view, &path.input, log)?;
            rest = after;
        }
        durable.extend_from_slice(&crc32fast::hash(&commit.views).to_be_bytes());
        durable.extend_from_slice(&commit.views);
        indexes.push(log.size() - 1);
    }
    durable.extend_from_slice(&[0; NOTE_BYTES]);
    journal.write_all(&durable)?;
    journal.sync_data()?;
    Ok((chunk.sign(log, &path.key)?, indexes))
}

async fn reply(answer: &mut WriteHalf<server::TlsStream<TcpStream>>, index: u64) -> anyhow::Result<()> {
    answer.write_u64(index).await?;
    answer.flush().await.context("a caller is gone")
}

async fn forward(mut link: client::TlsStream<TcpStream>, mut chunks: mpsc::Receiver<Vec<u8>>) -> anyhow::Result<()> {
    while let Some(chunk) = chunks.recv().await {
        link.write_all(&chunk).await?;
        link.flush().await?;
    }
    link.shutdown().await?;
    // Closed with something unread, a TLS ticket say, a socket takes back what it sent: not before the receiver has closed.
    while link.read(&mut [0; 64]).await.is_ok_and(|bytes| bytes > 0) {}
    Ok(())
}
