//! The identifier of a record: a UUIDv7, so ids sort by the moment of issue and two equal cases stay two records.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

use crate::text::serde_as_text;

/// A record's identity over all its versions, in every log that mentions it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(Uuid);

/// A text or 16 bytes that are no UUIDv7.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidRecordId {
    /// Not the form of a UUID.
    #[error("`{0}` is no record id; one looks like `019ab0c4-6f00-7c3e-9d2a-5b1e8f7a6c01`")]
    Form(String),
    /// A UUID of another version or variant.
    #[error("`{0}` is a UUID but not of version 7, as record ids are")]
    Version(Uuid),
}

impl RecordId {
    /// Length of its binary form.
    pub const BYTES: usize = 16;

    /// A new id for a record issued at `unix_ms`; `random` comes from a cryptographic source.
    #[must_use]
    pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
    }

    /// The binary form, which entries carry.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        self.0.as_bytes()
    }
}

impl TryFrom<[u8; RecordId::BYTES]> for RecordId {
    type Error = InvalidRecordId;

    fn try_from(bytes: [u8; Self::BYTES]) -> Result<Self, InvalidRecordId> {
        let uuid = Uuid::from_bytes(bytes);
        match (uuid.get_version_num(), uuid.get_variant()) {
            (7, uuid::Variant::RFC4122) => Ok(Self(uuid)),
            _ => Err(InvalidRecordId::Version(uuid)),
        }
    }
}

impl FromStr for RecordId {
    type Err = InvalidRecordId;

    fn from_str(text: &str) -> Result<Self, InvalidRecordId> {
        // Hyphenated form only: one id has one spelling, so scripts may compare texts.
        let uuid = match text.len() {
            36 => Uuid::try_parse(text).map_err(|_| InvalidRecordId::Form(text.to_owned()))?,
            _ => return Err(InvalidRecordId::Form(text.chars().take(60).collect())),
        };
        Self::try_from(uuid.into_bytes())
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordId({self})")
    }
}

serde_as_text!(RecordId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_round_trip() {
        let id = RecordId::new(1_795_000_000_000, [0xff; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(RecordId::try_from(*id.as_bytes()), Ok(id));
        assert_eq!(
            serde_json::from_str::<RecordId>(&serde_json::to_string(&id).unwrap()).unwrap(),
            id
        );
    }

    #[test]
    fn sorts_by_time_of_issue() {
        assert!(RecordId::new(1, [0xff; 10]) < RecordId::new(2, [0; 10]));
    }

    #[test]
    fn other_uuids_are_refused() {
        let v4 = "936da01f-9abd-4d9d-80c7-02af85c822a8";
        assert!(matches!(v4.parse::<RecordId>(), Err(InvalidRecordId::Version(_))));
        assert!(matches!(RecordId::try_from([0; 16]), Err(InvalidRecordId::Version(_))));
        for text in [
            "",
            "x",
            "019ab0c46f007c3e9d2a5b1e8f7a6c01",
            "{019ab0c4-6f00-7c3e-9d2a-5b1e8f7a6c01}",
        ] {
            assert!(
                matches!(text.parse::<RecordId>(), Err(InvalidRecordId::Form(_))),
                "{text}"
            );
        }
    }
}
