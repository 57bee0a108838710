//! A row becomes a draft.
//!
//! First every field that has a column is read, and all faults of the row are gathered, so that an officer mends a row
//! once. Then values are put in place. List elements that no column filled don't come into being (a constant alone makes no
//! consignment), and those that do move together: a row that fills `goods[0]` and `goods[2]` has two.

use icomm_proto::v1;

use super::field::{Field, Reading, Source};
use super::target::{List, Slot, Target};
use super::{Mapping, number};
use crate::intake::rows::{Fault, FaultKind, Row};

/// The most entries of a list in one cell.
const SPLIT_MAX: usize = 64;

/// A draft, not validated, with the way back from its fields to the columns they came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    /// The draft.
    pub draft: v1::Draft,
    /// The way back.
    pub trail: Trail,
}

/// For each list, the mapping's index of each element of the draft. Most rows fill few lists, so it is small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    indices: [Vec<usize>; List::ALL.len()],
}

/// Values on their way to their fields.
struct Filled {
    to: Target,
    value: Value,
}

enum Value {
    Text(String),
    Texts(Vec<String>),
}

impl Mapping {
    /// The draft that a row stands for.
    ///
    /// # Errors
    ///
    /// All that is wrong with its cells.
    pub fn draft(&self, row: &Row) -> Result<Mapped, Vec<Fault>> {
        let mut filled = Vec::new();
        let mut defaults = Vec::new();
        let mut faults = Vec::new();
        for field in &self.fields {
            if let Source::Column {
                column,
                reading,
                default,
            } = &field.source
            {
                let before = filled.len();
                if let Err(fault) = self.read(row, field.to, column, reading, &mut filled) {
                    faults.push(fault);
                    continue;
                }
                if filled.len() > before {
                    continue;
                }
                if let Some(default) = default {
                    defaults.push(Filled {
                        to: field.to,
                        value: Value::Text(default.clone()),
                    });
                } else if field.required {
                    let text = row.cell(column).unwrap_or_default();
                    let reason = if text.is_empty() {
                        "is blank but mandatory"
                    } else {
                        "says nothing, but is mandatory"
                    };
                    faults.push(Fault::of_cell(FaultKind::Missing, column, text, reason));
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        // Neither a default nor a constant brings a list element into being.
        let trail = Trail::of(&filled);
        filled.extend(defaults);
        self.add_constants(&mut filled, &trail);
        let mut draft = v1::Draft {
            kind: v1::RecordKind::from(self.kind).into(),
            ..v1::Draft::default()
        };
        for Filled { to, value } in filled {
            let Some(to) = trail.placed(to) else { continue };
            put(&mut draft, to, value).map_err(|reason| {
                let column = self.column_to(to).unwrap_or_default();
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

    /// Reads one cell into the field it is for, and into others that its table settles.
    fn read(
        &self,
        row: &Row,
        to: Target,
        column: &str,
        reading: &Reading,
        filled: &mut Vec<Filled>,
    ) -> Result<(), Fault> {
        let text = row.cell(column).unwrap_or_default();
        let mut fill = |to, value| filled.push(Filled { to, value });
        match reading {
            // A quantity without a number is as good as none, but a unit that is refused is still refused.
            Reading::Quantity {
                notation,
                unit_column,
                units,
                unit,
            } => {
                let unit_text = row.cell(unit_column).unwrap_or_default();
                let meaning = units.find(unit_column, unit_text)?;
                if text.is_empty() {
                    return Ok(());
                }
                let fault = |reason: String| Fault::of_cell(FaultKind::Number, column, text, reason);
                let mut quantity = number::decimal(text, notation).map_err(fault)?;
                let Some(meaning) = meaning else {
                    let reason = "is blank, and a quantity without a unit says nothing";
                    return Err(Fault::of_cell(FaultKind::Missing, unit_column, unit_text, reason));
                };
                if let Some(times) = meaning.times {
                    let too_large = || fault(format!("is too large in units of `{unit_text}`"));
                    quantity = quantity.checked_mul(times).ok_or_else(too_large)?.normalize();
                }
                fill(to, Value::Text(quantity.to_string()));
                fill(*unit, Value::Text(meaning.code.to_owned()));
                for (other, value) in meaning.with {
                    fill(*other, Value::Text(value.clone()));
                }
            }
            Reading::Table(table) => {
                if let Some(meaning) = table.find(column, text)? {
                    fill(to, Value::Text(meaning.code.to_owned()));
                    for (other, value) in meaning.with {
                        fill(*other, Value::Text(value.clone()));
                    }
                }
            }
            _ if text.is_empty() => {}
            Reading::Text if to.is_prose() => fill(to, Value::Text(text.to_owned())),
            // A line break or a run of spaces within a name or a place is a spreadsheet's accident.
            Reading::Text => fill(to, Value::Text(text.split_whitespace().collect::<Vec<_>>().join(" "))),
            Reading::Split(separator) => {
                let texts: Vec<String> = text
                    .split(*separator)
                    .map(str::trim)
                    .filter(|text| !text.is_empty())
                    .map(str::to_owned)
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
                let number = Field::plain_number(text, notation)
                    .map_err(|reason| Fault::of_cell(FaultKind::Number, column, text, reason))?;
                fill(to, Value::Text(number));
            }
        }
        Ok(())
    }

    /// Constants, where nothing else was filled and the list element exists.
    fn add_constants(&self, filled: &mut Vec<Filled>, trail: &Trail) {
        for field in &self.fields {
            let Source::Constant(value) = &field.source else {
                continue;
            };
            let taken = filled.iter().any(|other| other.to == field.to);
            if !taken && trail.placed(field.to).is_some() {
                filled.push(Filled {
                    to: field.to,
                    value: Value::Text(value.clone()),
                });
            }
        }
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
    fn of(filled: &[Filled]) -> Self {
        let mut trail = Self::default();
        for (list, indices) in List::ALL.into_iter().zip(&mut trail.indices) {
            indices.extend(
                filled
                    .iter()
                    .filter(|field| field.to.list() == Some(list))
                    .map(|field| field.to.at[0]),
            );
            indices.sort_unstable();
            indices.dedup();
        }
        trail
    }

    fn indices(&self, list: List) -> &[usize] {
        List::ALL
            .into_iter()
            .zip(&self.indices)
            .find(|(known, _)| *known == list)
            .map_or(&[], |(_, indices)| indices)
    }

    /// The target at its place in the draft; `None` where its list element doesn't exist.
    fn placed(&self, to: Target) -> Option<Target> {
        let Some(list) = to.list() else { return Some(to) };
        let [first, _] = to.at;
        self.indices(list)
            .iter()
            .position(|index| *index == first)
            .map(|place| to.moved_to(place))
    }

    /// The way back.
    fn original(&self, to: Target) -> Option<Target> {
        let Some(list) = to.list() else { return Some(to) };
        let [place, _] = to.at;
        self.indices(list).get(place).map(|first| to.moved_to(*first))
    }
}

fn put(draft: &mut v1::Draft, to: Target, value: Value) -> Result<(), String> {
    match (to.slot(), value) {
        (Some(Slot::Text(reach)), Value::Text(text)) => *reach(draft, to.at) = text,
        (Some(Slot::Text(reach)), Value::Texts(texts)) => *reach(draft, to.at) = texts.join("; "),
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
fn align(draft: &mut v1::Draft) {
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
            person.papers.retain(|paper| *paper != v1::IdentityPaper::default());
            person.addresses.retain(|address| *address != v1::Address::default());
        }
        pad(&mut case.persons, &mut persons.persons);
    }
    if let Some(companies) = &mut draft.companies {
        for company in &mut companies.companies {
            company.addresses.retain(|address| *address != v1::Address::default());
        }
        pad(&mut case.companies, &mut companies.companies);
    }
}
