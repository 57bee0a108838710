//! The accepting side: one gRPC server for all carriers. They push authenticated byte streams into one queue; here
//! each becomes an HTTP/2 connection with its limits, and its one `Link` call a session.

use std::sync::Arc;

use futures::{StreamExt, stream::BoxStream};
use icomm_proto::v1::{
    Frame,
    exchange_server::{Exchange, ExchangeServer},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, transport::Server};

use super::{
    Limits, SessionHandler,
    carrier::{Caller, CarrierIo},
    meter,
    registry::Registry,
    session::{self, Outgoing},
};

/// Authenticated connections waiting for the server to take them up.
pub(super) const INCOMING_MAX: usize = 64;

struct Service {
    handler: Arc<dyn SessionHandler>,
    registry: Registry,
    queue_frames_max: usize,
}

#[tonic::async_trait]
impl Exchange for Service {
    type LinkStream = BoxStream<'static, Result<Frame, Status>>;

    async fn link(&self, request: Request<Streaming<Frame>>) -> Result<Response<Self::LinkStream>, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        let connection = caller
            .ok_or_else(|| Status::unauthenticated("who calls is unknown"))?
            .into_connection();
        let session = self.registry.begin(&connection).map_err(|already| {
            let member = Some(connection.identity().member());
            meter::refused(member, member, connection.carrier(), "already-linked");
            Status::already_exists(already.to_string())
        })?;
        let (frames_out, outgoing) = Outgoing::new(&connection, self.queue_frames_max);
        tokio::spawn(session::run(
            session,
            Arc::clone(&self.handler),
            request.into_inner(),
            frames_out,
        ));
        Ok(Response::new(Box::pin(outgoing.map(Ok))))
    }
}

/// Serves what arrives in `incoming` until `stop`, then until every connection has closed.
pub(super) async fn serve(
    handler: Arc<dyn SessionHandler>,
    registry: Registry,
    limits: Limits,
    incoming: mpsc::Receiver<CarrierIo>,
    stop: CancellationToken,
) {
    let service = ExchangeServer::new(Service {
        handler,
        registry,
        queue_frames_max: limits.queue_frames_max,
    })
    .max_decoding_message_size(limits.frame_bytes_max);
    let served = Server::builder()
        .http2_keepalive_interval(Some(limits.keepalive_interval()))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout()))
        .http2_max_header_list_size(limits.header_list_bytes_max)
        .http2_max_pending_accept_reset_streams(Some(16))
        .http2_max_local_error_reset_streams(Some(64))
        .max_concurrent_streams(limits.streams_max)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_frame_size(64 * 1024)
        .add_service(service)
        .serve_with_incoming_shutdown(
            ReceiverStream::new(incoming).map(Ok::<_, std::io::Error>),
            stop.cancelled_owned(),
        )
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the exchange server stopped");
    }
}
