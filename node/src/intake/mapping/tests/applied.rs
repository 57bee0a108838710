//! Rows under a mapping: values in their fields, faults with their columns.

use super::*;

const MAPPING: &str = r#"
name = "test"
kind = "seizure"
ignore = ["Note"]

[owner]
column = "Land"
table = "land"
belongs = { MQ = "FR" }

[key]
except = ["Nr"]

[[field]]
to = "report_type"
value = "seizure"

[[field]]
to = "seizure_country"
column = "Land"
table = "land"
required = true

[[field]]
to = "seizure_date"
column = "Datum"
date = ["DD.MM.YYYY", "iso"]
required = true

[[field]]
to = "goods[n].category"
value = "drugs"
repeat = 2

[[field]]
to = "goods[n].kind"
column = "Stoff {n}"
table = "stoff"
repeat = 2

[[field]]
to = "goods[n].quantity"
column = "Menge {n}"
number = { decimal = ",", thousands = "." }
unit_column = "Einheit {n}"
unit_table = "einheit"
repeat = 2

[[field]]
to = "goods[0].package_count"
column = "Pakete"

[[field]]
to = "seals"
column = "Siegel"

[[field]]
to = "direction"
column = "Richtung"
default = "import"

[[field]]
to = "persons[1].family_name"
column = "Name"

[[field]]
to = "persons[1].sex"
column = "Geschlecht"
default = "X"

[[field]]
to = "short_form"
column = "Kurz"

[table.land]
list = "country"
blank = ["Unbekannt"]
[table.land.codes]
"Deutschland" = "DE"
[table.land.refuse]
"Mehrere" = "names no single country"

[table.stoff.codes]
"Kokain" = "cocaine"
"Aceton" = { code = "acetone", with = { "goods[0].category" = "precursors" } }

[table.einheit.codes]
"kg" = "KGM"
"Viss" = { code = "KGM", times = "1.633" }
"#;

const HEADER: &str =
    "Nr;Land;Datum;Stoff 1;Menge 1;Einheit 1;Stoff 2;Menge 2;Einheit 2;Pakete;Siegel;Name;Geschlecht;Kurz;Note;Extra\n";

fn mapped(line: &str) -> Result<Drafted, Vec<Fault>> {
    drafted(&parse(MAPPING).unwrap(), &row(&format!("{HEADER}{line}\n")))
}

#[test]
fn values_find_their_fields() {
    let Drafted { draft, .. } = mapped("1;deutschland;03.12.2011;kokain;1.250,5;kg;;;;3;\"A1; B2\";;;yes;;").unwrap();
    let case = draft.case.unwrap();
    let class = case.class.unwrap();
    assert_eq!(
        (class.report_type.as_str(), class.seizure_country.as_str()),
        ("seizure", "DE")
    );
    assert_eq!(case.direction, "import");
    assert!(case.short_form);
    assert_eq!(case.goods.len(), 1, "goods that no column fills don't exist");
    let goods = &case.goods[0];
    assert_eq!(
        (goods.category.as_str(), goods.kind.as_str(), goods.package_count),
        ("drugs", "cocaine", 3)
    );
    let exact = draft.exact.unwrap();
    assert_eq!(exact.seizure_date, "2011-12-03");
    assert_eq!(
        (exact.goods[0].quantity.as_str(), exact.goods[0].unit.as_str()),
        ("1250.5", "KGM")
    );
    assert_eq!(draft.references.unwrap().seals, ["A1", "B2"].map(String::from));
    assert!(
        case.persons.is_empty() && draft.persons.is_none(),
        "a default makes no person"
    );
}

#[test]
fn list_elements_move_together_and_are_traced_back() {
    let mapping = parse(MAPPING).unwrap();
    let row = row(&format!("{HEADER}1;FR;2011-12-03;;;;Kokain;2;viss;;;Doe;;;;\n"));
    let Drafted { draft, trail } = drafted(&mapping, &row).unwrap();
    let case = draft.case.unwrap();
    assert_eq!(
        (
            case.goods.len(),
            case.goods[0].kind.as_str(),
            case.goods[0].category.as_str()
        ),
        (1, "cocaine", "drugs")
    );
    assert_eq!(draft.exact.unwrap().goods[0].quantity, "3.266");
    assert_eq!((case.persons.len(), case.persons[0].sex.as_str()), (1, "X"));
    assert_eq!(draft.persons.unwrap().persons[0].family_name, "Doe");
    for (field, column) in [
        ("goods[0].kind", Some("Stoff 2")),
        ("exact.goods[0].unit", Some("Einheit 2")),
        ("case.goods[0].quantity", Some("Menge 2")),
        ("persons.persons[0].family_name", Some("Name")),
        ("case.class.seizure_country", Some("Land")),
        ("goods[1].kind", None),
        ("goods[0].category", None),
        ("nonsense", None),
    ] {
        assert_eq!(mapping.column_of(&trail, field), column, "{field}");
    }
}

#[test]
fn line_breaks_stay_in_prose_only() {
    let mapping = builtin("icomm-template");
    let row = row("place,narrative\n\"Kapitan  Andreevo\nBCP\",\"two\nlines\"\n");
    let draft = drafted(&mapping, &row).unwrap().draft;
    assert_eq!(draft.exact.unwrap().place, "Kapitan Andreevo BCP");
    assert_eq!(draft.narrative.unwrap().narrative, "two\nlines");
}

