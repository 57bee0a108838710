//! Tables: what the words in a column mean.
//!
//! A table stands on a code list, whose codes, names and aliases it understands, and adds what a file has besides: other
//! words for a code, words that say that nothing is known (left blank on purpose), and words that are refused on purpose,
//! with the reason. Any other word is a fault. Words are compared without regard to case and to runs of spaces.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use icomm_proto::codes::{CodeLists, List};
use rust_decimal::Decimal;
use rustc_hash::FxHashMap;
use serde::Deserialize;

use super::target::Target;
use super::{InvalidMapping, number};
use crate::intake::rows::{Fault, FaultKind};

/// A compiled table.
#[derive(Clone)]
pub(super) struct Table {
    name: String,
    list: Option<(Arc<CodeLists>, List)>,
    /// By the word as it is compared. Hashed without a secret: nobody but the clerk who wrote the mapping adds any.
    words: FxHashMap<String, Word>,
    /// What every other word becomes; `None`: a fault.
    otherwise: Option<String>,
}

#[derive(Clone, Debug)]
enum Word {
    Code(Entry),
    Blank,
    Refused(String),
}

/// What a word of the table's own stands for.
#[derive(Clone, Debug)]
struct Entry {
    code: String,
    /// Units only: how many of the code's unit one of the word's is.
    times: Option<Decimal>,
    /// Other fields that the word settles, with their values.
    with: Vec<(Target, String)>,
}

/// What a cell means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Meaning<'a> {
    /// The code.
    pub(super) code: &'a str,
    /// Units only: how many of the code's unit one of the cell's is, if not one.
    pub(super) times: Option<Decimal>,
    pub(super) with: &'a [(Target, String)],
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TableDocument {
    list: Option<String>,
    codes: BTreeMap<String, CodeDocument>,
    blank: Vec<String>,
    refuse: BTreeMap<String, String>,
    otherwise: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum CodeDocument {
    Code(String),
    More(MoreDocument),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MoreDocument {
    code: String,
    times: Option<String>,
    #[serde(default)]
    with: BTreeMap<String, String>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({})", self.name)
    }
}

impl TableDocument {
    /// A table that is nothing but a code list.
    pub(super) fn of_list(name: &str) -> Self {
        Self {
            list: Some(name.to_owned()),
            ..Self::default()
        }
    }

    pub(super) fn compile(self, name: &str, lists: &Arc<CodeLists>) -> Result<Table, InvalidMapping> {
        let Self {
            list,
            codes,
            blank,
            refuse,
            otherwise,
        } = self;
        let problem = |problem: String| InvalidMapping::Table {
            table: name.to_owned(),
            problem,
        };
        let list = match list {
            None => None,
            Some(list) => {
                let known = List::named(&list).ok_or_else(|| problem(format!("there is no code list `{list}`")))?;
                Some((Arc::clone(lists), known))
            }
        };
        let check = |code: &str| match &list {
            Some((lists, list)) if !lists.list(*list).contains(code) => {
                let version = lists.list(*list).version();
                Err(problem(format!("`{code}` is no code of the list `{list}` ({version})")))
            }
            _ => Ok(()),
        };
        let mut words = FxHashMap::default();
        let mut add = |text: &str, word: Word| match words.insert(folded(text).into_owned(), word) {
            None => Ok(()),
            Some(_) => Err(problem(format!("`{text}` stands in it twice"))),
        };
        for (text, document) in codes {
            let entry = document.compile().map_err(&problem)?;
            check(&entry.code)?;
            add(&text, Word::Code(entry))?;
        }
        for text in blank {
            add(&text, Word::Blank)?;
        }
        for (text, reason) in refuse {
            add(&text, Word::Refused(reason))?;
        }
        if let Some(code) = &otherwise {
            check(code)?;
        }
        Ok(Table {
            name: name.to_owned(),
            list,
            words,
            otherwise,
        })
    }
}

impl CodeDocument {
    fn compile(self) -> Result<Entry, String> {
        let more = match self {
            Self::Code(code) => {
                return Ok(Entry {
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
        Ok(Entry {
            code: more.code,
            times,
            with,
        })
    }
}

impl Table {
    /// What a cell means; `None` where it means that nothing is known.
    ///
    /// # Errors
    ///
    /// The table doesn't know the word, or refuses it.
    pub(super) fn find(&self, column: &str, text: &str) -> Result<Option<Meaning<'_>>, Fault> {
        // A table that is nothing but a code list has no words of its own.
        let word = match self.words.len() {
            0 => None,
            _ => self.words.get(folded(text).as_ref()),
        };
        match word {
            Some(Word::Code(Entry { code, times, with })) => {
                return Ok(Some(Meaning {
                    code,
                    times: *times,
                    with,
                }));
            }
            Some(Word::Blank) => return Ok(None),
            Some(Word::Refused(reason)) => {
                let reason = format!("is refused by the mapping: {reason}");
                return Err(Fault::of_cell(FaultKind::RefusedValue, column, text, reason));
            }
            None if text.trim().is_empty() => return Ok(None),
            None => {}
        }
        let listed = self
            .list
            .as_ref()
            .and_then(|(lists, list)| lists.list(*list).code_of(text));
        match listed.or(self.otherwise.as_deref()) {
            Some(code) => Ok(Some(Meaning {
                code,
                times: None,
                with: &[],
            })),
            None => Err(Fault::of_cell(
                FaultKind::UnknownValue,
                column,
                text,
                self.unknown(&folded(text)),
            )),
        }
    }

    /// Whether a blank cell is a word that the table knows.
    pub(super) fn knows_blank(&self) -> bool {
        self.words.contains_key("")
    }

    fn unknown(&self, key: &str) -> String {
        let own = nearest(key, self.words.keys().map(String::as_str));
        let listed = || {
            self.list
                .as_ref()
                .and_then(|(lists, list)| lists.list(*list).suggestion(key))
        };
        let hint = own
            .or_else(listed)
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        match &self.list {
            Some((lists, list)) => {
                format!(
                    "is no code or name of the list `{list}` ({}){hint}",
                    lists.list(*list).version()
                )
            }
            None => format!("is not in the mapping's table `{}`{hint}", self.name),
        }
    }
}

/// A word as it is compared.
fn folded(text: &str) -> Cow<'_, str> {
    let small = |byte: u8| matches!(byte, b'!'..=b'@' | b'['..=b'~');
    if text.bytes().all(small) {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().flat_map(char::to_lowercase));
    }
    Cow::Owned(folded)
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
