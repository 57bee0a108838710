//! That the lists are whole, and that real data maps to them.

// Written past the capture of test output: a test that did not run says so.
use std::collections::HashMap;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use super::*;

/// The built-in lists, read once for all tests.
pub(crate) static BUILT_IN: std::sync::LazyLock<CodeLists> = std::sync::LazyLock::new(CodeLists::built_in);

/// A file of the public code lists that are not part of the project.
fn shared(file: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/codes")).join(file);
    if path.exists() {
        return Some(path);
    }
    let _ = writeln!(std::io::stderr(), "skipped: no public code list at {}", path.display());
    None
}

fn json(path: &PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_built_in_file_is_read_and_every_list_has_codes() {
    let mut lists = CodeLists {
        lists: List::ALL.iter().map(|list| CodeList::empty(*list)).collect(),
        conversions: Default::default(),
    };
    for (file, text) in super::BUILT_IN {
        lists
            .add_table(text.as_bytes(), None)
            .unwrap_or_else(|error| panic!("{file}: {error:?}"));
    }
    for list in List::ALL {
        let installed_only = matches!(list, List::Hs | List::Unlocode);
        assert_eq!(lists.list(*list).is_empty(), installed_only, "{list}");
        assert_eq!(lists.list(*list).list(), *list);
        assert_eq!(List::named(list.name()), Some(*list));
    }
    assert_eq!(lists.list(List::CommodityCategory).len(), 13);
    for (category, _) in lists.list(List::CommodityCategory).codes() {
        assert!(List::of_kinds(category).is_some(), "{category}");
    }
    for (unit, conversion) in &lists.conversions {
        assert!(lists.list(List::Unit).contains(&conversion.unit), "{unit}");
        assert!(conversion.factor > Decimal::ZERO, "{unit}");
        // A normal unit is its own, or normalising would not end.
        assert_eq!(
            lists.conversion(&conversion.unit).unwrap().factor,
            Decimal::ONE,
            "{unit}"
        );
    }
}

#[test]
fn no_row_repeats_a_code_and_no_spelling_means_two() {
    for (file, text) in super::BUILT_IN {
        let mut seen: HashMap<(String, String), String> = HashMap::new();
        for row in csv::Reader::from_reader(text.as_bytes()).records() {
            let row = row.unwrap();
            let (list, code) = (row[0].to_owned(), row[1].to_owned());
            let spellings = [code.as_str(), &row[2]]
                .into_iter()
                .chain(row[3].split('|'))
                .map(folded);
            for spelling in spellings.filter(|spelling| !spelling.is_empty()) {
                let first = seen
                    .entry((list.clone(), spelling.clone()))
                    .or_insert_with(|| code.clone());
                assert_eq!(*first, code, "{file}: `{spelling}` of list `{list}`");
            }
        }
    }
}

#[test]
fn spellings_lead_to_codes() {
    let lists = &*BUILT_IN;
    let code_of = |list, text| lists.list(list).code_of(text);
    assert_eq!(code_of(List::Country, "CÔTE D'IVOIRE"), Some("CI"));
    assert_eq!(code_of(List::Country, "Kosovo under UNSCR 1244"), Some("XK"));
    assert_eq!(code_of(List::Unit, "Paper (1/10 gm)"), Some("X-PAPER-DG"));
    assert_eq!(code_of(List::Drug, "5F-APINACA, 5F-AKB-48"), Some("5f-apinaca"));
    assert_eq!(code_of(List::Direction, "Border - inbound"), Some("import"));
    assert_eq!(code_of(List::Country, "Unknown"), None);
    assert_eq!(code_of(List::Country, ""), None);
    assert_eq!(code_of(List::Country, "—"), None);
}

#[test]
fn a_spelling_that_another_code_had_first_stays_its_own() {
    let mut list = CodeList::empty(List::Unit);
    list.add("A", "first", ["b"].into_iter());
    list.add("B", "second", std::iter::empty());
    assert!(list.contains("B"));
    assert_eq!(list.code_of("B"), Some("A"), "as any other way to write it");
    assert_eq!(list.code_of("second"), Some("B"));
}

#[test]
fn every_code_leads_where_its_folded_spelling_does() {
    for list in List::ALL {
        let list = BUILT_IN.list(*list);
        for (code, _) in list.codes() {
            assert_eq!(
                list.code_of(code),
                list.spellings.get(&folded(code)).map(String::as_str)
            );
        }
    }
}

#[test]
fn near_codes_are_suggested_and_far_ones_not() {
    let lists = &*BUILT_IN;
    let suggestion = |list, text| lists.list(list).suggestion(text);
    assert_eq!(suggestion(List::Unit, "GRAM"), Some("GRM"));
    assert_eq!(suggestion(List::Drug, "cocain"), Some("cocaine"));
    assert_eq!(suggestion(List::Direction, "imprt"), Some("import"));
    assert_eq!(suggestion(List::Direction, "sideways"), None);
    assert_eq!(suggestion(List::Drug, &"x".repeat(100_000)), None);
}

#[test]
fn units_convert() {
    let lists = &*BUILT_IN;
    let conversion = |unit| lists.conversion(unit).map(|c| (c.unit.as_str(), c.factor.to_string()));
    assert_eq!(conversion("GRM"), Some(("KGM", "0.001".to_owned())));
    assert_eq!(conversion("X-THOUSAND-TABLETS"), Some(("H87", "1000".to_owned())));
    assert_eq!(conversion("PR"), None);
}

#[test]
fn every_value_of_the_real_seizures_maps() {
    let Some(path) = shared("unodc_ids_value_lists.json") else {
        return;
    };
    let (lists, values) = (&*BUILT_IN, json(&path));
    let columns = [
        ("DRUG_NAME", List::Drug),
        ("DRUG_UNIT", List::Unit),
        ("HIDING_PLACE", List::Concealment),
        ("INSTALLATION", List::LocationType),
        ("TRANSPORT", List::ConveyanceType),
        ("ROUTING", List::Direction),
        ("COUNTRY", List::Country),
    ];
    for (column, list) in columns {
        let values = values["value_lists"][column].as_array().unwrap();
        assert!(values.len() > 5, "{column}");
        for value in values
            .iter()
            .map(|value| value["value"].as_str().unwrap())
            .filter(|value| !value.is_empty())
        {
            assert!(lists.list(list).code_of(value).is_some(), "{column}: `{value}`");
        }
    }
}

#[test]
fn our_countries_and_currencies_are_those_of_iso() {
    let (Some(countries), Some(currencies)) = (shared("iso_3166-1.json"), shared("iso_4217.json")) else {
        return;
    };
    let lists = &*BUILT_IN;
    let check = |value: &Value, code: &str, list| {
        let items = value.as_array().unwrap();
        for item in items {
            let (code, name) = (item[code].as_str().unwrap(), item["name"].as_str().unwrap());
            assert!(lists.list(list).contains(code), "{code} {name}");
            if list == List::Country {
                assert_eq!(lists.list(list).code_of(name), Some(code), "{name}");
            }
        }
        items.len()
    };
    // Kosovo has a code that ISO leaves to its users; the WCO has it as a member.
    assert_eq!(
        check(&json(&countries)["3166-1"], "alpha_2", List::Country) + 1,
        lists.list(List::Country).len()
    );
    check(&json(&currencies)["4217"], "alpha_3", List::Currency);
}

#[test]
fn our_units_and_packages_are_those_of_unece() {
    let (Some(units), Some(packages)) = (shared("unece_rec20_units.csv"), shared("unece_rec21_packages.csv")) else {
        return;
    };
    let lists = &*BUILT_IN;
    for (path, list) in [(units, List::Unit), (packages, List::PackageType)] {
        let mut official = CodeLists {
            lists: List::ALL.iter().map(|list| CodeList::empty(*list)).collect(),
            conversions: Default::default(),
        };
        official.load_file(&path).unwrap();
        for (code, name) in lists.list(list).codes().filter(|(code, _)| !code.starts_with("X-")) {
            assert!(official.list(list).contains(code), "{code} {name}");
        }
    }
}

#[test]
fn official_lists_can_be_installed() {
    let mut lists = CodeLists::built_in();
    let files = [
        "hs2022.csv",
        "unece_rec20_units.csv",
        "unece_rec21_packages.csv",
        "sea_ports_unlocode.json",
        "iso_3166-1.json",
    ];
    for file in files {
        let Some(path) = shared(file) else { return };
        lists.load_file(&path).unwrap();
    }
    assert!(lists.list(List::Hs).contains("010121") && !lists.list(List::Hs).contains("TOTAL"));
    assert!(lists.list(List::Hs).len() > 6_900);
    assert!(lists.list(List::Unlocode).contains("KEMBA"));
    assert!(lists.list(List::PackageType).contains("1A"));
    assert!(
        lists.list(List::Unit).contains("KTN") && !lists.list(List::Unit).contains("05"),
        "deleted codes stay out"
    );
    assert_eq!(
        lists.list(List::Unit).code_of("gram"),
        Some("GRM"),
        "what is built in keeps its meaning"
    );
    assert!(lists.list(List::Unit).version().starts_with("2026-11+"));
    assert_eq!(lists.list(List::Drug).version(), "2026-11");
}

/// A folder of its own for each test that writes files.
fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("icomm-codes-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    for (file, text) in files {
        std::fs::write(folder.join(file), text).unwrap();
    }
    folder
}

