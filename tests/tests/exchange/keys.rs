//! Keys and certificates change while the node works, on real seizures: the links stay up, the history of both keys verifies, a
//! revoked node is cut off at once, and who steals a member's key gets nothing for it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    bench::shared_data,
    place::{Place, Running, json_lines},
    proofs::agree,
};

const REAL: &str = "unodc_ids_2011_2014_crossborder.csv";
const OTHERS: &str = "--others UG";

/// Real seizures of this many rows at a time.
pub(crate) struct Seizures {
    header: String,
    rows: std::vec::IntoIter<String>,
}

impl Seizures {
    /// Spain's, moved to Kenya, which is the member of the tests' network.
    pub(crate) fn read() -> Option<Self> {
        let text = fs::read_to_string(shared_data(REAL)?).unwrap();
        let mut lines = text.lines();
        let header = lines.next().unwrap().to_owned();
        // Nobody in these data reports from Kenya.
        let moved = |line: &str| line.replacen(",Spain,", ",Kenya,", 1);
        let rows: Vec<String> = lines
            .filter(|line| line.split(',').nth(2) == Some("Spain"))
            .map(moved)
            .collect();
        assert!(rows.len() > 100, "{} rows", rows.len());
        Some(Self {
            header,
            rows: rows.into_iter(),
        })
    }

    /// Imports the next rows at KE; how many entries its log has then.
    pub(crate) fn import(&mut self, place: &Place, rows: usize) -> u64 {
        self.write(place, rows);
        Self::import_again(place)
    }

    /// Puts the next rows into `seizures.csv`.
    pub(crate) fn write(&mut self, place: &Place, rows: usize) {
        let rows: Vec<String> = self.rows.by_ref().take(rows).collect();
        assert!(!rows.is_empty());
        fs::write(
            place.path("seizures.csv"),
            format!("{}\n{}\n", self.header, rows.join("\n")),
        )
        .unwrap();
    }

    /// Imports what is in `seizures.csv` and new; how many entries KE's log has then.
    pub(crate) fn import_again(place: &Place) -> u64 {
        let before = entries(place, "ke");
        place.does(&format!(
            "record import seizures.csv --mapping unodc-ids {OTHERS} --home ke"
        ));
        let after = entries(place, "ke");
        assert!(after > before, "nothing was issued");
        after
    }
}

fn log(place: &Place, home: &str) -> Value {
    let logs = json_lines(&place.does(&format!("log list --json --home {home}")));
    logs.into_iter()
        .find(|log| log["origin"] == "KE/main")
        .unwrap_or_default()
}

pub(crate) fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .or_else(|| value.as_str()?.parse().ok())
        .unwrap_or_default()
}

pub(crate) fn entries(place: &Place, home: &str) -> u64 {
    number(&log(place, home)["entries"])
}

pub(crate) fn within<T>(seconds: u64, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(crate) fn arrive(place: &Place, home: &str, size: u64) {
    within(30, &format!("{home} has {size} entries"), || {
        (entries(place, home) == size).then_some(())
    });
}

/// The live link that `home` has with KE: since when.
pub(crate) fn link_to_ke(place: &Place, home: &str) -> Option<u64> {
    let links = json_lines(&place.does(&format!("link list --json --home {home}")));
    let link = links
        .into_iter()
        .find(|link| link["member"] == "KE" && link["carrier"] != "")?;
    Some(number(&link["since"])).filter(|since| *since > 0)
}

/// The next bundle, handed to the root's node and to those named; from there it travels by the links.
pub(crate) fn publish(place: &Place, version: u64, by_hand: &[&str], everywhere: &[&str]) {
    let file = format!("bundle-{version}.json");
    place.does(&format!(
        "pki bundle --authority root-ca --home wco --include esa-ca/public --out {file}"
    ));
    for home in std::iter::once(&"wco").chain(by_hand) {
        place.does(&format!("pki update {file} --home {home}"));
    }
    for home in everywhere {
        within(20, &format!("{home} goes by bundle {version}"), || {
            let status: Value = serde_json::from_str(&place.does(&format!("status --json --home {home}"))).unwrap();
            (number(&status["bundle_version"]) >= version).then_some(())
        });
    }
}

pub(crate) fn handover(place: &Place) -> PathBuf {
    within(30, "the node has taken up its new key", || {
        let files = fs::read_dir(place.path("ke/identity")).unwrap();
        let mut names = files.map(|file| file.unwrap().path());
        names.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("handover-"))
    })
}

/// Makes new keys at KE and has them certified; the bundle that lists them is the next one.
fn rotate(place: &Place, what: &str, answer: &str) {
    place.does(&format!("key rotate {what} --home ke"));
    place.does(&format!(
        "pki issue ke/identity/next/request.pem --authority esa-ca --role national --out {answer}"
    ));
}

pub(crate) const ALL: [&str; 4] = ["wco", "esa", "ke", "ug"];

