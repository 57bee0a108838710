//! Catch-up with everything left out that can be: journal to journal over TLS 1.3, both ends in this process.
//!
//! ```text
//!   input file ─▶ frame, its checksum ─▶ decision by look-up ─▶ slice or leaf hash ─▶ leaf, Merkle range ─┐
//!                                                                                                       │ a chunk:
//!   output file ◀─ append, one sync ◀─ signature, root ◀─ section hash, leaf, Merkle range ◀─ TLS 1.3 ◀─ sign, note, sync
//! ```
//!
//! It keeps icomm's promises: nothing leaves before the note of its disclosure is durable, and nothing is stored that did not
//! verify against the originator's signature. It has none of icomm's parts but the hash functions: what icomm takes longer is
//! the price of gRPC, Protocol Buffers, the policy, sessions, the id tables and the index.

pub(super) mod input;
pub(super) mod receiver;
pub(super) mod sender;
pub(super) mod tls;

#[cfg(test)]
mod tests;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::ensure;
use futures::future::BoxFuture;
use icomm_pki::MemberKey;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::Instant,
};

use self::{
    input::Input,
    receiver::{Received, Views},
    tls::Tls,
};
use crate::compare::{
    delivered, meter, rows,
    series::Sample,
    workload::{Bench, Contestant, Kind},
};

/// Entries in a chunk, as icomm gathers them.
const CHUNK_ENTRIES: u64 = 2048;
/// Bytes of what a chunk's signature is over: the log's size and its root.
const SIGNED_BYTES: usize = 8 + 32;
const SIGNATURE_BYTES: usize = 64;
/// Bytes before a chunk: its length and its number of entries.
const CHUNK_HEAD_BYTES: usize = 4 + 4;
/// A chunk's items, as icomm marks them.
const WITHHELD: u8 = 0;
const DISCLOSED: u8 = 1;

/// The bare path, ready to run.
pub struct BarePath(Arc<Path>);

struct Path {
    folder: PathBuf,
    input: Input,
    key: MemberKey,
    tls: Tls,
}

/// Sets the bare path up for as many rows as the workload has.
///
/// # Errors
/// The input file can't be made.
pub fn bare_path(bench: &Bench) -> anyhow::Result<BarePath> {
    let folder = bench.fresh_folder("bare-path")?;
    let input = Input::write(&rows::file(bench, bench.size)?, &folder.join("input"))?;
    Ok(BarePath(Arc::new(Path {
        folder,
        input,
        key: MemberKey::from_seed(&[7; 32]),
        tls: Tls::new()?,
    })))
}

impl Path {
    /// The sender's end.
    async fn send(&self, listener: TcpListener) -> anyhow::Result<()> {
        let mut stream = self.tls.accept(&listener).await?;
        sender::send(&self.input, &self.key, &self.folder.join("notes"), &mut stream).await?;
        // Until the receiver has stored everything.
        stream.read_exact(&mut [0]).await?;
        Ok(())
    }

    /// The receiver's end.
    async fn receive(&self, address: SocketAddr) -> anyhow::Result<Received> {
        let mut stream = self.tls.connect(address).await?;
        let output = self.folder.join("output");
        let received = receiver::receive(&mut stream, &output, self.input.records, &self.key.public(), |_| ()).await?;
        stream.write_all(&[1]).await?;
        stream.flush().await?;
        Ok(received)
    }

    /// What arrived must be what was read.
    fn check(&self, received: &Received) -> anyhow::Result<()> {
        let same = received.disclosed.count == self.input.disclosed && received.root == self.input.root;
        ensure!(same, "something else arrived than was read");
        Ok(())
    }
}

impl Contestant for BarePath {
    fn name(&self) -> &'static str {
        "bare-path"
    }

    fn kind(&self) -> Kind {
        Kind::Limit
    }

    fn remark(&self) -> String {
        format!(
            "the same views from one file to another over TLS 1.3, both ends in one process: checksum and a table of decisions; \
             in chunks of {CHUNK_ENTRIES} entries a note synced, a signature made and checked, every section and leaf hashed, one \
             sync at the receiver; no gRPC, Protocol Buffers, Cedar, sessions, id tables or index"
        )
    }

    fn round(&mut self) -> BoxFuture<'_, anyhow::Result<Sample>> {
        Box::pin(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?;
            let cpu = meter::own_cpu_seconds()?;
            let begun = Instant::now();
            // Two tasks, so that each end can have a core of its own.
            let (sender, receiver) = (self.0.clone(), self.0.clone());
            let sending = tokio::spawn(async move { sender.send(listener).await });
            let receiving = tokio::spawn(async move { receiver.receive(address).await });
            let received = receiving.await?;
            sending.await??;
            let received = received?;
            let (seconds, cpu) = (begun.elapsed().as_secs_f64(), meter::own_cpu_seconds()? - cpu);
            self.0.check(&received)?;
            let Views { count, bytes } = received.disclosed;
            Ok(Sample::rate(count, seconds, cpu).with(delivered::BYTES, bytes as f64 / count as f64))
        })
    }
}
