//! The API's two doors. What comes through either is an authorised byte stream; the gRPC server above sees no difference.
//!
//! The socket lets in whoever may open it: this user. The TLS door lets in node certificates of this node's own member,
//! by the same rule that links go by ([`icomm_pki::authenticate`]), so that no second kind of credential has to be managed.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use icomm_pki::{MemberId, authenticate, tls};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::{config, environment::Environment, node::Node};

/// Longest time for a TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(8);
/// Connections that wait for the server to take them up.
const WAITING_MAX: usize = 16;
/// Pause after the system could not give us a connection (no file descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The longest path of a Unix socket that every system takes, in bytes.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// Why the API can't listen: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A TCP address can't be listened on.
    #[error("can't listen on `{address}` ({key}): {}", explain(source))]
    Tcp {
        /// The settings' key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The socket can't be made.
    #[error("can't make the socket `{}` (`api.socket`): {source}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Unix sockets have short paths.
    #[error("`{}` is too long for a socket's path ({SOCKET_PATH_BYTES_MAX} bytes at most); set `api.socket` to a shorter one", path.display())]
    SocketPath {
        /// The path.
        path: PathBuf,
    },
    /// Another process serves there.
    #[error("another process answers on `{}`; is this node running already?", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there; stop it, or set another address".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not; ports below 1024 need a privilege".to_owned(),
        _ => error.to_string(),
    }
}

/// Binds a TCP address that the settings' `key` names.
pub(super) async fn bind_tcp(key: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| BindError::Tcp { key, address, source })
}

/// The bound doors.
pub(super) struct Doors {
    socket: Socket,
    tls: Option<TlsDoor>,
    connections: Arc<Semaphore>,
}

struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

struct TlsDoor {
    listener: TcpListener,
    node: Node,
    environment: Environment,
}

impl Doors {
    pub(super) async fn bind(node: &Node, environment: &Environment, api: &config::Api) -> Result<Self, BindError> {
        let socket = Socket::bind(&api.socket).await?;
        let tls = match api.listen {
            Some(address) => Some(TlsDoor {
                listener: bind_tcp("api.listen", address).await?,
                node: node.clone(),
                environment: environment.clone(),
            }),
            None => None,
        };
        Ok(Self {
            socket,
            tls,
            connections: Arc::new(Semaphore::new(api.connections_max)),
        })
    }

    pub(super) fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref().and_then(|door| door.listener.local_addr().ok())
    }

    /// Accepts until `stop`.
    pub(super) fn open(self, stop: CancellationToken) -> ReceiverStream<io::Result<Visitor>> {
        let Self {
            socket,
            tls,
            connections,
        } = self;
        let (visitors, incoming) = mpsc::channel(WAITING_MAX);
        if let Some(door) = tls {
            tokio::spawn(door.accept(connections.clone(), visitors.clone(), stop.clone()));
        }
        tokio::spawn(socket.accept(connections, visitors, stop));
        ReceiverStream::new(incoming)
    }
}

impl Socket {
    async fn bind(path: &Path) -> Result<Self, BindError> {
        let path = path.to_owned();
        let new = path.with_extension(format!("{}.new", std::process::id()));
        if new.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            return Err(BindError::SocketPath { path });
        }
        if UnixStream::connect(&path).await.is_ok() {
            return Err(BindError::InUse { path });
        }
        // Made under another name, closed to others, then put in place: there is no moment when others could open it, and
        // a socket that a killed process left behind is replaced.
        let bound = UnixListener::bind(&new).and_then(|listener| {
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
            std::fs::rename(&new, &path)?;
            Ok(listener)
        });
        match bound {
            Ok(listener) => Ok(Self { listener, path }),
            Err(source) => {
                drop(std::fs::remove_file(&new));
                Err(BindError::Socket { path, source })
            }
        }
    }

    async fn accept(
        self,
        connections: Arc<Semaphore>,
        visitors: mpsc::Sender<io::Result<Visitor>>,
        stop: CancellationToken,
    ) {
        loop {
            let Some(permit) = permit(&connections, &stop).await else {
                return;
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    if visitors.send(Ok(Visitor::new(stream, permit))).await.is_err() {
                        return;
                    }
                }
                Err(error) => pause("socket", &error).await,
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Best effort: a socket left behind is replaced at the next start.
        drop(std::fs::remove_file(&self.path));
    }
}

