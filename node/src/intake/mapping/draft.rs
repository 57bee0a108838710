//! A row becomes a draft.
//!
//! First every field that has a column is read, and all faults of the row are gathered, so that an officer mends a row
//! once. Then values are put in place. List elements that no column filled don't come into being (a constant alone makes no
//! consignment), and those that do move together: a row that fills `goods[0]` and `goods[2]` has two.

use std::borrow::Cow;

use icomm_proto::draft::{self, Draft, Text};
use icomm_proto::v1;

use super::columns::{Columns, Places, single_spaced};
use super::field::{Reading, Source};
use super::target::{INDEX_MAX, List, Slot, Target};
use super::{Mapping, number};
use crate::intake::rows::{Fault, FaultKind, Row};

/// The most entries of a list in one cell.
const SPLIT_MAX: usize = 64;

/// A draft, not validated, with the way back from its fields to the columns they came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped<'a> {
    /// The draft: its texts are the row's and the mapping's.
    pub draft: Draft<'a>,
    /// The way back.
    pub trail: Trail,
}

/// For each list, which of the mapping's indices the draft has an element of: a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    indices: [u32; List::ALL.len()],
}

/// Values on their way to their fields.
struct Filled<'a> {
    to: Target,
    value: Value<'a>,
}

enum Value<'a> {
    Text(Text<'a>),
    Texts(Vec<Text<'a>>),
}

impl<'m> Columns<'m> {
    /// The draft that a row stands for.
    ///
    /// # Errors
    ///
    /// All that is wrong with its cells.
    pub fn draft<'a>(&mut self, row: &'a Row) -> Result<Mapped<'a>, Vec<Fault>>
    where
        'm: 'a,
    {
        let mapping = self.mapping;
        self.ask(row);
        let mut filled: Vec<Filled<'a>> = Vec::with_capacity(2 * self.due.len());
        let mut defaults = Vec::new();
        let mut faults = Vec::new();
        for number in &self.due {
            let Some(field) = mapping.fields.get(usize::from(*number)) else {
                continue;
            };
            let Source::Column {
                column,
                reading,
                default,
            } = &field.source
            else {
                continue;
            };
            let cells = Cells::of(row, self.places(*number));
            let before = filled.len();
            if let Err(fault) = read(cells, field.to, column, reading, &mut filled) {
                faults.push(fault);
                continue;
            }
            if filled.len() > before {
                continue;
            }
            if let Some(default) = default {
                defaults.push(Filled {
                    to: field.to,
                    value: Value::Text(default.into()),
                });
            } else if field.required {
                let reason = if cells.text.is_empty() {
                    "is blank but mandatory"
                } else {
                    "says nothing, but is mandatory"
                };
                faults.push(Fault::of_cell(FaultKind::Missing, column, cells.text, reason));
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        // Neither a default nor a constant brings a list element into being.
        let trail = Trail::of(&filled);
        filled.extend(defaults);
        self.add_constants(&mut filled, &trail);
        let mut draft = Draft {
            kind: v1::RecordKind::from(mapping.kind).into(),
            ..Draft::default()
        };
        for Filled { to, value } in filled {
            let Some(to) = trail.placed(to) else { continue };
            put(&mut draft, to, value).map_err(|reason| {
                let column = mapping.column_to(to).unwrap_or_default();
                vec![Fault::of_cell(
                    FaultKind::Number,
                    column,
                    row.cell(column).unwrap_or_default(),
                    reason,
                )]
            })?;
        }
        align(&mut draft);
        Ok(Mapped { draft, trail })
    }

    /// Constants, where nothing else was filled and the list element exists.
    fn add_constants<'a>(&self, filled: &mut Vec<Filled<'a>>, trail: &Trail)
    where
        'm: 'a,
    {
        for (to, value) in &self.constants {
            let taken = filled.iter().any(|other| other.to == *to);
            if !taken && trail.placed(*to).is_some() {
                filled.push(Filled {
                    to: *to,
                    value: Value::Text((*value).into()),
                });
            }
        }
    }
}

/// The texts that a field reads.
#[derive(Clone, Copy)]
struct Cells<'a> {
    text: &'a str,
    unit: &'a str,
    /// There is no white space in them to be made one space.
    are_single_spaced: bool,
}

