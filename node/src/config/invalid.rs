//! What is wrong with a settings file, said so that the operator finds the line and the right key.

use std::fmt;

/// Wrong text in a settings file: the operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// Not TOML, an unknown key, or a value of another type.
    #[error("line {line}, column {column}: {what}")]
    Text {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
        /// What is wrong there, with the keys that exist where a key is unknown.
        what: String,
    },
    /// A number that the program can't work with.
    #[error("`{key}` is {value}, which is outside {least} to {most}")]
    Range {
        /// The key with its table: `api.streams_max`.
        key: &'static str,
        /// What the file says.
        value: u64,
        /// The smallest accepted value.
        least: u64,
        /// The largest accepted value.
        most: u64,
    },
}

impl InvalidConfig {
    /// Turns the parser's error on `text` into ours.
    pub(super) fn new(text: &str, error: &toml::de::Error) -> Self {
        let offset = error.span().map_or(0, |span| span.start);
        let before = text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self::Text {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            what: explain(error.message()),
        }
    }
}

/// serde says ``unknown field `a`, expected one of `b`, `c` ``; say it in the operator's words, and guess what was meant.
fn explain(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message.lines().collect::<Vec<_>>().join(" ");
    };
    let Some((key, expected)) = rest.split_once('`') else {
        return message.to_owned();
    };
    // Names stand between backticks: every second piece.
    let keys: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let nearest = keys.iter().map(|known| (distance(key, known), *known)).min();
    let known = List(&keys);
    match nearest {
        Some((steps, meant)) if steps <= meant.len() / 3 + 1 => {
            format!("unknown key `{key}`; did you mean `{meant}`? the keys here are {known}")
        }
        _ => format!("unknown key `{key}`; the keys here are {known}"),
    }
}

struct List<'a>(&'a [&'a str]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, key) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}`{key}`")?;
        }
        Ok(())
    }
}

/// Levenshtein's distance over bytes; the words are a dozen letters.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let here = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = here;
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("listen", "listen"), 0);
        assert_eq!(distance("lisen", "listen"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("soket", "socket"), 1);
    }
}
