//! One good case, cell by cell.

use time::{Date, Duration, Month};

use super::random::Random;
use super::{Cells, distribution as likely, names};

/// Cases lie within these years.
const FIRST_YEAR: i32 = 2024;
const DAYS: u64 = 730;

/// Fills a row for the administration of `country`; of a thousand, `other_goods` are of other goods than drugs.
pub(super) fn fill(cells: &mut Cells<'_>, country: &str, number: u64, other_goods: u64, random: &mut Random) {
    let date = date(random);
    let concealment = random.word(likely::CONCEALMENT);
    let location = match concealment {
        "postal" if random.per_mille(700) => "post-office",
        "swallowed" | "inserted" if random.per_mille(900) => "airport",
        _ => random.word(likely::LOCATION),
    };
    let conveyance = match location {
        "airport" => "commercial-air",
        "post-office" => "mail",
        "seaport" => "commercial-sea",
        _ => random.word(likely::CONVEYANCE),
    };
    cells.set("administration", country);
    cells.set(
        "national_reference",
        format!("SYN-{country}-{}-{number:06}", date.year()),
    );
    cells.set("handling_code", random.word(likely::HANDLING));
    cells.set("seizure_date", date.to_string());
    cells.set("seizure_country", country);
    cells.set("location_type", location);
    cells.set("conveyance_type", conveyance);
    cells.set("direction", random.word(likely::DIRECTION));
    cells.set("detection_method", random.word(likely::DETECTION));
    cells.set("outcome", random.word(likely::OUTCOME));
    if random.per_mille(850) {
        cells.set("place", names::city(random));
    }
    if random.per_mille(300) {
        cells.set("customs_office", format!("{country}-{:03}", 1 + random.below(40)));
    }
    // Some offices send the short form, and it is full of blanks.
    let short = random.per_mille(likely::BLANK_CONCEALMENT);
    if short {
        cells.set("short_form", "yes");
    } else {
        cells.set("concealment", concealment);
    }
    goods(cells, other_goods, random);
    route(cells, country, random);
    conveyance_details(cells, conveyance, random);
    people(cells, concealment, location, random);
    if random.per_mille(150) {
        cells.set("narrative", narrative(concealment, random));
    }
}

/// More cases in some months than in others, fewer in the second year's last weeks.
fn date(random: &mut Random) -> Date {
    let first = Date::from_calendar_date(FIRST_YEAR, Month::January, 1).unwrap_or(Date::MIN);
    loop {
        let day = i64::try_from(random.below(DAYS)).unwrap_or_default();
        let date = first.saturating_add(Duration::days(day));
        let busy = matches!(
            date.month(),
            Month::February | Month::March | Month::June | Month::October
        );
        if busy || random.per_mille(780) {
            return date;
        }
    }
}

fn goods(cells: &mut Cells<'_>, other_goods: u64, random: &mut Random) {
    let other = random.per_mille(other_goods);
    let chosen = if other {
        random.weighted(|| {
            likely::OTHER_GOODS
                .iter()
                .map(|(category, goods)| ((*category, goods), goods.weight))
        })
    } else {
        random.weighted(|| likely::DRUGS.iter().map(|drug| (("drugs", drug), drug.weight)))
    };
    // The tables are not empty, so there is always one.
    let Some((category, drug)) = chosen else { return };
    cells.set("goods_1_category", category);
    cells.set("goods_1_kind", drug.kind);
    cells.set("goods_1_quantity", amount(drug, random));
    cells.set("goods_1_unit", drug.unit);
    if other && random.per_mille(600) {
        cells.set("goods_1_value", (100 + random.below(90_000)).to_string());
        cells.set("goods_1_currency", random.one_of(&["EUR", "USD"]));
    }
    if category == "drugs" && random.per_mille(90) {
        cells.set(
            "goods_1_producing_country",
            random.one_of(&["AF", "CO", "CN", "PE", "BO"]),
        );
    }
    if !other
        && random.per_mille(25)
        && let Some(second) = random.weighted(|| likely::DRUGS.iter().map(|drug| (drug, drug.weight.min(200))))
    {
        cells.set("goods_2_category", "drugs");
        cells.set("goods_2_kind", second.kind);
        cells.set("goods_2_quantity", amount(second, random));
        cells.set("goods_2_unit", second.unit);
    }
}

/// Amounts follow a bell over powers of ten; round ones are as frequent as in real files.
pub(super) fn amount(goods: &likely::Drug, random: &mut Random) -> String {
    let (middle, width) = goods.magnitude;
    let amount = 10f64.powf(middle + width * random.bell()).max(0.001);
    let counted = matches!(goods.unit, "H87" | "U2" | "X-BLOTTER");
    if counted {
        format!("{:.0}", amount.max(1.0))
    } else if random.per_mille(120) {
        // People round to one digit.
        let power = 10f64.powf(amount.log10().floor());
        ((amount / power).round() * power * 1000.0)
            .round()
            .mul_add(0.001, 0.0)
            .to_string()
    } else if amount < 10.0 {
        format!("{amount:.3}")
    } else {
        format!("{amount:.1}")
    }
}

