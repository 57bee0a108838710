//! The invariants of ARCHITECTURE.md, as far as six nodes show them, by their numbers there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{model::Model, observed::Seen};

/// Something is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) invariant: u32,
    what: String,
    /// It does not get better by waiting.
    pub(super) is_final: bool,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant {}: {}", self.invariant, self.what)
    }
}

/// What was seen before.
#[derive(Debug, Default)]
pub(super) struct Memory {
    sizes: BTreeMap<(&'static str, String), u64>,
    heads: BTreeMap<(String, u64), String>,
    versions: BTreeMap<(&'static str, String), u64>,
    found: Vec<Violation>,
}

impl Memory {
    pub(super) fn check(&mut self, model: &Model, seen: &BTreeMap<&'static str, Seen>) -> Vec<Violation> {
        self.found.clear();
        for (home, seen) in seen {
            self.names(model, home, seen);
            self.logs(home, seen);
            self.versions(home, seen);
            if !seen.ledger.is_empty() {
                self.waits(4, format!("{home}'s disclosure log: {}", seen.ledger));
            }
            if !seen.reasons.is_empty() {
                self.waits(19, format!("{home} is not well: {}", seen.reasons.join("; ")));
            }
        }
        if let Some(seen) = seen.get("wco") {
            self.root(model, seen);
        }
        std::mem::take(&mut self.found)
    }

    fn never(&mut self, invariant: u32, what: String) {
        self.found.push(Violation {
            invariant,
            what,
            is_final: true,
        });
    }

    fn waits(&mut self, invariant: u32, what: String) {
        self.found.push(Violation {
            invariant,
            what,
            is_final: false,
        });
    }

    /// Names are where they may be, and nowhere else: permits, corrections, recalls, narrower terms.
    fn names(&mut self, model: &Model, home: &'static str, seen: &Seen) {
        for case in &model.cases {
            let (is, may) = (seen.text.contains(&case.name), case.at.contains(home));
            match (is, may) {
                (true, false) if !case.ever.contains(home) => {
                    self.never(
                        1,
                        format!("{home} reads {} of {}, which nobody gave it", case.name, case.of),
                    );
                }
                (true, false) => self.waits(20, format!("{home} still reads {} of {}", case.name, case.of)),
                (false, true) => self.waits(5, format!("{home} has not {} of {}", case.name, case.of)),
                _ => {}
            }
        }
        for gone in &model.gone {
            if seen.text.contains(&gone.name) {
                match gone.ever.contains(home) {
                    true => self.waits(15, format!("{home} still reads {}, which is void", gone.name)),
                    false => self.never(1, format!("{home} reads {}, which nobody gave it", gone.name)),
                }
            }
        }
        let logged: Vec<String> = model
            .names()
            .filter(|name| seen.log.contains(*name))
            .map(str::to_owned)
            .collect();
        for name in logged {
            self.never(22, format!("{name} stands in the log file of {home}"));
        }
    }

    /// Logs verify, grow, are one history, and nobody is accused.
    fn logs(&mut self, home: &'static str, seen: &Seen) {
        for (origin, log) in &seen.logs {
            if !log.verified {
                self.waits(5, format!("{origin} does not verify at {home}"));
            }
            if log.forked {
                self.never(12, format!("{home} holds {origin} for forked"));
            }
            let known = self
                .heads
                .entry((origin.clone(), log.entries))
                .or_insert_with(|| log.head.clone());
            if *known != log.head {
                let what = format!("two heads of {origin}: `{known}`, and at {home} `{}`", log.head);
                self.never(19, what);
            }
            let most = self.sizes.entry((home, origin.clone())).or_default();
            *most = log.entries.max(*most);
        }
        let shrunk: Vec<String> = self
            .sizes
            .iter()
            .filter(|((at, origin), most)| *at == home && seen.logs.get(origin).is_none_or(|log| log.entries < **most))
            .map(|((_, origin), most)| format!("{home} held {most} entries of {origin}"))
            .collect();
        shrunk.into_iter().for_each(|what| self.waits(19, what));
    }

    fn versions(&mut self, home: &'static str, seen: &Seen) {
        let bundle = [("the bundle".to_owned(), seen.bundle)];
        let agreements = seen.agreements.iter().map(|(id, version)| (id.clone(), *version));
        for (what, version) in agreements.chain(bundle) {
            let most = self.versions.entry((home, what.clone())).or_default();
            *most = version.max(*most);
        }
        let back: Vec<String> = self
            .versions
            .iter()
            .filter(|((at, what), most)| {
                let now = seen.agreements.get(what).copied().unwrap_or(seen.bundle);
                *at == home && now < **most
            })
            .map(|((_, what), most)| format!("{home} had version {most} of {what}"))
            .collect();
        back.into_iter().for_each(|what| self.waits(7, what));
    }

    /// The root has the open section, and photos that were cleared.
    fn root(&mut self, model: &Model, seen: &Seen) {
        let cleared: BTreeSet<&str> = model
            .cases
            .iter()
            .filter(|case| case.cleared)
            .map(|case| case.id.as_str())
            .collect();
        for (id, sections) in &seen.sections {
            for section in sections {
                match section.as_str() {
                    "case" => {}
                    "images" if cleared.contains(id.as_str()) => {}
                    // It was cleared, and is void since.
                    "images" => self.waits(2, format!("the root has images of {id}")),
                    _ => self.never(2, format!("the root has `{section}` of {id}")),
                }
            }
        }
        for id in cleared {
            if seen
                .sections
                .get(id)
                .is_none_or(|sections| !sections.contains("images"))
            {
                self.waits(2, format!("the root has not the photo of {id} that was cleared"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::observed::Log;

    fn model() -> Model {
        let mut model = Model::default();
        model.issued("ke", "1".to_owned(), "Synth-0001q".to_owned());
        model.issued("ug", "2".to_owned(), "Synth-0002q".to_owned());
        model.recalled(1);
        model
    }

    /// As it must be.
    fn good() -> BTreeMap<&'static str, Seen> {
        let log = Log {
            entries: 2,
            head: "KE/main 2 root".to_owned(),
            verified: true,
            forked: false,
        };
        let seen = |text: &str| Seen {
            logs: [("KE/main".to_owned(), log.clone())].into(),
            text: text.to_owned(),
            sections: [("1".to_owned(), ["case".to_owned()].into())].into(),
            bundle: 3,
            agreements: [("ke-es".to_owned(), 2)].into(),
            ..Seen::default()
        };
        [
            ("ke", seen("Synth-0001q")),
            ("es", seen("Synth-0001q")),
            ("wco", seen("")),
        ]
        .into()
    }

    fn found(change: impl FnOnce(&mut BTreeMap<&'static str, Seen>)) -> Vec<(u32, bool)> {
        let mut memory = Memory::default();
        assert_eq!(memory.check(&model(), &good()), []);
        let mut seen = good();
        change(&mut seen);
        let violations = memory.check(&model(), &seen);
        violations
            .iter()
            .map(|found| (found.invariant, found.is_final))
            .collect()
    }

    #[test]
    fn every_check_can_fail() {
        let at = |home: &'static str, change: fn(&mut Seen)| found(|seen| change(seen.get_mut(home).unwrap()));
        assert_eq!(at("wco", |seen| seen.text += "Synth-0001q"), [(1, true)]);
        assert_eq!(at("wco", |seen| seen.text += "Synth-0002q"), [(1, true)]);
        assert_eq!(
            at("wco", |seen| {
                seen.sections.get_mut("1").unwrap().insert("persons".to_owned());
            }),
            [(2, true)]
        );
        assert_eq!(
            at("wco", |seen| {
                seen.sections.get_mut("1").unwrap().insert("images".to_owned());
            }),
            [(2, false)]
        );
        assert_eq!(at("es", |seen| seen.ledger = "cut".to_owned()), [(4, false)]);
        assert_eq!(at("es", |seen| seen.text.clear()), [(5, false)]);
        assert_eq!(
            at("es", |seen| seen.logs.get_mut("KE/main").unwrap().verified = false),
            [(5, false)]
        );
        assert_eq!(at("es", |seen| seen.bundle = 2), [(7, false)]);
        assert_eq!(
            at("es", |seen| {
                seen.agreements.insert("ke-es".to_owned(), 1);
            }),
            [(7, false)]
        );
        assert_eq!(
            at("es", |seen| seen.logs.get_mut("KE/main").unwrap().forked = true),
            [(12, true)]
        );
        assert_eq!(
            at("es", |seen| seen.logs.get_mut("KE/main").unwrap().head =
                "KE/main 2 other".to_owned()),
            [(19, true)]
        );
        assert_eq!(at("es", |seen| seen.logs.clear()), [(19, false)]);
        assert_eq!(at("es", |seen| seen.reasons = vec!["full".to_owned()]), [(19, false)]);
        assert_eq!(at("es", |seen| seen.log = "Synth-0002q".to_owned()), [(22, true)]);
    }

    #[test]
    fn what_was_there_rightly_is_waited_for_until_it_is_gone() {
        let mut model = model();
        model.renewed(false);
        let violations = Memory::default().check(&model, &good());
        assert_eq!(
            violations
                .iter()
                .map(|found| (found.invariant, found.is_final))
                .collect::<Vec<_>>(),
            [(20, false)]
        );
        model.amended(0, "Synth-0003q".to_owned());
        let violations = Memory::default().check(&model, &good());
        let found: BTreeSet<_> = violations
            .iter()
            .map(|found| (found.invariant, found.is_final))
            .collect();
        assert_eq!(found, [(5, false), (15, false)].into());
    }
}
