//! What left is on record: by partner, record and agreement, as files for officers, and nobody cuts it without notice.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    bench::{ends_with, foreign},
    place::{CASES, Place, Running, json_lines},
    proofs::{agree, arrives},
};

/// A recipient that a spreadsheet would run.
const FORMULA: &str = "=HYPERLINK(\"http://127.0.0.1/\",\"court\")";

/// The contribution to the root, signed and accepted by both.
fn contribute(place: &Place) {
    place.does("agreement draft ke-wco --contribution KE WCO --from 2026-01-01 --out ke-wco.toml");
    place.does("agreement sign ke-wco.toml --out half.json --home ke");
    place.does("agreement sign half.json --out ke-wco.json --home wco");
    for home in ["ke", "wco"] {
        place.does(&format!("agreement accept ke-wco.json --home {home}"));
    }
}

fn left(place: &Place, filter: &str) -> Vec<Value> {
    json_lines(&place.does(&format!("audit disclosures {filter} --json --home ke")))
}

fn texts<'a>(rows: &'a [Value], field: &str) -> Vec<&'a str> {
    let mut texts: Vec<_> = rows.iter().map(|row| row[field].as_str().unwrap()).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// Waits until the office and the root keep the head over every note of KE's, and gives how many there are.
fn kept(place: &Place) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let status: Value = serde_json::from_str(&place.does("audit verify --json --home ke")).unwrap();
        let notes = status["notes"].as_u64().unwrap();
        assert_eq!((&status["verified"], &status["signed"]), (&json!(true), &json!(notes)));
        let mut holders: Vec<_> = status["holders"].as_array().unwrap().clone();
        holders.sort_by_key(|holder| holder["name"].to_string());
        let all = ["RILO-ESA/gw1", "WCO/gw1"].map(|name| json!({ "name": name, "notes": notes }));
        if holders == all {
            return notes;
        }
        assert!(Instant::now() < deadline, "nobody keeps it: {status}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn what_left_is_on_record_and_nobody_cuts_it_without_notice() {
    let place = Place::new();
    let [_wco, _esa, ke, _ug] = place.found();
    agree(&place, 1, "with-consent");
    contribute(&place);
    fs::write(place.path("cases.csv"), CASES).unwrap();
    place.ends(
        3,
        "record import cases.csv --mapping icomm-template --others UG --home ke",
    );
    let own = json_lines(&place.does("record list --json --home ke"));
    let record = own[1]["record_id"].as_str().unwrap();
    for home in ["ug", "wco"] {
        arrives(&place, record, home);
    }

    filters(&place, record);
    exports(&place, record);
    place.ends(4, "audit verify --api unix:nobody.sock --home ke");
    cut(&place, record, ke);
}

/// Each condition leaves out what it must, and a wrong one says so.
fn filters(place: &Place, record: &str) {
    let all = left(place, "");
    assert_eq!(texts(&all, "to"), ["UG", "WCO"]);
    assert_eq!(texts(&left(place, "--to UG"), "to"), ["UG"]);
    assert_eq!(texts(&left(place, "--agreement ke-wco"), "to"), ["WCO"]);
    assert!(left(place, "--to UG --agreement ke-wco").is_empty());
    assert!(left(place, "--until 2026-01-01").is_empty());
    assert_eq!(left(place, "--since 2026-01-01 --origin KE/main").len(), all.len());

    // Of one record: what went, under which grant, to whom.
    let rows = left(place, &format!("--record {record}"));
    assert_eq!(texts(&rows, "to"), ["UG", "WCO"]);
    for row in &rows {
        let entry = json!({ "record_id": record, "version": 1, "kind": "issue", "index": 1 });
        assert_eq!(row["entry"], entry);
        let [terms] = &row["terms"].as_array().unwrap()[..] else {
            panic!("{row}")
        };
        let (sections, basis) = match row["to"].as_str().unwrap() {
            "UG" => ("case+exact+references+persons+companies", "`ke-ug` version 1"),
            _ => ("case", "`ke-wco` version 1"),
        };
        let found = terms["sections"].as_str().unwrap();
        assert!(
            sections.starts_with(found) && (found == "case") == (row["to"] == "WCO"),
            "{row}"
        );
        assert!(terms["bases"][0].as_str().unwrap().starts_with(basis), "{row}");
    }
    let shown = place.does(&format!("audit disclosures --record {record} --home ke"));
    assert!(shown.contains(record) && shown.contains("legal bases"), "{shown}");

    let unknown = record.replace(&record[30..], "000000");
    for (exit, filter, says) in [
        (1, format!("--record {unknown}"), "there is no record"),
        (2, "--record 12".to_owned(), "--record"),
        (2, "--since 2026-02-30".to_owned(), "a day that exists"),
        (2, "--origin KE".to_owned(), "--origin"),
        (2, "--agreement KE".to_owned(), "--agreement"),
        (2, "--csv a --xlsx b".to_owned(), "cannot be used with"),
        (1, "--csv cases.csv".to_owned(), "can't create"),
    ] {
        let said = place.ends(exit, &format!("audit disclosures {filter} --home ke"));
        assert!(said.contains(says), "{filter}: {said}");
    }
    assert_eq!(fs::read_to_string(place.path("cases.csv")).unwrap(), CASES);
}

