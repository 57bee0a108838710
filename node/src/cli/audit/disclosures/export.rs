//! Disclosures as CSV and as a spreadsheet, row by row, so that memory does not grow with their number.
//!
//! A recipient is whatever somebody wrote after `--for`, and a spreadsheet takes a text that begins like a formula for one
//! (OWASP: CSV injection). In CSV such a text gets an apostrophe in front, and every text is quoted; in XLSX a cell has a
//! type, and texts are texts.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

use csv::{QuoteStyle, Terminator};
use rust_xlsxwriter::{ExcelDateTime, Format, FormatAlign, Workbook, XlsxError};

use super::row::Cell;
use crate::cli::{Failure, files};

/// Rows of a sheet below its head. A sheet can have 1,048,576; then another one begins.
const SHEET_ROWS_MAX: u32 = 1_000_000;
/// How a moment looks in a spreadsheet; it stays a date that can be sorted and filtered.
const MOMENT: &str = "yyyy-mm-dd hh:mm:ss";
/// The longest text of a spreadsheet's cell, in characters; Excel knows no more.
const CELL_CHARS_MAX: usize = 32_767;

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    /// The disk, or a file that is there.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The CSV writer.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// The spreadsheet writer.
    #[error(transparent)]
    Xlsx(#[from] XlsxError),
}

/// A new file that grows by rows; gone again unless it is [finished](Export::finish).
pub(super) struct Export {
    path: PathBuf,
    form: Option<Form>,
}

enum Form {
    Csv(Box<csv::Writer<File>>),
    Xlsx(Box<Sheets>),
}

impl Export {
    /// A new CSV file with these heads, for its owner alone.
    pub(super) fn csv(path: &Path, heads: &[(&str, u16)]) -> Result<Self, Failure> {
        let file = create(path)?;
        let mut writer = csv::WriterBuilder::new()
            .quote_style(QuoteStyle::NonNumeric)
            .terminator(Terminator::CRLF)
            .from_writer(file);
        let export = |writer| Self {
            path: path.to_owned(),
            form: Some(Form::Csv(Box::new(writer))),
        };
        match writer.write_record(heads.iter().map(|(name, _)| name)) {
            Ok(()) => Ok(export(writer)),
            Err(error) => Err(export(writer).failed(error)),
        }
    }

    /// A new workbook with these heads, for its owner alone.
    pub(super) fn xlsx(path: &Path, heads: Vec<(&'static str, u16)>) -> Result<Self, Failure> {
        let file = create(path)?;
        Ok(Self {
            path: path.to_owned(),
            form: Some(Form::Xlsx(Box::new(Sheets::new(file, heads)))),
        })
    }

    /// One more row.
    pub(super) fn add(&mut self, cells: &[Cell]) -> Result<(), Failure> {
        let added = match &mut self.form {
            Some(Form::Csv(writer)) => writer.write_record(cells.iter().map(safe)).map_err(Into::into),
            Some(Form::Xlsx(sheets)) => sheets.add(cells).map_err(Into::into),
            None => Ok(()),
        };
        added.map_err(|error: ExportError| self.failed(error))
    }

    /// Everything on disk.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let finished = match self.form.take() {
            Some(Form::Csv(writer)) => writer
                .into_inner()
                .map_err(csv::IntoInnerError::into_error)
                .and_then(|file| file.sync_all())
                .map_err(ExportError::from),
            Some(Form::Xlsx(sheets)) => sheets.finish(),
            None => Ok(()),
        };
        finished.map_err(|error| {
            drop(fs::remove_file(&self.path));
            self.failed(error)
        })
    }

    fn failed(&self, error: impl Into<ExportError>) -> Failure {
        Failure::new(format_args!("can't write `{}`: {}", self.path.display(), error.into()))
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if self.form.is_some() {
            // Half an export is none.
            drop(fs::remove_file(&self.path));
        }
    }
}

fn create(path: &Path) -> Result<File, Failure> {
    files::open_private(path).map_err(|error| {
        Failure::new(format_args!("can't create `{}`: {error}", path.display()))
            .advice("name a new file in a folder that is there")
    })
}

/// A cell's text that no spreadsheet takes for a formula.
fn safe(cell: &Cell) -> String {
    let text = cell.text();
    let begins = |first| "=+-@\t\r\n＝＋－＠".contains(first);
    match cell {
        Cell::Text(_) if text.trim_start_matches(' ').starts_with(begins) => format!("'{text}"),
        _ => text,
    }
}

