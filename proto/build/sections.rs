//! The check that gives each section its sensitivity, or fails the build. Compiled into the build script and, for its
//! tests, into the crate.
//!
//! A section is a message field of `icomm.v1.Draft`; its number in the log is the field's number less one, since
//! `Draft.kind` is field 1. Refused are
//! - a section whose message declares no sensitivity,
//! - a field of `Draft`, other than `kind`, that is no message: it would lie outside every section,
//! - a repeated section: an entry has one hash for each,
//! - a message reached from two sections of different sensitivity, or that is a section and part of another one: then
//!   the type alone would no longer say who may see a field.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use protox::prost_reflect::{DescriptorPool, Kind, MessageDescriptor, Value};

/// A section as the .proto files declare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// Its number in entries and views, from 1.
    pub(crate) number: u32,
    /// Its field's name in `Draft`, such as `case`.
    pub(crate) name: String,
    /// The Rust name of its sensitivity, such as `Nominal`.
    pub(crate) sensitivity: String,
}

/// All sections of `icomm.v1.Draft` in ascending order of number, or a sentence that says which message is at fault.
pub(crate) fn sections(pool: &DescriptorPool) -> Result<Vec<Section>, String> {
    let draft = pool
        .get_message_by_name("icomm.v1.Draft")
        .ok_or("record.proto declares no message `Draft`")?;
    let mut sections = Vec::new();
    let mut owners: BTreeMap<String, (String, String)> = BTreeMap::new();
    for field in draft.fields() {
        let name = field.name();
        if name == "kind" {
            continue;
        }
        let Kind::Message(message) = field.kind() else {
            return Err(format!(
                "field `{name}` of `Draft` is no message, so it belongs to no section"
            ));
        };
        if field.is_list() || field.is_map() {
            return Err(format!(
                "section `{name}` of `Draft` is repeated; a record has each section once"
            ));
        }
        let Some(number) = field.number().checked_sub(1).filter(|number| (1..=7).contains(number)) else {
            return Err(format!(
                "section `{name}` of `Draft` has field number {}; sections are 2 to 8",
                field.number()
            ));
        };
        let sensitivity = sensitivity(pool, &message)?;
        claim(&message, name, &sensitivity, &mut owners)?;
        sections.push(Section {
            number,
            name: name.to_owned(),
            sensitivity,
        });
    }
    sections.sort_by_key(|section| section.number);
    for field in draft.fields() {
        // A section's own message must be reached from nowhere but its own field.
        if let Kind::Message(message) = field.kind()
            && let Some((owner, _)) = owners.get(message.full_name())
            && owner != field.name()
        {
            return Err(format!(
                "message `{}` is section `{}` and part of `{owner}`",
                message.name(),
                field.name()
            ));
        }
    }
    Ok(sections)
}

/// The declared sensitivity of a section's message.
fn sensitivity(pool: &DescriptorPool, message: &MessageDescriptor) -> Result<String, String> {
    let forgotten = || {
        format!(
            "message `{}` is a section without `option (icomm.v1.sensitivity)`",
            message.name()
        )
    };
    let extension = pool
        .get_extension_by_name("icomm.v1.sensitivity")
        .ok_or("sensitivity.proto declares no option `icomm.v1.sensitivity`")?;
    let options = message.options();
    if !options.has_extension(&extension) {
        return Err(forgotten());
    }
    let (Value::EnumNumber(number), Kind::Enum(values)) =
        (options.get_extension(&extension).into_owned(), extension.kind())
    else {
        return Err("option `icomm.v1.sensitivity` is not an enum".to_owned());
    };
    if number == 0 {
        return Err(forgotten());
    }
    let value = values
        .get_value(number)
        .ok_or_else(|| format!("`{number}` is no value of `Sensitivity`"))?;
    Ok(pascal_case(value.name().trim_start_matches("SENSITIVITY_")))
}

/// Notes that every message reachable from `message` belongs to `section`; refuses one that another sensitivity holds.
fn claim(
    message: &MessageDescriptor,
    section: &str,
    sensitivity: &str,
    owners: &mut BTreeMap<String, (String, String)>,
) -> Result<(), String> {
    if let Some((owner, other)) = owners.get(message.full_name()) {
        if other != sensitivity {
            let name = message.name();
            return Err(format!(
                "message `{name}` is part of section `{owner}` ({other}) and of `{section}` ({sensitivity}); declare one for each"
            ));
        }
        if owner == section {
            return Ok(());
        }
    }
    owners.insert(
        message.full_name().to_owned(),
        (section.to_owned(), sensitivity.to_owned()),
    );
    for field in message.fields() {
        if let Kind::Message(inner) = field.kind() {
            claim(&inner, section, sensitivity, owners)?;
        }
    }
    Ok(())
}

