//! The operators' way, with commands alone: authorities, enrolment, settings, agreements, import, what a partner sees.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::place::{CASES, Place, json_lines};

fn write(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
}

#[test]
fn two_administrations_join_agree_and_exchange() {
    let place = Place::new();
    let _nodes = place.found();
    place.does("doctor --home ke");

    // The text goes from one to the other as a file, and counts only when both have signed it.
    place.does("agreement draft ke-ug --between KE UG --from 2026-01-01 --out ke-ug.toml");
    place.does("agreement sign ke-ug.toml --out half.json --home ke");
    let refused = place.ends(1, "agreement accept half.json --home ke");
    assert!(refused.contains("not signed by `UG`"), "{refused}");
    place.does("agreement sign half.json --out both.json --home ug");
    place.does("agreement accept both.json --home ke");
    place.does("agreement accept both.json --home ug");

    write(&place.path("cases.csv"), CASES);
    let dry = place.ends(
        3,
        "record import cases.csv --mapping icomm-template --others UG --dry-run --home ke",
    );
    assert!(!dry.contains("Synth-"), "no record content among the messages: {dry}");
    let listed = place.does("record list --json --home ke");
    assert_eq!(listed.lines().count(), 0, "a dry run issues nothing");
    let line = "record import cases.csv --mapping icomm-template --others UG --report bad.jsonl --home ke";
    place.ends(3, line);
    let report = fs::read_to_string(place.path("bad.jsonl")).unwrap();
    let bad: Value = serde_json::from_str(report.lines().next().unwrap()).unwrap();
    assert_eq!(bad["line"], 4);
    assert_eq!(bad["faults"][0]["column"], "seizure_date");
    assert_eq!(bad["faults"][0]["value"], "2026-13-02");
    place.ends(3, line);
    let own: Vec<Value> = json_lines(&place.does("record list --json --home ke"));
    assert_eq!(own.len(), 2, "imported twice, issued once");

    let record = own[0]["record_id"].as_str().unwrap();
    let explained: Value =
        serde_json::from_str(&place.does(&format!("agreement explain {record} UG --json --home ke"))).unwrap();
    assert_eq!(explained["permitted"], true, "{explained}");
    let deadline = Instant::now() + Duration::from_secs(30);
    while json_lines(&place.does("log list --json --home ug"))
        .iter()
        .all(|log| log["origin"] != "KE/main" || log["entries"] != 2)
    {
        assert!(
            Instant::now() < deadline,
            "nothing arrives: {}",
            place.does("link list --home ug")
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let seen: Value = serde_json::from_str(
        place
            .does(&format!("record get {record} --json --home ug"))
            .lines()
            .next()
            .unwrap(),
    )
    .unwrap();
    assert_eq!(seen["record"]["persons"]["persons"][0]["family_name"], "Synth-Mwangi");
    assert_eq!(seen["verified"], true);
    place.does("log verify KE/main --home ug");
    // The root has no agreement with anybody here.
    assert!(
        json_lines(&place.does("log list --json --home wco"))
            .iter()
            .all(|log| log["origin"] != "KE/main")
    );
    place.ends(1, &format!("record get {record} --home wco"));
}