/// A workbook whose sheets are written on while there are rows.
struct Sheets {
    workbook: Workbook,
    file: File,
    heads: Vec<(&'static str, u16)>,
    sheets: usize,
    // Of the current sheet, the head included.
    rows: u32,
    moment: Format,
}

impl Sheets {
    fn new(file: File, heads: Vec<(&'static str, u16)>) -> Self {
        Self {
            workbook: Workbook::new(),
            file,
            heads,
            sheets: 0,
            rows: 0,
            moment: Format::new().set_num_format(MOMENT).set_align(FormatAlign::Left),
        }
    }

    /// Begins another sheet.
    fn begin(&mut self) -> Result<(), XlsxError> {
        self.sheets += 1;
        let sheet = self.workbook.add_worksheet_with_constant_memory()?;
        sheet.set_name(match self.sheets {
            1 => "Disclosures".to_owned(),
            number => format!("Disclosures {number}"),
        })?;
        sheet.set_freeze_panes(1, 0)?;
        for ((name, width), column) in self.heads.iter().zip(0..) {
            sheet.set_column_width(column, *width)?;
            sheet.write_string_with_format(0, column, *name, &Format::new().set_bold())?;
        }
        self.rows = 1;
        Ok(())
    }

    fn add(&mut self, cells: &[Cell]) -> Result<(), XlsxError> {
        if self.sheets == 0 || self.rows > SHEET_ROWS_MAX {
            self.begin()?;
        }
        let (row, moment) = (self.rows, &self.moment);
        let sheet = self.workbook.worksheet_from_index(self.sheets - 1)?;
        for (cell, column) in cells.iter().zip(0..) {
            match cell {
                Cell::Text(text) => sheet.write_string(row, column, shortened(text))?,
                // Counts are far below 2^53.
                Cell::Number(number) => sheet.write_number(row, column, *number as f64)?,
                Cell::Moment(seconds) => {
                    let seconds = i64::try_from(*seconds).unwrap_or(i64::MAX);
                    sheet.write_datetime_with_format(row, column, ExcelDateTime::from_timestamp(seconds)?, moment)?
                }
            };
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(mut self) -> Result<(), ExportError> {
        if self.sheets == 0 {
            self.begin()?;
        }
        self.workbook.save_to_writer(BufWriter::new(&self.file))?;
        Ok(self.file.sync_all()?)
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(CELL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use calamine::{Data, Reader, Xlsx, open_workbook};

    use super::*;

    const HEADS: &[(&str, u16)] = &[("time (UTC)", 20), ("recipient", 20), ("entries", 9)];

    fn rows() -> Vec<Vec<Cell>> {
        let recipients = [
            "UG",
            "=HYPERLINK(\"http://evil.example\",\"click\")",
            "+1",
            "-2",
            "@SUM(A1)",
            "\tx",
            " =1+1",
            "＝1",
            "say \"yes\", Court",
        ];
        let rows = recipients.iter().map(|recipient| {
            vec![
                Cell::Moment(1_795_435_200),
                Cell::Text((*recipient).to_owned()),
                Cell::Number(512),
            ]
        });
        rows.collect()
    }

    fn written(mut export: Export) {
        rows().iter().for_each(|row| export.add(row).unwrap());
        export.finish().unwrap();
    }

    #[test]
    fn no_text_of_a_csv_file_begins_like_a_formula_and_all_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        written(Export::csv(&path, HEADS).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("\"time (UTC)\",\"recipient\",\"entries\"\r\n\"2026-11-23T12:00:00Z\",\"UG\",512\r\n"),
            "{text}"
        );
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        for (record, row) in reader.records().zip(rows()) {
            let record = record.unwrap();
            let (read, meant) = (&record[1], row[1].text());
            assert!(
                !read
                    .trim_start_matches(' ')
                    .starts_with(['=', '+', '-', '@', '\t', '\r', '＝']),
                "{read}"
            );
            assert!(read == meant || read == format!("'{meant}"), "{read}");
        }
    }

    #[test]
    fn a_spreadsheet_has_dates_numbers_and_texts_but_no_formulas() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.xlsx");
        written(Export::xlsx(&path, HEADS.to_vec()).unwrap());
        let mut workbook: Xlsx<_> = open_workbook(&path).unwrap();
        assert_eq!(
            workbook.worksheet_formula("Disclosures").unwrap().used_cells().count(),
            0
        );
        let sheet = workbook.worksheet_range("Disclosures").unwrap();
        let mut found = sheet.rows();
        assert_eq!(found.next().unwrap()[1], Data::String("recipient".into()));
        for (found, row) in found.by_ref().zip(rows()) {
            let Data::DateTime(moment) = &found[0] else {
                panic!("{found:?}")
            };
            assert!((moment.as_f64() - 46_349.5).abs() < 1e-9, "{moment:?}");
            assert_eq!(found[1], Data::String(row[1].text()));
            assert_eq!(found[2], Data::Float(512.0));
        }
        assert_eq!(sheet.height(), 1 + rows().len());
    }

    #[test]
    fn nothing_is_overwritten_and_half_an_export_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        drop(Export::csv(&path, HEADS).unwrap());
        assert!(!path.exists());
        fs::write(&path, "mine").unwrap();
        assert!(Export::csv(&path, HEADS).is_err());
        assert!(Export::xlsx(&path, HEADS.to_vec()).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        let empty = folder.path().join("b.xlsx");
        Export::xlsx(&empty, HEADS.to_vec()).unwrap().finish().unwrap();
        let mut workbook: Xlsx<_> = open_workbook(&empty).unwrap();
        assert_eq!(workbook.worksheet_range("Disclosures").unwrap().height(), 1);
    }
}
