//! The dialling side: HTTP/2 over a byte stream that some carrier authenticated, one `Link` call on it, and the same
//! kind of session as on the accepting side.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use icomm_proto::v1::exchange_client::ExchangeClient;
use tokio::time::Instant;
use tonic::{
    Code, Request,
    transport::{Channel, Endpoint},
};
use tower::{Service, ServiceExt};

use super::{
    ConnectError, Limits, SessionHandler,
    carrier::CarrierIo,
    registry::Registry,
    session::{self, Outgoing, innermost},
};

/// A path that no server knows: its refusal is a round trip through TLS, HTTP/2 and the peer's service, and opens
/// no session.
const PROBE: &str = "http://peer.icomm.invalid/icomm.v1.Exchange/Probe";
const PROBES: usize = 3;

/// Brings HTTP/2 up on `io`, which serves this one connection and no other.
async fn channel(io: CarrierIo, limits: &Limits) -> Result<Channel, ConnectError> {
    let io = Arc::new(Mutex::new(Some(io)));
    let endpoint = Endpoint::from_static("http://peer.icomm.invalid")
        .http2_keep_alive_interval(limits.keepalive_interval())
        .keep_alive_timeout(limits.keepalive_timeout())
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(limits.header_list_bytes_max)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_frame_size(64 * 1024);
    let once = tower::service_fn(move |_: Uri| {
        let io = io.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A second call would be tonic reconnecting by itself; reconnecting is the dialler's business.
        std::future::ready(
            io.map(TokioIo::new)
                .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)),
        )
    });
    endpoint
        .connect_with_connector(once)
        .await
        .map_err(|error| ConnectError::Lost(innermost(&error)))
}

/// Opens a session over `io`. The returned future runs it and ends with it.
pub(super) async fn link(
    io: CarrierIo,
    limits: &Limits,
    registry: &Registry,
    handler: Arc<dyn SessionHandler>,
) -> Result<impl Future<Output = ()> + Send + 'static, ConnectError> {
    let connection = Arc::clone(io.connection());
    let opening = async {
        let channel = channel(io, limits).await?;
        let (frames_out, outgoing) = Outgoing::new(&connection, limits.queue_frames_max);
        let mut client = ExchangeClient::new(channel).max_decoding_message_size(limits.frame_bytes_max);
        let frames = client
            .link(Request::new(outgoing))
            .await
            .map_err(|status| match status.code() {
                Code::AlreadyExists => ConnectError::AlreadyLinked,
                // A TLS 1.3 client believes itself connected before the server has looked at its certificate, so a
                // refused certificate shows here as a lost connection.
                _ => ConnectError::Lost(innermost(&status)),
            })?;
        let session = registry.begin(&connection).map_err(|_| ConnectError::AlreadyLinked)?;
        Ok::<_, ConnectError>((client, session, frames_out, frames.into_inner()))
    };
    let (client, session, frames_out, frames) = tokio::time::timeout(limits.opening(), opening)
        .await
        .map_err(|_| ConnectError::Timeout("opening a session"))??;
    Ok(async move {
        session::run(session, handler, frames, frames_out).await;
        drop(client); // closes the connection
    })
}

/// Measures the quickest of three round trips over `io`, then closes it.
pub(super) async fn probe(io: CarrierIo, limits: &Limits) -> Result<Duration, ConnectError> {
    let probing = async {
        let mut channel = channel(io, limits).await?;
        let mut best = Duration::MAX;
        for _ in 0..PROBES {
            let start = Instant::now();
            let request = http::Request::post(PROBE)
                .header("content-type", "application/grpc")
                .header("te", "trailers");
            let request = request
                .body(tonic::body::Body::empty())
                .map_err(|e| ConnectError::Lost(e.to_string()))?;
            let ready = channel
                .ready()
                .await
                .map_err(|error| ConnectError::Lost(innermost(&error)))?;
            ready
                .call(request)
                .await
                .map_err(|error| ConnectError::Lost(innermost(&error)))?;
            best = best.min(start.elapsed());
        }
        Ok(best)
    };
    tokio::time::timeout(limits.opening(), probing)
        .await
        .map_err(|_| ConnectError::Timeout("a round trip"))?
}
