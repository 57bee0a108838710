//! Turns `icomm/v1/*.proto` into Rust types, without protoc: protox compiles the files, tonic-prost generates the code.
//!
//! Writes three files into `OUT_DIR`:
//! `icomm.v1.rs` (messages and service), `icomm.bin` (the descriptor set, with our options, for reflection) and
//! `sections.rs` (number, name and sensitivity of each section, as `record.proto` declares them).

use std::error::Error;
use std::fs;
use std::path::PathBuf;

#[path = "build/sections.rs"]
mod sections;

const FILES: [&str; 4] = [
    "icomm/v1/sensitivity.proto",
    "icomm/v1/record.proto",
    "icomm/v1/link.proto",
    "icomm/v1/node.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-changed=build/sections.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for a build script")?);

    let mut compiler = protox::Compiler::new(["."])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(FILES)?;
    let sections = sections::sections(&compiler.descriptor_pool())?;
    fs::write(out.join("sections.rs"), sections::table(&sections))?;

    let messages = compiler.file_descriptor_set();
    // Encoded by protox itself: the prost types would drop our options.
    compiler.include_source_info(false);
    fs::write(out.join("icomm.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().bytes(".").compile_fds(messages)?;
    Ok(())
}
