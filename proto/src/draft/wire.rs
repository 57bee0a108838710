//! The protobuf encoding of what borrowing messages are made of: byte for byte what prost writes, and all that it reads.

use std::borrow::Cow;

use bytes::Bytes;
use prost::encoding::{DecodeContext, WireType, encoded_len_varint, skip_field};

use super::{InvalidDraft, Text};
use crate::view::varint;

const VARINT: u8 = 0;
const LENGTH_DELIMITED: u8 = 2;

/// A message that can be read; its fields are known to the macro that declares it.
pub(super) trait Message<'a>: Encode + Default {
    /// Reads the field that a tag announced.
    fn read_field(&mut self, number: u32, wire: u8, bytes: &mut &'a [u8]) -> Result<(), InvalidDraft>;
}

/// A message that can be written.
pub(crate) trait Encode {
    /// Appends the encoded fields, without a length before them.
    fn write_fields(&self, out: &mut Vec<u8>);

    /// How many bytes [`Encode::write_fields`] appends.
    fn encoded_len(&self) -> usize;
}

/// A field of a message. One that holds nothing is not written, as everywhere in proto3.
pub(super) trait Field<'a> {
    fn read(&mut self, wire: u8, bytes: &mut &'a [u8]) -> Result<(), InvalidDraft>;
    fn write(&self, number: u32, out: &mut Vec<u8>);
    fn encoded_len(&self, number: u32) -> usize;
}

/// Borrows from the generated, owning form.
pub(super) trait Of<'a, O> {
    fn of(owned: &'a O) -> Self;
}

/// Becomes the generated, owning form.
pub(super) trait Own<O> {
    fn own(self) -> O;
}

/// Reads fields into a message until the bytes end.
pub(super) fn merge<'a, M: Message<'a>>(message: &mut M, mut bytes: &'a [u8]) -> Result<(), InvalidDraft> {
    while !bytes.is_empty() {
        let tag = varint(&mut bytes).and_then(|tag| u32::try_from(tag).ok());
        let tag = tag.filter(|tag| tag >> 3 != 0).ok_or(InvalidDraft)?;
        message.read_field(tag >> 3, (tag & 7) as u8, &mut bytes)?;
    }
    Ok(())
}

/// Passes over a field.
pub(super) fn skip(number: u32, wire: u8, bytes: &mut &[u8]) -> Result<(), InvalidDraft> {
    let wire = WireType::try_from(u64::from(wire)).map_err(|_| InvalidDraft)?;
    skip_field(wire, number, bytes, DecodeContext::default()).map_err(|_| InvalidDraft)
}

/// The content of a length-delimited field.
fn content<'a>(wire: u8, bytes: &mut &'a [u8]) -> Result<&'a [u8], InvalidDraft> {
    if wire != LENGTH_DELIMITED {
        return Err(InvalidDraft);
    }
    let len = varint(bytes).and_then(|len| usize::try_from(len).ok());
    let (content, rest) = len.and_then(|len| bytes.split_at_checked(len)).ok_or(InvalidDraft)?;
    *bytes = rest;
    Ok(content)
}

fn text<'a>(wire: u8, bytes: &mut &'a [u8]) -> Result<Text<'a>, InvalidDraft> {
    let content = content(wire, bytes)?;
    str::from_utf8(content).map(Cow::Borrowed).map_err(|_| InvalidDraft)
}

/// Appends a varint.
#[inline]
fn write_varint(value: u64, out: &mut Vec<u8>) {
    match u8::try_from(value) {
        // Nearly all tags and lengths have one byte.
        Ok(byte @ 0..0x80) => out.push(byte),
        _ => prost::encoding::encode_varint(value, out),
    }
}

#[inline]
fn write_tag(number: u32, wire: u8, out: &mut Vec<u8>) {
    write_varint(u64::from(number << 3 | u32::from(wire)), out);
}

fn write_content(number: u32, content: &[u8], out: &mut Vec<u8>) {
    // Tag and length in one step where each has one byte.
    match (
        u8::try_from(number << 3 | u32::from(LENGTH_DELIMITED)),
        u8::try_from(content.len()),
    ) {
        (Ok(tag @ 0..0x80), Ok(len @ 0..0x80)) => out.extend_from_slice(&[tag, len]),
        _ => {
            write_tag(number, LENGTH_DELIMITED, out);
            write_varint(content.len() as u64, out);
        }
    }
    out.extend_from_slice(content);
}

fn write_message(number: u32, message: &impl Encode, out: &mut Vec<u8>) {
    write_tag(number, LENGTH_DELIMITED, out);
    // The length stands before the content, but is known after it. Nearly all messages are short enough for the one byte
    // that is kept free; a longer one is moved.
    let place = out.len();
    out.push(0);
    message.write_fields(out);
    let len = out.len() - place - 1;
    if let (Ok(len @ 0..0x80), Some(byte)) = (u8::try_from(len), out.get_mut(place)) {
        *byte = len;
    } else {
        let mut varint = Vec::with_capacity(5);
        write_varint(len as u64, &mut varint);
        out.splice(place..=place, varint);
    }
}

/// Tag, length and content.
fn content_len(number: u32, content: usize) -> usize {
    encoded_len_varint(u64::from(number << 3)) + encoded_len_varint(content as u64) + content
}