fn route(cells: &mut Cells<'_>, country: &str, random: &mut Random) {
    let departure = random.word(likely::DEPARTURE);
    let destination = if random.per_mille(550) {
        country
    } else {
        random.word(likely::DESTINATION)
    };
    cells.set("leg_1_role", "departure");
    cells.set("leg_1_country", departure);
    let mut leg = 2;
    if departure != country && destination != country {
        cells.set("leg_2_role", "transit");
        cells.set("leg_2_country", country);
        leg = 3;
    }
    cells.set(&format!("leg_{leg}_role"), "destination");
    cells.set(&format!("leg_{leg}_country"), destination);
    if random.per_mille(200) {
        cells.set(&format!("leg_{leg}_place"), names::city(random));
    }
}

fn conveyance_details(cells: &mut Cells<'_>, conveyance: &str, random: &mut Random) {
    match conveyance {
        "commercial-air" if random.per_mille(400) => {
            cells.set("flight_number", format!("XS{}", 100 + random.below(900)));
        }
        "commercial-sea" => {
            if random.per_mille(500) {
                cells.set("vessel_name", format!("MV {}", names::city(random)));
                cells.set("vessel_imo", names::imo(random));
                cells.set("conveyance_flag", random.one_of(&["PA", "LR", "MH", "MT"]));
            }
            if random.per_mille(500) {
                cells.set("container_numbers", names::container(random));
                cells.set("seals", format!("SEAL{:06}", random.below(1_000_000)));
                cells.set("bills_of_lading", format!("SYNBL{:08}", random.below(100_000_000)));
            }
        }
        "private-road" | "commercial-road" if random.per_mille(500) => {
            cells.set("vehicle_registrations", format!("SYN {:04}", random.below(10_000)));
        }
        "mail" if random.per_mille(600) => {
            cells.set("parcel_numbers", format!("SYN{:09}XX", random.below(1_000_000_000)));
        }
        _ => {}
    }
}

fn people(cells: &mut Cells<'_>, concealment: &str, location: &str, random: &mut Random) {
    let carried = matches!(
        concealment,
        "swallowed" | "inserted" | "on-body" | "baggage" | "outerwear" | "handbag"
    );
    let persons = match (carried, random.below(100)) {
        (true, 0..70) => 1,
        (true, 70..75) => 2,
        (false, 0..12) => 1,
        _ => 0,
    };
    for number in 1..=persons {
        person(cells, number, random);
    }
    if matches!(location, "post-office" | "seaport") && random.per_mille(350) {
        company(cells, 1, random);
    }
}

/// The person of that number, as far as offices usually tell.
pub(super) fn person(cells: &mut Cells<'_>, person: u64, random: &mut Random) {
    let mut set = |column: &str, text: String| cells.set(&format!("person_{person}_{column}"), text);
    set("role", random.word(likely::PERSON_ROLE).to_owned());
    set("sex", random.word(&[("M", 76), ("F", 22), ("X", 2)]).to_owned());
    set("nationality", random.word(likely::DEPARTURE).to_owned());
    set("family_name", names::family_name(random));
    set("given_names", names::given_names(random));
    set(
        "birth_date",
        format!(
            "{}-{:02}-{:02}",
            1958 + random.below(45),
            1 + random.below(12),
            1 + random.below(28)
        ),
    );
    if random.per_mille(800) {
        set("paper_type", "passport".to_owned());
        set("paper_number", names::paper(random));
        set("paper_country", random.word(likely::DEPARTURE).to_owned());
    }
    if random.per_mille(300) {
        set("address", names::street(random));
        set("city", names::city(random));
    }
    if random.per_mille(150) {
        set("phones", names::phone(random));
    }
    if random.per_mille(40) {
        set("suggested_action", "sighting".to_owned());
        set("entry_reason", "Synthetic reason".to_owned());
    }
}

/// The company of that number, as far as offices usually tell.
pub(super) fn company(cells: &mut Cells<'_>, company: u64, random: &mut Random) {
    let mut set = |column: &str, text: String| cells.set(&format!("company_{company}_{column}"), text);
    set("role", random.word(likely::COMPANY_ROLE).to_owned());
    set("country", random.word(likely::DEPARTURE).to_owned());
    set("name", names::company(random));
    set("registration_number", names::paper(random));
}

pub(super) fn narrative(concealment: &str, random: &mut Random) -> String {
    let found = random.one_of(&[
        "found during a control after a risk profile matched",
        "found by an officer who noticed fresh glue",
        "declared as samples, \"no commercial value\"",
        "found on a second look; the first control had found nothing",
    ]);
    format!(
        "Synthetic case: goods ({concealment}) {found}; {} was questioned.",
        names::family_name(random)
    )
}