#[test]
fn a_member_key_and_a_node_key_change_while_links_stay_up() {
    let Some(mut seizures) = Seizures::read() else { return };
    let place = Place::new();
    let [_wco, _esa, ke, ug] = place.found();
    agree(&place, 1, "yes");
    let old = seizures.import(&place, 3);
    arrive(&place, "ug", old);
    let up_since = ["ug", "esa"].map(|home| within(20, "KE is linked", || link_to_ke(&place, home)));
    let record = json_lines(&place.does("record list --json --home ke"))[0]["record_id"]
        .as_str()
        .unwrap()
        .to_owned();
    place.does(&format!(
        "log prove {record} --for Court-12 --out before.tlog-proof --home ke"
    ));
    let first_key = fs::read(place.path("ke/identity/member-key.pem")).unwrap();

    // What is no answer to the request, and what nobody asked for, is not put in place.
    let refused = place.ends(1, "key install ke.pem --home ke");
    assert!(refused.contains("no request waits"), "{refused}");
    rotate(&place, "--member-key --node-key", "ke-2.pem");
    let refused = place.ends(1, "key install ug.pem --home ke");
    assert!(refused.contains("ug.pem"), "{refused}");
    let refused = place.ends(1, "key rotate --member-key --home ke");
    assert!(refused.contains("new keys"), "{refused}");

    // Installed before any bundle lists it, it waits and says so, and the node works on.
    place.does("key install ke-2.pem --home ke");
    within(20, "the node says what it waits for", || {
        let checks = place.does("doctor --json --home ke");
        checks.contains("does not list the new member key yet").then_some(())
    });
    assert_eq!(fs::read(place.path("ke/identity/member-key.pem")).unwrap(), first_key);
    publish(&place, 2, &[], &ALL);
    let statement = handover(&place);
    assert_ne!(fs::read(place.path("ke/identity/member-key.pem")).unwrap(), first_key);
    assert!(!place.path("ke/identity/next").exists() && !place.path("ke/identity/taking").exists());
    let both = seizures.import(&place, 3);
    arrive(&place, "ug", both);

    // Closed: the history of both keys goes on.
    let statement = statement.display();
    let told: Value = serde_json::from_str(&place.does("key handover --json --home ke")).unwrap();
    let ends: Vec<_> = told["ends"]
        .as_array()
        .unwrap()
        .iter()
        .map(|end| (&end["log"], number(&end["size"])))
        .collect();
    assert!(ends.contains(&(&Value::from("main"), old)), "{told}");
    assert_eq!(told["stolen"], false);
    let other = place.ends(1, &format!("pki retire {statement} --authority root-ca"));
    assert!(other.contains("never certified"), "{other}");
    place.does(&format!("pki retire {statement} --authority esa-ca"));
    publish(&place, 3, &[], &ALL);
    let all = seizures.import(&place, 3);
    arrive(&place, "ug", all);
    for (home, since) in ["ug", "esa"].into_iter().zip(up_since) {
        assert_eq!(
            link_to_ke(&place, home),
            Some(since),
            "the link of {home} to KE stayed up"
        );
    }
    let checks = place.ends_saying(0, "audit verify --json --home ke");
    assert!(
        checks.contains("\"verified\":true") || checks.contains("\"verified\": true"),
        "{checks}"
    );

    // A partner that begins anew verifies it from the first entry on.
    drop(ug);
    fs::remove_dir_all(place.path("ug/store")).unwrap();
    let _ug = place.runs("ug");
    agree_again(&place);
    arrive(&place, "ug", all);
    let verified: Value = serde_json::from_str(&place.does("log verify KE/main --json --home ug")).unwrap();
    assert_eq!(verified["verified"], true, "{verified}");
    // A record under the old key can still be proved; and the file of before, off-line.
    place.does(&format!(
        "log prove {record} --for Court-13 --out after.tlog-proof --home ke"
    ));
    for file in ["before.tlog-proof", "after.tlog-proof"] {
        place.does(&format!("log verify {file} --root ug/identity/root.pem --home nowhere"));
    }

    // A restart changes nothing: what the old key signed for counts, agreements too.
    drop(ke);
    let _ke = place.runs("ke");
    let last = seizures.import(&place, 2);
    arrive(&place, "ug", last);

    // The next key becomes ready while the node is down, and is taken up at its start.
    rotate(&place, "--member-key", "ke-3.pem");
    drop(_ke);
    place.does("key install ke-3.pem --home ke");
    publish(&place, 4, &[], &["wco", "esa", "ug"]);
    fs::copy(place.path("bundle-4.json"), place.path("ke/identity/bundle.json")).unwrap();
    let second_key = fs::read(place.path("ke/identity/member-key.pem")).unwrap();
    let _ke = place.runs("ke");
    assert_ne!(fs::read(place.path("ke/identity/member-key.pem")).unwrap(), second_key);
    let last = seizures.import(&place, 2);
    arrive(&place, "ug", last);
}

