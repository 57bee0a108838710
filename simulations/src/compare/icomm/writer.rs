//! Cases on their way into the sender while the receiver is linked: typed drafts made before the clock, each with an intake
//! key of its own, as an importing program has them.

use futures::stream;
use icomm_node::{api::client::Client, environment::Environment};
use icomm_proto::v1::{self, outcome};
use prost::{Message as _, bytes::Bytes};
use tokio::sync::mpsc;

use super::{pair::Pair, seed::Seeded};
use crate::compare::{
    rows::{self, Rows},
    workload::Bench,
};

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

/// Sends batches through one call, each as one commit, with so many under way at once; returns when all are durable.
pub(super) async fn import(
    client: &mut Client,
    batches: Vec<v1::ImportRequest>,
    under_way: usize,
) -> anyhow::Result<()> {
    let (sender, receiver) = mpsc::channel(under_way);
    let requests = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<_>| {
        let request = receiver.recv().await?;
        Some((request, receiver))
    });
    let mut batches = batches.into_iter();
    for batch in batches.by_ref().take(under_way) {
        sender.send(batch).await?;
    }
    let mut replies = client.import(requests).await?.into_inner();
    let mut sender = Some(sender);
    while let Some(reply) = replies.message().await? {
        for outcome in reply.outcomes {
            issued(Some(outcome))?;
        }
        match (batches.next(), &sender) {
            (Some(batch), Some(sender)) => sender.send(batch).await?,
            // Nobody to send more: the call ends when what is under way has been answered.
            _ => sender = None,
        }
    }
    anyhow::ensure!(batches.next().is_none(), "the node ended the call before all was sent");
    Ok(())
}
