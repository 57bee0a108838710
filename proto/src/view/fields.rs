//! A walk over a section's bytes that refuses what its message type has no place for.
//!
//! Protocol Buffers carry fields that the reader does not know along in silence, and a section's hash covers them, so
//! nobody on the way can cut them off. A field of a newer version, or one that somebody smuggled in, would thus travel in
//! the open section to where nobody can judge it. What goes upstream is therefore walked over first: every field is one
//! of ours, of the right wire type, and none that stands once stands twice.

use thiserror::Error;

use crate::section::SectionKind;

include!(concat!(env!("OUT_DIR"), "/messages.rs"));

/// A field of a message type.
struct Field {
    number: u32,
    repeated: bool,
    content: Content,
}

/// What follows a field's tag.
#[derive(Clone, Copy)]
enum Content {
    Varint,
    Bytes,
    /// A message: its place in `MESSAGES`.
    Message(usize),
}

/// A section that holds something its message type has no place for: its originator's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ForeignField {
    /// A field that this version does not know.
    #[error("section `{section}` holds field {number}, which this version does not know")]
    Unknown {
        /// The section.
        section: SectionKind,
        /// The field's number in its message.
        number: u32,
    },
    /// A field that may stand once, twice.
    #[error("section `{section}` holds field {number} twice")]
    Repeated {
        /// The section.
        section: SectionKind,
        /// The field's number in its message.
        number: u32,
    },
    /// Bytes that are no fields.
    #[error("section `{0}` is no valid message")]
    Malformed(SectionKind),
}

/// Walks over the bytes of a section. Allocates nothing.
pub(crate) fn check_fields(section: SectionKind, bytes: &[u8]) -> Result<(), ForeignField> {
    // The sections' own messages come first in the table, in the order of their numbers.
    let message = usize::from(section.number()) - 1;
    walk(section, message, bytes).ok_or(ForeignField::Malformed(section))?
}

/// None if the bytes are no fields. Recursion ends: the types of the table do not contain themselves (a test).
fn walk(section: SectionKind, message: usize, mut bytes: &[u8]) -> Option<Result<(), ForeignField>> {
    let fields = MESSAGES.get(message)?;
    // Field numbers up to 63 seen so far; a message has fewer.
    let mut seen = 0_u64;
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = u32::try_from(tag >> 3).ok()?;
        let Some(field) = fields.iter().find(|field| field.number == number) else {
            return Some(Err(ForeignField::Unknown { section, number }));
        };
        let bit = 1_u64.checked_shl(number)?;
        if !field.repeated && seen & bit != 0 {
            return Some(Err(ForeignField::Repeated { section, number }));
        }
        seen |= bit;
        match (field.content, tag & 7) {
            (Content::Varint, 0) => {
                varint(&mut bytes)?;
            }
            (content @ (Content::Bytes | Content::Message(_)), 2) => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                let (inner, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                if let Content::Message(message) = content
                    && let Err(foreign) = walk(section, message, inner)?
                {
                    return Some(Err(foreign));
                }
            }
            _ => return None,
        }
    }
    Some(Ok(()))
}

/// The next varint; None if there is none.
pub(crate) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    // Nearly all tags and lengths have one byte.
    if let [byte @ 0..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Some(u64::from(*byte));
    }
    prost::encoding::decode_varint(bytes).ok()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::record::tests::complete;

    fn contains_itself(message: usize, above: &[usize]) -> bool {
        above.contains(&message)
            || MESSAGES[message].iter().any(|field| {
                matches!(field.content, Content::Message(inner) if contains_itself(inner, &[above, &[message]].concat()))
            })
    }

    #[test]
    fn no_message_contains_itself_and_numbers_are_small() {
        for (message, fields) in MESSAGES.iter().enumerate() {
            assert!(!contains_itself(message, &[]));
            assert!(fields.iter().all(|field| field.number < 64));
        }
    }

    #[test]
    fn our_own_messages_pass() {
        let draft = complete();
        let check = |section, bytes: Vec<u8>| check_fields(section, &bytes);
        assert_eq!(check(SectionKind::Case, draft.case.unwrap().encode_to_vec()), Ok(()));
        assert_eq!(check(SectionKind::Exact, draft.exact.unwrap().encode_to_vec()), Ok(()));
        assert_eq!(
            check(SectionKind::References, draft.references.unwrap().encode_to_vec()),
            Ok(())
        );
        assert_eq!(
            check(SectionKind::Persons, draft.persons.unwrap().encode_to_vec()),
            Ok(())
        );
        assert_eq!(
            check(SectionKind::Companies, draft.companies.unwrap().encode_to_vec()),
            Ok(())
        );
        assert_eq!(
            check(SectionKind::Narrative, draft.narrative.unwrap().encode_to_vec()),
            Ok(())
        );
        assert_eq!(
            check(SectionKind::Images, draft.images.unwrap().encode_to_vec()),
            Ok(())
        );
    }

    #[test]
    fn foreign_fields_are_refused() {
        let case = complete().case.unwrap().encode_to_vec();
        let with = |more: &[u8]| check_fields(SectionKind::Case, &[&case, more].concat());
        let section = SectionKind::Case;
        // Field 60, a text: `Muster`.
        assert_eq!(
            with(b"\xe2\x03\x06Muster"),
            Err(ForeignField::Unknown { section, number: 60 })
        );
        // Inside `goods`, field 15.
        assert_eq!(
            with(b"\x52\x08\x7a\x06Muster"),
            Err(ForeignField::Unknown { section, number: 15 })
        );
        // A second class, which a decoder would merge with the first.
        assert_eq!(
            with(b"\x0a\x02\x22\x00"),
            Err(ForeignField::Repeated { section, number: 1 })
        );
        // Field 2 as a number; field 2 cut short; a tag cut short; number 2⁴⁰.
        for malformed in [&b"\x1a\x7f"[..], b"\x18\x01", b"\x80", b"\x80\x80\x80\x80\x80\x80\x01"] {
            assert!(with(malformed).is_err(), "{malformed:?}");
        }
        assert!(matches!(with(b"\x80"), Err(ForeignField::Malformed(_))));
    }

    #[test]
    fn cut_at_every_byte_never_panics() {
        let case = complete().case.unwrap().encode_to_vec();
        for len in 0..case.len() {
            let _ = check_fields(SectionKind::Case, &case[..len]);
        }
    }
}
