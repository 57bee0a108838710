//! A few of the rows that could not become records, and why: taken from the imports' own reports.

use std::fs;

use serde::Deserialize;

use crate::network::Imported;

/// How many examples are shown.
const EXAMPLES_MAX: usize = 3;

/// A line of a report, as far as it is needed here.
#[derive(Deserialize)]
struct Line {
    line: u64,
    faults: Vec<Fault>,
}

/// A fault of a cell, or of the whole row where there is no column.
#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    column: String,
    #[serde(default)]
    value: String,
    reason: String,
}

/// Some rejected rows with their reasons, those of different imports in turn.
pub(super) fn examples(imports: &[Imported]) -> Vec<String> {
    let texts: Vec<String> = imports
        .iter()
        .map(|import| fs::read_to_string(&import.report).unwrap_or_default())
        .collect();
    let mut reports: Vec<_> = texts.iter().map(|text| text.lines().filter_map(told)).collect();
    let mut examples: Vec<String> = Vec::new();
    while examples.len() < EXAMPLES_MAX {
        let round: Vec<String> = reports.iter_mut().filter_map(Iterator::next).collect();
        if round.is_empty() {
            break;
        }
        for example in round {
            // A row whose owner nobody can tell is in every report.
            if !examples.contains(&example) {
                examples.push(example);
            }
        }
    }
    examples.truncate(EXAMPLES_MAX);
    examples
}

/// A report's line in words; nothing for the summary and for rows that were taken.
fn told(line: &str) -> Option<String> {
    let Line { line, faults } = serde_json::from_str(line).ok()?;
    let Fault { column, value, reason } = faults.into_iter().next()?;
    Some(if column.is_empty() {
        format!("line {line}: {reason}")
    } else {
        format!("line {line}, column `{column}`, `{value}`: {reason}")
    })
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn a_rejection_is_told_with_line_column_value_and_reason() {
        let line =
            r#"{"line":17,"outcome":"rejected","faults":[{"column":"unit","value":"Acres","kind":"x","reason":"no"}]}"#;
        assert_eq!(told(line).unwrap(), "line 17, column `unit`, `Acres`: no");
        let ragged = r#"{"line":86,"outcome":"rejected","faults":[{"kind":"ragged","reason":"149 cells"}]}"#;
        assert_eq!(told(ragged).unwrap(), "line 86: 149 cells");
        assert_eq!(told(r#"{"line":18,"outcome":"issued","record":"0192"}"#), None);
        assert_eq!(told(r#"{"summary":{"rows":3}}"#), None);
    }
}
