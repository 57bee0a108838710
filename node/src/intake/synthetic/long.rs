//! The long form filled in: what a case leaves blank as it is usually sent, told by an office that sends its whole file.
//!
//! A consignment's further goods are of the first one's category, as drugs come with drugs: whoever is granted the first is
//! granted all of them.

use super::random::Random;
use super::{Cells, case, distribution as likely, names};

/// Of a thousand cases, how many have a second kind of goods; of a thousand of these, how many have a third.
const SECOND_GOODS: u64 = 850;
const THIRD_GOODS: u64 = 600;

/// Of a thousand cases, how many have a second person, and how many a second company.
const SECOND_PERSON: u64 = 600;
const SECOND_COMPANY: u64 = 500;

/// Of a thousand cases without a narrative, how many get one.
const NARRATIVE: u64 = 600;

/// Completes a row that was filled as usual.
pub(super) fn complete(cells: &mut Cells<'_>, random: &mut Random) {
    circumstances(cells, random);
    goods(cells, random);
    route(cells, random);
    conveyance(cells, random);
    for number in 1..=1 + u64::from(random.per_mille(SECOND_PERSON)) {
        person(cells, number, random);
    }
    for number in 1..=1 + u64::from(random.per_mille(SECOND_COMPANY)) {
        company(cells, number, random);
    }
    texts(cells, random);
}

fn circumstances(cells: &mut Cells<'_>, random: &mut Random) {
    cells.set("short_form", "");
    cells.fill("concealment", || random.word(likely::CONCEALMENT).to_owned());
    cells.set("report_type", "seizure");
    cells.set("validation_status", random.word(&[("validated", 92), ("corrected", 8)]));
    cells.set("source_evaluation", random.word(likely::SOURCE));
    cells.set("information_evaluation", random.word(likely::INFORMATION));
    cells.fill("outcome", || "seized".to_owned());
    cells.set("admin_division", names::province(random));
    cells.fill("place", || names::city(random));
    let country = cells.text("administration").to_owned();
    cells.fill("customs_office", || format!("{country}-{:03}", 1 + random.below(40)));
    // No operation: data of one waits for its owner's approval before any of it goes to a global node.
    if random.per_mille(350) {
        let mut related = names::record(random);
        if random.per_mille(300) {
            related = format!("{related};{}", names::record(random));
        }
        cells.set("related_records", related);
    }
}

fn goods(cells: &mut Cells<'_>, random: &mut Random) {
    let category = cells.text("goods_1_category").to_owned();
    let further = [SECOND_GOODS, THIRD_GOODS];
    let further = further.into_iter().take_while(|chance| random.per_mille(*chance));
    let count = 1 + further.count();
    for number in 1..=count {
        let column = |name: &str| format!("goods_{number}_{name}");
        if cells.text(&column("category")).is_empty() {
            further_goods(cells, &column, &category, random);
        }
        let kind = cells.text(&column("kind")).to_owned();
        if let Some(goods) = likely::goods(&category, &kind) {
            cells.set(&column("hs_code"), goods.hs_code);
        }
        cells.fill(&column("value"), || {
            format!("{}.{:02}", 100 + random.below(90_000), random.below(100))
        });
        cells.fill(&column("currency"), || random.one_of(&["EUR", "USD"]).to_owned());
        cells.set(&column("package_type"), random.word(likely::packages(&category)));
        cells.set(&column("package_count"), (1 + random.below(60)).to_string());
        cells.fill(&column("producing_country"), || {
            random.word(likely::producers(&category)).to_owned()
        });
        if matches!(category.as_str(), "tobacco" | "alcohol" | "ipr-health") {
            cells.set(&column("brand"), names::brand(random));
        }
        let species = match kind.as_str() {
            "ivory" => "Loxodonta africana",
            "rhino-horn" => "Ceratotherium simum",
            "pangolin-scales" => "Manis tricuspis",
            _ => continue,
        };
        cells.set(&column("species"), species);
        cells.set(&column("cites_appendix"), "I");
    }
}

/// What was found beside the first goods, of the same category.
fn further_goods(cells: &mut Cells<'_>, column: &dyn Fn(&str) -> String, category: &str, random: &mut Random) {
    let goods = match category {
        "drugs" => random.weighted(|| likely::DRUGS.iter().map(|drug| (drug, drug.weight.min(200)))),
        _ => random.weighted(|| {
            let of_category = likely::FURTHER_GOODS.iter().filter(|(of, _)| *of == category);
            of_category.map(|(_, goods)| (goods, goods.weight))
        }),
    };
    let Some(goods) = goods else { return };
    cells.set(&column("category"), category);
    cells.set(&column("kind"), goods.kind);
    cells.set(&column("quantity"), case::amount(goods, random));
    cells.set(&column("unit"), goods.unit);
}

