//! A member whose key is in a PKCS#11 token, SoftHSM here: it enrols, issues and is verified; the key is in no file of the node;
//! a wrong PIN is tried once; a token that is away stops what it must sign and loses nothing; the next key is made in it.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use icomm_pki::MemberKey;
use serde_json::Value;

use crate::{
    backups::key as backup_key,
    keys::{ALL, Seizures, arrive, entries, handover, link_to_ke, publish, within},
    place::{CASES, Place},
    proofs::agree,
};

const PIN: &str = "2468-planted-pin";
const WRONG: &str = "1357-wrong-pin";

/// SoftHSM's module, or a line that says why the test passes itself over.
fn softhsm() -> Option<PathBuf> {
    let there = Command::new("softhsm2-util").arg("--version").output().is_ok();
    let folders = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];
    let paths = folders.map(|folder| Path::new(folder).join("softhsm/libsofthsm2.so"));
    let found = paths.into_iter().find(|path| there && path.exists());
    if found.is_none() {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: SoftHSM is not there; `tests/setup` installs it"
        );
    }
    found
}

fn private_file(path: &Path, text: &str) {
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// A token `customs-ke` with a PIN, in the test's folder.
fn plug_in(place: &mut Place) {
    fs::create_dir(place.path("tokens")).unwrap();
    let settings = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        place.path("tokens").display()
    );
    fs::write(place.path("softhsm2.conf"), settings).unwrap();
    place.set("SOFTHSM2_CONF", place.path("softhsm2.conf"));
    softhsm_does(
        place,
        &[
            "--init-token",
            "--free",
            "--label",
            "customs-ke",
            "--so-pin",
            "87654321",
            "--pin",
            PIN,
        ],
    );
}

