//! Consent on real seizures: an office asks a member whether another may get a record, the member's officer refuses, approves
//! and revokes, and exactly that goes; data of an operation goes to the root with its owner's approval only.

use std::collections::BTreeMap;

use icomm_node::network::{
    Basis, Network, Plan, Tally,
    terms::{self, Exchange},
};
use icomm_policy::agreement::{Agreement, Onward, OnwardRule};
use serde_json::Value;

use crate::bench::{
    READY_WITHIN, ends_with, icomm, id, import, mapping, national, office, plan, root, running, shared_data, since,
    text, until,
};

const CASES: &str = "unodc_ids_2011_2014_crossborder.csv";
const OFFICE: &str = "RILO-WE";
const NAMES: [&str; 4] = ["Synth-Quastl", "Synth-Zwirbl", "Synth-Nebel", "Synth-Glocke"];

/// Beside the real seizures: cases with a person in them, one of an operation on either side.
fn planted() -> String {
    let head = "administration,short_form,report_type,handling_code,seizure_date,seizure_country,operation_id,conveyance_type,\
                goods_1_category,goods_1_kind,goods_1_quantity,goods_1_unit,person_1_role,person_1_family_name";
    let row = |member: &str, operation: &str, name: &str| {
        format!(
            "{member},yes,seizure,H0,2026-11-02,{member},{operation},commercial-air,drugs,heroin,12.5,KGM,courier,{name}"
        )
    };
    let [one, two, three, four] = NAMES;
    let rows = [
        head.to_owned(),
        row("ES", "", one),
        row("ES", "", two),
        row("ES", "QZ-OP-1", three),
        row("PT", "QZ-OP-1", four),
    ];
    rows.join("\n") + "\n"
}

/// `ES` gives its office everything, onward by consent only, and what identifies nobody up to the root; the office gives `PT`
/// and `IT` everything; `PT` gives the root the open section.
fn the_plan() -> Plan {
    let region = [(OFFICE, Basis::Inferred)];
    let both = |a: &str, b: &str| {
        let nominal = Exchange::nominal;
        terms::bilateral(&id(a), &id(b), nominal(), nominal(), since()).unwrap()
    };
    let mut by_consent = both("ES", OFFICE).terms().clone();
    by_consent.grants[0].onward = Onward {
        rule: OnwardRule::WithConsent,
        ..Onward::none()
    };
    by_consent.grants[0].upstream = true;
    plan(
        vec![
            national("ES", &region),
            national("PT", &region),
            national("IT", &region),
            office(OFFICE),
            root(),
        ],
        vec![
            Agreement::new(by_consent).unwrap(),
            both("PT", OFFICE),
            both("IT", OFFICE),
            terms::upstream(&id(OFFICE), &id("WCO"), since()).unwrap(),
            terms::upstream(&id("PT"), &id("WCO"), since()).unwrap(),
        ],
    )
}

/// What a command at a member's node answers as JSON, a value a line; of a refusal what it says.
fn answers(network: &Network, member: &str, exit: i32, line: &str) -> Vec<Value> {
    let home = network.node(&id(member)).unwrap().home();
    let output = ends_with(
        exit,
        icomm()
            .args(line.split_whitespace())
            .arg("--json")
            .arg("--home")
            .arg(home),
    );
    let told = if exit == 0 || exit == 3 {
        output.stdout
    } else {
        output.stderr
    };
    text(&told)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The id of the request that a command answers with.
fn request(network: &Network, member: &str, line: &str) -> String {
    let answer = &answers(network, member, 0, line)[0];
    answer["id"].as_str().unwrap().to_owned()
}

/// The state of a request as a member's node sees it; empty if it does not know it.
fn state(network: &Network, member: &str, request: &str) -> String {
    let all = answers(network, member, 0, "consent list");
    let known = all.iter().find(|status| status["id"] == request);
    known.map_or_else(String::new, |status| status["state"].as_str().unwrap().to_owned())
}

async fn comes(network: &Network, member: &str, request: &str, wanted: &str) {
    until(&format!("{member} sees it {wanted}"), async || {
        state(network, member, request) == wanted
    })
    .await;
}

/// What a member sees of a log: the sections of each record that are not withheld, and everything that it reads of it.
async fn seen(network: &Network, member: &str, origin: &str) -> (BTreeMap<String, Vec<String>>, String) {
    let node = network.node(&id(member)).unwrap();
    let logs = node.status().await.unwrap().logs;
    if !logs.iter().any(|log| log.origin == origin) {
        return (BTreeMap::new(), String::new());
    }
    let entries = node.entries(origin, 0).await.unwrap();
    let all = format!("{entries:?}");
    let open = entries.into_iter().filter(|entry| !entry.sections.is_empty());
    (open.map(|entry| (entry.record_id, entry.sections)).collect(), all)
}

/// The planted names that a member reads of Spain's log.
async fn names(network: &Network, member: &str) -> Vec<&'static str> {
    let (_, all) = seen(network, member, "ES/main").await;
    NAMES.into_iter().filter(|name| all.contains(name)).collect()
}

