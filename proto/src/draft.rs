//! Drafts that borrow: the messages of `record.proto` over the bytes, or the row of a file, that they are read from.
//!
//! The types of [`v1`] own every text. In a bulk import, making and freeing those was more work than every check of a record
//! together. The types here have the same fields and the same encoding, but a text is a slice of what was read until a
//! rule changes it. They are generated from the .proto files, and so is the way from [`v1`] to them and back.
//!
//! ```
//! use icomm_proto::draft::Draft;
//! use icomm_proto::v1;
//!
//! let owned = v1::Draft { kind: 1, narrative: Some(v1::Narrative::default()), ..Default::default() };
//! let bytes = Draft::from(&owned).to_bytes();
//! assert_eq!(Draft::parse(&bytes).unwrap(), Draft::from(&owned));
//! ```

use std::borrow::Cow;

use thiserror::Error;

use crate::v1;

mod wire;

pub(crate) use wire::Encode;
use wire::{Field, Message, Of, Own, merge, skip};

/// A text: a slice of what was read, or owned where a rule changed it.
pub type Text<'a> = Cow<'a, str>;

/// Bytes that are no draft: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the bytes are no encoded draft")]
pub struct InvalidDraft;

/// Declares the messages, each field with its number on the wire.
macro_rules! messages {
    ($($name:ident { $($number:literal $field:ident: $kind:ty,)* })*) => {$(
        #[doc = concat!("`icomm.v1.", stringify!($name), "`, borrowing.")]
        #[derive(Clone, Debug, Default, PartialEq)]
        #[allow(missing_docs, reason = "the fields are told of in record.proto")]
        pub struct $name<'a> {
            $(pub $field: $kind,)*
        }

        impl<'a> Message<'a> for $name<'a> {
            fn read_field(&mut self, number: u32, wire: u8, bytes: &mut &'a [u8]) -> Result<(), InvalidDraft> {
                match number {
                    $($number => Field::read(&mut self.$field, wire, bytes),)*
                    // As every decoder does: a newer client's field is left out, not refused.
                    _ => skip(number, wire, bytes),
                }
            }
        }

        impl Encode for $name<'_> {
            fn write_fields(&self, out: &mut Vec<u8>) {
                $(Field::write(&self.$field, $number, out);)*
            }

            fn encoded_len(&self) -> usize {
                0 $(+ Field::encoded_len(&self.$field, $number))*
            }
        }

        impl<'a> Of<'a, v1::$name> for $name<'a> {
            fn of(owned: &'a v1::$name) -> Self {
                let v1::$name { $($field,)* } = owned;
                Self { $($field: Of::of($field),)* }
            }
        }

        impl<'a> From<&'a v1::$name> for $name<'a> {
            fn from(owned: &'a v1::$name) -> Self {
                Of::of(owned)
            }
        }

        impl Own<v1::$name> for $name<'_> {
            fn own(self) -> v1::$name {
                let Self { $($field,)* } = self;
                v1::$name { $($field: Own::own($field),)* }
            }
        }

        impl From<$name<'_>> for v1::$name {
            fn from(borrowed: $name<'_>) -> Self {
                borrowed.own()
            }
        }
    )*};
}

include!(concat!(env!("OUT_DIR"), "/drafts.rs"));

impl<'a> Draft<'a> {
    /// Reads an encoded `icomm.v1.Draft`; texts are slices of `bytes`. Fields that this version does not know are left out.
    ///
    /// # Errors
    /// The bytes are no such message, or a text in it is not UTF-8.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InvalidDraft> {
        let mut draft = Self::default();
        merge(&mut draft, bytes)?;
        Ok(draft)
    }

    /// Appends the encoded message to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_fields(out);
    }

    /// The encoded message.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        self.write(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests;
