//! The parts of a batch: what each kind of item becomes in the journal.
//!
//! ```text
//! kind        meta                                                                                         body
//! 1 chunk     origin len u8 | origin | from u64 | count u32 | widths 24 | first key u64 | keys u32            items, their
//!             | 0 (overlay)                                                                                views encrypted
//!               or 1 | checkpoint len u32 | checkpoint | frontier len u16 | frontier                       (`secrecy`)
//!               or 2 (what remains) | destroyed keys u32 | that many × number u64
//!             | intake keys u32 | that many × (offset u32 | key 16)
//! 2 state     0 (forget) or 1 | key                                                                        value
//! 3 note      name of the list                                                                             note
//! ```
//!
//! What remains takes the place of all that was held of its entries before; a view of no bytes in it leaves an entry as it
//! is. A meta is all that opening a store needs; it never reads the body of a sealed segment's chunk.

use std::ops::Range;

use bytes::Bytes;
use icomm_proto::{Origin, log::Frontier};

use super::{
    frame::{BATCH_HEAD, Fields, PART_HEAD, PartHead},
    keys::{Keys, Taken},
    secrecy,
};
use crate::store::{BatchItem, Boundary, IntakeKey, NoteLog, Placement, StoreError, StoredChunk, Widths};

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
    /// The numbers of its views' keys, in order.
    pub(crate) keys: Range<u64>,
    pub(crate) origin: Origin,
    pub(crate) from: u64,
    pub(crate) count: u32,
    /// What it adds to the log's.
    pub(crate) widths: Widths,
    pub(crate) placed: Placed,
    pub(crate) intake_keys: Vec<(u32, IntakeKey)>,
}

/// How a chunk relates to what is held of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// It continues the log up to here.
    Extends(Boundary),
    /// It has wider views of entries that are held.
    Overlays,
    /// It has what remains of entries of which the rest was erased.
    Replaces {
        /// The numbers of the keys that what was held before had. They are destroyed once this is durable, and again at the
        /// next opening if that was cut short.
        destroyed: Vec<u64>,
    },
}

impl Placed {
    /// Where it ends the log, if it continues it.
    pub(crate) fn end(&self) -> Option<&Boundary> {
        match self {
            Self::Extends(end) => Some(end),
            Self::Overlays | Self::Replaces { .. } => None,
        }
    }

    /// The same, by value.
    pub(crate) fn into_end(self) -> Option<Boundary> {
        match self {
            Self::Extends(end) => Some(end),
            Self::Overlays | Self::Replaces { .. } => None,
        }
    }
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

/// What a part is made of.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) meta: Meta,
    /// In clear.
    pub(crate) body: Bytes,
    /// For the views in it.
    pub(crate) keys: Taken,
}

/// Encodes the contents of a batch that passed its check.
pub(crate) fn encode(contents: Vec<Content>) -> EncodedBatch {
    let copied = |content: &Content| 2048 + if is_long(&content.body) { 0 } else { content.body.len() };
    let room = contents.iter().map(copied).sum::<usize>();
    let mut encoded = EncodedBatch {
        bytes: Vec::with_capacity(BATCH_HEAD + room),
        bodies: Vec::new(),
        parts_crc: 0,
        parts: Vec::with_capacity(contents.len()),
    };
    encoded.bytes.resize(BATCH_HEAD, 0);
    let mut heads = crc32fast::Hasher::new();
    for Content { meta, body, keys } in contents {
        let body = secrecy::encrypted(&body, &keys);
        let (kind, meta_bytes) = meta.encode();
        let head = PartHead::of(kind, &meta_bytes, &body);
        let offset = encoded.len() as u64;
        let head_bytes = head.encode();
        heads.update(&head_bytes);
        encoded.bytes.extend_from_slice(&head_bytes);
        encoded.bytes.extend_from_slice(&meta_bytes);
        match is_long(&body) {
            false => encoded.bytes.extend_from_slice(&body),
            true => encoded.bodies.push((encoded.bytes.len(), body.clone())),
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

fn is_long(body: &Bytes) -> bool {
    body.len() >= LONG_BODY_BYTES
}

impl Content {
    /// What an item becomes; None for an erasure, which depends on what is held.
    pub(crate) fn of(item: BatchItem, keys: &Keys) -> Result<Option<Self>, StoreError> {
        let mut taken = Taken::default();
        let (meta, body) = match item {
            BatchItem::Chunk(chunk) => {
                let StoredChunk {
                    origin,
                    from,
                    body,
                    placement,
                    intake_keys,
                } = chunk;
                let (placed, widths) = match placement {
                    Placement::Extends { frontier, checkpoint } => {
                        (Placed::Extends(Boundary { frontier, checkpoint }), Widths::of(&body))
                    }
                    Placement::Overlays { widens } => (Placed::Overlays, widens),
                };
                taken = keys.take(secrecy::keys_needed(&body))?;
                let meta = ChunkMeta {
                    keys: taken.numbers(),
                    origin,
                    from,
                    count: body.count(),
                    widths,
                    placed,
                    intake_keys,
                };
                (Meta::Chunk(meta), body.bytes().clone())
            }
            BatchItem::State { key, value } => {
                let present = value.is_some();
                (Meta::State { key, present }, value.unwrap_or_default())
            }
            BatchItem::Note { log, bytes } => (Meta::Note(log), bytes),
            BatchItem::Erase { .. } => return Ok(None),
        };
        Ok(Some(Self {
            meta,
            body,
            keys: taken,
        }))
    }
}

impl Meta {
    /// The kind of the part, and its meta.
    fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Chunk(meta) => (CHUNK, meta.encode()),
            Self::State { key, present } => (STATE, [&[u8::from(*present)], key.as_bytes()].concat()),
            Self::Note(log) => (NOTE, log.as_str().as_bytes().to_vec()),
        }
    }

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
            keys,
            origin,
            from,
            count,
            widths,
            placed,
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
        bytes.extend_from_slice(&keys.start.to_be_bytes());
        // At most as many as entries.
        let keys = u32::try_from(keys.end - keys.start).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&keys.to_be_bytes());
        bytes.push(match placed {
            Placed::Overlays => 0,
            Placed::Extends(_) => 1,
            Placed::Replaces { .. } => 2,
        });
        if let Placed::Replaces { destroyed } = placed {
            bytes.extend_from_slice(&u32::try_from(destroyed.len()).unwrap_or(u32::MAX).to_be_bytes());
            destroyed
                .iter()
                .for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
        }
        if let Placed::Extends(Boundary { frontier, checkpoint }) = placed {
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
        let (first, keys) = (fields.u64()?, fields.u32()?);
        let keys = first..first.checked_add(keys.into())?;
        let placed = match fields.u8()? {
            0 => Placed::Overlays,
            1 => {
                let len = fields.u32()? as usize;
                let checkpoint = Bytes::copy_from_slice(fields.bytes(len)?);
                let len = usize::from(fields.u16()?);
                Placed::Extends(Boundary {
                    frontier: Frontier::from_bytes(fields.bytes(len)?).ok()?,
                    checkpoint,
                })
            }
            2 => Placed::Replaces {
                destroyed: (0..fields.u32()?).map(|_| fields.u64()).collect::<Option<_>>()?,
            },
            _ => return None,
        };
        let intake_keys = (0..fields.u32()?)
            .map(|_| Some((fields.u32()?, fields.take::<16>()?.into())))
            .collect::<Option<_>>()?;
        fields.0.is_empty().then_some(Self {
            keys,
            origin,
            from,
            count,
            widths,
            placed,
            intake_keys,
        })
    }
}
