//! Mappings: compiled, refused, and applied to rows.

mod applied;
mod refused;
mod unodc_ids;

use std::io::Cursor;
use std::ops::ControlFlow;

use icomm_proto::v1;

use super::*;
use crate::intake::rows::{Fault, FaultKind, Row, Source};

/// The rows of a CSV text; all must be readable.
fn rows(csv: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let source = Source::from_bytes(Cursor::new(csv.as_bytes().to_vec()), ReadOptions::default()).unwrap();
    source
        .read(&mut |reading| {
            rows.push(reading.unwrap().clone());
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

fn parse(toml: &str) -> Result<Mapping, InvalidMapping> {
    Mapping::parse(toml, &lists())
}

fn builtin(name: &str) -> Mapping {
    Mapping::builtin(name, &lists()).unwrap()
}

pub(crate) fn lists() -> Arc<CodeLists> {
    static LISTS: std::sync::LazyLock<Arc<CodeLists>> = std::sync::LazyLock::new(|| Arc::new(CodeLists::built_in()));
    Arc::clone(&LISTS)
}

/// What became of a row, outliving it.
#[derive(Debug)]
struct Drafted {
    draft: v1::Draft,
    trail: Trail,
}

fn drafted(mapping: &Mapping, row: &Row) -> Result<Drafted, Vec<Fault>> {
    mapping.draft(row).map(|Mapped { draft, trail }| Drafted {
        draft: draft.into(),
        trail,
    })
}

fn row(csv: &str) -> Row {
    rows(csv).remove(0)
}
