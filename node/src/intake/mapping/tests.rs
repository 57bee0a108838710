//! Mappings: compiled, refused, and applied to rows.

mod applied;
mod refused;

use std::io::Cursor;
use std::ops::ControlFlow;

use super::*;
use crate::intake::rows::Source;

/// The rows of a CSV text; all must be readable.
fn rows(csv: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let source = Source::from_bytes(Cursor::new(csv.as_bytes().to_vec()), ReadOptions::default()).unwrap();
    source
        .read(&mut |reading| {
            rows.push(reading.unwrap());
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

fn row(csv: &str) -> Row {
    rows(csv).remove(0)
}
