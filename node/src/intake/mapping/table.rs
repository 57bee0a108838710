//! Tables: what the words in a column mean.
//!
//! Words are compared without regard to case and to runs of spaces. A word is either a code, blank on purpose (it says that
//! nothing is known), refused on purpose with a reason, or unknown, which is a fault.

use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;
use serde::Deserialize;

use super::target::Target;
use super::{InvalidMapping, number};
use crate::intake::rows::{Fault, FaultKind};

/// A compiled table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    name: String,
    list: Option<String>,
    words: HashMap<String, Word>,
    /// What every other word becomes; `None`: a fault.
    otherwise: Option<TableEntry>,
}

#[derive(Clone, Debug)]
enum Word {
    Code(TableEntry),
    Blank,
    Refused(String),
}

/// What a word stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// The code.
    pub code: String,
    /// Units only: how many of the code's unit one of the word's is.
    pub times: Option<Decimal>,
    /// Other fields that the word settles, with their values.
    pub(super) with: Vec<(Target, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableDocument {
    /// The code list that the codes belong to, for people and for the check of the mapping.
    list: Option<String>,
    extends: Option<String>,
    #[serde(default)]
    codes: BTreeMap<String, CodeDocument>,
    #[serde(default)]
    blank: Vec<String>,
    #[serde(default)]
    refuse: BTreeMap<String, String>,
    otherwise: Option<String>,
    /// Whether a cell may hold one of the codes instead of a word for it.
    #[serde(default)]
    codes_themselves: bool,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum CodeDocument {
    Code(String),
    More(MoreDocument),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MoreDocument {
    code: String,
    times: Option<String>,
    #[serde(default)]
    with: BTreeMap<String, String>,
}

impl TableDocument {
    pub(super) fn extends(&self) -> Option<&str> {
        self.extends.as_deref()
    }

    pub(super) fn compile(self, name: &str, base: Option<&Table>) -> Result<Table, InvalidMapping> {
        let Self {
            list,
            extends: _,
            codes,
            blank,
            refuse,
            otherwise,
            codes_themselves,
        } = self;
        let mut table = Table {
            name: name.to_owned(),
            list: list.or_else(|| base.and_then(|base| base.list.clone())),
            words: HashMap::new(),
            otherwise: otherwise.map(|code| TableEntry {
                code,
                times: None,
                with: Vec::new(),
            }),
        };
        let problem = |problem: String| InvalidMapping::Table {
            table: name.to_owned(),
            problem,
        };
        let mut add = |text: &str, word: Word| match table.words.insert(folded(text), word) {
            None => Ok(()),
            Some(_) => Err(problem(format!("`{text}` stands in it twice"))),
        };
        let mut plain = Vec::new();
        for (text, document) in codes {
            let entry = document.compile().map_err(&problem)?;
            if codes_themselves && entry.times.is_none() && entry.with.is_empty() {
                plain.push(entry.clone());
            }
            add(&text, Word::Code(entry))?;
        }
        for text in blank {
            add(&text, Word::Blank)?;
        }
        for (text, reason) in refuse {
            add(&text, Word::Refused(reason))?;
        }
        // The mapping's own words go before those of a table it extends, and words before bare codes.
        for (text, word) in base.map(|base| &base.words).into_iter().flatten() {
            table.words.entry(text.clone()).or_insert_with(|| word.clone());
        }
        for entry in plain {
            table.words.entry(folded(&entry.code)).or_insert(Word::Code(entry));
        }
        Ok(table)
    }
}

impl CodeDocument {
    fn compile(self) -> Result<TableEntry, String> {
        let more = match self {
            Self::Code(code) => {
                return Ok(TableEntry {
                    code,
                    times: None,
                    with: Vec::new(),
                });
            }
            Self::More(more) => more,
        };
        let times = more
            .times
            .map(|text| number::decimal(&text, &number::Notation::default()))
            .transpose()?;
        let mut with = Vec::new();
        for (to, value) in more.with {
            with.push((
                Target::parse(&to).ok_or_else(|| format!("`{to}` is no field of a record"))?,
                value,
            ));
        }
        Ok(TableEntry {
            code: more.code,
            times,
            with,
        })
    }
}

impl Table {
    /// The code list that its codes belong to.
    #[must_use]
    pub fn list(&self) -> Option<&str> {
        self.list.as_deref()
    }

    /// Every entry, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &TableEntry> {
        self.words.values().filter_map(|word| match word {
            Word::Code(entry) => Some(entry),
            Word::Blank | Word::Refused(_) => None,
        })
    }

    /// What a cell means; `None` where it means that nothing is known.
    ///
    /// # Errors
    ///
    /// The table doesn't know the word, or refuses it.
    pub fn find(&self, column: &str, text: &str) -> Result<Option<&TableEntry>, Fault> {
        let key = folded(text);
        match self.words.get(&key) {
            Some(Word::Code(entry)) => Ok(Some(entry)),
            Some(Word::Blank) => Ok(None),
            Some(Word::Refused(reason)) => Err(Fault::of_cell(
                FaultKind::RefusedValue,
                column,
                text,
                format!("refused by the mapping: {reason}"),
            )),
            None if key.is_empty() => Ok(None),
            None => match &self.otherwise {
                Some(entry) => Ok(Some(entry)),
                None => {
                    let hint = nearest(&key, self.words.keys().map(String::as_str))
                        .map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
                    let reason = format!("is not in the mapping's table `{}`{hint}", self.name);
                    Err(Fault::of_cell(FaultKind::UnknownValue, column, text, reason))
                }
            },
        }
    }
}

/// A word as it is compared.
fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().flat_map(char::to_lowercase));
    }
    folded
}

/// The word that differs least from `text`, if by no more than a slip or two.
pub(super) fn nearest<'a>(text: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const CHARS_MAX: usize = 48;
    let length = text.chars().count();
    if !(3..=CHARS_MAX).contains(&length) {
        return None;
    }
    let slips_max = 1 + usize::from(length > 4);
    words
        .filter(|word| word.chars().count().abs_diff(length) <= slips_max)
        .map(|word| (distance(text, word), word))
        .filter(|(distance, _)| *distance <= slips_max)
        .min()
        .map(|(_, word)| word)
}

/// How many letters must be changed, added or left out.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (above, letter) in a.chars().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        let mut next = Vec::with_capacity(row.len());
        next.push(left);
        for (other, up) in b.chars().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(letter != other)).min(left + 1).min(up + 1);
            diagonal = *up;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("", "ab", 2),
            ("cocain", "cocaine", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
        assert_eq!(nearest("cocain", ["codeine", "cocaine"].into_iter()), Some("cocaine"));
        assert_eq!(nearest("xy", ["xz"].into_iter()), None);
    }
}
