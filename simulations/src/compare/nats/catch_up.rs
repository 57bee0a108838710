//! Catch-up: the stream is full; a new mirror begins, and the clock stops when it has everything.

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::{Names, Rounds, filled, jetstream::Jetstream, messages::Messages, servers, servers::Servers, streaming};
use crate::compare::series::Sample;

pub(super) struct CatchUp {
    receiver: Jetstream,
    full: Names,
    messages: Messages,
    round: u32,
}

impl CatchUp {
    pub(super) async fn new(servers: &Servers, messages: Messages) -> anyhow::Result<Self> {
        let sender = servers.sender().await?;
        let full = Names::of_round(0);
        sender.create(&full.stream, super::SUBJECT).await?;
        streaming::publish(&sender, &messages).await?;
        Ok(Self {
            receiver: servers.receiver().await?,
            full,
            messages,
            round: 0,
        })
    }
}

impl Rounds for CatchUp {
    fn round<'a>(&'a mut self, at: &'a Servers) -> BoxFuture<'a, anyhow::Result<Sample>> {
        Box::pin(async move {
            self.round += 1;
            let Names { mirror, .. } = Names::of_round(self.round);
            let (before, begun) = (at.cost()?, Instant::now());
            self.receiver
                .mirror(&mirror, &self.full.stream, servers::SENDER)
                .await?;
            filled(&self.receiver, &mirror, self.messages.count()).await?;
            let (seconds, cost) = (begun.elapsed().as_secs_f64(), at.cost()? - before);
            self.receiver.delete(&mirror).await?;
            Ok(self.messages.beside(cost.rate(self.messages.count(), seconds)))
        })
    }
}
