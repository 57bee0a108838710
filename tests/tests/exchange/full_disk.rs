//! A disk that fills up under a running node: what can't be kept is refused, what was acknowledged stays and is read.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use icomm_node::network::Node;
use serde_json::Value;

use crate::bench::{ends_with, icomm, id, national, plan, prepared, root, text, told};

/// Room for an empty store and some hundred records.
const DISK: &str = "size=8m";

/// A small file system of its own, unmounted when dropped.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// A mounted one, or a line that says why the test passes itself over.
    pub(crate) fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", DISK, "icomm-test"])
            .arg(&at)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at)),
            Ok(output) => {
                let _ = writeln!(
                    std::io::stderr(),
                    "skipped: no file system can be mounted here: {}",
                    text(&output.stderr).trim()
                );
                None
            }
            Err(error) => {
                let _ = writeln!(
                    std::io::stderr(),
                    "skipped: no file system can be mounted here: {error}"
                );
                None
            }
        }
    }

    /// Takes all the room there is.
    pub(crate) fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).unwrap();
        for piece in [64 * 1024, 512, 1] {
            while filler.write_all(&vec![b'x'; piece]).is_ok() {}
        }
    }

    pub(crate) fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a node that a failed test left running may still hold files open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn submit(home: &Path, case: &Path) -> Command {
    let mut command = icomm();
    command
        .args(["record", "submit", "--json", "--home"])
        .arg(home)
        .arg(case);
    command
}

/// A case with a long narrative: a few dozen of them use up the room that the journal has written ahead.
fn long_case() -> String {
    let example = ends_with(0, icomm().args(["record", "example"])).stdout;
    let mut case: Value = serde_json::from_slice(&example).unwrap();
    case["narrative"] = serde_json::json!({ "narrative": "Synthetic case. ".repeat(1000).trim_end() });
    case.to_string()
}

fn record_id(stdout: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(stdout).unwrap();
    answer["record_id"].as_str().unwrap().to_owned()
}

async fn serving(node: &Node) -> (bool, Vec<String>) {
    let status = node.status().await.unwrap();
    (status.serving, status.reasons)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_before_it_acknowledges_and_recovers() {
    let mut network = prepared(plan(vec![national("KE", &[]), root()], vec![]));
    let Some(disk) = Disk::mount(network.folder().join("disk")) else {
        return;
    };
    let home = network.node(&id("KE")).unwrap().home().to_owned();
    let settings = fs::read_to_string(home.join("icomm.toml")).unwrap();
    let on_disk = format!("[store]\nfolder = {:?}\n", disk.0.join("store"));
    fs::write(home.join("icomm.toml"), settings.replace("[store]\n", &on_disk)).unwrap();
    let case = network.folder().join("case.json");
    fs::write(&case, long_case()).unwrap();
    network.start().await.unwrap_or_else(|error| panic!("{}", told(&error)));
    let node = network.node(&id("KE")).unwrap();

    let mut issued = vec![record_id(&ends_with(0, &mut submit(&home, &case)).stdout)];
    disk.fill();
    // What the journal has written ahead takes some more records.
    let refused = loop {
        let output = submit(&home, &case).output().unwrap();
        if !output.status.success() {
            break output;
        }
        issued.push(record_id(&output.stdout));
        assert!(issued.len() < 100, "a full disk takes no end of records");
    };
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("full"), "{}", text(&refused.stderr));
    assert!(refused.stdout.is_empty(), "nothing is acknowledged");

    let (serves, reasons) = serving(node).await;
    assert!(!serves && reasons == ["the disk is full"], "{reasons:?}");
    let log = node.verify_log("").await.unwrap();
    assert_eq!((log.entries, log.verified), (issued.len() as u64, true));
    for id in &issued {
        assert_eq!(node.record(id).await.unwrap().len(), 1);
    }

    disk.free();
    issued.push(record_id(&ends_with(0, &mut submit(&home, &case)).stdout));
    assert_eq!(serving(node).await, (true, vec![]));
    let log = node.verify_log("").await.unwrap();
    assert_eq!((log.entries, log.verified), (issued.len() as u64, true));

    // Also after a restart, and the refused ones are not among them.
    let node = network.node_mut(&id("KE")).unwrap();
    node.crash(crate::bench::READY_WITHIN).await.unwrap();
    let held: Vec<String> = node
        .entries("", 0)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| entry.record_id)
        .collect();
    assert_eq!(held, issued);
    network.stop().await.unwrap();
    drop(disk);
}
