//! The watermark: up to where the journal was acknowledged, in a file of its own.
//!
//! ```text
//! head   "icommhd1" | segment u32 | offset u64 | sequence u64 | crc u32
//! ```
//!
//! It is written after each sync, before anybody is told, and not synced itself. After a kill it is exact, so damage to
//! the very last batch is told from a torn write. After a power cut it may be that of an earlier sync; then the batches
//! after it still say themselves how far the journal was synced, all but the last group of them.

use std::{path::Path, sync::Arc};

use super::frame::{checked, sealed};
use crate::store::{
    StoreError,
    disk::{Disk, DiskFile},
};

const LEN: usize = 32;
const MAGIC: [u8; 8] = *b"icommhd1";

/// The name of the file.
pub(crate) const NAME: &str = "head";

/// Up to where the journal was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Watermark {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    pub(crate) sequence: u64,
}

/// The file that holds it.
pub(crate) struct WatermarkFile(Arc<dyn DiskFile>);

impl Watermark {
    pub(crate) fn encode(&self) -> [u8; LEN] {
        let Self {
            segment,
            offset,
            sequence,
        } = self;
        sealed(
            &[
                &MAGIC,
                &segment.to_be_bytes(),
                &offset.to_be_bytes(),
                &sequence.to_be_bytes(),
            ],
            0,
        )
    }

    fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        let (mut fields, _) = checked(bytes, 0)?;
        if fields.take()? != MAGIC {
            return None;
        }
        Some(Self {
            segment: fields.u32()?,
            offset: fields.u64()?,
            sequence: fields.u64()?,
        })
    }

    /// Reads the watermark in a store's folder: None if there is none, Some(None) if it can't be understood.
    pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> Result<Option<Option<Self>>, StoreError> {
        let read = StoreError::io("read the journal's watermark");
        let names = disk.list(folder).map_err(&read)?.unwrap_or_default();
        if !names.iter().any(|name| name == NAME) {
            return Ok(None);
        }
        let mut bytes = [0; LEN];
        let whole = disk
            .open(&folder.join(NAME))
            .map_err(&read)?
            .read_exact_at(&mut bytes, 0)
            .is_ok();
        Ok(Some(Self::decode(&bytes).filter(|_| whole)))
    }
}

impl WatermarkFile {
    /// Opens the file for writing, with `mark` in it, durably.
    pub(crate) fn open(disk: &dyn Disk, folder: &Path, mark: &Watermark) -> Result<Self, StoreError> {
        let write = StoreError::io("write the journal's watermark");
        let path = folder.join(NAME);
        let exists = disk
            .list(folder)
            .map_err(&write)?
            .unwrap_or_default()
            .iter()
            .any(|name| name == NAME);
        let file = if exists { disk.open(&path) } else { disk.create(&path) }.map_err(&write)?;
        file.write_all_at(&mark.encode(), 0).map_err(&write)?;
        file.sync().map_err(&write)?;
        disk.sync_folder(folder).map_err(&write)?;
        Ok(Self(file))
    }

    pub(crate) fn write(&self, mark: &Watermark) -> std::io::Result<()> {
        self.0.write_all_at(&mark.encode(), 0)
    }

    pub(crate) fn sync(&self) -> std::io::Result<()> {
        self.0.sync()
    }
}
