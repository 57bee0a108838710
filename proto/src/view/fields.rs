//! A walk over a section's bytes that refuses what its message type has no place for.
//!
//! Protocol Buffers carry fields that the reader does not know along in silence, and a section's hash covers them, so
//! nobody on the way can cut them off. A field of a newer version, or one that somebody smuggled in, would thus travel in
//! the open section to where nobody can judge it. What goes upstream is therefore walked over first: every field is one
//! of ours, of the right wire type, and none that stands once stands twice.

use thiserror::Error;

use crate::section::SectionKind;

include!(concat!(env!("OUT_DIR"), "/messages.rs"));

/// A field of a message type; its number is its place in the type's list.
#[derive(Clone, Copy)]
struct Field {
    repeated: bool,
    content: Content,
}

/// What follows a field's tag.
#[derive(Clone, Copy)]
enum Content {
    Varint,
    Bytes,
    /// A message: its place in `MESSAGES`.
    Message(u8),
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
    walk(section.number() - 1, bytes).map_err(|flaw| match flaw {
        Flaw::Unknown(number) => ForeignField::Unknown { section, number },
        Flaw::Repeated(number) => ForeignField::Repeated { section, number },
        Flaw::Malformed => ForeignField::Malformed(section),
    })
}

/// A [`ForeignField`] of a section that the caller knows.
enum Flaw {
    Unknown(u32),
    Repeated(u32),
    Malformed,
}

/// Recursion ends: the types of the table do not contain themselves (a test).
fn walk(message: u8, mut bytes: &[u8]) -> Result<(), Flaw> {
    let steps = STEPS.get(usize::from(message)).ok_or(Flaw::Malformed)?;
    // The numbers seen so far of those that may stand once.
    let mut seen = 0_u64;
    while !bytes.is_empty() {
        let tag = varint(&mut bytes).ok_or(Flaw::Malformed)?;
        // A tag of no field has no step either.
        let step = usize::try_from(tag).ok().and_then(|tag| steps.get(tag));
        let step = step.copied().unwrap_or(Step::FOREIGN);
        let bit = u64::from(!step.is_repeated()) << (tag >> 3 & 63);
        if step == Step::FOREIGN || seen & bit != 0 {
            return Err(flaw(message, tag));
        }
        seen |= bit;
        // After the tag a number, or a length with so many bytes.
        let value = varint(&mut bytes).ok_or(Flaw::Malformed)?;
        if step == Step::NUMBER || step == Step::NUMBER.repeated() {
            continue;
        }
        let len = usize::try_from(value).map_err(|_| Flaw::Malformed)?;
        let (inner, rest) = bytes.split_at_checked(len).ok_or(Flaw::Malformed)?;
        bytes = rest;
        if let Some(message) = step.message() {
            walk(message, inner)?;
        }
    }
    Ok(())
}

/// What is wrong with a field that may not stand where it does.
#[cold]
fn flaw(message: u8, tag: u64) -> Flaw {
    let fields = MESSAGES.get(usize::from(message)).copied().unwrap_or_default();
    let (Ok(number), wire) = (u32::try_from(tag >> 3), tag & 7) else {
        return Flaw::Malformed;
    };
    match fields.get(number as usize) {
        Some(Some(field)) if field.content.wire() == wire => Flaw::Repeated(number),
        Some(Some(_)) => Flaw::Malformed,
        Some(None) | None => Flaw::Unknown(number),
    }
}

/// What to do about a tag, in one byte: a walk takes one look at a table for each field.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Step(u8);

impl Step {
    const FOREIGN: Self = Self(0);
    const NUMBER: Self = Self(1);
    const BYTES: Self = Self(2);
    /// Of the first message; the others follow.
    const MESSAGE: u8 = 3;
    const REPEATED: u8 = 0x80;

    const fn of(field: Field) -> Self {
        let step = match field.content {
            Content::Varint => Self::NUMBER,
            Content::Bytes => Self::BYTES,
            Content::Message(message) => Self(Self::MESSAGE + message),
        };
        if field.repeated { step.repeated() } else { step }
    }

    const fn repeated(self) -> Self {
        Self(self.0 | Self::REPEATED)
    }

    const fn is_repeated(self) -> bool {
        self.0 & Self::REPEATED != 0
    }

    const fn message(self) -> Option<u8> {
        (self.0 & !Self::REPEATED).checked_sub(Self::MESSAGE)
    }
}

impl Content {
    /// The wire type: the lowest three bits of a tag.
    const fn wire(self) -> u64 {
        match self {
            Self::Varint => 0,
            Self::Bytes | Self::Message(_) => 2,
        }
    }
}

/// Tags of the fields 0 to 63: the build sees to it that there are no others.
const TAGS: usize = 64 << 3;

/// For each message of `MESSAGES`, by tag.
static STEPS: [[Step; TAGS]; MESSAGES.len()] = steps();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would say so")]
const fn steps() -> [[Step; TAGS]; MESSAGES.len()] {
    let mut steps = [[Step::FOREIGN; TAGS]; MESSAGES.len()];
    let mut message = 0;
    while message < MESSAGES.len() {
        let mut number = 0;
        while number < MESSAGES[message].len() {
            if let Some(field) = MESSAGES[message][number] {
                steps[message][number << 3 | field.content.wire() as usize] = Step::of(field);
            }
            number += 1;
        }
        message += 1;
    }
    steps
}

/// The next varint; None if there is none.
#[inline]
pub(crate) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    // Nearly all tags and lengths have one byte, and nearly all others two.
    let (value, rest) = match *bytes {
        [low @ 0..0x80, rest @ ..] => (u64::from(*low), rest),
        [low, high @ 0..0x80, rest @ ..] => (u64::from(*low & 0x7f) | u64::from(*high) << 7, rest),
        _ => return long_varint(bytes),
    };
    *bytes = rest;
    Some(value)
}

#[cold]
fn long_varint(bytes: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(bytes).ok()
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::record::tests::complete;

    fn contains_itself(message: u8, above: &[u8]) -> bool {
        above.contains(&message)
            || MESSAGES[usize::from(message)].iter().flatten().any(|field| {
                matches!(field.content, Content::Message(inner) if contains_itself(inner, &[above, &[message]].concat()))
            })
    }

    #[test]
    fn no_message_contains_itself_and_numbers_are_small() {
        for (message, fields) in (0..).zip(MESSAGES) {
            assert!(!contains_itself(message, &[]));
            assert!(fields.len() <= 64);
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
