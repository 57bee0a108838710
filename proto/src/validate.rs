//! The rules that make a draft a record: one file a concern. Every rule notes what it finds and goes on, so that whoever
//! submits a record learns of all that is wrong at once.

use std::borrow::Cow;

use crate::codes::{CodeLists, List};
use crate::draft::Text;
use crate::field::{FieldError, Path, Reason};

mod case;
mod dates;
mod goods;
mod identities;
mod marks;
mod numbers;
mod text;

pub(crate) use case::{exact, images, references};
pub(crate) use goods::goods;
pub(crate) use identities::{companies, persons};

/// Longest of a short text (a name, a number, a place), in bytes.
pub const TEXT_BYTES_MAX: usize = 512;
/// Longest of a narrative and of each other free text, in bytes.
pub const NARRATIVE_BYTES_MAX: usize = 32 << 10;
/// Most goods, persons, companies, legs and images of a record, each.
pub const ITEMS_MAX: usize = 200;
/// Most aliases, papers, addresses, phones and warnings of a person, each.
pub const PARTS_MAX: usize = 20;
/// Most bytes of all sections of a record, encoded. A full view stays well below the longest that may be sent.
pub const RECORD_BYTES_MAX: usize = 768 << 10;

/// Most errors that are told of one record; a record with more is no record that somebody mistyped.
pub const ERRORS_MAX: usize = 100;

/// The code lists and what was found so far.
pub(crate) struct Check<'a> {
    pub(crate) lists: &'a CodeLists,
    pub(crate) errors: Vec<FieldError>,
}

impl Check<'_> {
    pub(crate) fn refuse(&mut self, path: Path<'_>, value: &str, reason: Reason) {
        if self.errors.len() >= ERRORS_MAX {
            return;
        }
        self.errors.push(FieldError::new(path, value, reason));
    }

    /// Refuses an empty field; `why` says which form or rule needs it.
    pub(crate) fn require(&mut self, path: Path<'_>, value: &str, why: &'static str) {
        if trimmed(value).is_empty() {
            self.refuse(path, "", Reason::Missing(why));
        }
    }

    /// A code of a list, or nothing. True if it holds a right code.
    pub(crate) fn code(&mut self, path: Path<'_>, value: &mut Text<'_>, list: List) -> bool {
        trim(value);
        if value.is_empty() {
            return false;
        }
        let codes = self.lists.list(list);
        if codes.contains(value) {
            return true;
        }
        let reason = Reason::UnknownCode {
            list: list.name(),
            version: codes.version().to_owned(),
            suggestion: codes.suggestion(value).map(str::to_owned),
        };
        self.refuse(path, value, reason);
        false
    }

    /// Refuses a list that is too long, and drops what is over, so that no later rule takes long.
    pub(crate) fn bounded<T>(&mut self, path: Path<'_>, items: &mut Vec<T>, max: usize) {
        if items.len() > max {
            self.refuse(
                path,
                "",
                Reason::TooMany {
                    count: items.len(),
                    max,
                },
            );
            items.truncate(max);
        }
    }

    /// Joins a list of an exact or nominal section with its general form in `case`: refuses items that have none, and
    /// fills up what is missing at the end. A list in which every item is empty becomes empty; once more after its items
    /// were checked, since a blank text becomes empty then.
    pub(crate) fn joined<T: Default + Clone + PartialEq>(
        &mut self,
        path: Path<'_>,
        items: &mut Vec<T>,
        general: usize,
    ) {
        if items.len() > general {
            self.refuse(
                path,
                "",
                Reason::Unmatched {
                    count: items.len(),
                    general,
                },
            );
            items.truncate(general);
        }
        if items.iter().all(|item| *item == T::default()) {
            items.clear();
        } else {
            items.resize(general, T::default());
        }
    }
}

/// Cuts white space off both ends.
fn trim(value: &mut Text<'_>) {
    match value {
        Cow::Borrowed(text) => *text = trimmed(text),
        Cow::Owned(text) => {
            let trimmed = trimmed(text);
            if trimmed.len() != text.len() {
                *text = trimmed.to_owned();
            }
        }
    }
}

/// The text without the white space at its ends.
#[inline]
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        // Nearly all texts: nothing to look for.
        [] | [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}
