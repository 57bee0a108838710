//! The calls of `icomm.v1.Parcels`: a parcel goes out and comes in piece by piece, as large as it may be.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use icomm_proto::v1::{self, parcel_piece::Piece, parcels_server};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{
    meter::observed,
    pieces::{PIECE_BYTES, Pieces, QUEUE_PIECES_MAX},
    refusal::unreadable,
    service::blocking,
};
use crate::{
    node::{Node, ParcelRequest, Received, Sent},
    sessions::{Composed, Posted},
};

/// The longest parcel that is taken in: a terabyte comes in several.
const PARCEL_BYTES_MAX: u64 = 1 << 40;

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
impl parcels_server::Parcels for Service {
    type ExportStream = BoxStream<'static, Result<v1::ParcelPiece, Status>>;

    async fn export(&self, request: Request<v1::ExportParcelRequest>) -> Result<Response<Self::ExportStream>, Status> {
        observed("ExportParcel", async {
            let request = wanted(request.into_inner())?;
            let (sender, receiver) = mpsc::channel(QUEUE_PIECES_MAX);
            let node = self.node.clone();
            tokio::task::spawn_blocking(move || {
                let out = BufWriter::with_capacity(
                    PIECE_BYTES,
                    Pieces::new(sender.clone(), |data| piece(Piece::Data(data))),
                );
                let last = match node.export_parcel(&request, out) {
                    Ok(sent) => Ok(piece(Piece::Summary(sent_summary(sent)))),
                    Err(error) => Err(error.into()),
                };
                // Who hung up wants no summary.
                drop(sender.blocking_send(last));
            });
            Ok(ReceiverStream::new(receiver).boxed())
        })
        .await
    }

    async fn import(
        &self,
        request: Request<Streaming<v1::ParcelPiece>>,
    ) -> Result<Response<v1::ParcelSummary>, Status> {
        observed("ImportParcel", async {
            let mut pieces = request.into_inner();
            let mut spool = self.spool()?;
            let mut bytes = 0;
            while let Some(v1::ParcelPiece { piece }) = pieces.try_next().await? {
                let Some(Piece::Data(data)) = piece else { continue };
                bytes += data.len() as u64;
                if bytes > PARCEL_BYTES_MAX {
                    return Err(Status::invalid_argument("the parcel is longer than a terabyte"));
                }
                spool.write_all(&data).map_err(|error| unwritable(&error))?;
            }
            spool.seek(SeekFrom::Start(0)).map_err(|error| unwritable(&error))?;
            let received = blocking(&self.node, move |node| {
                Ok(node.import_parcel(io::BufReader::with_capacity(PIECE_BYTES, spool))?)
            });
            Ok(received_summary(received.await?, bytes))
        })
        .await
    }
}

impl Service {
    /// A nameless file on the node's disk: a parcel is checked from end to end before anything of it counts.
    fn spool(&self) -> Result<std::fs::File, Status> {
        tempfile::tempfile_in(&self.node.config().store.folder).map_err(|error| unwritable(&error))
    }
}

fn unwritable(error: &io::Error) -> Status {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::ResourceExhausted,
        _ => Code::Unavailable,
    };
    Status::new(code, format!("the parcel can't be put on the node's disk: {error}"))
}

fn wanted(request: v1::ExportParcelRequest) -> Result<ParcelRequest, Status> {
    let v1::ExportParcelRequest {
        member,
        node,
        bytes_max,
    } = request;
    let node = match node.as_str() {
        "" => None,
        name => Some(name.parse().map_err(|error| unreadable(&error))?),
    };
    Ok(ParcelRequest {
        member: member.parse().map_err(|error| unreadable(&error))?,
        node,
        bytes_max: if bytes_max == 0 { u64::MAX } else { bytes_max },
    })
}

fn piece(piece: Piece) -> v1::ParcelPiece {
    v1::ParcelPiece { piece: Some(piece) }
}

fn sent_summary(sent: Sent) -> v1::ParcelSummary {
    let Sent {
        to,
        time,
        bytes,
        composed: Composed {
            posted,
            complete,
            answers,
        },
    } = sent;
    v1::ParcelSummary {
        member: to.member.to_string(),
        node: to.node.to_string(),
        time,
        bytes,
        complete,
        answers,
        ..contents(posted)
    }
}

fn received_summary(received: Received, bytes: u64) -> v1::ParcelSummary {
    let Received { from, time, posted } = received;
    v1::ParcelSummary {
        member: from.member.to_string(),
        node: from.node.to_string(),
        time,
        bytes,
        complete: posted.refusals.is_empty(),
        ..contents(posted)
    }
}

fn contents(posted: Posted) -> v1::ParcelSummary {
    let Posted {
        documents,
        receipts,
        recalls,
        erasures,
        wants,
        entries,
        refusals,
    } = posted;
    v1::ParcelSummary {
        documents,
        receipts,
        recalls,
        erasures,
        wants,
        entries,
        refusals,
        ..v1::ParcelSummary::default()
    }
}
