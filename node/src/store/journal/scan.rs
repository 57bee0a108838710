//! Reading a segment from its start: batch after batch, as far as they are whole.

use std::io;

use bytes::Bytes;

use super::{
    frame::{BATCH_HEAD, BATCH_MAGIC, BatchHead, PART_HEAD, PartHead, SEGMENT_HEAD, SegmentHead},
    part::{Meta, Part, Position},
};
use crate::store::{Damage, StoreError, disk::DiskFile};

/// One whole batch.
#[derive(Debug)]
pub(crate) struct ScannedBatch {
    pub(crate) offset: u64,
    pub(crate) sequence: u64,
    /// The chain value before it.
    pub(crate) chain: u32,
    /// A part whose body is damaged has none.
    pub(crate) parts: Vec<Part>,
}

/// Where and why a scan ended.
#[derive(Debug)]
pub(crate) struct ScanEnd {
    pub(crate) head: SegmentHead,
    /// The end of the last whole batch.
    pub(crate) offset: u64,
    /// The sequence number of the next.
    pub(crate) sequence: u64,
    pub(crate) chain: u32,
    /// The furthest offset that a batch says was synced.
    pub(crate) durable: u64,
    pub(crate) len: u64,
    /// Why what follows is not a whole batch; None at the end of the file.
    pub(crate) stopped: Option<&'static str>,
}

/// Reads through a file with few system calls.
struct Window<'a> {
    file: &'a dyn DiskFile,
    len: u64,
    start: u64,
    buffer: Vec<u8>,
}

const WINDOW_BYTES: usize = 128 << 10;

impl Window<'_> {
    /// `len` bytes from `offset` on; None beyond the end of the file.
    fn slice(&mut self, offset: u64, len: usize) -> io::Result<Option<&[u8]>> {
        let end = offset.saturating_add(len as u64);
        if end > self.len {
            return Ok(None);
        }
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            let wanted = usize::try_from(self.len - offset)
                .unwrap_or(usize::MAX)
                .min(len.max(WINDOW_BYTES));
            self.buffer.resize(wanted, 0);
            self.file.read_exact_at(&mut self.buffer, offset)?;
            self.start = offset;
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Ok(self.buffer.get(from..from.saturating_add(len)))
    }

    fn array<const N: usize>(&mut self, offset: u64) -> io::Result<Option<[u8; N]>> {
        Ok(self.slice(offset, N)?.and_then(|bytes| bytes.first_chunk().copied()))
    }
}

/// Scans segment `number`, handing over every whole batch.
pub(crate) fn scan(
    file: &dyn DiskFile,
    number: u32,
    visit: &mut dyn FnMut(ScannedBatch) -> Result<(), StoreError>,
) -> Result<ScanEnd, StoreError> {
    let read = StoreError::io("read the journal");
    let len = file.len().map_err(&read)?;
    let mut window = Window {
        file,
        len,
        start: 0,
        buffer: Vec::new(),
    };
    let head = window
        .array::<SEGMENT_HEAD>(0)
        .map_err(&read)?
        .and_then(|bytes| SegmentHead::decode(&bytes));
    let Some(head) = head.filter(|head| head.number == number) else {
        return Err(Damage {
            segment: number,
            offset: 0,
            what: "the head of the segment",
        }
        .into());
    };
    let mut end = ScanEnd {
        head,
        offset: SEGMENT_HEAD as u64,
        sequence: head.sequence,
        chain: head.chain,
        durable: SEGMENT_HEAD as u64,
        len,
        stopped: None,
    };
    while end.offset < len {
        match scan_batch(&mut window, &end).map_err(&read)? {
            Ok((batch, durable, offset, chain)) => {
                visit(batch)?;
                end = ScanEnd {
                    offset,
                    chain,
                    sequence: end.sequence + 1,
                    durable: end.durable.max(durable),
                    ..end
                };
            }
            Err(what) => {
                end.stopped = Some(what);
                break;
            }
        }
    }
    Ok(end)
}

/// A batch, the offset that it says was synced, the offset after it, and the chain value.
type Scanned = (ScannedBatch, u64, u64, u32);

fn scan_batch(window: &mut Window<'_>, end: &ScanEnd) -> io::Result<Result<Scanned, &'static str>> {
    let Some(bytes) = window.array::<BATCH_HEAD>(end.offset)? else {
        return Ok(Err("a batch is cut off"));
    };
    let Some((head, chain)) = BatchHead::decode(&bytes, end.head.salt) else {
        return Ok(Err("the head of a batch"));
    };
    if head.sequence != end.sequence || head.chain != end.chain {
        return Ok(Err("a batch does not follow the one before"));
    }
    let first = end.offset + BATCH_HEAD as u64;
    let after = first + u64::from(head.len);
    if after > end.len {
        return Ok(Err("a batch is cut off"));
    }
    let mut parts = Vec::new();
    let mut heads = crc32fast::Hasher::new();
    let mut offset = first;
    for _ in 0..head.parts {
        let Some(bytes) = window.array::<PART_HEAD>(offset)? else {
            return Ok(Err("a batch is cut off"));
        };
        heads.update(&bytes);
        let Some(part) = PartHead::decode(&bytes) else {
            return Ok(Err("the head of a part"));
        };
        let meta_at = offset + PART_HEAD as u64;
        let meta = window.slice(meta_at, part.meta_len as usize)?;
        let meta = meta
            .filter(|meta| crc32fast::hash(meta) == part.meta_crc)
            .and_then(|meta| Meta::decode(part.kind, meta));
        let Some(meta) = meta else {
            return Ok(Err("the meta of a part"));
        };
        let body_at = meta_at + u64::from(part.meta_len);
        let is_state = matches!(meta, Meta::State { .. });
        let body = window
            .slice(body_at, part.body_len as usize)?
            .filter(|body| crc32fast::hash(body) == part.body_crc);
        if is_state && body.is_none() {
            return Ok(Err("the value of a state"));
        }
        let at = Position {
            segment: end.head.number,
            offset,
            meta_len: part.meta_len,
            body_len: part.body_len,
        };
        parts.push(Part {
            at,
            meta,
            body: body.map(Bytes::copy_from_slice),
        });
        offset = body_at + u64::from(part.body_len);
    }
    if offset != after || heads.finalize() != head.parts_crc {
        return Ok(Err("the parts of a batch"));
    }
    let batch = ScannedBatch {
        offset: end.offset,
        sequence: head.sequence,
        chain: head.chain,
        parts,
    };
    Ok(Ok((batch, head.durable, after, chain)))
}

/// The furthest offset that any batch after the end of a scan says was synced, whole or not: what a torn write never
/// leaves behind, but damage does.
pub(crate) fn durable_beyond(file: &dyn DiskFile, end: &ScanEnd) -> Result<u64, StoreError> {
    let read = StoreError::io("read the journal");
    let rest = usize::try_from(end.len - end.offset).unwrap_or(usize::MAX);
    let mut bytes = vec![0; rest];
    file.read_exact_at(&mut bytes, end.offset).map_err(&read)?;
    let mut durable = 0;
    for (candidate, offset) in bytes.windows(BATCH_HEAD).zip(end.offset..) {
        if !candidate.starts_with(&BATCH_MAGIC) {
            continue;
        }
        let head = candidate
            .first_chunk()
            .and_then(|bytes| BatchHead::decode(bytes, end.head.salt));
        if let Some((head, _)) = head
            && head.sequence >= end.sequence
            && head.durable <= offset
        {
            durable = durable.max(head.durable);
        }
    }
    Ok(durable)
}
