//! The table of cases: a column for each of the template's, typed where that is natural, and which of them name nobody.
//!
//! ```text
//!   publisher   id | open columns | withheld columns | columns that made-up cases leave blank
//!   subscriber  id | open columns
//! ```
//!
//! Blank columns stand last, where they cost a row nothing but their bits.

use std::fmt::Write as _;

use crate::compare::rows::{CATEGORIES, Rows};

/// Its name.
pub(super) const TABLE: &str = "cases";

/// The publication's name.
pub(super) const PUBLICATION: &str = "shared";

/// The column that rows are filtered by.
const CATEGORY: &str = "goods_1_category";

/// A column that made-up cases fill.
struct Column {
    name: &'static str,
    kind: &'static str,
}

const fn column(name: &'static str, kind: &'static str) -> Column {
    Column { name, kind }
}

const fn text(name: &'static str) -> Column {
    column(name, "text")
}

/// What the OPEN section says: `Case` in `record.proto`. (Months, bands and ages, which icomm's originator puts there in place
/// of exact values, PostgreSQL does not make and does not send.)
const OPEN: &[Column] = &[
    text("administration"),
    text("handling_code"),
    column("short_form", "boolean"),
    text("seizure_country"),
    text("location_type"),
    text("direction"),
    text("detection_method"),
    text("outcome"),
    text("goods_1_category"),
    text("goods_1_kind"),
    text("goods_1_unit"),
    text("goods_1_currency"),
    text("goods_1_producing_country"),
    text("goods_2_category"),
    text("goods_2_kind"),
    text("goods_2_unit"),
    text("leg_1_role"),
    text("leg_1_country"),
    text("leg_2_role"),
    text("leg_2_country"),
    text("leg_3_role"),
    text("leg_3_country"),
    text("conveyance_type"),
    text("conveyance_flag"),
    text("concealment"),
    text("person_1_role"),
    text("person_1_sex"),
    text("person_1_nationality"),
    text("person_2_role"),
    text("person_2_sex"),
    text("person_2_nationality"),
    text("company_1_role"),
    text("company_1_country"),
];

/// What other sections say: exact values, references, persons, companies, narrative.
const WITHHELD: &[Column] = &[
    column("seizure_date", "date"),
    text("place"),
    text("customs_office"),
    column("goods_1_quantity", "numeric"),
    column("goods_1_value", "numeric"),
    column("goods_2_quantity", "numeric"),
    text("leg_2_place"),
    text("leg_3_place"),
    text("vessel_name"),
    text("vessel_imo"),
    text("flight_number"),
    text("container_numbers"),
    text("national_reference"),
    text("seals"),
    text("bills_of_lading"),
    text("parcel_numbers"),
    text("vehicle_registrations"),
    text("person_1_family_name"),
    text("person_1_given_names"),
    column("person_1_birth_date", "date"),
    text("person_1_paper_type"),
    text("person_1_paper_number"),
    text("person_1_paper_country"),
    text("person_1_address"),
    text("person_1_city"),
    text("person_1_phones"),
    text("person_1_suggested_action"),
    text("person_1_entry_reason"),
    text("person_2_family_name"),
    text("person_2_given_names"),
    column("person_2_birth_date", "date"),
    text("person_2_paper_type"),
    text("person_2_paper_number"),
    text("person_2_paper_country"),
    text("person_2_address"),
    text("person_2_city"),
    text("person_2_phones"),
    text("person_2_suggested_action"),
    text("person_2_entry_reason"),
    text("company_1_name"),
    text("company_1_registration_number"),
    text("narrative"),
];

fn filled() -> impl Iterator<Item = &'static Column> {
    OPEN.iter().chain(WITHHELD)
}

/// The names of columns, as SQL wants them.
fn names<'a>(columns: impl IntoIterator<Item = &'a Column>) -> String {
    columns
        .into_iter()
        .map(|column| column.name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn definitions<'a>(columns: impl IntoIterator<Item = &'a Column>) -> String {
    columns
        .into_iter()
        .fold(String::new(), |mut sql, Column { name, kind }| {
            // Writing to a string can't fail.
            let _ = write!(sql, ", {name} {kind}");
            sql
        })
}

/// The columns of a file, in its order, as SQL wants them.
pub(super) fn columns_of(rows: &Rows) -> anyhow::Result<String> {
    let mut reader = csv::Reader::from_path(&rows.file)?;
    Ok(reader.headers()?.iter().collect::<Vec<_>>().join(", "))
}

/// The table of a publisher: it takes every column of the file.
pub(super) fn publishers(rows: &Rows) -> anyhow::Result<String> {
    let mut reader = csv::Reader::from_path(&rows.file)?;
    let blank = reader
        .headers()?
        .iter()
        .filter(|name| filled().all(|column| column.name != *name));
    let blank = blank.fold(String::new(), |mut sql, name| {
        let _ = write!(sql, ", {name} text");
        sql
    });
    let definitions = definitions(filled());
    Ok(format!(
        "CREATE SEQUENCE {TABLE}_id CACHE 1000;
         CREATE TABLE {TABLE} (id bigint PRIMARY KEY DEFAULT nextval('{TABLE}_id'){definitions}{blank})"
    ))
}

/// The table of a subscriber: it has what is published.
pub(super) fn subscribers() -> String {
    format!("CREATE TABLE {TABLE} (id bigint PRIMARY KEY{})", definitions(OPEN))
}

/// What is published: the rows of the categories, without the columns that name somebody.
pub(super) fn publication() -> String {
    let categories = CATEGORIES.map(|category| format!("'{category}'")).join(", ");
    format!(
        "CREATE PUBLICATION {PUBLICATION} FOR TABLE {TABLE} (id, {}) WHERE ({CATEGORY} IN ({categories}))
         WITH (publish = 'insert')",
        names(OPEN)
    )
}
