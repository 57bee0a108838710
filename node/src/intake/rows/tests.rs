//! Every format, good and broken. Broken rows must be named and the next one read; broken files must say what to do.

mod csv_files;
mod json_lines_files;
pub(crate) mod workbook;
mod xlsx_files;

use std::io::Cursor;
use std::ops::ControlFlow;

use super::{BrokenRow, FileError, Format, ReadOptions, Row, Source};

/// Reads all of `bytes`.
fn read(bytes: impl Into<Vec<u8>>, options: ReadOptions) -> Result<Vec<Result<Row, BrokenRow>>, FileError> {
    let mut readings = Vec::new();
    let source = Source::from_bytes(Cursor::new(bytes.into()), options)?;
    source.read(&mut |reading| {
        readings.push(reading.cloned());
        ControlFlow::Continue(())
    })?;
    Ok(readings)
}

/// Reads with no options; every row as its line and its cells joined by `|`, or its line and the kind of its first fault.
fn summary(bytes: impl Into<Vec<u8>>) -> Vec<String> {
    shown(&read(bytes, ReadOptions::default()).unwrap())
}

fn shown(readings: &[Result<Row, BrokenRow>]) -> Vec<String> {
    readings
        .iter()
        .map(|reading| match reading {
            Ok(row) => {
                let cells: Vec<_> = row.cells().map(|(_, text)| text).collect();
                format!("{}: {}", row.line(), cells.join("|"))
            }
            Err(broken) => format!("{}: !{:?}", broken.line, broken.faults[0].kind),
        })
        .collect()
}

#[test]
fn a_format_is_known_by_content_before_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let format = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Source::open(&path, ReadOptions::default()).map(|source| source.format())
    };
    assert_eq!(format("a.csv", b"A,B\n1,2\n").unwrap(), Format::Csv);
    assert_eq!(format("a.jsonl", b"{\"A\": 1}\n").unwrap(), Format::JsonLines);
    assert_eq!(format("nothing", b"  {\"A\": 1}\n").unwrap(), Format::JsonLines);
    assert_eq!(format("misnamed.csv", &workbook::workbook("")).unwrap(), Format::Xlsx);
    assert!(matches!(
        format("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 etc"),
        Err(FileError::OldWorkbook)
    ));
    assert!(matches!(format("a.pdf", b"%PDF-1.7"), Err(FileError::Foreign { .. })));
    assert!(matches!(format("a.csv", b""), Err(FileError::Empty)));
    assert!(matches!(
        Source::open(&folder.path().join("none"), ReadOptions::default()),
        Err(FileError::Io(_))
    ));
}

#[test]
fn cells_are_found_without_regard_to_case_and_space() {
    let rows = read("\u{feff} Seizure   Date ,x\n 2024-01-02 ,1\n", ReadOptions::default()).unwrap();
    let row = rows[0].as_ref().unwrap();
    assert_eq!(row.cell("SEIZURE DATE"), Some("2024-01-02"));
    assert_eq!(row.cell("seizure"), None);
}

#[test]
fn reading_stops_when_told_and_position_tells_how_far_it_came() {
    let mut text = String::from("A\n");
    for line in 0..100_000 {
        text.push_str(&format!("{line}\n"));
    }
    let total = text.len() as u64;
    let source = Source::from_bytes(Cursor::new(text.into_bytes()), ReadOptions::default()).unwrap();
    let position = source.position();
    assert_eq!((position.read_bytes(), source.total_bytes()), (0, total));
    let mut rows = 0;
    source
        .read(&mut |_| {
            rows += 1;
            if rows == 10 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
    assert_eq!(rows, 10);
    assert!((1..total).contains(&position.read_bytes()));
}
