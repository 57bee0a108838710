//! How large a delivered row is, told of everybody alike: as it is kept, and the texts in it alone.
//!
//! The rows are the same, but what carries them is not: icomm keeps an entry with the hashes of all sections beside the open
//! one, PostgreSQL a row with a header and a word for each column. That both carry the same content shows in the texts.

use icomm_proto::SectionSet;
use serde_json::Value;

use super::{rows::Rows, sealed, series::Sample};

/// So many rows at the beginning of a file stand for all of them.
pub const SAMPLE_ROWS: u64 = 5_000;

/// The figure of a delivered row as it is kept.
pub const BYTES: &str = "delivered_bytes_per_record";

/// The figure of its texts.
const TEXT_BYTES: &str = "delivered_text_bytes_per_record";

/// Bytes of a delivered row, on average.
#[derive(Debug, Clone, Copy)]
pub struct Delivered {
    /// As it is kept.
    pub bytes: f64,
    /// Of the texts in it: codes, countries, numbers as they are written.
    pub text_bytes: f64,
}

impl Delivered {
    /// What icomm delivers: views of the open section.
    ///
    /// # Errors
    /// The file can't be read, or holds a row that is no valid record.
    pub fn by_icomm(rows: &Rows) -> anyhow::Result<Self> {
        let (mut views, mut bytes, mut text_bytes) = (0u32, 0, 0);
        sealed::first(rows, SAMPLE_ROWS, |view| {
            if sealed::covered(&view)? {
                views += 1;
                bytes += view.redact(SectionSet::open()).bytes().len();
                each_text(&serde_json::to_value(view.decode()?.case)?, &mut |text| {
                    text_bytes += text.len()
                });
            }
            Ok(())
        })?;
        anyhow::ensure!(views > 0, "none of the first {SAMPLE_ROWS} rows is covered");
        let each = |bytes: usize| bytes as f64 / f64::from(views);
        Ok(Self {
            bytes: each(bytes),
            text_bytes: each(text_bytes),
        })
    }

    /// A sample with these figures.
    #[must_use]
    pub fn beside(self, sample: Sample) -> Sample {
        sample.with(BYTES, self.bytes).with(TEXT_BYTES, self.text_bytes)
    }
}

/// Hands out every text that stands in a section, numbers as they are written; what is not set is not there.
pub fn each_text(section: &Value, take: &mut dyn FnMut(&str)) {
    match section {
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => take(&section.to_string()),
        Value::String(text) => take(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, take)),
        Value::Object(fields) => fields.values().for_each(|field| each_text(field, take)),
    }
}
