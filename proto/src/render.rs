//! A view as a person reads it: JSON for programs and a console, indented text for a terminal.
//!
//! ```text
//! record   019ab0c4-6f00-7c3e-9d2a-5b1e8f7a6c01
//! version  1
//! entry    issue
//! kind     seizure
//! leaf     9f86d081…
//! sections
//!   case
//!     class
//!       originator  KE
//!   persons  withheld (sha256 2c26b46b…)
//! ```
//!
//! Sections that the record does not have are not mentioned. Nothing here says whether the view verifies; ask
//! [`View::verify`].

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::section::SectionKind;
use crate::v1;
use crate::view::{InvalidSection, View};

/// The view as JSON: `record`, `version`, `entry`, `kind`, `leaf` and `sections`. A disclosed section is an object with
/// the fields of its message that are set; a withheld one is the text `withheld (sha256 …)`.
#[must_use]
pub fn view_json(view: &View) -> Value {
    let head = view.head();
    let entry = view.entry();
    let mut sections = Map::new();
    for kind in entry.sections().iter() {
        let shown = match (view.sections().contains(kind), entry.section_hash(kind)) {
            (true, _) => section_json(view, kind).unwrap_or_else(|error| Value::String(error.to_string())),
            (false, hash) => {
                let hash = hash.map(|hash| HEXLOWER.encode(hash)).unwrap_or_default();
                Value::String(format!("withheld (sha256 {hash})"))
            }
        };
        sections.insert(kind.name().to_owned(), shown);
    }
    json!({
        "record": head.record_id.to_string(),
        "version": head.version,
        "entry": head.kind.name(),
        "kind": head.record_kind.name(),
        "leaf": view.leaf_hash().to_string(),
        "sections": sections,
    })
}

/// The view as lines of text, as at the top of this page.
#[must_use]
pub fn view_text(view: &View) -> String {
    let mut out = String::new();
    if let Value::Object(fields) = view_json(view) {
        write_object(&fields, 0, &mut out);
    }
    out
}

/// One disclosed section as JSON; null if it is withheld.
fn section_json(view: &View, kind: SectionKind) -> Result<Value, InvalidSection> {
    let only = view.redact(kind.into()).decode()?;
    let v1::Draft {
        kind: _,
        case,
        exact,
        references,
        persons,
        companies,
        narrative,
        images,
    } = only;
    let section = match kind {
        SectionKind::Case => serde_json::to_value(case),
        SectionKind::Exact => serde_json::to_value(exact),
        SectionKind::References => serde_json::to_value(references),
        SectionKind::Persons => serde_json::to_value(persons),
        SectionKind::Companies => serde_json::to_value(companies),
        SectionKind::Narrative => serde_json::to_value(narrative),
        SectionKind::Images => serde_json::to_value(images),
    };
    // Texts, numbers and lists of them: there is nothing that JSON could not hold.
    Ok(section.unwrap_or(Value::Null))
}

fn write_object(fields: &Map<String, Value>, depth: usize, out: &mut String) {
    let width = fields
        .iter()
        .filter(|(_, value)| is_line(value))
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    for (name, value) in fields {
        let indent = depth * 2;
        // Writing to a string does not fail.
        let _ = match value {
            value if is_line(value) => writeln!(out, "{:indent$}{name:width$}  {}", "", line(value)),
            _ => writeln!(out, "{:indent$}{name}", ""),
        };
        match value {
            Value::Object(fields) => write_object(fields, depth + 1, out),
            Value::Array(items) if !is_line(value) => {
                for item in items.iter().filter_map(Value::as_object) {
                    let start = out.len();
                    write_object(item, depth + 2, out);
                    // The first line of an item gets its dash.
                    let dash = start + indent + 2;
                    if out.get(dash..dash + 2) == Some("  ") {
                        out.replace_range(dash..dash + 1, "-");
                    } else {
                        out.insert_str(start, &format!("{:indent$}  -\n", ""));
                    }
                }
            }
            _ => {}
        }
    }
}

/// Whether a value stands on the line of its name.
fn is_line(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(items) => !items.iter().any(Value::is_object),
        _ => true,
    }
}

fn line(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('\n', " ⏎ "),
        Value::Array(items) => items.iter().map(line).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// For the generated code: a field that is not set, or set to what not set means.
pub(crate) fn is_unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// For the generated code: the number of a record kind by its name.
pub(crate) fn kind<S: Serializer>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    let kind = v1::RecordKind::try_from(*number)
        .ok()
        .and_then(|kind| crate::kind::RecordKind::try_from(kind).ok());
    match kind {
        Some(kind) => kind.serialize(serializer),
        None => number.serialize(serializer),
    }
}

/// For the generated code: a hash in hexadecimal digits.
pub(crate) fn hex<S: Serializer>(bytes: &bytes::Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&HEXLOWER.encode(bytes))
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::codes::tests::BUILT_IN;
    use crate::id::RecordId;
    use crate::record::{Record, tests::complete};
    use crate::section::SectionSet;

    fn view() -> View {
        let (draft, kenya) = (complete(), "KE".parse().unwrap());
        let record = Record::validate(&draft, &BUILT_IN, &kenya).unwrap();
        record.seal(
            RecordId::new(1_795_000_000_000, [3; 10]),
            1,
            &mut SmallRng::seed_from_u64(5),
        )
    }

    #[test]
    fn json_shows_what_is_disclosed_and_the_hash_of_what_is_not() {
        let json = view_json(&view().redact(SectionSet::open().with(SectionKind::Images)));
        assert_eq!(
            (&json["kind"], &json["entry"], &json["version"]),
            (&"seizure".into(), &"issue".into(), &1.into())
        );
        let case = &json["sections"]["case"];
        assert_eq!(case["class"]["kind"], "seizure");
        assert_eq!(case["class"]["categories"], json!(["drugs", "tobacco"]));
        assert_eq!(case["goods"][1]["quantity_band"], "1-10");
        assert_eq!(case.get("outcome"), None, "not set, so not shown");
        assert_eq!(json["sections"]["images"]["images"][0]["sha256"], "07".repeat(32));
        let hash = HEXLOWER.encode(view().entry().section_hash(SectionKind::Persons).unwrap());
        assert_eq!(json["sections"]["persons"], format!("withheld (sha256 {hash})"));
        assert!(!json.to_string().contains("Muster"));
    }

    #[test]
    fn text_reads_top_down() {
        let text = view_text(&view());
        assert!(text.starts_with("record   01a1ee56-"), "{text}");
        for part in [
            "  case\n    class\n      kind             seizure\n",
            "    goods\n      - category       tobacco\n        kind           cigarettes\n",
            "      - family_name  Muster\n        given_names  Erika\n",
            "    narrative  Found behind ⏎ a false wall.\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let redacted = view_text(&view().redact(SectionSet::EMPTY));
        assert!(redacted.contains("  companies   withheld (sha256 "), "{redacted}");
        assert!(!redacted.contains("KE"));
    }

    #[test]
    fn an_unreadable_section_is_said_to_be_so() {
        let view = crate::view::tests::sealed(&[(SectionKind::Case, &[0xff; 9])], 1);
        assert_eq!(
            view_json(&view)["sections"]["case"],
            "section `case` is no valid message"
        );
    }
}
