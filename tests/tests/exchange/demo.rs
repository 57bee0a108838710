//! `icomm demo`, as a stranger types it.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::bench::{ends_with, icomm, text};

/// Runs the demo in a temporary folder of its own, and tells whether it left anything there.
fn demo(arguments: &[&str]) -> (Command, tempfile::TempDir) {
    let place = tempfile::tempdir().unwrap();
    let mut command = icomm();
    command.arg("demo").args(arguments).env("TMPDIR", place.path());
    (command, place)
}

fn left_behind(place: &tempfile::TempDir) -> Vec<String> {
    let entries = fs::read_dir(place.path()).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

/// Processes whose command line names the folder.
fn processes_in(place: &tempfile::TempDir) -> usize {
    let folder = place.path().to_str().unwrap();
    let Ok(processes) = fs::read_dir("/proc") else {
        return 0;
    };
    processes
        .filter_map(|process| fs::read(process.ok()?.path().join("cmdline")).ok())
        .filter(|line| text(line).contains(folder))
        .count()
}

#[test]
fn one_json_object_in_which_everything_adds_up() {
    let (mut command, place) = demo(&["--once", "--json", "--rows", "1200", "--seed", "7"]);
    let output = ends_with(0, &mut command);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(text(&output.stdout).trim().lines().count(), 1, "exactly one object");

    let number = |value: &Value| {
        value
            .as_u64()
            .unwrap_or_else(|| panic!("`{value}` is no number in {shown}"))
    };
    let [rows, issued, rejected, foreign] = ["rows", "issued", "rejected", "foreign"].map(|key| number(&shown[key]));
    assert_eq!(rows, 1200);
    assert_eq!(rows, issued + rejected + foreign);
    assert!(rejected > 0 && foreign > 0, "the made-up file has bad and foreign rows");
    assert!(shown["seconds"].as_f64().unwrap() > 0.0);

    let nodes = shown["nodes"].as_array().unwrap();
    let members: Vec<_> = nodes.iter().map(|node| node["member"].as_str().unwrap()).collect();
    assert_eq!(members, ["ES", "PT", "RILO-WE", "WCO"]);
    let roles: Vec<_> = nodes.iter().map(|node| node["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["national", "national", "regional", "global"]);
    let mut sizes = BTreeMap::new();
    for node in nodes {
        assert_eq!(node["issued"], node["log_size"]);
        assert_eq!(node["root"].as_str().unwrap().len(), 64);
        let origin = format!("{}/main", node["member"].as_str().unwrap());
        sizes.insert(origin, number(&node["log_size"]));
    }
    assert_eq!(sizes.values().sum::<u64>(), issued);
    assert!(sizes["ES/main"] > 0 && sizes["PT/main"] > 0 && sizes["WCO/main"] == 0);

    for node in nodes {
        let holder = node["member"].as_str().unwrap();
        let replicas = node["replicas"].as_array().unwrap();
        let expected = if nodes.len() > 2 && node["role"] == "national" {
            1
        } else {
            2
        };
        assert_eq!(replicas.len(), expected, "{holder}");
        for replica in replicas {
            let [entries, disclosed, denominalised, withheld] =
                ["entries", "disclosed", "denominalised", "withheld"].map(|key| number(&replica[key]));
            assert_eq!(replica["verified"], true);
            assert_eq!(
                entries,
                sizes[replica["origin"].as_str().unwrap()],
                "{holder}: {replica}"
            );
            assert_eq!(entries, disclosed + denominalised + withheld, "{holder}: {replica}");
            match node["role"].as_str().unwrap() {
                "global" => assert_eq!(denominalised, entries, "the root holds every case, and no more of it"),
                "regional" => assert_eq!(disclosed, entries, "the office holds exact values"),
                // The bilateral agreement stops at handling code H1, and so does the region's.
                _ => assert!(disclosed > withheld && withheld > 0 && denominalised == 0, "{replica}"),
            }
        }
    }
    assert_eq!(left_behind(&place), [] as [&str; 0]);
    assert_eq!(processes_in(&place), 0);
}

#[test]
fn a_person_sees_who_holds_what_and_one_record_through_all_eyes() {
    let (mut command, place) = demo(&["--once", "--rows", "300", "--members", "KE,UG"]);
    let shown = text(&ends_with(0, &mut command).stdout);
    for wanted in [
        "RILO-ESA",
        "ke-ug",
        "disclosed",
        "de-nominalised",
        "its owner",
        "a partner",
        "the office",
        "the root",
        "withheld",
        "Synth-",
        "every view verified and every count adds up",
    ] {
        assert!(shown.contains(wanted), "`{wanted}` in\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "a file is not painted on");
    assert_eq!(left_behind(&place), [] as [&str; 0]);
}

#[test]
fn a_kept_folder_can_be_looked_into_and_started_again() {
    let keep = tempfile::tempdir().unwrap();
    let folder = keep.path().join("demo");
    let (mut command, place) = demo(&["--once", "--rows", "100", "--keep", folder.to_str().unwrap()]);
    let shown = text(&ends_with(0, &mut command).stdout);
    assert!(shown.contains("icomm run --home"), "{shown}");
    assert_eq!(left_behind(&place), [] as [&str; 0]);
    for member in ["ES", "PT", "RILO-WE", "WCO"] {
        assert!(folder.join(member).join("icomm.toml").is_file());
    }

    let home = folder.join("PT");
    let mut node = icomm()
        .args(["run", "--home"])
        .arg(&home)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut verified = String::new();
    for _ in 0..100 {
        let output = icomm()
            .args(["log", "verify", "ES/main", "--json", "--home"])
            .arg(&home)
            .output()
            .unwrap();
        if output.status.success() {
            verified = text(&output.stdout);
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    node.kill().unwrap();
    node.wait().unwrap();
    assert!(verified.contains("\"verified\":true"), "{verified}");
    // A second demo does not write over the first.
    let (mut command, _) = demo(&["--once", "--keep", folder.to_str().unwrap()]);
    assert!(text(&ends_with(1, &mut command).stderr).contains("not empty"));
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    for signal in ["-INT", "-TERM"] {
        let (mut command, place) = demo(&["--rows", "200"]);
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().starts_with("importing")));
        assert!(processes_in(&place) >= 4);
        let pid = running.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        assert_eq!(running.wait().unwrap().code(), Some(130));
        assert_eq!(left_behind(&place), [] as [&str; 0]);
        assert_eq!(processes_in(&place), 0);
    }
}

#[test]
fn it_stays_up_without_once_until_ctrl_c() {
    let (mut command, place) = demo(&["--rows", "100"]);
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("stay up until Ctrl-C")));
    assert!(running.try_wait().unwrap().is_none());
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(
        running.wait().unwrap().code(),
        Some(0),
        "everything was shown and all was well"
    );
    assert_eq!(left_behind(&place), [] as [&str; 0]);
}

#[test]
fn a_wrong_cast_or_file_is_refused_before_anything_is_started() {
    for (arguments, says) in [
        (&["--members", "ES"][..], "2 to 16"),
        (&["--members", "ES,ES"], "twice"),
        (
            &["--records", "no-such-file.csv", "--mapping", "unodc-ids"],
            "no-such-file.csv",
        ),
        (
            &["--records", "Cargo.toml", "--mapping", "no-such-mapping"],
            "no-such-mapping",
        ),
    ] {
        let (mut command, place) = demo(arguments);
        let said = text(&ends_with(1, command.arg("--once")).stderr);
        assert!(said.contains(says), "{said}");
        assert_eq!(left_behind(&place), [] as [&str; 0]);
    }
}
