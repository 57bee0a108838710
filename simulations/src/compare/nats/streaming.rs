//! Streaming: one connection publishes as much as may be under way, until the mirror has the last.

use std::collections::VecDeque;

use futures::future::BoxFuture;

use super::{
    Names, Rounds, SUBJECT, Watch, filled,
    jetstream::{Jetstream, Stored},
    messages::Messages,
    primed, removed,
    servers::Servers,
};
use crate::compare::{
    series::Sample,
    workloads::streaming::{COMMIT_RECORDS, COMMITS_UNDER_WAY},
};

/// As many as the others have under way: four commits of a hundred.
const UNDER_WAY_MAX: usize = COMMITS_UNDER_WAY * COMMIT_RECORDS;

pub(super) struct Streaming {
    sender: Jetstream,
    receiver: Jetstream,
    messages: Messages,
    round: u32,
}

impl Streaming {
    pub(super) async fn new(servers: &Servers, messages: Messages) -> anyhow::Result<Self> {
        Ok(Self {
            sender: servers.sender().await?,
            receiver: servers.receiver().await?,
            messages,
            round: 0,
        })
    }
}

impl Rounds for Streaming {
    fn round<'a>(&'a mut self, at: &'a Servers) -> BoxFuture<'a, anyhow::Result<Sample>> {
        Box::pin(async move {
            self.round += 1;
            let names = Names::of_round(self.round);
            primed(&self.sender, &self.receiver, &names).await?;
            let watch = Watch::start(at)?;
            publish(&self.sender, &self.messages).await?;
            filled(&self.receiver, &names.mirror, 1 + self.messages.count()).await?;
            let sample = watch.stop(at, self.messages.count())?;
            removed(&self.sender, &self.receiver, &names).await?;
            Ok(self.messages.beside(sample))
        })
    }
}

/// Publishes all messages and waits until the last is stored.
pub(super) async fn publish(sender: &Jetstream, messages: &Messages) -> anyhow::Result<()> {
    let mut under_way: VecDeque<Stored> = VecDeque::with_capacity(UNDER_WAY_MAX);
    for message in messages.iter() {
        // They are stored in the order in which they are published.
        if under_way.len() == UNDER_WAY_MAX
            && let Some(oldest) = under_way.pop_front()
        {
            oldest.done().await?;
        }
        under_way.push_back(sender.publish(SUBJECT, message));
    }
    for stored in under_way {
        stored.done().await?;
    }
    Ok(())
}
