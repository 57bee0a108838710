//! A record is proved to somebody who has nothing but a file and the root's certificate.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::{
    bench::{ends_with, foreign, text},
    place::{CASES, Place, json_lines},
};

/// Replaces the two drafts' word on use in court, makes it `version`, and lets both sides sign and accept it.
pub(crate) fn agree(place: &Place, version: u32, use_in_court: &str) {
    let draft = format!("ke-ug-{version}.toml");
    place.does(&format!(
        "agreement draft ke-ug --between KE UG --from 2026-01-01 --out {draft}"
    ));
    let text = fs::read_to_string(place.path(&draft)).unwrap();
    assert!(
        text.contains("version = 1\n") && text.contains("use_in_court = \"with-consent\""),
        "{text}"
    );
    let text = text
        .replace("version = 1\n", &format!("version = {version}\n"))
        .replace(
            "use_in_court = \"with-consent\"",
            &format!("use_in_court = \"{use_in_court}\""),
        );
    fs::write(place.path(&draft), text).unwrap();
    place.does(&format!("agreement sign {draft} --out half-{version}.json --home ke"));
    place.does(&format!(
        "agreement sign half-{version}.json --out both-{version}.json --home ug"
    ));
    for home in ["ke", "ug"] {
        place.does(&format!("agreement accept both-{version}.json --home {home}"));
    }
}

