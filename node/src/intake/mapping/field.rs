//! One `[[field]]` of a mapping: from which column, by which reading, to which field of the record.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::date::Format;
use super::number::Notation;
use super::table::{Table, nearest};
use super::target::{self, Slot, Target};
use super::{InvalidMapping, number};

/// The most times that a field may repeat.
const REPEAT_MAX: usize = 16;

/// A checked field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) to: Target,
    pub(super) source: Source,
    pub(super) required: bool,
}

/// Where a field's value comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// Always this.
    Constant(String),
    /// A cell.
    Column {
        column: String,
        reading: Reading,
        default: Option<String>,
    },
}

/// How a cell is read.
#[derive(Debug)]
pub(super) enum Reading {
    Text,
    /// Several texts, separated by this.
    Split(char),
    /// A word of a table.
    Table(String),
    Date(Vec<Format>),
    Number(Notation),
    /// A number whose unit stands in another column, as a word of a table; both are settled together.
    Quantity {
        notation: Notation,
        unit_column: String,
        table: String,
        unit: Target,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldDocument {
    to: String,
    column: Option<String>,
    value: Option<String>,
    default: Option<String>,
    #[serde(default)]
    required: bool,
    table: Option<String>,
    date: Option<Vec<String>>,
    number: Option<Notation>,
    unit_column: Option<String>,
    unit_table: Option<String>,
    split: Option<char>,
    repeat: Option<usize>,
}

impl FieldDocument {
    /// The field, or as many as it repeats: `{n}` in its column counts from 1, `[n]` in its target from 0.
    pub(super) fn compile(self, place: usize, tables: &BTreeMap<String, Table>) -> Result<Vec<Field>, InvalidMapping> {
        let Some(times) = self.repeat else {
            return Ok(vec![self.compile_one(place, tables, None)?]);
        };
        if !(1..=REPEAT_MAX).contains(&times) {
            return Err(self.problem(place, format!("it can repeat 1 to {REPEAT_MAX} times")));
        }
        (0..times)
            .map(|round| self.compile_one(place, tables, Some(round)))
            .collect()
    }

    fn problem(&self, place: usize, problem: impl Into<String>) -> InvalidMapping {
        InvalidMapping::Field {
            place,
            to: self.to.clone(),
            problem: problem.into(),
        }
    }

    fn compile_one(
        &self,
        place: usize,
        tables: &BTreeMap<String, Table>,
        round: Option<usize>,
    ) -> Result<Field, InvalidMapping> {
        let numbered = |text: &str| match round {
            Some(round) => text.replace("{n}", &(round + 1).to_string()),
            None => text.to_owned(),
        };
        let to_text = match round {
            Some(round) => self.to.replace("[n]", &format!("[{round}]")),
            None => self.to.clone(),
        };
        let to = Target::parse(&to_text).ok_or_else(|| unknown(place, &to_text))?;
        let source = match (&self.column, &self.value) {
            (Some(column), None) => {
                let reading = self.reading(place, tables, to, &numbered)?;
                Source::Column {
                    column: numbered(column),
                    reading,
                    default: self.default.clone(),
                }
            }
            (None, Some(value)) if self.has_reading() || self.default.is_some() || self.required => {
                return Err(self.problem(place, format!("the constant `{value}` needs no other options")));
            }
            (None, Some(value)) => Source::Constant(value.clone()),
            _ => return Err(self.problem(place, "give either `column` or `value`")),
        };
        Ok(Field {
            to,
            source,
            required: self.required,
        })
    }

    fn has_reading(&self) -> bool {
        self.table.is_some()
            || self.date.is_some()
            || self.number.is_some()
            || self.unit_column.is_some()
            || self.unit_table.is_some()
            || self.split.is_some()
    }

    fn reading(
        &self,
        place: usize,
        tables: &BTreeMap<String, Table>,
        to: Target,
        numbered: &dyn Fn(&str) -> String,
    ) -> Result<Reading, InvalidMapping> {
        let known = |name: &String| match tables.contains_key(name) {
            true => Ok(name.clone()),
            false => Err(self.problem(place, format!("there is no table `{name}`"))),
        };
        let quantity = self.unit_column.is_some() || self.unit_table.is_some();
        match (&self.table, &self.date, &self.number, &self.split) {
            (None, None, None, None) if !quantity => Ok(match to.slot() {
                Some(Slot::Texts(_)) => Reading::Split(';'),
                Some(Slot::Count(_)) => Reading::Number(Notation::default()),
                _ => Reading::Text,
            }),
            (Some(table), None, None, None) if !quantity => Ok(Reading::Table(known(table)?)),
            (None, Some(formats), None, None) if !quantity => {
                let read = |text: &String| {
                    Format::parse(text).ok_or_else(|| self.problem(place, format!("`{text}` is no date format")))
                };
                let formats = formats.iter().map(read).collect::<Result<Vec<_>, _>>()?;
                if formats.is_empty() {
                    return Err(self.problem(place, "`date` needs at least one format"));
                }
                Ok(Reading::Date(formats))
            }
            (None, None, notation, None) => {
                let notation = notation.clone().unwrap_or_default();
                if notation.thousands == Some(notation.decimal) {
                    return Err(self.problem(place, "`decimal` and `thousands` are the same character"));
                }
                match (&self.unit_column, &self.unit_table) {
                    (None, None) => Ok(Reading::Number(notation)),
                    (Some(column), Some(table)) if to.name() == "goods[].quantity" => {
                        let [first, _] = to.at;
                        let unit = Target::parse(&format!("goods[{first}].unit"));
                        let unit = unit.ok_or_else(|| self.problem(place, "it has no unit"))?;
                        Ok(Reading::Quantity {
                            notation,
                            unit_column: numbered(column),
                            table: known(table)?,
                            unit,
                        })
                    }
                    (Some(_), Some(_)) => Err(self.problem(place, "only `goods[…].quantity` has a unit")),
                    _ => Err(self.problem(place, "give both `unit_column` and `unit_table`")),
                }
            }
            (None, None, None, Some(separator)) if matches!(to.slot(), Some(Slot::Texts(_))) => {
                Ok(Reading::Split(*separator))
            }
            (None, None, None, Some(_)) => Err(self.problem(place, "it holds one text, so there is nothing to split")),
            _ => Err(self.problem(place, "give only one of `table`, `date`, `number`, `split`")),
        }
    }
}

fn unknown(place: usize, to: &str) -> InvalidMapping {
    let shape: String = to
        .split_inclusive('[')
        .map(|part| {
            part.split_once(']')
                .map_or(part.to_owned(), |(_, rest)| format!("]{rest}"))
        })
        .collect();
    let hint = nearest(&shape, target::names()).map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
    InvalidMapping::UnknownTarget {
        place,
        to: to.to_owned(),
        hint,
    }
}

impl Field {
    /// The columns that it reads.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        let (column, unit) = match &self.source {
            Source::Constant(_) => (None, None),
            Source::Column {
                column,
                reading: Reading::Quantity { unit_column, .. },
                ..
            } => (Some(column.as_str()), Some(unit_column.as_str())),
            Source::Column { column, .. } => (Some(column.as_str()), None),
        };
        column.into_iter().chain(unit)
    }

    /// The number that a cell says, as the record writes it.
    pub(super) fn plain_number(text: &str, notation: &Notation) -> Result<String, String> {
        number::decimal(text, notation).map(|number| number.to_string())
    }
}