/// The Rust source of the generated table.
pub(crate) fn table(sections: &[Section]) -> String {
    let mut source = String::from("const SECTIONS: &[(SectionKind, &str, Sensitivity)] = &[\n");
    for Section { name, sensitivity, .. } in sections {
        let _ = writeln!(
            source,
            "    (SectionKind::{}, \"{name}\", Sensitivity::{sensitivity}),",
            pascal_case(name)
        );
    }
    source.push_str("];\nconst OPEN: SectionSet = SectionSet::EMPTY");
    for Section { name, .. } in sections.iter().filter(|section| section.sensitivity == "Open") {
        let _ = write!(source, ".with(SectionKind::{})", pascal_case(name));
    }
    source.push_str(";\n");
    source
}

/// A message type that sections are made of, with what is needed to walk over its encoded form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Full name, such as `icomm.v1.Case`.
    pub(crate) name: String,
    /// Its fields in ascending order of number.
    pub(crate) fields: Vec<Field>,
}

/// A field of a [`Message`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) number: u32,
    pub(crate) repeated: bool,
    /// `Varint`, `Bytes`, or `Message(i)` for the i-th message of the list.
    pub(crate) content: String,
}

/// The message types of all sections: first the sections' own, in their order, then what these are made of.
pub(crate) fn messages(pool: &DescriptorPool) -> Result<Vec<Message>, String> {
    let draft = pool
        .get_message_by_name("icomm.v1.Draft")
        .ok_or("record.proto declares no message `Draft`")?;
    let mut fields: Vec<_> = draft.fields().collect();
    fields.sort_by_key(protox::prost_reflect::FieldDescriptor::number);
    let mut found: Vec<MessageDescriptor> = Vec::new();
    found.extend(fields.iter().filter_map(|field| field.kind().as_message().cloned()));
    let mut messages = Vec::new();
    while let Some(message) = found.get(messages.len()).cloned() {
        let mut fields = Vec::new();
        for field in message.fields() {
            let content = match field.kind() {
                Kind::Message(inner) => {
                    let place = found.iter().position(|message| *message == inner).unwrap_or_else(|| {
                        found.push(inner);
                        found.len() - 1
                    });
                    format!("Message({place})")
                }
                Kind::String | Kind::Bytes => "Bytes".to_owned(),
                Kind::Bool | Kind::Int32 | Kind::Uint32 | Kind::Int64 | Kind::Uint64 | Kind::Enum(_)
                    if !field.is_list() =>
                {
                    "Varint".to_owned()
                }
                _ => {
                    return Err(format!(
                        "field `{}` has a type that sections do not use",
                        field.full_name()
                    ));
                }
            };
            if field.number() >= 64 {
                return Err(format!(
                    "field `{}` has number {}; sections use numbers below 64",
                    field.full_name(),
                    field.number()
                ));
            }
            fields.push(Field {
                number: field.number(),
                repeated: field.is_list(),
                content,
            });
        }
        fields.sort_by_key(|field| field.number);
        messages.push(Message {
            name: message.full_name().to_owned(),
            fields,
        });
    }
    Ok(messages)
}

/// The Rust source of the generated table of messages: for each a slot a field number, from 0.
pub(crate) fn messages_table(messages: &[Message]) -> String {
    let mut source = String::from("const MESSAGES: &[&[Option<Field>]] = &[\n");
    for Message { name, fields } in messages {
        let _ = writeln!(source, "    // {name}\n    &[");
        let mut next = 0;
        for Field {
            number,
            repeated,
            content,
        } in fields
        {
            (next..*number).for_each(|_| source.push_str("        None,\n"));
            let _ = writeln!(
                source,
                "        Some(Field {{ repeated: {repeated}, content: Content::{content} }}),"
            );
            next = number + 1;
        }
        source.push_str("    ],\n");
    }
    source.push_str("];\n");
    source
}

/// `SEVERAL_WORDS` as `SeveralWords`.
fn pascal_case(name: &str) -> String {
    let mut out = String::new();
    for word in name.split('_') {
        let mut letters = word.chars();
        if let Some(first) = letters.next() {
            out.extend(first.to_uppercase());
            out.push_str(&letters.as_str().to_lowercase());
        }
    }
    out
}
