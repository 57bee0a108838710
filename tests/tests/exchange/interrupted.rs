//! Ctrl-C in the middle of an import: the same command goes on, and nothing is issued twice.

use std::{
    collections::BTreeSet,
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use icomm_node::intake::synthetic::{Form, OTHER_GOODS_PER_MILLE, Synthetic};
use serde_json::Value;

use crate::bench::{ends_with, icomm, id, mapping, national, plan, prepared, root, text, told, until};

const ROWS: u64 = 12_000;

fn import(home: &Path, file: &Path) -> Command {
    let mut command = icomm();
    command.args([
        "record",
        "import",
        "--json",
        "--mapping",
        "icomm-template",
        "--batch",
        "100",
        "--home",
    ]);
    command.arg(home).arg(file).stdin(Stdio::null());
    command
}

/// The counters that a command printed, and whether it says that it was stopped.
fn counters(stdout: &[u8]) -> (Value, bool) {
    let answer: Value = serde_json::from_slice(stdout).unwrap();
    let stopped = answer["summary"]["stopped"].as_bool().unwrap();
    (answer["summary"].clone(), stopped)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_in_an_import_leaves_what_the_same_command_goes_on_from() {
    let mut network = prepared(plan(vec![national("KE", &[]), root()], vec![]));
    network.start().await.unwrap_or_else(|error| panic!("{}", told(&error)));
    let node = network.node(&id("KE")).unwrap();
    let file = network.folder().join("cases.csv");
    let synthetic = Synthetic {
        form: Form::Short,
        members: vec![id("KE")],
        rows: ROWS,
        seed: 5,
        other_goods_per_mille: OTHER_GOODS_PER_MILLE,
        bad_per_mille: 0,
        foreign_per_mille: 0,
    };
    let made = synthetic
        .write(File::create(&file).unwrap(), &mapping("icomm-template"))
        .unwrap();
    assert!(made.repeated > 0, "equal rows are cases of their own");

    let mut issued = 0;
    for _ in 0..2 {
        let mut command = import(node.home(), &file);
        let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        until("the import is under way", async || {
            let logs = node.status().await.unwrap().logs;
            logs.iter().any(|log| log.own && log.entries > issued)
        })
        .await;
        let pid = running.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let ended = running.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(130), "{}", text(&ended.stderr));
        let (counted, stopped) = counters(&ended.stdout);
        assert!(stopped);
        assert_eq!(
            counted["duplicate"], issued,
            "what the run before issued, and not once more"
        );
        issued += counted["issued"].as_u64().unwrap();
        // What it says it issued is what the node holds: no batch was half told of.
        let log = node.verify_log("").await.unwrap();
        assert_eq!(log.entries, issued);
        assert!(issued < ROWS, "it was stopped in the middle");
    }

    let (rest, stopped) = counters(&ends_with(0, &mut import(node.home(), &file)).stdout);
    assert!(!stopped);
    assert_eq!(
        (&rest["duplicate"], &rest["issued"]),
        (&issued.into(), &(ROWS - issued).into())
    );
    let (again, _) = counters(&ends_with(0, &mut import(node.home(), &file)).stdout);
    assert_eq!((&again["duplicate"], &again["issued"]), (&ROWS.into(), &0.into()));

    let entries = node.entries("", 0).await.unwrap();
    let ids: BTreeSet<_> = entries.iter().map(|entry| &entry.record_id).collect();
    assert_eq!((entries.len() as u64, ids.len() as u64), (ROWS, ROWS));
    network.stop().await.unwrap();
}
