//! CSV in the shapes that offices send.

use proptest::prelude::*;

use super::super::{InvalidHeader, ROW_BYTES_MAX, ROW_LINES_MAX};
use super::*;

fn encoded(label: &str) -> ReadOptions {
    ReadOptions {
        encoding: Some(label.to_owned()),
        ..ReadOptions::default()
    }
}

#[test]
fn line_ends_delimiters_and_quotes() {
    let expected = ["2: 1|x, y|3", "3: 4|\"q\"|6"];
    assert_eq!(summary("a,b,c\n1,\"x, y\",3\n4,\"\"\"q\"\"\",6"), expected);
    assert_eq!(summary("a,b,c\r\n1,\"x, y\",3\r\n4,\"\"\"q\"\"\",6\r\n"), expected);
    assert_eq!(summary("a,b,c\r1,\"x, y\",3\r4,\"\"\"q\"\"\",6\r"), expected);
    assert_eq!(summary("a;b;c\n1;x, y;3\n4;\"\"\"q\"\"\";6\n"), expected);
    assert_eq!(summary("a\tb\tc\n1\tx, y\t3\n"), ["2: 1|x, y|3"]);
    assert_eq!(summary("sep=;\na;b\n1;2\n"), ["3: 1|2"]);
    assert_eq!(
        summary("a,b\n\n1,\"two\r\nlines\"\n ,\n3,5\" pipe\n"),
        ["3: 1|two\r\nlines", "6: 3|5\" pipe"]
    );
}

#[test]
fn byte_order_marks_and_encodings() {
    assert_eq!(summary("\u{feff}a,b\n1,é\n"), ["2: 1|é"]);
    for big in [false, true] {
        let utf16 = |text: &str| -> Vec<u8> {
            text.encode_utf16()
                .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
                .collect()
        };
        assert_eq!(summary(utf16("\u{feff}a,b\n1,Žilina €\n")), ["2: 1|Žilina €"]);
        let bare = read(utf16("alpha,beta\n1,2\n"), ReadOptions::default());
        assert!(matches!(bare, Err(FileError::UndeclaredEncoding { .. })), "{bare:?}");
    }
    let latin = b"a,b\n1,Bogot\xe1\n2,plain\n";
    let undeclared = read(latin, ReadOptions::default()).unwrap();
    assert_eq!(shown(&undeclared), ["2: !Encoding", "3: 2|plain"]);
    assert!(
        undeclared[0].as_ref().unwrap_err().faults[0]
            .reason
            .contains("windows-1252")
    );
    assert_eq!(
        shown(&read(latin, encoded("windows-1252")).unwrap()),
        ["2: 1|Bogotá", "3: 2|plain"]
    );
    assert!(matches!(
        read(latin, encoded("klingon")),
        Err(FileError::UnknownEncoding(_))
    ));
}

#[test]
fn a_broken_row_costs_only_itself() {
    assert_eq!(
        summary("a,b\n1\n2,3\n4,5,6\n7,8,,\n"),
        ["2: !Ragged", "3: 2|3", "4: !Ragged", "5: 7|8"]
    );
    assert_eq!(summary("a,b\n1,\"x\" y\n2,3\n"), ["2: !Quoting", "3: 2|3"]);
    assert_eq!(summary("a,b\n1,x\0y\n2,3\n"), ["2: !Encoding", "3: 2|3"]);
    assert_eq!(
        summary("a,b\n1,\"open\n2,3\n4,5\n"),
        ["2: !Quoting", "3: 2|3", "4: 4|5"]
    );
    assert_eq!(summary("a,b\n1,\"open"), ["2: !Quoting"]);
    // The quote of the next row closes the first one's: both are named, the third is good.
    assert_eq!(
        summary("a,b\n1,\"open\n2,\"also\n3,4\n"),
        ["2: !Quoting", "3: !Quoting", "4: 3|4"]
    );
}

