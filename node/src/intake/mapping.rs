//! Mappings: what each column of a file means, written down by a clerk and not in code.
//!
//! A mapping is a TOML file, documented at the top of `mappings/unodc-ids.toml`. Compiled, it turns a row into a draft or
//! into faults that name column, value and reason; it never guesses: a value that no table knows is a fault, and so is one
//! that a table refuses on purpose.

mod builtin;
mod columns;
mod date;
mod document;
mod draft;
mod field;
mod number;
mod table;
mod target;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use icomm_pki::MemberId;
use icomm_proto::RecordKind;
use icomm_proto::codes::CodeLists;
use thiserror::Error;

pub use self::columns::Columns;
use self::document::Document;
pub use self::draft::{Mapped, Trail};
use self::field::Field;
use self::table::Table;
use crate::intake::rows::{Header, ReadOptions};

/// The most fields of a mapping, repeated ones counted as often as they repeat.
const FIELDS_MAX: usize = 512;

/// A mapping, checked and ready.
#[derive(Debug)]
pub struct Mapping {
    name: String,
    title: String,
    kind: RecordKind,
    file: ReadOptions,
    owner: Option<OwnerColumn>,
    ignored: BTreeSet<String>,
    key: KeyColumns,
    fields: Vec<Field>,
    /// Columns of numbers and dates, in small letters, with the place of the first field that reads them.
    measured: HashMap<String, usize>,
}

/// Which column says whose case a row is.
#[derive(Debug)]
struct OwnerColumn {
    column: String,
    table: Option<Arc<Table>>,
    /// Territories whose cases another administration reports: `MQ` → `FR`.
    belongs: BTreeMap<String, MemberId>,
    blank_is_mine: bool,
}

/// Which columns make a row the same row when it is imported again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyColumns {
    /// All but these (such as a running number that each export gives anew), in lower case.
    AllBut(BTreeSet<String>),
    /// These, in lower case.
    Only(BTreeSet<String>),
}

/// Whose case a row is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Whoever imports the file: the mapping has no owner column, or the cell may be blank and is.
    Importer,
    /// This member, who may or may not take part here.
    Member(MemberId),
}

/// A mapping that can't serve. The clerk who wrote it reads this.
#[derive(Debug, Error)]
pub enum InvalidMapping {
    /// Not TOML of the documented form.
    #[error("the mapping can't be read: {0}")]
    Toml(#[from] Box<toml::de::Error>),
    /// No such mapping is built in.
    #[error("there is no mapping `{wanted}`; built in are {have}")]
    Unknown {
        /// The name asked for.
        wanted: String,
        /// The names there are.
        have: String,
    },
    /// A field of a record that doesn't exist.
    #[error("field {place}: `{to}` is no field of a record{hint}")]
    UnknownTarget {
        /// Which `[[field]]`, from 1.
        place: usize,
        /// What was written.
        to: String,
        /// The likeliest field meant, as ``, did you mean `…`?``, or nothing.
        hint: String,
    },
    /// A field's options contradict each other or are not complete.
    #[error("field {place} (`{to}`): {problem}")]
    Field {
        /// Which `[[field]]`, from 1.
        place: usize,
        /// Its target.
        to: String,
        /// What is wrong.
        problem: String,
    },
    /// A table contradicts itself.
    #[error("table `{table}`: {problem}")]
    Table {
        /// Its name.
        table: String,
        /// What is wrong.
        problem: String,
    },
    /// The owner column's settings.
    #[error("owner: {0}")]
    Owner(String),
    /// Both `only` and `except`.
    #[error("key: give either `only` or `except`")]
    Key,
    /// Too many fields.
    #[error("the mapping has more than {FIELDS_MAX} fields")]
    TooManyFields,
}

/// How a file's header and a mapping fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fit {
    /// Columns that every row needs and the file doesn't have.
    pub missing: Vec<String>,
    /// Columns of the file that the mapping neither uses nor ignores on purpose: they are not imported.
    pub unused: Vec<String>,
}

impl Mapping {
    /// Reads and checks a mapping. Its tables understand the codes, names and aliases of `lists`.
    ///
    /// # Errors
    ///
    /// It is not TOML of the documented form, names fields or tables that don't exist, or contradicts itself.
    pub fn parse(toml: &str, lists: &Arc<CodeLists>) -> Result<Self, InvalidMapping> {
        let document: Document = toml::from_str(toml).map_err(Box::new)?;
        document.compile(lists)
    }

    /// One of the mappings that the program brings.
    ///
    /// # Errors
    ///
    /// There is none of that name.
    pub fn builtin(name: &str, lists: &Arc<CodeLists>) -> Result<Self, InvalidMapping> {
        Self::parse(Self::builtin_text(name)?, lists)
    }

    /// The TOML text of a mapping that the program brings: to be read, copied and adapted.
    ///
    /// # Errors
    ///
    /// There is none of that name.
    pub fn builtin_text(name: &str) -> Result<&'static str, InvalidMapping> {
        builtin::MAPPINGS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, text)| *text)
            .ok_or_else(|| {
                let have = Self::builtin_names()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ");
                InvalidMapping::Unknown {
                    wanted: name.to_owned(),
                    have,
                }
            })
    }

    /// The names of the mappings that the program brings.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        builtin::MAPPINGS.iter().map(|(name, _)| *name)
    }

    /// Its short name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for, in a line.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// How files of this mapping are read unless the caller says otherwise.
    #[must_use]
    pub fn read_options(&self) -> &ReadOptions {
        &self.file
    }

    /// The header row of an empty file for this mapping: its columns in the order of its fields, each once.
    #[must_use]
    pub fn template(&self) -> Vec<&str> {
        let mut columns = Vec::new();
        let owner = self.owner.iter().map(|owner| owner.column.as_str());
        for column in owner.chain(self.fields.iter().flat_map(Field::columns)) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        columns
    }

    /// What the file lacks and what of it is left out.
    #[must_use]
    pub fn fit(&self, header: &Header) -> Fit {
        let needed = self
            .fields
            .iter()
            .filter(|field| field.required)
            .flat_map(Field::columns);
        let owner = self
            .owner
            .iter()
            .filter(|owner| !owner.blank_is_mine)
            .map(|owner| owner.column.as_str());
        let mut missing: Vec<String> = owner
            .chain(needed)
            .filter(|column| header.position(column).is_none())
            .map(str::to_owned)
            .collect();
        missing.dedup();
        let used: BTreeSet<String> = self.template().iter().map(|column| column.to_lowercase()).collect();
        let unused = header
            .names()
            .filter(|name| {
                let name = name.to_lowercase();
                !used.contains(&name) && !self.ignored.contains(&name)
            })
            .map(str::to_owned)
            .collect();
        Fit { missing, unused }
    }
}

#[cfg(test)]
pub(crate) use tests::lists as test_lists;

#[cfg(test)]
mod tests;
