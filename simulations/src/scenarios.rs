//! One situation a file. Each takes a seed, runs to a simulated deadline and says what went wrong, if anything did.

pub mod away;
pub mod catch_up;
pub mod crash;
pub mod fork;
pub mod hostile;
pub mod lapse;
pub mod partition;
pub mod recalls;
pub mod routes;
pub mod terms;

use crate::world::World;

/// A scenario: its name and what it does with a seed. `Err` says what must not be.
pub struct Scenario {
    /// As on the command line.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(u64) -> Result<World, String>,
}

/// Every scenario.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "catch-up",
        run: catch_up::run,
    },
    Scenario {
        name: "routes",
        run: routes::run,
    },
    Scenario {
        name: "partition",
        run: partition::run,
    },
    Scenario {
        name: "crash",
        run: crash::run,
    },
    Scenario {
        name: "lapse",
        run: lapse::run,
    },
    Scenario {
        name: "fork",
        run: fork::run,
    },
    Scenario {
        name: "terms",
        run: terms::run,
    },
    Scenario {
        name: "recalls",
        run: recalls::run,
    },
    Scenario {
        name: "away",
        run: away::run,
    },
    Scenario {
        name: "hostile",
        run: hostile::run,
    },
];

/// Fails with a sentence unless `holds`.
pub(crate) fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn the_same_seed_gives_the_same_run() {
        for scenario in ALL {
            let traces = [(); 2].map(|()| (scenario.run)(7).unwrap().trace());
            assert_eq!(traces[0], traces[1], "{}", scenario.name);
        }
    }

    #[test]
    fn every_scenario_holds_for_many_seeds() {
        for scenario in ALL {
            for seed in 0..8 {
                if let Err(broken) = (scenario.run)(seed) {
                    panic!("{} with seed {seed}: {broken}", scenario.name);
                }
            }
        }
    }
}