#[test]
fn an_open_quote_is_followed_only_so_far() {
    let mut text = String::from("a,b\n1,\"open\n");
    for line in 0..2 * ROW_LINES_MAX {
        text.push_str(&format!("{line},x\n"));
    }
    let rows = summary(text);
    assert_eq!(rows.len(), 1 + 2 * ROW_LINES_MAX);
    assert_eq!(rows[0], "2: !Quoting");
    assert!(rows[1..].iter().all(|row| !row.contains('!')));
}

#[test]
fn oversize_lines_cells_and_columns_are_refused_in_bounded_memory() {
    let long = "x".repeat(3 * ROW_BYTES_MAX);
    assert_eq!(summary(format!("a,b\n1,{long}\n2,3\n")), ["2: !TooLarge", "3: 2|3"]);
    let cell = "x".repeat(40_000);
    assert_eq!(summary(format!("a,b\n1,{cell}\n2,3\n")), ["2: !TooLarge", "3: 2|3"]);
    let million = ",".repeat(1_000_000);
    assert_eq!(summary(format!("a,b\n{million}\n2,3\n")), ["2: !TooLarge", "3: 2|3"]);
    let open = format!("a,b\n\"1,2\n{long}\n3,4\n");
    assert_eq!(
        summary(open),
        ["2: !Quoting", "3: !TooLarge", "4: 3|4"],
        "no line is lost after a quote that is not closed"
    );
    let header = read(format!("{million}\n1\n"), ReadOptions::default());
    assert!(
        matches!(header, Err(FileError::Header(InvalidHeader::Broken(_)))),
        "{header:?}"
    );
}

#[test]
fn headers_that_cannot_serve() {
    let header = |text: &str| match read(text, ReadOptions::default()) {
        Err(FileError::Header(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(header("a,A\n1,2\n"), InvalidHeader::Twice("A".into()));
    assert_eq!(header(" , \n\n"), InvalidHeader::Blank);
    assert_eq!(header("\n\n"), InvalidHeader::Blank);
    assert!(matches!(header("a,\"b\n"), InvalidHeader::Broken(_)));
    let options = ReadOptions {
        delimiter: Some('"'),
        ..ReadOptions::default()
    };
    assert!(matches!(read("a\n", options), Err(FileError::Delimiter('"'))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What a right writer writes comes back, whatever the cells hold.
    #[test]
    fn written_rows_come_back(rows in prop::collection::vec(prop::collection::vec("[a-z,;\"\r\n é€]{0,8}", 3), 1..8)) {
        let mut writer = ::csv::WriterBuilder::new().quote_style(::csv::QuoteStyle::Always).from_writer(Vec::new());
        writer.write_record(["k", "l", "m"]).unwrap();
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let expected: Vec<_> = rows.into_iter().filter(|row| row.iter().any(|cell| !cell.trim().is_empty())).collect();
        let read = read(writer.into_inner().unwrap(), ReadOptions::default()).unwrap();
        let cells: Vec<Vec<String>> =
            read.into_iter().map(|row| row.unwrap().cells().map(|(_, text)| text.to_owned()).collect()).collect();
        prop_assert_eq!(cells, expected);
    }

    /// Whatever the bytes, reading ends, lines never go back, and every row has as many cells as the header.
    #[test]
    fn any_bytes_end_without_panic(bytes in prop::collection::vec(prop::sample::select(b"a,\"\n\r;\0\xff\xc3 ".to_vec()), 1..400)) {
        if let Ok(readings) = read(bytes, ReadOptions { format: Some(Format::Csv), encoding: Some("utf-8".into()), ..ReadOptions::default() }) {
            let lines: Vec<_> = readings.iter().map(|reading| reading.as_ref().map_or_else(|broken| broken.line, Row::line)).collect();
            prop_assert!(lines.is_sorted_by(|a, b| a < b));
            for row in readings.into_iter().flatten() {
                prop_assert_eq!(row.cells().count(), row.header().len());
            }
        }
    }
}
