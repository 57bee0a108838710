//! The parts of a batch: what each kind of item becomes in the journal.
//!
//! ```text
//! kind        meta                                                                                         body
//! 1 chunk     origin len u8 | origin | from u64 | count u32 | widths 24                                    items
//!             | 0 (overlay) or 1 | checkpoint len u32 | checkpoint | frontier len u16 | frontier
//!             | intake keys u32 | that many × (offset u32 | key 16)
//! 2 state     0 (forget) or 1 | key                                                                        value
//! 3 note      name of the list                                                                             note
//! ```
//!
//! A meta is all that opening a store needs; it never reads the body of a sealed segment's chunk.

use bytes::Bytes;
use icomm_proto::{Origin, log::Frontier};

use super::frame::{BATCH_HEAD, Fields, PART_HEAD, PartHead};
use crate::store::{Batch, BatchItem, Boundary, IntakeKey, NoteLog, Placement, StoredChunk, Widths};

const CHUNK: u8 = 1;
const STATE: u8 = 2;
const NOTE: u8 = 3;

/// The meta of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meta {
    Chunk(ChunkMeta),
    State { key: String, present: bool },
    Note(NoteLog),
}

/// The meta of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkMeta {
    pub(crate) origin: Origin,
    pub(crate) from: u64,
    pub(crate) count: u32,
    /// What it adds to the log's.
    pub(crate) widths: Widths,
    /// None: an overlay.
    pub(crate) end: Option<Boundary>,
    pub(crate) intake_keys: Vec<(u32, IntakeKey)>,
}

/// A part's place in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    pub(crate) segment: u32,
    /// Of the part's head.
    pub(crate) offset: u64,
    pub(crate) meta_len: u32,
    pub(crate) body_len: u32,
}

impl Position {
    /// Of the whole part.
    pub(crate) fn len(&self) -> usize {
        PART_HEAD + self.meta_len as usize + self.body_len as usize
    }
}

/// A part as it was written or read.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) at: Position,
    pub(crate) meta: Meta,
    /// None where the body was not read, or is damaged.
    pub(crate) body: Option<Bytes>,
}

/// A body of so many bytes is written from where it lies, not copied to the rest of its batch.
const LONG_BODY_BYTES: usize = 64 << 10;

/// A batch, ready to be written but for its head, whose place is kept at the front of the bytes.
#[derive(Debug)]
pub(crate) struct EncodedBatch {
    /// All of it but the long bodies.
    bytes: Vec<u8>,
    /// The long bodies, each with how many of the other bytes come before it.
    bodies: Vec<(usize, Bytes)>,
    pub(crate) parts_crc: u32,
    /// Positions count from the start of the batch until it has its place.
    pub(crate) parts: Vec<Part>,
}

impl EncodedBatch {
    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.bodies.iter().map(|(_, body)| body.len()).sum::<usize>()
    }

    /// The place of its head.
    pub(crate) fn head_mut(&mut self) -> Option<&mut [u8; BATCH_HEAD]> {
        self.bytes.first_chunk_mut()
    }

    /// All of its bytes, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.bodies.iter().map(|(before, _)| *before));
        let ends = self.bodies.iter().map(|(before, body)| (*before, body.as_ref()));
        let ends = ends.chain(std::iter::once((self.bytes.len(), [].as_slice())));
        starts
            .zip(ends)
            .flat_map(|(start, (end, body))| [self.bytes.get(start..end).unwrap_or_default(), body])
            .filter(|piece| !piece.is_empty())
    }
}

/// Encodes the items of a batch that passed its check.
pub(crate) fn encode(batch: Batch) -> EncodedBatch {
    let mut encoded = EncodedBatch {
        bytes: Vec::with_capacity(BATCH_HEAD + estimate(&batch)),
        bodies: Vec::new(),
        parts_crc: 0,
        parts: Vec::with_capacity(batch.items().len()),
    };
    encoded.bytes.resize(BATCH_HEAD, 0);
    let mut heads = crc32fast::Hasher::new();
    for item in batch.into_items() {
        let (kind, meta, meta_bytes, body) = encode_item(item);
        let head = PartHead::of(kind, &meta_bytes, &body);
        let offset = encoded.len() as u64;
        let head_bytes = head.encode();
        heads.update(&head_bytes);
        encoded.bytes.extend_from_slice(&head_bytes);
        encoded.bytes.extend_from_slice(&meta_bytes);
        match body.len() < LONG_BODY_BYTES {
            true => encoded.bytes.extend_from_slice(&body),
            false => encoded.bodies.push((encoded.bytes.len(), body.clone())),
        }
        let at = Position {
            segment: 0,
            offset,
            meta_len: head.meta_len,
            body_len: head.body_len,
        };
        encoded.parts.push(Part {
            at,
            meta,
            body: Some(body),
        });
    }
    encoded.parts_crc = heads.finalize();
    encoded
}

