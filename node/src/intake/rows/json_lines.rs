//! JSON Lines: one flat object a line. Text, numbers, true, false and null; a list of those is one cell, joined by `; `.
//!
//! Lines may have different keys: a header is made for each set of keys and kept while it repeats. Nested objects are
//! refused, as is a key that appears twice (parsers disagree on which of the two counts).

use std::fmt;
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;

use encoding_rs::Encoding;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::csv::{Line, Lines};
use super::fault::excerpt;
use super::text::Utf8Reader;
use super::{BrokenRow, CELL_BYTES_MAX, COLUMNS_MAX, Fault, FaultKind, FileError, Header, ROW_BYTES_MAX, Reading, Row};

/// Reads all rows of a JSON Lines stream.
pub(super) fn read<R: Read>(
    input: R,
    encoding: Option<&'static Encoding>,
    each: &mut dyn FnMut(Reading<'_>) -> ControlFlow<()>,
) -> Result<(), FileError> {
    let mut lines = Lines::new(Utf8Reader::new(input, encoding)?);
    let mut header: Option<Arc<Header>> = None;
    let mut line = Line::default();
    while lines.next(&mut line)? {
        if line.is_blank() {
            continue;
        }
        let reading = if line.oversize {
            Err(Fault::of_row(
                FaultKind::TooLarge,
                format!("the line is longer than {ROW_BYTES_MAX} bytes"),
            ))
        } else {
            object(&line.bytes, &mut header)
        };
        let reading = reading
            .map(|(header, cells)| Row::new(line.number, header, &cells))
            .map_err(|fault| BrokenRow::new(line.number, fault));
        if matches!(&reading, Ok(row) if row.is_blank()) {
            continue;
        }
        if each(reading.as_ref().map_err(Clone::clone)).is_break() {
            break;
        }
    }
    Ok(())
}

fn object(line: &[u8], known: &mut Option<Arc<Header>>) -> Result<(Arc<Header>, Vec<String>), Fault> {
    let text = str::from_utf8(line)
        .map_err(|_| Fault::of_row(FaultKind::Encoding, "the line is not UTF-8, as JSON must be"))?;
    let object: Object = serde_json::from_str(text)
        .map_err(|error| Fault::of_row(FaultKind::Json, format!("the line is no flat JSON object: {error}")))?;
    if let Some((column, text)) = object.0.iter().find(|(_, text)| text.len() > CELL_BYTES_MAX) {
        let reason = format!("the text is longer than {CELL_BYTES_MAX} bytes");
        return Err(Fault::of_cell(FaultKind::TooLarge, column, text, reason));
    }
    if let Some((column, text)) = object.0.iter().find(|(_, text)| text.contains('\0')) {
        return Err(Fault::of_cell(
            FaultKind::Encoding,
            column,
            text,
            "the text holds a NUL character",
        ));
    }
    let (names, cells): (Vec<String>, Vec<String>) = object.0.into_iter().unzip();
    let header = match known.take() {
        Some(header) if header.names().eq(names.iter().map(String::as_str)) => header,
        _ => Arc::new(
            Header::new(names.iter().map(String::as_str))
                .map_err(|error| Fault::of_row(FaultKind::Json, error.to_string()))?,
        ),
    };
    *known = Some(Arc::clone(&header));
    Ok((header, cells))
}

/// Keys and texts in the order of the line.
struct Object(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of plain values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut cells = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if cells.len() == COLUMNS_MAX {
                        return Err(de::Error::custom(format_args!("more than {COLUMNS_MAX} keys")));
                    }
                    let Scalar(text) = map
                        .next_value()
                        .map_err(|error| de::Error::custom(format_args!("key `{}`: {error}", excerpt(&key))))?;
                    cells.push((key, text));
                }
                Ok(Object(cells))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// A plain value or a list of them, as text.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Plain;
        impl<'de> Visitor<'de> for Plain {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true, false, null or a list of those")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
                Ok(Scalar(String::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
                let mut joined = String::new();
                while let Some(Scalar(text)) = list.next_element()? {
                    if text.is_empty() {
                        continue;
                    }
                    if !joined.is_empty() {
                        joined.push_str("; ");
                    }
                    joined.push_str(&text);
                }
                Ok(Scalar(joined))
            }
        }
        deserializer.deserialize_any(Plain)
    }
}
