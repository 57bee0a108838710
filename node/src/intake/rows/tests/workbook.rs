//! A tiny writer of workbooks, good and bad: parts by hand, so that tests can write what no spreadsheet program would.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A workbook of one sheet from the XML within its `<sheetData>`.
pub(crate) fn workbook(sheet_data: &str) -> Vec<u8> {
    Workbook::default().sheet(sheet_data).bytes()
}

/// The parts of a workbook.
pub(crate) struct Workbook {
    parts: Vec<(String, Vec<u8>)>,
}

impl Default for Workbook {
    fn default() -> Self {
        let parts = [
            (
                "_rels/.rels",
                r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
            ),
            (
                "xl/workbook.xml",
                r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Notes" sheetId="2" state="hidden" r:id="rId2"/><sheet name="Cases" sheetId="1" r:id="rId1"/></sheets></workbook>"#,
            ),
            (
                "xl/_rels/workbook.xml.rels",
                r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet2.xml"/></Relationships>"#,
            ),
            // Style 1 is a date (number format 14).
            (
                "xl/styles.xml",
                r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>"#,
            ),
            (
                "xl/worksheets/sheet2.xml",
                r#"<worksheet><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>note</t></is></c></row></sheetData></worksheet>"#,
            ),
        ];
        Self {
            parts: parts
                .map(|(name, xml)| (name.to_owned(), xml.as_bytes().to_vec()))
                .to_vec(),
        }
    }
}

impl Workbook {
    pub(crate) fn sheet(self, sheet_data: &str) -> Self {
        let xml = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{sheet_data}</sheetData></worksheet>"#
        );
        self.part("xl/worksheets/sheet1.xml", xml.into_bytes())
    }

    pub(crate) fn shared_strings(self, announced: &str, strings: &[&str]) -> Self {
        let items: String = strings.iter().map(|text| format!("<si><t>{text}</t></si>")).collect();
        let xml = format!(
            r#"<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" uniqueCount="{announced}">{items}</sst>"#
        );
        self.part("xl/sharedStrings.xml", xml.into_bytes())
    }

    pub(crate) fn part(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.parts.push((name.to_owned(), bytes));
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in self.parts {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(&bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }
}

/// A row of inline strings from column A on.
pub(crate) fn text_row(number: usize, cells: &[&str]) -> String {
    let cells: String = cells
        .iter()
        .enumerate()
        .map(|(column, text)| {
            let letter = char::from(b'A' + u8::try_from(column).unwrap());
            format!(r#"<c r="{letter}{number}" t="inlineStr"><is><t>{text}</t></is></c>"#)
        })
        .collect();
    format!(r#"<row r="{number}">{cells}</row>"#)
}