impl TlsDoor {
    async fn accept(
        self,
        connections: Arc<Semaphore>,
        visitors: mpsc::Sender<io::Result<Visitor>>,
        stop: CancellationToken,
    ) {
        let door = Arc::new(self);
        loop {
            let Some(permit) = permit(&connections, &stop).await else {
                return;
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = door.listener.accept() => accepted,
            };
            let (tcp, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause("tls", &error).await;
                    continue;
                }
            };
            let (door, visitors) = (door.clone(), visitors.clone());
            // A slow handshake holds up nobody else.
            tokio::spawn(async move {
                match tokio::time::timeout(HANDSHAKE_MAX, door.admit(tcp)).await {
                    Ok(Ok(stream)) => drop(visitors.send(Ok(Visitor::new(stream, permit))).await),
                    Ok(Err(refused)) => {
                        metrics::counter!("icomm_api_refused_total", "reason" => refused.label()).increment(1);
                        tracing::warn!(%from, %refused, "API connection refused");
                    }
                    Err(_) => {
                        metrics::counter!("icomm_api_refused_total", "reason" => "slow-handshake").increment(1);
                        tracing::warn!(%from, "API connection closed: its handshake took too long");
                    }
                }
            });
        }
    }

    async fn admit(&self, tcp: TcpStream) -> Result<tokio_rustls::server::TlsStream<TcpStream>, Refused> {
        tcp.set_nodelay(true).map_err(Refused::Handshake)?;
        let bundle = self.node.bundle();
        // Made anew for each connection, from the bundle of this moment: there are few, and none may outlive a revocation.
        let clock = Arc::new(self.environment.clone());
        let config =
            tls::server_config(&self.node.credentials(), Arc::clone(&bundle), clock).map_err(Refused::Config)?;
        let stream = TlsAcceptor::from(config)
            .accept(tcp)
            .await
            .map_err(Refused::Handshake)?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = authenticate(chain, &bundle, self.environment.clock.now()).map_err(Refused::Peer)?;
        if peer.member() == self.node.credentials().member() {
            Ok(stream)
        } else {
            Err(Refused::OtherMember(peer.member().clone()))
        }
    }
}

/// Why a TLS connection was not let in. The caller is told nothing but that.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the handshake failed: {0}")]
    Handshake(io::Error),
    #[error("TLS can't be set up: {0}")]
    Config(rustls::Error),
    #[error("the certificate does not count: {0}")]
    Peer(icomm_pki::InvalidPeer),
    #[error("the certificate is one of `{0}`, and this API is for this member's own nodes")]
    OtherMember(MemberId),
}

impl Refused {
    fn label(&self) -> &'static str {
        match self {
            Self::Handshake(_) => "handshake",
            Self::Config(_) => "configuration",
            Self::Peer(_) => "invalid-certificate",
            Self::OtherMember(_) => "other-member",
        }
    }
}

async fn permit(connections: &Arc<Semaphore>, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        () = stop.cancelled() => None,
        permit = connections.clone().acquire_owned() => permit.ok(),
    }
}

async fn pause(door: &str, error: &io::Error) {
    tracing::warn!(door, %error, "no API connection accepted");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// A connection that was let in. It counts against `api.connections_max` until it is dropped.
pub(super) struct Visitor {
    stream: Box<dyn Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl Visitor {
    fn new(stream: impl Bytes + 'static, permit: OwnedSemaphorePermit) -> Self {
        Self {
            stream: Box::new(stream),
            _permit: permit,
        }
    }
}

impl Connected for Visitor {
    // Whoever was let in may do everything: there is nobody to tell apart.
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Visitor {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::{BindError, Socket, bind_tcp};

    #[tokio::test]
    async fn the_socket_is_private_replaces_a_stale_one_and_goes_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("icomm.sock");
        // A socket file that a killed process left behind: nobody listens on it.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = Socket::bind(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        let error = Socket::bind(&path).await.err().unwrap();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = Socket::bind(&folder.path().join("x".repeat(100))).await.err().unwrap();
        assert!(
            error.to_string().contains("set `api.socket` to a shorter one"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_port_in_use_says_so() {
        let first = bind_tcp("http.listen", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = bind_tcp("http.listen", first.local_addr().unwrap())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("(http.listen): another process listens there"),
            "{error}"
        );
    }
}
