//! A client of the local API, as the command line uses it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use hyper_util::rt::TokioIo;
use icomm_pki::{CertificateDer, NodeCredentials, VerifiedBundle, tls};
use icomm_proto::v1::{
    audit_client::AuditClient, backups_client::BackupsClient, consents_client::ConsentsClient, node_client::NodeClient,
    parcels_client::ParcelsClient, photos_client::PhotosClient, retention_client::RetentionClient,
};
use rustls_pki_types::{ServerName, pem::PemObject};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use zeroize::Zeroizing;

use crate::{
    config::{self, Config},
    environment::Environment,
    token,
};

/// How long a client waits for the connection, not for the answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connected client.
pub type Client = NodeClient<Channel>;

/// A connected client of the audit calls.
pub type Auditor = AuditClient<Channel>;

/// A connected client of the backup calls.
pub type Keeper = BackupsClient<Channel>;

/// A connected client of the calls about consent.
pub type Consenting = ConsentsClient<Channel>;

/// A connected client of the parcel calls.
pub type Poster = ParcelsClient<Channel>;

/// A connected client of the photo calls.
pub type Photographer = PhotosClient<Channel>;

/// Where an API is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket of this machine.
    Socket(PathBuf),
    /// `host:port`, mutual TLS.
    Tls(String),
}

/// A text that is no address of an API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no API address: write `unix:/path/icomm.sock` or `host:port`")]
pub struct InvalidAddress(String);

/// Why there is no connection to the node.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no socket, or nobody listens on it.
    #[error("no node answers on `{}`", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// The socket belongs to another user.
    #[error("`{}` belongs to another user: only the user who runs the node may talk to it", path.display())]
    NotAllowed {
        /// The socket.
        path: PathBuf,
    },
    /// For TLS this node's own certificate is needed, and something of it can't be used.
    #[error("`{}`: {reason}", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The transport failed otherwise.
    #[error("can't connect to `{address}`")]
    Transport {
        /// Where to.
        address: Address,
        /// Why not.
        #[source]
        source: tonic::transport::Error,
    },
}

/// Connects to the node's API; `config` names the limits, and for TLS this node's identity.
///
/// # Errors
/// Nobody listens there, this user may not, or the handshake failed.
pub async fn connect(address: &Address, config: &Config) -> Result<Client, ConnectError> {
    let channel = channel(address, config).await?;
    let bytes_max = config.api.message_bytes_max;
    Ok(NodeClient::new(channel)
        .max_decoding_message_size(bytes_max)
        .max_encoding_message_size(bytes_max))
}

/// Connects to the node's API for audit calls.
///
/// # Errors
/// As [`connect`].
pub async fn audit(address: &Address, config: &Config) -> Result<Auditor, ConnectError> {
    let channel = channel(address, config).await?;
    let bytes_max = config.api.message_bytes_max;
    Ok(AuditClient::new(channel)
        .max_decoding_message_size(bytes_max)
        .max_encoding_message_size(bytes_max))
}

/// Connects to the node's API for consent.
///
/// # Errors
/// As [`connect`].
pub async fn consents(address: &Address, config: &Config) -> Result<Consenting, ConnectError> {
    let channel = channel(address, config).await?;
    let bytes_max = config.api.message_bytes_max;
    Ok(ConsentsClient::new(channel)
        .max_decoding_message_size(bytes_max)
        .max_encoding_message_size(bytes_max))
}

/// Connects to the node's API for parcels.
///
/// # Errors
/// As [`connect`].
pub async fn parcels(address: &Address, config: &Config) -> Result<Poster, ConnectError> {
    let channel = channel(address, config).await?;
    let bytes_max = config.api.message_bytes_max;
    Ok(ParcelsClient::new(channel)
        .max_decoding_message_size(bytes_max)
        .max_encoding_message_size(bytes_max))
}

/// Connects to the node's API for backups.
///
/// # Errors
/// As [`connect`].
pub async fn backups(address: &Address, config: &Config) -> Result<Keeper, ConnectError> {
    let channel = channel(address, config).await?;
    let bytes_max = config.api.message_bytes_max;
    Ok(BackupsClient::new(channel)
        .max_decoding_message_size(bytes_max)
        .max_encoding_message_size(bytes_max))
}

/// Connects to the node's API for what is kept for how long.
///
/// # Errors
/// As [`connect`].
pub async fn retention(address: &Address, config: &Config) -> Result<RetentionClient<Channel>, ConnectError> {
    Ok(RetentionClient::new(channel(address, config).await?).max_decoding_message_size(config.api.message_bytes_max))
}

