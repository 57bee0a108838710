//! Rounds: the contestants of a workload take turns, and another one begins each time.

use super::{
    outcome::{Outcome, Standing},
    series::{Sample, Series},
    workload::{Bench, Field, Workload},
};

/// Told what is under way.
pub trait Watcher {
    /// A contestant's round begins. `setup` rounds have the name of none.
    fn begins(&self, workload: &str, contestant: &str, round: usize, of: usize);
}

/// Runs a workload to its end.
///
/// # Errors
/// Something can't be set up, or a contestant does not do what it should. Which and in which round is said.
pub async fn run(workload: &Workload, bench: &Bench, rounds: usize, watcher: &dyn Watcher) -> anyhow::Result<Outcome> {
    use anyhow::Context as _;
    watcher.begins(workload.name, "set-up", 0, rounds);
    let Field {
        mut contestants,
        absent,
    } = (workload.field)(bench)
        .await
        .with_context(|| format!("`{}` can't be set up", workload.name))?;
    let mut samples: Vec<Vec<Sample>> = vec![Vec::with_capacity(rounds); contestants.len()];
    for round in 0..rounds {
        for turn in 0..contestants.len() {
            let who = (round + turn) % contestants.len();
            let (Some(contestant), Some(samples)) = (contestants.get_mut(who), samples.get_mut(who)) else {
                continue;
            };
            watcher.begins(workload.name, contestant.name(), round + 1, rounds);
            let sample = contestant.round().await.with_context(|| {
                let name = contestant.name();
                format!("`{}`: round {} of {name} failed", workload.name, round + 1)
            })?;
            samples.push(sample);
        }
    }
    let mut standings = Vec::with_capacity(contestants.len());
    for (contestant, samples) in contestants.iter_mut().zip(samples) {
        contestant.finish().await?;
        let series = Series::over(&samples).context("no rounds were asked for")?;
        standings.push(Standing {
            name: contestant.name(),
            kind: contestant.kind(),
            remark: contestant.remark(),
            series,
        });
    }
    Ok(Outcome {
        workload: *workload,
        size: bench.size,
        form: bench.form,
        standings,
        absent,
    })
}
