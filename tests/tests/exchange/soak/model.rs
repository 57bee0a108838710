//! What must be so: which names were planted, in which record, and where each may be read now.

use std::collections::BTreeSet;

/// A record with a planted name.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// The home of its originator.
    pub(super) of: &'static str,
    pub(super) id: String,
    /// The name in its latest version.
    pub(super) name: String,
    /// Where that can be read now.
    pub(super) at: BTreeSet<&'static str>,
    /// Where the version could ever have been read.
    pub(super) ever: BTreeSet<&'static str>,
    /// One photo of it was cleared for the root.
    pub(super) cleared: bool,
}

/// The agreement that changes.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) version: u32,
    pub(super) persons: bool,
    pub(super) suspended: bool,
}

/// A name that nobody may read any more, and where it could be once.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    pub(super) name: String,
    pub(super) ever: BTreeSet<&'static str>,
}

#[derive(Debug)]
pub(super) struct Model {
    pub(super) cases: Vec<Case>,
    pub(super) gone: Vec<Gone>,
    /// Records that are recalled, with their originators.
    pub(super) recalled: Vec<(&'static str, String)>,
    pub(super) ke_es: Terms,
    names: usize,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            cases: Vec::new(),
            gone: Vec::new(),
            recalled: Vec::new(),
            ke_es: Terms {
                version: 1,
                persons: true,
                suspended: false,
            },
            names: 0,
        }
    }
}

impl Model {
    /// A name that no other contains.
    pub(super) fn new_name(&mut self) -> String {
        self.names += 1;
        format!("Synth-{:04}q", self.names)
    }

    /// To whom a new version of a record of `of` goes by itself, with its persons.
    pub(super) fn reach(&self, of: &str) -> BTreeSet<&'static str> {
        let flows = self.ke_es.persons && !self.ke_es.suspended;
        let also: &[&'static str] = match of {
            "ke" if flows => &["es"],
            "es" if flows => &["ke", "we"],
            "es" | "ug" => &["we"],
            _ => &[],
        };
        also.iter().copied().collect()
    }

    pub(super) fn issued(&mut self, of: &'static str, id: String, name: String) {
        let mut at = self.reach(of);
        at.insert(of);
        self.cases.push(Case {
            of,
            id,
            name,
            ever: at.clone(),
            at,
            cleared: false,
        });
    }

    pub(super) fn amended(&mut self, which: usize, name: String) {
        let mut at = self.reach(self.cases[which].of);
        let case = &mut self.cases[which];
        at.insert(case.of);
        self.gone.push(Gone {
            name: std::mem::replace(&mut case.name, name),
            ever: std::mem::replace(&mut case.ever, at.clone()),
        });
        (case.at, case.cleared) = (at, false);
    }

    pub(super) fn recalled(&mut self, which: usize) {
        let Case { of, id, name, ever, .. } = self.cases.remove(which);
        self.recalled.push((of, id));
        self.gone.push(Gone { name, ever });
    }

    /// A later version of `ke-es` is in force: what it gives is there on both sides, what it does not give is called back.
    pub(super) fn renewed(&mut self, persons: bool) {
        self.ke_es = Terms {
            version: self.ke_es.version + 1,
            persons,
            suspended: false,
        };
        for case in &mut self.cases {
            let partner = match case.of {
                "ke" => "es",
                "es" => "ke",
                _ => continue,
            };
            if persons && case.at.contains(case.of) {
                case.at.insert(partner);
                case.ever.insert(partner);
            } else if !persons {
                case.at.remove(partner);
            }
        }
    }

    /// The originator consented that ES gets it.
    pub(super) fn consented(&mut self, which: usize) {
        let case = &mut self.cases[which];
        case.at.insert("es");
        case.ever.insert("es");
    }

    /// A node was put back to what it was before these names were planted: of its own log it has what partners hold.
    pub(super) fn put_back(&mut self, home: &'static str, since: &[String]) {
        for case in self.cases.iter_mut().filter(|case| case.of == home) {
            if since.contains(&case.name) && case.at.len() == 1 {
                case.at.remove(home);
            }
        }
    }

    /// Every name that was ever planted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let live = self.cases.iter().map(|case| case.name.as_str());
        live.chain(self.gone.iter().map(|gone| gone.name.as_str()))
    }
}