#[test]
fn a_table_can_settle_other_fields() {
    let draft = mapped("1;FR;2011-12-03;Aceton;2;kg;;;;;;;;;;").unwrap().draft;
    assert_eq!(draft.case.unwrap().goods[0].category, "precursors");
}

#[test]
fn all_faults_of_a_row_are_named_at_once() {
    let faults = mapped("1;Mehrere;31.02.2011;Kokian;1,5 kg;Sack;;;;;;;;;;").unwrap_err();
    let named: Vec<_> = faults
        .iter()
        .map(|fault| (fault.column.as_deref().unwrap(), fault.kind))
        .collect();
    assert_eq!(
        named,
        [
            ("Land", FaultKind::RefusedValue),
            ("Datum", FaultKind::Date),
            ("Stoff 1", FaultKind::UnknownValue),
            ("Einheit 1", FaultKind::UnknownValue),
        ]
    );
    assert_eq!(faults[0].reason, "is refused by the mapping: names no single country");
    assert!(
        faults[2].reason.ends_with("did you mean `kokain`?"),
        "{}",
        faults[2].reason
    );
    let kinds = |line: &str| -> Vec<FaultKind> { mapped(line).unwrap_err().iter().map(|fault| fault.kind).collect() };
    assert_eq!(
        kinds("1;;;Kokain;1;kg;;;;;;;;;;"),
        [FaultKind::Missing, FaultKind::Missing]
    );
    assert_eq!(
        kinds("1;Unbekannt;2011-12-03;Kokain;1;kg;;;;;;;;;;"),
        [FaultKind::Missing]
    );
    assert_eq!(kinds("1;FR;2011-12-03;Kokain;1;;;;;;;;;;;"), [FaultKind::Missing]);
    assert_eq!(kinds("1;FR;2011-12-03;Kokain;viel;kg;;;;;;;;;;"), [FaultKind::Number]);
    assert_eq!(
        kinds("1;FR;2011-12-03;Kokain;1;kg;;;;99999999999;;;;;;"),
        [FaultKind::Number]
    );
    assert_eq!(kinds("1;FR;2011-12-03;Kokain;1;kg;;;;1,5;;;;;;"), [FaultKind::Number]);
    assert_eq!(kinds("1;FR;2011-12-03;Kokain;1;kg;;;;;;;;maybe;;"), [FaultKind::Number]);
    let seals: String = (0..100).map(|seal| format!("S{seal}|")).collect();
    let listed = mapped(&format!("1;FR;2011-12-03;;;;;;;;\"{}\";;;;;", seals.replace('|', ";"))).unwrap_err();
    assert_eq!(listed[0].kind, FaultKind::List);
}

#[test]
fn owners() {
    let mapping = parse(MAPPING).unwrap();
    let owner = |land: &str| mapping.owner(&row(&format!("Land;Datum\n{land};x\n")));
    assert_eq!(owner("Deutschland"), Ok(Owner::Member("DE".parse().unwrap())));
    assert_eq!(owner("Martinique"), Ok(Owner::Member("FR".parse().unwrap())));
    assert_eq!(owner("de"), Ok(Owner::Member("DE".parse().unwrap())));
    assert_eq!(owner("Mehrere").unwrap_err().kind, FaultKind::RefusedValue);
    assert_eq!(owner("Unbekannt").unwrap_err().kind, FaultKind::Missing);
    assert_eq!(owner("").unwrap_err().kind, FaultKind::Missing);
    assert_eq!(owner("Atlantis").unwrap_err().kind, FaultKind::UnknownValue);
    let template = builtin("icomm-template");
    let owner = |member: &str| template.owner(&row(&format!("administration,place\n{member},x\n")));
    assert_eq!(owner(""), Ok(Owner::Importer));
    assert_eq!(owner("RILO-ESA"), Ok(Owner::Member("RILO-ESA".parse().unwrap())));
    assert_eq!(owner("nobody").unwrap_err().kind, FaultKind::UnknownValue);
}

#[test]
fn headers_fit_or_say_what_is_missing() {
    let mapping = parse(MAPPING).unwrap();
    let fit = mapping.fit(row(&format!("{HEADER}1{}\n", ";".repeat(15))).header());
    assert_eq!(
        fit,
        Fit {
            missing: vec![],
            unused: vec!["Nr".into(), "Extra".into()]
        }
    );
    let fit = mapping.fit(row("Country,Datum\na,b\n").header());
    assert_eq!(
        fit,
        Fit {
            missing: vec!["Land".into()],
            unused: vec!["Country".into()]
        }
    );
}

#[test]
fn a_template_lists_every_column_once() {
    let mapping = parse(MAPPING).unwrap();
    assert_eq!(mapping.template()[..4], ["Land", "Datum", "Stoff 1", "Stoff 2"]);
    for name in Mapping::builtin_names() {
        let mapping = builtin(name);
        let template = mapping.template();
        let header = Header::new(template.iter().copied()).unwrap();
        assert_eq!(mapping.fit(&header), Fit::default(), "{name}");
        assert_eq!(mapping.name(), name);
    }
}

#[test]
fn the_template_reaches_every_field_of_a_record() {
    let mapping = builtin("icomm-template");
    let reached: BTreeSet<&str> = mapping.fields.iter().map(|field| field.to.name()).collect();
    // A quantity brings its unit.
    let all: BTreeSet<&str> = target::names().filter(|name| *name != "goods[].unit").collect();
    assert_eq!(all.difference(&reached).collect::<Vec<_>>(), Vec::<&&str>::new());
}
