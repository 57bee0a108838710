//! The seam between carriers and sessions: once HTTP/2 is up, whoever dialled, both sides hand an authenticated peer,
//! a stream of its frames and a bounded queue for ours to the same [`SessionHandler`].
//!
//! ```text
//! HTTP/2 stream ─ pump ─▶ frames_in ─▶ handler ─▶ frames_out ─ Outgoing ─▶ HTTP/2 stream
//!                 (1 frame)                       (queue_frames_max)
//! ```
//! A handler that doesn't read holds up its own peer through flow control and nobody else.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, Stream, future::BoxFuture, stream::BoxStream};
use icomm_pki::PeerIdentity;
use icomm_proto::v1::Frame;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Code, Status, Streaming};

use super::{Carrier, CloseReason, connection::Connection, meter, registry::Session};

/// How long the peer's remaining frames are read and dropped after our side of a session ended, so that the last
/// frame we sent (a refusal, perhaps) isn't lost to a reset.
const LINGER: Duration = Duration::from_secs(2);

/// The frames that a peer sends, ending with the session; an error is the last item.
pub type FrameStream = BoxStream<'static, Result<Frame, LinkLost>>;

/// What runs on a link.
pub trait SessionHandler: Send + Sync + 'static {
    /// A session with `peer`, who is authenticated, has begun; `dialled` tells whether this node dialled. It runs
    /// until the returned future ends, which closes the link once everything in `frames_out` was sent. When
    /// `frames_in` ends, or sending into `frames_out` fails, the link is gone and the future has to end.
    fn open(
        &self,
        peer: PeerIdentity,
        carrier: Carrier,
        dialled: bool,
        frames_in: FrameStream,
        frames_out: mpsc::Sender<Frame>,
    ) -> BoxFuture<'static, ()>;
}

/// Why the frames of a peer ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkLost {
    /// This node closed the connection.
    #[error("closed here: {0}")]
    Closed(CloseReason),
    /// The peer sent a frame larger than `frame_bytes_max`.
    #[error("the peer sent a frame larger than this node accepts")]
    FrameTooLarge,
    /// The peer sent bytes that are no frame.
    #[error("the peer sent bytes that are not a frame")]
    Malformed,
    /// The connection broke, or the peer closed it without ending the session.
    #[error("connection lost: {0}")]
    Broken(String),
}

/// Runs a session on a link until it is over.
pub(super) async fn run(
    session: Session,
    handler: Arc<dyn SessionHandler>,
    frames: Streaming<Frame>,
    frames_out: mpsc::Sender<Frame>,
) {
    let connection = Arc::clone(session.connection());
    let (peer, carrier, dialled) = (
        connection.identity().clone(),
        connection.carrier(),
        connection.dialled(),
    );
    tracing::info!(peer = %peer.member(), node = %peer.node(), %carrier, dialled, "link open");
    let (to_handler, from_pump) = mpsc::channel(1);
    let mut pump = std::pin::pin!(pump(frames, to_handler, Arc::clone(&connection)));
    let frames_in: FrameStream = Box::pin(ReceiverStream::new(from_pump));
    // Opened inside the guard as well: a handler may panic before it returns its future.
    let work = async move { handler.open(peer, carrier, dialled, frames_in, frames_out).await };
    let mut work = std::pin::pin!(AssertUnwindSafe(work).catch_unwind());
    let mut pumping = true;
    let outcome = loop {
        tokio::select! {
            outcome = &mut work => break outcome,
            () = &mut pump, if pumping => pumping = false,
        }
    };
    if outcome.is_err() {
        tracing::error!(peer = %connection.identity().member(), "the session of this link panicked; the link is closed");
    }
    if pumping {
        let _ = tokio::time::timeout(LINGER, pump).await;
    }
    tracing::info!(peer = %connection.identity().member(), node = %connection.identity().node(), %carrier,
        reason = connection.close_reason().map_or("ended", CloseReason::label), "link closed");
    drop(session);
}

