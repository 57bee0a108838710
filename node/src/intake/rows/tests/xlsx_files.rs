//! Workbooks, good and hostile.

use std::io::Write;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::workbook::{Workbook, text_row, workbook};
use super::*;

const HEADER: &str = r#"<row r="1"><c r="A1" t="inlineStr"><is><t>name</t></is></c><c r="B1" t="inlineStr"><is><t>amount</t></is></c><c r="C1" t="inlineStr"><is><t>date</t></is></c></row>"#;

#[test]
fn every_kind_of_value() {
    let sheet = format!(
        r#"{HEADER}
        <row r="2"><c r="A2" t="s"><v>1</v></c><c r="B2"><v>0.006999999999999999</v></c><c r="C2" s="1"><v>40544</v></c></row>
        <row r="3"><c r="A3" t="inlineStr"><is><r><t xml:space="preserve">rich </t></r><r><t>text</t></r></is></c><c r="B3"><v>255</v></c><c r="C3" s="1"><v>40544.5</v></c></row>
        <row r="4"/>
        <row r="6"><c r="A6" t="b"><v>1</v></c><c r="C6" t="str"><v>a &amp; b</v></c></row>
        <row r="7"><c r="B7"><v>1.5E-7</v></c></row>"#
    );
    let bytes = Workbook::default()
        .shared_strings("2", &["unused", "Žilina"])
        .sheet(&sheet)
        .bytes();
    assert_eq!(
        summary(bytes),
        [
            "2: Žilina|0.007|2011-01-01",
            "3: rich text|255|2011-01-01T12:00:00",
            "6: true||a & b",
            "7: |0.00000015|"
        ]
    );
}

#[test]
fn formulas_errors_and_stray_cells_cost_their_row() {
    let sheet = format!(
        r#"{HEADER}
        <row r="2"><c r="A2" t="str"><f>HYPERLINK("http://x")</f><v>x</v></c></row>
        <row r="3"><c r="A3"><f t="shared" si="99999999999" ref="A3:A9">B3</f><v>1</v></c></row>
        <row r="4"><c r="A4" t="e"><v>#N/A</v></c></row>
        <row r="5"><c r="D5"><v>1</v></c></row>
        <row r="6"><c r="A6"><v>6</v></c></row>
        <row r="7"><c r="A7"><v>7</v></c></row>
        <row r="8"><c r="A8"><v>8</v></c><c r="B8" t="n"><v>seven</v></c><c r="C8"><v>8</v></c></row>
        <row r="9"><c r="A9"><v>9</v></c></row>"#
    );
    let rows = read(workbook(&sheet), ReadOptions::default()).unwrap();
    assert_eq!(
        shown(&rows),
        [
            "2: !Formula",
            "3: !Formula",
            "4: !Cell",
            "5: !Ragged",
            "6: 6||",
            "7: 7||",
            "8: !Cell",
            "9: 9||"
        ]
    );
    let fault = &rows[0].as_ref().unwrap_err().faults[0];
    assert_eq!(fault.column.as_deref(), Some("name"));
}

#[test]
fn sheets_are_chosen_by_name_or_the_first_visible() {
    let bytes = workbook(HEADER);
    assert_eq!(summary(bytes.clone()), [""; 0]);
    let named = |sheet: &str| ReadOptions {
        sheet: Some(sheet.to_owned()),
        ..ReadOptions::default()
    };
    assert!(read(bytes.clone(), named("Notes")).is_ok());
    let missing = read(bytes, named("Casos")).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "the workbook has no sheet `Casos`; it has `Notes`, `Cases`"
    );
}

