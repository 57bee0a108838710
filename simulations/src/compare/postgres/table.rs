//! The table of cases: a column for each of the file's, typed where that is natural, and which of them name nobody.
//!
//! ```text
//!   publisher   id | open columns | withheld columns | columns that these cases leave blank
//!   subscriber  id | open columns
//! ```
//!
//! Blank columns stand last, where they cost a row nothing but their bits, and are not published.

use bytes::Bytes;
use csv::StringRecord;
use tokio_postgres::Client;

use crate::compare::{
    delivered::{Delivered, SAMPLE_ROWS},
    rows::{CATEGORIES, Rows},
};

/// Its name.
pub(super) const TABLE: &str = "cases";

/// The publication's name.
pub(super) const PUBLICATION: &str = "shared";

/// The column that rows are filtered by. (Further goods of a case are of the first one's category.)
pub(super) const CATEGORY: &str = "goods_1_category";

/// What the OPEN section says: `Case` in `record.proto`; `n` stands for the number of goods, leg, person or company. Other
/// columns are withheld: exact values, references, persons, companies, texts.
const OPEN: &[&str] = &[
    "administration",
    "record_kind",
    "report_type",
    "validation_status",
    "handling_code",
    "short_form",
    "operation_id",
    "source_evaluation",
    "information_evaluation",
    "seizure_month",
    "seizure_country",
    "location_type",
    "direction",
    "detection_method",
    "outcome",
    "related_records",
    "goods_n_category",
    "goods_n_kind",
    "goods_n_hs_code",
    "goods_n_quantity_band",
    "goods_n_unit",
    "goods_n_value_band",
    "goods_n_currency",
    "goods_n_package_type",
    "goods_n_package_count",
    "goods_n_producing_country",
    "goods_n_species",
    "goods_n_cites_appendix",
    "leg_n_role",
    "leg_n_country",
    "conveyance_type",
    "conveyance_flag",
    "concealment",
    "person_n_role",
    "person_n_sex",
    "person_n_nationality",
    "person_n_age_band",
    "company_n_role",
    "company_n_country",
];

/// A column that the cases fill.
pub(super) struct Column {
    /// As the template calls it.
    pub(super) name: String,
    /// Its type.
    kind: &'static str,
}

/// The columns of a file of cases.
pub(super) struct Table {
    open: Vec<Column>,
    withheld: Vec<Column>,
    /// Those that no case fills.
    blank: Vec<String>,
}

impl Table {
    /// Reads all cases of a file for the columns that they fill.
    pub(super) fn of(rows: &Rows) -> anyhow::Result<Self> {
        let mut reader = csv::Reader::from_path(&rows.file)?;
        let header = reader.headers()?.clone();
        let mut filled = vec![false; header.len()];
        let mut row = StringRecord::new();
        while reader.read_record(&mut row)? {
            for (filled, text) in filled.iter_mut().zip(&row) {
                *filled |= !text.is_empty();
            }
        }
        let mut table = Self {
            open: Vec::new(),
            withheld: Vec::new(),
            blank: Vec::new(),
        };
        for (name, filled) in header.iter().zip(filled) {
            let (pattern, name) = (pattern(name), name.to_owned());
            let kind = kind(&pattern);
            match (filled, OPEN.contains(&pattern.as_str())) {
                (false, _) => table.blank.push(name),
                (true, true) => table.open.push(Column { name, kind }),
                (true, false) => table.withheld.push(Column { name, kind }),
            }
        }
        Ok(table)
    }

    /// The columns that cases fill, in the order in which [`Table::insert`] and [`Table::copy`] want them after the id.
    pub(super) fn filled(&self) -> impl Iterator<Item = &Column> {
        self.open.iter().chain(&self.withheld)
    }

    /// The table of a publisher: it takes every column of the file.
    pub(super) fn publishers(&self) -> String {
        let blank: String = self.blank.iter().map(|name| format!(", {name} text")).collect();
        format!(
            "CREATE SEQUENCE {TABLE}_id CACHE 1000;
             CREATE TABLE {TABLE} (id bigint PRIMARY KEY DEFAULT nextval('{TABLE}_id'){}{blank})",
            definitions(self.filled())
        )
    }

