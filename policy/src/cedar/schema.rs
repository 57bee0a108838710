//! The schema of policies, generated from the record model: what a condition or a national law can speak of.
//!
//! Attributes of a `Record` are the fields of the message `icomm.v1.Class`, read from the compiled .proto files; actions are
//! the sections, grouped by their sensitivity. A new field or section is therefore known here without anybody writing it
//! down twice.

use std::fmt::Write;
use std::sync::LazyLock;

use cedar_policy::{Schema, Validator};
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{FieldDescriptorProto, FileDescriptorSet};
use thiserror::Error;

use icomm_pki::Role;
use icomm_proto::{SectionKind, Sensitivity};

/// The message whose fields policies read.
const CLASS: &str = "Class";

/// Why the program's own schema could not be built; a fault of this program, found by its tests.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the policy schema of this program is broken: {0}")]
pub struct BrokenSchema(String);

/// The schema, ready for use.
pub(crate) struct Vocabulary {
    pub(crate) text: String,
    pub(crate) schema: Schema,
    pub(crate) validator: Validator,
}

static VOCABULARY: LazyLock<Result<Vocabulary, BrokenSchema>> = LazyLock::new(build);

/// The one schema of this program.
pub(crate) fn vocabulary() -> Result<&'static Vocabulary, BrokenSchema> {
    VOCABULARY.as_ref().map_err(Clone::clone)
}

/// The schema as text, for those who write national laws and conditions.
///
/// # Errors
/// When the record model has a field that policies can't read; a test excludes it.
pub fn schema_text() -> Result<&'static str, BrokenSchema> {
    vocabulary().map(|vocabulary| vocabulary.text.as_str())
}

/// The name of the action that discloses `section`.
pub(crate) fn action_name(section: SectionKind) -> &'static str {
    section.name()
}

/// The name of the group of actions that disclose sections of this sensitivity.
const fn group_name(sensitivity: Sensitivity) -> &'static str {
    match sensitivity {
        Sensitivity::Open => "open-sections",
        Sensitivity::Exact => "exact-sections",
        Sensitivity::Nominal => "nominal-sections",
        Sensitivity::Narrative => "narrative-sections",
        Sensitivity::Image => "image-sections",
    }
}

fn build() -> Result<Vocabulary, BrokenSchema> {
    let text = text()?;
    let (schema, warnings) =
        Schema::from_cedarschema_str(&text).map_err(|error| BrokenSchema(format!("{error}\n{text}")))?;
    if let Some(warning) = warnings.into_iter().next() {
        return Err(BrokenSchema(warning.to_string()));
    }
    Ok(Vocabulary {
        text,
        validator: Validator::new(schema.clone()),
        schema,
    })
}

fn text() -> Result<String, BrokenSchema> {
    let roles: Vec<&str> = Role::ALL.into_iter().map(Role::as_str).collect();
    let mut text = format!(
        "// A member of the network. `role` is one of {}; `regions` are the ids of its liaison offices.\n\
         entity Member = {{\n  role: String,\n  regions: Set<String>,\n}};\n\n\
         // What a record is about. `handling` is the number in its handling code, 0 to 3.\nentity Record = {{\n",
        roles.join(", ")
    );
    for field in class_fields()? {
        let name = field.name();
        let _ = writeln!(text, "  {name}: {},", cedar_type(&field)?);
    }
    text.push_str("  handling: Long,\n};\n\n// Sections, by how sensitive they are.\n");
    let mut groups: Vec<&str> = SectionKind::ALL
        .into_iter()
        .map(|kind| group_name(kind.sensitivity()))
        .collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        let _ = writeln!(text, "action \"{group}\";");
    }
    text.push_str(
        "\n// To disclose a section to `principal`. `sender` sends; the record is another member's when `onward`;\n\
         // `purpose` is there when the receiver asks for one purpose only.\n",
    );
    for section in SectionKind::ALL {
        let _ = writeln!(
            text,
            "action \"{}\" in [\"{}\"] appliesTo {{\n  principal: Member,\n  resource: Record,\n  \
             context: {{ sender: Member, onward: Bool, purpose?: String }},\n}};",
            action_name(section),
            group_name(section.sensitivity())
        );
    }
    Ok(text)
}

fn class_fields() -> Result<Vec<FieldDescriptorProto>, BrokenSchema> {
    let files = FileDescriptorSet::decode(icomm_proto::v1::FILE_DESCRIPTOR_SET)
        .map_err(|error| BrokenSchema(error.to_string()))?;
    files
        .file
        .into_iter()
        .filter(|file| file.package() == "icomm.v1")
        .flat_map(|file| file.message_type)
        .find(|message| message.name() == CLASS)
        .map(|message| message.field)
        .ok_or_else(|| BrokenSchema(format!("the record model has no message `{CLASS}`")))
}

fn cedar_type(field: &FieldDescriptorProto) -> Result<&'static str, BrokenSchema> {
    match (field.r#type(), field.label()) {
        (Type::String | Type::Enum, Label::Optional | Label::Required) => Ok("String"),
        (Type::String, Label::Repeated) => Ok("Set<String>"),
        (Type::Bool, Label::Optional | Label::Required) => Ok("Bool"),
        _ => Err(BrokenSchema(format!(
            "policies can't read the field `{CLASS}.{}`",
            field.name()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_every_field_of_a_class_and_every_section() {
        let text = schema_text().unwrap();
        for field in class_fields().unwrap() {
            assert!(text.contains(&format!("  {}: ", field.name())), "{}", field.name());
        }
        let vocabulary = vocabulary().unwrap();
        for section in SectionKind::ALL {
            let action = format!("Action::\"{}\"", section.name()).parse().unwrap();
            assert!(vocabulary.schema.actions().any(|known| *known == action), "{section}");
        }
        assert!(text.contains("action \"persons\" in [\"nominal-sections\"]"), "{text}");
        assert!(text.contains("categories: Set<String>"), "{text}");
    }
}