fn estimate(batch: &Batch) -> usize {
    let copied = |bytes: usize| if bytes < LONG_BODY_BYTES { bytes } else { 0 };
    let item = |item: &BatchItem| match item {
        BatchItem::Chunk(chunk) => 2048 + copied(chunk.body.bytes().len()) + 20 * chunk.intake_keys.len(),
        BatchItem::State { key, value } => 64 + key.len() + copied(value.as_ref().map_or(0, Bytes::len)),
        BatchItem::Note { bytes, .. } => 128 + copied(bytes.len()),
    };
    batch.items().iter().map(item).sum()
}

fn encode_item(item: BatchItem) -> (u8, Meta, Vec<u8>, Bytes) {
    match item {
        BatchItem::Chunk(chunk) => {
            let StoredChunk {
                origin,
                from,
                body,
                placement,
                intake_keys,
            } = chunk;
            let (end, widths) = match placement {
                Placement::Extends { frontier, checkpoint } => {
                    (Some(Boundary { frontier, checkpoint }), Widths::of(&body))
                }
                Placement::Overlays { widens } => (None, widens),
            };
            let meta = ChunkMeta {
                origin,
                from,
                count: body.count(),
                widths,
                end,
                intake_keys,
            };
            let bytes = meta.encode();
            (CHUNK, Meta::Chunk(meta), bytes, body.bytes().clone())
        }
        BatchItem::State { key, value } => {
            let bytes = [&[u8::from(value.is_some())], key.as_bytes()].concat();
            (
                STATE,
                Meta::State {
                    key,
                    present: value.is_some(),
                },
                bytes,
                value.unwrap_or_default(),
            )
        }
        BatchItem::Note { log, bytes } => {
            let name = log.as_str().as_bytes().to_vec();
            (NOTE, Meta::Note(log), name, bytes)
        }
    }
}

impl Meta {
    /// Reads a meta whose crc was right; None only if another program wrote it.
    pub(crate) fn decode(kind: u8, bytes: &[u8]) -> Option<Self> {
        match kind {
            CHUNK => ChunkMeta::decode(bytes).map(Self::Chunk),
            STATE => {
                let (present, key) = bytes.split_first()?;
                Some(Self::State {
                    key: str::from_utf8(key).ok()?.to_owned(),
                    present: *present == 1,
                })
            }
            NOTE => NoteLog::new(str::from_utf8(bytes).ok()?).ok().map(Self::Note),
            _ => None,
        }
    }
}

impl ChunkMeta {
    /// The index after the last entry.
    pub(crate) fn end_index(&self) -> u64 {
        self.from + u64::from(self.count)
    }

    fn encode(&self) -> Vec<u8> {
        let Self {
            origin,
            from,
            count,
            widths,
            end,
            intake_keys,
        } = self;
        let origin = origin.to_string();
        let mut bytes = Vec::with_capacity(1024 + 20 * intake_keys.len());
        // A member's id and a log's name are at most 32 bytes each.
        bytes.push(u8::try_from(origin.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(origin.as_bytes());
        bytes.extend_from_slice(&from.to_be_bytes());
        bytes.extend_from_slice(&count.to_be_bytes());
        widths.write(&mut bytes);
        bytes.push(u8::from(end.is_some()));
        if let Some(Boundary { frontier, checkpoint }) = end {
            let frontier = frontier.to_bytes();
            bytes.extend_from_slice(&u32::try_from(checkpoint.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(checkpoint);
            bytes.extend_from_slice(&u16::try_from(frontier.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend_from_slice(&frontier);
        }
        bytes.extend_from_slice(&u32::try_from(intake_keys.len()).unwrap_or(u32::MAX).to_be_bytes());
        for (offset, key) in intake_keys {
            bytes.extend_from_slice(&offset.to_be_bytes());
            bytes.extend_from_slice(key.as_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let len = fields.u8()?;
        let origin = str::from_utf8(fields.bytes(usize::from(len))?).ok()?.parse().ok()?;
        let (from, count) = (fields.u64()?, fields.u32()?);
        let widths = Widths::from_bytes(fields.take()?);
        let end = match fields.u8()? {
            0 => None,
            _ => {
                let len = fields.u32()? as usize;
                let checkpoint = Bytes::copy_from_slice(fields.bytes(len)?);
                let len = usize::from(fields.u16()?);
                Some(Boundary {
                    frontier: Frontier::from_bytes(fields.bytes(len)?).ok()?,
                    checkpoint,
                })
            }
        };
        let keys = fields.u32()?;
        let intake_keys = (0..keys)
            .map(|_| Some((fields.u32()?, fields.take::<16>()?.into())))
            .collect::<Option<_>>()?;
        fields.0.is_empty().then_some(Self {
            origin,
            from,
            count,
            widths,
            end,
            intake_keys,
        })
    }
}