/// Moves the peer's frames to the handler, one at a time; after the handler stopped listening, or this node began
/// to shut down, drops them.
async fn pump(
    mut frames: Streaming<Frame>,
    to_handler: mpsc::Sender<Result<Frame, LinkLost>>,
    connection: Arc<Connection>,
) {
    let traffic = meter::Traffic::received(connection.identity().member());
    let mut to_handler = Some(to_handler);
    loop {
        let next = tokio::select! {
            biased;
            () = connection.closed() => Err(lost_here(&connection)),
            () = connection.drained(), if to_handler.is_some() => {
                to_handler = None;
                continue;
            }
            message = frames.message() => message.map_err(|status| lost(&status, &connection)),
        };
        let item = match next {
            Ok(None) => return,
            Ok(Some(frame)) => {
                let bytes = frame.encoded_len();
                connection.spoke();
                connection.count_received(bytes);
                traffic.frames.increment(1);
                traffic.bytes.increment(bytes as u64);
                Ok(frame)
            }
            Err(lost) => Err(lost),
        };
        let Some(handler) = &to_handler else {
            if item.is_err() {
                return;
            }
            continue;
        };
        let sent = match item {
            // The ending reaches the handler whenever it looks; the connection doesn't wait for that.
            Err(lost) => {
                let _ = handler.send(Err(lost)).await;
                return;
            }
            Ok(frame) => tokio::select! {
                biased;
                sent = handler.send(Ok(frame)) => sent,
                () = connection.closed() => continue,
            },
        };
        if sent.is_err() {
            to_handler = None;
        }
    }
}

fn lost_here(connection: &Connection) -> LinkLost {
    LinkLost::Closed(connection.close_reason().cloned().unwrap_or(CloseReason::Finished))
}

fn lost(status: &Status, connection: &Connection) -> LinkLost {
    let member = connection.identity().member();
    let lost = match status.code() {
        _ if connection.close_reason().is_some() => return lost_here(connection),
        // What tonic says of a message longer than the limit it was given.
        Code::OutOfRange | Code::ResourceExhausted => {
            meter::bad_frame(member, "too-large");
            LinkLost::FrameTooLarge
        }
        Code::Internal if is_decoding(status) => {
            meter::bad_frame(member, "malformed");
            LinkLost::Malformed
        }
        _ => return LinkLost::Broken(innermost(status)),
    };
    tracing::warn!(peer = %member, %lost, "link closed");
    connection.close(CloseReason::BadFrame);
    lost
}

/// Whether a status was made by decoding a message rather than by HTTP/2, which also uses `Internal`.
fn is_decoding(status: &Status) -> bool {
    let text = status.message();
    text.contains("decode") || text.contains("compress") || text.contains("protobuf") || text.contains("wire type")
}

/// The cause at the bottom, in a line: HTTP/2 wraps an input/output error several times.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Our frames on their way out; ends when the session drops its sender or the connection is closed.
pub(super) struct Outgoing {
    queue: mpsc::Receiver<Frame>,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    connection: Arc<Connection>,
    traffic: meter::Traffic,
}

impl Outgoing {
    /// The queue that a session sends into, at most `frames_max` waiting, and its other end.
    pub(super) fn new(connection: &Arc<Connection>, frames_max: usize) -> (mpsc::Sender<Frame>, Self) {
        let (sender, queue) = mpsc::channel(frames_max.max(1));
        let outgoing = Self {
            queue,
            closed: Box::pin(connection.closed_owned()),
            connection: Arc::clone(connection),
            traffic: meter::Traffic::sent(connection.identity().member()),
        };
        (sender, outgoing)
    }
}

impl Stream for Outgoing {
    type Item = Frame;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        if self.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let frame = std::task::ready!(self.queue.poll_recv(cx));
        if let Some(frame) = &frame {
            let bytes = frame.encoded_len();
            self.connection.count_sent(bytes);
            self.traffic.frames.increment(1);
            self.traffic.bytes.increment(bytes as u64);
        }
        Poll::Ready(frame)
    }
}
