//! The table of cases: a column for each of the template's, typed where that is natural, and which of them name nobody.
//!
//! ```text
//!   publisher   id | open columns | withheld columns | columns that made-up cases leave blank
//!   subscriber  id | open columns
//! ```
//!
//! Blank columns stand last, where they cost a row nothing but their bits.

use bytes::Bytes;
use csv::StringRecord;
use tokio_postgres::Client;

use crate::compare::rows::{CATEGORIES, Rows};

/// Its name.
pub(super) const TABLE: &str = "cases";

/// The publication's name.
pub(super) const PUBLICATION: &str = "shared";

/// The column that rows are filtered by. (Where these cases have a second category, it is that of the first.)
pub(super) const CATEGORY: &str = "goods_1_category";

/// A column that made-up cases fill.
pub(super) struct Column {
    /// As the template calls it.
    pub(super) name: &'static str,
    /// Its type.
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

/// The columns that made-up cases fill, in the order in which [`insert`] and [`copy`] want them after the id.
pub(super) fn filled() -> impl Iterator<Item = &'static Column> {
    OPEN.iter().chain(WITHHELD)
}

/// The table of a publisher: it takes every column of the file.
pub(super) fn publishers(rows: &Rows) -> anyhow::Result<String> {
    let header = header(rows)?;
    let blank = header.iter().filter(|name| filled().all(|column| column.name != *name));
    let blank: String = blank.map(|name| format!(", {name} text")).collect();
    Ok(format!(
        "CREATE SEQUENCE {TABLE}_id CACHE 1000;
         CREATE TABLE {TABLE} (id bigint PRIMARY KEY DEFAULT nextval('{TABLE}_id'){}{blank})",
        definitions(filled())
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

/// What `psql` does with a file of cases; ids are made on the way.
pub(super) fn copy_file(rows: &Rows) -> anyhow::Result<String> {
    let columns: Vec<String> = header(rows)?.iter().map(str::to_owned).collect();
    let file = rows.file.display().to_string().replace('\'', "''");
    Ok(format!(
        r"\copy {TABLE} ({}) from '{file}' with (format csv, header)",
        columns.join(", ")
    ))
}

/// Copies cases in the form of [`copied`].
pub(super) fn copy() -> String {
    format!("COPY {TABLE} (id, {}) FROM STDIN", names(filled()))
}

/// Cases in the text form of COPY: a line each, columns between tabs, NULL for blanks.
pub(super) fn copied(cases: &[StringRecord]) -> Bytes {
    let mut lines = String::new();
    for case in cases {
        for (at, text) in case.iter().enumerate() {
            if at > 0 {
                lines.push('\t');
            }
            if text.is_empty() {
                lines += "\\N";
            }
            for letter in text.chars() {
                match letter {
                    '\\' => lines += "\\\\",
                    '\t' => lines += "\\t",
                    '\n' => lines += "\\n",
                    '\r' => lines += "\\r",
                    letter => lines.push(letter),
                }
            }
        }
        lines.push('\n');
    }
    lines.into()
}

/// Inserts one case: a parameter for the id and for each filled column.
pub(super) fn insert() -> String {
    let parameters: String = (2..).zip(filled()).map(|(at, _)| format!(", ${at}")).collect();
    format!("INSERT INTO {TABLE} (id, {}) VALUES ($1{parameters})", names(filled()))
}

/// Makes sure that somebody has so many rows.
pub(super) async fn expect(client: &Client, rows: u64) -> anyhow::Result<()> {
    let count = client.query_one(&format!("SELECT count(*) FROM {TABLE}"), &[]).await?;
    let count = u64::try_from(count.try_get::<_, i64>(0)?)?;
    anyhow::ensure!(count == rows, "PostgreSQL holds {count} rows instead of {rows}");
    Ok(())
}

fn header(rows: &Rows) -> anyhow::Result<StringRecord> {
    Ok(csv::Reader::from_path(&rows.file)?.headers()?.clone())
}

fn names(columns: impl IntoIterator<Item = &'static Column>) -> String {
    columns
        .into_iter()
        .map(|column| column.name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn definitions(columns: impl IntoIterator<Item = &'static Column>) -> String {
    let definition = |Column { name, kind }: &Column| format!(", {name} {kind}");
    columns.into_iter().map(definition).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use csv::StringRecord;
    use icomm_node::{environment::Environment, network::Folder};

    use super::{copied, filled, header};
    use crate::compare::{rows, scale::Scale, workload::Bench};

    #[test]
    fn the_columns_are_those_that_made_up_cases_fill() {
        let folder = Folder::temporary(&Environment::system()).unwrap();
        let bench = Bench {
            program: "icomm".into(),
            folder: folder.path().to_owned(),
            scale: Scale::Tiny,
            size: 0,
            peers: true,
        };
        let rows = rows::file(&bench, 10_000).unwrap();
        let header = header(&rows).unwrap();
        let mut seen = BTreeSet::new();
        for row in csv::Reader::from_path(&rows.file).unwrap().records() {
            let row = row.unwrap();
            let filled = header.iter().zip(&row).filter(|(_, text)| !text.is_empty());
            seen.extend(filled.map(|(name, _)| name.to_owned()));
        }
        let ours: BTreeSet<String> = filled().map(|column| column.name.to_owned()).collect();
        assert_eq!(ours, seen);
    }

    #[test]
    fn what_copy_would_misread_is_escaped() {
        let case = StringRecord::from(vec!["7", "", "a\tb\\c\r\n"]);
        assert_eq!(copied(&[case]), "7\t\\N\ta\\tb\\\\c\\r\\n\n");
    }
}
