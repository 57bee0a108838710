//! What a section says, in a few short lines that fit beside each other.

use icomm_proto::{SectionKind, v1};

/// The section of the record, as lines; empty fields leave no trace.
pub(super) fn of(record: &v1::Draft, section: SectionKind) -> String {
    let lines = match section {
        SectionKind::Case => record.case.as_ref().map(case),
        SectionKind::Exact => record.exact.as_ref().map(exact),
        SectionKind::References => record.references.as_ref().map(references),
        SectionKind::Persons => record
            .persons
            .as_ref()
            .map(|section| section.persons.iter().flat_map(person).collect()),
        SectionKind::Companies => record
            .companies
            .as_ref()
            .map(|section| section.companies.iter().flat_map(company).collect()),
        SectionKind::Narrative => record.narrative.as_ref().map(narrative),
        SectionKind::Images => record
            .images
            .as_ref()
            .map(|section| vec![format!("{} images", section.images.len())]),
    };
    let lines: Vec<String> = lines
        .unwrap_or_default()
        .into_iter()
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("\n")
}

fn case(case: &v1::Case) -> Vec<String> {
    let class = case.class.clone().unwrap_or_default();
    let mut lines = vec![
        words([&case.seizure_month, &class.seizure_country, &case.location_type]),
        words([&class.report_type, &class.handling_code]),
    ];
    lines.extend(case.goods.iter().map(|goods| {
        let what = if goods.kind.is_empty() {
            &goods.category
        } else {
            &goods.kind
        };
        words([what, &goods.quantity_band, &goods.unit])
    }));
    let legs: Vec<&str> = case.legs.iter().map(|leg| leg.country.as_str()).collect();
    lines.push(legs.join(" → "));
    lines.push(words([&case.conveyance_type, &case.concealment]));
    lines.extend(
        case.persons
            .iter()
            .map(|person| words([&person.role, &person.sex, &person.nationality, &person.age_band])),
    );
    lines.extend(
        case.companies
            .iter()
            .map(|company| words([&company.role, &company.country])),
    );
    lines
}

fn exact(exact: &v1::Exact) -> Vec<String> {
    let mut lines = vec![
        exact.seizure_date.clone(),
        words([&exact.place, &exact.admin_division, &exact.customs_office]),
    ];
    lines.extend(
        exact
            .goods
            .iter()
            .map(|goods| words([&goods.quantity, &goods.unit, &goods.brand])),
    );
    lines.push(words([
        &exact.vessel_name,
        &exact.vessel_imo,
        &exact.flight_number,
        &exact.aircraft_registration,
    ]));
    lines.push(exact.container_numbers.join(" "));
    lines
}

fn references(references: &v1::References) -> Vec<String> {
    let mut lines = vec![references.national_reference.clone()];
    let lists = [
        &references.seals,
        &references.bills_of_lading,
        &references.air_waybills,
        &references.parcel_numbers,
        &references.vehicle_registrations,
    ];
    lines.extend(lists.into_iter().flatten().cloned());
    lines
}

fn narrative(narrative: &v1::Narrative) -> Vec<String> {
    let v1::Narrative {
        narrative,
        goods_description,
        concealment_description,
        handling_conditions,
    } = narrative;
    [
        narrative,
        goods_description,
        concealment_description,
        handling_conditions,
    ]
    .map(String::clone)
    .into()
}

fn person(person: &v1::Person) -> Vec<String> {
    let mut lines = vec![
        words([&person.given_names, &person.family_name]),
        person.birth_date.clone(),
    ];
    lines.extend(person.papers.iter().map(|paper| words([&paper.r#type, &paper.number])));
    lines.extend(person.addresses.iter().map(address));
    lines
}

fn company(company: &v1::Company) -> Vec<String> {
    let mut lines = vec![company.name.clone(), company.registration_number.clone()];
    lines.extend(company.addresses.iter().map(address));
    lines
}

fn address(address: &v1::Address) -> String {
    words([&address.lines, &address.postcode, &address.city, &address.country])
}

/// The words that are there, with spaces.
fn words<const N: usize>(words: [&String; N]) -> String {
    let there: Vec<&str> = words
        .into_iter()
        .map(String::as_str)
        .filter(|word| !word.is_empty())
        .collect();
    there.join(" ")
}

#[cfg(test)]
mod tests {
    use icomm_proto::{SectionKind, v1};

    use super::of;

    #[test]
    fn a_section_is_told_in_short_lines() {
        let record = v1::Draft {
            case: Some(v1::Case {
                seizure_month: "2026-11".into(),
                goods: vec![v1::Goods {
                    kind: "cocaine".into(),
                    quantity_band: "1-10".into(),
                    unit: "KGM".into(),
                    ..Default::default()
                }],
                legs: ["CO", "ES"]
                    .map(|country| v1::Leg {
                        country: country.into(),
                        ..Default::default()
                    })
                    .into(),
                ..Default::default()
            }),
            persons: Some(v1::Persons {
                persons: vec![v1::Person {
                    given_names: "Ada".into(),
                    family_name: "Testperson".into(),
                    ..Default::default()
                }],
            }),
            ..Default::default()
        };
        assert_eq!(of(&record, SectionKind::Case), "2026-11\ncocaine 1-10 KGM\nCO → ES");
        assert_eq!(of(&record, SectionKind::Persons), "Ada Testperson");
        assert_eq!(of(&record, SectionKind::Exact), "");
    }
}