#[test]
fn a_folder_of_lists_is_installed() {
    let folder = folder(
        "good",
        &[
            ("drug.csv", "code,name,aliases\nnew-drug,New drug,brand new|NEWD\n"),
            ("own.csv", "list,code,name\noutcome,settled,Settled\n"),
            ("readme.txt", "not a list"),
        ],
    );
    let mut lists = CodeLists::built_in();
    lists.load_dir(&folder).unwrap();
    assert_eq!(lists.list(List::Drug).code_of("newd"), Some("new-drug"));
    assert!(lists.list(List::Outcome).contains("settled") && lists.list(List::Outcome).contains("pending"));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_bad_file_installs_nothing() {
    type Expected = fn(&InvalidCodeList) -> bool;
    let bad: [(&str, &str, Expected); 8] = [
        ("z.csv", "code,name\n1,x\n", |error| {
            matches!(error, InvalidCodeList::Heading)
        }),
        ("z.csv", "list,code,name\nnone,1,x\n", |error| {
            matches!(error, InvalidCodeList::UnknownList(_))
        }),
        ("unit.csv", "code,name\n,x\n", |error| {
            matches!(error, InvalidCodeList::NoCode(2))
        }),
        ("unit.csv", "code,name\nA,b,c,d\n", |error| {
            matches!(error, InvalidCodeList::Csv(_))
        }),
        ("unit.csv", "code,name,normal,factor\nA,b,KGM,1e\n", |error| {
            matches!(error, InvalidCodeList::Factor(..))
        }),
        ("z.json", "{", |error| matches!(error, InvalidCodeList::Json(_))),
        ("z.json", "{\"a\":1}", |error| matches!(error, InvalidCodeList::Heading)),
        ("z.json", "{\"3166-1\":[{\"alpha_2\":\"QQ\"}]}", |error| {
            matches!(error, InvalidCodeList::Heading)
        }),
    ];
    for (index, (file, text, expected)) in bad.into_iter().enumerate() {
        let folder = folder(
            &format!("bad{index}"),
            &[("drug.csv", "code,name\nnew-drug,New drug\n"), (file, text)],
        );
        let mut lists = CodeLists::built_in();
        let InvalidCodeList::File { path, source } = lists.load_dir(&folder).unwrap_err() else {
            panic!("names the file")
        };
        assert!(path.ends_with(file) && expected(&source), "{text}: {source:?}");
        assert!(!lists.list(List::Drug).contains("new-drug"), "all or nothing");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
