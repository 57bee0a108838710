//! A mapping laid over the header of a file: where its columns stand is found once, not once a row.
//!
//! Most cells of most rows are blank. So a row is gone through by the cells that hold something, and of the fields only
//! those are asked that read one of them, or that have something to say of a blank cell (a default, a fault).

use std::borrow::Cow;

use icomm_proto::draft::Text;

use super::date::Format;
use super::field::{Field, Reading, Source};
use super::number::{self, Notation};
use super::target::Target;
use super::{FIELDS_MAX, KeyColumns, Mapping, Owner};
use crate::intake::rows::{COLUMNS_MAX, Fault, FaultKind, Header, Row};

/// A mapping that knows a file's columns by their places.
#[derive(Debug)]
pub struct Columns<'m> {
    pub(super) mapping: &'m Mapping,
    owner: Option<usize>,
    /// Whose the row before was, by what its cell says: most rows of a file are one member's.
    last_owner: Option<(String, Owner)>,
    /// By field.
    places: Vec<Places>,
    /// By column of the file.
    readers: Vec<Vec<u16>>,
    /// Fields that are asked whatever the row holds.
    always: Numbers,
    /// By column of the file: its place in the order of the columns' names, so that moving columns changes no key.
    ranks: Vec<u16>,
    /// By rank; `None` where a column makes no difference to a row's key.
    keys: Vec<Option<KeyColumn<'m>>>,
    /// Fields that no column fills, with their values.
    pub(super) constants: Vec<(Target, &'m str)>,
    /// The fields to ask of the row at hand, in the order of the mapping.
    pub(super) due: Vec<u16>,
}

/// A set of numbers of fields or columns, of which there are at most [`Numbers::MAX`].
#[derive(Clone, Copy, Debug, Default)]
struct Numbers([u64; Numbers::MAX / Numbers::IN_WORD]);

impl Numbers {
    const IN_WORD: usize = u64::BITS as usize;
    const MAX: usize = 512;

    fn add(&mut self, number: u16) {
        let number = usize::from(number);
        if let Some(word) = self.0.get_mut(number / Self::IN_WORD) {
            *word |= 1 << (number % Self::IN_WORD);
        }
    }

    /// In ascending order.
    fn iter(&self) -> impl Iterator<Item = u16> {
        let words = (0u16..).step_by(Self::IN_WORD).zip(self.0);
        words.flat_map(|(first, word)| {
            let next = |word: &u64| Some(*word & word.wrapping_sub(1)).filter(|_| *word != 0);
            let lowest = move |word: u64| first + word.trailing_zeros() as u16;
            std::iter::successors(Some(word), next)
                .filter(|word| *word != 0)
                .map(lowest)
        })
    }
}

const _: () = assert!(FIELDS_MAX <= Numbers::MAX && COLUMNS_MAX <= Numbers::MAX);

/// Where a field's cells stand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places {
    pub(super) cell: Option<usize>,
    pub(super) unit: Option<usize>,
}

/// What a column adds to a row's key.
#[derive(Debug)]
struct KeyColumn<'m> {
    /// Where it stands in the file.
    place: usize,
    /// Length and name.
    head: Vec<u8>,
    meant: Meant<'m>,
}

