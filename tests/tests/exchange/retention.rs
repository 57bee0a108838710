//! What a partner gave is kept for a day, on real seizures: told beforehand, then erased or shut away as the agreement says,
//! gone for good, and the originator knows. Two days pass at the partner alone: there the node is opened with a clock that is
//! ahead, beside the real processes of the others.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc, time::Duration};

use icomm_node::{
    api::Api,
    config::Config,
    environment::{Clock, Environment},
    network::{
        Network, Tally,
        terms::{self, Exchange},
    },
    node::{Node, open_store},
    observe,
};
use icomm_policy::agreement::{Agreement, Expiry, Retention};
use icomm_proto::SectionKind;
use serde_json::Value;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::{
    bench::{
        READY_WITHIN, ends_with, icomm, id, import, mapping, national, plan, root, running, settled, shared_data,
        since, text, until,
    },
    leak::Canaries,
};

const CASES: &str = "unodc_ids_2011_2014_crossborder.csv";

/// Words that stand in sections of the planted record that go to the partner, and nowhere else in the world.
const PERSON: &str = "Quäntelsdorf-Zyprianka";
const COMPANY: &str = "Quastenflosser Spedition";
const SEAL: &str = "SEALQZ553190";

/// Of what Spain gives, companies are to be shut away, the rest is to be erased; both after a day.
fn for_a_day() -> Agreement {
    let gives = || Exchange::nominal();
    let agreement = terms::bilateral(&id("ES"), &id("PT"), gives(), gives(), since()).unwrap();
    let mut terms = agreement.terms().clone();
    let keeps = |then| Retention { days: 1, then };
    let spain = &mut terms.grants[0];
    let all = spain.sections;
    spain.sections = all.without(SectionKind::Companies);
    spain.retention = keeps(Expiry::Erase);
    let mut companies = spain.clone();
    companies.sections = [SectionKind::Case, SectionKind::Companies].into_iter().collect();
    companies.retention = keeps(Expiry::Restrict);
    terms.grants.push(companies);
    Agreement::new(terms).unwrap()
}

/// A row with the planted words.
fn planted(network: &Network, name: &str, quantity: &str) -> PathBuf {
    let path = network.folder().join(name);
    let columns = "administration,short_form,report_type,handling_code,seizure_date,seizure_country,conveyance_type,\
                   goods_1_category,goods_1_kind,goods_1_quantity,goods_1_unit,person_1_role,person_1_family_name,\
                   company_1_role,company_1_name,seals";
    let row = format!(
        "ES,yes,seizure,H0,2026-10-05,ES,commercial-air,drugs,cocaine,{quantity},KGM,courier,{PERSON},consignee,{COMPANY},{SEAL}"
    );
    fs::write(&path, format!("{columns}\n{row}\n")).unwrap();
    path
}