    /// The table of a subscriber: it has what is published.
    pub(super) fn subscribers(&self) -> String {
        format!(
            "CREATE TABLE {TABLE} (id bigint PRIMARY KEY{})",
            definitions(&self.open)
        )
    }

    /// What is published: the rows of the categories, without the columns that name somebody.
    pub(super) fn publication(&self) -> String {
        let categories = CATEGORIES.map(|category| format!("'{category}'")).join(", ");
        format!(
            "CREATE PUBLICATION {PUBLICATION} FOR TABLE {TABLE} (id, {}) WHERE ({CATEGORY} IN ({categories}))
             WITH (publish = 'insert')",
            names(&self.open)
        )
    }

    /// Copies cases in the form of [`copied`].
    pub(super) fn copy(&self) -> String {
        format!("COPY {TABLE} (id, {}) FROM STDIN", names(self.filled()))
    }

    /// Inserts one case: a parameter for the id and for each filled column.
    pub(super) fn insert(&self) -> String {
        let parameters: String = (2..).zip(self.filled()).map(|(at, _)| format!(", ${at}")).collect();
        let names = names(self.filled());
        format!("INSERT INTO {TABLE} (id, {names}) VALUES ($1{parameters})")
    }

    /// How large rows are that a subscriber has got: with their header, and the texts of their columns alone. Ids are the rows'
    /// numbers in the file.
    pub(super) async fn delivered(&self, subscriber: &Client) -> anyhow::Result<Delivered> {
        let texts = self
            .open
            .iter()
            .map(|Column { name, .. }| format!("coalesce(octet_length({name}::text), 0)"));
        let sql = format!(
            "SELECT avg(pg_column_size({TABLE}.*))::float8, avg({})::float8 FROM {TABLE}
             WHERE id <= {SAMPLE_ROWS}",
            texts.collect::<Vec<_>>().join(" + ")
        );
        let row = subscriber.query_one(&sql, &[]).await?;
        Ok(Delivered {
            bytes: row.try_get(0)?,
            text_bytes: row.try_get(1)?,
        })
    }
}

/// A column's name without its number: `goods_2_kind` is a `goods_n_kind`.
fn pattern(name: &str) -> String {
    let part = |part| match str::parse::<u8>(part) {
        Ok(_) => "n",
        Err(_) => part,
    };
    name.split('_').map(part).collect::<Vec<_>>().join("_")
}

/// The type that is natural for a column.
fn kind(pattern: &str) -> &'static str {
    match pattern {
        "seizure_date" | "person_n_birth_date" => "date",
        "goods_n_quantity" | "goods_n_value" => "numeric",
        "goods_n_package_count" => "integer",
        "short_form" => "boolean",
        _ => "text",
    }
}

