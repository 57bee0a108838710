//! A soak: all that happens to records and partnerships happens in random order on six real nodes, and after every step all that
//! ARCHITECTURE.md calls an invariant, and that can be seen from outside, is looked at.
//!
//! ```text
//!   WCO ◀─ open ─ RILO-ESA ◀─ KE, UG           real seizures of KE, UG and ES, and records with planted names
//!    ▲              KE ◀─ ke-es, with and without persons ─▶ ES
//!    └─ open ─ KE   UG ─ ug-we, onward with consent ─▶ RILO-WE ◀─ es-we ─▶ ES
//! ```
//!
//! The seed decides the order and nothing else does. `ICOMM_SOAK_SEED` and `ICOMM_SOAK_STEPS` set another one and more steps; a
//! failure prints what happened so far and the command that does it again. Not here: time that passes (`retention`), tokens
//! (`token`), what a hostile peer sends.

mod cast;
mod chance;
mod checks;
mod model;
mod observed;
mod steps;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

use self::{
    cast::Cast,
    chance::Chance,
    checks::{Memory, Violation},
    model::Model,
    steps::{Kind, Step},
};

const SEED: u64 = 20_261_124;
const STEPS: usize = 50;
/// How long the network may take after a step until all is as it must be.
const CONVERGES_WITHIN: Duration = Duration::from_secs(60);

/// The network, and what is known of it.
struct Soak {
    cast: Cast,
    model: Model,
    memory: Memory,
    chance: Chance,
}

fn set(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn whatever_happens_in_whatever_order_the_invariants_hold() {
    let seed = set("ICOMM_SOAK_SEED").unwrap_or(SEED);
    let steps = set("ICOMM_SOAK_STEPS").map_or(STEPS, |steps| usize::try_from(steps).unwrap());
    let Some(cast) = Cast::found() else { return };
    let mut soak = Soak {
        cast,
        model: Model::default(),
        memory: Memory::default(),
        chance: Chance::new(seed),
    };
    let mut history: Vec<String> = Vec::new();
    let begun = Instant::now();
    let walked = catch_unwind(AssertUnwindSafe(|| {
        soak.holds("the beginning");
        for (number, kind) in plan(&mut soak.chance, steps).into_iter().enumerate() {
            let at = begun.elapsed().as_secs();
            history.push(format!("{number:>3} {at:>4} s  {kind:?}"));
            let done = soak.walk(kind);
            if let Some(line) = history.last_mut() {
                *line += &format!(": {}", done.0);
            }
            eprintln!("{}", history.last().map_or("", String::as_str));
            soak.holds(&done.0);
        }
        soak.forks();
    }));
    if let Err(panic) = walked {
        eprintln!("what happened:\n{}", history.join("\n"));
        eprintln!(
            "again: ICOMM_SOAK_SEED={seed} ICOMM_SOAK_STEPS={steps} cargo test -p icomm-tests --test exchange -- soak --nocapture"
        );
        resume_unwind(panic);
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in &history {
        let kind = line.split_whitespace().nth(3).unwrap_or_default().trim_end_matches(':');
        *counts.entry(kind.to_owned()).or_default() += 1;
    }
    eprintln!(
        "seed {seed}, {} steps in {} s: {counts:?}",
        history.len(),
        begun.elapsed().as_secs()
    );
}

/// Every kind of step once, in an order of its own, then whatever comes.
fn plan(chance: &mut Chance, steps: usize) -> Vec<Kind> {
    let mut plan = Kind::ALL.to_vec();
    chance.shuffle(&mut plan);
    while plan.len() < steps {
        plan.push(*chance.one(&Kind::ALL));
    }
    plan
}

impl Soak {
    fn walk(&mut self, kind: Kind) -> Step {
        steps::walk(kind, &mut self.cast, &mut self.model, &mut self.chance)
    }

    /// Waits until all is as it must be. What must never be is not waited for.
    fn holds(&mut self, after: &str) {
        let deadline = Instant::now() + CONVERGES_WITHIN;
        loop {
            let seen = observed::observe(&self.cast);
            let violations = self.memory.check(&self.model, &seen);
            if violations.is_empty() {
                return;
            }
            let told: Vec<String> = violations.iter().map(ToString::to_string).collect();
            let hopeless = violations.iter().any(|violation: &Violation| violation.is_final);
            assert!(
                !hopeless && Instant::now() < deadline,
                "after {after}:\n  {}",
                told.join("\n  ")
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// At the end, for nothing can follow: KE signs a second history, where nobody can tell it that there is one.
    fn forks(mut self) {
        self.cast.twin_of_ke();
        for home in ["esa", "we", "ug", "es", "wco"] {
            self.cast.starts(home);
        }
        for home in ["esa", "we", "ug", "es", "wco"] {
            let line = format!("audit forks --json --home {home}");
            crate::place::until(&format!("invariant 12: {home} has no proof"), || {
                let forks = crate::place::json_lines(&self.cast.place.does(&line));
                matches!(&forks[..], [fork] if fork["origin"] == "KE/main")
            });
        }
        let out = "audit forks KE/main --out ke.fork --home ug";
        self.cast.place.does(out);
        let verify = "log verify ke.fork --root ug/identity/root.pem --home nowhere";
        assert!(self.cast.place.does(verify).contains("KE/main has two histories"));
    }
}