/// What a command at a member's node answers as JSON, a value a line.
fn answers(network: &Network, member: &str, exit: i32, line: &str) -> Vec<Value> {
    let home = network.node(&id(member)).unwrap().home();
    let output = ends_with(
        exit,
        icomm().args(line.split(' ')).arg("--json").arg("--home").arg(home),
    );
    let lines = text(&output.stdout);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(value: &Value) -> u64 {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.unwrap_or_default()
}

/// The newest record of Spain's log at a member, and all that its node tells of it.
async fn newest(network: &Network, member: &str, at: u64) -> (String, Vec<String>, Vec<u8>) {
    let node = network.node(&id(member)).unwrap();
    let entries = node.entries("ES/main", at).await.unwrap();
    let entry = &entries[0];
    let mut told = format!("{entry:?}").into_bytes();
    for held in node.record(&entry.record_id).await.unwrap() {
        told.extend(format!("{:#?}", held.record).into_bytes());
        told.extend(&held.view);
    }
    (entry.record_id.clone(), entry.sections.clone(), told)
}

fn words<'a>(found: &BTreeSet<(&'a str, &'static str)>) -> BTreeSet<&'a str> {
    found.iter().map(|(word, _)| *word).collect()
}

/// The system's clock, two days ahead.
struct Ahead(Arc<dyn Clock>);

impl Clock for Ahead {
    fn now(&self) -> OffsetDateTime {
        self.0.now() + time::Duration::days(2)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_for_a_day_is_gone_after_it_and_the_originator_knows() {
    let Some(cases) = shared_data(CASES) else { return };
    let members = ["ES", "PT"].map(|member| national(member, &[]));
    let mut network = running(plan(members.into_iter().chain([root()]).collect(), vec![for_a_day()])).await;
    let mut tally = Tally::default();
    import(&network, &cases, &mapping("unodc-ids"), &mut tally).await;
    let real = tally.issued_by(&id("ES"));
    let file = planted(&network, "planted.csv", "40");
    import(&network, &file, &mapping("icomm-template"), &mut tally).await;
    settled(&network).await;
    let all = tally.issued_by(&id("ES"));
    assert!(real > 1000 && all == real + 1, "{real} {all}");
    let canaries = Canaries::new([PERSON, COMPANY, SEAL]);
    let (record, sections, told) = newest(&network, "PT", real).await;
    assert_eq!(sections, ["case", "exact", "references", "persons", "companies"]);
    assert_eq!(words(&canaries.found_in(&told)), [PERSON, COMPANY, SEAL].into());
    let store = network.node(&id("PT")).unwrap().config().store.folder.clone();
    assert_eq!(canaries.found_below(&store), Vec::<String>::new(), "encrypted at rest");

    // Nothing is over, and what will be is told.
    let listed = answers(&network, "PT", 0, "retention list");
    let terms = listed[0]["terms"].as_array().unwrap();
    let entries = |then: &str| -> u64 {
        let those = terms.iter().filter(|term| term["then"] == then);
        those.map(|term| number(&term["entries"])).sum()
    };
    assert!(entries("erase") == all && entries("restrict") >= 1, "{listed:?}");
    let over = number(&terms[0]["over"]);
    let now = number(&listed[0]["as_of"]);
    assert!(
        terms
            .iter()
            .all(|term| term["origin"] == "ES/main" && term["via"] == "ES"),
        "{listed:?}"
    );
    assert!(over > now + 86_400 && over <= now + 2 * 86_400, "{over} {now}");
    let applied = answers(&network, "PT", 0, "retention run");
    assert!(applied[0]["terms"].as_array().is_none_or(Vec::is_empty), "{applied:?}");
    let doctor = answers(&network, "PT", 0, "doctor");
    let check = doctor[0]["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "retention");
    let finding = check.unwrap()["finding"].as_str().unwrap();
    assert!(
        finding.contains("within 30 days") && check.unwrap()["level"] == "warning",
        "{finding}"
    );
    // Another day can only be supposed.
    let day = (OffsetDateTime::from_unix_timestamp(i64::try_from(over).unwrap()).unwrap()).date();
    let supposed = answers(&network, "PT", 5, &format!("retention run --dry-run --as-of {day}"));
    assert_eq!(number(&supposed[0]["as_of"]), over);
    answers(&network, "PT", 2, &format!("retention run --as-of {day}"));
    answers(&network, "PT", 0, "retention run --dry-run");
    assert_eq!(newest(&network, "PT", real).await.2, told, "a dry run changes nothing");

    // Two days later.
    network.node_mut(&id("PT")).unwrap().stop(READY_WITHIN).await.unwrap();
    let home = network.node(&id("PT")).unwrap().home().to_owned();
    // As the program does it at its start; there is no other in this process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let system = Environment::system();
    let ahead = Environment {
        clock: Arc::new(Ahead(system.clock.clone())),
        entropy: system.entropy,
    };
    let node = Node::open(Config::load(&home).unwrap(), ahead.clone()).await.unwrap();
    let api = Api::bind(&node, &ahead, observe::start_metrics().unwrap())
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let (links, calls) = (node.clone(), stop.clone());
    let served = tokio::spawn(async move {
        let (links, calls) = tokio::join!(links.run(calls.clone()), api.serve(calls));
        links.unwrap();
        calls.unwrap();
    });
    // By itself, at the start.
    until("what is over is gone", async || {
        newest(&network, "PT", real).await.1 == ["case"]
    })
    .await;
    until("all of it is", async || {
        answers(&network, "PT", 0, "retention list --days 0")[0]["terms"]
            .as_array()
            .is_none_or(Vec::is_empty)
    })
    .await;
    let (_, _, now_told) = newest(&network, "PT", real).await;
    assert_eq!(words(&canaries.found_in(&now_told)), BTreeSet::new());
    let every = network.node(&id("PT")).unwrap().entries("ES/main", 0).await.unwrap();
    assert_eq!(every.len() as u64, all);
    assert!(every.iter().all(|entry| entry.sections == ["case"]));
    assert_eq!(canaries.found_below(&store), Vec::<String>::new());
    let verified = network.node(&id("PT")).unwrap().verify_log("ES/main").await.unwrap();
    assert!(verified.verified && verified.denominalised == all, "{verified:?}");

    // For proceedings what is shut away is shown, to whom is named, and that is noted.
    let home = network.node(&id("PT")).unwrap().home();
    let open = |reader: &str, record: &str| {
        let mut command = icomm();
        command
            .args(["retention", "open", record, "--for", reader, "--home"])
            .arg(home);
        command
    };
    ends_with(1, &mut open("", &record));
    let nothing = ends_with(1, &mut open("Court of Lisbon", &every[0].record_id));
    assert!(text(&nothing.stderr).contains("shut away"), "{}", text(&nothing.stderr));
    let opened = ends_with(0, &mut open("Court of Lisbon", &record));
    assert_eq!(words(&canaries.found_in(&opened.stdout)), [COMPANY].into());
    let noted = answers(&network, "PT", 0, "audit disclosures --origin ES/main");
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert!(
        noted[0]["to"] == "Court of Lisbon" && noted[0]["terms"][0]["sections"] == "companies",
        "{noted:?}"
    );
    assert_eq!(newest(&network, "PT", real).await.1, ["case"]);

    // The originator knows of each.
    let holder = |record: &str| {
        let who = answers(&network, "ES", 0, &format!("audit who {record}"));
        let holders = who[0]["holders"].as_array().unwrap().clone();
        holders.into_iter().find(|holder| holder["member"] == "PT").unwrap()
    };
    until("Spain is told", async || {
        let handover = &holder(&record)["handovers"][0];
        number(&handover["expired"]) > now + 86_400
            && handover["expired_sections"] == "exact+references+persons+companies"
            && handover["restricted"] == true
    })
    .await;
    let first = &every[0].record_id;
    until("of all", async || {
        let handover = &holder(first)["handovers"][0];
        handover["expired_sections"]
            .as_str()
            .is_some_and(|sections| sections.contains("exact"))
    })
    .await;
    let shown = ends_with(
        0,
        icomm()
            .args(["audit", "who", &record, "--home"])
            .arg(network.node(&id("ES")).unwrap().home()),
    );
    assert!(text(&shown.stdout).contains("expired"), "{}", text(&shown.stdout));

    // The log goes on: what comes new is there, and has its own day.
    let file = planted(&network, "more.csv", "41");
    let spain = network.node(&id("ES")).unwrap();
    let stop_import = CancellationToken::new();
    let unwatched = &icomm_node::intake::Unwatched;
    let template = mapping("icomm-template");
    let imported = network.import_at(spain, &file, &template, unwatched, &stop_import);
    imported.await.unwrap_or_else(|error| panic!("{error}"));
    until("what is new arrives", async || {
        let entries = network.node(&id("PT")).unwrap().entries("ES/main", all).await.unwrap();
        entries.first().is_some_and(|entry| entry.sections.len() == 5)
    })
    .await;
    stop.cancel();
    served.await.unwrap();
    drop(node);
    // What still runs for it ends on its own.
    let config = network.node(&id("PT")).unwrap().config().clone();
    until("the store is let go", async || {
        open_store(&config, &Environment::system()).is_ok()
    })
    .await;

    // Nothing comes back: after a kill on either side, with the clock as it was, over new links.
    for member in ["PT", "ES"] {
        network
            .node_mut(&id(member))
            .unwrap()
            .crash(READY_WITHIN)
            .await
            .unwrap();
    }
    until("they are linked", async || {
        let links = answers(&network, "PT", 0, "link list");
        links.iter().any(|link| link.to_string().contains("\"connected\""))
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let every = network.node(&id("PT")).unwrap().entries("ES/main", 0).await.unwrap();
    assert_eq!(every.len() as u64, all + 1);
    assert!(every[..every.len() - 1].iter().all(|entry| entry.sections == ["case"]));
    assert_eq!(every.last().unwrap().sections.len(), 5);
    network.stop().await.unwrap();
}
