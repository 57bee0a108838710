//! The rows as records: mapped, validated and sealed as an import does it, the same in every run, salts included.
//!
//! Whatever works on the stored or sent form (the bare limits, verification) takes these, so that its records are as long as
//! the real ones.

use std::ops::ControlFlow;

use anyhow::Context as _;
use icomm_node::intake::{ReadOptions, Source, rows::Reading};
use icomm_proto::{CodeLists, Record, RecordId, View};
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::rows::{MEMBER, Rows, mapping};

/// When all of them are issued: in ms since 1970.
const ISSUED_MS: u64 = 1_795_435_200_000;

/// Seals every row, in order, and hands its view with all sections to `each`.
///
/// # Errors
/// The file can't be read, a row of it is no valid record, or `each` fails.
pub fn each(rows: &Rows, mut each: impl FnMut(View) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let (mapping, lists, member) = (mapping()?, CodeLists::built_in(), MEMBER.parse()?);
    let mut entropy = SmallRng::seed_from_u64(1);
    let mut seal = |reading: Reading<'_>| -> anyhow::Result<()> {
        let row = reading.map_err(|broken| anyhow::anyhow!("line {} of the rows can't be read", broken.line))?;
        let invalid = || format!("line {} of the rows is no valid record", row.line());
        let mapped = mapping.draft(row).ok().with_context(invalid)?;
        let record = Record::validate(mapped.draft, &lists, &member)
            .ok()
            .with_context(invalid)?;
        let mut random = [0; 10];
        entropy.fill_bytes(&mut random);
        each(record.seal(RecordId::new(ISSUED_MS, random), 1, &mut entropy))
    };
    let mut result = Ok(());
    let source = Source::open(&rows.file, ReadOptions::default()).context("the rows can't be opened")?;
    source.read(&mut |reading| match seal(reading) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            result = Err(error);
            ControlFlow::Break(())
        }
    })?;
    result
}
