//! A record is corrected and then recalled: by its originator, from a partner's office, from a member behind that office who is
//! off-line meanwhile, and from the root. Every holder signs, and nothing of it can be read anywhere afterwards.

use std::{
    fs,
    time::{Duration, Instant},
};

use data_encoding::BASE64;
use serde_json::Value;

use crate::{
    bench::icomm,
    place::{CASES, Place, json_lines, until},
};

/// A person for the draft that `record example` prints.
const NAMED: &str = r#"  "persons": { "persons": [{ "family_name": "Synth-Corrected" }] },
  "exact""#;

const HOMES: [&str; 4] = ["ke", "esa", "ug", "wco"];

/// `KE` and `UG` give to their office, which may pass on in the region; `KE` gives the open section to the root. Between `KE`
/// and `UG` there is nothing, so `UG` holds what it holds through the office.
fn agree(place: &Place) {
    place.does("agreement draft esa --region RILO-ESA --members KE UG --from 2026-01-01 --out esa.toml");
    place.agreed("esa", &["esa", "ke", "ug"]);
    place.does("agreement draft ke-wco --contribution KE WCO --from 2026-01-01 --out ke-wco.toml");
    place.agreed("ke-wco", &["ke", "wco"]);
}

/// What a node has of a record: first what recalls it, then its latest version; all versions with `--history`.
fn record(place: &Place, record: &str, more: &str, home: &str) -> Vec<Value> {
    json_lines(&place.does(&format!("record get {record} {more} --json --home {home}")))
}

/// Whether a node has sections of a version of a record.
fn reads(place: &Place, id: &str, version: u64, home: &str) -> bool {
    let entries = json_lines(&place.does(&format!("record list KE/main --json --home {home}")));
    let mut entries = entries.iter().filter(|entry| entry["record_id"] == id);
    entries.any(|entry| entry["version"] == version && !entry["sections"].as_array().unwrap().is_empty())
}

/// A holder of a record: member, who gave it, whether it has erased, whether it is waited for.
type Holder = (String, String, bool, bool);

/// The holders of a record as `KE` knows them, and what the command ends with.
fn who(place: &Place, id: &str) -> (Vec<Holder>, Option<i32>) {
    let mut command = icomm();
    let command = command.current_dir(place.path("."));
    let output = command
        .args(["audit", "who", id, "--json", "--home", "ke"])
        .output()
        .unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let is_set = |value: &Value| value.as_u64().unwrap() != 0;
    let holders = answer["holders"].as_array().unwrap().iter();
    let holders = holders.map(|holder| {
        let name = |key: &str| holder[key].as_str().unwrap().to_owned();
        let (asked, erased) = (is_set(&holder["asked_since"]), is_set(&holder["erased"]));
        let basis = holder["handovers"][0]["bases"][0].as_str().unwrap();
        assert!(basis.contains(" version 1"), "{holder}");
        (name("member"), name("via"), erased, asked && !erased)
    });
    (holders.collect(), output.status.code())
}

/// Every answer that tells contents of a record, and what is in the stored forms among them.
fn everything(place: &Place, id: &str, home: &str) -> String {
    let got = place.does(&format!("record get {id} --history --json --home {home}"));
    let listed = place.does(&format!("record list KE/main --views --json --home {home}"));
    let views = json_lines(&listed).into_iter().map(|entry| {
        let view = BASE64.decode(entry["view"].as_str().unwrap().as_bytes()).unwrap();
        String::from_utf8_lossy(&view).into_owned()
    });
    views.chain([got, listed.clone()]).collect()
}

