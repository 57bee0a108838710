//! The rows that everybody in a comparison gets: made-up cases of one administration, the same in every run.

use std::{
    fs::{self, File},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context as _;
use icomm_node::intake::{Mapping, Synthetic};
use icomm_proto::codes::CodeLists;

use super::workload::Bench;

/// Whose cases they are.
pub const MEMBER: &str = "ES";

/// The mapping that reads them.
pub const MAPPING: &str = "icomm-template";

/// A file of cases.
#[derive(Debug, Clone)]
pub struct Rows {
    /// CSV, in the form of [`MAPPING`].
    pub file: PathBuf,
    /// How many rows; each can become a record of [`MEMBER`].
    pub rows: u64,
}

/// The mapping that reads them.
///
/// # Errors
/// It can't be read; a fault of icomm.
pub fn mapping() -> anyhow::Result<Mapping> {
    Mapping::builtin(MAPPING, &Arc::new(CodeLists::built_in())).context("our own mapping can't be read")
}

/// A file of that many cases, made when it is first asked for.
///
/// # Errors
/// It can't be written.
pub fn file(bench: &Bench, rows: u64) -> anyhow::Result<Rows> {
    let file = bench.shared_folder().join(format!("cases-{rows}.csv"));
    if !file.exists() {
        let unfinished = file.with_extension("unfinished");
        let cases = Synthetic {
            members: vec![MEMBER.parse()?],
            rows,
            seed: 1,
            bad_per_mille: 0,
            foreign_per_mille: 0,
        };
        cases.write(File::create(&unfinished)?, &mapping()?)?;
        fs::rename(&unfinished, &file)?;
    }
    Ok(Rows { file, rows })
}
