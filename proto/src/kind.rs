//! What a record is about: nCEN keeps seizures, suspects and companies apart, and so do we.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::text::serde_as_text;
use crate::v1;

/// The kind of a record. Its number is the one byte that an entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// Goods that were seized, detained or found, with all that belongs to the case.
    Seizure = 1,
    /// A person under suspicion.
    Suspect = 2,
    /// A company under suspicion.
    Company = 3,
}

/// A text, number or message field that names no kind of record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no kind of record; it is one of `seizure`, `suspect`, `company`")]
pub struct UnknownRecordKind(String);

impl RecordKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Seizure, Self::Suspect, Self::Company];

    /// The byte that stands for it in an entry.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its name in documents, on the command line and in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seizure => "seizure",
            Self::Suspect => "suspect",
            Self::Company => "company",
        }
    }
}

impl TryFrom<u8> for RecordKind {
    type Error = UnknownRecordKind;

    fn try_from(number: u8) -> Result<Self, UnknownRecordKind> {
        match number {
            1 => Ok(Self::Seizure),
            2 => Ok(Self::Suspect),
            3 => Ok(Self::Company),
            _ => Err(UnknownRecordKind(number.to_string())),
        }
    }
}

impl TryFrom<v1::RecordKind> for RecordKind {
    type Error = UnknownRecordKind;

    fn try_from(kind: v1::RecordKind) -> Result<Self, UnknownRecordKind> {
        match kind {
            v1::RecordKind::Unspecified => Err(UnknownRecordKind(String::new())),
            v1::RecordKind::Seizure => Ok(Self::Seizure),
            v1::RecordKind::Suspect => Ok(Self::Suspect),
            v1::RecordKind::Company => Ok(Self::Company),
        }
    }
}

impl From<RecordKind> for v1::RecordKind {
    fn from(kind: RecordKind) -> Self {
        match kind {
            RecordKind::Seizure => Self::Seizure,
            RecordKind::Suspect => Self::Suspect,
            RecordKind::Company => Self::Company,
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for RecordKind {
    type Err = UnknownRecordKind;

    fn from_str(text: &str) -> Result<Self, UnknownRecordKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| UnknownRecordKind(text.to_owned()))
    }
}

serde_as_text!(RecordKind);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_name_and_message_agree() {
        for kind in RecordKind::ALL {
            assert_eq!(RecordKind::try_from(kind.number()), Ok(kind));
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(RecordKind::try_from(v1::RecordKind::from(kind)), Ok(kind));
            assert_eq!(i32::from(kind.number()), v1::RecordKind::from(kind) as i32);
        }
        assert!(RecordKind::try_from(0).is_err());
        assert!(RecordKind::try_from(v1::RecordKind::Unspecified).is_err());
        assert!("Seizure".parse::<RecordKind>().is_err());
    }
}
