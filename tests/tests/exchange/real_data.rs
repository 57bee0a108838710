//! Real seizures: the eight countries that reported most to UNODC, three liaison offices and the WCO, and a file of
//! planted names beside them. Everything that the exchange promises is checked on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use icomm_node::{
    environment::Environment,
    network::{
        Basis, Counts, Imported, Member, Network, Plan, Reach, Tally,
        terms::{self, Exchange},
    },
    node::open_store,
    store::{ReadLimit, Store},
};
use icomm_policy::agreement::{Categories, HandlingCode};
use icomm_proto::{SectionKind, SectionSet};
use serde_json::Value;

use crate::{
    bench::{id, import, mapping, national, office, plan, root, running, settled, shared_data, since, told},
    leak::Canaries,
};

const CASES: &str = "unodc_ids_2011_2014_crossborder.csv";

/// The eight countries with most rows, as the file names them, and their office where it takes part here. Of the others'
/// offices none takes part, so they report to the root directly.
const CAST: [(&str, &str, Option<Place>); 8] = [
    ("Spain", "ES", Some(("RILO-WE", Basis::Inferred))),
    ("Pakistan", "PK", Some(("RILO-AP", Basis::Listed))),
    ("Portugal", "PT", Some(("RILO-WE", Basis::Inferred))),
    ("Russian Federation", "RU", Some(("RILO-CIS", Basis::Listed))),
    ("Italy", "IT", Some(("RILO-WE", Basis::Inferred))),
    ("Bulgaria", "BG", None),
    ("Venezuela, Bolivarian Republic of", "VE", None),
    ("Nigeria", "NG", None),
];

/// An office, and how it is known that the member belongs to it.
type Place = (&'static str, Basis);

const OFFICES: [&str; 3] = ["RILO-WE", "RILO-AP", "RILO-CIS"];

/// Words that stand in a nominal or narrative field of a planted case, and nowhere else in the world.
const NOMINAL: [(&str, &str); 22] = [
    ("national_reference", "REFQZ-88121"),
    ("vehicle_registrations", "QZ-4471-KX"),
    ("seals", "SEALQZ553190"),
    ("bills_of_lading", "BOLQZ7719203"),
    ("air_waybills", "AWBQZ-66120"),
    ("parcel_numbers", "PARCQZ901772"),
    ("person_1_family_name", "Quäntelsdorf"),
    ("person_1_given_names", "Zyprianka"),
    ("person_1_aliases", "Der Schwarzquast"),
    ("person_1_birth_date", "1971-03-29"),
    ("person_1_birth_place", "Obertupfingen"),
    ("person_1_paper_number", "PASSQZ4410027"),
    ("person_1_address", "Krummgassl 17b"),
    ("person_1_city", "Untertupfingen"),
    ("person_1_phones", "+49-5551-771923"),
    ("person_1_occupation", "Glockenpolierer"),
    ("person_1_physical_characteristics", "Drachentattoo am Knie"),
    ("person_1_entry_reason", "Kongress der Zwiebelkunde"),
    ("company_1_name", "Quastenflosser Spedition"),
    ("company_1_registration_number", "HRBQZ-31337"),
    ("company_1_vat_number", "QZ998877665"),
    ("company_1_address", "Industriehof Nebelsberg 4"),
];

const NARRATIVE: [(&str, &str); 4] = [
    ("narrative", "sagte im Verhoer er kenne den Nebelprinzen"),
    ("goods_description", "Paeckchen mit Zwergenstempel"),
    ("concealment_description", "hinter der Quietscheentenattrappe"),
    ("handling_conditions", "nur an Referat Wolkenkuckucksheim"),
];

/// The planted cases: handling code and commodity category of each.
const PLANTED: [(&str, &str); 5] = [
    ("H0", "drugs"),
    ("H1", "drugs"),
    ("H2", "drugs"),
    ("H0", "tobacco"),
    ("H3", "tobacco"),
];

fn the_plan() -> Plan {
    let mut members: Vec<_> = CAST
        .iter()
        .map(|(_, member, office)| Member {
            reach: reach(member),
            ..national(member, office.as_slice())
        })
        .collect();
    members.extend(OFFICES.map(office));
    members.push(root());

    let case = SectionSet::open();
    let exact = case.with(SectionKind::Exact);
    let only = |sections, category: &str| Exchange {
        sections,
        categories: Categories::Only([category.to_owned()].into()),
        handling: HandlingCode::H1,
    };
    let bilateral = |a, b, gives, takes| terms::bilateral(&id(a), &id(b), gives, takes, since()).unwrap();
    let mut agreements = vec![
        bilateral("ES", "PT", Exchange::nominal(), Exchange::nominal()),
        bilateral("ES", "IT", only(exact, "drugs"), only(exact, "drugs")),
        bilateral("VE", "ES", only(exact, "drugs"), only(case, "drugs")),
        // Covers nothing of what either of them has to report.
        bilateral("RU", "PK", only(exact, "cultural-goods"), only(exact, "cultural-goods")),
    ];
    for office in OFFICES {
        let region: Vec<_> = members_of(office).into_iter().map(id).collect();
        agreements.push(terms::regional(&id(office), &region, since()).unwrap());
        agreements.push(terms::upstream(&id(office), &id("WCO"), since()).unwrap());
    }
    // Without an office, or beside it: what comes on two ways is one record.
    for member in ["BG", "VE", "NG", "ES"] {
        agreements.push(terms::upstream(&id(member), &id("WCO"), since()).unwrap());
    }
    plan(members, agreements)
}

/// Every carrier is in the network: most are reached by TLS, one by QUIC, one by Noise, and one dials out only.
fn reach(member: &str) -> Reach {
    match member {
        "PK" => Reach::Quic,
        "RU" => Reach::Noise,
        "NG" => Reach::Nowhere,
        _ => Reach::Tls,
    }
}

fn members_of(office: &str) -> Vec<&'static str> {
    let of = |region: &Option<Place>| region.is_some_and(|(name, _)| name == office);
    CAST.iter()
        .filter(|(_, _, region)| of(region))
        .map(|(_, member, _)| *member)
        .collect()
}

