//! The calls of `icomm.v1.Backups`: a backup goes out piece by piece, sealed before it leaves the node.

use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use icomm_pki::BackupRecipient;
use icomm_proto::v1::{self, backup_piece::Piece, backups_server};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{convert, meter::observed, refusal::unreadable};
use crate::node::Node;

/// A piece of a backup on its way to the caller.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait for a slow caller.
const QUEUE_PIECES_MAX: usize = 4;

/// The service over one node.
pub(super) struct Service {
    node: Node,
}

impl Service {
    pub(super) fn new(node: Node) -> Self {
        Self { node }
    }
}

#[tonic::async_trait]
impl backups_server::Backups for Service {
    type TakeStream = BoxStream<'static, Result<v1::BackupPiece, Status>>;

    async fn take(&self, request: Request<v1::TakeBackupRequest>) -> Result<Response<Self::TakeStream>, Status> {
        observed("TakeBackup", async {
            let v1::TakeBackupRequest { to, with_identity } = request.into_inner();
            let to = to.iter().map(|text| text.parse());
            let to: Vec<BackupRecipient> = to.collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
            let (sender, receiver) = mpsc::channel(QUEUE_PIECES_MAX);
            let node = self.node.clone();
            tokio::task::spawn_blocking(move || {
                let out = BufWriter::with_capacity(PIECE_BYTES, Pieces(sender.clone()));
                let begun = |bytes| drop(sender.blocking_send(Ok(piece(Piece::FilesBytes(bytes)))));
                let last = match node.take_backup(&to, with_identity, out, begun) {
                    Ok(taken) => Ok(piece(Piece::Summary(convert::backup(&taken.manifest, taken.bytes)))),
                    Err(error) => Err(error.into()),
                };
                // Who hung up wants no summary.
                drop(sender.blocking_send(last));
            });
            Ok(ReceiverStream::new(receiver).boxed())
        })
        .await
    }
}

/// What is written becomes pieces of the answer.
struct Pieces(mpsc::Sender<Result<v1::BackupPiece, Status>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let data = piece(Piece::Data(Bytes::copy_from_slice(bytes)));
        self.0
            .blocking_send(Ok(data))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the caller hung up"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn piece(piece: Piece) -> v1::BackupPiece {
    v1::BackupPiece { piece: Some(piece) }
}
