//! The six nodes, their agreements, and what is done to their processes.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use crate::{
    bench::shared_data,
    place::{Place, Running, home_of},
};

/// The nodes' folders; a member is called as its folder, an office with `RILO-` before it.
pub(super) const HOMES: [&str; 6] = ["wco", "esa", "we", "ke", "ug", "es"];
/// Those who issue.
pub(super) const ORIGINS: [&str; 3] = ["ke", "ug", "es"];
/// Real seizures of each of them.
const REAL_ROWS: usize = 8;

pub(super) struct Cast {
    pub(super) place: Place,
    running: BTreeMap<&'static str, Running>,
    bundles: u32,
}

impl Cast {
    /// All of them, running under their agreements, with real seizures; none if these are not there.
    pub(super) fn found() -> Option<Self> {
        let cases = shared_data("unodc_ids_2011_2014_crossborder.csv")?;
        let place = Place::new();
        place.set_up_regions(&[("RILO-ESA", &["KE", "UG"]), ("RILO-WE", &["ES"])], "");
        let running = HOMES.into_iter().map(|home| (home, place.runs(home))).collect();
        let cast = Self {
            place,
            running,
            bundles: 1,
        };
        cast.agree();
        cast.imports(&fs::read_to_string(cases).unwrap());
        Some(cast)
    }

    fn agree(&self) {
        let from = "--from 2026-01-01";
        let draft = |id: &str, what: &str| {
            self.place
                .does(&format!("agreement draft {id} {what} {from} --out {id}.toml"));
        };
        draft("esa", "--region RILO-ESA --members KE UG");
        draft("ke-wco", "--contribution KE WCO");
        draft("esa-wco", "--contribution RILO-ESA WCO");
        draft("es-we", "--between ES RILO-WE");
        draft("ug-we", "--between UG RILO-WE");
        let text = fs::read_to_string(self.place.path("ug-we.toml")).unwrap();
        let by_consent = text.replace("onward = { rule = \"none\" }", "onward = { rule = \"with-consent\" }");
        assert_ne!(text, by_consent);
        fs::write(self.place.path("ug-we.toml"), by_consent).unwrap();
        self.place.agreed("esa", &["esa", "ke", "ug"]);
        self.place.agreed("ke-wco", &["ke", "wco"]);
        self.place.agreed("esa-wco", &["esa", "wco"]);
        self.place.agreed("es-we", &["es", "we"]);
        self.place.agreed("ug-we", &["ug", "we"]);
        self.agree_ke_es(1, true);
    }

    /// The next version of the agreement that changes, signed and accepted by both.
    pub(super) fn agree_ke_es(&self, version: u32, persons: bool) {
        let id = format!("ke-es-{version}");
        self.place.does(&format!(
            "agreement draft ke-es --between KE ES --from 2026-01-01 --out {id}.toml"
        ));
        let text = fs::read_to_string(self.place.path(&format!("{id}.toml"))).unwrap();
        let mut text = text.replace("version = 1\n", &format!("version = {version}\n"));
        if !persons {
            let fewer = text.replace(", \"references\", \"persons\", \"companies\"]", "]");
            assert_ne!(text, fewer);
            text = fewer;
        }
        fs::write(self.place.path(&format!("{id}.toml")), text).unwrap();
        self.place.agreed(&id, &["ke", "es"]);
    }

    fn imports(&self, cases: &str) {
        let of = |country: &str| {
            let named = format!(",{country},");
            cases
                .lines()
                .filter(|line| line.split(',').nth(2) == Some(country))
                .take(REAL_ROWS)
                .map(str::to_owned)
                .inspect(move |line| assert!(line.contains(&named)))
                .collect::<Vec<_>>()
        };
        let mut rows: Vec<String> = cases.lines().take(1).map(str::to_owned).collect();
        rows.extend(["Kenya", "Uganda", "Spain"].into_iter().flat_map(of));
        assert!(rows.len() > REAL_ROWS, "{} rows", rows.len());
        fs::write(self.place.path("real.csv"), rows.join("\n") + "\n").unwrap();
        for home in ORIGINS {
            let others = ORIGINS.iter().filter(|other| **other != home);
            let others: String = others
                .map(|other| format!(" --others {}", other.to_uppercase()))
                .collect();
            self.place.does(&format!(
                "record import real.csv --mapping unodc-ids{others} --home {home}"
            ));
        }
    }

    pub(super) fn runs(&self, home: &str) -> bool {
        self.running.contains_key(home)
    }

