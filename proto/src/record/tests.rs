//! Records: what is derived, what is refused, and that nothing nominal is in the open form.

use proptest::prelude::*;
use prost::Message as _;
use rand::{SeedableRng, rngs::SmallRng};

use super::*;
use crate::codes::tests::BUILT_IN;
use crate::denominalised::Denominalised;
use crate::photo::{MediaType, Photo};
use crate::section::SectionSet;

fn text(value: &str) -> String {
    value.to_owned()
}

/// A seizure in the long form with something in every section.
pub(crate) fn complete() -> v1::Draft {
    let goods = |category: &str, kind: &str| v1::Goods {
        category: text(category),
        kind: text(kind),
        currency: text("KES"),
        ..Default::default()
    };
    let leg = |role: &str, country: &str| v1::Leg {
        role: text(role),
        country: text(country),
    };
    v1::Draft {
        kind: v1::RecordKind::Seizure.into(),
        case: Some(v1::Case {
            class: Some(v1::Class {
                report_type: text("seizure"),
                handling_code: text("H1"),
                seizure_country: text("KE"),
                operation_id: text("DEMETER-9"),
                ..Default::default()
            }),
            validation_status: text("validated"),
            location_type: text("seaport"),
            direction: text("import"),
            detection_method: text("x-ray"),
            conveyance_type: text("commercial-sea"),
            concealment: text("container"),
            goods: vec![goods("tobacco", "cigarettes"), goods("drugs", "cocaine")],
            legs: vec![leg("departure", "BR"), leg("destination", "KE")],
            persons: vec![v1::PersonProfile {
                role: text("courier"),
                sex: text("F"),
                ..Default::default()
            }],
            companies: vec![v1::CompanyProfile {
                role: text("consignee"),
                country: text("KE"),
            }],
            ..Default::default()
        }),
        exact: Some(v1::Exact {
            seizure_date: text("2026-05-31"),
            place: text("KE MBA"),
            goods: vec![
                v1::GoodsExact {
                    quantity: text("12000"),
                    unit: text("H87"),
                    value: text("5000.00"),
                    brand: text("Brandname"),
                },
                v1::GoodsExact {
                    quantity: text("2500.0"),
                    unit: text("GRM"),
                    ..Default::default()
                },
            ],
            legs: vec![v1::LegExact { place: text("BR SSZ") }],
            vessel_name: text("Example Star"),
            vessel_imo: text("IMO 9074729"),
            container_numbers: vec![text("csqu 305438-3")],
            ..Default::default()
        }),
        references: Some(v1::References {
            national_reference: text("KRA/2026/0815"),
            seals: vec![text("SEAL-77"), text(" ")],
            ..Default::default()
        }),
        persons: Some(v1::Persons {
            persons: vec![v1::Person {
                family_name: text("Muster"),
                given_names: text("Erika"),
                birth_date: text("1990-06-01"),
                papers: vec![v1::IdentityPaper {
                    r#type: text("passport"),
                    number: text("P0000001"),
                    issuing_country: text("DE"),
                }],
                warnings: vec![text("escaping")],
                ..Default::default()
            }],
        }),
        companies: Some(v1::Companies {
            companies: vec![v1::Company {
                name: text("Example Imports Ltd"),
                ..Default::default()
            }],
        }),
        narrative: Some(v1::Narrative {
            narrative: text("Found behind\r\na false wall."),
            ..Default::default()
        }),
        images: Some(v1::Images {
            images: vec![v1::Image {
                sha256: vec![7; 32].into(),
                media_type: text("image/jpeg"),
                size: 1000,
                kind: text("x-ray"),
                pieces: vec![8; 32].into(),
            }],
        }),
    }
}

/// A sealed record that names so many photos.
pub(crate) fn sealed_with_images(count: u8) -> View {
    let mut draft = complete();
    let images = &mut draft.images.as_mut().unwrap().images;
    *images = (0..count)
        .map(|number| {
            let (photo, _) = Photo::of(&[number; 50], MediaType::Jpeg, "photo").unwrap();
            (&photo).into()
        })
        .collect();
    let member = "KE".parse().unwrap();
    let record = Record::validate(&draft, &BUILT_IN, &member).unwrap();
    record.seal(
        RecordId::new(1_795_000_000_000, [3; 10]),
        1,
        &mut SmallRng::seed_from_u64(9),
    )
}

