//! `icomm-simulate`: runs scenarios with seeds and says which held.

use std::time::Duration;

use clap::Parser;
use icomm_simulations::scenarios::{ALL, Scenario};

/// Run simulated networks of the real core
#[derive(Parser)]
struct Arguments {
    /// Scenarios to run; all when none is named
    scenarios: Vec<String>,
    /// First seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds, one after another
    #[arg(long, default_value_t = 10)]
    seeds: u64,
}

fn main() -> anyhow::Result<()> {
    let Arguments { scenarios, seed, seeds } = Arguments::parse();
    let known = |name: &String| ALL.iter().any(|scenario| scenario.name == name);
    if let Some(unknown) = scenarios.iter().find(|name| !known(name)) {
        let names: Vec<&str> = ALL.iter().map(|scenario| scenario.name).collect();
        anyhow::bail!("there is no scenario `{unknown}`; there are: {}", names.join(", "));
    }
    let mut broken = 0;
    for Scenario { name, run } in ALL
        .iter()
        .filter(|one| scenarios.is_empty() || scenarios.iter().any(|n| n == one.name))
    {
        let mut frames = 0;
        let mut simulated = Duration::ZERO;
        for seed in seed..seed + seeds {
            match run(seed) {
                Ok(world) => {
                    frames += world.frames();
                    simulated += world.elapsed();
                }
                Err(what) => {
                    broken += 1;
                    println!("{name}: seed {seed}: {what}");
                }
            }
        }
        println!(
            "{name}: {seeds} seeds, {frames} frames, {:.1} simulated hours",
            simulated.as_secs_f64() / 3600.0
        );
    }
    anyhow::ensure!(broken == 0, "{broken} runs broke what must hold");
    Ok(())
}
