//! The header of a file: its column names, found without regard to case.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use thiserror::Error;

use super::COLUMNS_MAX;
use super::fault::excerpt;

/// Column names in the order of the file. Names are unique without regard to case.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    names: Vec<String>,
    /// By the name as it stands and in small letters.
    positions: HashMap<String, usize>,
}

/// A header that can't serve.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidHeader {
    /// No column has a name.
    #[error("the first row holds no column names; the file needs a header row")]
    Blank,
    /// Two columns of the same name.
    #[error("the column `{0}` appears twice in the header; rename or delete one")]
    Twice(String),
    /// Too many columns.
    #[error("the header has more than {COLUMNS_MAX} columns; delete those that are not meant for import")]
    TooManyColumns,
    /// The header row itself is broken.
    #[error("the header row can't be read: {0}")]
    Broken(String),
}

impl Header {
    /// Checks and indexes column names. A column without a name is called after its place (`column 7`).
    ///
    /// # Errors
    ///
    /// No name at all, a name twice, or too many.
    pub fn new<'a>(cells: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidHeader> {
        let mut names = Vec::new();
        let mut positions = HashMap::new();
        let mut any_named = false;
        for (position, cell) in cells.into_iter().enumerate() {
            if position >= COLUMNS_MAX {
                return Err(InvalidHeader::TooManyColumns);
            }
            let words: Vec<&str> = cell.trim_start_matches('\u{feff}').split_whitespace().collect();
            let name = if words.is_empty() {
                format!("column {}", position + 1)
            } else {
                words.join(" ")
            };
            any_named |= !words.is_empty();
            match positions.entry(name.to_lowercase()) {
                Entry::Occupied(_) => return Err(InvalidHeader::Twice(excerpt(&name))),
                Entry::Vacant(free) => free.insert(position),
            };
            names.push(name);
        }
        if !any_named {
            return Err(InvalidHeader::Blank);
        }
        for (position, name) in names.iter().enumerate() {
            positions.entry(name.clone()).or_insert(position);
        }
        Ok(Self { names, positions })
    }

    /// How many columns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: a header has a column.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The place of a column, found without regard to case.
    #[must_use]
    pub fn position(&self, column: &str) -> Option<usize> {
        // Mappings usually write a name as the file does, so a copy in small letters is rarely made.
        let found = self
            .positions
            .get(column)
            .or_else(|| self.positions.get(&column.to_lowercase()));
        found.copied()
    }
}
