//! Something large on its way to a caller: what is written goes out piece by piece, no faster than it is taken.

use std::io::{self, Write};

use bytes::Bytes;
use tokio::sync::mpsc;
use tonic::Status;

/// The bytes of a piece, as whoever writes should gather them.
pub(super) const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait for a slow caller.
pub(super) const QUEUE_PIECES_MAX: usize = 4;

/// What is written becomes pieces of the answer.
pub(super) struct Pieces<T> {
    caller: mpsc::Sender<Result<T, Status>>,
    piece: fn(Bytes) -> T,
}

impl<T> Pieces<T> {
    /// To this caller, each as `piece` makes it.
    pub(super) fn new(caller: mpsc::Sender<Result<T, Status>>, piece: fn(Bytes) -> T) -> Self {
        Self { caller, piece }
    }
}

impl<T> Write for Pieces<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = (self.piece)(Bytes::copy_from_slice(bytes));
        self.caller
            .blocking_send(Ok(piece))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the caller hung up"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