    pub(super) fn kill(&mut self, home: &str) {
        drop(self.running.remove(home));
    }

    pub(super) fn stop(&mut self, home: &str) {
        if let Some(running) = self.running.remove(home) {
            running.stop();
        }
    }

    /// Starts it; it may need others before it is well.
    pub(super) fn starts(&mut self, home: &'static str) {
        let running = self.place.starts(home);
        self.running.insert(home, running);
    }

    /// Nobody can read a planted name in the files of a node that does not run.
    pub(super) fn searched<'a>(&self, home: &str, names: impl Iterator<Item = &'a str> + Clone) {
        let mut folders = vec![self.place.path(&format!("{home}/store"))];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                files += 1;
                let bytes = fs::read(entry.path()).unwrap();
                // Names are long enough to be found by their first byte.
                for at in (0..bytes.len()).filter(|at| bytes[*at] == b'S') {
                    let found = names.clone().find(|name| bytes[at..].starts_with(name.as_bytes()));
                    assert_eq!(found, None, "invariant 14: in {}", entry.path().display());
                }
            }
        }
        assert!(files > 0, "{home} has no store");
    }

    /// The next trust bundle, everywhere.
    pub(super) fn publish(&mut self) {
        self.bundles += 1;
        let file = format!("bundle-{}.json", self.bundles);
        self.place.does(&format!(
            "pki bundle --authority root-ca --home wco --include esa-ca/public --include we-ca/public --out {file}"
        ));
        self.place.does(&format!("pki update {file} --home wco"));
        for home in HOMES {
            crate::place::until(
                &format!("invariant 7: {home} does not get bundle {}", self.bundles),
                || {
                    let status: Value =
                        serde_json::from_str(&self.place.says_anyhow(&format!("status --json --home {home}"))).unwrap();
                    super::observed::number(&status["bundle_version"]) >= u64::from(self.bundles)
                },
            );
        }
    }

    /// New keys for a member, and the old one's hand-over.
    pub(super) fn rotates(&mut self, home: &'static str) {
        let authority = if home == "es" { "we-ca" } else { "esa-ca" };
        let answer = format!("{home}-{}.pem", self.bundles);
        let handovers = |place: &Place| -> Vec<_> {
            let files = fs::read_dir(place.path(&format!("{home}/identity"))).unwrap();
            let paths = files.map(|file| file.unwrap().path());
            paths
                .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("handover-"))
                .collect()
        };
        let before = handovers(&self.place);
        self.place
            .does(&format!("key rotate --member-key --node-key --home {home}"));
        self.place.does(&format!(
            "pki issue {home}/identity/next/request.pem --authority {authority} --role national --out {answer}"
        ));
        self.place.does(&format!("key install {answer} --home {home}"));
        self.publish();
        let mut statement = None;
        crate::place::until(&format!("{home} does not take up its new key"), || {
            statement = handovers(&self.place).into_iter().find(|path| !before.contains(path));
            statement.is_some()
        });
        let statement = statement.unwrap();
        self.place
            .does(&format!("pki retire {} --authority {authority}", statement.display()));
        self.publish();
    }

    /// KE's keys in a second node over an empty store, where nobody can tell it that there is a first; what it signs is another
    /// history. Everybody else is stopped.
    pub(super) fn twin_of_ke(&mut self) {
        self.running.clear();
        let (identity, twin) = (self.place.path("ke/identity"), self.place.path("twin/identity"));
        fs::create_dir_all(&twin).unwrap();
        let files = fs::read_dir(&identity).unwrap().map(|file| file.unwrap().path());
        for file in files.filter(|file| file.is_file() && !file.ends_with("signed")) {
            fs::copy(&file, twin.join(file.file_name().unwrap())).unwrap();
        }
        fs::copy(self.place.path("ke/icomm.toml"), self.place.path("twin/icomm.toml")).unwrap();
        let running = self.place.runs("twin");
        self.place.does("agreement accept esa-ug.json --home twin");
        let draft = self.place.does("record example").replace("\"H1\"", "\"H0\"");
        fs::write(self.place.path("twin.json"), draft).unwrap();
        self.place.does("record submit twin.json --home twin");
        self.running.insert("twin", running);
    }

    /// The member whose folder this is.
    pub(super) fn member(home: &str) -> String {
        let all = ["WCO", "RILO-ESA", "RILO-WE", "KE", "UG", "ES"];
        all.into_iter()
            .find(|member| home_of(member) == home)
            .unwrap()
            .to_owned()
    }
}
