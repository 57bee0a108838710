//! A partnership over time, on real seizures: terms get wider and what went before is backfilled; what would change is told
//! before anybody signs; they get narrower and what went is called back, also from who was away; suspension stops both sides and is
//! acknowledged; two texts under one version are refused and reported.

use icomm_node::network::{
    Network, Tally,
    terms::{self, Exchange},
};
use icomm_policy::agreement::Agreement;
use icomm_proto::{SectionKind, SectionSet, v1};
use serde_json::Value;

use crate::bench::{
    ends_with, icomm, id, import, mapping, national, plan, root, running, settled, shared_data, since, text, until,
};

const CASES: &str = "unodc_ids_2011_2014_crossborder.csv";

/// A version of the agreement between Spain and Portugal: what each gives the other.
fn version(version: u32, sections: SectionSet) -> Agreement {
    let gives = || Exchange {
        sections,
        ..Exchange::nominal()
    };
    let agreement = terms::bilateral(&id("ES"), &id("PT"), gives(), gives(), since()).unwrap();
    let mut terms = agreement.terms().clone();
    terms.version = version;
    Agreement::new(terms).unwrap()
}

async fn signed(network: &Network, agreement: &Agreement) -> bytes::Bytes {
    let mut document: bytes::Bytes = agreement.canonical().to_vec().into();
    for member in ["ES", "PT"] {
        let node = network.node(&id(member)).unwrap();
        document = node.sign_agreement(document).await.unwrap();
    }
    document
}