/// The record in which a name stands, in a member's own log.
async fn record_of(network: &Network, member: &str, name: &str) -> String {
    let node = network.node(&id(member)).unwrap();
    let entries = node.entries(&format!("{member}/main"), 0).await.unwrap();
    let found = entries.into_iter().find(|entry| format!("{entry:?}").contains(name));
    found.unwrap().record_id
}

/// How many records of a log a member has the open section of.
async fn open(network: &Network, member: &str, origin: &str) -> u64 {
    let logs = network.node(&id(member)).unwrap().status().await.unwrap().logs;
    let log = logs.into_iter().find(|log| log.origin == origin);
    log.map_or(0, |log| log.disclosed + log.denominalised)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_onward_by_consent_is_exactly_what_was_approved() {
    let Some(cases) = shared_data(CASES) else { return };
    let mut network = running(the_plan()).await;
    let mut tally = Tally::default();
    import(&network, &cases, &mapping("unodc-ids"), &mut tally).await;
    let file = network.folder().join("planted.csv");
    std::fs::write(&file, planted()).unwrap();
    import(&network, &file, &mapping("icomm-template"), &mut tally).await;
    let issued = tally.issued_by(&id("ES"));
    assert!(issued > 1000, "{issued}");
    until("the office has all of it", async || {
        open(&network, OFFICE, "ES/main").await == issued
    })
    .await;
    until("the root has what belongs to no operation", async || {
        open(&network, "WCO", "ES/main").await == issued - 1
    })
    .await;
    assert_eq!(names(&network, OFFICE).await, NAMES[..3]);
    let [one, two] = [
        record_of(&network, "ES", NAMES[0]).await,
        record_of(&network, "ES", NAMES[1]).await,
    ];

    // Without consent: not even the log.
    for member in ["PT", "IT"] {
        assert_eq!(seen(&network, member, "ES/main").await.0.len(), 0);
        assert!(names(&network, member).await.is_empty());
    }
    let told = answers(&network, OFFICE, 0, &format!("agreement explain {one} PT"));
    assert_eq!(told[0]["permitted"], false);
    assert!(told[0].to_string().contains("consent"), "{}", told[0]);

    // What can't be asked is said at once.
    let ask = |record: &str, to: &str, sections: &str| {
        format!("consent ask {record} --to {to} --sections {sections} --purpose investigation")
    };
    for (member, line, expected) in [
        (OFFICE, ask(&one, "PT", "case,images"), "is not held here"),
        (OFFICE, ask(&one, "WCO", "case,persons"), "could go"),
        (OFFICE, ask(&one, "ES", "case"), "own records"),
        (
            OFFICE,
            ask("0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11", "PT", "case"),
            "nothing of the record",
        ),
        ("ES", ask(&one, "PT", "case"), "own record"),
        (
            OFFICE,
            "consent ask --operation QZ-OP-1 --owner ES --to PT --purpose statistics".into(),
            "not a global node",
        ),
    ] {
        let refused = answers(&network, member, 1, &line)[0].to_string();
        assert!(refused.contains(expected), "{line}: {refused}");
    }

    // Asked and refused.
    let line = ask(&one, "PT", "case,persons");
    let first = request(&network, OFFICE, &line);
    assert_eq!(request(&network, OFFICE, &line), first, "once");
    comes(&network, "ES", &first, "pending").await;
    let inbox = answers(&network, "ES", 0, "consent list --open");
    assert_eq!(
        (
            &inbox[0]["side"],
            &inbox[0]["holder"],
            &inbox[0]["to"],
            &inbox[0]["record_id"]
        ),
        (&"asks".into(), &OFFICE.into(), &"PT".into(), &one.as_str().into())
    );
    let short = &first[..8];
    let usurped = answers(&network, OFFICE, 1, &format!("consent approve {short} --officer me"))[0].to_string();
    assert!(usurped.contains("only `ES` can answer"), "{usurped}");
    answers(
        &network,
        "ES",
        0,
        &format!("consent refuse {short} --officer duty-officer-3 --reason proceedings"),
    );
    comes(&network, OFFICE, &first, "refused").await;
    let again = answers(
        &network,
        "ES",
        1,
        &format!("consent approve {short} --officer duty-officer-3"),
    )[0]
    .to_string();
    assert!(again.contains("answered before"), "{again}");
    assert_eq!(seen(&network, "PT", "ES/main").await.0.len(), 0);

    // Asked again, while the originator is away, and approved.
    let within = READY_WITHIN;
    network.node_mut(&id("ES")).unwrap().stop(within).await.unwrap();
    let second = request(&network, OFFICE, &line);
    assert_ne!(second, first);
    let spain = network.node_mut(&id("ES")).unwrap();
    spain.start().unwrap();
    spain.ready(within).await.unwrap();
    comes(&network, "ES", &second, "pending").await;
    let approved = answers(
        &network,
        "ES",
        0,
        &format!("consent approve {second} --officer duty-officer-3 --days 30"),
    );
    let digest = approved[0]["consent"].as_str().unwrap().to_owned();
    let exactly: BTreeMap<String, Vec<String>> = [(one.clone(), vec!["case".to_owned(), "persons".to_owned()])].into();
    until("PT has the record", async || {
        seen(&network, "PT", "ES/main").await.0 == exactly
    })
    .await;
    assert_eq!(names(&network, "PT").await, NAMES[..1]);
    assert!(names(&network, "IT").await.is_empty() && names(&network, "WCO").await.is_empty());
    let verified = network.node(&id("PT")).unwrap().verify_log("ES/main").await.unwrap();
    assert!(verified.verified && verified.entries == issued && verified.withheld == issued - 1);

    // The disclosure cites it, and the originator knows that the office has it.
    let cited = format!("by consent {digest}");
    let noted = answers(&network, OFFICE, 0, "audit disclosures --to PT --origin ES/main");
    let bases = noted.iter().flat_map(|note| note["terms"].as_array().unwrap());
    assert!(bases.clone().count() > 0);
    assert!(
        bases
            .into_iter()
            .all(|terms| terms["bases"][0].as_str().unwrap().ends_with(&cited)),
        "{noted:?}"
    );
    let who = answers(&network, OFFICE, 0, &format!("audit who {one}"));
    let holders = who[0]["holders"].as_array().unwrap();
    let portugal = holders.iter().find(|holder| holder["member"] == "PT").unwrap();
    assert!(
        portugal["handovers"][0]["bases"][0].as_str().unwrap().ends_with(&cited),
        "{portugal}"
    );
    let shown = &answers(&network, "ES", 0, &format!("consent show {second}"))[0];
    assert!(
        shown["seen"].as_u64().unwrap() > 0 && shown["officer"] == "duty-officer-3",
        "{shown}"
    );

    // An approval survives kill -9, on both sides.
    for member in [OFFICE, "ES"] {
        network.node_mut(&id(member)).unwrap().crash(within).await.unwrap();
        assert_eq!(state(&network, member, &second), "approved", "{member}");
    }

    // Another is approved and taken back while its receiver is away: nothing of it goes.
    network.node_mut(&id("PT")).unwrap().stop(within).await.unwrap();
    let third = request(&network, OFFICE, &ask(&two, "PT", "case,persons"));
    comes(&network, "ES", &third, "pending").await;
    answers(
        &network,
        "ES",
        0,
        &format!("consent approve {third} --officer duty-officer-3"),
    );
    comes(&network, OFFICE, &third, "approved").await;
    answers(
        &network,
        "ES",
        0,
        &format!("consent revoke {third} --officer duty-officer-4"),
    );
    comes(&network, OFFICE, &third, "revoked").await;
    let portugal = network.node_mut(&id("PT")).unwrap();
    portugal.start().unwrap();
    portugal.ready(within).await.unwrap();
    // What it had stays: a recall would fetch it back. What goes next shows that the link is up and has nothing more.
    let fourth = request(&network, OFFICE, &ask(&two, "PT", "case,exact"));
    comes(&network, "ES", &fourth, "pending").await;
    answers(
        &network,
        "ES",
        0,
        &format!("consent approve {fourth} --officer duty-officer-3 --sections case"),
    );
    let mut exactly = exactly;
    exactly.insert(two.clone(), vec!["case".to_owned()]);
    until("PT has the other", async || {
        seen(&network, "PT", "ES/main").await.0 == exactly
    })
    .await;
    assert_eq!(names(&network, "PT").await, NAMES[..1]);
    answers(
        &network,
        "ES",
        0,
        &format!("consent revoke {second} --officer duty-officer-3"),
    );
    comes(&network, OFFICE, &second, "revoked").await;
    assert_eq!(
        seen(&network, "PT", "ES/main").await.0,
        exactly,
        "what went before stays"
    );

    // Of an operation the root has hashes, until its owner approves it: asked for by the office, and by PT of itself.
    assert_eq!(open(&network, "WCO", "ES/main").await, issued - 1);
    let line = "consent ask --operation QZ-OP-1 --to WCO --purpose risk-analysis";
    let by_office = request(&network, OFFICE, &format!("{line} --owner ES"));
    comes(&network, "ES", &by_office, "pending").await;
    answers(
        &network,
        "ES",
        0,
        &format!("consent approve {by_office} --officer head-of-operations"),
    );
    until("the root has Spain's", async || {
        open(&network, "WCO", "ES/main").await == issued
    })
    .await;
    let of_pt = tally.issued_by(&id("PT"));
    assert_eq!(open(&network, "WCO", "PT/main").await, of_pt - 1);
    let own = request(&network, "PT", line);
    assert_eq!(state(&network, "PT", &own), "pending");
    answers(
        &network,
        "PT",
        0,
        &format!("consent approve {own} --officer head-of-operations"),
    );
    until("the root has Portugal's", async || {
        open(&network, "WCO", "PT/main").await == of_pt
    })
    .await;
    assert!(names(&network, "WCO").await.is_empty());
    network.stop().await.unwrap();
}
