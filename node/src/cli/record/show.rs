//! Records and entries as a person reads them.

use std::fmt::Write as _;

use comfy_table::Table;
use data_encoding::HEXLOWER;
use icomm_proto::v1;
use serde_json::Value;

use crate::cli::output::{table, yes_no};

/// What became of one submitted record.
pub(super) fn outcome(outcome: &v1::Outcome) -> String {
    let v1::Outcome {
        result: _,
        record_id,
        origin,
        index,
        errors,
    } = outcome;
    match outcome.result() {
        v1::outcome::Result::Issued => format!("issued {record_id} as entry {index} of {origin}"),
        v1::outcome::Result::Duplicate => format!("issued before: {record_id} is entry {index} of {origin}"),
        v1::outcome::Result::Valid => "valid; nothing was issued".to_owned(),
        v1::outcome::Result::Rejected | v1::outcome::Result::Unspecified => {
            let mut rows = table(["field", "value", "why it is rejected", "code list"]);
            for v1::FieldError {
                field,
                value,
                reason,
                list,
            } in errors
            {
                rows.add_row([field, value, reason, list]);
            }
            format!("rejected; nothing was issued\n{rows}")
        }
    }
}

/// One entry with everything disclosed of it.
pub(in crate::cli) fn entry(entry: &v1::Entry, json: &Value) -> String {
    let mut text = line(entry);
    let _ = write!(text, "\n  leaf hash {}", HEXLOWER.encode(&entry.leaf_hash));
    let _ = write!(text, "\n  verified: {}", yes_no(entry.verified));
    if matches!(entry.state.as_str(), "superseded" | "recalled") {
        let _ = write!(text, "\n  {}; nothing of it is left but hashes", entry.state);
    } else if !entry.withheld_sections.is_empty() {
        let _ = write!(
            text,
            "\n  withheld from this node: {}",
            entry.withheld_sections.join(", ")
        );
    }
    for section in &entry.sections {
        let _ = write!(text, "\n  {section}");
        if let Some(fields) = json.get("record").and_then(|record| record.get(section)) {
            fields_of(fields, 4, &mut text);
        }
    }
    text
}

/// One entry in a line, as `watch` prints it.
pub(super) fn line(entry: &v1::Entry) -> String {
    let v1::Entry {
        origin,
        index,
        record_id,
        version,
        kind,
        record_kind,
        sections,
        ..
    } = entry;
    if record_id.is_empty() {
        return format!("{origin} {index}: withheld");
    }
    format!(
        "{origin} {index}: {kind} {record_kind} {record_id} version {version} ({})",
        sections.join(" + ")
    )
}

/// Entries as a table.
pub(super) fn table_of(entries: &[v1::Entry]) -> Table {
    let mut rows = table([
        "index",
        "record",
        "kind",
        "version",
        "what",
        "when, where",
        "disclosed",
        "verified",
    ]);
    for entry in entries {
        let v1::Entry {
            index,
            record_id,
            record_kind,
            version,
            sections,
            verified,
            ..
        } = entry;
        let erased = matches!(entry.state.as_str(), "superseded" | "recalled");
        let (record, version, disclosed) = if record_id.is_empty() {
            let hash: String = HEXLOWER.encode(&entry.leaf_hash).chars().take(12).collect();
            (format!("#{hash}…"), String::new(), "withheld".to_owned())
        } else {
            let disclosed = if erased {
                entry.state.clone()
            } else {
                sections.join(" + ")
            };
            (record_id.clone(), version.to_string(), disclosed)
        };
        let (what, when) = gist(entry.record.as_ref());
        let cells = [
            index.to_string(),
            record,
            record_kind.clone(),
            version,
            what,
            when,
            disclosed,
            yes_no(*verified).into(),
        ];
        rows.add_row(cells);
    }
    rows
}

/// What was seized, and when and where, as far as the open section tells.
fn gist(record: Option<&v1::Draft>) -> (String, String) {
    let Some(case) = record.and_then(|record| record.case.as_ref()) else {
        return Default::default();
    };
    let goods = case.goods.iter().map(|goods| {
        if goods.kind.is_empty() {
            &goods.category
        } else {
            &goods.kind
        }
    });
    let what = goods.map(String::as_str).collect::<Vec<_>>().join(", ");
    let country = case
        .class
        .as_ref()
        .map(|class| class.seizure_country.as_str())
        .unwrap_or_default();
    (what, [case.seizure_month.as_str(), country].join(" ").trim().to_owned())
}

/// Filled fields, indented; empty ones are left out.
fn fields_of(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(_, value)| !is_empty(value)) {
                let _ = write!(text, "\n{:indent$}{name}", "");
                fields_of(value, indent + 2, text);
            }
        }
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                if item.is_object() {
                    let _ = write!(text, "\n{:indent$}{}.", "", position + 1);
                }
                fields_of(item, indent + 2, text);
            }
        }
        Value::String(value) => {
            let _ = write!(text, ": {value}");
        }
        other => {
            let _ = write!(text, ": {other}");
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Number(number) => number.as_u64() == Some(0),
        Value::Bool(true) => false,
    }
}

#[cfg(test)]
mod tests {
    use icomm_proto::v1;

    use super::{entry, line, outcome, table_of};
    use crate::cli::json::to_json;

    fn disclosed() -> v1::Entry {
        v1::Entry {
            origin: "KE/main".into(),
            index: 7,
            record_id: "0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11".into(),
            version: 1,
            kind: "issue".into(),
            record_kind: "seizure".into(),
            sections: vec!["case".into()],
            withheld_sections: vec!["exact".into(), "persons".into()],
            verified: true,
            leaf_hash: vec![7; 32].into(),
            record: Some(v1::Draft {
                case: Some(v1::Case {
                    class: Some(v1::Class {
                        seizure_country: "KE".into(),
                        ..Default::default()
                    }),
                    seizure_month: "2026-11".into(),
                    goods: vec![v1::Goods {
                        category: "drugs".into(),
                        kind: "heroin".into(),
                        ..Default::default()
                    }],
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn an_entry_shows_what_is_disclosed_and_names_what_is_not() {
        let shown = disclosed();
        let text = entry(&shown, &to_json(&shown).unwrap());
        assert!(text.starts_with("KE/main 7: issue seizure 0195e7c2"), "{text}");
        assert!(text.contains("withheld from this node: exact, persons"), "{text}");
        assert!(
            text.contains("\n      1.\n        category: drugs\n        kind: heroin"),
            "{text}"
        );
        assert!(!text.contains("outcome"), "empty fields stay out: {text}");
    }

    #[test]
    fn a_withheld_entry_is_a_hash_and_nothing_else() {
        let withheld = v1::Entry {
            origin: "UG/main".into(),
            index: 3,
            leaf_hash: vec![0xab; 32].into(),
            ..Default::default()
        };
        assert_eq!(line(&withheld), "UG/main 3: withheld");
        let table = table_of(&[withheld, disclosed()]).to_string();
        assert!(
            table.contains("#abababababab…") && table.contains("2026-11 KE"),
            "{table}"
        );
    }

    #[test]
    fn a_rejection_lists_every_field() {
        let errors = vec![v1::FieldError {
            field: "goods[0].unit".into(),
            value: "XYZ".into(),
            reason: "unknown code".into(),
            list: "unit 2026.1".into(),
        }];
        let mut rejected = v1::Outcome {
            errors,
            ..Default::default()
        };
        rejected.set_result(v1::outcome::Result::Rejected);
        let text = outcome(&rejected);
        assert!(text.contains("goods[0].unit") && text.contains("unit 2026.1"), "{text}");
    }
}
