//! Nodes are killed in the middle of imports and of catching up: nothing is lost, nothing is there twice.

use std::{collections::BTreeSet, fs::File, path::PathBuf, time::Duration};

use icomm_node::{
    intake::{
        Unwatched,
        synthetic::{Form, Made, OTHER_GOODS_PER_MILLE, Synthetic},
    },
    network::{Counts, Network, Tally},
};
use tokio_util::sync::CancellationToken;

use crate::bench::{READY_WITHIN, id, import, mapping, quartet, running, settled, told, until};

const ROWS: u64 = 3000;

/// A file of good rows of Spain and Portugal, and what is in it.
fn cases(network: &Network, seed: u64) -> (PathBuf, Made) {
    let file = network.folder().join(format!("cases-{seed}.csv"));
    let synthetic = Synthetic {
        form: Form::Short,
        members: vec![id("ES"), id("PT")],
        rows: ROWS,
        seed,
        other_goods_per_mille: OTHER_GOODS_PER_MILLE,
        bad_per_mille: 5,
        foreign_per_mille: 5,
    };
    let made = synthetic
        .write(File::create(&file).unwrap(), &mapping("icomm-template"))
        .unwrap();
    (file, made)
}

async fn own_entries(network: &Network, member: &str) -> u64 {
    let Ok(status) = network.node(&id(member)).unwrap().status().await else {
        return 0;
    };
    status.logs.iter().filter(|log| log.own).map(|log| log.entries).sum()
}

/// Every log as its owner has it: as long as it should be, and each record in it once.
async fn whole(network: &Network, member: &str, good: u64) {
    let entries = network.node(&id(member)).unwrap().entries("", 0).await.unwrap();
    let ids: BTreeSet<_> = entries.iter().map(|entry| entry.record_id.as_str()).collect();
    assert_eq!(entries.len() as u64, good, "{member}");
    assert_eq!(ids.len(), entries.len(), "{member}");
    let references: BTreeSet<_> = entries
        .iter()
        .map(|entry| {
            entry
                .record
                .as_ref()
                .unwrap()
                .references
                .as_ref()
                .unwrap()
                .national_reference
                .as_str()
        })
        .collect();
    assert!(
        references.len() > entries.len() * 9 / 10,
        "only repeated rows share a reference"
    );
    for (position, entry) in entries.iter().enumerate() {
        assert_eq!(entry.index, position as u64);
        assert!(entry.verified);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_while_it_imports_goes_on_with_the_same_command() {
    let mut network = running(quartet()).await;
    let (file, made) = cases(&network, 1);
    let template = mapping("icomm-template");
    let spain = id("ES");
    let mut kills = 0;
    // Each round gets further: it is killed when the log has grown by a good part of the file.
    let mut before = 0;
    loop {
        let stop = CancellationToken::new();
        let killed = {
            let node = network.node(&spain).unwrap();
            let work = network.import_at(node, &file, &template, &Unwatched, &stop);
            tokio::pin!(work);
            let target = before + made.good[&spain] / 5;
            loop {
                tokio::select! {
                    ended = &mut work => {
                        ended.unwrap_or_else(|error| panic!("{}", told(&error)));
                        break false;
                    }
                    () = tokio::time::sleep(Duration::from_millis(5)) => {
                        if kills < 3 && own_entries(&network, "ES").await >= target {
                            // The import is under way now, and the process dies beneath it.
                            let pid = node.process_id().unwrap().to_string();
                            assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
                            // It may have been told of the last batch already, or not.
                            let _ = (&mut work).await;
                            break true;
                        }
                    }
                }
            }
        };
        if !killed {
            break;
        }
        kills += 1;
        let node = network.node_mut(&spain).unwrap();
        node.crash(READY_WITHIN)
            .await
            .unwrap_or_else(|error| panic!("{}", told(&error)));
        let now = own_entries(&network, "ES").await;
        assert!(now >= before, "what was acknowledged is there: {now} after {before}");
        before = now;
    }
    assert!(kills > 0, "no kill came in time");
    whole(&network, "ES", made.good[&spain]).await;
    let stop = CancellationToken::new();
    let portugal = network.node(&id("PT")).unwrap();
    network
        .import_at(portugal, &file, &template, &Unwatched, &stop)
        .await
        .unwrap();
    settled(&network).await;
    whole(&network, "PT", made.good[&id("PT")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_killed_while_they_catch_up_end_with_everything_once() {
    let mut network = running(quartet()).await;
    let (file, made) = cases(&network, 2);
    let (portugal, office, root) = (id("PT"), id("RILO-WE"), id("WCO"));
    for down in [&portugal, &office, &root] {
        network.node_mut(down).unwrap().kill().unwrap();
    }
    let template = mapping("icomm-template");
    let stop = CancellationToken::new();
    let spain = network.node(&id("ES")).unwrap();
    let imported = network
        .import_at(spain, &file, &template, &Unwatched, &stop)
        .await
        .unwrap();
    let good = made.good[&id("ES")];
    assert_eq!(
        imported.summary.counters.issued, good,
        "nobody else is needed for an import"
    );

    // They come back one after the other, and die again as soon as they hold something, and not all of it.
    for down in [&portugal, &office, &root] {
        network.node_mut(down).unwrap().start().unwrap();
        network.node_mut(down).unwrap().ready(READY_WITHIN).await.unwrap();
        for _ in 0..2 {
            let node = network.node(down).unwrap();
            until("something of ES/main arrives", || async {
                replica(&network, down.as_str()).await.entries > 0
            })
            .await;
            let _ = node;
            network.node_mut(down).unwrap().crash(READY_WITHIN).await.unwrap();
        }
    }
    settled(&network).await;
    for holder in ["PT", "RILO-WE", "WCO"] {
        let node = network.node(&id(holder)).unwrap();
        let counts = replica(&network, holder).await;
        assert_eq!(counts.entries, good, "{holder}");
        let log = node.verify_log("ES/main").await.unwrap();
        assert!(log.verified && log.entries == good, "{holder}: {log:?}");
        let entries = node.entries("ES/main", 0).await.unwrap();
        let ids: BTreeSet<_> = entries
            .iter()
            .map(|entry| &entry.record_id)
            .filter(|id| !id.is_empty())
            .collect();
        assert_eq!(ids.len() as u64, counts.disclosed + counts.denominalised, "{holder}");
    }
}

async fn replica(network: &Network, holder: &str) -> Counts {
    let Ok(status) = network.node(&id(holder)).unwrap().status().await else {
        return Counts::default();
    };
    let log = status.logs.iter().find(|log| log.origin == "ES/main");
    log.map(Counts::from).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_killed_while_others_catch_up_sends_the_rest_later() {
    let mut network = running(quartet()).await;
    let (file, made) = cases(&network, 3);
    let mut tally = Tally::default();
    import(&network, &file, &mapping("icomm-template"), &mut tally).await;
    for _ in 0..3 {
        network
            .node_mut(&id("RILO-WE"))
            .unwrap()
            .crash(READY_WITHIN)
            .await
            .unwrap();
        network.node_mut(&id("ES")).unwrap().crash(READY_WITHIN).await.unwrap();
    }
    settled(&network).await;
    let picture = network.picture(&tally).await.unwrap();
    assert_eq!(picture.discrepancies(), []);
    assert_eq!(tally.issued, made.good.values().sum::<u64>());
}
