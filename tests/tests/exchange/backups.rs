//! A node in one encrypted file: taken while it works or of its folder, and put in place again.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    bench::{ends_with, icomm, text},
    full_disk::Disk,
    photos::noisy_png,
    place::{CASES, Place, json_lines},
};

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

/// What lies in the folder under a name that begins and goes on like this.
fn beside(place: &Place, begins: &str, goes_on: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().path());
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name != begins && name.trim_start_matches('.').starts_with(begins) && name.contains(goes_on)
    };
    entries.filter(fits).collect()
}

/// Starts a command, and sends it a signal once something of its work lies in the folder; its exit code, or none if the signal
/// ended it. A command that was done before that is of no use here.
fn interrupted(place: &Place, line: &str, signal: &str, at_work: impl Fn() -> bool) -> Option<Option<i32>> {
    let mut command = icomm();
    command.current_dir(place.path("")).args(line.split_whitespace());
    let mut running: Child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !at_work() {
        if running.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(Instant::now() < deadline, "{line} does nothing");
    }
    let mut kill = Command::new("kill");
    kill.args([signal, &running.id().to_string()])
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let ended = running.wait().unwrap();
    (!ended.success()).then(|| ended.code())
}

/// Cuts a command short in the middle, in however many attempts that takes.
fn cut_short(
    place: &Place,
    line: &dyn Fn(u32) -> String,
    signal: &str,
    at_work: &dyn Fn(u32) -> bool,
) -> (u32, Option<i32>) {
    for attempt in 0..20 {
        if let Some(code) = interrupted(place, &line(attempt), signal, || at_work(attempt)) {
            return (attempt, code);
        }
    }
    panic!("{}: is done too soon to be interrupted", line(0));
}

#[test]
fn a_backup_or_a_restore_that_is_cut_short_leaves_nothing_that_could_be_taken_for_one() {
    let place = Place::new();
    place.set_up();
    let to = key(&place, "safe.key");
    let ke = place.runs("ke");
    // Photos, for there must be time to interrupt it; one is recalled before.
    fs::write(place.path("case.json"), place.does("record example")).unwrap();
    let mut ids = Vec::new();
    for number in 0..12 {
        fs::write(place.path("photo.png"), noisy_png(1500, 1000, number)).unwrap();
        let issued = place.does("record submit case.json --attach photo.png --json --home ke");
        let issued: Value = serde_json::from_str(&issued).unwrap();
        ids.push(issued["outcome"]["record_id"].as_str().unwrap().to_owned());
    }
    place.does(&format!("record recall {} --reason error --home ke", ids[0]));
    place.does(&format!("record photo get {} 1 --out before.png --home ke", ids[1]));

    let backup = |attempt| format!("backup cut{attempt}.backup --to {to} --with-identity --home ke");
    let is_writing = |attempt| {
        let parts = beside(&place, &format!("cut{attempt}.backup"), ".part");
        parts
            .iter()
            .any(|part| fs::metadata(part).is_ok_and(|part| part.len() > 0))
    };
    let (attempt, code) = cut_short(&place, &backup, "-INT", &is_writing);
    assert_eq!(code, Some(130));
    assert!(!place.path(&format!("cut{attempt}.backup")).exists());
    assert!(
        beside(&place, &format!("cut{attempt}.backup"), "").is_empty(),
        "Ctrl-C leaves nothing"
    );
    fs::remove_file(place.path("cut0.backup")).ok();
    let (attempt, code) = cut_short(&place, &|attempt| backup(attempt + 100), "-KILL", &|attempt| {
        is_writing(attempt + 100)
    });
    assert_eq!(code, None);
    let name = format!("cut{}.backup", attempt + 100);
    assert!(!place.path(&name).exists(), "a killed one has another name");
    // The same command again, whatever the killed one left.
    place.does(&backup(attempt + 100));
    place.does(&format!("backup verify {name} --key safe.key"));
    place.does("status --home ke");

    let restore = |attempt: u32| format!("restore {name} --to new{attempt} --key safe.key");
    let is_filling = |attempt: u32| !beside(&place, &format!("new{attempt}"), "").is_empty();
    let (attempt, code) = cut_short(&place, &restore, "-INT", &is_filling);
    assert_eq!(code, Some(130));
    assert!(!place.path(&format!("new{attempt}")).exists());
    assert!(
        beside(&place, &format!("new{attempt}"), "").is_empty(),
        "Ctrl-C leaves nothing"
    );
    let (attempt, code) = cut_short(&place, &|attempt| restore(attempt + 100), "-KILL", &|attempt| {
        is_filling(attempt + 100)
    });
    assert_eq!(code, None);
    let folder = format!("new{}", attempt + 100);
    assert!(!place.path(&folder).exists(), "half a folder has another name");
    place.does(&restore(attempt + 100));

    disk_is_full(&place, &to, &name);
    drop(ke);
    photos_come_back(&place, &folder, &ids);
}

/// Neither a backup nor a restore fits: both say so, and leave nothing.
fn disk_is_full(place: &Place, to: &str, backup: &str) {
    let Some(disk) = Disk::mount(place.path("disk")) else {
        return;
    };
    disk.fill();
    for line in [
        format!("backup disk/full.backup --to {to} --home ke"),
        format!("restore {backup} --to disk/new --key safe.key"),
    ] {
        let said = place.ends(1, &line);
        assert!(said.contains("No space left on device"), "{line}: {said}");
        let left = fs::read_dir(place.path("disk"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["filler"], "{line}");
    }
    // Somewhere in the middle.
    disk.free();
    for line in [
        format!("backup disk/full.backup --to {to} --home ke"),
        format!("restore {backup} --to disk/new --key safe.key"),
    ] {
        let said = place.ends(1, &line);
        assert!(said.contains("No space left on device"), "{line}: {said}");
        assert_eq!(fs::read_dir(place.path("disk")).unwrap().count(), 0, "{line}");
    }
    let mut status = icomm();
    let status = ends_with(0, status.args(["status", "--home"]).arg(place.path("ke")));
    assert!(text(&status.stderr).is_empty());
}

/// Photos are in a backup with their records, and a recalled one is in neither.
fn photos_come_back(place: &Place, folder: &str, ids: &[String]) {
    // Its own log is not sure yet, which keeps nobody from reading.
    let _back = place.starts(folder);
    place.does(&format!(
        "record photo get {} 1 --out after.png --home {folder}",
        ids[1]
    ));
    assert_eq!(
        fs::read(place.path("after.png")).unwrap(),
        fs::read(place.path("before.png")).unwrap()
    );
    place.ends(
        1,
        &format!("record photo get {} 1 --out gone.png --home {folder}", ids[0]),
    );
    for id in &ids[1..] {
        let photos = json_lines(&place.does(&format!("record photos {id} --json --home {folder}")));
        assert_eq!(photos.len(), 1, "{photos:?}");
    }
}
