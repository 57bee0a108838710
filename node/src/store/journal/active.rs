//! The segment that is written to, and the room ahead of its last batch.
//!
//! ```text
//!   head | batch | batch | … | 0 0 0 0 0 0 …
//!                            └ offset       └ len
//! ```
//!
//! The sync of a file that grew writes the file system's own books too: which blocks are the file's, and how long it is.
//! For a small batch that costs more than the batch. So zeros are written ahead of small groups, and the groups that
//! follow overwrite them. Zeros begin no batch, so opening tells them from one. A segment ends with its last batch once
//! it is sealed or the journal is closed.

use std::{io, sync::Arc};

use super::Options;
use crate::store::disk::DiskFile;

/// Groups up to this length get room ahead: for longer ones writing twice costs more than the books.
const SMALL_GROUP_BYTES_MAX: u64 = 64 << 10;

/// Pieces of so many bytes are not copied to be written with others.
const LONG_PIECE_BYTES: usize = 64 << 10;

/// The segment that is written to.
#[derive(Clone)]
pub(crate) struct Active {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) number: u32,
    /// Where the next batch goes. Everything before it is synced.
    pub(crate) offset: u64,
    /// The length of the file; from `offset` on it is zeros.
    pub(crate) len: u64,
    /// The next batch's number.
    pub(crate) sequence: u64,
    pub(crate) chain: u32,
    pub(crate) salt: u64,
}

impl Active {
    /// Writes a group after the last batch, and room ahead where that pays. Its short pieces are written together, the long
    /// ones from where they lie.
    pub(crate) fn write(&mut self, group: &[&[u8]], options: &Options) -> io::Result<()> {
        let mut end = self.offset;
        for pieces in group.chunk_by(|a, b| a.len().max(b.len()) < LONG_PIECE_BYTES) {
            match pieces {
                [piece] => self.file.write_all_at(piece, end)?,
                pieces => self.file.write_all_at(&pieces.concat(), end)?,
            }
            end += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        }
        if end > self.len {
            self.len = end;
            if end - self.offset <= SMALL_GROUP_BYTES_MAX {
                self.write_ahead(options)?;
            }
        }
        Ok(())
    }

    fn write_ahead(&mut self, options: &Options) -> io::Result<()> {
        let room = options.ahead_bytes.min(options.segment_bytes.saturating_sub(self.len));
        if room == 0 {
            return Ok(());
        }
        let zeros = vec![0; usize::try_from(room).unwrap_or_default()];
        match self.file.write_all_at(&zeros, self.len) {
            Ok(()) => self.len += room,
            // The group itself found room, so nobody is refused for want of more.
            Err(_) => self.file.set_len(self.len)?,
        }
        Ok(())
    }

    /// Takes back what stands after the last batch.
    pub(crate) fn cut(&mut self) -> io::Result<()> {
        if self.len > self.offset {
            self.file.set_len(self.offset)?;
            self.len = self.offset;
        }
        Ok(())
    }
}
