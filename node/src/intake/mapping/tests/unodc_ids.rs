//! The mapping `unodc-ids` against the real file and against every value that occurs in the whole of IDS.

// Written past the capture of test output: a test that did not run says so.
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use icomm_proto::Record;

use super::*;

/// A real file, or `None` with a word about it where the folder isn't there.
fn real(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(name);
    if path.is_file() {
        return Some(path);
    }
    let _ = writeln!(
        std::io::stderr(),
        "skipped: there is no real data at {}",
        path.display()
    );
    None
}

/// A row that is good but for what it is given.
fn with(column: &str, value: &str) -> Row {
    let mut cells = BTreeMap::from([
        ("COUNTRY", "Spain"),
        ("SEIZURE_DATE", "2011-02-03"),
        ("DRUG_NAME", "Cocaine"),
        ("AMOUNT", "1.5"),
        ("DRUG_UNIT", "Gram"),
    ]);
    cells.insert(column, value);
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells.keys()).unwrap();
    writer.write_record(cells.values()).unwrap();
    row(&String::from_utf8(writer.into_inner().unwrap()).unwrap())
}

/// Every value of a column in all 311,038 rows, as counted.
fn values(column: &str) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(real("codes/unodc_ids_value_lists.json")?).unwrap();
    let lists: serde_json::Value = serde_json::from_str(&text).unwrap();
    let list = lists["value_lists"][column].as_array().unwrap();
    Some(
        list.iter()
            .map(|entry| entry["value"].as_str().unwrap().to_owned())
            .collect(),
    )
}

/// Which values of a column are not mapped, and as which kind of fault.
fn unmapped(column: &str) -> Vec<(String, FaultKind)> {
    let mapping = builtin("unodc-ids");
    let mut refused = Vec::new();
    for value in values(column).unwrap_or_default() {
        match drafted(&mapping, &with(column, &value)) {
            Ok(mapped) => {
                let (lists, spain) = (lists(), "ES".parse().unwrap());
                let valid = Record::validate(&mapped.draft, &lists, &spain);
                assert!(valid.is_ok(), "{column} {value}: {:?}", valid.unwrap_err());
            }
            Err(faults) => {
                assert_eq!(faults.len(), 1, "{value}: {faults:?}");
                assert_eq!(faults[0].column.as_deref(), Some(column), "{value}");
                refused.push((value, faults[0].kind));
            }
        }
    }
    refused
}

#[test]
fn every_value_of_the_coded_columns_is_mapped_or_refused_on_purpose() {
    for (column, count) in [
        ("DRUG_NAME", 343),
        ("HIDING_PLACE", 38),
        ("INSTALLATION", 80),
        ("TRANSPORT", 16),
        ("ROUTING", 7),
    ] {
        let Some(values) = values(column) else { return };
        assert_eq!(values.len(), count, "{column}");
        assert_eq!(unmapped(column), [], "{column}");
    }
    assert_eq!(values("DRUG_UNIT").unwrap().len(), 44);
    let units = [
        (String::new(), FaultKind::Missing),
        ("other".to_owned(), FaultKind::RefusedValue),
    ];
    assert_eq!(unmapped("DRUG_UNIT"), units);
}