/// A seizure in the short form with nothing but what is mandatory.
fn minimal() -> v1::Draft {
    v1::Draft {
        kind: v1::RecordKind::Seizure.into(),
        case: Some(v1::Case {
            class: Some(v1::Class {
                report_type: text("seizure"),
                handling_code: text("H0"),
                seizure_country: text("KE"),
                ..Default::default()
            }),
            conveyance_type: text("unknown"),
            goods: vec![v1::Goods {
                category: text("drugs"),
                ..Default::default()
            }],
            short_form: true,
            ..Default::default()
        }),
        exact: Some(v1::Exact {
            seizure_date: text("2026-05-31"),
            goods: vec![v1::GoodsExact {
                quantity: text("3"),
                unit: text("KGM"),
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A record borrows its draft; a test's may stay for good.
fn validate(draft: v1::Draft) -> Result<Record<'static>, Vec<FieldError>> {
    validate_again(Draft::from(&*Box::leak(Box::new(draft))))
}

fn validate_again(draft: Draft<'static>) -> Result<Record<'static>, Vec<FieldError>> {
    static KENYA: std::sync::LazyLock<MemberId> = std::sync::LazyLock::new(|| "KE".parse().unwrap());
    Record::validate(draft, &BUILT_IN, &KENYA)
}

/// The one error that a change to the complete draft leads to, as its sentence.
fn refused(change: impl FnOnce(&mut v1::Draft)) -> String {
    let mut draft = complete();
    change(&mut draft);
    let errors = validate(draft).expect_err("the change makes it invalid");
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

fn case(draft: &mut v1::Draft) -> &mut v1::Case {
    draft.case.as_mut().unwrap()
}

fn class(draft: &mut v1::Draft) -> &mut v1::Class {
    case(draft).class.as_mut().unwrap()
}

fn exact_of(draft: &mut v1::Draft) -> &mut v1::Exact {
    draft.exact.as_mut().unwrap()
}

fn person(draft: &mut v1::Draft) -> &mut v1::Person {
    &mut draft.persons.as_mut().unwrap().persons[0]
}

#[test]
fn exact_values_are_generalised() {
    let record = validate(complete()).unwrap();
    let case = record.draft().case.as_ref().unwrap();
    assert_eq!(case.seizure_month, "2026-05");
    let general: Vec<_> = case
        .goods
        .iter()
        .map(|goods| [&*goods.quantity_band, &*goods.unit, &*goods.value_band])
        .collect();
    assert_eq!(general, [["10000-100000", "H87", "1000-10000"], ["1-10", "KGM", ""]]);
    assert_eq!(case.persons[0].age_band, "35-44", "35 the day before her birthday");
    let class = case.class.as_ref().unwrap();
    assert_eq!(class.categories, ["drugs", "tobacco"]);
    assert_eq!((&*class.originator, class.kind), ("KE", 1));
}

#[test]
fn exact_values_get_one_spelling() {
    let record = validate(complete()).unwrap();
    let exact = record.draft().exact.as_ref().unwrap();
    assert_eq!((&*exact.goods[0].value, &*exact.goods[1].quantity), ("5000", "2500"));
    assert_eq!(
        (&*exact.vessel_imo, &*exact.container_numbers[0]),
        ("9074729", "CSQU3054383")
    );
    assert_eq!((&*exact.place, &*exact.legs[0].place), ("KEMBA", "BRSSZ"));
    assert_eq!(exact.legs.len(), 2, "filled up to the legs of the case");
    assert_eq!(record.draft().references.as_ref().unwrap().seals, ["SEAL-77"]);
    assert_eq!(
        record.draft().narrative.as_ref().unwrap().narrative,
        "Found behind\na false wall."
    );
}

#[test]
fn a_unit_may_stand_in_the_case_and_one_without_conversion_stays() {
    let mut draft = minimal();
    exact_of(&mut draft).goods[0].unit.clear();
    case(&mut draft).goods[0].unit = text("PR");
    let record = validate(draft).unwrap();
    assert_eq!(record.draft().exact.as_ref().unwrap().goods[0].unit, "PR");
    assert_eq!(record.draft().case.as_ref().unwrap().goods[0].unit, "PR");
}

#[test]
fn the_short_form_needs_little_and_may_know_bands_only() {
    let mut draft = minimal();
    assert!(validate(draft.clone()).is_ok());
    draft.exact = None;
    case(&mut draft).seizure_month = text("2026-05");
    let goods = &mut case(&mut draft).goods[0];
    (goods.quantity_band, goods.unit) = (text("1-10"), text("KGM"));
    let record = validate(draft).unwrap();
    let view = record.seal(RecordId::new(1, [1; 10]), 1, &mut SmallRng::seed_from_u64(1));
    assert_eq!(
        view.sections(),
        SectionSet::open(),
        "empty sections are not committed to"
    );
}

#[test]
fn blank_sections_are_not_committed_to() {
    let mut draft = minimal();
    draft.references = Some(v1::References {
        seals: vec![text(" ")],
        ..Default::default()
    });
    draft.narrative = Some(v1::Narrative {
        narrative: text(" \n"),
        ..Default::default()
    });
    case(&mut draft).persons = vec![v1::PersonProfile {
        role: text("unknown"),
        ..Default::default()
    }];
    draft.persons = Some(v1::Persons {
        persons: vec![v1::Person {
            family_name: text(" "),
            ..Default::default()
        }],
    });
    draft.images = Some(v1::Images::default());
    let view = validate(draft)
        .unwrap()
        .seal(RecordId::new(1, [1; 10]), 1, &mut SmallRng::seed_from_u64(1));
    assert_eq!(view.sections().to_string(), "case+exact");
}

#[test]
fn the_long_form_names_all_that_is_missing() {
    let mut draft = minimal();
    case(&mut draft).short_form = false;
    let errors = validate(draft).unwrap_err();
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    let expected = [
        "validation_status",
        "location_type",
        "direction",
        "detection_method",
        "concealment",
        "legs",
        "goods[0].kind",
        "national_reference",
    ];
    assert_eq!(fields, expected);
    assert!(errors.iter().all(|error| matches!(error.reason, Reason::Missing(_))));
}

#[test]
fn the_short_form_names_all_that_is_missing() {
    let draft = v1::Draft {
        kind: v1::RecordKind::Seizure.into(),
        case: Some(v1::Case {
            short_form: true,
            goods: vec![v1::Goods::default()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let errors = validate(draft).unwrap_err();
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    let expected = [
        "report_type",
        "handling_code",
        "seizure_country",
        "conveyance_type",
        "seizure_date",
        "goods[0].category",
        "goods[0].quantity",
    ];
    assert_eq!(fields, expected);
    assert_eq!(validate(v1::Draft::default()).unwrap_err()[0].field, "kind");
    assert_eq!(
        validate(v1::Draft {
            kind: 77,
            ..Default::default()
        })
        .unwrap_err()[0]
            .field,
        "kind"
    );
}

#[test]
fn suspects_and_companies_are_records_of_their_own() {
    let of_kind = |kind: v1::RecordKind| {
        let mut draft = minimal();
        draft.kind = kind.into();
        draft.exact = None;
        case(&mut draft).goods.clear();
        draft
    };
    let mut suspect = of_kind(v1::RecordKind::Suspect);
    assert_eq!(
        validate(suspect.clone()).unwrap_err()[0].to_string(),
        "`persons` is missing; a suspect record has a person"
    );
    case(&mut suspect).persons = vec![v1::PersonProfile {
        role: text("suspect"),
        ..Default::default()
    }];
    assert_eq!(validate(suspect).unwrap().kind(), RecordKind::Suspect);

    let mut company = of_kind(v1::RecordKind::Company);
    assert_eq!(validate(company.clone()).unwrap_err()[0].field, "companies");
    case(&mut company).companies = vec![v1::CompanyProfile {
        role: text("suspect"),
        country: text("KE"),
    }];
    assert_eq!(validate(company).unwrap().kind(), RecordKind::Company);
}

#[test]
fn errors_name_field_value_list_version_and_a_way_out() {
    let error = refused(|draft| exact_of(draft).goods[0].unit = text("GRAM"));
    assert_eq!(
        error,
        "`goods[0].unit`: `GRAM` is not a code of list `unit` (version 2026-11); did you mean `GRM`?"
    );
    let error = refused(|draft| class(draft).seizure_country = text("Kenya"));
    assert_eq!(
        error,
        "`seizure_country`: `Kenya` is not a code of list `country` (version 2026-11); did you mean `KE`?"
    );
    let error = refused(|draft| case(draft).goods[0].kind = text("cocaine"));
    assert_eq!(
        error,
        "`goods[0].kind`: `cocaine` is not a code of list `kind-tobacco` (version 2026-11)"
    );

    let mut draft = complete();
    case(&mut draft).direction = text("imprt");
    let json = serde_json::to_value(&validate(draft).unwrap_err()[0]).unwrap();
    assert_eq!(json["list"], serde_json::json!(["direction", "2026-11"]));
    assert_eq!((&json["field"], &json["value"]), (&"direction".into(), &"imprt".into()));
}

#[test]
fn each_bad_field_is_refused_by_name() {
    type Change = fn(&mut v1::Draft);
    let changes: [(&str, Change); 42] = [
        ("`report_type`: `x`", |draft| class(draft).report_type = text("x")),
        ("`handling_code`: `H9`", |draft| class(draft).handling_code = text("H9")),
        ("`operation_id`: `a b`", |draft| class(draft).operation_id = text("a b")),
        ("`originator`: `UG` contradicts", |draft| {
            class(draft).originator = text("UG")
        }),
        ("`categories`: `cites` contradicts goods", |draft| {
            class(draft).categories = vec![text("cites")]
        }),
        ("`class.kind`: `2` contradicts", |draft| class(draft).kind = 2),
        ("`validation_status` is missing", |draft| {
            case(draft).validation_status = text(" ")
        }),
        (
            "`seizure_month`: `2026-04` contradicts seizure_date, which gives `2026-05`",
            |draft| case(draft).seizure_month = text("2026-04"),
        ),
        ("`seizure_date`: `31/05/2026` is not a date", |draft| {
            exact_of(draft).seizure_date = text("31/05/2026")
        }),
        ("`source_evaluation`: `Z`", |draft| {
            case(draft).source_evaluation = text("Z")
        }),
        ("`information_evaluation`: `5`", |draft| {
            case(draft).information_evaluation = text("5")
        }),
        ("`outcome`: `x`", |draft| case(draft).outcome = text("x")),
        ("`conveyance_flag`: `QQ`", |draft| {
            case(draft).conveyance_flag = text("QQ")
        }),
        ("`related_records[0]`: `x` is not a record id", |draft| {
            case(draft).related_records = vec![text("x")]
        }),
        ("`legs` is missing", |draft| {
            case(draft).legs.clear();
            exact_of(draft).legs.clear();
        }),
        ("`legs` has 3 items, but there are only 2", |draft| {
            exact_of(draft).legs.resize(3, v1::LegExact { place: text("x") })
        }),
        ("`legs[1].role`: `via`", |draft| case(draft).legs[1].role = text("via")),
        ("`legs[0].country`: `Brasil`", |draft| {
            case(draft).legs[0].country = text("Brasil")
        }),
        ("`goods` has 201 items", |draft| {
            let banded = v1::Goods {
                quantity_band: text("1-10"),
                unit: text("KGM"),
                ..complete().case.unwrap().goods[0].clone()
            };
            case(draft).goods.resize(201, banded);
        }),
        ("`goods` has 3 items, but there are only 2", |draft| {
            exact_of(draft).goods.resize(
                3,
                v1::GoodsExact {
                    brand: text("x"),
                    ..Default::default()
                },
            )
        }),
        ("`goods[1].hs_code`: `77` is not an HS code", |draft| {
            case(draft).goods[1].hs_code = text("77")
        }),
        (
            "`goods[0].quantity_band`: `1-10` contradicts the exact quantity, which gives `10000-100000`",
            |draft| case(draft).goods[0].quantity_band = text("1-10"),
        ),
        ("`goods[1].unit`: `LTR` contradicts", |draft| {
            case(draft).goods[1].unit = text("LTR")
        }),
        ("`goods[0].quantity`: `-3` is not a number", |draft| {
            exact_of(draft).goods[0].quantity = text("-3")
        }),
        ("`goods[0].value_band`: `under-100` contradicts", |draft| {
            case(draft).goods[0].value_band = text("under-100")
        }),
        ("`goods[0].currency` is missing; a value has a currency", |draft| {
            case(draft).goods[0].currency.clear()
        }),
        ("`goods[0].cites_appendix`: `IV`", |draft| {
            case(draft).goods[0].cites_appendix = text("IV")
        }),
        ("`goods[0].brand`: `a\\u{202e}b` holds the character U+202E", |draft| {
            exact_of(draft).goods[0].brand = text("a\u{202e}b")
        }),
        (
            "`vessel_imo`: `9074720` has a wrong check digit; it would be `9`",
            |draft| exact_of(draft).vessel_imo = text("9074720"),
        ),
        (
            "`container_numbers[0]`: `CSQU3054380` has a wrong check digit; it would be `3`",
            |draft| exact_of(draft).container_numbers[0] = text("CSQU3054380"),
        ),
        ("`persons[0].role` is missing", |draft| {
            case(draft).persons[0].role.clear()
        }),
        ("`persons` has 2 items, but there are only 1", |draft| {
            draft.persons.as_mut().unwrap().persons.resize(
                2,
                v1::Person {
                    occupation: text("x"),
                    ..Default::default()
                },
            )
        }),
        ("`persons[0].birth_date`: `2027` contradicts seizure_date", |draft| {
            person(draft).birth_date = text("2027")
        }),
        (
            "`persons[0].age_band`: `18-24` contradicts birth_date, which gives `35-44`",
            |draft| case(draft).persons[0].age_band = text("18-24"),
        ),
        ("`persons[0].papers[0].type`: `pasport`", |draft| {
            person(draft).papers[0].r#type = text("pasport")
        }),
        ("`persons[0].warnings[0]`: `loud`", |draft| {
            person(draft).warnings[0] = text("loud")
        }),
        ("`persons[0].aliases` has 21 items", |draft| {
            person(draft).aliases = vec![text("x"); 21]
        }),
        ("has 513 bytes; the most allowed is 512", |draft| {
            draft.companies.as_mut().unwrap().companies[0].name = "x".repeat(513)
        }),
        ("`images[0].sha256` is not a SHA-256", |draft| {
            draft.images.as_mut().unwrap().images[0].sha256 = vec![1; 31].into()
        }),
        ("`images[0].pieces` is not a SHA-256", |draft| {
            draft.images.as_mut().unwrap().images[0].pieces = vec![1; 33].into()
        }),
        ("`images[0].size`: `33554433` is out of range", |draft| {
            draft.images.as_mut().unwrap().images[0].size = (32 << 20) + 1
        }),
        ("`images[0].media_type`: `image/gif`", |draft| {
            draft.images.as_mut().unwrap().images[0].media_type = text("image/gif")
        }),
    ];
    for (expected, change) in changes {
        let error = refused(change);
        assert!(error.contains(expected), "{expected}\n{error}");
    }
}

#[test]
fn a_record_too_large_in_all_is_refused() {
    let mut draft = complete();
    let long = "x".repeat(crate::validate::TEXT_BYTES_MAX);
    case(&mut draft).persons.resize(
        200,
        v1::PersonProfile {
            role: text("courier"),
            ..Default::default()
        },
    );
    let person = v1::Person {
        aliases: vec![long; 20],
        ..Default::default()
    };
    draft.persons.as_mut().unwrap().persons.resize(200, person);
    let errors = validate(draft).unwrap_err();
    assert!(
        matches!(
            errors[..],
            [FieldError {
                reason: Reason::RecordTooLarge { .. },
                ..
            }]
        ),
        "{errors:?}"
    );
}

#[test]
fn the_largest_record_can_be_sealed() {
    let mut draft = complete();
    case(&mut draft).persons.resize(
        200,
        v1::PersonProfile {
            role: text("courier"),
            ..Default::default()
        },
    );
    let person = v1::Person {
        aliases: vec!["x".repeat(512); 7],
        ..Default::default()
    };
    draft.persons.as_mut().unwrap().persons.resize(200, person);
    let view = validate(draft)
        .unwrap()
        .seal(RecordId::new(1, [1; 10]), 2, &mut SmallRng::seed_from_u64(1));
    assert!(view.bytes().len() > RECORD_BYTES_MAX / 10 * 9);
    assert_eq!(view.head().kind, EntryKind::Amend);
}

#[test]
fn sealing_keeps_everything_and_verifies() {
    let record = validate(complete()).unwrap();
    let expected = record.draft().clone();
    let id = RecordId::new(1_795_000_000_000, [3; 10]);
    let view = record.seal(id, 1, &mut SmallRng::seed_from_u64(5));
    assert_eq!(view.sections(), SectionSet::ALL);
    assert_eq!(
        (view.head().record_id, view.head().version, view.head().kind),
        (id, 1, EntryKind::Issue)
    );
    assert_eq!(Draft::from(&view.decode().unwrap()), expected);
    assert_eq!(
        view.class_bytes().unwrap(),
        view.decode().unwrap().case.unwrap().class.unwrap().encode_to_vec()
    );
    assert!(view.verify().is_ok());
}

#[test]
fn nothing_exact_or_nominal_is_in_the_open_form() {
    let mut draft = complete();
    let words = [
        "Brandname",
        "Example Star",
        "9074729",
        "CSQU3054383",
        "KEMBA",
        "2026-05-31",
        "KRA/2026/0815",
        "SEAL-77",
        "Muster",
        "Erika",
        "1990-06-01",
        "P0000001",
        "Example Imports",
        "false wall",
        "12000",
        "Unit 4, Dock Road",
    ];
    exact_of(&mut draft).customs_office = text("Unit 4, Dock Road");
    let view = validate(draft)
        .unwrap()
        .seal(RecordId::new(1, [1; 10]), 1, &mut SmallRng::seed_from_u64(1));
    let mut upstream = Vec::new();
    Denominalised::of(&view.borrowed()).unwrap().write(&mut upstream);
    let held = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
    for word in words {
        assert!(held(view.bytes(), word), "`{word}` is in the whole record");
        assert!(!held(&upstream, word), "`{word}` must not go upstream");
    }
}

proptest! {
    #[test]
    fn validating_a_valid_record_again_changes_nothing(quantity in 0_u64..1_000_000_000, scale in 0_u32..6, unit in 0_usize..5) {
        let mut draft = complete();
        let goods = &mut exact_of(&mut draft).goods[1];
        goods.quantity = rust_decimal::Decimal::new(quantity.try_into().unwrap(), scale).to_string();
        goods.unit = text(["GRM", "KGM", "MLT", "X-TRIP", "PR"][unit]);
        let once = validate(draft).unwrap();
        prop_assert_eq!(validate_again(once.draft().clone()).unwrap(), once);
    }

    #[test]
    fn any_text_anywhere_is_accepted_or_refused(text in "\\PC{0,30}", field in 0_usize..14) {
        let mut draft = complete();
        let place: &mut String = match field {
            0 => &mut class(&mut draft).seizure_country,
            1 => &mut case(&mut draft).seizure_month,
            2 => &mut case(&mut draft).goods[0].hs_code,
            3 => &mut exact_of(&mut draft).seizure_date,
            4 => &mut exact_of(&mut draft).place,
            5 => &mut exact_of(&mut draft).vessel_imo,
            6 => &mut exact_of(&mut draft).vessel_mmsi,
            7 => &mut exact_of(&mut draft).flight_number,
            8 => &mut exact_of(&mut draft).container_numbers[0],
            9 => &mut exact_of(&mut draft).goods[0].quantity,
            10 => &mut exact_of(&mut draft).goods[0].unit,
            11 => &mut person(&mut draft).birth_date,
            12 => &mut person(&mut draft).family_name,
            _ => &mut class(&mut draft).operation_id,
        };
        *place = text;
        if let Ok(record) = validate(draft) {
            let view = record.seal(RecordId::new(1, [1; 10]), 1, &mut SmallRng::seed_from_u64(1));
            prop_assert!(view.verify().is_ok());
        }
    }
}
