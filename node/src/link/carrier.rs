//! The one byte stream that every carrier hands to HTTP/2, and who is at its other end.
//!
//! A carrier authenticates the peer first; only then is there a [`CarrierIo`]. Cutting a connection means cutting its
//! byte stream here, so not one more byte passes whatever HTTP/2 or a session still holds.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use super::{connection::Connection, registry::Registered};

/// What carries a link's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// TCP with mutual TLS 1.3.
    Tls,
    /// A libp2p stream over QUIC.
    Quic,
    /// A libp2p stream over TCP with Noise and yamux.
    NoiseYamux,
    /// A libp2p stream through a relay: end to end encrypted, and replaced by a direct one when hole punching works.
    Relayed,
}

impl Carrier {
    /// The name in metrics and status texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::NoiseYamux => "noise-yamux",
            Self::Relayed => "relayed",
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// An authenticated byte stream. Dropping it takes the connection off the registry.
pub(super) struct CarrierIo {
    io: Pin<Box<dyn Duplex>>,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    registered: Registered,
}

impl CarrierIo {
    pub(super) fn new(io: impl AsyncRead + AsyncWrite + Send + 'static, registered: Registered) -> Self {
        Self {
            io: Box::pin(io),
            closed: Box::pin(registered.connection().closed_owned()),
            registered,
        }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        self.registered.connection()
    }

    /// Fails once the connection was closed from our side. Reading and writing happen in the one task of the HTTP/2
    /// connection, so the last registered waker is the right one.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.closed.as_mut().poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => {
                let reason = self
                    .registered
                    .connection()
                    .close_reason()
                    .map(|reason| reason.to_string());
                Err(io::Error::new(
                    io::ErrorKind::ConnectionAborted,
                    reason.unwrap_or_default(),
                ))
            }
        }
    }
}

/// Who called, as the server sees it with each request.
#[derive(Clone)]
pub(super) struct Caller(Arc<Connection>);

impl Caller {
    pub(super) fn into_connection(self) -> Arc<Connection> {
        self.0
    }
}

impl Connected for CarrierIo {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        Caller(Arc::clone(self.connection()))
    }
}

impl AsyncRead for CarrierIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_open(cx)?;
        self.io.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for CarrierIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_open(cx)?;
        self.io.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_open(cx)?;
        self.io.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_open(cx)?;
        self.io.as_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_open(cx)?;
        self.io.as_mut().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