#[test]
fn a_million_columns() {
    let cells: String = (0..1_000_000).map(|_| "<c><v>1</v></c>").collect();
    let sheet = format!(r#"{HEADER}<row r="2">{cells}</row><row r="3"><c r="A3"><v>3</v></c></row>"#);
    let rows = read(workbook(&sheet), ReadOptions::default()).unwrap();
    assert_eq!(shown(&rows), ["2: !Ragged", "3: 3||"]);
    assert!(rows[0].as_ref().unwrap_err().faults.len() <= 8);
    let header = read(
        workbook(&format!(r#"<row r="1">{cells}</row>"#)),
        ReadOptions::default(),
    );
    assert!(matches!(header, Err(FileError::Header(_))), "{header:?}");
}

#[test]
fn damaged_archives() {
    let good = workbook(&format!("{HEADER}{}", text_row(2, &["a", "1", "b"])));
    assert_eq!(summary(good.clone()), ["2: a|1|b"]);
    for cut in [30, good.len() / 2, good.len() - 10] {
        let result = read(&good[..cut], ReadOptions::default());
        assert!(
            matches!(result, Err(FileError::Damaged { .. })),
            "cut at {cut}: {result:?}"
        );
    }
    for position in (0..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[position] ^= 0x55;
        let _ = read(
            bad,
            ReadOptions {
                format: Some(Format::Xlsx),
                ..ReadOptions::default()
            },
        );
    }
    let no_end = workbook(&format!(r#"{HEADER}<row r="2"><c r="A2"><v>1"#));
    assert!(matches!(
        read(no_end, ReadOptions::default()),
        Err(FileError::Damaged { .. })
    ));
    let backwards = workbook(&format!("{HEADER}{}{}", text_row(3, &["x"]), text_row(2, &["y"])));
    assert!(matches!(
        read(backwards, ReadOptions::default()),
        Err(FileError::Damaged { .. })
    ));
    let text = read(
        "name\n1\n",
        ReadOptions {
            format: Some(Format::Xlsx),
            ..ReadOptions::default()
        },
    );
    assert!(matches!(text, Err(FileError::Damaged { .. })));
}

/// An archive of one part of zeros, compressed about 1000:1.
fn bomb(inflated: usize) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("xl/media/0.bin", SimpleFileOptions::default()).unwrap();
    let chunk = vec![0; 60_000];
    for _ in 0..inflated / chunk.len() {
        zip.write_all(&chunk).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn zip_bombs_are_refused_by_what_they_inflate_to() {
    let honest = bomb(64 * 1024 * 1024);
    assert!(honest.len() * 150 < 64 * 1024 * 1024, "{}", honest.len());
    let result = read(honest.clone(), ReadOptions::default());
    assert!(matches!(result, Err(FileError::Bomb { .. })), "{result:?}");

    // The same, declaring 600 bytes in both of its headers. Whichever check stops it, it is not read.
    let declared = u32::try_from(64 * 1024 * 1024 / 60_000 * 60_000).unwrap().to_le_bytes();
    let mut lying = honest;
    let places: Vec<usize> = lying
        .windows(4)
        .enumerate()
        .filter(|(_, bytes)| *bytes == declared)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    for place in places {
        lying[place..place + 4].copy_from_slice(&600u32.to_le_bytes());
    }
    let result = read(lying, ReadOptions::default());
    assert!(
        matches!(result, Err(FileError::Bomb { .. } | FileError::Damaged { .. })),
        "{result:?}"
    );

    // Many entries over the same bytes, the way to 32,000:1 and beyond.
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("xl/media/0.bin", SimpleFileOptions::default()).unwrap();
    zip.write_all(&vec![0; 30 * 1024 * 1024]).unwrap();
    for copy in 1..40 {
        zip.shallow_copy_file("xl/media/0.bin", &format!("xl/media/{copy}.bin"))
            .unwrap();
    }
    let overlapping = zip.finish().unwrap().into_inner();
    assert!(overlapping.len() * 32_000 < 40 * 30 * 1024 * 1024);
    let result = read(overlapping, ReadOptions::default());
    assert!(
        matches!(result, Err(FileError::Bomb { .. } | FileError::Damaged { .. })),
        "{result:?}"
    );
}

#[test]
fn xml_that_would_cost_memory_is_refused_unread() {
    let text = "x".repeat(2 * 1024 * 1024);
    let one_text = workbook(&format!(
        r#"{HEADER}<row r="2"><c r="A2" t="str"><v>{text}</v></c></row>"#
    ));
    assert!(matches!(
        read(one_text, ReadOptions::default()),
        Err(FileError::Bomb { .. })
    ));
    let announced = Workbook::default()
        .shared_strings("99999999999999", &["a"])
        .sheet(HEADER)
        .bytes();
    assert!(matches!(
        read(announced, ReadOptions::default()),
        Err(FileError::Bomb { .. })
    ));
    let runs = "<r><t>xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx</t></r>".repeat(120_000);
    let rich = workbook(&format!(
        r#"{HEADER}<row r="2"><c r="A2" t="inlineStr"><is>{runs}</is></c></row>"#
    ));
    assert!(matches!(
        read(rich, ReadOptions::default()),
        Err(FileError::Bomb { .. })
    ));
}
