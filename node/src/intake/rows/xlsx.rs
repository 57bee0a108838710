//! One sheet of an Office Open XML workbook, cell by cell.
//!
//! Formula cells are refused with their row: what a formula shows depends on who opened the file last and where, and a case
//! must not. Dates come out as ISO 8601, numbers in plain notation without trailing zeros.

use std::io::{BufReader, Read, Seek};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use calamine::{DataRef, Reader, SheetType, SheetVisible, Xlsx, XlsxError};

use super::source::{Bytes, Counting};
use super::{
    BrokenRow, CELL_BYTES_MAX, COLUMNS_MAX, Fault, FaultKind, FileError, Header, InvalidHeader, Reading, Row, zip_check,
};

/// The most bytes of a workbook's string table, which is held in memory.
pub const SHARED_STRINGS_BYTES_MAX: u64 = zip_check::SHARED_STRINGS_BYTES_MAX;

/// The most unreadable cells before the sheet counts as damaged.
const UNREADABLE_CELLS_MAX: usize = 10_000;

/// Reads all rows of one sheet.
pub(super) fn read(
    mut archive: Counting<Box<dyn Bytes>>,
    archive_len: u64,
    sheet: Option<&str>,
    each: &mut dyn FnMut(Reading<'_>) -> ControlFlow<()>,
) -> Result<(), FileError> {
    zip_check::check(&mut archive, archive_len)?;
    archive.rewind()?;
    archive.restart();
    // The parser indexes and adds without checks in places; whatever a crafted sheet makes it do, it is the file's fault.
    catch_unwind(AssertUnwindSafe(|| read_checked(archive, sheet, each))).unwrap_or_else(|_| {
        Err(FileError::Damaged {
            detail: "its structure makes no sense".to_owned(),
        })
    })
}

fn read_checked(
    archive: impl Read + Seek,
    sheet: Option<&str>,
    each: &mut dyn FnMut(Reading<'_>) -> ControlFlow<()>,
) -> Result<(), FileError> {
    let mut workbook = Xlsx::new(BufReader::with_capacity(64 * 1024, archive)).map_err(broken)?;
    let name = choose(&workbook, sheet)?;
    let mut cells = workbook.worksheet_cells_reader(&name).map_err(broken)?;
    let mut rows = Rows::default();
    let mut unreadable = 0;
    loop {
        // Not `next_cell_with_formula`: expanding shared formulas resizes a table to an index that the file chooses.
        match cells.next_cell_with_formula_metadata() {
            Ok(None) => break,
            Ok(Some(cell)) => {
                let formula = cell.formula.is_some();
                if rows.take(cell.pos, &cell.value, formula, each)?.is_break() {
                    return Ok(());
                }
            }
            Err(error) if recoverable(&error) && unreadable < UNREADABLE_CELLS_MAX => {
                unreadable += 1;
                let reason = format!("a cell of this row or of the one beside it can't be read: {error}");
                rows.unplaced = Some(Fault::of_row(FaultKind::Cell, reason));
            }
            Err(error) => return Err(broken(error)),
        }
    }
    if let Some(fault) = rows.unplaced.take() {
        rows.spoil(fault);
    }
    let _ = rows.finish(each)?;
    if rows.header.is_none() {
        return Err(InvalidHeader::Blank.into());
    }
    Ok(())
}

/// Faults of one cell's value, after which the parser finds the next cell.
fn recoverable(error: &XlsxError) -> bool {
    matches!(
        error,
        XlsxError::ParseFloat(_)
            | XlsxError::ParseInt(_)
            | XlsxError::CellTAttribute(_)
            | XlsxError::CellError(_)
            | XlsxError::Unexpected(_)
    )
}

fn broken(error: XlsxError) -> FileError {
    match error {
        XlsxError::Io(error) => error.into(),
        XlsxError::Zip(error) => FileError::Damaged {
            detail: error.to_string(),
        },
        XlsxError::Password => FileError::OldWorkbook,
        error => FileError::Damaged {
            detail: error.to_string(),
        },
    }
}

/// The wanted sheet, else the first visible one.
fn choose<R: Read + Seek>(workbook: &Xlsx<R>, wanted: Option<&str>) -> Result<String, FileError> {
    let sheets = workbook.sheets_metadata();
    let found = match wanted {
        Some(wanted) => sheets.iter().find(|sheet| sheet.name.trim() == wanted.trim()),
        None => sheets
            .iter()
            .find(|sheet| sheet.visible == SheetVisible::Visible && sheet.typ == SheetType::WorkSheet),
    };
    found.map(|sheet| sheet.name.clone()).ok_or_else(|| FileError::NoSheet {
        wanted: wanted.unwrap_or("(any visible)").to_owned(),
        have: sheets
            .iter()
            .map(|sheet| format!("`{}`", sheet.name))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// Gathers cells into rows. The first row that isn't blank is the header.
#[derive(Default)]
struct Rows {
    header: Option<Arc<Header>>,
    /// The row under way, from 1; 0 before the first.
    number: u64,
    cells: Vec<String>,
    faults: Vec<Fault>,
    /// A cell that could not be read, and so doesn't say where it stands: between the last cell taken and the next.
    unplaced: Option<Fault>,
}

impl Rows {
    fn take(
        &mut self,
        (row, column): (u32, u32),
        value: &DataRef<'_>,
        formula: bool,
        each: &mut dyn FnMut(Reading<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, FileError> {
        let number = u64::from(row) + 1;
        // Where the unreadable cell may belong to either row, neither can be trusted to be whole.
        let unplaced = self.unplaced.take();
        if let Some(fault) = unplaced
            .clone()
            .filter(|_| self.header.is_some() || number == self.number)
        {
            self.spoil(fault);
        }
        if number != self.number {
            if self.finish(each)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            if number < self.number {
                return Err(FileError::Damaged {
                    detail: format!("row {number} comes after row {}", self.number),
                });
            }
            self.number = number;
            if let Some(fault) = unplaced {
                self.spoil(fault);
            }
        }
        let column = column as usize;
        let text = if formula {
            Err((
                FaultKind::Formula,
                "a formula; paste its value in its place, since cases can't depend on one".to_owned(),
            ))
        } else {
            text(value)
        };
        if text.as_ref().is_ok_and(|text| text.trim().is_empty()) {
            return Ok(ControlFlow::Continue(()));
        }
        let beyond = self.header.as_ref().map_or(COLUMNS_MAX, |header| header.len());
        if column >= beyond {
            let what = match &self.header {
                Some(header) => (
                    FaultKind::Ragged,
                    format!("column {} lies beyond the header's {}", column + 1, header.len()),
                ),
                None => (
                    FaultKind::TooLarge,
                    format!("column {} lies beyond the limit of {COLUMNS_MAX}", column + 1),
                ),
            };
            self.spoil(Fault::of_row(what.0, what.1));
            return Ok(ControlFlow::Continue(()));
        }
        match text {
            Ok(text) => {
                if self.cells.len() <= column {
                    self.cells.resize(column + 1, String::new());
                }
                if let Some(cell) = self.cells.get_mut(column) {
                    *cell = text;
                }
            }
            Err((kind, reason)) => {
                let name = self.header.as_ref().and_then(|header| header.names().nth(column));
                let name = name.map_or_else(|| format!("column {}", column + 1), str::to_owned);
                let mut fault = Fault::of_row(kind, reason);
                fault.column = Some(name);
                self.spoil(fault);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Notes a fault of the row under way; a handful is enough.
    fn spoil(&mut self, fault: Fault) {
        if self.faults.len() < 8 {
            self.faults.push(fault);
        }
    }

    /// Pushes the row under way, if it holds anything.
    fn finish(&mut self, each: &mut dyn FnMut(Reading<'_>) -> ControlFlow<()>) -> Result<ControlFlow<()>, FileError> {
        let mut cells = std::mem::take(&mut self.cells);
        let faults = std::mem::take(&mut self.faults);
        if cells.is_empty() && faults.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let Some(header) = &self.header else {
            if let Some(fault) = faults.first() {
                return Err(InvalidHeader::Broken(fault.reason.clone()).into());
            }
            self.header = Some(Arc::new(Header::new(cells.iter().map(String::as_str))?));
            return Ok(ControlFlow::Continue(()));
        };
        if !faults.is_empty() {
            return Ok(each(Err(BrokenRow {
                line: self.number,
                faults,
            })));
        }
        cells.resize(header.len(), String::new());
        Ok(each(Ok(&Row::new(self.number, Arc::clone(header), &cells))))
    }
}

/// A cell's value as text, or why it has none.
fn text(value: &DataRef<'_>) -> Result<String, (FaultKind, String)> {
    let text = match value {
        DataRef::Empty => String::new(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(value) => value.to_string(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => plain(*number),
        DataRef::DateTime(moment) if moment.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
            if (hour, minute, second) == (0, 0, 0) {
                format!("{year:04}-{month:02}-{day:02}")
            } else {
                format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
            }
        }
        DataRef::DateTime(duration) => plain(duration.as_f64()),
        DataRef::Error(error) => return Err((FaultKind::Cell, format!("the spreadsheet error `{error}`"))),
    };
    if text.len() > CELL_BYTES_MAX {
        return Err((
            FaultKind::TooLarge,
            format!("a text longer than {CELL_BYTES_MAX} bytes"),
        ));
    }
    if text.contains('\0') {
        return Err((FaultKind::Encoding, "a NUL character".to_owned()));
    }
    Ok(text)
}

/// A number as the cell shows it: spreadsheets hold 15 significant digits, the rest is the noise of binary fractions.
fn plain(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return format!("{number:.0}");
    }
    let rounded = format!("{number:.14e}").parse::<f64>().unwrap_or(number);
    rounded.to_string()
}