/// What a command at a member's node answers as JSON, a value a line.
fn answers(network: &Network, member: &str, exit: i32, arguments: &[&str]) -> Vec<Value> {
    let home = network.node(&id(member)).unwrap().home();
    let output = ends_with(exit, icomm().args(arguments).arg("--json").arg("--home").arg(home));
    let lines = text(&output.stdout);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Of Spain's log at Portugal: entries, those disclosed, those de-nominalised.
async fn held(network: &Network) -> (u64, u64, u64) {
    let logs = network.node(&id("PT")).unwrap().status().await.unwrap().logs;
    let log = logs.into_iter().find(|log| log.origin == "ES/main");
    log.map_or((0, 0, 0), |log| (log.entries, log.disclosed, log.denominalised))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_change_on_real_seizures() {
    let Some(cases) = shared_data(CASES) else { return };
    let open = SectionSet::open();
    let exact = open.with(SectionKind::Exact);
    let members = ["ES", "PT"].map(|member| national(member, &[]));
    let mut network = running(plan(
        members.into_iter().chain([root()]).collect(),
        vec![version(1, open)],
    ))
    .await;
    let mut tally = Tally::default();
    import(&network, &cases, &mapping("unodc-ids"), &mut tally).await;
    settled(&network).await;
    let issued = tally.issued_by(&id("ES"));
    assert!(issued > 1000, "{issued}");
    assert_eq!(held(&network).await, (issued, 0, issued));

    // Before anybody signs: a draft, by a command.
    let draft = network.folder().join("v2.json");
    std::fs::write(&draft, version(2, exact).canonical()).unwrap();
    let draft = draft.to_str().unwrap().to_owned();
    let dry_run = ["agreement", "accept", draft.as_str(), "--dry-run"];
    let told = answers(&network, "ES", 5, &dry_run);
    let of_spain = told[0]["changes"].as_array().unwrap().iter();
    let of_spain = of_spain.clone().find(|change| change["origin"] == "ES/main").unwrap();
    assert_eq!(of_spain["partner"], "PT");
    assert_eq!(count(&of_spain["widened"]), issued);
    assert_eq!(of_spain["widened_sections"][0]["section"], "exact");
    assert_eq!(count(&of_spain["narrowed"]), 0);
    assert_eq!(held(&network).await, (issued, 0, issued), "a dry run changes nothing");

    // Whoever watches sees every entry again, wider.
    let mut portugal = network.node(&id("PT")).unwrap().client().await.unwrap();
    let request = v1::WatchRequest {
        origin: "ES/main".into(),
        from: None,
    };
    let mut watched = portugal.watch(request).await.unwrap().into_inner();
    let second = signed(&network, &version(2, exact)).await;
    let spain = network.node(&id("ES")).unwrap();
    spain.accept_agreement(second).await.unwrap();
    until("all is backfilled", async || {
        held(&network).await == (issued, issued, 0)
    })
    .await;
    let mut first = String::new();
    for index in 0..issued {
        let entry = watched.message().await.unwrap().unwrap();
        assert_eq!(
            (entry.index, entry.sections),
            (index, vec!["case".to_owned(), "exact".to_owned()])
        );
        if index == 0 {
            first = entry.record_id;
        }
    }
    drop(watched);
    let verified = network.node(&id("PT")).unwrap().verify_log("ES/main").await.unwrap();
    assert!(verified.verified && verified.disclosed == issued);
    answers(&network, "ES", 0, &dry_run);

    // A restart on either side sends nothing twice.
    let disclosures = |network: &Network| answers(network, "ES", 0, &["audit", "disclosures"]).len();
    let before = disclosures(&network);
    network
        .node_mut(&id("PT"))
        .unwrap()
        .crash(crate::bench::READY_WITHIN)
        .await
        .unwrap();
    settled(&network).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(disclosures(&network), before);

    // Narrower terms: what the partner has of it already.
    let draft = network.folder().join("v3.json");
    std::fs::write(&draft, version(3, open).canonical()).unwrap();
    let told = answers(
        &network,
        "ES",
        5,
        &["agreement", "accept", draft.to_str().unwrap(), "--dry-run"],
    );
    let of_spain = &told[0]["changes"][0];
    assert_eq!((count(&of_spain["widened"]), count(&of_spain["narrowed"])), (0, issued));
    assert_eq!(count(&of_spain["held_there"]), issued);

    let third = signed(&network, &version(3, open)).await;
    let spain = network.node(&id("ES")).unwrap();
    spain.accept_agreement(third).await.unwrap();
    until("what is covered no more is erased", async || {
        held(&network).await == (issued, 0, issued)
    })
    .await;
    let verified = network.node(&id("PT")).unwrap().verify_log("ES/main").await.unwrap();
    assert!(verified.verified && verified.disclosed == 0 && verified.denominalised == issued);
    until("Portugal has signed for it", async || {
        let home = network.node(&id("ES")).unwrap().home();
        let who = icomm()
            .args(["audit", "who", &first, "--json", "--home"])
            .arg(home)
            .output()
            .unwrap();
        let who: Value = serde_json::from_slice(&who.stdout).unwrap();
        let calls = who["holders"][0]["calls"].as_array().unwrap();
        calls.len() == 1 && calls[0]["keeps"] == "case" && calls[0]["version"] == 3 && count(&calls[0]["erased"]) > 0
    })
    .await;
    answers(&network, "ES", 0, &["audit", "who", &first]);

    // Wide again, and it is there again; and once more gone while the partner is away, as the first thing when it is back.
    let fourth = signed(&network, &version(4, exact)).await;
    spain.accept_agreement(fourth).await.unwrap();
    until("all is there again", async || {
        held(&network).await == (issued, issued, 0)
    })
    .await;
    let fifth = signed(&network, &version(5, open)).await;
    let portugal = network.node_mut(&id("PT")).unwrap();
    portugal.stop(crate::bench::READY_WITHIN).await.unwrap();
    network.node(&id("ES")).unwrap().accept_agreement(fifth).await.unwrap();
    until("it is called back and not answered", async || {
        let home = network.node(&id("ES")).unwrap().home();
        let doctor = icomm().args(["doctor", "--home"]).arg(home).output().unwrap();
        text(&doctor.stdout).contains("not answered by `PT`")
    })
    .await;
    answers(&network, "ES", 3, &["audit", "who", &first]);
    let portugal = network.node_mut(&id("PT")).unwrap();
    portugal.start().unwrap();
    portugal.ready(crate::bench::READY_WITHIN).await.unwrap();
    until("it is gone again", async || held(&network).await == (issued, 0, issued)).await;

    // Suspension: first what it would stop, then at once, acknowledged, with times.
    let told = answers(&network, "ES", 5, &["agreement", "suspend", "es-pt", "--dry-run"]);
    let of_spain = &told[0]["changes"][0];
    assert_eq!(
        (of_spain["served_now"].as_bool(), of_spain["served_then"].as_bool()),
        (Some(true), Some(false))
    );
    assert_eq!(count(&of_spain["held_there"]), 0, "what went stays under its terms");
    let spain = network.node(&id("ES")).unwrap();
    spain.suspend_agreement("es-pt", "a court's order").await.unwrap();
    until("the suspension is acknowledged", async || {
        let shown = answers(&network, "ES", 0, &["agreement", "show", "es-pt"]);
        let suspension = &shown[0]["suspensions"][0];
        suspension["by"] == "ES"
            && suspension["reason"] == "a court's order"
            && suspension["acknowledged"][0]["by"] == "PT"
            && count(&suspension["acknowledged"][0]["at"]) >= count(&suspension["at"])
    })
    .await;
    assert_eq!(held(&network).await, (issued, 0, issued), "what went before stays");
    network.stop().await.unwrap();
}

/// A 64-bit number, which JSON of protobuf may write as a text.
fn count(value: &Value) -> u64 {
    value
        .as_u64()
        .or_else(|| value.as_str()?.parse().ok())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_texts_under_one_version_are_refused_and_reported_on_both_sides() {
    let open = SectionSet::open();
    let members = ["ES", "PT"].map(|member| national(member, &[]));
    let mut network = running(plan(
        members.into_iter().chain([root()]).collect(),
        vec![version(1, open)],
    ))
    .await;
    let one = signed(&network, &version(2, open.with(SectionKind::Exact))).await;
    let other = signed(&network, &version(2, open.with(SectionKind::Persons))).await;
    // Each side adopts another text while the other is away.
    let within = crate::bench::READY_WITHIN;
    network.node_mut(&id("PT")).unwrap().stop(within).await.unwrap();
    network.node(&id("ES")).unwrap().accept_agreement(one).await.unwrap();
    network.node_mut(&id("ES")).unwrap().stop(within).await.unwrap();
    for member in ["PT", "ES"] {
        let node = network.node_mut(&id(member)).unwrap();
        node.start().unwrap();
        node.ready(within).await.unwrap();
        if member == "PT" {
            node.accept_agreement(other.clone()).await.unwrap();
        }
    }
    for (member, partner) in [("ES", "PT"), ("PT", "ES")] {
        until("both sides report it", async || {
            let listed = answers(&network, member, 0, &["agreement", "list"]);
            let reports: Vec<&Value> = listed
                .iter()
                .map(|line| &line["refused"])
                .filter(|line| !line.is_null())
                .collect();
            let is = |report: &&Value, by_peer: bool| {
                report["peer"] == partner
                    && report["code"] == "other-text"
                    && report["agreement"] == "es-pt"
                    && report["by_peer"].as_bool().unwrap_or_default() == by_peer
            };
            [true, false]
                .iter()
                .all(|by_peer| reports.iter().any(|report| is(report, *by_peer)))
        })
        .await;
        let home = network.node(&id(member)).unwrap().home();
        let doctor = icomm().args(["doctor", "--home"]).arg(home).output().unwrap();
        assert!(text(&doctor.stdout).contains("other-text"), "{}", text(&doctor.stdout));
    }
    // A third version, signed by both, settles it.
    let third = signed(&network, &version(3, open)).await;
    network.node(&id("ES")).unwrap().accept_agreement(third).await.unwrap();
    for member in ["ES", "PT"] {
        until("it is settled", async || {
            let listed = answers(&network, member, 0, &["agreement", "list"]);
            listed.iter().all(|line| line["refused"].is_null())
                && listed.iter().any(|line| count(&line["version"]) == 3)
        })
        .await;
    }
    network.stop().await.unwrap();
}
