//! Sections: the parts of a record that are disclosed or withheld as a whole, and how sensitive each is.
//!
//! `record.proto` declares them; the build script checks it (`build/sections.rs`) and generates the table used here.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::text::serde_as_text;

include!(concat!(env!("OUT_DIR"), "/sections.rs"));

/// How sensitive a section is, as its message declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensitivity {
    /// May reach the global node.
    Open,
    /// Quasi-identifying exact values, whose general form stands in the open section.
    Exact,
    /// Identifies a person, a company or one consignment.
    Nominal,
    /// Free text: nominal until the originator has cleared it.
    Narrative,
    /// Photos and X-ray pictures, cleared one by one.
    Image,
}

/// A section of a record. Its number is the byte that entries and views carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SectionKind {
    /// What may be known to all: codes, months, bands, profiles without names.
    Case = 1,
    /// The exact form of what `Case` generalises.
    Exact = 2,
    /// References to one consignment or vehicle.
    References = 3,
    /// Identities of persons.
    Persons = 4,
    /// Identities of companies.
    Companies = 5,
    /// Free text.
    Narrative = 6,
    /// Hashes of photos and documents.
    Images = 7,
}

/// A number or name that stands for no section.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no section; sections are `case`, `exact`, `references`, `persons`, `companies`, `narrative`, `images`"
)]
pub struct UnknownSection(String);

impl SectionKind {
    /// How many kinds of section there are; no entry and no view has more sections.
    pub const COUNT: usize = 7;

    /// Every section in ascending order of number.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Case,
        Self::Exact,
        Self::References,
        Self::Persons,
        Self::Companies,
        Self::Narrative,
        Self::Images,
    ];

    /// The byte that stands for it in entries and views.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its name in agreements, on the command line and in policies: the field of `Draft`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.declared().1
    }

    /// How sensitive it is, from `record.proto`.
    #[must_use]
    pub fn sensitivity(self) -> Sensitivity {
        self.declared().2
    }

    fn declared(self) -> (Self, &'static str, Sensitivity) {
        // The fallback never happens (a test compares the table with `ALL`), but if it did it would close, not open.
        SECTIONS
            .iter()
            .copied()
            .find(|(kind, ..)| *kind == self)
            .unwrap_or((self, "undeclared", Sensitivity::Nominal))
    }
}

impl TryFrom<u8> for SectionKind {
    type Error = UnknownSection;

    fn try_from(number: u8) -> Result<Self, UnknownSection> {
        match number {
            1 => Ok(Self::Case),
            2 => Ok(Self::Exact),
            3 => Ok(Self::References),
            4 => Ok(Self::Persons),
            5 => Ok(Self::Companies),
            6 => Ok(Self::Narrative),
            7 => Ok(Self::Images),
            _ => Err(UnknownSection(number.to_string())),
        }
    }
}

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SectionKind {
    type Err = UnknownSection;

    fn from_str(text: &str) -> Result<Self, UnknownSection> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| UnknownSection(text.chars().take(60).collect()))
    }
}

/// A set of sections. Written `case+exact`; the empty set is `none`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionSet(u8);

impl SectionSet {
    /// No section.
    pub const EMPTY: Self = Self(0);

    /// Every section.
    pub const ALL: Self = Self(0b1111_1110);

    /// The sections whose sensitivity is [`Sensitivity::Open`]: all that the global node may hold.
    #[must_use]
    pub const fn open() -> Self {
        OPEN
    }

    /// Whether `kind` is in it.
    #[must_use]
    pub const fn contains(self, kind: SectionKind) -> bool {
        self.0 & (1 << kind.number()) != 0
    }

    /// This set with `kind` as well.
    #[must_use]
    pub const fn with(self, kind: SectionKind) -> Self {
        Self(self.0 | 1 << kind.number())
    }

    /// This set without `kind`.
    #[must_use]
    pub const fn without(self, kind: SectionKind) -> Self {
        Self(self.0 & !(1 << kind.number()))
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one but not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `other` holds everything of this one.
    #[must_use]
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many sections are in it.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Its sections in ascending order of number.
    pub fn iter(self) -> impl Iterator<Item = SectionKind> {
        SectionKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl From<SectionKind> for SectionSet {
    fn from(kind: SectionKind) -> Self {
        Self::EMPTY.with(kind)
    }
}

impl FromIterator<SectionKind> for SectionSet {
    fn from_iter<I: IntoIterator<Item = SectionKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Display for SectionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.pad("none");
        }
        let names: Vec<&str> = self.iter().map(SectionKind::name).collect();
        f.pad(&names.join("+"))
    }
}

impl fmt::Debug for SectionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SectionSet({self})")
    }
}

impl FromStr for SectionSet {
    type Err = UnknownSection;

    fn from_str(text: &str) -> Result<Self, UnknownSection> {
        if text == "none" {
            return Ok(Self::EMPTY);
        }
        text.split('+').map(str::parse).collect()
    }
}

serde_as_text!(SectionKind, SectionSet);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_is_declared_in_the_proto() {
        let declared: Vec<_> = SECTIONS.iter().map(|(kind, ..)| *kind).collect();
        assert_eq!(declared, SectionKind::ALL);
        for kind in SectionKind::ALL {
            assert_eq!(SectionKind::try_from(kind.number()), Ok(kind));
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!(SectionKind::try_from(0).is_err());
        assert!(SectionKind::try_from(8).is_err());
    }

    #[test]
    fn only_the_case_is_open() {
        assert_eq!(SectionSet::open(), SectionKind::Case.into());
        let declared = SectionKind::ALL
            .into_iter()
            .filter(|kind| kind.sensitivity() == Sensitivity::Open);
        assert_eq!(SectionSet::open(), declared.collect());
        assert_eq!(SectionKind::Exact.sensitivity(), Sensitivity::Exact);
        assert_eq!(SectionKind::References.sensitivity(), Sensitivity::Nominal);
        assert_eq!(SectionKind::Persons.sensitivity(), Sensitivity::Nominal);
        assert_eq!(SectionKind::Companies.sensitivity(), Sensitivity::Nominal);
        assert_eq!(SectionKind::Narrative.sensitivity(), Sensitivity::Narrative);
        assert_eq!(SectionKind::Images.sensitivity(), Sensitivity::Image);
    }

    #[test]
    fn sets_round_trip_as_text() {
        for bits in 0..=0b111_1111_u8 {
            let set = SectionSet(bits << 1);
            assert_eq!(set.to_string().parse(), Ok(set));
            assert_eq!(set.iter().collect::<SectionSet>(), set);
            assert_eq!(set.iter().count(), set.len());
        }
        assert_eq!(
            "case+exact".parse(),
            Ok(SectionSet::EMPTY.with(SectionKind::Case).with(SectionKind::Exact))
        );
        assert!("case+".parse::<SectionSet>().is_err());
        assert!("".parse::<SectionSet>().is_err());
        assert_eq!(SectionSet::ALL.len(), SectionKind::COUNT);
    }
}
