//! A disclosure as a row of typed cells, the same for a table, CSV and a spreadsheet.

use icomm_pki::moment_at;
use icomm_proto::v1;

use crate::cli::output::moment;

/// The columns of every disclosure, with the width that suits a spreadsheet.
const COLUMNS: &[(&str, u16)] = &[
    ("number", 9),
    ("time (UTC)", 20),
    ("recipient", 24),
    ("node", 10),
    ("log", 16),
    ("first entry", 11),
    ("last entry", 11),
    ("entries", 9),
    ("disclosed", 9),
    ("sections", 36),
    ("legal bases", 48),
];

/// The columns before them where one record was asked for.
const RECORD_COLUMNS: &[(&str, u16)] = &[("record", 38), ("version", 8), ("kind", 9), ("entry", 9)];

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    /// Words, whatever they begin with.
    Text(String),
    /// A count or a place.
    Number(u64),
    /// Seconds since 1970.
    Moment(u64),
}

impl Cell {
    /// As a person reads it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Moment(seconds) => moment_at(*seconds).map_or_else(|| seconds.to_string(), moment),
        }
    }
}

/// Names and widths of the columns.
pub(super) fn columns(of_record: bool) -> impl Iterator<Item = (&'static str, u16)> {
    let record = if of_record { RECORD_COLUMNS } else { &[] };
    record.iter().chain(COLUMNS).copied()
}

/// The cells, as many as there are columns.
pub(super) fn cells(disclosure: &v1::Disclosure, of_record: bool) -> Vec<Cell> {
    let v1::Disclosure {
        number,
        time,
        to,
        node,
        origin,
        from,
        count,
        disclosed,
        terms,
        entry,
    } = disclosure;
    let mut cells = Vec::with_capacity(COLUMNS.len() + RECORD_COLUMNS.len());
    if of_record {
        let v1::DisclosedEntry {
            record_id,
            version,
            kind,
            index,
        } = entry.clone().unwrap_or_default();
        cells.extend([
            Cell::Text(record_id),
            Cell::Number(version.into()),
            Cell::Text(kind),
            Cell::Number(index),
        ]);
    }
    let each = |text: fn(&v1::DisclosureTerms) -> String| terms.iter().map(text).collect::<Vec<_>>().join("; ");
    cells.extend([
        Cell::Number(*number),
        Cell::Moment(*time),
        Cell::Text(to.clone()),
        Cell::Text(if node.is_empty() {
            "by file".to_owned()
        } else {
            node.clone()
        }),
        Cell::Text(origin.clone()),
        Cell::Number(*from),
        Cell::Number(from.saturating_add(u64::from(*count)).saturating_sub(1)),
        Cell::Number((*count).into()),
        Cell::Number((*disclosed).into()),
        Cell::Text(each(|terms| terms.sections.clone())),
        Cell::Text(each(|terms| terms.bases.join(" and "))),
    ]);
    cells
}