/// The same as files, and nothing in them is a formula.
fn exports(place: &Place, record: &str) {
    place.does(&format!(
        "log prove {record} --for {FORMULA} --out a.tlog-proof --home ke"
    ));
    place.does("audit disclosures --csv left.csv --home ke");
    place.does("audit disclosures --xlsx left.xlsx --home ke");
    place.does(&format!(
        "audit disclosures --record {record} --xlsx record.xlsx --home ke"
    ));
    let csv = fs::read_to_string(place.path("left.csv")).unwrap();
    let quoted = format!("\"'{}\"", FORMULA.replace('"', "\"\""));
    assert!(csv.contains(&quoted), "{csv}");
    let rows = left(place, "").len();
    assert_eq!(csv.lines().count(), 1 + rows);

    let Some(python) = foreign("python/bin/python") else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/sheet.py");
    let read = |file: &str| -> Value {
        let mut read = Command::new(&python);
        read.arg(&script).arg(place.path(file));
        serde_json::from_slice(&ends_with(0, &mut read).stdout).unwrap()
    };
    let sheet = read("left.xlsx");
    assert_eq!(sheet["formulas"], 0);
    assert_eq!(sheet["rows"].as_array().unwrap().len(), 1 + rows);
    let (heads, last) = (&sheet["rows"][0], &sheet["rows"][rows]);
    let cell = |head: &str| {
        let column = heads.as_array().unwrap().iter().position(|name| name["value"] == head);
        &last[column.unwrap()]
    };
    assert_eq!(cell("time (UTC)")["type"], "datetime");
    assert_eq!(cell("first entry"), &json!({ "type": "int", "value": "1" }));
    assert_eq!(cell("recipient"), &json!({ "type": "str", "value": FORMULA }));
    assert_eq!(read("record.xlsx")["rows"][1][0]["value"], record);
}

/// A disclosure is made to disappear with everything here that says so; whoever keeps the head tells.
fn cut(place: &Place, record: &str, ke: Running) {
    let before = kept(place);
    drop(ke);
    copy(&place.path("ke/store"), &place.path("ke/before"));
    let ke = place.runs("ke");
    assert_eq!(kept(place), before, "a restart changes nothing");
    place.does(&format!(
        "log prove {record} --for a-friend --out b.tlog-proof --home ke"
    ));
    assert_eq!(kept(place), before + 1);

    drop(ke);
    fs::remove_dir_all(place.path("ke/store")).unwrap();
    fs::rename(place.path("ke/before"), place.path("ke/store")).unwrap();
    let ke = place.starts("ke");
    assert!(
        left(place, "--to a-friend").is_empty(),
        "it is gone, and nothing here knows of it"
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut doctor = crate::bench::icomm();
    doctor.args(["doctor", "--json", "--home"]).arg(place.path("ke"));
    loop {
        let checks: Value = serde_json::from_slice(&doctor.output().unwrap().stdout).unwrap();
        let checks = checks["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == "disclosure log").unwrap();
        if check["level"] == "error" {
            let finding = check["finding"].as_str().unwrap();
            let over = format!("over {} disclosures, and only {before} are noted here", before + 1);
            assert!(finding.contains(&over), "{finding}");
            break;
        }
        assert!(Instant::now() < deadline, "{checks:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let mut verify = crate::bench::icomm();
    verify
        .args(["audit", "verify", "--json", "--home"])
        .arg(place.path("ke"));
    let found: Value = serde_json::from_slice(&ends_with(1, &mut verify).stdout).unwrap();
    assert_eq!(found["verified"], false);
    let mut status = crate::bench::icomm();
    status.args(["status", "--json", "--home"]).arg(place.path("ke"));
    let status: Value = serde_json::from_slice(&ends_with(3, &mut status).stdout).unwrap();
    assert_eq!(status["serving"], false);
    assert!(
        status["reasons"][0].as_str().unwrap().contains("disclosures"),
        "{status}"
    );
    begins_anew(place, before, ke);
}

/// An officer says that it was put back: it goes on, and everybody goes on saying so.
fn begins_anew(place: &Place, before: u64, ke: Running) {
    let said = place.ends(1, "restore disclosures --reason x --home ug");
    assert!(said.contains("nobody holds more"), "{said}");
    let said = place.ends(
        1,
        &format!("restore disclosures --reason {} --home ke", "x".repeat(501)),
    );
    assert!(said.contains("say why"), "{said}");
    let said = place.does("restore disclosures --reason copied-back-by-hand --home ke");
    assert!(
        said.contains("copied-back-by-hand") && said.contains("are lost"),
        "{said}"
    );
    place.does("status --home ke");
    assert_eq!(kept(place), before);
    drop(ke);
    let _ke = place.runs("ke");
    assert_eq!(kept(place), before, "a restart changes nothing");

    let status: Value = serde_json::from_str(&place.does("audit verify --json --home ke")).unwrap();
    let (epoch, lost) = (&status["epochs"][0], &status["lost"][0]);
    assert_eq!(
        (&epoch["reason"], &epoch["notes"], &lost["signed"]),
        (&json!("copied-back-by-hand"), &json!(before), &json!(before + 1))
    );
    for home in ["esa", "wco"] {
        let status: Value = serde_json::from_str(&place.does(&format!("audit verify --json --home {home}"))).unwrap();
        let restart = &status["restarts"][0];
        assert_eq!(
            (&restart["name"], &restart["signed"], &restart["unchanged"]),
            (&json!("KE/gw1"), &json!(before + 1), &json!(before)),
            "{status}"
        );
        assert!(restart["checkpoint"].as_str().unwrap().contains("KE/gw1/disclosures\n"));
    }
    let mut left = crate::bench::icomm();
    left.args(["audit", "disclosures", "--csv"]).arg(place.path("rest.csv"));
    let warned = ends_with(0, left.arg("--home").arg(place.path("ke"))).stderr;
    let warned = String::from_utf8(warned).unwrap();
    assert!(warned.contains("copied-back-by-hand"), "{warned}");
}
