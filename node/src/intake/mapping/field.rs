//! One `[[field]]` of a mapping: from which column, by which reading, to which field of the record.

use std::collections::BTreeMap;
use std::sync::Arc;

use icomm_proto::codes::CodeLists;
use serde::Deserialize;

use super::InvalidMapping;
use super::date::Format;
use super::number::Notation;
use super::table::{Table, TableDocument, nearest};
use super::target::{self, Slot, Target};

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
    /// A text that may have several lines.
    Prose,
    /// Several texts, separated by this.
    Split(char),
    /// A word of a table.
    Table(Arc<Table>),
    Date(Vec<Format>),
    Number(Notation),
    /// A number whose unit stands in another column, as a word of a table; both are settled together.
    Quantity {
        notation: Notation,
        unit_column: String,
        units: Arc<Table>,
        unit: Target,
    },
}

/// What a field's readings may refer to.
pub(super) struct Tables<'a> {
    /// The mapping's own tables.
    pub(super) own: BTreeMap<String, Arc<Table>>,
    pub(super) lists: &'a Arc<CodeLists>,
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
    list: Option<String>,
    split: Option<char>,
    repeat: Option<usize>,
}

impl FieldDocument {
    /// The field, or as many as it repeats: `{n}` in its column counts from 1, `[n]` in its target from 0.
    pub(super) fn compile(self, place: usize, tables: &Tables<'_>) -> Result<Vec<Field>, InvalidMapping> {
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

    fn compile_one(&self, place: usize, tables: &Tables<'_>, round: Option<usize>) -> Result<Field, InvalidMapping> {
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

    /// Which of the ways to read a cell are asked for.
    fn readings(&self) -> [(&'static str, bool); 6] {
        [
            ("table", self.table.is_some()),
            ("list", self.list.is_some()),
            ("date", self.date.is_some()),
            ("number", self.number.is_some() && self.unit_column.is_none()),
            ("unit_column", self.unit_column.is_some()),
            ("split", self.split.is_some()),
        ]
    }

    fn has_reading(&self) -> bool {
        self.unit_table.is_some() || self.readings().iter().any(|(_, given)| *given)
    }

    fn reading(
        &self,
        place: usize,
        tables: &Tables<'_>,
        to: Target,
        numbered: &dyn Fn(&str) -> String,
    ) -> Result<Reading, InvalidMapping> {
        let given: Vec<&str> = self
            .readings()
            .iter()
            .filter(|(_, given)| *given)
            .map(|(name, _)| *name)
            .collect();
        if given.len() > 1 {
            return Err(self.problem(place, format!("give only one of `{}`", given.join("`, `"))));
        }
        if self.unit_table.is_some() && self.unit_column.is_none() {
            return Err(self.problem(place, "`unit_table` needs a `unit_column`"));
        }
        let known = |name: &String| {
            tables
                .own
                .get(name)
                .map(Arc::clone)
                .ok_or_else(|| self.problem(place, format!("there is no table `{name}`")))
        };
        if let Some(table) = &self.table {
            return known(table).map(Reading::Table);
        }
        if let Some(list) = &self.list {
            return tables.of_list(list).map(Reading::Table);
        }
        if let Some(formats) = &self.date {
            return self.dates(place, formats).map(Reading::Date);
        }
        if let Some(separator) = self.split {
            let listed = matches!(to.slot(), Some(Slot::Texts(_)));
            let problem = || self.problem(place, "it holds one text, so there is nothing to split");
            return listed.then_some(Reading::Split(separator)).ok_or_else(problem);
        }
        let notation = self.number.clone().unwrap_or_default();
        if notation.thousands == Some(notation.decimal) {
            return Err(self.problem(place, "`decimal` and `thousands` are the same character"));
        }
        if let Some(unit_column) = &self.unit_column {
            let [first, _] = to.at;
            let unit = Target::parse(&format!("goods[{first}].unit")).filter(|_| to.name() == "goods[].quantity");
            let unit = unit.ok_or_else(|| self.problem(place, "only `goods[…].quantity` has a unit"))?;
            let units = self.unit_table.as_ref().map_or_else(|| tables.of_list("unit"), known)?;
            return Ok(Reading::Quantity {
                notation,
                unit_column: numbered(unit_column),
                units,
                unit,
            });
        }
        Ok(match to.slot() {
            _ if self.number.is_some() => Reading::Number(notation),
            Some(Slot::Texts(_)) => Reading::Split(';'),
            Some(Slot::Count(_)) => Reading::Number(notation),
            _ if to.is_prose() => Reading::Prose,
            _ => Reading::Text,
        })
    }

    fn dates(&self, place: usize, formats: &[String]) -> Result<Vec<Format>, InvalidMapping> {
        if formats.is_empty() {
            return Err(self.problem(place, "`date` needs at least one format"));
        }
        let read = |text: &String| {
            Format::parse(text).ok_or_else(|| self.problem(place, format!("`{text}` is no date format")))
        };
        formats.iter().map(read).collect()
    }
}

impl Tables<'_> {
    /// The table that is nothing but a code list.
    pub(super) fn of_list(&self, list: &str) -> Result<Arc<Table>, InvalidMapping> {
        TableDocument::of_list(list).compile(list, self.lists).map(Arc::new)
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
}
