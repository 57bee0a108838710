//! Real seizures are corrected and recalled from a partner, through the office at the root; and once more while the office is
//! away, which passes on nothing when it comes back before it has heard their originator. Two days pass at the office alone:
//! there the node is opened with a clock that is ahead, beside the real processes of the others.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use icomm_node::{
    config::Config,
    environment::{Clock, Environment},
    network::{Network, Tally},
    node::{Level, Node, ProofError, ProofRequest, open_store},
};
use icomm_proto::{Origin, SectionKind};
use serde_json::Value;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::{
    bench::{READY_WITHIN, ends_with, icomm, id, import, mapping, quartet, running, settled, shared_data, text, until},
    leak::Canaries,
    place::json_lines,
};

const CASES: &str = "unodc_ids_2011_2014_crossborder.csv";
const MEMBERS: [&str; 4] = ["ES", "PT", "RILO-WE", "WCO"];
/// In the planted case, in its correction, and nowhere else in the world.
const PERSON: &str = "Quäntelsdorf-Zyprianka";
const CORRECTED: &str = "Zwiebelkundler-Obertupf";

/// What a command at a member's node answers as JSON, a value a line.
fn answers(network: &Network, member: &str, exit: i32, line: &str) -> Vec<Value> {
    let home = network.node(&id(member)).unwrap().home();
    let mut command = icomm();
    command.args(line.split(' ')).arg("--json").arg("--home").arg(home);
    json_lines(&text(&ends_with(exit, &mut command).stdout))
}

fn planted(network: &Network) -> PathBuf {
    let path = network.folder().join("planted.csv");
    let columns = "administration,short_form,report_type,handling_code,seizure_date,seizure_country,conveyance_type,\
                   goods_1_category,goods_1_kind,goods_1_quantity,goods_1_unit,person_1_role,person_1_family_name";
    let row = format!("ES,yes,seizure,H0,2026-10-05,ES,commercial-air,drugs,cocaine,40,KGM,courier,{PERSON}");
    fs::write(&path, format!("{columns}\n{row}\n")).unwrap();
    path
}

/// The sections of each version of a record at a member, by version.
async fn versions(network: &Network, member: &str, record: &str) -> Vec<(u32, Vec<String>)> {
    let held = network.node(&id(member)).unwrap().record(record).await.unwrap();
    let mut held: Vec<_> = held.into_iter().map(|entry| (entry.version, entry.sections)).collect();
    held.sort();
    held
}

/// All that a member's node tells of a record.
async fn told(network: &Network, member: &str, record: &str) -> Vec<u8> {
    let mut told = Vec::new();
    for entry in network.node(&id(member)).unwrap().record(record).await.unwrap() {
        told.extend(format!("{:#?}", entry.record).into_bytes());
        told.extend(&entry.view);
    }
    told
}

/// Just these hold a record as Spain knows it, and all of them have erased.
fn all_signed(network: &Network, record: &str, holders: &[&str]) -> bool {
    let home = network.node(&id("ES")).unwrap().home();
    let output = icomm()
        .args(["audit", "who", record, "--json", "--home"])
        .arg(home)
        .output()
        .unwrap();
    let Ok(who) = serde_json::from_slice::<Value>(&output.stdout) else {
        return false;
    };
    // One may have it by two ways.
    let all = who["holders"].as_array().unwrap();
    let names: BTreeSet<&str> = all.iter().map(|holder| holder["member"].as_str().unwrap()).collect();
    names.into_iter().eq(holders.iter().copied()) && all.iter().all(|holder| holder["erased"].as_u64() != Some(0))
}

