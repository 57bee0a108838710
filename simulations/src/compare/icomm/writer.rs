//! Cases on their way into the sender while the receiver is linked: typed drafts made before the clock, each with an intake
//! key of its own, as an importing program has them.

use anyhow::Context as _;
use futures::{
    SinkExt as _, StreamExt as _, TryStreamExt as _,
    channel::mpsc::{self, Sender},
    stream::BoxStream,
};
use icomm_node::{api::client::Client, environment::Environment};
use icomm_proto::v1::{self, outcome};
use prost::{Message as _, bytes::Bytes};

use super::{pair::Pair, seed::Seeded};
use crate::compare::{
    rows::{self, Rows},
    workload::Bench,
};

/// Batches that wait until HTTP/2 takes them.
const BATCHES_WAITING_MAX: usize = 4;

/// Two linked nodes under their agreement, and the cases of one round.
pub(super) struct Cases {
    pub(super) pair: Pair,
    /// Encoded.
    drafts: Vec<Bytes>,
    covered: u64,
    environment: Environment,
}

impl Cases {
    /// As many cases as the workload's size.
    pub(super) async fn prepare(bench: &Bench, name: &str) -> anyhow::Result<Self> {
        let rows: Rows = rows::file(bench, bench.size)?;
        let (mut drafts, mut covered) = (Vec::new(), 0);
        rows.drafts(bench.size, |draft| {
            covered += u64::from(rows::covers(&draft));
            drafts.push(draft.encode_to_vec().into());
        })?;
        let mut pair = Pair::prepare(bench, name)?;
        pair.start().await?;
        Ok(Self {
            pair,
            drafts,
            covered,
            environment: Environment::system(),
        })
    }

    /// The cases of the next round, all expected to arrive from now on.
    pub(super) fn next(&mut self) -> Vec<v1::ImportRow> {
        self.pair.expect(Seeded {
            entries: self.drafts.len() as u64,
            covered: self.covered,
        });
        let rows = self.drafts.iter().map(|draft| {
            let mut key = [0; 16];
            self.environment.entropy.fill(&mut key);
            v1::ImportRow {
                key: Bytes::copy_from_slice(&key),
                draft: Some(draft.clone()),
            }
        });
        rows.collect()
    }

    /// How many cases of a round the receiver is granted.
    pub(super) fn covered(&self) -> u64 {
        self.covered
    }
}

/// That a record was issued; the index of its entry.
pub(super) fn issued(outcome: Option<v1::Outcome>) -> anyhow::Result<u64> {
    match outcome {
        Some(issued) if issued.result() == outcome::Result::Issued => Ok(issued.index),
        other => anyhow::bail!("a case was not issued: {other:?}"),
    }
}

/// An `Import` call that stays open: whoever writes often pays for opening a call once.
pub(super) struct Call {
    batches: Sender<v1::ImportRequest>,
    replies: BoxStream<'static, anyhow::Result<v1::ImportReply>>,
}

impl Call {
    /// Opens a call.
    pub(super) async fn open(client: &mut Client) -> anyhow::Result<Self> {
        let (batches, receiver) = mpsc::channel(BATCHES_WAITING_MAX);
        let replies = client.import(receiver).await?.into_inner();
        let replies = replies.map_err(anyhow::Error::from).boxed();
        Ok(Self { batches, replies })
    }

    /// Hands over rows as one commit.
    pub(super) async fn send(&mut self, rows: Vec<v1::ImportRow>) -> anyhow::Result<()> {
        let dry_run = false;
        let sent = self.batches.send(v1::ImportRequest { rows, dry_run }).await;
        sent.context("the node ended the call before all was sent")
    }

    /// Waits until the earliest commit that was not waited for is durable.
    pub(super) async fn durable(&mut self) -> anyhow::Result<()> {
        let reply = self.replies.next().await;
        let reply = reply.context("the node ended the call before all was answered")??;
        for outcome in reply.outcomes {
            issued(Some(outcome))?;
        }
        Ok(())
    }

    /// Hands over rows as one commit and waits until it is durable.
    pub(super) async fn commit(&mut self, rows: Vec<v1::ImportRow>) -> anyhow::Result<()> {
        self.send(rows).await?;
        self.durable().await
    }
}

/// Sends batches through one call, each as one commit, with so many under way at once; returns when all are durable.
pub(super) async fn import(
    client: &mut Client,
    batches: Vec<Vec<v1::ImportRow>>,
    under_way: usize,
) -> anyhow::Result<()> {
    let mut call = Call::open(client).await?;
    let mut waiting = 0;
    for batch in batches {
        if waiting == under_way {
            call.durable().await?;
            waiting -= 1;
        }
        call.send(batch).await?;
        waiting += 1;
    }
    for _ in 0..waiting {
        call.durable().await?;
    }
    Ok(())
}