/// In which columns different texts may mean the same.
#[derive(Clone, Copy, Debug)]
enum Meant<'m> {
    Number(&'m Notation),
    Date(&'m [Format]),
    Text,
}

impl Mapping {
    /// Lays it over a header.
    #[must_use]
    pub fn over(&self, header: &Header) -> Columns<'_> {
        let place = |column: &str| header.position(column);
        let mut places = Vec::with_capacity(self.fields.len());
        let mut readers = vec![Vec::new(); header.len()];
        let mut always = Numbers::default();
        let mut constants = Vec::new();
        // A mapping has at most `FIELDS_MAX` fields.
        for (number, field) in (0u16..).zip(&self.fields) {
            let found = match &field.source {
                Source::Constant(value) => {
                    constants.push((field.to, value.as_str()));
                    Places::default()
                }
                Source::Column { column, reading, .. } => Places {
                    cell: place(column),
                    unit: match reading {
                        Reading::Quantity { unit_column, .. } => place(unit_column),
                        _ => None,
                    },
                },
            };
            for place in found.cell.into_iter().chain(found.unit) {
                readers
                    .get_mut(place)
                    .into_iter()
                    .for_each(|fields| fields.push(number));
            }
            if field.speaks_of_blank() {
                always.add(number);
            }
            places.push(found);
        }
        let (ranks, keys) = self.key_columns_of(header);
        Columns {
            mapping: self,
            owner: self.owner.as_ref().and_then(|owner| place(&owner.column)),
            last_owner: None,
            places,
            readers,
            always,
            ranks,
            keys,
            constants,
            due: Vec::new(),
        }
    }

    /// The rank of each column, and by rank what it adds to a row's key.
    fn key_columns_of(&self, header: &Header) -> (Vec<u16>, Vec<Option<KeyColumn<'_>>>) {
        let names: Vec<String> = header.names().map(str::to_lowercase).collect();
        let mut sorted: Vec<(&String, usize)> = names.iter().zip(0..).collect();
        sorted.sort_unstable();
        let mut ranks = vec![0; names.len()];
        for (rank, (_, place)) in (0..).zip(&sorted) {
            ranks.get_mut(*place).into_iter().for_each(|column| *column = rank);
        }
        let counts = |name: &String| match &self.key {
            KeyColumns::Only(columns) => columns.contains(name),
            KeyColumns::AllBut(columns) => !columns.contains(name),
        };
        let column = |(name, place): (&String, usize)| {
            let mut head = Vec::with_capacity(4 + name.len());
            write_len(name, &mut head);
            head.extend_from_slice(name.as_bytes());
            counts(name).then(|| KeyColumn {
                place,
                head,
                meant: self.meant(name),
            })
        };
        (ranks, sorted.into_iter().map(column).collect())
    }

    /// What the texts of a column mean; its name is in small letters.
    fn meant(&self, column: &str) -> Meant<'_> {
        let field = self.measured.get(column).and_then(|place| self.fields.get(*place));
        match field.map(|field| &field.source) {
            Some(Source::Column {
                reading: Reading::Number(notation) | Reading::Quantity { notation, .. },
                ..
            }) => Meant::Number(notation),
            Some(Source::Column {
                reading: Reading::Date(formats),
                ..
            }) => Meant::Date(formats),
            _ => Meant::Text,
        }
    }

    /// Whose case a row is; see [`Columns::owner`], which is for many rows.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn owner(&self, row: &Row) -> Result<Owner, Fault> {
        self.over(row.header()).owner(row).cloned()
    }
}

impl Meant<'_> {
    /// A cell's text in the form that makes equal what means the same: `255.0` and `255` in a column of numbers, a date in
    /// any of its formats. Other columns keep their text, since `12.10` and `12.1` may be two files' references.
    /// `is_single_spaced`: there is no white space to be made one space.
    fn canonical(self, text: &str, is_single_spaced: bool) -> Text<'_> {
        let meant = match self {
            Self::Number(notation) => number::plain(text, notation).ok(),
            Self::Date(formats) => formats.iter().find_map(|format| format.read(text)),
            Self::Text => None,
        };
        meant.unwrap_or_else(|| match is_single_spaced {
            true => Cow::Borrowed(text),
            false => single_spaced(text),
        })
    }
}

impl Columns<'_> {
    /// Whose case a row is.
    ///
    /// # Errors
    ///
    /// The owner's cell is blank or says nothing that the mapping knows.
    pub fn owner(&mut self, row: &Row) -> Result<&Owner, Fault> {
        let text = self.owner.map_or("", |place| row.at(place));
        let known = matches!(&self.last_owner, Some((last, _)) if last == text);
        if !known {
            let owner = self.mapping.owner_named(text)?;
            self.last_owner = Some((text.to_owned(), owner));
        }
        Ok(self.last_owner.as_ref().map_or(&Owner::Importer, |(_, owner)| owner))
    }
}

