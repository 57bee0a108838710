//! The file of cases as a database has it that shares them without names: beside each exact value the general one, which
//! stands in icomm's OPEN section: month, bands of quantity and value, ages.
//!
//! icomm's originator makes them of every case that it issues. For PostgreSQL they are made beforehand and cost it nothing, so
//! that both deliver the same content.

use std::fs;

use anyhow::Context as _;
use icomm_proto::v1;

use crate::compare::{rows::Rows, sealed};

/// The general values of as many goods and persons as the template has room for.
const COLUMNS: [&str; 9] = [
    "seizure_month",
    "goods_1_quantity_band",
    "goods_2_quantity_band",
    "goods_3_quantity_band",
    "goods_1_value_band",
    "goods_2_value_band",
    "goods_3_value_band",
    "person_1_age_band",
    "person_2_age_band",
];

/// The same cases with the general values; made when they are first asked for.
pub(super) fn file(rows: &Rows) -> anyhow::Result<Rows> {
    let file = rows.file.with_extension("general.csv");
    if !file.exists() {
        let unfinished = file.with_extension("unfinished");
        let mut reader = csv::Reader::from_path(&rows.file)?;
        let mut writer = csv::Writer::from_path(&unfinished)?;
        writer.write_record(reader.headers()?.iter().chain(COLUMNS))?;
        let mut lines = reader.records();
        sealed::each(rows, |view| {
            let line = lines.next().context("there are more cases than rows")??;
            let case = view.decode()?.case.context("a sealed case has no open section")?;
            Ok(writer.write_record(line.iter().chain(general(&case)))?)
        })?;
        writer.flush()?;
        fs::rename(&unfinished, &file)?;
    }
    Ok(Rows { file, rows: rows.rows })
}

/// What [`COLUMNS`] say of a case.
fn general(case: &v1::Case) -> [&str; COLUMNS.len()] {
    let goods = |at: usize| case.goods.get(at);
    let quantity = |at| goods(at).map_or("", |goods| goods.quantity_band.as_str());
    let value = |at| goods(at).map_or("", |goods| goods.value_band.as_str());
    let age = |at: usize| case.persons.get(at).map_or("", |person| person.age_band.as_str());
    [
        &case.seizure_month,
        quantity(0),
        quantity(1),
        quantity(2),
        value(0),
        value(1),
        value(2),
        age(0),
        age(1),
    ]
}
