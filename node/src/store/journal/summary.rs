//! The summary of a sealed segment: all that the catalog needs to know of it.
//!
//! ```text
//! segment u32 | chain u32 | segment's length u64 | number after the last key of its views u64
//! logs u16  | each: len u8 | origin | chunks from u64, end u64 | overlays from u64, end u64
//!             | widths 24 | chunk rows u64 | overlay rows u64
//! lists u16 | each: len u8 | name | notes u64
//! ```

use std::ops::Range;

use icomm_proto::Origin;

use super::frame::Fields;
use crate::store::{NoteLog, Widths};

/// What a sealed segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) segment: u32,
    /// The chain value after its last batch.
    pub(crate) chain: u32,
    /// Its length.
    pub(crate) bytes: u64,
    /// The number after the last key of its views.
    pub(crate) keys_end: u64,
    pub(crate) logs: Vec<LogSummary>,
    /// How many notes of each list.
    pub(crate) lists: Vec<(NoteLog, u64)>,
}

/// What it holds of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogSummary {
    pub(crate) origin: Origin,
    /// Entries; empty if it has overlays only.
    pub(crate) chunks: Range<u64>,
    /// From the first entry to the last that its overlays touch.
    pub(crate) overlays: Range<u64>,
    /// What it adds to the log's.
    pub(crate) widths: Widths,
    /// How many chunks.
    pub(crate) chunk_rows: u64,
    /// How many overlays.
    pub(crate) overlay_rows: u64,
}

impl Summary {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self {
            segment,
            chain,
            bytes: length,
            keys_end,
            logs,
            lists,
        } = self;
        let mut bytes = Vec::with_capacity(32 + 128 * logs.len() + 32 * lists.len());
        bytes.extend_from_slice(&segment.to_be_bytes());
        bytes.extend_from_slice(&chain.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&keys_end.to_be_bytes());
        // A segment ends before it has more logs than that, and there are few lists.
        bytes.extend_from_slice(&u16::try_from(logs.len()).unwrap_or(u16::MAX).to_be_bytes());
        for log in logs {
            log.write(&mut bytes);
        }
        bytes.extend_from_slice(&u16::try_from(lists.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (list, notes) in lists {
            write_name(list.as_str(), &mut bytes);
            bytes.extend_from_slice(&notes.to_be_bytes());
        }
        bytes
    }

    /// Reads it off the front of bytes.
    pub(crate) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (segment, chain, bytes) = (fields.u32()?, fields.u32()?, fields.u64()?);
        let keys_end = fields.u64()?;
        let logs = (0..fields.u16()?)
            .map(|_| LogSummary::read(fields))
            .collect::<Option<_>>()?;
        let list = |fields: &mut Fields<'_>| Some((NoteLog::new(name(fields)?).ok()?, fields.u64()?));
        let lists = (0..fields.u16()?).map(|_| list(fields)).collect::<Option<_>>()?;
        Some(Self {
            segment,
            chain,
            bytes,
            keys_end,
            logs,
            lists,
        })
    }
}

impl LogSummary {
    fn write(&self, bytes: &mut Vec<u8>) {
        let Self {
            origin,
            chunks,
            overlays,
            widths,
            chunk_rows,
            overlay_rows,
        } = self;
        write_name(&origin.to_string(), bytes);
        for number in [chunks.start, chunks.end, overlays.start, overlays.end] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        widths.write(bytes);
        bytes.extend_from_slice(&chunk_rows.to_be_bytes());
        bytes.extend_from_slice(&overlay_rows.to_be_bytes());
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            origin: name(fields)?.parse().ok()?,
            chunks: fields.u64()?..fields.u64()?,
            overlays: fields.u64()?..fields.u64()?,
            widths: Widths::from_bytes(fields.take()?),
            chunk_rows: fields.u64()?,
            overlay_rows: fields.u64()?,
        })
    }
}

/// Names of logs and lists are shorter than 256 bytes.
fn write_name(name: &str, bytes: &mut Vec<u8>) {
    bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(name.as_bytes());
}

fn name<'a>(fields: &mut Fields<'a>) -> Option<&'a str> {
    let len = fields.u8()?;
    str::from_utf8(fields.bytes(usize::from(len))?).ok()
}

#[cfg(test)]
mod tests {
    use super::{Fields, LogSummary, Summary, Widths};
    use crate::store::NoteLog;

    #[test]
    fn a_summary_round_trips_and_no_beginning_of_it_is_one() {
        let summary = Summary {
            segment: 3,
            chain: 4,
            bytes: 64 << 20,
            keys_end: 901,
            logs: vec![LogSummary {
                origin: "KE/main".parse().unwrap(),
                chunks: 5..900,
                overlays: 1..7,
                widths: Widths {
                    disclosed: 10,
                    denominalised: 890,
                    withheld: -5,
                },
                chunk_rows: 2,
                overlay_rows: 1,
            }],
            lists: vec![(NoteLog::disclosures(), 12)],
        };
        let bytes = summary.encode();
        assert_eq!(Summary::read(&mut Fields(&bytes)), Some(summary));
        for len in 0..bytes.len() {
            assert_eq!(Summary::read(&mut Fields(&bytes[..len])), None);
        }
    }
}