impl Mapping {
    fn owner_named(&self, text: &str) -> Result<Owner, Fault> {
        let Some(owner) = &self.owner else {
            return Ok(Owner::Importer);
        };
        if text.is_empty() && owner.blank_is_mine {
            return Ok(Owner::Importer);
        }
        let code = match &owner.table {
            None => text,
            Some(table) => table.find(&owner.column, text)?.map_or("", |meaning| meaning.code),
        };
        if code.is_empty() {
            let reason = "says nothing of whose case this is, which every row needs";
            return Err(Fault::of_cell(FaultKind::Missing, &owner.column, text, reason));
        }
        if let Some(member) = owner.belongs.get(code) {
            return Ok(Owner::Member(member.clone()));
        }
        code.parse().map(Owner::Member).map_err(|_| {
            let reason = format!("`{code}` is no member id; one looks like `KE` or `RILO-ESA`");
            Fault::of_cell(FaultKind::UnknownValue, &owner.column, text, reason)
        })
    }
}

impl Columns<'_> {
    /// Appends what a row says, in the form that its key is made of: for each key column that isn't blank, by name,
    /// the name and the text, each after its length.
    pub(crate) fn write_content(&mut self, row: &Row, out: &mut Vec<u8>) {
        let mut filled = Numbers::default();
        for (column, _) in row.filled() {
            self.ranks.get(column).into_iter().for_each(|rank| filled.add(*rank));
        }
        for rank in filled.iter() {
            if let Some(Some(key)) = self.keys.get(usize::from(rank)) {
                let text = key.meant.canonical(row.at(key.place), row.is_single_spaced());
                out.extend_from_slice(&key.head);
                write_len(&text, out);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// Finds the fields to ask of a row.
    pub(super) fn ask(&mut self, row: &Row) {
        let mut due = self.always;
        for (column, _) in row.filled() {
            let readers = self.readers.get(column).map_or(&[][..], Vec::as_slice);
            readers.iter().for_each(|field| due.add(*field));
        }
        self.due.clear();
        self.due.extend(due.iter());
    }

    pub(super) fn places(&self, field: u16) -> Places {
        self.places.get(usize::from(field)).copied().unwrap_or_default()
    }
}

impl Field {
    /// Whether a blank cell is a value for it, or a fault.
    fn speaks_of_blank(&self) -> bool {
        match &self.source {
            Source::Constant(_) => false,
            Source::Column { default: Some(_), .. } => true,
            Source::Column { reading, .. } => {
                self.required
                    || match reading {
                        Reading::Table(table) | Reading::Quantity { units: table, .. } => table.knows_blank(),
                        Reading::Text | Reading::Prose | Reading::Split(_) | Reading::Date(_) | Reading::Number(_) => {
                            false
                        }
                    }
            }
        }
    }
}

/// Rows are at most a mebibyte long.
fn write_len(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
}

/// A trimmed text with one space for every run of white space in it: a line break or a run of spaces within a name or a
/// place is a spreadsheet's accident.
pub(super) fn single_spaced(text: &str) -> Text<'_> {
    let mut before = b' ';
    let plain = text.bytes().fold(true, |plain, byte| {
        let good = matches!(byte, b'!'..=b'~') | ((byte == b' ') & (before != b' '));
        before = byte;
        plain & good
    });
    if plain {
        return Cow::Borrowed(text);
    }
    let mut words = text.split_whitespace();
    let mut spaced = String::with_capacity(text.len());
    spaced.extend(words.next());
    for word in words {
        spaced.push(' ');
        spaced.push_str(word);
    }
    Cow::Owned(spaced)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_come_in_order_and_once() {
        let mut numbers = Numbers::default();
        for number in [511, 0, 63, 64, 5, 63, 320] {
            numbers.add(number);
        }
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [0, 5, 63, 64, 320, 511]);
        assert_eq!(Numbers::default().iter().count(), 0);
    }

    proptest! {
        #[test]
        fn runs_of_white_space_become_one_space(text in "[a-c \t\n\u{a0}é]{0,12}") {
            let text = text.trim();
            prop_assert_eq!(single_spaced(text), text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}