/// Raw files hold no planted word, and every log verifies everywhere.
async fn is_clean(network: &Network, canaries: &Canaries) {
    for member in MEMBERS {
        let node = network.node(&id(member)).unwrap();
        let store = &node.config().store.folder;
        assert_eq!(canaries.found_below(store), Vec::<String>::new(), "{member}");
        for log in node.status().await.unwrap().logs {
            assert!(
                node.verify_log(&log.origin).await.unwrap().verified,
                "{} at {member}",
                log.origin
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_rows_are_corrected_and_recalled_everywhere_also_by_an_office_that_was_away() {
    let Some(cases) = shared_data(CASES) else { return };
    let mut network = running(quartet()).await;
    let mut tally = Tally::default();
    import(&network, &cases, &mapping("unodc-ids"), &mut tally).await;
    import(&network, &planted(&network), &mapping("icomm-template"), &mut tally).await;
    settled(&network).await;
    let canaries = Canaries::new([PERSON, CORRECTED]);
    let all = tally.issued_by(&id("ES"));
    assert!(all > 1000, "{all}");
    let entries = network.node(&id("ES")).unwrap().entries("", 0).await.unwrap();
    let planted = entries.last().unwrap().record_id.clone();
    let [row, other] = [0, entries.len() / 2].map(|index| entries[index].record_id.clone());
    assert!(
        !canaries.found_in(&told(&network, "PT", &planted).await).is_empty(),
        "else the search finds nothing"
    );
    is_clean(&network, &canaries).await;

    // A real row is corrected, the planted one too; another real row is recalled.
    for (record, name) in [(&row, None), (&planted, Some(CORRECTED))] {
        let held = answers(&network, "ES", 0, &format!("record get {record}"));
        let mut draft = held[0]["record"].clone();
        draft["references"]["national_reference"] = "CORRECTED-1".into();
        if let Some(name) = name {
            draft["persons"]["persons"][0]["family_name"] = name.into();
        }
        let file = network.folder().join(format!("{record}.json"));
        fs::write(&file, draft.to_string()).unwrap();
        answers(&network, "ES", 0, &format!("record amend {record} {}", file.display()));
    }
    answers(&network, "ES", 0, &format!("record recall {other} --reason error"));
    for record in [&row, &planted, &other] {
        until("everybody has signed", async || {
            all_signed(&network, record, &["PT", "RILO-WE", "WCO"])
        })
        .await;
    }
    for member in MEMBERS {
        for record in [&row, &planted] {
            until("the second version is there", async || {
                let held = versions(&network, member, record).await;
                held.iter()
                    .any(|(version, sections)| *version == 2 && !sections.is_empty())
            })
            .await;
            let first = &versions(&network, member, record).await[0];
            assert_eq!((first.0, first.1.len()), (1, 0), "{member}");
        }
        let recalled = versions(&network, member, &other).await;
        assert!(
            recalled.iter().all(|(_, sections)| sections.is_empty()),
            "{member}: {recalled:?}"
        );
    }
    let at_partner = told(&network, "PT", &planted).await;
    let found = canaries.found_in(&at_partner);
    assert!(
        found.iter().all(|(word, _)| *word == CORRECTED) && !found.is_empty(),
        "{found:?}"
    );
    is_clean(&network, &canaries).await;

    // The root is away when two more come to the office; then the office is, and one of them is recalled.
    network.node_mut(&id("WCO")).unwrap().stop(READY_WITHIN).await.unwrap();
    let mut new = Vec::new();
    for reference in ["NEW-1", "NEW-2"] {
        let mut draft = answers(&network, "ES", 0, &format!("record get {row}"))
            .into_iter()
            .map(|answer| answer["record"].clone())
            .find(Value::is_object)
            .unwrap();
        draft["references"]["national_reference"] = reference.into();
        let file = network.folder().join(format!("{reference}.json"));
        fs::write(&file, draft.to_string()).unwrap();
        let issued = answers(&network, "ES", 0, &format!("record submit {}", file.display()));
        new.push(issued[0]["record_id"].as_str().unwrap().to_owned());
    }
    for record in &new {
        until("the office has it", async || {
            let held = versions(&network, "RILO-WE", record).await;
            held.iter().any(|(_, sections)| !sections.is_empty())
        })
        .await;
    }
    let at_root = |network: &Network| {
        let listed = answers(network, "WCO", 0, "log list");
        let log = listed.iter().find(|log| log["origin"] == "ES/main").cloned();
        log.map_or(0, |log| log["entries"].as_u64().unwrap())
    };
    network
        .node_mut(&id("RILO-WE"))
        .unwrap()
        .stop(READY_WITHIN)
        .await
        .unwrap();
    let size = network.node(&id("ES")).unwrap().status().await.unwrap();
    let size = size.logs.iter().find(|log| log.own).unwrap().entries;
    answers(&network, "ES", 0, &format!("record recall {} --reason error", new[0]));
    network.node_mut(&id("ES")).unwrap().stop(READY_WITHIN).await.unwrap();
    network.node_mut(&id("WCO")).unwrap().start().unwrap();
    network.node_mut(&id("WCO")).unwrap().ready(READY_WITHIN).await.unwrap();

    // Two days later, of which the others know nothing.
    let home = network.node(&id("RILO-WE")).unwrap().home().to_owned();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let system = Environment::system();
    let ahead = Environment {
        clock: Arc::new(Ahead(system.clock.clone())),
        entropy: system.entropy,
    };
    let office = Node::open(Config::load(&home).unwrap(), ahead).await.unwrap();
    let stop = CancellationToken::new();
    let (running, stopping) = (office.clone(), stop.clone());
    let served = tokio::spawn(async move { running.run(stopping).await.unwrap() });
    until("the root is linked", async || {
        let links = office.links().await;
        links.iter().any(|link| link.member == "WCO" && link.session.is_some())
    })
    .await;
    let origin: Origin = "ES/main".parse().unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let held_back = office.log_status(&origin).unwrap().waits_for;
    assert!(held_back.contains(&id("ES")), "{held_back:?}");
    assert!(
        at_root(&network) < size,
        "the root got what its originator had recalled"
    );
    let checks = office.checks().await;
    let check = checks.iter().find(|check| check.name == "recalls").unwrap();
    assert!(
        check.level == Level::Warning && check.finding.contains("`ES/main` until"),
        "{check:?}"
    );
    let asked = ProofRequest {
        record: new[1].parse().unwrap(),
        version: None,
        sections: [SectionKind::Case].into_iter().collect(),
        recipient: "Court of Lisbon".to_owned(),
    };
    let refused = office.prove(&asked).unwrap_err();
    assert!(
        matches!(&refused, ProofError::HeldBack { unheard, .. } if unheard.contains("ES")),
        "{refused}"
    );

    // Spain comes back: first its recall, then the rest.
    network.node_mut(&id("ES")).unwrap().start().unwrap();
    network.node_mut(&id("ES")).unwrap().ready(READY_WITHIN).await.unwrap();
    until("the root has it all", async || at_root(&network) > size).await;
    assert!(office.log_status(&origin).unwrap().waits_for.is_empty());
    let at_root = network.node(&id("WCO")).unwrap().entries("ES/main", 0).await.unwrap();
    let kept: Vec<&str> = at_root.iter().map(|entry| entry.record_id.as_str()).collect();
    assert!(
        kept.contains(&new[1].as_str()) && !kept.contains(&new[0].as_str()),
        "the recalled one is a hash alone"
    );
    stop.cancel();
    served.await.unwrap();
    drop(office);
    let config = network.node(&id("RILO-WE")).unwrap().config().clone();
    until("the store is let go", async || {
        open_store(&config, &Environment::system()).is_ok()
    })
    .await;
    network.node_mut(&id("RILO-WE")).unwrap().start().unwrap();
    network
        .node_mut(&id("RILO-WE"))
        .unwrap()
        .ready(READY_WITHIN)
        .await
        .unwrap();
    until("everybody has signed", async || {
        all_signed(&network, &new[0], &["PT", "RILO-WE"])
    })
    .await;
    // The partner had it before it was recalled; the root never did.
    let line = format!("audit disclosures --record {}", new[0]);
    let noted = answers(&network, "RILO-WE", 0, &line);
    assert!(
        !noted.is_empty() && noted.iter().all(|note| note["to"] == "PT"),
        "{noted:?}"
    );
    is_clean(&network, &canaries).await;
    network.stop().await.unwrap();
}

/// The system's clock, two days ahead.
struct Ahead(Arc<dyn Clock>);

impl Clock for Ahead {
    fn now(&self) -> OffsetDateTime {
        self.0.now() + time::Duration::days(2)
    }
}
