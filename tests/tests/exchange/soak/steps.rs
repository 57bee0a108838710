//! The kinds of step. Each can follow any other: what it needs it makes first.

use std::fs;

use serde_json::Value;

use super::{
    cast::{Cast, HOMES, ORIGINS},
    chance::Chance,
    model::Model,
};
use crate::{
    photos::noisy_png,
    place::{json_lines, until},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Issue,
    Amend,
    Recall,
    ClearPhoto,
    Widen,
    Narrow,
    Suspend,
    Approve,
    Refuse,
    Revoke,
    Kill,
    Stop,
    Away,
    Restore,
    Parcel,
    Rotate,
    Prove,
    Audit,
    Retention,
}

impl Kind {
    pub(super) const ALL: [Self; 19] = [
        Self::Issue,
        Self::Amend,
        Self::Recall,
        Self::ClearPhoto,
        Self::Widen,
        Self::Narrow,
        Self::Suspend,
        Self::Approve,
        Self::Refuse,
        Self::Revoke,
        Self::Kill,
        Self::Stop,
        Self::Away,
        Self::Restore,
        Self::Parcel,
        Self::Rotate,
        Self::Prove,
        Self::Audit,
        Self::Retention,
    ];
}

/// What was done, in words.
pub(super) struct Step(pub(super) String);

pub(super) fn walk(kind: Kind, cast: &mut Cast, model: &mut Model, chance: &mut Chance) -> Step {
    let mut walk = Walk { cast, model, chance };
    Step(match kind {
        Kind::Issue => {
            let of = *walk.chance.one(&ORIGINS);
            walk.issue(of)
        }
        Kind::Amend => walk.amend(),
        Kind::Recall => walk.recall(),
        Kind::ClearPhoto => walk.clear_photo(),
        Kind::Widen => walk.renew(true),
        Kind::Narrow => walk.renew(false),
        Kind::Suspend => walk.suspend(),
        Kind::Approve => walk.consent("approve").0,
        Kind::Refuse => walk.consent("refuse").0,
        Kind::Revoke => walk.revoke(),
        Kind::Kill => walk.restart(Cast::kill),
        Kind::Stop => walk.restart(Cast::stop),
        Kind::Away => walk.away(),
        Kind::Restore => walk.restore(),
        Kind::Parcel => walk.parcel(),
        Kind::Rotate => {
            let home = *walk.chance.one(&ORIGINS);
            walk.cast.rotates(home);
            format!("{home} changed its keys")
        }
        Kind::Prove => walk.prove(),
        Kind::Audit => walk.audit(),
        Kind::Retention => {
            let home = *walk.chance.one(&HOMES);
            walk.does(&format!("retention run --home {home}"));
            format!("{home} looked for what is over")
        }
    })
}

struct Walk<'a> {
    cast: &'a mut Cast,
    model: &'a mut Model,
    chance: &'a mut Chance,
}

