//! The words that agreements are written in: each is checked when it is read, and written in one way only.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use time::{Date, Month};

use icomm_pki::{MemberId, moment_at};
use icomm_proto::{SectionKind, SectionSet};

/// A word that agreements do not know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidWord {
    /// Not `[a-z0-9][a-z0-9-]*` of at most [`AgreementId::CHARS_MAX`] characters.
    #[error("`{0}` is not an agreement id: 1 to 64 small letters, digits and hyphens, no hyphen first or last")]
    AgreementId(String),
    /// Not a calendar day between 1970 and 9999.
    #[error("`{0}` is not a day: write it as `2026-11-30`, without a time, between 1970 and 9999")]
    Day(String),
    /// Neither a member nor `parties`.
    #[error("`{0}` is neither a member id such as `KE` nor `parties`")]
    Side(String),
    /// Neither a list nor `all`.
    #[error("`{0}` is not a choice of categories: write a list of codes, or `all`")]
    Categories(String),
    /// None of the handling codes.
    #[error("`{0}` is not a handling code: H0, H1, H2 or H3")]
    Handling(String),
    /// None of the purposes.
    #[error(
        "`{0}` is not a purpose: customs-control, risk-analysis, investigation, prosecution, revenue-recovery or statistics"
    )]
    Purpose(String),
}

/// What a message quotes of a refused text: a peer may have sent megabytes, or control characters.
pub(crate) fn shortened(text: &str) -> String {
    const QUOTED_CHARS_MAX: usize = 64;
    let mut quoted: String = text
        .chars()
        .take(QUOTED_CHARS_MAX)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        quoted.push('…');
    }
    quoted
}

/// The name of an agreement, the same in all its versions: `ke-ug-2026`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgreementId(Arc<str>);

impl AgreementId {
    /// The most characters that an id may have.
    pub const CHARS_MAX: usize = 64;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgreementId {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        let fits = (1..=Self::CHARS_MAX).contains(&text.len()) && is_kebab(text);
        fits.then(|| Self(text.into()))
            .ok_or_else(|| InvalidWord::AgreementId(shortened(text)))
    }
}

impl fmt::Display for AgreementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for AgreementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgreementId({self})")
    }
}

/// Whether `text` is small letters, digits and inner hyphens.
pub(super) fn is_kebab(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

/// A calendar day in UTC, written `2026-11-30`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

impl Day {
    /// The day on which the instant `now` (seconds since 1970) falls.
    ///
    /// # Errors
    /// When `now` lies beyond the year 9999.
    pub fn of(now: u64) -> Result<Self, InvalidWord> {
        moment_at(now)
            .map(|instant| Self(instant.date()))
            .ok_or_else(|| InvalidWord::Day(now.to_string()))
    }

    /// The instant at which the day begins, in seconds since 1970.
    #[must_use]
    pub fn begins(self) -> u64 {
        // INVARIANT: parsing refuses days before 1970, so the timestamp is not negative.
        u64::try_from(self.0.midnight().assume_utc().unix_timestamp()).unwrap_or(0)
    }

    /// The instant at which the next day begins, in seconds since 1970.
    #[must_use]
    pub fn ends(self) -> u64 {
        self.begins() + 24 * 60 * 60
    }
}

impl FromStr for Day {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        let number = |range: std::ops::Range<usize>| -> Option<u16> {
            let digits = text.get(range)?;
            digits
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| digits.parse().ok())?
        };
        let day = || -> Option<Self> {
            let shaped = text.len() == 10 && text.get(4..5)? == "-" && text.get(7..8)? == "-";
            let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
            if !shaped || year < 1970 {
                return None;
            }
            let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
            Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?)
                .ok()
                .map(Self)
        };
        day().ok_or_else(|| InvalidWord::Day(shortened(text)))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.0.to_calendar_date();
        f.pad(&format!("{year:04}-{:02}-{day:02}", u8::from(month)))
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Day({self})")
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// TOML has dates of its own, which a lawyer writes without quotes; JSON has text only.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Date(toml::value::Datetime),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Date(date) => date.to_string(),
        };
        text.parse().map_err(de::Error::custom)
    }
}

/// One end of a grant: a member, or every party to the agreement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// This member alone.
    Member(MemberId),
    /// Any party. From parties to parties means: from each to every other.
    Parties,
}

impl FromStr for Side {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        // A member id is written in capitals, so the two can't be confused.
        match text {
            "parties" => Ok(Self::Parties),
            _ => text
                .parse()
                .map(Self::Member)
                .map_err(|_| InvalidWord::Side(shortened(text))),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(member) => member.fmt(f),
            Self::Parties => f.pad("parties"),
        }
    }
}

/// Which commodity categories a grant is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Categories {
    /// All of them, also records that have no goods (a suspect, a company).
    All,
    /// Only records all of whose goods fall under these codes of the list `commodity-category`, and that have goods.
    Only(BTreeSet<String>),
}