impl<'a> Cells<'a> {
    fn of(row: &'a Row, Places { cell, unit }: Places) -> Self {
        let text = |place: Option<usize>| place.map_or("", |place| row.at(place));
        Self {
            text: text(cell),
            unit: text(unit),
            are_single_spaced: row.is_single_spaced(),
        }
    }
}

/// Reads a cell into the field it is for, and into others that its table settles.
fn read<'a>(
    Cells {
        text,
        unit: unit_text,
        are_single_spaced,
    }: Cells<'a>,
    to: Target,
    column: &str,
    reading: &'a Reading,
    filled: &mut Vec<Filled<'a>>,
) -> Result<(), Fault> {
    let mut fill = |to, value| filled.push(Filled { to, value });
    match reading {
        // A quantity without a number is as good as none, but a unit that is refused is still refused.
        Reading::Quantity {
            notation,
            unit_column,
            units,
            unit,
        } => {
            let meaning = units.find(unit_column, unit_text)?;
            if text.is_empty() {
                return Ok(());
            }
            let fault = |reason: String| Fault::of_cell(FaultKind::Number, column, text, reason);
            let quantity = number::plain(text, notation).map_err(fault)?;
            let Some(meaning) = meaning else {
                let reason = "is blank, and a quantity without a unit says nothing";
                return Err(Fault::of_cell(FaultKind::Missing, unit_column, unit_text, reason));
            };
            let quantity = match meaning.times {
                None => quantity,
                Some(times) => {
                    let too_large = || fault(format!("is too large in units of `{unit_text}`"));
                    let quantity = number::decimal(text, notation).map_err(fault)?;
                    let quantity = quantity.checked_mul(times).ok_or_else(too_large)?;
                    quantity.normalize().to_string().into()
                }
            };
            fill(to, Value::Text(quantity));
            fill(*unit, Value::Text(meaning.code.into()));
            for (other, value) in meaning.with {
                fill(*other, Value::Text(value.into()));
            }
        }
        Reading::Table(table) => {
            if let Some(meaning) = table.find(column, text)? {
                fill(to, Value::Text(meaning.code.into()));
                for (other, value) in meaning.with {
                    fill(*other, Value::Text(value.into()));
                }
            }
        }
        _ if text.is_empty() => {}
        Reading::Prose => fill(to, Value::Text(text.into())),
        Reading::Text if are_single_spaced => fill(to, Value::Text(text.into())),
        Reading::Text => fill(to, Value::Text(single_spaced(text))),
        Reading::Split(separator) => {
            let texts: Vec<Text<'a>> = text
                .split(*separator)
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(Cow::Borrowed)
                .collect();
            if texts.len() > SPLIT_MAX {
                let reason = format!("lists more than {SPLIT_MAX} entries");
                return Err(Fault::of_cell(FaultKind::List, column, text, reason));
            }
            if !texts.is_empty() {
                fill(to, Value::Texts(texts));
            }
        }
        Reading::Date(formats) => {
            let date = formats.iter().find_map(|format| format.read(text)).ok_or_else(|| {
                Fault::of_cell(
                    FaultKind::Date,
                    column,
                    text,
                    "is no date in a format that the mapping allows",
                )
            })?;
            fill(to, Value::Text(date));
        }
        Reading::Number(notation) => {
            let number = number::plain(text, notation)
                .map_err(|reason| Fault::of_cell(FaultKind::Number, column, text, reason))?;
            fill(to, Value::Text(number));
        }
    }
    Ok(())
}

impl Mapping {
    /// The draft that a row stands for; see [`Columns::draft`], which is for many rows.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn draft<'a>(&'a self, row: &'a Row) -> Result<Mapped<'a>, Vec<Fault>> {
        self.over(row.header()).draft(row)
    }

    /// The column that a field of the record came from, for faults that are found later. `field` is a name as validation
    /// gives it, such as `goods[0].unit` or `exact.goods[0].unit`.
    #[must_use]
    pub fn column_of(&self, trail: &Trail, field: &str) -> Option<&str> {
        let mut name = field;
        loop {
            if let Some(target) = Target::parse(name) {
                return self.column_to(trail.original(target)?);
            }
            // Section names before the field's own.
            name = name.split_once('.')?.1;
        }
    }

    fn column_to(&self, to: Target) -> Option<&str> {
        self.fields.iter().find_map(|field| match &field.source {
            Source::Column {
                reading: Reading::Quantity { unit, unit_column, .. },
                ..
            } if *unit == to => Some(unit_column.as_str()),
            Source::Column { column, .. } if field.to == to => Some(column.as_str()),
            _ => None,
        })
    }
}

