//! The types of `src/draft.rs`: the messages that a draft is made of, as an invocation of the macro that declares them.

use std::fmt::Write as _;

use protox::prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

/// The Rust source of all messages reachable from `icomm.v1.Draft`, or a sentence that says which field is at fault.
pub(crate) fn drafts(pool: &DescriptorPool) -> Result<String, String> {
    let draft = pool
        .get_message_by_name("icomm.v1.Draft")
        .ok_or("record.proto declares no message `Draft`")?;
    let mut found = vec![draft];
    let mut done = 0;
    let mut source = String::from("messages! {\n");
    while let Some(message) = found.get(done).cloned() {
        done += 1;
        let _ = writeln!(source, "    {} {{", message.name());
        let mut fields: Vec<_> = message.fields().collect();
        fields.sort_by_key(FieldDescriptor::number);
        for field in fields {
            let declared = declared(&field, &mut found)?;
            // Every name as a raw identifier, since one of them is `type`.
            let _ = writeln!(source, "        {} r#{}: {declared},", field.number(), field.name());
        }
        source.push_str("    }\n");
    }
    source.push_str("}\n");
    Ok(source)
}

/// The Rust type of a field; messages that were not seen before are added to `found`.
fn declared(field: &FieldDescriptor, found: &mut Vec<MessageDescriptor>) -> Result<String, String> {
    let single = match field.kind() {
        Kind::String => "Text<'a>".to_owned(),
        Kind::Message(message) => {
            let name = format!("{}<'a>", message.name());
            if !found.contains(&message) {
                found.push(message);
            }
            name
        }
        Kind::Bytes if !field.is_list() => "Cow<'a, [u8]>".to_owned(),
        Kind::Enum(_) if !field.is_list() => "i32".to_owned(),
        Kind::Uint32 if !field.is_list() => "u32".to_owned(),
        Kind::Uint64 if !field.is_list() => "u64".to_owned(),
        Kind::Bool if !field.is_list() => "bool".to_owned(),
        _ => {
            return Err(format!(
                "field `{}` has a type that drafts do not use",
                field.full_name()
            ));
        }
    };
    Ok(match field.kind() {
        _ if field.is_list() => format!("Vec<{single}>"),
        Kind::Message(_) => format!("Option<{single}>"),
        _ => single,
    })
}