impl Serialize for Categories {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Only(codes) => codes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Categories {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Word(String),
            Codes(BTreeSet<String>),
        }
        match Written::deserialize(deserializer)? {
            Written::Word(word) if word == "all" => Ok(Self::All),
            Written::Word(word) => Err(de::Error::custom(InvalidWord::Categories(shortened(&word)))),
            Written::Codes(codes) => Ok(Self::Only(codes)),
        }
    }
}

/// A handling code, from the least to the most restricted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HandlingCode {
    /// For preventing and combating offences, no further restriction.
    H0,
    /// Not as evidence in court without the originator's permission.
    H1,
    /// Not to be passed on without the originator's permission.
    H2,
    /// Further conditions, written in the record.
    H3,
}

impl HandlingCode {
    /// Every code, the least restricted first.
    pub const ALL: [Self; 4] = [Self::H0, Self::H1, Self::H2, Self::H3];

    /// The code as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::H0 => "H0",
            Self::H1 => "H1",
            Self::H2 => "H2",
            Self::H3 => "H3",
        }
    }

    /// Its place in the order: 0 to 3. This is what policies compare.
    #[must_use]
    pub const fn level(self) -> i64 {
        self as i64
    }
}

/// What the receiver may use records for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Checking goods, conveyances and travellers at the border.
    CustomsControl,
    /// Profiles and selection, without reference to a single case.
    RiskAnalysis,
    /// Investigating an offence.
    Investigation,
    /// Proceedings in court.
    Prosecution,
    /// Assessing and recovering duties and taxes.
    RevenueRecovery,
    /// Counting.
    Statistics,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 6] = [
        Self::CustomsControl,
        Self::RiskAnalysis,
        Self::Investigation,
        Self::Prosecution,
        Self::RevenueRecovery,
        Self::Statistics,
    ];

    /// The purpose as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CustomsControl => "customs-control",
            Self::RiskAnalysis => "risk-analysis",
            Self::Investigation => "investigation",
            Self::Prosecution => "prosecution",
            Self::RevenueRecovery => "revenue-recovery",
            Self::Statistics => "statistics",
        }
    }
}

/// Text traits of an enum with `ALL` and `as_str`.
macro_rules! choice {
    ($($name:ident: $invalid:expr;)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = InvalidWord;

            fn from_str(text: &str) -> Result<Self, InvalidWord> {
                let found = Self::ALL.into_iter().find(|choice| choice.as_str() == text);
                found.ok_or_else(|| $invalid(shortened(text)))
            }
        }

        deserialize_from_text!($name);
    )*};
}

macro_rules! serialize_as_text {
    ($($name:ident)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

macro_rules! deserialize_from_text {
    ($($name:ident)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

choice! {
    HandlingCode: InvalidWord::Handling;
    Purpose: InvalidWord::Purpose;
}
serialize_as_text!(AgreementId Day Side HandlingCode Purpose);
deserialize_from_text!(AgreementId Side);

/// Section sets as lists of names, `["case", "exact"]`: easier to read in a contract than `case+exact`.
pub(crate) mod section_list {
    use super::{Deserialize, Deserializer, SectionKind, SectionSet, Serializer};

    pub(crate) fn serialize<S: Serializer>(set: &SectionSet, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(set.iter().map(SectionKind::name))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SectionSet, D::Error> {
        Ok(Vec::<SectionKind>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_others_are_refused() {
        for purpose in Purpose::ALL {
            assert_eq!(purpose.as_str().parse(), Ok(purpose));
        }
        for code in HandlingCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
        }
        assert!("h0".parse::<HandlingCode>().is_err());
        for id in ["ke-ug", "a", "2026-esa"] {
            assert_eq!(id.parse::<AgreementId>().map(|id| id.to_string()), Ok(id.to_owned()));
        }
        for id in ["", "-a", "a-", "KE-UG", "a b", "a/b", "é", &"a".repeat(65)] {
            assert!(id.parse::<AgreementId>().is_err(), "{id}");
        }
        assert_eq!("parties".parse(), Ok(Side::Parties));
        assert!("Parties".parse::<Side>().is_err());
    }

    #[test]
    fn days_begin_and_end_at_midnight_utc() {
        let day: Day = "2026-11-30".parse().unwrap();
        assert_eq!(day.begins(), 1_795_996_800);
        assert_eq!(day.ends(), "2026-12-01".parse::<Day>().unwrap().begins());
        assert_eq!(Day::of(day.ends() - 1), Ok(day));
        assert_eq!(day.to_string(), "2026-11-30");
        for text in [
            "1969-12-31",
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "26-01-01",
            "2026-11-30T00:00:00",
            "+026-11-30",
            "",
        ] {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_long_refused_word_is_quoted_in_part() {
        let message = "A".repeat(10_000).parse::<AgreementId>().unwrap_err().to_string();
        assert!(message.len() < 300, "{message}");
        let message = "a\u{202e}b\n".parse::<Purpose>().unwrap_err().to_string();
        assert!(!message.contains('\n') && !message.contains('\u{202e}'), "{message}");
    }
}
