//! `Watch`: entries as they arrive or are issued, each once, in the order of its log; and once more when more of them is
//! held.
//!
//! Growth only wakes the watcher; what it sends it reads from the log at its cursor. So a slow caller loses nothing: it
//! holds up its own stream alone, lags behind, and reads on.

use std::collections::{BTreeMap, BTreeSet};

use futures::Stream;
use icomm_proto::{Origin, v1};
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::convert;
use crate::node::{Change, HeldEntry, LogChange, Node};

/// Entries read at a time.
const PAGE_ENTRIES: usize = 256;
/// So many entries from the end of a log are read in a moment: handing that to another thread costs more.
const SMALL_READ_ENTRIES_MAX: u64 = 16;
/// Entries that wait for the caller.
const QUEUE_ENTRIES_MAX: usize = 256;

/// What a caller watches.
pub(super) enum Scope {
    /// Every log, those that are yet to come too.
    Everything,
    /// One log, from an index on or from now on.
    One {
        /// Which.
        origin: Origin,
        /// From where.
        from: Option<u64>,
    },
}

/// The entries in `scope`, until the caller hangs up or the node stops.
pub(super) async fn entries(
    node: Node,
    scope: Scope,
    stop: CancellationToken,
) -> Result<impl Stream<Item = Result<v1::Entry, Status>>, Status> {
    // Before the sizes are read, so that nothing falls between.
    let growth = node.subscribe();
    let (cursors, only) = match scope {
        Scope::One {
            origin,
            from: Some(from),
        } => (BTreeMap::from([(origin.clone(), from)]), Some(origin)),
        Scope::One { origin, from: None } => {
            let sizes = sizes(&node).await?;
            let size = sizes.get(&origin).copied().unwrap_or_default();
            (BTreeMap::from([(origin.clone(), size)]), Some(origin))
        }
        Scope::Everything => (sizes(&node).await?, None),
    };
    let (sender, receiver) = mpsc::channel(QUEUE_ENTRIES_MAX);
    let watcher = Watcher {
        node,
        cursors,
        only,
        sender,
    };
    tokio::spawn(watcher.run(growth, stop));
    Ok(ReceiverStream::new(receiver))
}

struct Watcher {
    node: Node,
    cursors: BTreeMap<Origin, u64>,
    only: Option<Origin>,
    sender: mpsc::Sender<Result<v1::Entry, Status>>,
}

/// The caller hung up.
struct Gone;

impl Watcher {
    async fn run(mut self, mut growth: tokio::sync::broadcast::Receiver<LogChange>, stop: CancellationToken) {
        let work = async {
            if let Some(origin) = self.only.clone() {
                self.catch_up(&origin).await?;
            }
            loop {
                let grown = tokio::select! {
                    () = self.sender.closed() => return Err(Gone),
                    grown = growth.recv() => grown,
                };
                match grown {
                    Ok(LogChange { origin, .. }) if self.only.as_ref().is_some_and(|only| *only != origin) => {}
                    Ok(LogChange { origin, change }) => match change {
                        Change::Grew(size) => self.follow(&origin, size).await?,
                        Change::Widened(entries) => self.resend(&origin, &entries).await?,
                    },
                    Err(RecvError::Lagged(_)) => self.catch_up_with_all().await?,
                    Err(RecvError::Closed) => return Ok(()),
                }
            }
        };
        // A caller that hung up and a node that stops both just end it.
        let _: Option<Result<(), Gone>> = stop.run_until_cancelled(work).await;
    }

    async fn catch_up_with_all(&mut self) -> Result<(), Gone> {
        let origins: Vec<Origin> = match &self.only {
            Some(only) => vec![only.clone()],
            None => match sizes(&self.node).await {
                Ok(sizes) => sizes.into_keys().collect(),
                Err(status) => return self.fail(status).await,
            },
        };
        for origin in origins {
            self.catch_up(&origin).await?;
        }
        Ok(())
    }

    /// Sends what the log grew by. What was sent before is not looked for again: several commits may have been read at
    /// once, and what is watched may be yet to come.
    async fn follow(&mut self, origin: &Origin, size: u64) -> Result<(), Gone> {
        let cursor = self.cursors.get(origin).copied().unwrap_or_default();
        match size.saturating_sub(cursor) {
            0 => Ok(()),
            1..=SMALL_READ_ENTRIES_MAX => match self.node.list(origin, cursor, PAGE_ENTRIES) {
                Ok(page) => self.send(origin, page).await,
                Err(error) => self.fail(error.into()).await,
            },
            _ => self.catch_up(origin).await,
        }
    }

    /// Sends entries again of which more is held now. What lies beyond the cursor is sent when its turn comes.
    async fn resend(&mut self, origin: &Origin, entries: &[u64]) -> Result<(), Gone> {
        let cursor = self.cursors.get(origin).copied().unwrap_or_default();
        let mut entries = entries.iter().copied().take_while(|index| *index < cursor).peekable();
        while let Some(first) = entries.next() {
            let mut wanted = BTreeSet::from([first]);
            let within = first.saturating_add(PAGE_ENTRIES as u64);
            while let Some(more) = entries.next_if(|index| *index < within) {
                wanted.insert(more);
            }
            let page = match page(&self.node, origin, first).await {
                Ok(page) => page,
                Err(status) => return self.fail(status).await,
            };
            for held in page.into_iter().filter(|held| wanted.contains(&held.index)) {
                let entry = Ok(convert::entry(held, false));
                self.sender.send(entry).await.map_err(|_| Gone)?;
            }
        }
        Ok(())
    }

    /// Sends what the log has beyond the cursor.
    async fn catch_up(&mut self, origin: &Origin) -> Result<(), Gone> {
        loop {
            let cursor = self.cursors.get(origin).copied().unwrap_or_default();
            let page = match page(&self.node, origin, cursor).await {
                Ok(page) => page,
                Err(status) => return self.fail(status).await,
            };
            if page.is_empty() {
                return Ok(());
            }
            self.send(origin, page).await?;
        }
    }

    /// Sends entries of a log and moves its cursor behind them.
    async fn send(&mut self, origin: &Origin, page: Vec<HeldEntry>) -> Result<(), Gone> {
        for held in page {
            let next = held.index.saturating_add(1);
            self.sender
                .send(Ok(convert::entry(held, false)))
                .await
                .map_err(|_| Gone)?;
            match self.cursors.get_mut(origin) {
                Some(cursor) => *cursor = next,
                None => drop(self.cursors.insert(origin.clone(), next)),
            }
        }
        Ok(())
    }

    async fn fail(&mut self, status: Status) -> Result<(), Gone> {
        // The last word, whether it is heard or not.
        let _ = self.sender.send(Err(status)).await;
        Err(Gone)
    }
}

async fn page(node: &Node, origin: &Origin, from: u64) -> Result<Vec<HeldEntry>, Status> {
    let (node, origin) = (node.clone(), origin.clone());
    let read = tokio::task::spawn_blocking(move || node.list(&origin, from, PAGE_ENTRIES)).await;
    Ok(read.map_err(|_| Status::internal("the call broke down; this is a fault of icomm"))??)
}

async fn sizes(node: &Node) -> Result<BTreeMap<Origin, u64>, Status> {
    let node = node.clone();
    let logs = tokio::task::spawn_blocking(move || node.logs()).await;
    let logs = logs.map_err(|_| Status::internal("the call broke down; this is a fault of icomm"))??;
    Ok(logs.into_iter().map(|log| (log.origin, log.entries)).collect())
}
