//! A node in one encrypted file: taken while it works or of its folder, and put in place again.

use std::fs;

use serde_json::Value;

use crate::place::{CASES, Place, json_lines};

/// A backup key, and whom it makes the recipient.
pub(crate) fn key(place: &Place, name: &str) -> String {
    place.does(&format!("backup key {name}")).trim().to_owned()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_backup_is_taken_while_the_node_works_and_only_its_key_opens_it() {
    let place = Place::new();
    place.set_up();
    let (to, other) = (key(&place, "safe.key"), key(&place, "other.key"));
    let ke = place.runs("ke");
    fs::write(place.path("cases.csv"), CASES).unwrap();
    place.ends(
        3,
        "record import cases.csv --mapping icomm-template --others UG --home ke",
    );
    let taken: Value =
        serde_json::from_str(&place.does(&format!("backup ke.backup --to {to} --with-identity --json --home ke")))
            .unwrap();
    assert_eq!(
        (&taken["member"], &taken["entries"]),
        (&"KE".into(), &2.into()),
        "{taken}"
    );
    let backup = fs::read(place.path("ke.backup")).unwrap();
    assert_eq!(taken["bytes"], backup.len());
    for planted in ["Synth-Mwangi", "KE/main", "icomm-store-key", "PRIVATE KEY", "RILO-ESA"] {
        assert!(!holds(&backup, planted), "`{planted}` can be read in the backup");
    }

    // What is refused, and leaves nothing.
    let half = backup.len() / 2;
    let mut bent = backup.clone();
    bent[half] ^= 1;
    fs::write(place.path("bent.backup"), &bent).unwrap();
    fs::write(place.path("short.backup"), &backup[..half]).unwrap();
    for (code, line, why) in [
        (1, format!("backup ke.backup --to {to} --home ke"), "exists already"),
        (
            2,
            "backup x.backup --to nobody --home ke".to_owned(),
            "icomm-backup-to-",
        ),
        (2, "backup x.backup --home ke".to_owned(), "--to"),
        (1, "backup key safe.key".to_owned(), "safe.key"),
        (1, "restore ke.backup --to new --key other.key".to_owned(), to.as_str()),
        (
            1,
            "restore bent.backup --to new --key safe.key".to_owned(),
            "was changed",
        ),
        (
            1,
            "restore short.backup --to new --key safe.key".to_owned(),
            "cut short",
        ),
        (
            1,
            "restore cases.csv --to new --key safe.key".to_owned(),
            "not a backup",
        ),
        (1, "restore ke.backup --to ke --key safe.key".to_owned(), "is not empty"),
        (1, "restore ke.backup --to new --key ke.backup".to_owned(), "ke.backup"),
        (1, "backup verify bent.backup --key safe.key".to_owned(), "was changed"),
    ] {
        let said = place.ends(code, &line);
        assert!(said.contains(why), "{line}: {said}");
        assert!(
            !place.path("new").exists() && !place.path("x.backup").exists(),
            "{line}"
        );
    }
    let whole = place.does("backup verify ke.backup --key safe.key");
    assert!(
        whole.contains("is whole") && whole.contains("`KE/main` with 2 entries"),
        "{whole}"
    );

    // Of a stopped node's folder, to two keys; either opens it. Without the secret keys they have to be put back.
    drop(ke);
    place.does(&format!("backup folder.backup --to {to} --to {other} --home ke"));
    let said = place.does("restore folder.backup --to new --key other.key");
    assert!(said.contains("member-key.pem"), "{said}");
    assert!(!place.path("new/identity/member-key.pem").exists());
    let names = fs::read_dir(place.path("")).unwrap();
    for name in names.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        assert!(
            !name.contains(".part") && !name.contains("restoring"),
            "`{name}` was left behind"
        );
    }
    for key in ["member-key.pem", "node-key.pem"] {
        fs::copy(
            place.path(&format!("ke/identity/{key}")),
            place.path(&format!("new/identity/{key}")),
        )
        .unwrap();
    }
    let _ke = place.starts("new");
    let records = json_lines(&place.does("record list --json --home new"));
    let record = records[1]["record_id"].as_str().unwrap();
    let shown = place.does(&format!("record get {record} --home new"));
    assert!(shown.contains("Synth-Mwangi"), "{shown}");
    place.does("log verify KE/main --home new");
}
