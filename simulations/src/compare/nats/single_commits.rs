//! Single commits: sixteen connections, each publishing one message and waiting until it is stored before the next.

use std::sync::Mutex;

use futures::future::{BoxFuture, try_join_all};

use super::{
    Names, Rounds, SUBJECT, Watch, filled, jetstream::Jetstream, messages::Messages, primed, removed, servers::Servers,
};
use crate::compare::{series::Sample, workloads::single_commits::WRITERS};

pub(super) struct SingleCommits {
    senders: Vec<Jetstream>,
    receiver: Jetstream,
    messages: Messages,
    round: u32,
}

impl SingleCommits {
    pub(super) async fn new(servers: &Servers, messages: Messages) -> anyhow::Result<Self> {
        Ok(Self {
            senders: try_join_all((0..WRITERS).map(|_| servers.sender())).await?,
            receiver: servers.receiver().await?,
            messages,
            round: 0,
        })
    }
}

impl Rounds for SingleCommits {
    fn round<'a>(&'a mut self, at: &'a Servers) -> BoxFuture<'a, anyhow::Result<Sample>> {
        Box::pin(async move {
            self.round += 1;
            let names = Names::of_round(self.round);
            let Some(first) = self.senders.first() else {
                anyhow::bail!("there are no writers");
            };
            primed(first, &self.receiver, &names).await?;
            let watch = Watch::start(at)?;
            let left = Mutex::new(self.messages.iter());
            try_join_all(self.senders.iter().map(|sender| write(sender, &left))).await?;
            filled(&self.receiver, &names.mirror, 1 + self.messages.count()).await?;
            let sample = watch.stop(at, self.messages.count())?;
            removed(first, &self.receiver, &names).await?;
            Ok(sample)
        })
    }
}

/// One writer: takes the next message that nobody has taken, until there are no more.
async fn write<'a>(sender: &Jetstream, left: &Mutex<impl Iterator<Item = &'a [u8]>>) -> anyhow::Result<()> {
    let next = || left.lock().ok().and_then(|mut left| left.next());
    while let Some(message) = next() {
        sender.publish(SUBJECT, message).done().await?;
    }
    Ok(())
}
