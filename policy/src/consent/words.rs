//! The words of requests and answers: what they are about, who decided, why.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use icomm_pki::MemberId;
use icomm_proto::log::Hash;
use icomm_proto::{Origin, RecordId};

use crate::agreement::shortened;

/// The most characters of an operation's or officer's name.
const NAME_CHARS_MAX: usize = 64;
/// The most characters of a reason.
pub const REASON_CHARS_MAX: usize = 256;

/// A word that requests and answers do not know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidConsentWord {
    /// Not the name of an operation.
    #[error("`{0}` is not an operation: 1 to 64 letters, digits, `.`, `_` and `-`")]
    Operation(String),
    /// Not the designation of an officer.
    #[error("`{0}` does not designate an officer: 1 to 64 letters, digits, `.`, `_` and `-`, such as `duty-officer-3`")]
    Officer(String),
    /// Too long, or with control characters.
    #[error("a reason has at most {REASON_CHARS_MAX} characters, in one line")]
    Reason,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $variant:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $type(String);

        impl $type {
            /// It as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidConsentWord;

            fn from_str(text: &str) -> Result<Self, InvalidConsentWord> {
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
                let fits = (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed);
                fits.then(|| Self(text.to_owned()))
                    .ok_or_else(|| InvalidConsentWord::$variant(shortened(text)))
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidConsentWord;

            fn try_from(text: String) -> Result<Self, InvalidConsentWord> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({})"), self.0)
            }
        }
    };
}

name! {
    /// The id of an operation, as records carry it in their class.
    OperationId, Operation
}

name! {
    /// Who decided, by role or number: enough for the member to find out who it was, and nobody's name.
    Officer, Officer
}

impl Officer {
    /// Of what nobody decided.
    pub(super) fn nobody() -> Self {
        Self("-".to_owned())
    }
}

/// Why somebody asks or decides so, in words that name nobody; may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Reason(String);

impl Reason {
    /// It as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Reason {
    type Error = InvalidConsentWord;

    fn try_from(text: String) -> Result<Self, InvalidConsentWord> {
        let fits = text.chars().count() <= REASON_CHARS_MAX && !text.chars().any(char::is_control);
        fits.then_some(Self(text)).ok_or(InvalidConsentWord::Reason)
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Subject {
    /// Sections of one entry.
    Record {
        /// The log.
        origin: Origin,
        /// The record.
        record: RecordId,
        /// Its version.
        version: u32,
        /// The entry's leaf hash, by which it can be no other.
        #[serde(with = "as_text")]
        leaf: Hash,
    },
    /// The open section of every record of one member that belongs to an operation.
    Operation {
        /// Whose records.
        owner: MemberId,
        /// The operation.
        operation: OperationId,
    },
}

impl Subject {
    /// Whose records they are, and so who alone may answer.
    #[must_use]
    pub const fn owner(&self) -> &MemberId {
        match self {
            Self::Record { origin, .. } => &origin.member,
            Self::Operation { owner, .. } => owner,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record {
                origin,
                record,
                version,
                ..
            } => write!(f, "record {record} version {version} of {origin}"),
            Self::Operation { owner, operation } => write!(f, "operation {operation} of {owner}"),
        }
    }
}

/// What requests and answers belong together: subject, holder, receiver. Also a part of keys in a store: letters, digits,
/// `.`, `_`, `-` and slashes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thread(String);

impl Thread {
    /// Of what `holder` asks about `subject`, for `to`.
    #[must_use]
    pub fn new(subject: &Subject, holder: &MemberId, to: &MemberId) -> Self {
        let name = match subject {
            Subject::Record { leaf, .. } => format!("record/{leaf}"),
            Subject::Operation { owner, operation } => format!("operation/{owner}/{operation}"),
        };
        Self(format!("{name}/{holder}/{to}"))
    }

    /// It as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thread({self})")
    }
}

/// Serde for what is written as its text.
pub(super) mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(in super::super) fn serialize<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(in super::super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
