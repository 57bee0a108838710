//! The calls of `icomm.v1.Backups`: a backup goes out piece by piece, sealed before it leaves the node.

use std::io::BufWriter;

use futures::{StreamExt, stream::BoxStream};
use icomm_pki::BackupRecipient;
use icomm_proto::v1::{self, backup_piece::Piece, backups_server};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{
    convert,
    meter::observed,
    pieces::{PIECE_BYTES, Pieces, QUEUE_PIECES_MAX},
    refusal::unreadable,
    service::blocking,
};
use crate::{
    core::exchange::{Missing, MissingPage, OwnStatus, Recovered},
    node::Node,
};

/// How much an officer may say of why the disclosure log begins anew.
const REASON_BYTES_MAX: usize = 500;

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
                let out = BufWriter::with_capacity(
                    PIECE_BYTES,
                    Pieces::new(sender.clone(), |data| piece(Piece::Data(data))),
                );
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

    async fn recovery_status(
        &self,
        request: Request<v1::RecoveryStatusRequest>,
    ) -> Result<Response<v1::RecoveryStatus>, Status> {
        observed("RecoveryStatus", async {
            let from = request.into_inner().missing_from;
            blocking(&self.node, move |node| {
                Ok(status(node.own_status()?, node.missing(from)?))
            })
            .await
        })
        .await
    }

    async fn finish_recovery(
        &self,
        request: Request<v1::FinishRecoveryRequest>,
    ) -> Result<Response<v1::RecoveryStatus>, Status> {
        observed("FinishRecovery", async {
            let accept_missing = request.into_inner().accept_missing;
            blocking(&self.node, move |node| {
                let finished = node.finish_recovery(accept_missing)?;
                Ok(status(finished, node.missing(0)?))
            })
            .await
        })
        .await
    }

    async fn begin_disclosures(
        &self,
        request: Request<v1::BeginDisclosuresRequest>,
    ) -> Result<Response<v1::DisclosuresStatus>, Status> {
        observed("BeginDisclosures", async {
            let reason = request.into_inner().reason.trim().to_owned();
            if reason.is_empty() || reason.len() > REASON_BYTES_MAX || reason.chars().any(char::is_control) {
                let needed = format!("say why the node was put back, in up to {REASON_BYTES_MAX} bytes on one line");
                return Err(Status::invalid_argument(needed));
            }
            blocking(&self.node, move |node| {
                node.accept_lost_notes(&reason)?;
                Ok(super::audit::ledger::message(node.verify_ledger()?))
            })
            .await
        })
        .await
    }
}

fn status(status: OwnStatus, page: MissingPage) -> v1::RecoveryStatus {
    let OwnStatus {
        origin,
        why,
        asking,
        base,
        held,
        signed,
        shown: _,
        heard,
        unheard,
        recovered,
    } = status;
    let past = |past: Recovered| v1::PastRecovery {
        from: past.from,
        to: past.to,
        since: past.since,
        until: past.until,
        why: past.why.to_string(),
    };
    let missing = |Missing { index, known }| {
        let (record_id, sections) = known.map_or_else(Default::default, |(id, sections)| (id, sections.to_string()));
        v1::MissingEntry {
            index,
            record_id,
            sections,
        }
    };
    v1::RecoveryStatus {
        origin: origin.map(|origin| origin.to_string()).unwrap_or_default(),
        recovering: why.is_some(),
        asking,
        why: why.map(|why| why.to_string()).unwrap_or_default(),
        base,
        held,
        signed,
        heard: heard
            .into_iter()
            .map(|(member, entries)| v1::HeldBy { member, entries })
            .collect(),
        unheard,
        recovered: recovered.into_iter().map(past).collect(),
        missing: page.missing.into_iter().map(missing).collect(),
        more: page.next.is_some(),
        next: page.next.unwrap_or_default(),
    }
}

fn piece(piece: Piece) -> v1::BackupPiece {
    v1::BackupPiece { piece: Some(piece) }
}
