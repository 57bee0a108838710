//! Latency: a hundred messages a second, whatever becomes of those before, each from the call that publishes it to its arrival
//! at a consumer of the mirror.

use std::collections::VecDeque;

use anyhow::Context as _;
use futures::future::BoxFuture;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{
    Names, Rounds, STILL_MAX, SUBJECT, jetstream::Jetstream, messages::Messages, primed, removed, servers::Servers,
};
use crate::compare::{delays::Delays, series::Sample, workloads::latency::PACE};

pub(super) struct Latency {
    sender: Jetstream,
    receiver: Jetstream,
    messages: Messages,
    round: u32,
}

impl Latency {
    pub(super) async fn new(servers: &Servers, messages: Messages) -> anyhow::Result<Self> {
        Ok(Self {
            sender: servers.sender().await?,
            receiver: servers.receiver().await?,
            messages,
            round: 0,
        })
    }

    /// Publishes in step; says when each message was.
    async fn publish(&self) -> anyhow::Result<Vec<Instant>> {
        let mut tick = interval(PACE);
        // An open loop: what is late is made up for.
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut calls = Vec::new();
        let mut under_way = VecDeque::new();
        for message in self.messages.iter() {
            tick.tick().await;
            calls.push(Instant::now());
            under_way.push_back(self.sender.publish(SUBJECT, message));
        }
        for stored in under_way {
            stored.done().await?;
        }
        Ok(calls)
    }
}

impl Rounds for Latency {
    fn round<'a>(&'a mut self, at: &'a Servers) -> BoxFuture<'a, anyhow::Result<Sample>> {
        Box::pin(async move {
            self.round += 1;
            let names = Names::of_round(self.round);
            primed(&self.sender, &self.receiver, &names).await?;
            let mut arrivals = self.receiver.follow(&names.mirror).await?;
            let receive = async {
                let mut came = Vec::new();
                for expected in self.messages.iter() {
                    let arrival = timeout(STILL_MAX, arrivals.recv()).await;
                    let arrival = arrival.ok().flatten().context("the mirror delivers nothing any more")?;
                    anyhow::ensure!(
                        arrival.payload == expected,
                        "the mirror delivers another message than was published"
                    );
                    came.push(arrival.at);
                }
                Ok(came)
            };
            let before = at.cost()?;
            let (calls, came) = futures::try_join!(self.publish(), receive)?;
            let cost = at.cost()? - before;
            let delays: Delays = calls
                .iter()
                .zip(&came)
                .map(|(call, came)| came.duration_since(*call))
                .collect();
            removed(&self.sender, &self.receiver, &names).await?;
            let sample = delays.sample().context("nothing was published")?;
            Ok(cost.beside(sample, self.messages.count()))
        })
    }
}
