//! Hubs and the root cosign; a quorum of them, set in the trust bundle, settles a log; and a court sees their lines.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    place::{CASES, Place, json_lines},
    proofs::{agree, somebody_elses_code_agrees},
};

/// Drafts an agreement, lets these sign it in turn, and hands it to all of them.
fn concluded(place: &Place, id: &str, draft: &str, parties: &[&str]) {
    place.does(&format!("agreement draft {id} {draft} --from 2026-01-01 --out {id}-0"));
    for (k, home) in parties.iter().enumerate() {
        place.does(&format!("agreement sign {id}-{k} --out {id}-{} --home {home}", k + 1));
    }
    for home in parties {
        place.does(&format!("agreement accept {id}-{} --home {home}", parties.len()));
    }
}

fn log_at(place: &Place, home: &str) -> Value {
    let logs = json_lines(&place.does(&format!("log list --json --home {home}")));
    logs.into_iter()
        .find(|log| log["origin"] == "KE/main")
        .unwrap_or_default()
}

/// Waits until so many entries of KE's log are held and so many settled at a node.
fn comes_to(place: &Place, home: &str, entries: u64, settled: u64) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let log = log_at(place, home);
        // Numbers of 64 bits are text in this JSON.
        let number = |field: &str| log[field].as_u64().or_else(|| log[field].as_str()?.parse().ok());
        if number("entries") == Some(entries) && number("settled") == Some(settled) {
            return log;
        }
        assert!(
            Instant::now() < deadline,
            "{home}: not {entries}, {settled} settled: {log}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The members whose cosignatures a proof of a record bears, as an off-line reader finds them.
fn witnesses_of(place: &Place, record: &str, file: &str) -> (Vec<String>, Value) {
    place.does(&format!("log prove {record} --for Court-12 --out {file} --home ke"));
    let line = format!("log verify {file} --root ke/identity/root.pem --json --home nowhere");
    let proven: Value = serde_json::from_str(&place.does(&line)).unwrap();
    let witnesses = proven["witnesses"].as_array().unwrap().iter().map(|witness| {
        assert_eq!(witness["in_time"], true);
        witness["member"].as_str().unwrap().to_owned()
    });
    (witnesses.collect(), proven)
}

#[test]
fn a_quorum_of_witnesses_settles_a_log_and_one_away_is_said() {
    let place = Place::new();
    let [wco, _esa, _ke, _ug] = place.found();
    agree(&place, 1, "yes");
    concluded(&place, "esa", "--region RILO-ESA --members KE UG", &["esa", "ke", "ug"]);
    concluded(&place, "ke-wco", "--contribution KE WCO", &["ke", "wco"]);
    fs::write(place.path("cases.csv"), CASES).unwrap();
    let import = "record import cases.csv --mapping icomm-template --others UG --home ke";
    place.ends(3, import);
    for home in ["ke", "ug", "esa", "wco"] {
        let log = comes_to(&place, home, 2, 2);
        assert_eq!(log["quorum"], "2 witnesses", "{log}");
        let by: Vec<_> = log["cosignatures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|by| by["witness"].as_str())
            .collect();
        assert_eq!(by, [Some("RILO-ESA"), Some("WCO")], "{log}");
    }
    let note = place.does("log checkpoint KE/main --settled --home ug");
    for name in ["/KE/main ", "/RILO-ESA ", "/WCO "] {
        assert!(note.contains(&format!("\u{2014} demo.icomm.example{name}")), "{note}");
    }
    let doctor = place.does("doctor --home ke");
    assert!(doctor.contains("2 of 2 entries of `KE/main` are settled"), "{doctor}");

    // A court reads who saw the log, and so does somebody else's program.
    let own = json_lines(&place.does("record list --json --home ke"));
    let record = |k: usize| own[k]["record_id"].as_str().unwrap();
    let (witnesses, proven) = witnesses_of(&place, record(1), "seen.tlog-proof");
    assert_eq!(witnesses, ["RILO-ESA", "WCO"]);
    somebody_elses_code_agrees(&place, "seen.tlog-proof", &proven);

    // Without the root one witness sees on alone: it is not settled, and that is said.
    drop(wco);
    fs::write(place.path("cases.csv"), CASES.replace("2026-11-02", "2026-11-05")).unwrap();
    place.ends(3, import);
    let deadline = Instant::now() + Duration::from_secs(30);
    let seen_by_the_office = |log: &Value| {
        let by = log["cosignatures"].as_array().cloned().unwrap_or_default();
        by.iter()
            .any(|by| by["witness"] == "RILO-ESA" && by["size"].to_string().trim_matches('"') == "4")
    };
    while !seen_by_the_office(&log_at(&place, "ug")) {
        assert!(
            Instant::now() < deadline,
            "the office does not cosign: {}",
            log_at(&place, "ug")
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    comes_to(&place, "ug", 4, 2);
    // The doctor misses the link to the root as well.
    let doctor = place.ends_saying(3, "doctor --home ke");
    assert!(
        doctor.contains("2 of 4 entries of `KE/main` are settled, by 2 witnesses"),
        "{doctor}"
    );
    let own = json_lines(&place.does("record list --json --home ke"));
    let newest = own[3]["record_id"].as_str().unwrap();
    assert_eq!(witnesses_of(&place, newest, "new.tlog-proof").0, ["RILO-ESA"]);
    assert_eq!(witnesses_of(&place, record(0), "old.tlog-proof").0, ["RILO-ESA", "WCO"]);

    // What settles is the trust bundle's to say; more than there are it can't ask for.
    let publish = |out: &str, more: &str| {
        let published = format!("pki bundle --authority root-ca --home wco --include esa-ca/public --out {out} {more}");
        place.does(&published);
        place.does(&format!("pki update {out} --home ug"));
    };
    let refused = place.ends(
        1,
        "pki bundle --authority root-ca --home wco --include esa-ca/public --quorum 3",
    );
    assert!(refused.contains("quorum of 3 witnesses"), "{refused}");
    publish("next-1.json", "--quorum 1");
    comes_to(&place, "ug", 4, 4);
    publish("next-2.json", "--quorum 1 --quorum-global");
    let log = comes_to(&place, "ug", 4, 2);
    assert_eq!(log["quorum"], "1 witness, a global member among them");
    // A bundle that says nothing more keeps it.
    publish("next-3.json", "");
    assert_eq!(comes_to(&place, "ug", 4, 2)["quorum"], log["quorum"]);
    let _wco = place.runs("wco");
    comes_to(&place, "ug", 4, 4);
}