pub(crate) fn arrives(place: &Place, record: &str, home: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let command = format!("log list --json --home {home}");
    while !json_lines(&place.does(&command))
        .iter()
        .any(|log| log["origin"] == "KE/main" && log["entries"] == 2)
    {
        assert!(Instant::now() < deadline, "{record} does not arrive at {home}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_file_proves_a_record_to_who_has_the_root_alone() {
    let place = Place::new();
    let nodes = place.found();
    agree(&place, 1, "with-consent");
    fs::write(place.path("cases.csv"), CASES).unwrap();
    place.ends(
        3,
        "record import cases.csv --mapping icomm-template --others UG --home ke",
    );
    let own = json_lines(&place.does("record list --json --home ke"));
    let record = own[1]["record_id"].as_str().unwrap();
    arrives(&place, record, "ug");

    // What leaves is what was asked for by name: without a word, nothing that names anybody.
    let prove = |home: &str, more: &str, out: &str| {
        format!("log prove {record} --for Court-12 {more} --out {out} --home {home}")
    };
    place.does(&prove("ke", "", "open.tlog-proof"));
    place.does(&prove("ke", "--sections case+persons", "named.tlog-proof"));
    let evidence = |file: &str| evidence(&place.path(file));
    assert!(!contains(&evidence("open.tlog-proof"), "Synth-Mwangi"));
    assert!(
        contains(&evidence("named.tlog-proof"), "Synth-Mwangi"),
        "else the search finds nothing anywhere"
    );
    let again = place.ends(1, &prove("ke", "", "open.tlog-proof"));
    assert!(again.contains("exists already"), "{again}");

    // Another's record is not its holder's to show, unless the agreement says so.
    let refused = place.ends(1, &prove("ug", "", "ug.tlog-proof"));
    assert!(refused.contains("`KE` may not be shown outside"), "{refused}");
    assert!(!place.path("ug.tlog-proof").exists());
    agree(&place, 2, "yes");
    place.does(&prove("ug", "--sections case+persons", "ug.tlog-proof"));
    let refused = place.ends(
        1,
        &format!("log prove {} --for Court-12 --home ug", record.replace('0', "1")),
    );
    assert!(refused.contains("record"), "{refused}");

    // What left is noted, over links and by file, under which agreement.
    let left = |filter: &str| json_lines(&place.does(&format!("audit disclosures {filter} --json --home ke")));
    let files = left("--to Court-12");
    let sections: Vec<_> = files.iter().map(|file| &file["terms"][0]["sections"]).collect();
    assert_eq!(sections, ["case", "case+persons"]);
    assert!(
        files.iter().all(|file| file["node"] == "" && file["from"] == 1),
        "{files:?}"
    );
    let sent = left("--to UG --agreement ke-ug --origin KE/main --since 2026-01-01");
    assert_eq!(
        sent.iter().map(|chunk| chunk["count"].as_u64().unwrap()).sum::<u64>(),
        2
    );
    assert!(sent.iter().all(|chunk| chunk["node"] == "gw1"), "{sent:?}");
    for nothing in ["--to ug", "--agreement ke", "--origin UG/main", "--until 2026-01-01"] {
        assert!(left(nothing).is_empty(), "{nothing}");
    }
    let reversed = place.ends(2, "audit disclosures --since 2026-02-01 --until 2026-01-01 --home ke");
    assert!(reversed.contains("before it begins"), "{reversed}");

    // From here on nobody runs: a court has the files, the root's certificate, and no network.
    drop(nodes);
    let root = "ke/identity/root.pem";
    let verified = |file: &str| -> Value {
        let line = format!("log verify {file} --root {root} --json --home nowhere");
        serde_json::from_str(&place.does(&line)).unwrap()
    };
    for (file, sections) in [
        ("open.tlog-proof", false),
        ("named.tlog-proof", true),
        ("ug.tlog-proof", true),
    ] {
        let proven = verified(file);
        assert_eq!(proven["verified"], true, "{proven}");
        assert_eq!(
            (&proven["origin"], &proven["index"], &proven["size"]),
            (&json!("KE/main"), &json!(1), &json!(2))
        );
        assert_eq!(proven["originator"]["member"], "KE");
        assert_eq!(proven["record"]["record"], record);
        let persons = &proven["record"]["sections"]["persons"];
        assert_eq!(persons.is_object(), sections, "{persons}");
    }
    let shown = place.does(&format!("log verify named.tlog-proof --root {root} --home nowhere"));
    assert!(shown.contains("verified") && shown.contains("Synth-Mwangi"), "{shown}");

    every_bend_is_found(&place, root);
    somebody_elses_code_agrees(&place, "named.tlog-proof", &verified("named.tlog-proof"));
}

/// Flips something in each part of a file; and takes another network's root.
fn every_bend_is_found(place: &Place, root: &str) {
    let good = fs::read_to_string(place.path("named.tlog-proof")).unwrap();
    let bent = |name: &str, text: String| {
        assert_ne!(text, good, "{name}");
        fs::write(place.path("bent.tlog-proof"), text).unwrap();
        let mut command = crate::bench::icomm();
        let file = place.path("bent.tlog-proof");
        let command = command
            .args(["log", "verify", "--json", "--root"])
            .arg(place.path(root))
            .arg(file);
        let found: Value = serde_json::from_slice(&ends_with(1, command).stdout).unwrap();
        assert_eq!(found["verified"], false, "{name}: {found}");
        assert!(!found["reason"].as_str().unwrap().is_empty());
    };
    bent("place", good.replacen("index 1", "index 0", 1));
    bent("size", good.replacen("\n2\n", "\n3\n", 1));
    bent("another's log", good.replace("/KE/main", "/UG/main"));
    bent("format", good.replacen("@v1", "@v9", 1));
    bent("cut", good[..good.len() - 30].to_owned());
    let mut extra = evidence(&place.path("named.tlog-proof"));
    let name = extra.windows(12).position(|bytes| bytes == b"Synth-Mwangi").unwrap();
    extra[name] = b'X';
    let old = good.lines().nth(1).unwrap();
    bent(
        "a name",
        good.replacen(old, &format!("extra {}", BASE64.encode(&extra)), 1),
    );

    place.does("pki root --authority other-ca --member WCO --trust-domain demo.icomm.example");
    let mut command = crate::bench::icomm();
    let command = command.args(["log", "verify", "--root"]).arg(place.path("other.pem"));
    fs::write(place.path("other.pem"), certificate_of(place, "other-ca")).unwrap();
    let output = ends_with(1, command.arg(place.path("named.tlog-proof")));
    assert!(
        text(&output.stdout).contains("NOT VERIFIED"),
        "{}",
        text(&output.stdout)
    );
}

/// aics-tlog finds in a proof file what we find in it: checkpoint, witnesses, entry.
pub(crate) fn somebody_elses_code_agrees(place: &Place, file: &str, proven: &Value) {
    let Some(python) = foreign("c2sp/bin/python") else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/c2sp.py");
    let mut check = Command::new(python);
    check.arg(script).arg(place.path(file));
    check.arg(proven["originator"]["key"].as_str().unwrap());
    let mut names = Vec::new();
    for witness in proven["witnesses"].as_array().unwrap() {
        let [member, key] = ["member", "key"].map(|field| witness[field].as_str().unwrap());
        check.arg(format!("{member}={key}"));
        names.push(format!("demo.icomm.example/{member}"));
    }
    let found: Value = serde_json::from_slice(&ends_with(0, &mut check).stdout).unwrap();
    assert_eq!(
        found,
        json!({
            "origin": "demo.icomm.example/KE/main", "size": proven["size"], "index": proven["index"],
            "checkpoint": true, "cosigned_by": names, "included": true, "another_entry_included": false,
        })
    );
}

/// The decoded `extra` of a proof file.
fn evidence(file: &Path) -> Vec<u8> {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().nth(1).unwrap();
    BASE64.decode(line.strip_prefix("extra ").unwrap().as_bytes()).unwrap()
}

fn contains(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|window| window == words.as_bytes())
}

/// The certificate out of an authority's secret file.
fn certificate_of(place: &Place, authority: &str) -> String {
    let text = fs::read_to_string(place.path(authority).join("secret/authority.pem")).unwrap();
    text[text.find("-----BEGIN CERTIFICATE-----").unwrap()..].to_owned()
}
