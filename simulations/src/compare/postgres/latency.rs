//! Latency: from an INSERT to the moment at which somebody who listens at the subscriber is told of it, at a steady pace.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_postgres::{Client, Statement};

use super::{
    cases::{self, Cases},
    installation::Installation,
    table::TABLE,
};
use crate::compare::{delays::Delays, series::Sample, workload::Bench, workloads::latency::PACE};

/// Connections that take turns, so that a slow commit does not hold up the next.
const WRITERS: usize = 4;

/// How long the last rows may take before the round has failed.
const ARRIVE_WITHIN: Duration = Duration::from_secs(60);

/// The channel on which the subscriber tells ids.
const CHANNEL: &str = "arrived";

/// A pair, and as many commits a round as the workload's size.
pub(super) struct Latency {
    cases: Cases,
    writers: Vec<(Arc<Client>, Statement)>,
}

impl Latency {
    pub(super) async fn prepare(bench: &Bench, installation: &Installation) -> anyhow::Result<Self> {
        let cases = Cases::prepare(bench, installation).await?;
        // Always: what replication applies fires no other triggers.
        let trigger = format!(
            "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_notify('{CHANNEL}', NEW.id::text); RETURN NULL; END $$;
             CREATE TRIGGER tell AFTER INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION tell();
             ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER tell"
        );
        cases.pair.subscribers.batch_execute(&trigger).await?;
        let mut writers = Vec::with_capacity(WRITERS);
        for writer in cases.writers(WRITERS).await? {
            let insert = writer.prepare(&cases.pair.table.insert()).await?;
            writers.push((writer, insert));
        }
        Ok(Self { cases, writers })
    }

    pub(super) async fn round(&mut self) -> anyhow::Result<Sample> {
        let Self { cases, writers } = self;
        cases.pair.clear().await?;
        let (_listener, mut arrivals) = cases.pair.subscriber.listen(CHANNEL).await?;
        let before = cases.pair.cost()?;
        let mut commits = JoinSet::new();
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for (at, (writer, insert)) in (0..cases.all().len()).zip(writers.iter().cycle()) {
            ticks.tick().await;
            let (writer, insert, cases) = (Arc::clone(writer), insert.clone(), cases.shared());
            commits.spawn(async move {
                let case = cases.get(at).context("there is a commit for each case")?;
                let called = Instant::now();
                cases::insert(&writer, &insert, case).await?;
                anyhow::Ok((cases::id(case)?, called))
            });
        }
        let mut called = BTreeMap::new();
        while let Some(commit) = commits.join_next().await {
            let (id, moment) = commit??;
            called.insert(id, moment);
        }
        let mut delays = Delays::default();
        for _ in 0..cases.covered() {
            let arrival = timeout(ARRIVE_WITHIN, arrivals.recv()).await;
            let (id, seen) = arrival
                .context("not every row has arrived in time")?
                .context("the subscriber has ended")?;
            let called = called.get(&id.parse()?).context("a row came that nobody inserted")?;
            delays.add(seen.saturating_duration_since(*called));
        }
        let cost = cases.pair.cost()? - before;
        cases.check().await?;
        let sample = delays.sample().context("no row was delivered")?;
        Ok(cost.beside(sample, cases.covered()))
    }
}