/// What `psql` does with a file of cases; ids are made on the way.
pub(super) fn copy_file(rows: &Rows) -> anyhow::Result<String> {
    let header = csv::Reader::from_path(&rows.file)?.headers()?.clone();
    let columns: Vec<&str> = header.iter().collect();
    let file = rows.file.display().to_string().replace('\'', "''");
    Ok(format!(
        r"\copy {TABLE} ({}) from '{file}' with (format csv, header)",
        columns.join(", ")
    ))
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

/// How many rows somebody has.
pub(super) async fn count(client: &Client) -> anyhow::Result<u64> {
    let count = client.query_one(&format!("SELECT count(*) FROM {TABLE}"), &[]).await?;
    Ok(u64::try_from(count.try_get::<_, i64>(0)?)?)
}

/// Makes sure that somebody has so many rows.
pub(super) async fn expect(client: &Client, rows: u64) -> anyhow::Result<()> {
    let count = count(client).await?;
    anyhow::ensure!(count == rows, "PostgreSQL holds {count} rows instead of {rows}");
    Ok(())
}

fn names<'a>(columns: impl IntoIterator<Item = &'a Column>) -> String {
    let names = columns.into_iter().map(|column| column.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

fn definitions<'a>(columns: impl IntoIterator<Item = &'a Column>) -> String {
    let definition = |Column { name, kind }: &Column| format!(", {name} {kind}");
    columns.into_iter().map(definition).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use csv::StringRecord;
    use icomm_node::{environment::Environment, network::Folder};

    use super::{super::general, OPEN, Table, copied, pattern};
    use crate::compare::{
        delivered::each_text,
        rows::{self, Form},
        sealed,
        workload::Bench,
    };

    /// Every text with how often it occurs.
    type Texts = BTreeMap<String, u32>;

    /// A row as PostgreSQL publishes it.
    fn published(table: &Table, header: &StringRecord, row: &StringRecord) -> Texts {
        let mut texts = Texts::new();
        let open = |column: &str| table.open.iter().any(|open| open.name == column);
        for (_, text) in header.iter().zip(row).filter(|(column, _)| open(column)) {
            for text in text.split(';').filter(|text| !text.is_empty()) {
                *texts.entry(text.to_owned()).or_default() += 1;
            }
        }
        texts
    }

    #[test]
    fn what_is_published_is_what_the_open_section_says() {
        let folder = Folder::temporary(&Environment::system()).unwrap();
        for form in [Form::Short, Form::Long] {
            let bench = Bench {
                form,
                ..Bench::of_test(folder.path(), 0)
            };
            let rows = rows::file(&bench, 500).unwrap();
            let general = general::file(&rows).unwrap();
            let table = Table::of(&general).unwrap();
            let mut reader = csv::Reader::from_path(&general.file).unwrap();
            let header = reader.headers().unwrap().clone();
            let mut lines = reader.records();
            sealed::each(&rows, |view| {
                let mut left = published(&table, &header, &lines.next().unwrap().unwrap());
                let mut derived = Vec::new();
                let section = serde_json::to_value(view.decode()?.case).unwrap();
                each_text(&section, &mut |text| match left.get_mut(text) {
                    Some(count) if *count > 0 => *count -= 1,
                    _ => derived.push(text.to_owned()),
                });
                left.retain(|_, count| *count > 0);
                // Units, which icomm's originator brings into the normal one, and a flag that reads `true` in the section.
                left.retain(|text, _| !matches!(text.as_str(), "GRM" | "U2" | "X-BLOTTER" | "yes"));
                assert!(left.is_empty(), "{left:?} is published, but the open section lacks it");
                // Kind of record, set of categories, and what the short form leaves to be understood; normal units.
                derived.retain(|text| !matches!(text.as_str(), "KGM" | "LTR" | "H87" | "true"));
                assert!(derived.len() <= 4, "{derived:?} is in the open section alone");
                Ok(())
            })
            .unwrap();
        }
    }

    #[test]
    fn the_long_form_fills_every_open_column() {
        let folder = Folder::temporary(&Environment::system()).unwrap();
        let rows = rows::file(&Bench::of_test(folder.path(), 0), 2_000).unwrap();
        let rows = general::file(&rows).unwrap();
        let table = Table::of(&rows).unwrap();
        let blank: Vec<String> = table.blank.iter().map(|name| pattern(name)).collect();
        assert_eq!(blank, ["record_kind", "short_form", "operation_id"]);
        for open in OPEN {
            let filled = table.open.iter().any(|column| pattern(&column.name) == *open);
            assert!(filled || blank.iter().any(|blank| blank == open), "{open}");
        }
        assert!(table.withheld.len() > table.open.len());
    }

    #[test]
    fn what_copy_would_misread_is_escaped() {
        let case = StringRecord::from(vec!["7", "", "a\tb\\c\r\n"]);
        assert_eq!(copied(&[case]), "7\t\\N\ta\\tb\\\\c\\r\\n\n");
    }
}
