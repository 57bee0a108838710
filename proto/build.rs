//! Turns `icomm/v1/*.proto` into Rust types, without protoc: protox compiles the files, tonic-prost generates the code.
//!
//! Writes five files into `OUT_DIR`:
//! `icomm.v1.rs` (messages and services), `icomm.bin` (the descriptor set, with our options, for reflection),
//! `sections.rs` (name and sensitivity of each section, as `record.proto` declares them), `messages.rs` (the fields of
//! the messages that sections are made of) and `drafts.rs` (the same messages for `src/draft.rs`).

use std::error::Error;
use std::fs;
use std::path::PathBuf;

#[path = "build/drafts.rs"]
mod drafts;
#[path = "build/sections.rs"]
mod sections;

const FILES: [&str; 13] = [
    "icomm/v1/sensitivity.proto",
    "icomm/v1/record.proto",
    "icomm/v1/recall.proto",
    "icomm/v1/callback.proto",
    "icomm/v1/link.proto",
    "icomm/v1/node.proto",
    "icomm/v1/audit.proto",
    "icomm/v1/proof.proto",
    "icomm/v1/parcel.proto",
    "icomm/v1/backup.proto",
    "icomm/v1/retention.proto",
    "icomm/v1/photo.proto",
    "icomm/v1/consent.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-changed=build/drafts.rs");
    println!("cargo:rerun-if-changed=build/sections.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for a build script")?);

    let mut compiler = protox::Compiler::new(["."])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(FILES)?;
    let pool = compiler.descriptor_pool();
    fs::write(out.join("sections.rs"), sections::table(&sections::sections(&pool)?))?;
    let section_messages = sections::messages(&pool)?;
    fs::write(out.join("messages.rs"), sections::messages_table(&section_messages))?;
    fs::write(out.join("drafts.rs"), drafts::drafts(&pool)?)?;

    let messages = compiler.file_descriptor_set();
    // Encoded by protox itself: the prost types would drop our options.
    compiler.include_source_info(false);
    fs::write(out.join("icomm.bin"), compiler.encode_file_descriptor_set())?;

    // Sections can be shown as JSON: what is not set is left out.
    let mut code = tonic_prost_build::configure().bytes(".");
    // Written by hand, so that a draft stays encoded until it is read in place.
    for name in ["ImportRow", "SubmitRequest"] {
        code = code.extern_path(format!(".icomm.v1.{name}"), format!("crate::v1::{name}"));
    }
    for sections::Message { name, .. } in &section_messages {
        code = code
            .type_attribute(format!(".{name}"), "#[derive(serde::Serialize)]")
            .field_attribute(
                format!(".{name}"),
                "#[serde(skip_serializing_if = \"crate::render::is_unset\")]",
            );
    }
    code.field_attribute(
        ".icomm.v1.Class.kind",
        "#[serde(serialize_with = \"crate::render::kind\")]",
    )
    .field_attribute(
        ".icomm.v1.Image.sha256",
        "#[serde(serialize_with = \"crate::render::hex\")]",
    )
    .field_attribute(
        ".icomm.v1.Image.pieces",
        "#[serde(serialize_with = \"crate::render::hex\")]",
    )
    .compile_fds(messages)?;
    Ok(())
}