impl Walk<'_> {
    fn does(&self, line: &str) -> String {
        self.cast.place.does(line)
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.does(&format!("{line} --json"))).unwrap()
    }

    /// A draft of a case with a planted name, as a file.
    fn draft(&self, of: &str, name: &str) -> String {
        let example = self
            .does("record example")
            .replace("\"KE\"", &format!("\"{}\"", of.to_uppercase()));
        let profile = "\"short_form\": true, \"persons\": [{ \"role\": \"courier\" }]";
        let named = format!("  \"persons\": {{ \"persons\": [{{ \"family_name\": \"{name}\" }}] }},\n  \"exact\"");
        let draft = example
            .replace("\"H1\"", "\"H0\"")
            .replace("\"short_form\": true", profile);
        let file = format!("{name}.json");
        fs::write(self.cast.place.path(&file), draft.replace("  \"exact\"", &named)).unwrap();
        file
    }

    fn issue(&mut self, of: &'static str) -> String {
        self.issue_with(of, "")
    }

    fn issue_with(&mut self, of: &'static str, more: &str) -> String {
        let name = self.model.new_name();
        let file = self.draft(of, &name);
        let answer = self.json(&format!("record submit {file} {more} --home {of}"));
        let outcome = if answer["outcome"].is_null() {
            &answer
        } else {
            &answer["outcome"]
        };
        let id = outcome["record_id"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"))
            .to_owned();
        self.model.issued(of, id, name.clone());
        format!("{of} issued {name}")
    }

    /// A record that is not void, of any of these; one is issued if there is none.
    fn any(&mut self, of: &[&'static str]) -> usize {
        let fitting = |model: &Model| -> Vec<usize> {
            let cases = model.cases.iter().enumerate();
            cases
                .filter(|(_, case)| of.contains(&case.of))
                .map(|(which, _)| which)
                .collect()
        };
        if fitting(self.model).is_empty() {
            let of = *self.chance.one(of);
            self.issue(of);
        }
        let all = fitting(self.model);
        *self.chance.one(&all)
    }

    fn amend(&mut self) -> String {
        let which = self.any(&ORIGINS);
        let (of, id, name) = (
            self.model.cases[which].of,
            self.model.cases[which].id.clone(),
            self.model.new_name(),
        );
        let file = self.draft(of, &name);
        self.does(&format!("record amend {id} {file} --home {of}"));
        self.model.amended(which, name.clone());
        format!("{of} corrected {id} to {name}")
    }

    fn recall(&mut self) -> String {
        let which = self.any(&ORIGINS);
        let (of, id) = (self.model.cases[which].of, self.model.cases[which].id.clone());
        let name = self.model.cases[which].name.clone();
        self.does(&format!("record recall {id} --reason error --home {of}"));
        self.model.recalled(which);
        format!("{of} recalled {name}")
    }

    fn clear_photo(&mut self) -> String {
        let seed = self.chance.below(1000) as u32;
        let photo = format!("photo-{}.png", self.model.names().count());
        fs::write(self.cast.place.path(&photo), noisy_png(90, 60, seed)).unwrap();
        let issued = self.issue_with("ke", &format!("--attach {photo}"));
        let case = self.model.cases.last_mut().unwrap();
        let id = case.id.clone();
        case.cleared = true;
        self.does(&format!("record clear {id} 1 --home ke"));
        format!("{issued} with a photo, and cleared it")
    }

    fn renew(&mut self, persons: bool) -> String {
        let version = self.model.ke_es.version + 1;
        self.cast.agree_ke_es(version, persons);
        self.model.renewed(persons);
        let with = if persons { "with" } else { "without" };
        format!("ke-es version {version}, {with} persons")
    }

    fn suspend(&mut self) -> String {
        if self.model.ke_es.suspended {
            return self.renew(self.model.ke_es.persons);
        }
        let by = *self.chance.one(&["ke", "es"]);
        self.does(&format!("agreement suspend ke-es --reason court --home {by}"));
        for home in ["ke", "es"] {
            until(&format!("invariant 6: {home} does not hear of the suspension"), || {
                let shown = json_lines(&self.does(&format!("agreement show ke-es --json --home {home}")));
                shown[0]["suspensions"].as_array().is_some_and(|all| !all.is_empty())
            });
        }
        self.model.ke_es.suspended = true;
        format!("{by} suspended ke-es")
    }

    /// The office asks whether ES may have a record of UG, and UG's officer answers; which, and the request.
    fn consent(&mut self, answer: &str) -> (String, String) {
        let asked: Vec<usize> = (0..self.model.cases.len())
            .filter(|which| self.model.cases[*which].at.contains("es"))
            .collect();
        let mut which = self.any(&["ug"]);
        if asked.contains(&which) || !self.model.cases[which].at.contains("we") {
            self.issue("ug");
            which = self.model.cases.len() - 1;
        }
        let (id, name) = (self.model.cases[which].id.clone(), self.model.cases[which].name.clone());
        until("RILO-WE does not get the record", || {
            self.cast
                .place
                .says_anyhow(&format!("record get {id} --json --home we"))
                .contains(&name)
        });
        let ask = format!("consent ask {id} --to ES --sections case,persons --purpose investigation --home we");
        let request = self.json(&ask)["id"].as_str().unwrap().to_owned();
        self.comes("ug", &request, "pending");
        let reason = if answer == "refuse" { "--reason proceedings" } else { "" };
        self.does(&format!(
            "consent {answer} {request} --officer duty-officer-3 {reason} --home ug"
        ));
        let state = if answer == "refuse" { "refused" } else { "approved" };
        self.comes("we", &request, state);
        if answer == "approve" {
            self.model.consented(which);
        }
        (format!("UG {state} that ES has {name}"), request)
    }

    fn comes(&self, home: &str, request: &str, wanted: &str) {
        until(&format!("{home} does not see the request {wanted}"), || {
            let all = json_lines(&self.does(&format!("consent list --json --home {home}")));
            all.iter()
                .any(|status| status["id"] == request && status["state"] == wanted)
        });
    }

    /// What went stays: a revocation calls nothing back.
    fn revoke(&mut self) -> String {
        let (approved, request) = self.consent("approve");
        let name = approved.rsplit(' ').next().unwrap_or_default().to_owned();
        until("ES does not get what was consented to", || {
            let listed = self
                .cast
                .place
                .says_anyhow("record list UG/main --views --json --home es");
            let views = json_lines(&listed);
            views.iter().any(|entry| {
                let view = data_encoding::BASE64.decode(entry["view"].as_str().unwrap_or_default().as_bytes());
                String::from_utf8_lossy(&view.unwrap_or_default()).contains(&name)
            })
        });
        self.does(&format!("consent revoke {request} --officer duty-officer-4 --home ug"));
        self.comes("we", &request, "revoked");
        format!("{approved}, and revoked it")
    }

    fn restart(&mut self, how: fn(&mut Cast, &str)) -> String {
        let home = *self.chance.one(&HOMES);
        how(self.cast, home);
        self.cast
            .searched(home, self.model.names().collect::<Vec<_>>().into_iter());
        self.cast.starts(home);
        format!("{home} started again")
    }

    /// Somebody is away while a record changes, and is linked again.
    fn away(&mut self) -> String {
        let which = self.any(&ORIGINS);
        let of = self.model.cases[which].of;
        let others: Vec<&'static str> = HOMES.into_iter().filter(|home| *home != of).collect();
        let home = *self.chance.one(&others);
        self.cast.kill(home);
        let (id, name) = (self.model.cases[which].id.clone(), self.model.cases[which].name.clone());
        self.does(&format!("record recall {id} --reason cleared --home {of}"));
        self.model.recalled(which);
        let issued = self.issue(of);
        self.cast.starts(home);
        format!("while {home} was away {of} recalled {name} and {issued}")
    }

    /// Put back to a backup, after which something was issued and recalled.
    fn restore(&mut self) -> String {
        let home = *self.chance.one(&ORIGINS);
        let number = self.model.names().count();
        let (key, backup, folder) = (
            format!("safe-{number}.key"),
            format!("{number}.backup"),
            format!("restored-{number}"),
        );
        let which = self.any(&[home]);
        let to = self.does(&format!("backup key {key}")).trim().to_owned();
        self.does(&format!("backup {backup} --to {to} --with-identity --home {home}"));
        let (id, recalled) = (self.model.cases[which].id.clone(), self.model.cases[which].name.clone());
        self.does(&format!("record recall {id} --reason error --home {home}"));
        self.model.recalled(which);
        let issued = self.issue(home);
        // Partners have it before it is lost here, else a number would be signed for twice.
        let name = issued.rsplit(' ').next().unwrap_or_default().to_owned();
        let own = format!("{}/main", Cast::member(home));
        let size = |at: &str| {
            let logs = json_lines(&self.cast.place.does(&format!("log list --json --home {at}")));
            let log = logs
                .into_iter()
                .find(|log| log["origin"] == own.as_str())
                .unwrap_or_default();
            super::observed::number(&log["entries"])
        };
        let partner = match home {
            "es" => "we",
            _ => "esa",
        };
        until(&format!("{partner} does not get all of {own}"), || {
            size(partner) == size(home)
        });
        for reached in self.model.reach(home) {
            until(&format!("{reached} does not get {name}"), || {
                size(reached) == size(home)
            });
        }
        self.cast.kill(home);
        self.cast
            .searched(home, self.model.names().collect::<Vec<_>>().into_iter());
        self.does(&format!("restore {backup} --to {folder} --key {key}"));
        let path = |name: &str| self.cast.place.path(name);
        fs::rename(path(home), path(&format!("{home}-lost-{number}"))).unwrap();
        fs::rename(path(&folder), path(home)).unwrap();
        self.cast.starts(home);
        until(&format!("invariant 19: {home} does not recover"), || {
            let status = self
                .cast
                .place
                .says_anyhow(&format!("restore status --json --home {home}"));
            serde_json::from_str::<Value>(&status).is_ok_and(|status| status["recovering"] == false)
        });
        self.model.put_back(home, &[name]);
        format!("{home} was put back to before it recalled {recalled} and {issued}")
    }

    fn parcel(&mut self) -> String {
        let (from, to) = *self
            .chance
            .one(&[("ke", "es"), ("es", "ke"), ("ug", "we"), ("ke", "esa")]);
        let number = self.model.names().count() * 100 + self.chance.below(100);
        let mut ends = (from, to);
        for turn in 0..2 {
            let file = format!("{number}-{turn}-{}.parcel", ends.0);
            self.does(&format!(
                "link export {} --out {file} --home {}",
                Cast::member(ends.1),
                ends.0
            ));
            self.does(&format!("link import {file} --home {}", ends.1));
            ends = (ends.1, ends.0);
        }
        format!("{from} and {to} exchanged parcels")
    }

    fn prove(&mut self) -> String {
        let which = self.any(&ORIGINS);
        let case = &self.model.cases[which];
        let out = format!("{}-{}.tlog-proof", case.name, self.chance.below(1_000_000));
        self.does(&format!(
            "log prove {} --for Court-12 --out {out} --home {}",
            case.id, case.of
        ));
        self.does(&format!("log verify {out} --root wco/identity/root.pem --home nowhere"));
        let evidence = fs::read_to_string(self.cast.place.path(&out)).unwrap();
        assert!(
            !evidence.contains(&case.name),
            "invariant 1: persons were not asked for"
        );
        format!("{} proved {}", case.of, case.name)
    }

    /// Whoever was given what is void has signed that it is erased.
    fn audit(&mut self) -> String {
        if self.model.recalled.is_empty() {
            self.recall();
        }
        let (of, id) = self.chance.one(&self.model.recalled).clone();
        let mut waiting = Vec::new();
        let answered = crate::place::within_a_minute(|| {
            let who = self
                .cast
                .place
                .says_anyhow(&format!("audit who {id} --json --home {of}"));
            let who: Value = serde_json::from_str(&who).unwrap();
            waiting = who["holders"].as_array().cloned().unwrap_or_default();
            waiting.retain(|holder| holder["node"] != "" && super::observed::number(&holder["erased"]) == 0);
            waiting.is_empty()
        });
        assert!(answered, "invariant 15: not everybody answered for {id}: {waiting:?}");
        self.does(&format!("audit disclosures --record {id} --home {of}"));
        format!("{of} looked who had {id}")
    }
}