impl Trail {
    /// Which list elements the filled fields bring into being, in the order of the mapping's indices.
    fn of(filled: &[Filled<'_>]) -> Self {
        let mut trail = Self::default();
        for field in filled {
            if let Some(list) = field.to.list()
                && let Some(indices) = trail.indices.get_mut(list as usize)
            {
                *indices |= bit(field.to);
            }
        }
        trail
    }

    fn indices(&self, list: List) -> u32 {
        self.indices.get(list as usize).copied().unwrap_or_default()
    }

    /// The target at its place in the draft; `None` where its list element doesn't exist.
    fn placed(&self, to: Target) -> Option<Target> {
        let Some(list) = to.list() else { return Some(to) };
        let (indices, bit) = (self.indices(list), bit(to));
        let before = indices & bit.wrapping_sub(1);
        (indices & bit != 0).then(|| to.moved_to(before.count_ones() as u8))
    }

    /// The way back.
    fn original(&self, to: Target) -> Option<Target> {
        let Some(list) = to.list() else { return Some(to) };
        let [place, _] = to.at;
        let indices = self.indices(list);
        let mut found = (0..u32::BITS as u8).filter(|index| indices >> index & 1 != 0);
        let first = found.nth(usize::from(place))?;
        Some(to.moved_to(first))
    }
}

/// The bit of a target's place in its list, which is below [`INDEX_MAX`].
fn bit(to: Target) -> u32 {
    let [first, _] = to.at;
    1 << (usize::from(first) % INDEX_MAX)
}

fn put<'a>(draft: &mut Draft<'a>, to: Target, value: Value<'a>) -> Result<(), String> {
    match (to.slot(), value) {
        (Some(Slot::Text(reach)), Value::Text(text)) => *reach(draft, to.at) = text,
        (Some(Slot::Text(reach)), Value::Texts(texts)) => *reach(draft, to.at) = texts.join("; ").into(),
        (Some(Slot::Texts(reach)), Value::Texts(texts)) => *reach(draft, to.at) = texts,
        (Some(Slot::Texts(reach)), Value::Text(text)) => *reach(draft, to.at) = vec![text],
        (Some(Slot::Count(reach)), Value::Text(text)) => {
            *reach(draft, to.at) = text
                .parse()
                .map_err(|_| "is no whole number that can be held".to_owned())?;
        }
        (Some(Slot::Flag(reach)), Value::Text(text)) => {
            *reach(draft, to.at) = match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" | "x" => true,
                "false" | "no" | "0" => false,
                _ => return Err("is neither `yes` nor `no`".to_owned()),
            };
        }
        (Some(Slot::Kind), Value::Text(text)) => {
            let kind: icomm_proto::RecordKind = text
                .parse()
                .map_err(|error| format!("names no kind of record: {error}"))?;
            draft.kind = v1::RecordKind::from(kind).into();
        }
        (Some(Slot::Count(_) | Slot::Flag(_) | Slot::Kind), Value::Texts(_)) | (None, _) => {}
    }
    Ok(())
}

/// Lists that span sections are joined by position: the open part has an element for each of the others', and exact or
/// nominal parts that exist at all have one for each of the open part's.
fn align(draft: &mut Draft<'_>) {
    fn pad<A: Default, B: Default>(open: &mut Vec<A>, other: &mut Vec<B>) {
        if open.len() < other.len() {
            open.resize_with(other.len(), A::default);
        } else if !other.is_empty() {
            other.resize_with(open.len(), B::default);
        }
    }
    let case = draft.case.get_or_insert_default();
    if let Some(exact) = &mut draft.exact {
        pad(&mut case.goods, &mut exact.goods);
        pad(&mut case.legs, &mut exact.legs);
    }
    if let Some(persons) = &mut draft.persons {
        for person in &mut persons.persons {
            person.papers.retain(|paper| *paper != draft::IdentityPaper::default());
            person.addresses.retain(|address| *address != draft::Address::default());
        }
        pad(&mut case.persons, &mut persons.persons);
    }
    if let Some(companies) = &mut draft.companies {
        for company in &mut companies.companies {
            company
                .addresses
                .retain(|address| *address != draft::Address::default());
        }
        pad(&mut case.companies, &mut companies.companies);
    }
}
