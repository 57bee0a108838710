//! What is wrong with a field of a draft: its path, its value, the reason, and the code list where one is meant.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

/// A field that can't be accepted: the submitter's fault. Shown as one sentence that says what to do:
/// `` `goods[0].unit`: `GRAM` is not a code of list `unit` (version 2026-11); did you mean `GRM`? ``
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Its path, without the section: `goods[0].unit`, `persons[1].papers[0].number`.
    pub field: String,
    /// Its value, cut to a length that can be shown, unprintable characters escaped. Empty if it is missing.
    pub value: String,
    /// Why not.
    #[serde(serialize_with = "as_text")]
    pub reason: Reason,
    /// Name and version of the code list that the field takes its values from.
    pub list: Option<(String, String)>,
}

/// Why a field can't be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// Mandatory, and empty.
    #[error("is missing; {0}")]
    Missing(&'static str),
    /// Not in its code list.
    #[error("is not a code of list `{list}` (version {version}){}", did_you_mean(.suggestion.as_deref()))]
    UnknownCode {
        /// The list.
        list: &'static str,
        /// Its version.
        version: String,
        /// The code that may have been meant.
        suggestion: Option<String>,
    },
    /// Not of the form that the field has; the text says which.
    #[error("is not {0}")]
    Form(&'static str),
    /// A check digit that is wrong, so that some other character is too.
    #[error("has a wrong check digit; it would be `{expected}`")]
    CheckDigit {
        /// The digit that would make it right.
        expected: u32,
    },
    /// Longer than allowed.
    #[error("has {bytes} bytes; the most allowed is {max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// More items than allowed.
    #[error("has {count} items; the most allowed is {max}")]
    TooMany {
        /// How many there are.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// A character that must not stand in a text: control, bidirectional override, unassigned for interchange.
    #[error("holds the character U+{:04X}, which is not allowed", u32::from(*.0))]
    Character(char),
    /// A number or date out of its range.
    #[error("is out of range: {0}")]
    Range(&'static str),
    /// Does not go with another field.
    #[error("contradicts {field}, which gives `{expected}`")]
    Contradicts {
        /// The other field.
        field: &'static str,
        /// What it says.
        expected: String,
    },
    /// An item in one section whose general form is missing in `case`: lists are joined by position.
    #[error("has {count} items, but there are only {general} in section `case`")]
    Unmatched {
        /// Items in this section.
        count: usize,
        /// Items in `case`.
        general: usize,
    },
    /// A photo that is named and was not handed in.
    #[error("is a photo that was not handed in; leave it out of the draft and hand in the file with it")]
    NoPhoto,
    /// All in all too large.
    #[error("has {bytes} bytes in all; the most allowed is {max}")]
    RecordTooLarge {
        /// Size of all sections.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion
        .map(|code| format!("; did you mean `{code}`?"))
        .unwrap_or_default()
}

fn as_text<S: serde::Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reason)
}

impl FieldError {
    /// An error about `value` at `path`.
    pub(crate) fn new(path: Path<'_>, value: &str, reason: Reason) -> Self {
        let list = match &reason {
            Reason::UnknownCode { list, version, .. } => Some(((*list).to_owned(), version.clone())),
            _ => None,
        };
        Self {
            field: path.to_string(),
            value: shown(value),
            reason,
            list,
        }
    }

    /// A draft names a photo, by its place in the list, that nobody handed in.
    #[must_use]
    pub fn without_photo(image: usize) -> Self {
        Self::new(Path::top("images").at(image), "", Reason::NoPhoto)
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => write!(f, "`{}` {}", self.field, self.reason),
            value => write!(f, "`{}`: `{value}` {}", self.field, self.reason),
        }
    }
}

impl std::error::Error for FieldError {}

/// A value as an error shows it.
fn shown(value: &str) -> String {
    const CHARS_MAX: usize = 80;
    let mut text: String = value.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    if value.chars().nth(CHARS_MAX).is_some() {
        text.push('…');
    }
    text
}

/// Where a field is. Made on the way down; becomes text only when something is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    name: &'static str,
    index: Option<usize>,
}

impl<'a> Path<'a> {
    /// A field at the top of a section.
    pub(crate) const fn top(name: &'static str) -> Self {
        Self {
            parent: None,
            name,
            index: None,
        }
    }

    /// A field of the message at this path.
    pub(crate) const fn field(&'a self, name: &'static str) -> Self {
        Self {
            parent: Some(self),
            name,
            index: None,
        }
    }

    /// An item of the list at this path.
    pub(crate) const fn at(self, index: usize) -> Self {
        Self {
            index: Some(index),
            ..self
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.name)?;
        if let Some(index) = self.index {
            write!(f, "[{index}]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_values_are_shown() {
        let persons = Path::top("persons").at(1);
        let papers = persons.field("papers").at(0);
        let error = FieldError::new(
            papers.field("number"),
            &"x\u{202e}".repeat(60),
            Reason::Form("a number"),
        );
        assert_eq!(error.field, "persons[1].papers[0].number");
        assert!(error.value.starts_with("x\\u{202e}x") && error.value.ends_with('…'));
        assert!(error.to_string().ends_with("` is not a number"));
    }

    #[test]
    fn a_missing_field_has_no_value() {
        let error = FieldError::new(Path::top("kind"), "", Reason::Missing("every record needs it"));
        assert_eq!(error.to_string(), "`kind` is missing; every record needs it");
    }
}