impl<'a> Field<'a> for Text<'a> {
    fn read(&mut self, wire: u8, bytes: &mut &'a [u8]) -> Result<(), InvalidDraft> {
        *self = text(wire, bytes)?;
        Ok(())
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        if !self.is_empty() {
            write_content(number, self.as_bytes(), out);
        }
    }

    fn encoded_len(&self, number: u32) -> usize {
        match self.len() {
            0 => 0,
            len => content_len(number, len),
        }
    }
}

impl<'a> Field<'a> for Vec<Text<'a>> {
    fn read(&mut self, wire: u8, bytes: &mut &'a [u8]) -> Result<(), InvalidDraft> {
        self.push(text(wire, bytes)?);
        Ok(())
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        for text in self {
            write_content(number, text.as_bytes(), out);
        }
    }

    fn encoded_len(&self, number: u32) -> usize {
        self.iter().map(|text| content_len(number, text.len())).sum()
    }
}

impl<'a> Field<'a> for Cow<'a, [u8]> {
    fn read(&mut self, wire: u8, bytes: &mut &'a [u8]) -> Result<(), InvalidDraft> {
        *self = Cow::Borrowed(content(wire, bytes)?);
        Ok(())
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        if !self.is_empty() {
            write_content(number, self, out);
        }
    }

    fn encoded_len(&self, number: u32) -> usize {
        match self.len() {
            0 => 0,
            len => content_len(number, len),
        }
    }
}

impl<'a, M: Message<'a>> Field<'a> for Option<M> {
    fn read(&mut self, wire: u8, bytes: &mut &'a [u8]) -> Result<(), InvalidDraft> {
        // A message that stands twice is merged: that is protobuf's rule.
        merge(self.get_or_insert_default(), content(wire, bytes)?)
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        if let Some(message) = self {
            write_message(number, message, out);
        }
    }

    fn encoded_len(&self, number: u32) -> usize {
        self.as_ref()
            .map_or(0, |message| content_len(number, message.encoded_len()))
    }
}

impl<'a, M: Message<'a>> Field<'a> for Vec<M> {
    fn read(&mut self, wire: u8, bytes: &mut &'a [u8]) -> Result<(), InvalidDraft> {
        let mut message = M::default();
        merge(&mut message, content(wire, bytes)?)?;
        self.push(message);
        Ok(())
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        for message in self {
            write_message(number, message, out);
        }
    }

    fn encoded_len(&self, number: u32) -> usize {
        self.iter()
            .map(|message| content_len(number, message.encoded_len()))
            .sum()
    }
}

/// Numbers: how a varint becomes one, and one a varint.
macro_rules! varints {
    ($($number:ty: $varint:ident => $read:expr, $value:ident => $write:expr;)*) => {$(
        impl<'a> Field<'a> for $number {
            fn read(&mut self, wire: u8, bytes: &mut &'a [u8]) -> Result<(), InvalidDraft> {
                if wire != VARINT {
                    return Err(InvalidDraft);
                }
                let $varint = varint(bytes).ok_or(InvalidDraft)?;
                *self = $read;
                Ok(())
            }

            fn write(&self, number: u32, out: &mut Vec<u8>) {
                let $value = *self;
                if $value != Self::default() {
                    write_tag(number, VARINT, out);
                    write_varint($write, out);
                }
            }

            fn encoded_len(&self, number: u32) -> usize {
                let $value = *self;
                if $value == Self::default() {
                    return 0;
                }
                encoded_len_varint(u64::from(number << 3)) + encoded_len_varint($write)
            }
        }

        impl<'a> Of<'a, $number> for $number {
            fn of(owned: &'a $number) -> Self {
                *owned
            }
        }

        impl Own<$number> for $number {
            fn own(self) -> $number {
                self
            }
        }
    )*};
}

// What is too long for its type is cut, as protobuf says.
varints! {
    bool: varint => varint != 0, value => u64::from(value);
    i32: varint => varint as i32, value => value as u64;
    u32: varint => varint as u32, value => u64::from(value);
    u64: varint => varint, value => value;
}

impl<'a> Of<'a, String> for Text<'a> {
    fn of(owned: &'a String) -> Self {
        Cow::Borrowed(owned)
    }
}

impl<'a> Of<'a, Bytes> for Cow<'a, [u8]> {
    fn of(owned: &'a Bytes) -> Self {
        Cow::Borrowed(owned)
    }
}

impl<'a, T: Of<'a, O>, O> Of<'a, Vec<O>> for Vec<T> {
    fn of(owned: &'a Vec<O>) -> Self {
        owned.iter().map(T::of).collect()
    }
}

impl<'a, T: Of<'a, O>, O> Of<'a, Option<O>> for Option<T> {
    fn of(owned: &'a Option<O>) -> Self {
        owned.as_ref().map(T::of)
    }
}

impl Own<String> for Text<'_> {
    fn own(self) -> String {
        self.into_owned()
    }
}

impl Own<Bytes> for Cow<'_, [u8]> {
    fn own(self) -> Bytes {
        self.into_owned().into()
    }
}

impl<T: Own<O>, O> Own<Vec<O>> for Vec<T> {
    fn own(self) -> Vec<O> {
        self.into_iter().map(T::own).collect()
    }
}

impl<T: Own<O>, O> Own<Option<O>> for Option<T> {
    fn own(self) -> Option<O> {
        self.map(T::own)
    }
}