/// What a holder sees of one case, worked out by hand from the agreements above.
fn sees(holder: &str, origin: &str, handling: &str, category: &str) -> Sight {
    let up_to_h1 = handling <= "H1";
    let direct = match (origin, holder) {
        ("ES", "PT") | ("PT", "ES") if up_to_h1 => Sight::Disclosed,
        ("ES", "IT") | ("IT", "ES") | ("VE", "ES") if up_to_h1 && category == "drugs" => Sight::Disclosed,
        ("ES", "VE") if up_to_h1 && category == "drugs" => Sight::Denominalised,
        (_, "WCO") => Sight::Denominalised,
        (_, office) if members_of(office).contains(&origin) => Sight::Disclosed,
        _ => Sight::Withheld,
    };
    let one_region = OFFICES.iter().any(|office| {
        let region = members_of(office);
        region.contains(&holder) && region.contains(&origin)
    });
    if one_region && up_to_h1 {
        direct.max(Sight::Denominalised)
    } else {
        direct
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sight {
    Withheld,
    Denominalised,
    Disclosed,
}

fn expected(holder: &str, origin: &str, cases: &[(String, String, u64)]) -> Counts {
    let mut counts = Counts::default();
    for (handling, category, number) in cases {
        counts.entries += number;
        match sees(holder, origin, handling, category) {
            Sight::Disclosed => counts.disclosed += number,
            Sight::Denominalised => counts.denominalised += number,
            Sight::Withheld => counts.withheld += number,
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_countries_three_offices_and_the_root_exchange_real_seizures() {
    let (Some(cases), Some(offices)) = (shared_data(CASES), shared_data("codes/rilo.json")) else {
        return;
    };
    let rows = rows_by_country(&cases);
    the_cast_is_the_right_one(&rows, &offices);

    let network = running(the_plan()).await;
    let mut tally = Tally::default();
    let imports = import(&network, &cases, &mapping("unodc-ids"), &mut tally).await;
    every_row_is_accounted_for(&rows, &imports, &tally);

    let planted = planted_file(network.folder());
    let mut all = tally.clone();
    let more = import(&network, &planted, &mapping("icomm-template"), &mut all).await;
    for import in &more {
        let issued = if import.member == id("ES") {
            PLANTED.len() as u64
        } else {
            0
        };
        assert_eq!(
            import.summary.counters.issued,
            issued,
            "{}: {}",
            import.member,
            report(import)
        );
    }
    settled(&network).await;

    everybody_holds_what_the_agreements_give(&network, &tally, &all).await;
    every_carrier_carried(&network).await;
    nothing_is_issued_twice(&network, &cases, &all).await;
    planted_words_stay_where_they_may_be(&network).await;
}

/// Rows by country, as the file has them; read without any of our code.
fn rows_by_country(cases: &Path) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(cases).unwrap();
    let (mut rows, mut columns, mut column, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => columns.push(std::mem::take(&mut column)),
            '\n' if !quoted => {
                columns.push(std::mem::take(&mut column));
                rows.push(std::mem::take(&mut columns));
            }
            letter => column.push(letter),
        }
    }
    let country = rows[0].iter().position(|name| name == "COUNTRY").unwrap();
    let mut count = BTreeMap::new();
    for row in &rows[1..] {
        *count.entry(row[country].clone()).or_default() += 1;
    }
    count
}

fn the_cast_is_the_right_one(rows: &BTreeMap<String, u64>, offices: &Path) {
    let mut countries: Vec<_> = rows.iter().map(|(country, rows)| (*rows, country.as_str())).collect();
    countries.sort_by(|a, b| b.cmp(a));
    let most: Vec<_> = countries.iter().take(CAST.len()).map(|(_, country)| *country).collect();
    assert_eq!(most, CAST.map(|(country, _, _)| country));

    let offices: Value = serde_json::from_slice(&fs::read(offices).unwrap()).unwrap();
    let names = |office: &str, list: &str, member: &str| {
        let members = offices["offices"][office][list].as_array().unwrap();
        members.iter().any(|name| name == member)
    };
    for (_, member, office) in CAST {
        let Some((office, basis)) = office else { continue };
        let list = match basis {
            Basis::Listed => "members",
            Basis::Inferred => "inferred_members",
        };
        assert!(names(office, list, member), "{member} is {basis:?} in {office}");
    }
}

fn every_row_is_accounted_for(rows: &BTreeMap<String, u64>, imports: &[Imported], tally: &Tally) {
    assert_eq!(tally.discrepancies(), [] as [String; 0]);
    assert_eq!(tally.rows, rows.values().sum::<u64>());
    for (import, (country, member, _)) in imports.iter().zip(CAST) {
        assert_eq!(import.member, id(member));
        let counters = &import.summary.counters;
        assert!(counters.add_up(), "{member}: {counters:?}");
        assert_eq!(counters.duplicate, 0, "equal rows are cases of their own");
        let own = counters.rejected - counters.unattributed;
        assert_eq!(counters.issued + own, rows[country], "{member}: {}", report(import));
        assert!(counters.issued > rows[country] * 9 / 10, "{member}: {}", report(import));
        every_rejection_has_its_reason(import);
    }
}

/// Each rejected row is in the report once, with line, column, value and reason.
fn every_rejection_has_its_reason(import: &Imported) {
    let text = report(import);
    let mut lines = BTreeSet::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["outcome"] != "rejected" {
            continue;
        }
        assert!(lines.insert(line["line"].as_u64().unwrap()), "{line} twice");
        let faults = line["faults"].as_array().unwrap();
        assert!(!faults.is_empty(), "{line}");
        for fault in faults {
            assert!(!fault["reason"].as_str().unwrap().is_empty(), "{line}");
            // A row that is broken as a whole has no column at fault.
            let of_row = fault["kind"] == "ragged" || fault["kind"] == "unreadable";
            assert!(of_row || !fault["column"].as_str().unwrap().is_empty(), "{line}");
            assert!(of_row || fault["value"].is_string(), "{line}");
        }
    }
    assert_eq!(lines.len() as u64, import.summary.counters.rejected);
}

fn report(import: &Imported) -> String {
    fs::read_to_string(&import.report).unwrap()
}

/// A file of cases with a planted word in every field that identifies or tells.
fn planted_file(folder: &Path) -> PathBuf {
    let template = mapping("icomm-template");
    let columns = template.template();
    let mut text = columns.join(",") + "\n";
    for (handling, category) in PLANTED {
        let common = [
            ("administration", "ES"),
            ("handling_code", handling),
            ("short_form", "yes"),
            ("seizure_date", "2026-10-05"),
            ("seizure_country", "ES"),
            ("conveyance_type", "commercial-air"),
            ("goods_1_category", category),
            ("goods_1_kind", if category == "drugs" { "cocaine" } else { "" }),
            ("goods_1_quantity", "40"),
            ("goods_1_unit", "KGM"),
            ("person_1_role", "courier"),
            ("person_1_sex", "F"),
            ("person_1_paper_type", "passport"),
            ("company_1_role", "consignee"),
        ];
        let cells: BTreeMap<&str, &str> = common.into_iter().chain(NOMINAL).chain(NARRATIVE).collect();
        assert!(cells.keys().all(|column| columns.contains(column)), "{columns:?}");
        let row: Vec<&str> = columns
            .iter()
            .map(|column| cells.get(column).copied().unwrap_or(""))
            .collect();
        text += &(row.join(",") + "\n");
    }
    let path = folder.join("planted.csv");
    fs::write(&path, text).unwrap();
    path
}

async fn everybody_holds_what_the_agreements_give(network: &Network, real: &Tally, all: &Tally) {
    let picture = network
        .picture(all)
        .await
        .unwrap_or_else(|error| panic!("{}", told(&error)));
    assert_eq!(picture.discrepancies(), []);
    let issuers: Vec<&str> = CAST.iter().map(|(_, member, _)| *member).collect();
    for node in &picture.nodes {
        let holder = node.member.as_str();
        let mut origins = Vec::new();
        for origin in issuers.iter().copied().filter(|origin| *origin != holder) {
            let mut cases = vec![("H0".to_owned(), "drugs".to_owned(), real.issued_by(&id(origin)))];
            if origin == "ES" {
                cases.extend(PLANTED.map(|(handling, category)| (handling.to_owned(), category.to_owned(), 1)));
            }
            let expected = expected(holder, origin, &cases);
            let log = format!("{origin}/main");
            match node.replica(&log) {
                None => assert_eq!(
                    expected.withheld, expected.entries,
                    "{holder} holds nothing of {origin}"
                ),
                Some(replica) => {
                    let found = Counts {
                        entries: replica.entries,
                        disclosed: replica.disclosed,
                        denominalised: replica.denominalised,
                        withheld: replica.withheld,
                    };
                    assert_eq!(found, expected, "{holder} of {origin}");
                    assert!(replica.verified, "{holder} of {origin}");
                    origins.push(origin);
                }
            }
        }
        match holder {
            "WCO" => assert_eq!(origins, issuers),
            office if OFFICES.contains(&office) => assert_eq!(origins, members_of(office)),
            _ => {}
        }
    }
    let root = picture.node(&id("WCO")).unwrap();
    let held: u64 = root.replicas.iter().map(|replica| replica.denominalised).sum();
    assert_eq!(
        held, all.issued,
        "the root holds every issued case of everybody, de-nominalised"
    );
}

async fn every_carrier_carried(network: &Network) {
    let mut carriers = BTreeSet::new();
    for node in network.nodes() {
        let links = node.status().await.unwrap().links;
        carriers.extend(
            links
                .into_iter()
                .filter(|link| link.state == "connected")
                .map(|link| link.carrier),
        );
    }
    for carrier in ["tls", "quic", "noise-yamux"] {
        assert!(carriers.contains(carrier), "{carriers:?}");
    }
}

/// The same file again, and every log as long as before; each record under one id.
async fn nothing_is_issued_twice(network: &Network, cases: &Path, all: &Tally) {
    let mut again = Tally::default();
    let imports = import(network, cases, &mapping("unodc-ids"), &mut again).await;
    assert!(imports.iter().all(|import| import.summary.counters.issued == 0));
    for (_, member, _) in CAST {
        let entries = network.node(&id(member)).unwrap().entries("", 0).await.unwrap();
        let ids: BTreeSet<_> = entries.iter().map(|entry| entry.record_id.as_str()).collect();
        assert_eq!(entries.len() as u64, all.issued_by(&id(member)), "{member}");
        assert_eq!(ids.len(), entries.len(), "{member}: one record, one id");
    }
}

async fn planted_words_stay_where_they_may_be(network: &Network) {
    let nominal = Canaries::new(NOMINAL.map(|(_, word)| word));
    let narrative = Canaries::new(NARRATIVE.map(|(_, word)| word));
    let words = |found: BTreeSet<(&str, &str)>| {
        found
            .into_iter()
            .map(|(word, _)| word.to_owned())
            .collect::<BTreeSet<_>>()
    };

    // The search finds them where they are meant to be, so that finding nothing elsewhere means something.
    let spain = answers(network, "ES").await;
    assert_eq!(words(nominal.found_in(&spain)).len(), NOMINAL.len(), "at their owner");
    assert_eq!(
        words(narrative.found_in(&spain)).len(),
        NARRATIVE.len(),
        "at their owner"
    );
    let portugal = answers(network, "PT").await;
    assert_eq!(
        words(nominal.found_in(&portugal)).len(),
        NOMINAL.len(),
        "at the partner who may have them"
    );
    for (holder, canaries) in [("ES", &narrative), ("PT", &nominal)] {
        assert!(
            !canaries.found_in(&kept(network, holder)).is_empty(),
            "the store of {holder} is searched rightly"
        );
    }

    assert_eq!(
        narrative.found_in(&portugal),
        BTreeSet::new(),
        "no agreement gives the narrative to anybody"
    );
    let everywhere = Canaries::new(NOMINAL.into_iter().chain(NARRATIVE).map(|(_, word)| word));
    assert_eq!(
        narrative.found_in(&kept(network, "PT")),
        BTreeSet::new(),
        "nor in the store of PT"
    );
    let mut found = Vec::new();
    for node in network.nodes() {
        let holder = node.member().id.as_str();
        // Whoever takes the disk and not the key finds nothing, also at those who may have it.
        if holder == "ES" || holder == "PT" {
            found.extend(everywhere.found_below(&node.home().join("store")));
            continue;
        }
        assert_eq!(
            everywhere.found_in(&kept(network, holder)),
            BTreeSet::new(),
            "the store of {holder}, opened with its key"
        );
        assert_eq!(
            everywhere.found_in(&answers(network, holder).await),
            BTreeSet::new(),
            "{holder} answers"
        );
        found.extend(everywhere.found_below(node.home()));
    }
    assert_eq!(found, [] as [String; 0]);
}

/// Everything that a node's store keeps of any log, read with its key from a copy: nothing is written to it just now.
fn kept(network: &Network, holder: &str) -> Vec<u8> {
    const LIMIT: ReadLimit = ReadLimit {
        entries_max: 4096,
        bytes_max: 8 << 20,
    };
    let copy = tempfile::tempdir().unwrap();
    let mut config = network.node(&id(holder)).unwrap().config().clone();
    copy_folder(&config.store.folder, copy.path());
    config.store.folder = copy.path().to_owned();
    let store = open_store(&config, &Environment::system()).unwrap();
    let mut bytes = Vec::new();
    for origin in store.origins() {
        let mut next = 0;
        while let Some(stretch) = store.read(&origin, next, LIMIT).unwrap() {
            stretch
                .bodies
                .iter()
                .for_each(|body| bytes.extend_from_slice(body.bytes()));
            next = stretch.end.size();
        }
    }
    bytes
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (entry, to) = (entry.path(), to.join(entry.file_name()));
        match entry.is_dir() {
            true => {
                fs::create_dir(&to).unwrap();
                copy_folder(&entry, &to);
            }
            false => drop(fs::copy(&entry, &to).unwrap()),
        }
    }
}

/// Everything that a node's API tells of the planted cases' log, as text and as bytes.
async fn answers(network: &Network, holder: &str) -> Vec<u8> {
    let node = network.node(&id(holder)).unwrap();
    let status = node.status().await.unwrap();
    let mut bytes = format!("{status:?}").into_bytes();
    if !status.logs.iter().any(|log| log.origin == "ES/main") {
        return bytes;
    }
    let entries = node.entries("ES/main", 0).await.unwrap();
    for entry in entries
        .iter()
        .rev()
        .take(PLANTED.len())
        .filter(|entry| !entry.record_id.is_empty())
    {
        for held in node.record(&entry.record_id).await.unwrap() {
            bytes.extend(format!("{:#?}", held.record).into_bytes());
            bytes.extend(&held.view);
        }
        for peer in ["PT", "RILO-WE", "WCO", "NG"] {
            // Only who holds a part of the record can say what would go where.
            if let Ok(explained) = node.explain(&entry.record_id, peer).await {
                bytes.extend(format!("{explained:?}").into_bytes());
            }
        }
    }
    bytes
}