#[test]
fn every_country_name_is_mapped_or_refused_on_purpose() {
    // The names of the whole of IDS that are not those of ISO 3166-1.
    let odd = [
        ("Aland Islands", Some("AX")),
        ("Iraq (Central Iraq)", Some("IQ")),
        ("Iraq (Kurdistan Region)", Some("IQ")),
        ("Kosovo under UNSCR 1244", Some("XK")),
        ("Lao Peoples Democratic Republic", Some("LA")),
        ("Libyan Arab Jamahiriya", Some("LY")),
        ("Macau, SAR of China", Some("MO")),
        ("Macedonia, the former Yugoslav Republic of", Some("MK")),
        ("Multiple Countries", None),
        ("Netherlands Antilles", None),
        ("Other", None),
        ("Swaziland", Some("SZ")),
        ("Turkey", Some("TR")),
        ("United Kingdom (England and Wales)", Some("GB")),
        ("Unknown", None),
    ];
    let mapping = builtin("unodc-ids");
    for (name, code) in odd {
        let country = drafted(&mapping, &with("COUNTRY", name))
            .map(|mapped| mapped.draft.case.unwrap().class.unwrap().seizure_country);
        match code {
            Some(code) => assert_eq!(country.as_deref(), Ok(code), "{name}"),
            None => assert_eq!(country.unwrap_err()[0].kind, FaultKind::RefusedValue, "{name}"),
        }
        // On the way, a country that nobody knows is left blank, and one that is no country refused.
        for column in ["PRODUCING_COUNTRY", "DEPARTURE_COUNTRY", "DESTINATION_COUNTRY"] {
            let mapped = drafted(&mapping, &with(column, name));
            match name {
                "Multiple Countries" | "Netherlands Antilles" => {
                    assert_eq!(mapped.unwrap_err()[0].kind, FaultKind::RefusedValue, "{column} {name}");
                }
                "Other" | "Unknown" => assert_eq!(mapped.unwrap().draft.case.unwrap().legs, [], "{column} {name}"),
                _ => {
                    let case = mapped.unwrap().draft.case.unwrap();
                    assert_eq!(Some(case.legs[0].country.as_str()), code, "{column} {name}");
                    let goods = &case.goods[0].producing_country;
                    assert_eq!(goods == case.legs[0].country.as_str(), column == "PRODUCING_COUNTRY");
                }
            }
        }
    }
    assert_eq!(unmapped("COUNTRY"), []);
    let Some(iso) = real("codes/iso_3166-1.json") else {
        return;
    };
    let iso: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(iso).unwrap()).unwrap();
    for country in iso["3166-1"].as_array().unwrap() {
        let name = country["name"].as_str().unwrap();
        let mapped = drafted(&mapping, &with("COUNTRY", name)).unwrap();
        let code = mapped.draft.case.unwrap().class.unwrap().seizure_country;
        assert_eq!(Some(code.as_str()), country["alpha_2"].as_str(), "{name}");
    }
}

#[test]
fn precursors_are_told_from_drugs() {
    let mapping = builtin("unodc-ids");
    for (name, category, kind) in [
        ("Cocaine", "drugs", "cocaine"),
        ("Acetic Anhydride", "precursors", "acetic-anhydride"),
        ("Tabacco", "tobacco", "other"),
    ] {
        let goods = drafted(&mapping, &with("DRUG_NAME", name))
            .unwrap()
            .draft
            .case
            .unwrap()
            .goods
            .remove(0);
        assert_eq!((goods.category.as_str(), goods.kind.as_str()), (category, kind));
    }
}

#[test]
fn every_row_of_the_real_file_becomes_a_valid_record_of_its_owner() {
    let Some(path) = real("unodc_ids_2011_2014_crossborder.csv") else {
        return;
    };
    let mapping = builtin("unodc-ids");
    let lists = lists();
    let (mut rows, mut valid, mut owners) = (0, 0, BTreeMap::<String, u32>::new());
    let source = Source::open(&path, mapping.read_options().clone()).unwrap();
    source
        .read(&mut |reading| {
            let row = reading.unwrap();
            if rows == 0 {
                assert_eq!(mapping.fit(row.header()), Fit::default());
            }
            rows += 1;
            let owner = match mapping.owner(row) {
                Ok(Owner::Member(member)) => member,
                other => panic!("line {}: {other:?}", row.line()),
            };
            *owners.entry(owner.to_string()).or_default() += 1;
            let mapped = mapping
                .draft(row)
                .unwrap_or_else(|faults| panic!("line {}: {faults:?}", row.line()));
            match Record::validate(mapped.draft, &lists, &owner) {
                Ok(_) => valid += 1,
                Err(errors) => panic!("line {}: {errors:?}", row.line()),
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((rows, valid), (8_861, 8_861));
    assert_eq!(owners.len(), 49);
    assert_eq!((owners["ES"], owners["PK"], owners["SZ"]), (4_301, 980, 2));
}
