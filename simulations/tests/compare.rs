//! The comparison itself, as its user starts it: every workload at the smallest size, its JSON, its tables and its picture.
//!
//! Nothing is said about how fast anything is. What is checked is that everybody still runs, delivers what it should (rounds
//! check that themselves) and is told of in full.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use icomm_simulations::compare::workloads;
use quick_xml::{Reader, events::Event};
use serde_json::Value;

fn compare(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command.args(["--scale", "tiny"]).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A figure that can be quoted: finite (JSON has no other numbers, a `null` would stand there) and more than nothing.
fn positive(value: &Value, of: &str) {
    assert!(value.as_f64().is_some_and(|value| value > 0.0), "{of}: {value}");
}

/// CPU time is counted in ticks of 10 ms: a tiny run can take none. Some contestants have no such figure.
fn cpu(value: &Value, of: &str) {
    assert!(
        value.is_null() || value.as_f64().is_some_and(|value| value >= 0.0),
        "{of}: {value}"
    );
}

#[test]
fn every_workload_runs_and_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("ratios.svg");
    // The second round begins with what the first left behind.
    let rounds = ["--rounds", "2", "--json", "--picture", picture.to_str().unwrap()];
    let told = succeeded(compare(&rounds));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told.as_object().unwrap().len(), workloads::ALL.len());
    let mut contestants = 0;
    for workload in workloads::ALL {
        let name = workload.name;
        let outcome = &told[name];
        positive(&outcome["icomm"], name);
        cpu(&outcome["cpu_us_per_record"], name);
        assert_eq!(outcome["unit"], workload.unit, "{name}");
        assert_eq!(outcome["size"], workload.sizes.tiny, "{name}");
        for (peer, facts) in outcome["peers"].as_object().unwrap() {
            let of = format!("{name}: {peer}");
            positive(&facts["value"], &of);
            positive(&facts["ratio"], &of);
            cpu(&facts["cpu_us_per_record"], &of);
            assert!(facts["limit"].is_boolean(), "{of}");
            contestants += 1;
        }
        for (absent, why) in outcome["absent"].as_object().into_iter().flatten() {
            // Past the capture of the test's output: whoever reads the result must know who was not measured.
            let _ = writeln!(
                std::io::stderr(),
                "skipped: {name} beside {absent}: {}",
                why.as_str().unwrap()
            );
            assert!(outcome["peers"].get(absent).is_none(), "{name}: {absent}");
            contestants += 1;
        }
    }
    // A comparison with nobody is none, whoever is installed.
    assert!(contestants > 0);
    well_formed(&std::fs::read_to_string(picture).unwrap());
}

/// Reads the picture to its end: each start has its end, each entity is one.
fn well_formed(svg: &str) {
    let mut reader = Reader::from_str(svg);
    let mut open = Vec::new();
    let mut texts = 0;
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => break,
            Event::Start(start) => {
                texts += usize::from(start.name().as_ref() == "text");
                open.push(start.name().as_ref().to_owned());
            }
            Event::End(end) => assert_eq!(open.pop().as_deref(), Some(end.name().as_ref())),
            _ => {}
        }
    }
    assert!(open.is_empty() && texts > workloads::ALL.len(), "{texts} texts");
}

#[test]
fn a_workload_is_told_in_tables() {
    let told = succeeded(compare(&["--alone", "verify"]));
    for says in [
        "verify",
        "icomm",
        "µs per view",
        "goal",
        "verifying a view ÷ hashing alone",
        "2,048",
        "Machine:",
    ] {
        assert!(told.contains(says), "`{says}` is missing from:\n{told}");
    }
    assert!(!told.contains("catch-up"), "{told}");
}

#[test]
fn growth_has_three_sizes_and_a_slope() {
    let output = compare(&["--growth", "--json", "verify"]);
    // Noise can make the slope too steep; then it says so, after everything has been told.
    let why = text(&output.stderr);
    assert!(
        output.status.success() || why.contains("cost grows more than it may: verify"),
        "{why}"
    );
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let curve = &told["verify"];
    let points = curve["points"].as_array().unwrap();
    let sizes: Vec<u64> = points.iter().map(|point| point[0].as_u64().unwrap()).collect();
    assert_eq!(sizes, [20, 204, 2048]);
    for point in points {
        positive(&point[1], "cost");
    }
    assert!(curve["slope"].is_f64() && curve["at_most"].is_f64(), "{curve}");
    assert_eq!(curve["counts"], "views");
}

#[test]
fn what_is_not_there_is_refused() {
    let output = compare(&["catchup"]);
    let why = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(
        why.contains("there is no workload `catchup`; there are: import, catch-up"),
        "{why}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn whoever_stops_it_nothing_runs_on() {
    for (signal, cleans) in [("TERM", true), ("KILL", false)] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_compare"))
            .args(["--scale", "tiny", "--rounds", "100", "catch-up"])
            .env("TMPDIR", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Both nodes run, and the servers of those peers that are installed do or are about to.
        soon("the nodes don't start", || runs_in(folder.path()) >= 2);
        thread::sleep(Duration::from_millis(300));
        let killed = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(child.id().to_string())
            .status()
            .unwrap();
        assert!(killed.success());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), cleans.then_some(1), "SIG{signal}");
        soon("something runs on", || runs_in(folder.path()) == 0);
        let left = folder.path().read_dir().unwrap().count();
        assert!(!cleans || left == 0, "{left} folders are left");
    }
}

/// Waits until something is so.
fn soon(otherwise: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "{otherwise}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// How many processes were started with something of that folder among their arguments.
fn runs_in(folder: &Path) -> usize {
    let folder = folder.to_str().unwrap();
    let processes = Path::new("/proc").read_dir().unwrap();
    let lines = processes.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines
        .filter(|line| String::from_utf8_lossy(line).contains(folder))
        .count()
}