/// Both parties' agreement, once more: the documents of a node lie in its store.
fn agree_again(place: &Place) {
    place.does("agreement accept both-1.json --home ug");
}

#[test]
fn a_revoked_node_loses_its_links_with_the_bundle() {
    let place = Place::new();
    let [_wco, _esa, ke, _ug] = place.found();
    within(20, "KE is linked", || link_to_ke(&place, "ug"));
    place.does("pki revoke KE/gw1 --authority esa-ca --reason key-compromise");
    let told = Instant::now();
    publish(&place, 2, &[], &["esa", "ug"]);
    within(5, "the links to KE are gone", || {
        ["ug", "esa", "wco"]
            .iter()
            .all(|home| link_to_ke(&place, home).is_none())
            .then_some(())
    });
    assert!(told.elapsed() < Duration::from_secs(15), "{:?}", told.elapsed());
    // Both sides say why; and it does not come back.
    let log = |home: &str| fs::read_to_string(place.path(&format!("{home}.log"))).unwrap();
    assert!(log("ug").contains("revoked"), "{}", log("ug"));
    std::thread::sleep(Duration::from_secs(3));
    assert!(link_to_ke(&place, "ug").is_none());
    let refused = place.ends_saying(3, "link test KE --json --home ug");
    assert!(
        refused.contains("revoked") || refused.contains("unreachable") || refused.contains("false"),
        "{refused}"
    );
    drop(ke);
}

#[test]
fn who_steals_a_member_key_gets_nothing_for_it() {
    let Some(mut seizures) = Seizures::read() else { return };
    let place = Place::new();
    let [_wco, _esa, ke, _ug] = place.found();
    agree(&place, 1, "yes");
    let good = seizures.import(&place, 3);
    arrive(&place, "ug", good);

    // Everything that the thief needs: keys and certificates; a log that goes another way from the same entries on.
    drop(ke);
    copy_dir(&place.path("ke"), &place.path("thief"));
    let _ke = place.runs("ke");

    // At once: nothing of KE counts any more.
    place.does("pki revoke KE --authority esa-ca --reason key-compromise");
    publish(&place, 2, &["ke"], &["esa", "ug"]);
    within(5, "the links to KE are gone", || {
        link_to_ke(&place, "ug").is_none().then_some(())
    });
    // New keys; and the authority says up to where the stolen one counts.
    rotate(&place, "--member-key --node-key", "ke-2.pem");
    place.does("key install ke-2.pem --home ke");
    publish(&place, 3, &["ke"], &["esa", "ug"]);
    let statement = handover(&place);
    place.does("key handover --stolen --home ke");
    place.does(&format!("pki retire {} --authority esa-ca", statement.display()));
    publish(&place, 4, &["ke"], &["esa", "ug"]);
    within(20, "KE is linked again", || link_to_ke(&place, "ug"));
    let better = seizures.import(&place, 3);
    arrive(&place, "ug", better);

    // The thief's node comes to nothing: refused at every door, its log nowhere.
    let thief = thief(&place);
    fs::write(
        place.path("thief/identity/bundle.json"),
        fs::read(place.path("bundle-4.json")).unwrap(),
    )
    .unwrap();
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(entries(&place, "ug"), better);
    for home in ["ug", "esa", "wco"] {
        assert_eq!(
            place.does(&format!("audit forks --home {home}")),
            "no forks are known here\n"
        );
    }
    drop(thief);

    // With an insider's help it signs an agreement: nobody takes it, KE's node neither.
    let text = fs::read_to_string(place.path("ke-ug-1.toml")).unwrap();
    fs::write(
        place.path("forged.toml"),
        text.replace("version = 1\n", "version = 2\n"),
    )
    .unwrap();
    place.does("agreement sign forged.toml --offline --out half-forged.json --home thief");
    place.does("agreement sign half-forged.json --out forged.json --home ug");
    for home in ["ug", "ke"] {
        let refused = place.ends(1, &format!("agreement accept forged.json --home {home}"));
        assert!(refused.contains("signature of `KE`"), "{refused}");
    }
    // What the old key signed before still verifies, at a node that begins anew too.
    let verified: Value = serde_json::from_str(&place.does("log verify KE/main --json --home ug")).unwrap();
    assert_eq!(verified["verified"], true, "{verified}");
}

/// The thief's node, with records of its own, as far as it comes.
fn thief(place: &Place) -> Running {
    let settings = fs::read_to_string(place.path("thief/icomm.toml")).unwrap();
    let settings: String = settings
        .lines()
        .map(|line| {
            if line.trim_start().starts_with("tls =") {
                "tls = []"
            } else {
                line
            }
        })
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(place.path("thief/icomm.toml"), settings).unwrap();
    place.starts("thief")
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            copy_dir(&path, &to.join(entry.file_name()));
        } else if kind.is_file() {
            fs::copy(&path, to.join(entry.file_name())).unwrap();
        }
    }
}
