//! A node is put back to an older state, on real seizures: it notices before it signs anything, gets its own log back from its
//! partners, says what is missing, and goes on with one history.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use icomm_node::intake::Unwatched;
use icomm_node::network::{
    Network,
    terms::{self, Exchange},
};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bench::{ends_with, icomm, id, mapping, national, plan, root, running, settled, shared_data, since, text};

const CASES: &str = "unodc_ids_2011_2014_crossborder.csv";
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// What a command at a member's node ends with and says.
fn says(network: &Network, member: &str, exit: i32, arguments: &str) -> String {
    let home = network.node(&id(member)).unwrap().home();
    let mut command = icomm();
    command.args(arguments.split_whitespace()).arg("--home").arg(home);
    let output = ends_with(exit, &mut command);
    text(&output.stdout) + &text(&output.stderr)
}

fn json(network: &Network, member: &str, exit: i32, arguments: &str) -> Value {
    serde_json::from_str(&says(network, member, exit, &format!("{arguments} --json"))).unwrap()
}

/// How the node's own log stands, whether it recovers or not.
fn standing(network: &Network) -> Value {
    let home = network.node(&id("ES")).unwrap().home();
    let mut command = icomm();
    let output = command
        .args(["restore", "status", "--json", "--home"])
        .arg(home)
        .output();
    serde_json::from_slice(&output.unwrap().stdout).unwrap_or_default()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while !tokio::task::block_in_place(&mut done) {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Entries of Spain's log at a member.
async fn held(network: &Network, member: &str) -> u64 {
    let logs = network.node(&id(member)).unwrap().status().await.unwrap().logs;
    let log = logs.into_iter().find(|log| log.origin == "ES/main");
    log.map_or(0, |log| log.entries)
}

async fn stop(network: &mut Network, members: &[&str]) {
    for member in members {
        network.node_mut(&id(member)).unwrap().stop(STOP_WITHIN).await.unwrap();
    }
}

fn start(network: &mut Network, members: &[&str]) {
    for member in members {
        network.node_mut(&id(member)).unwrap().start().unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn home(network: &Network) -> PathBuf {
    network.node(&id("ES")).unwrap().home().to_owned()
}

/// Puts another folder in place of Spain's.
fn replace_home(network: &Network, by: &Path) {
    let home = home(network);
    let lost = home.with_extension(format!(
        "lost-{}",
        fs::read_dir(home.parent().unwrap()).unwrap().count()
    ));
    fs::rename(&home, lost).unwrap();
    fs::rename(by, &home).unwrap();
}

fn example(network: &Network) -> String {
    let draft = network.folder().join("draft.json");
    let example = text(&ends_with(0, icomm().args(["record", "example"])).stdout);
    fs::write(&draft, example.replace("\"KE\"", "\"ES\"")).unwrap();
    format!("record submit {}", draft.display())
}

/// Nobody was shown two histories, and everybody's copy verifies.
fn one_history(network: &Network) {
    for member in ["ES", "PT", "WCO"] {
        let forks = says(network, member, 0, "audit forks --json");
        assert!(forks.trim().is_empty() || forks.contains("[]"), "{member}: {forks}");
        says(network, member, 0, "log verify ES/main");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_put_back_recovers_its_own_log_and_signs_no_second_history() {
    let Some(cases) = shared_data(CASES) else { return };
    let members = ["ES", "PT"].map(|member| national(member, &[]));
    let gives = || Exchange::nominal();
    let agreement = terms::bilateral(&id("ES"), &id("PT"), gives(), gives(), since()).unwrap();
    let contribution = terms::upstream(&id("ES"), &id("WCO"), since()).unwrap();
    let agreements = vec![agreement, contribution];
    let mut network = running(plan(members.into_iter().chain([root()]).collect(), agreements)).await;
    let key = network.folder().join("safe.key");
    let to = says(&network, "ES", 0, &format!("backup key {}", key.display()));
    let (to, backup) = (to.trim().to_owned(), network.folder().join("es.backup"));

    // The backup is taken while records are imported, and more follow.
    let before = {
        let stop = CancellationToken::new();
        let template = mapping("unodc-ids");
        let node = network.node(&id("ES")).unwrap();
        let work = network.import_at(node, &cases, &template, &Unwatched, &stop);
        tokio::pin!(work);
        let mut taken = None;
        loop {
            tokio::select! {
                ended = &mut work => {
                    ended.unwrap();
                    break;
                }
                () = tokio::time::sleep(Duration::from_millis(5)) => {
                    if taken.is_none() && held(&network, "ES").await >= 200 {
                        let line = format!("backup {} --to {to} --with-identity", backup.display());
                        taken = Some(json(&network, "ES", 0, &line)["entries"].as_u64().unwrap());
                    }
                }
            }
        }
        taken.unwrap()
    };
    settled(&network).await;
    let issued = held(&network, "ES").await;
    assert!(before >= 200 && issued > before + 200, "{before} of {issued}");
    let bytes = fs::read(&backup).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"ES/main"));

    // Nobody is there: it refuses, says why and goes on refusing.
    stop(&mut network, &["ES", "PT", "WCO"]).await;
    let restored = network.folder().join("restored");
    let line = format!(
        "restore {} --to {} --key {}",
        backup.display(),
        restored.display(),
        key.display()
    );
    says(&network, "ES", 0, &line);
    replace_home(&network, &restored);
    start(&mut network, &["ES"]);
    until("it does not answer", || standing(&network)["recovering"] == true).await;
    let submit = example(&network);
    for _ in 0..2 {
        let refused = says(&network, "ES", 1, &submit);
        assert!(
            refused.contains("restored from a backup") && refused.contains("icomm restore status"),
            "{refused}"
        );
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    let status = json(&network, "ES", 3, "restore status");
    assert_eq!(status["unheard"], serde_json::json!(["PT", "WCO"]), "{status}");
    let refused = says(&network, "ES", 1, "restore finish");
    assert!(refused.contains("PT, WCO"), "{refused}");
    let well = json(&network, "ES", 3, "status");
    assert_eq!(well["serving"], false);

    // One of them is not enough; with both it has all that anybody holds.
    start(&mut network, &["WCO"]);
    until("the root is not heard", || standing(&network)["held"] == issued).await;
    assert_eq!(standing(&network)["recovering"], true, "Portugal may hold more");
    start(&mut network, &["PT"]);
    until("it does not recover", || standing(&network)["recovering"] == false).await;
    let status = json(&network, "ES", 0, "restore status");
    let past = &status["recovered"][0];
    assert!(
        past["from"].as_u64().unwrap() >= before && past["to"] == issued,
        "{status}"
    );
    let missing = status["missing"].as_array().unwrap();
    println!(
        "{} of {} came back in part: {}",
        missing.len(),
        issued - before,
        missing[0]
    );

    // The same file again: what came back with its exact section is known by that, and not issued twice.
    let unknown = missing
        .iter()
        .filter(|entry| !entry["sections"].as_str().unwrap().contains("exact"));
    let unknown = unknown.count() as u64;
    assert!(unknown < 100, "{unknown}");
    let node = network.node(&id("ES")).unwrap();
    let (stop_never, template) = (CancellationToken::new(), mapping("unodc-ids"));
    for _ in 0..2 {
        let again = network.import_at(node, &cases, &template, &Unwatched, &stop_never);
        again.await.unwrap();
        assert_eq!(held(&network, "ES").await, issued + unknown);
    }
    let issued = issued + unknown;

    // The notes of what it disclosed after the backup are lost: its disclosure log began anew, and it says so.
    let ledger = json(&network, "ES", 0, "audit verify");
    assert_eq!(ledger["verified"], true, "{ledger}");
    let reason = ledger["epochs"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("restored from a backup"), "{ledger}");
    let well = json(&network, "ES", 0, "status");
    assert_eq!(well["serving"], true, "{well}");

    // It goes on, with one history.
    says(&network, "ES", 0, &submit);
    until("it does not arrive", || {
        let held = |member| json_entries(&network, member);
        held("PT") == issued + 1 && held("WCO") == issued + 1
    })
    .await;
    until("the root does not know that it began anew", || {
        let restart = &json(&network, "WCO", 0, "audit verify")["restarts"][0];
        restart["name"] == "ES/node1" && restart["signed"].as_u64() > restart["unchanged"].as_u64()
    })
    .await;
    one_history(&network);

    // A folder that somebody put back by hand, its mark with it: nothing here says so, the partners do.
    stop(&mut network, &["ES"]).await;
    let older = network.folder().join("older");
    copy(&home(&network), &older);
    start(&mut network, &["ES"]);
    until("it is not sure", || standing(&network)["asking"] == false).await;
    for _ in 0..3 {
        says(&network, "ES", 0, &submit);
    }
    until("it does not arrive", || json_entries(&network, "PT") == issued + 4).await;
    stop(&mut network, &["ES"]).await;
    replace_home(&network, &older);
    start(&mut network, &["ES"]);
    // Whether it recovered already or not: it does not issue before.
    until("it does not recover", || standing(&network)["held"] == issued + 4).await;
    until("it does not recover", || standing(&network)["recovering"] == false).await;
    says(&network, "ES", 0, &submit);
    until("it does not arrive", || json_entries(&network, "PT") == issued + 5).await;
    one_history(&network);

    // Only the store was put back, and nobody is there: the mark beside the keys says so.
    stop(&mut network, &["ES"]).await;
    let older = network.folder().join("older-store");
    copy(&home(&network).join("store"), &older);
    start(&mut network, &["ES"]);
    until("it is not sure", || standing(&network)["asking"] == false).await;
    says(&network, "ES", 0, &submit);
    stop(&mut network, &["ES", "PT", "WCO"]).await;
    fs::remove_dir_all(home(&network).join("store")).unwrap();
    fs::rename(&older, home(&network).join("store")).unwrap();
    start(&mut network, &["ES"]);
    until("it does not notice", || standing(&network)["recovering"] == true).await;
    let refused = says(&network, "ES", 1, &submit);
    assert!(refused.contains("the mark beside its keys"), "{refused}");
    start(&mut network, &["PT", "WCO"]);
    until("it does not recover", || standing(&network)["recovering"] == false).await;
    assert_eq!(standing(&network)["held"], issued + 6);
    one_history(&network);
    let ledger = json(&network, "ES", 0, "audit verify");
    assert_eq!(
        (ledger["epochs"].as_array().unwrap().len(), &ledger["verified"]),
        (3, &Value::Bool(true))
    );
    json(&network, "ES", 0, "status");
}

fn json_entries(network: &Network, member: &str) -> u64 {
    let logs = says(network, member, 0, "log list --json");
    let logs = logs.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let log = logs.into_iter().find(|log| log["origin"] == "ES/main");
    log.map_or(0, |log| log["entries"].as_u64().unwrap())
}
