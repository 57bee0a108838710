//! The rows as records: mapped, validated and sealed as an import does it, the same in every run, salts included.
//!
//! Whatever works on the stored or sent form (the bare limits, verification) takes these, so that its records are as long as
//! the real ones.

use std::ops::ControlFlow;

use anyhow::Context as _;
use icomm_node::intake::{ReadOptions, Source, rows::Reading};
use icomm_proto::{CodeLists, Record, RecordId, View, v1};
use prost::Message as _;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};

use super::rows::{CATEGORIES, MEMBER, Rows, mapping};

/// When all of them are issued: in ms since 1970.
const ISSUED_MS: u64 = 1_795_435_200_000;

/// Seals every row, in order, and hands its view with all sections to `each`.
///
/// # Errors
/// The file can't be read, a row of it is no valid record, or `each` fails.
pub fn each(rows: &Rows, each: impl FnMut(View) -> anyhow::Result<()>) -> anyhow::Result<()> {
    first(rows, u64::MAX, each)
}

/// The same with at most `max` rows from the beginning.
///
/// # Errors
/// As of [`each`].
pub fn first(rows: &Rows, max: u64, mut each: impl FnMut(View) -> anyhow::Result<()>) -> anyhow::Result<()> {
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
    let mut left = max;
    source.read(&mut |reading| {
        if left == 0 {
            return ControlFlow::Break(());
        }
        left -= 1;
        match seal(reading) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                result = Err(error);
                ControlFlow::Break(())
            }
        }
    })?;
    result
}

/// Whether the partner is granted a record: all its goods are of [`CATEGORIES`].
///
/// # Errors
/// The view is none of a case.
pub fn covered(view: &View) -> anyhow::Result<bool> {
    let class = v1::Class::decode(view.class_bytes().context("a sealed case has no class")?)?;
    let granted = |category: &String| CATEGORIES.contains(&category.as_str());
    Ok(!class.categories.is_empty() && class.categories.iter().all(granted))
}
