//! A member that signs two histories: its keys in a second node over an empty store. Whoever sees both has the proof, and so
//! has everybody else soon after.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    bench::{ends_with, icomm},
    place::{CASES, Place, json_lines},
    proofs::{agree, arrives},
};

fn imports(place: &Place, home: &str) {
    fs::write(place.path("cases.csv"), CASES).unwrap();
    // One of KE's rows is not right.
    let (code, others) = if home == "ug" { (0, "KE") } else { (3, "UG") };
    place.ends(
        code,
        &format!("record import cases.csv --mapping icomm-template --others {others} --home {home}"),
    );
}

/// The proof that this node has, as `audit forks` tells of it.
fn forked(place: &Place, home: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let forks = json_lines(&place.does(&format!("audit forks --json --home {home}")));
        if let [fork] = &forks[..] {
            return fork.clone();
        }
        assert!(forks.is_empty() && Instant::now() < deadline, "{home}: {forks:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn held(place: &Place, home: &str, origin: &str) -> Value {
    let logs = json_lines(&place.does(&format!("log list --json --home {home}")));
    logs.into_iter().find(|log| log["origin"] == origin).unwrap_or_default()
}

#[test]
fn a_second_history_stops_the_log_everywhere_and_leaves_the_proof() {
    let place = Place::new();
    let [wco, esa, ke, ug] = place.found();
    agree(&place, 1, "yes");
    imports(&place, "ke");
    arrives(&place, "KE's records", "ug");
    for home in ["wco", "esa", "ke", "ug"] {
        assert_eq!(
            place.does(&format!("audit forks --home {home}")),
            "no forks are known here\n"
        );
    }
    let told = held(&place, "ug", "KE/main")["checkpoint"].as_str().unwrap().to_owned();

    // The same member, the same keys, another log: where nobody can tell it that there is one, and without the mark that would.
    drop((wco, esa, ke, ug));
    let identity = place.path("ke/identity");
    fs::create_dir_all(place.path("twin/identity")).unwrap();
    let files = fs::read_dir(&identity).unwrap().map(|file| file.unwrap().path());
    for file in files.filter(|file| !file.ends_with("signed")) {
        fs::copy(&file, place.path("twin/identity").join(file.file_name().unwrap())).unwrap();
    }
    fs::copy(place.path("ke/icomm.toml"), place.path("twin/icomm.toml")).unwrap();
    let twin = place.runs("twin");
    place.does("agreement accept both-1.json --home twin");
    imports(&place, "twin");
    let signed = held(&place, "twin", "KE/main")["checkpoint"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(told, signed);
    let [wco, esa, ug] = ["wco", "esa", "ug"].map(|home| place.runs(home));

    // Who was told both, who was told nothing, and who told it.
    for home in ["ug", "esa", "wco", "twin"] {
        let fork = forked(&place, home);
        assert_eq!(fork["origin"], "KE/main");
        let mut notes = [&fork["smaller"], &fork["larger"]].map(|note| note.as_str().unwrap());
        let mut expected = [told.as_str(), signed.as_str()];
        notes.sort_unstable();
        expected.sort_unstable();
        assert_eq!(notes, expected, "{home}");
    }
    let shown = place.does("audit forks --home ug");
    assert!(shown.contains("two histories") && shown.contains(told.trim_end()) && shown.contains(signed.trim_end()));
    let doctor = place.ends_saying(3, "doctor --json --home ug");
    assert!(doctor.contains("has two histories"), "{doctor}");
    let twin_s = place.ends_saying(3, "status --home twin");
    assert!(twin_s.contains("nobody takes `KE/main` any more"), "{twin_s}");

    // Nothing more of it arrives, of the honest log all does, also after a restart.
    imports(&place, "ug");
    drop(ug);
    let ug = place.runs("ug");
    let deadline = Instant::now() + Duration::from_secs(30);
    while held(&place, "twin", "UG/main")["entries"] != 1 {
        assert!(Instant::now() < deadline, "the honest log does not go on");
        std::thread::sleep(Duration::from_millis(100));
    }
    let log = held(&place, "ug", "KE/main");
    assert_eq!(
        (&log["forked"], log["entries"].as_u64()),
        (&Value::Bool(true), Some(2)),
        "{log}"
    );
    assert_eq!(log["checkpoint"], told.as_str());
    assert_eq!(forked(&place, "ug")["origin"], "KE/main");
    place.does("audit forks KE/main --out ke.fork --home ug");

    // From here on nobody runs: a court has the file and the root's certificate.
    drop((wco, esa, ug, twin));
    let verify = "log verify ke.fork --root ug/identity/root.pem --home nowhere";
    let proven: Value = serde_json::from_str(&place.does(&format!("{verify} --json"))).unwrap();
    assert_eq!(
        (&proven["verified"], proven["fork_of"].as_str()),
        (&Value::Bool(true), Some("KE/main")),
        "{proven}"
    );
    assert_eq!(proven["originator"]["member"], "KE");
    assert!(place.does(verify).contains("KE/main has two histories"));
    // An honest log is accused of nothing: twice the same checkpoint, or another's name.
    let good = fs::read_to_string(place.path("ke.fork")).unwrap();
    let same = good.replacen(&signed, &told, 1);
    let renamed = good.replace("/KE/main", "/UG/main");
    for bent in [same, renamed, good.replacen("\n2\n", "\n3\n", 1)] {
        assert_ne!(bent, good);
        fs::write(place.path("bent.fork"), bent).unwrap();
        let mut command = icomm();
        let command = command
            .args(["log", "verify", "--json", "--root"])
            .arg(place.path("ug/identity/root.pem"));
        let found = ends_with(1, command.arg(place.path("bent.fork")));
        let found: Value = serde_json::from_slice(&found.stdout).unwrap();
        assert_eq!(found["verified"], false, "{found}");
    }
}