#[test]
fn what_is_corrected_or_recalled_is_erased_everywhere_and_everybody_signs() {
    let place = Place::new();
    let [_wco, esa, ke, ug] = place.found();
    agree(&place);
    fs::write(place.path("cases.csv"), CASES).unwrap();
    place.ends(
        3,
        "record import cases.csv --mapping icomm-template --others UG --home ke",
    );
    let own = json_lines(&place.does("record list --json --home ke"));
    let id = own[1]["record_id"].as_str().unwrap().to_owned();
    for home in HOMES {
        until(&format!("{home} does not get the record"), || {
            reads(&place, &id, 1, home)
        });
    }
    // Before anything is recalled: who was given it by KE itself; of the office it is said that it may have passed it on.
    let by_ke = |name: &str| (name.to_owned(), String::new(), false, false);
    assert_eq!(who(&place, &id), (vec![by_ke("RILO-ESA"), by_ke("WCO")], Some(0)));
    let shown = place.does(&format!("audit who {id} --home ke"));
    assert!(
        shown.contains("RILO-ESA/gw1 + ?") && shown.contains("holds it"),
        "{shown}"
    );
    assert!(
        everything(&place, &id, "ke").contains("Synth-Mwangi"),
        "else the search finds nothing anywhere"
    );

    // A correction: everybody erases the first version; those who may have it get the second.
    let example = place.does("record example");
    let profile = "\"short_form\": true, \"persons\": [{ \"role\": \"courier\" }]";
    let right = example.replace("\"H1\"", "\"H0\"").replace("  \"exact\"", NAMED);
    let right = right.replace("\"short_form\": true", profile);
    assert!(right.contains("Synth-Corrected"), "{right}");
    fs::write(place.path("right.json"), right).unwrap();
    fs::write(place.path("wrong.json"), example.replace("cocaine", "no-such-drug")).unwrap();
    let rejected = place.ends_saying(3, &format!("record amend {id} wrong.json --home ke"));
    assert!(rejected.contains("no-such-drug"), "{rejected}");
    place.does(&format!("record amend {id} right.json --home ke"));
    let again = place.does(&format!("record amend {id} right.json --home ke"));
    assert!(again.contains("nothing was issued"), "{again}");
    let erased = |name: &str, via: &str| (name.to_owned(), via.to_owned(), true, false);
    let all = [erased("RILO-ESA", ""), erased("WCO", ""), erased("UG", "RILO-ESA")];
    settles(&place, &id);
    assert_eq!(who(&place, &id), (all.to_vec(), Some(0)));
    for home in HOMES {
        until(&format!("{home} does not get the second version"), || {
            reads(&place, &id, 2, home)
        });
        assert!(!reads(&place, &id, 1, home), "{home} still has the first version");
        let latest = record(&place, &id, "", home);
        assert_eq!(
            (&latest[0]["kind"], &latest[0]["reason"]),
            (&"amend".into(), &"amended".into())
        );
        assert_eq!(
            (&latest[1]["version"], &latest[1]["state"]),
            (&2.into(), &"current".into())
        );
        assert_eq!(record(&place, &id, "--history", home)[1]["state"], "superseded");
    }

    assert!(everything(&place, &id, "ke").contains("Synth-Corrected"));

    // A recall, while the member behind the office is away.
    drop(ug);
    for (home, reason) in [("esa", "error"), ("wco", "cleared")] {
        let refused = place.ends(1, &format!("record recall {id} --reason {reason} --home {home}"));
        assert!(refused.contains("only the originator"), "{refused}");
    }
    place.ends(
        2,
        &format!("record recall {id} --reason because-of-Synth-Mwangi --home ke"),
    );
    let recalled = place.does(&format!("record recall {id} --reason cleared --home ke"));
    assert!(recalled.contains("to be erased by: RILO-ESA, WCO"), "{recalled}");
    let again = place.does(&format!("record recall {id} --reason error --home ke"));
    assert!(
        again.contains("recalled before") && again.contains("cleared"),
        "{again}"
    );
    let refused = place.ends(1, &format!("record amend {id} right.json --home ke"));
    assert!(refused.contains("is recalled"), "{refused}");
    until("the office does not name whom it gave it to", || {
        who(&place, &id).0.len() == 3
    });
    until("the office and the root do not answer", || {
        who(&place, &id).0.iter().filter(|holder| holder.2).count() == 2
    });
    let waiting = ("UG".to_owned(), "RILO-ESA".to_owned(), false, true);
    assert_eq!(
        who(&place, &id),
        (vec![all[0].clone(), all[1].clone(), waiting], Some(3))
    );
    let shown = place.ends_saying(3, &format!("audit who {id} --home ke"));
    assert!(shown.contains("not answered since"), "{shown}");

    // It comes back, and the originator and the office are restarted in between: nobody forgets what is owed.
    drop((ke, esa));
    let (_esa, _ke) = (place.runs("esa"), place.runs("ke"));
    let _ug = place.runs("ug");
    settles(&place, &id);
    assert_eq!(who(&place, &id), (all.to_vec(), Some(0)));
    for home in HOMES {
        let told = record(&place, &id, "", home);
        assert_eq!(
            (&told[0]["kind"], &told[0]["reason"]),
            (&"recall".into(), &"cleared".into()),
            "{home}"
        );
        for entry in &record(&place, &id, "--history", home)[1..] {
            assert_eq!(entry["sections"], Value::Array(Vec::new()), "{home}: {entry}");
            assert_eq!(entry["state"], "recalled");
        }
        assert_eq!(
            everything(&place, &id, home).matches("Synth-Corrected").count(),
            0,
            "{home}"
        );
        let log = place.does(&format!("log verify KE/main --json --home {home}"));
        let log: Value = serde_json::from_str(&log).unwrap();
        assert_eq!(
            (&log["verified"], &log["entries"]),
            (&true.into(), &4.into()),
            "{home}: {log}"
        );
    }
}

/// Waits until three holders are known and nobody is waited for.
fn settles(place: &Place, id: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (holders, _) = who(place, id);
        if holders.len() == 3 && holders.iter().all(|holder| holder.2) {
            return;
        }
        if Instant::now() > deadline {
            let logs = HOMES.map(|home| fs::read_to_string(place.path(&format!("{home}.log"))).unwrap());
            panic!("not everybody answers: {holders:#?}\n{}", logs.join("\n\n"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