/// Connects to the node's API for photos.
///
/// # Errors
/// As [`connect`].
pub async fn photos(address: &Address, config: &Config) -> Result<Photographer, ConnectError> {
    let channel = channel(address, config).await?;
    let bytes_max = config.api.message_bytes_max;
    Ok(PhotosClient::new(channel)
        .max_decoding_message_size(bytes_max)
        .max_encoding_message_size(bytes_max))
}

/// The connection alone, for other services of the same server.
pub(super) async fn channel(address: &Address, config: &Config) -> Result<Channel, ConnectError> {
    match address {
        Address::Socket(path) => connect_socket(path).await,
        Address::Tls(authority) => connect_tls(authority, config).await,
    }
}

async fn connect_socket(path: &Path) -> Result<Channel, ConnectError> {
    // Asked first, because the transport's own error hides why a socket can't be opened.
    if let Err(error) = UnixStream::connect(path).await {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                return Err(ConnectError::NotRunning { path: path.to_owned() });
            }
            io::ErrorKind::PermissionDenied => return Err(ConnectError::NotAllowed { path: path.to_owned() }),
            _ => {}
        }
    }
    let socket = path.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // The name is for HTTP/2's sake only.
    Endpoint::from_static("http://node.icomm.local")
        .connect_timeout(CONNECT_TIMEOUT)
        .connect_with_connector(connector)
        .await
        .map_err(|source| ConnectError::Transport {
            address: Address::Socket(path.to_owned()),
            source,
        })
}

/// Mutual TLS with this node's own certificate, to this node itself.
async fn connect_tls(authority: &str, config: &Config) -> Result<Channel, ConnectError> {
    let (tls, name) = identity(config, Environment::system())?;
    let target = authority.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let (target, tls, name) = (target.clone(), TlsConnector::from(Arc::clone(&tls)), name.clone());
        async move {
            #[expect(clippy::disallowed_methods, reason = "a client of the API is no link")]
            let tcp = TcpStream::connect(target).await?;
            tcp.set_nodelay(true)?;
            tls.connect(name, tcp).await.map(TokioIo::new)
        }
    });
    Endpoint::from_static("http://node.icomm.local")
        .connect_timeout(CONNECT_TIMEOUT)
        .connect_with_connector(connector)
        .await
        .map_err(|source| ConnectError::Transport {
            address: Address::Tls(authority.to_owned()),
            source,
        })
}

/// How this node shows itself on TLS, and the name under which it expects itself.
fn identity(
    config: &Config,
    environment: Environment,
) -> Result<(Arc<rustls::ClientConfig>, ServerName<'static>), ConnectError> {
    let config::Identity {
        member_key,
        node_key,
        enrolment,
        root,
        bundle,
        log: _,
        token,
    } = &config.identity;
    let wrong = |path: &Path, error: &dyn std::error::Error| ConnectError::Identity {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| wrong(path, &error));
    let node_key = Zeroizing::new(read(node_key)?);
    let credentials = match token {
        Some(token) => {
            let member_key = |public| token::member_key(token, public);
            NodeCredentials::with_token(&read(enrolment)?, member_key, &node_key)
        }
        None => NodeCredentials::from_pem(&read(enrolment)?, &Zeroizing::new(read(member_key)?), &node_key),
    };
    let credentials = credentials.map_err(|error| wrong(enrolment, &error))?;
    let pinned = CertificateDer::from_pem_slice(read(root)?.as_bytes()).map_err(|error| wrong(root, &error))?;
    let verified = VerifiedBundle::verify(read(bundle)?.as_bytes(), &pinned, environment.clock.now(), 0)
        .map_err(|error| wrong(bundle, &error))?;
    let name = tls::server_name(&verified, credentials.member(), credentials.node_name());
    let clock = Arc::new(environment);
    let config =
        tls::client_config(&credentials, Arc::new(verified), clock).map_err(|error| wrong(enrolment, &error))?;
    let name = name.ok_or_else(|| ConnectError::Identity {
        path: enrolment.clone(),
        reason: "its names make no DNS name".to_owned(),
    })?;
    Ok((config, name))
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || InvalidAddress(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Socket(path.into()));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        port.parse::<u16>().map_err(|_| wrong())?;
        if host.is_empty() || host.contains('/') {
            Err(wrong())
        } else {
            Ok(Self::Tls(text.to_owned()))
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
            Self::Tls(authority) => f.write_str(authority),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn addresses_are_sockets_or_host_and_port() {
        for text in [
            "unix:/run/icomm.sock",
            "127.0.0.1:7445",
            "[::1]:7445",
            "gw.example:7445",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "unix:",
            "gw.example",
            "gw.example:",
            ":7445",
            "https://gw.example:7445",
            "gw:70000",
            "/a/b",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