fn softhsm_does(place: &Place, arguments: &[&str]) {
    let mut command = Command::new("softhsm2-util");
    command
        .env("SOFTHSM2_CONF", place.path("softhsm2.conf"))
        .args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Whether any file below the folder has these bytes in it.
fn found_below(folder: &Path, needle: &[u8]) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap();
        let found = if kind.is_dir() {
            found_below(&path, needle)
        } else {
            let has = kind.is_file()
                && fs::read(&path)
                    .unwrap()
                    .windows(needle.len())
                    .any(|bytes| bytes == needle);
            has.then_some(path)
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn serves(place: &Place) -> Option<()> {
    let status: Value = serde_json::from_str(&place.says_anyhow("status --json --home ke")).unwrap();
    (status["serving"] == true).then_some(())
}

/// The node says that it is not well because of the member key.
fn lacks_key(place: &Place) -> Option<()> {
    let status: Value = serde_json::from_str(&place.says_anyhow("status --json --home ke")).unwrap();
    (status["serving"] != true && status.to_string().contains("member key")).then_some(())
}

fn log_of(place: &Place, home: &str) -> String {
    fs::read_to_string(place.path(&format!("{home}.log"))).unwrap()
}

#[test]
fn a_member_key_in_a_token_signs_and_is_in_no_file_and_is_followed_by_the_next_while_links_stay_up() {
    let (Some(module), Some(mut seizures)) = (softhsm(), Seizures::read()) else {
        return;
    };
    let mut place = Place::new();
    plug_in(&mut place);
    // Made elsewhere, so that the test knows what must be nowhere.
    let seed = *b"a planted seed of thirty-two b..";
    let key = MemberKey::from_seed(&seed);
    private_file(&place.path("planted.pem"), &key.to_pkcs8_pem().unwrap());
    let planted = place.path("planted.pem");
    let label = [
        "--token",
        "customs-ke",
        "--label",
        "icomm-member",
        "--id",
        "a1",
        "--pin",
        PIN,
    ];
    softhsm_does(&place, &[&["--import", planted.to_str().unwrap()][..], &label].concat());

    let pin = place.path("pin");
    private_file(&pin, WRONG);
    let options = format!(
        "--token customs-ke --token-module {} --token-pin-file pin",
        module.display()
    );
    let line = format!("init --home refused --member KE --node gw1 --trust-domain demo.icomm.example {options}");
    let refused = place.ends(1, &line);
    assert!(refused.contains("refused the PIN"), "{refused}");
    assert!(!place.path("refused").exists());
    private_file(&pin, PIN);
    let absent = place.ends(1, &line.replace("customs-ke", "customs-ug"));
    assert!(absent.contains("no token is labelled `customs-ug`"), "{absent}");

    place.set_up_with_ke(&options);
    let [_wco, _esa, ke, _ug] = ALL.map(|home| place.runs(home));
    assert!(!place.path("ke/identity/member-key.pem").exists());
    let request = fs::read_to_string(place.path("ke/identity/request.pem")).unwrap();
    let request = icomm_pki::EnrolmentRequest::from_pem(&request).unwrap();
    assert_eq!(request.member_key(), key.public(), "the key that was there is used");
    agree(&place, 1, "yes");
    let first = seizures.import(&place, 3);
    arrive(&place, "ug", first);
    let verified = |home: &str| {
        let verified: Value =
            serde_json::from_str(&place.does(&format!("log verify KE/main --json --home {home}"))).unwrap();
        assert_eq!(verified["verified"], true, "{verified}");
    };
    verified("ug");
    let checks = place.does("doctor --json --home ke");
    assert!(
        checks.contains("in the token `customs-ke`") && checks.contains("in a token, and signs"),
        "{checks}"
    );
    let up_since = within(20, "KE is linked", || link_to_ke(&place, "ug"));

    // The next key is made in the token, and taken up while the link goes on.
    place.does("key rotate --member-key --home ke");
    let again = place.ends(1, "key rotate --member-key --home ke");
    assert!(again.contains("new keys"), "{again}");
    place.does("pki issue ke/identity/next/request.pem --authority esa-ca --role national --out ke-2.pem");
    let other = place.ends(1, "key install ug.pem --home ke");
    assert!(other.contains("ug.pem"), "{other}");
    place.does("key install ke-2.pem --home ke");
    publish(&place, 2, &[], &ALL);
    let statement = handover(&place);
    let second = seizures.import(&place, 3);
    arrive(&place, "ug", second);
    place.does(&format!("pki retire {} --authority esa-ca", statement.display()));
    publish(&place, 3, &[], &ALL);
    let third = seizures.import(&place, 2);
    arrive(&place, "ug", third);
    verified("ug");
    assert_eq!(link_to_ke(&place, "ug"), Some(up_since), "the link stayed up");

    // A restart; nothing of the key or the PIN is in any file of the node.
    drop(ke);
    let _ke = place.runs("ke");
    let last = seizures.import(&place, 2);
    arrive(&place, "ug", last);
    verified("ug");
    for secret in [&seed[..], PIN.as_bytes(), WRONG.as_bytes()] {
        assert_eq!(found_below(&place.path("ke"), secret), None);
        assert!(
            !log_of(&place, "ke")
                .as_bytes()
                .windows(secret.len())
                .any(|bytes| bytes == secret)
        );
    }
    // A backup with the identity has the node's keys, and no member key.
    let to = backup_key(&place, "safe.key");
    place.does(&format!("backup ke.backup --to {to} --with-identity --home ke"));
    place.does("restore ke.backup --to again --key safe.key");
    assert!(place.path("again/identity/node-key.pem").exists());
    assert!(!place.path("again/identity/member-key.pem").exists());
    assert_eq!(found_below(&place.path("again"), PIN.as_bytes()), None);
}

#[test]
fn a_token_that_is_away_stops_issuing_alone_and_a_wrong_pin_is_tried_once() {
    let (Some(module), Some(mut seizures)) = (softhsm(), Seizures::read()) else {
        return;
    };
    let mut place = Place::new();
    plug_in(&mut place);
    let pin = place.path("pin");
    private_file(&pin, PIN);
    let options = format!(
        "--token customs-ke --token-module {} --token-pin-file pin",
        module.display()
    );
    place.set_up_with_ke(&options);
    let [_wco, _esa, ke, _ug] = ALL.map(|home| place.runs(home));
    agree(&place, 1, "yes");
    let before = seizures.import(&place, 3);
    arrive(&place, "ug", before);

    // Away: nothing is issued, what others send is kept, and the node says so.
    fs::rename(place.path("tokens"), place.path("pulled")).unwrap();
    seizures.write(&place, 4);
    let import = "record import seizures.csv --mapping unodc-ids --others UG --home ke";
    within(20, "the node can't sign any more", || lacks_key(&place));
    let refused = place.failing(import);
    assert!(refused.contains("member key"), "{refused}");
    fs::write(place.path("cases.csv"), CASES).unwrap();
    place.does("record import cases.csv --mapping icomm-template --others KE --home ug");
    within(30, "KE holds what UG issued", || {
        let logs = place.does("log list --json --home ke");
        logs.contains("UG/main").then_some(())
    });
    assert_eq!(entries(&place, "ke"), before);
    let checks = place.failing("doctor --json --home ke");
    assert!(checks.contains("bring the token back"), "{checks}");

    // Back: it goes on by itself, nothing is lost and nothing doubled.
    fs::rename(place.path("pulled"), place.path("tokens")).unwrap();
    within(40, "the node signs again", || serves(&place));
    let after = Seizures::import_again(&place);
    arrive(&place, "ug", after);
    place.does(import);
    assert_eq!(entries(&place, "ke"), after, "once");

    // A wrong PIN is tried once, however often the node is asked to sign; with the right one it goes on.
    drop(ke);
    private_file(&pin, WRONG);
    let _ke = place.starts("ke");
    within(30, "the node says that the PIN was refused", || lacks_key(&place));
    for _ in 0..5 {
        let refused = place.failing("record import cases.csv --mapping icomm-template --others UG --home ke");
        assert!(!refused.contains(WRONG));
        std::thread::sleep(Duration::from_secs(1));
    }
    // Said where it is presented, and nowhere else.
    let tried = log_of(&place, "ke").matches("a PIN was presented and refused").count();
    assert_eq!(tried, 1, "{}", log_of(&place, "ke"));
    private_file(&pin, PIN);
    within(40, "the node signs again", || serves(&place));
    let last = seizures.import(&place, 2);
    arrive(&place, "ug", last);
}
