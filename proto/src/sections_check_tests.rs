//! That the build refuses a record model in which a field has no section, or a section no sensitivity.

use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use protox::prost_reflect::DescriptorPool;

use crate::sections_check::{Section, messages, messages_table, sections, table};

/// Serves one .proto text as `record.proto` beside the real `sensitivity.proto`.
struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            "record.proto" => File::from_source(name, &self.0),
            "icomm/v1/sensitivity.proto" => File::from_source(name, include_str!("../icomm/v1/sensitivity.proto")),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn compile(body: &str) -> DescriptorPool {
    let header = "syntax = \"proto3\"; package icomm.v1; import \"icomm/v1/sensitivity.proto\";";
    let mut files = ChainFileResolver::new();
    files.add(Source(format!("{header}\n{body}")));
    files.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(files);
    compiler
        .include_imports(true)
        .open_file("record.proto")
        .expect("the test's model compiles");
    compiler.descriptor_pool()
}

const OPEN: &str = "message Case { option (icomm.v1.sensitivity) = SENSITIVITY_OPEN; string code = 1; }";

#[test]
fn sections_get_their_declared_sensitivity() {
    let pool = compile(&format!(
        "{OPEN} message Persons {{ option (icomm.v1.sensitivity) = SENSITIVITY_NOMINAL; }}
         message Draft {{ int32 kind = 1; Case case = 2; Persons persons = 5; }}"
    ));
    let case = Section {
        number: 1,
        name: "case".into(),
        sensitivity: "Open".into(),
    };
    let persons = Section {
        number: 4,
        name: "persons".into(),
        sensitivity: "Nominal".into(),
    };
    let found = sections(&pool).unwrap();
    assert_eq!(found, [case, persons]);
    assert!(table(&found).contains("(SectionKind::Persons, \"persons\", Sensitivity::Nominal),"));
}

#[test]
fn a_section_without_the_option_is_refused() {
    let pool = compile(&format!(
        "{OPEN} message Notes {{}} message Draft {{ Case case = 2; Notes notes = 3; }}"
    ));
    assert!(sections(&pool).unwrap_err().contains("`Notes` is a section without"));
}

#[test]
fn a_section_declared_unspecified_is_refused() {
    let pool = compile(
        "message Case { option (icomm.v1.sensitivity) = SENSITIVITY_UNSPECIFIED; } message Draft { Case case = 2; }",
    );
    assert!(sections(&pool).unwrap_err().contains("`Case` is a section without"));
}

#[test]
fn a_field_outside_every_section_is_refused() {
    let pool = compile(&format!("{OPEN} message Draft {{ Case case = 2; string name = 3; }}"));
    assert!(
        sections(&pool)
            .unwrap_err()
            .contains("field `name` of `Draft` is no message")
    );
}

#[test]
fn a_repeated_section_is_refused() {
    let pool = compile(&format!("{OPEN} message Draft {{ repeated Case case = 2; }}"));
    assert!(
        sections(&pool)
            .unwrap_err()
            .contains("section `case` of `Draft` is repeated")
    );
}

#[test]
fn a_section_beyond_the_last_number_is_refused() {
    let pool = compile(&format!("{OPEN} message Draft {{ Case case = 9; }}"));
    assert!(sections(&pool).unwrap_err().contains("field number 9"));
}

#[test]
fn a_message_shared_by_unequal_sections_is_refused() {
    let pool = compile(
        "message Name { string name = 1; }
         message Case { option (icomm.v1.sensitivity) = SENSITIVITY_OPEN; repeated Name names = 1; }
         message Persons { option (icomm.v1.sensitivity) = SENSITIVITY_NOMINAL; Name name = 1; }
         message Draft { Case case = 2; Persons persons = 3; }",
    );
    assert!(
        sections(&pool)
            .unwrap_err()
            .contains("message `Name` is part of section `case` (Open) and of `persons`")
    );
}

#[test]
fn a_section_inside_another_is_refused() {
    let pool = compile(
        "message A { option (icomm.v1.sensitivity) = SENSITIVITY_NOMINAL; B b = 1; }
         message B { option (icomm.v1.sensitivity) = SENSITIVITY_NOMINAL; string name = 1; }
         message Draft { B b = 2; A a = 3; }",
    );
    assert!(
        sections(&pool)
            .unwrap_err()
            .contains("message `B` is section `b` and part of `a`")
    );
}

#[test]
fn messages_are_listed_once_with_their_fields() {
    let pool = compile(
        "message Part { string name = 2; uint32 count = 1; }
         message Case { option (icomm.v1.sensitivity) = SENSITIVITY_OPEN; Part one = 1; repeated Part more = 4; }
         message Draft { Case case = 2; }",
    );
    let source = messages_table(&messages(&pool).unwrap());
    let lines: Vec<_> = source
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
        .collect();
    let expected = [
        "const MESSAGES: &[&[Option<Field>]] = &[",
        "&[",
        "None,",
        "Some(Field { repeated: false, content: Content::Message(1) }),",
        "None,",
        "None,",
        "Some(Field { repeated: true, content: Content::Message(1) }),",
        "],",
        "&[",
        "None,",
        "Some(Field { repeated: false, content: Content::Varint }),",
        "Some(Field { repeated: false, content: Content::Bytes }),",
        "],",
        "];",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_type_that_the_walk_does_not_know_is_refused() {
    let pool = compile(
        "message Case { option (icomm.v1.sensitivity) = SENSITIVITY_OPEN; double weight = 1; }
         message Draft { Case case = 2; }",
    );
    assert!(
        messages(&pool)
            .unwrap_err()
            .contains("`icomm.v1.Case.weight` has a type")
    );
}

#[test]
fn a_number_that_the_walk_has_no_place_for_is_refused() {
    let pool = compile(
        "message Case { option (icomm.v1.sensitivity) = SENSITIVITY_OPEN; string far = 64; }
         message Draft { Case case = 2; }",
    );
    assert!(
        messages(&pool)
            .unwrap_err()
            .contains("`icomm.v1.Case.far` has number 64")
    );
}