/// From where the goods were made to where they were bound.
fn route(cells: &mut Cells<'_>, random: &mut Random) {
    let told = ["leg_3_country", "leg_2_country"].map(|column| cells.text(column));
    let destination = told.into_iter().find(|country| !country.is_empty()).unwrap_or_default();
    let (origin, departure) = (cells.text("goods_1_producing_country"), cells.text("leg_1_country"));
    let legs = [
        ("origin", origin.to_owned()),
        ("departure", departure.to_owned()),
        ("transit", random.word(likely::TRANSIT).to_owned()),
        ("destination", destination.to_owned()),
    ];
    for (number, (role, country)) in (1..).zip(legs) {
        cells.set(&format!("leg_{number}_role"), role);
        cells.set(&format!("leg_{number}_country"), country);
        cells.set(&format!("leg_{number}_place"), names::city(random));
    }
}

fn conveyance(cells: &mut Cells<'_>, random: &mut Random) {
    let conveyance = cells.text("conveyance_type").to_owned();
    match conveyance.as_str() {
        "commercial-air" | "private-air" => {
            cells.fill("flight_number", || format!("XS{}", 100 + random.below(900)));
            cells.set("aircraft_registration", format!("XS-{:04}", random.below(10_000)));
            cells.set("air_waybills", format!("999-{:08}", random.below(100_000_000)));
        }
        "commercial-sea" | "private-sea" | "river" => {
            cells.fill("vessel_name", || format!("MV {}", names::city(random)));
            cells.fill("vessel_imo", || names::imo(random));
            cells.set("vessel_mmsi", format!("999{:06}", random.below(1_000_000)));
            cells.set("vessel_call_sign", format!("SYN{:04}", random.below(10_000)));
        }
        "private-road" | "commercial-road" => {
            cells.fill("vehicle_registrations", || format!("SYN {:04}", random.below(10_000)));
        }
        "mail" => cells.fill("parcel_numbers", || format!("SYN{:09}XX", random.below(1_000_000_000))),
        _ => {}
    }
    if matches!(conveyance.as_str(), "commercial-sea" | "commercial-road" | "rail") {
        cells.fill("container_numbers", || names::container(random));
        cells.fill("seals", || format!("SEAL{:06}", random.below(1_000_000)));
        cells.fill("bills_of_lading", || format!("SYNBL{:08}", random.below(100_000_000)));
    }
    if !matches!(conveyance.as_str(), "mail" | "pedestrian" | "other") {
        cells.fill("conveyance_flag", || random.word(likely::FLAG).to_owned());
    }
}

fn person(cells: &mut Cells<'_>, number: u64, random: &mut Random) {
    let column = |name: &str| format!("person_{number}_{name}");
    if cells.text(&column("role")).is_empty() {
        case::person(cells, number, random);
    }
    if random.per_mille(250) {
        cells.set(&column("aliases"), names::family_name(random));
    }
    cells.set(&column("birth_place"), names::city(random));
    cells.fill(&column("paper_type"), || "identity-card".to_owned());
    cells.fill(&column("paper_number"), || names::paper(random));
    let nationality = cells.text(&column("nationality")).to_owned();
    cells.fill(&column("paper_country"), || nationality.clone());
    cells.fill(&column("address"), || names::street(random));
    cells.set(&column("postcode"), format!("{:05}", random.below(100_000)));
    cells.fill(&column("city"), || names::city(random));
    cells.set(&column("country"), nationality);
    cells.fill(&column("phones"), || names::phone(random));
    let occupation = random.one_of(&["trader", "driver", "student", "seafarer", "none stated"]);
    cells.set(&column("occupation"), occupation);
    let height = 150 + random.below(45);
    cells.set(
        &column("physical_characteristics"),
        format!("Synthetic: {height} cm, no marks"),
    );
    cells.fill(&column("entry_reason"), || {
        "Synthetic reason: found with the goods".to_owned()
    });
    cells.fill(&column("suggested_action"), || {
        random.word(&[("sighting", 80), ("specific-check", 20)]).to_owned()
    });
    if random.per_mille(50) {
        cells.set(&column("warnings"), random.one_of(&["armed", "violent", "escaping"]));
    }
}

fn company(cells: &mut Cells<'_>, number: u64, random: &mut Random) {
    let column = |name: &str| format!("company_{number}_{name}");
    if cells.text(&column("role")).is_empty() {
        case::company(cells, number, random);
    }
    let country = cells.text(&column("country")).to_owned();
    cells.set(
        &column("vat_number"),
        format!("{country}SYN{:07}", random.below(10_000_000)),
    );
    cells.set(&column("address"), names::street(random));
    cells.set(&column("postcode"), format!("{:05}", random.below(100_000)));
    cells.set(&column("city"), names::city(random));
    cells.set(&column("address_country"), country);
}

fn texts(cells: &mut Cells<'_>, random: &mut Random) {
    let (kind, concealment) = (
        cells.text("goods_1_kind").to_owned(),
        cells.text("concealment").to_owned(),
    );
    cells.set(
        "goods_description",
        format!("Synthetic goods: {kind} and what lay beside it, wrapped in foil and tape, without marks of a maker."),
    );
    cells.set(
        "concealment_description",
        format!("Synthetic place ({concealment}): behind a panel that had been glued anew; opened in the presence of a witness."),
    );
    if cells.text("handling_code") != "H0" {
        cells.set(
            "handling_conditions",
            "Synthetic condition: ask the owner before any further use.",
        );
    }
    if random.per_mille(NARRATIVE) {
        cells.fill("narrative", || case::narrative(&concealment, random));
    }
}
