//! Rows of one length in blocks of 128, each with its crc, read block by block.

use std::{io, marker::PhantomData, sync::Arc};

use super::super::{
    frame::Fields,
    part::Position,
    table::{ChunkAt, Row},
};
use crate::store::disk::DiskFile;

/// Rows of a block; the last block has fewer.
pub(super) const ROWS: u64 = 128;

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 256 << 10;

/// A block whose bytes are not what was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DamagedRun;

/// A row.
pub(super) trait Encoded: Sized {
    /// Its length.
    const LEN: usize;

    fn write(&self, bytes: &mut Vec<u8>);

    /// Reads it back, of the run of this segment.
    fn read(fields: &mut Fields<'_>, segment: u32) -> Option<Self>;
}

/// Rows of one sort.
pub(super) struct Rows<R> {
    /// The offset of the first block.
    start: u64,
    pub(super) count: u64,
    row: PhantomData<R>,
}

impl<R: Encoded> Rows<R> {
    pub(super) fn at(start: u64, count: u64) -> Self {
        Self {
            start,
            count,
            row: PhantomData,
        }
    }

    /// The offset after the last block.
    pub(super) fn end(&self) -> u64 {
        let (rows, blocks) = (
            self.count.saturating_mul(R::LEN as u64),
            self.blocks().saturating_mul(4),
        );
        self.start.saturating_add(rows).saturating_add(blocks)
    }

    pub(super) fn blocks(&self) -> u64 {
        self.count.div_ceil(ROWS)
    }

    /// The rows of a block.
    pub(super) fn block(&self, file: &dyn DiskFile, number: u64, segment: u32) -> Result<Vec<R>, DamagedRun> {
        let rows = self.count.saturating_sub(number * ROWS).min(ROWS);
        let mut bytes = vec![0; rows as usize * R::LEN + 4];
        let offset = self.start + number * (ROWS * R::LEN as u64 + 4);
        file.read_exact_at(&mut bytes, offset).map_err(|_| DamagedRun)?;
        let (rows, crc) = bytes.split_last_chunk::<4>().ok_or(DamagedRun)?;
        if crc32fast::hash(rows) != u32::from_be_bytes(*crc) {
            return Err(DamagedRun);
        }
        rows.chunks_exact(R::LEN)
            .map(|bytes| R::read(&mut Fields(bytes), segment).ok_or(DamagedRun))
            .collect()
    }
}

/// Writes a file from its beginning, in pieces.
pub(super) struct Output {
    file: Arc<dyn DiskFile>,
    bytes: Vec<u8>,
    written: u64,
}

impl Output {
    pub(super) fn new(file: Arc<dyn DiskFile>) -> Self {
        Self {
            file,
            bytes: Vec::with_capacity(WRITE_BYTES),
            written: 0,
        }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        match self.bytes.len() < WRITE_BYTES {
            true => Ok(()),
            false => self.flush(),
        }
    }

    /// Rows in blocks; `each` sees the first of each block.
    pub(super) fn rows<R: Encoded>(
        &mut self,
        rows: impl IntoIterator<Item = R>,
        mut first: impl FnMut(&R),
    ) -> io::Result<()> {
        let mut rows = rows.into_iter().peekable();
        let mut block = Vec::with_capacity(ROWS as usize * R::LEN + 4);
        while let Some(row) = rows.peek() {
            first(row);
            block.clear();
            rows.by_ref().take(ROWS as usize).for_each(|row| row.write(&mut block));
            let crc = crc32fast::hash(&block);
            block.extend_from_slice(&crc.to_be_bytes());
            self.put(&block)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.bytes, self.written)?;
        self.written += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }

    /// Writes what is left, durably.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync()
    }
}

impl Encoded for Row {
    const LEN: usize = 26;

    fn write(&self, bytes: &mut Vec<u8>) {
        let Self { key, log, index } = self;
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&log.to_be_bytes());
        bytes.extend_from_slice(&index.to_be_bytes());
    }

    fn read(fields: &mut Fields<'_>, _: u32) -> Option<Self> {
        Some(Self {
            key: fields.take()?,
            log: fields.u16()?,
            index: fields.u64()?,
        })
    }
}

impl Encoded for Position {
    const LEN: usize = 16;

    fn write(&self, bytes: &mut Vec<u8>) {
        let Self {
            segment: _,
            offset,
            meta_len,
            body_len,
        } = self;
        bytes.extend_from_slice(&offset.to_be_bytes());
        bytes.extend_from_slice(&meta_len.to_be_bytes());
        bytes.extend_from_slice(&body_len.to_be_bytes());
    }

    fn read(fields: &mut Fields<'_>, segment: u32) -> Option<Self> {
        Some(Self {
            segment,
            offset: fields.u64()?,
            meta_len: fields.u32()?,
            body_len: fields.u32()?,
        })
    }
}

impl Encoded for ChunkAt {
    const LEN: usize = 12 + Position::LEN;

    fn write(&self, bytes: &mut Vec<u8>) {
        let Self { from, count, at } = self;
        bytes.extend_from_slice(&from.to_be_bytes());
        bytes.extend_from_slice(&count.to_be_bytes());
        at.write(bytes);
    }

    fn read(fields: &mut Fields<'_>, segment: u32) -> Option<Self> {
        Some(Self {
            from: fields.u64()?,
            count: fields.u32()?,
            at: Position::read(fields, segment)?,
        })
    }
}
