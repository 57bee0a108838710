//! The TLS carrier: TCP with mutual TLS 1.3. Outbound TCP to one port is enough for a node behind a firewall.
//!
//! Who calls is known from the certificate: the handshake applies the whole rule of [`icomm_pki::authenticate`] with
//! the current bundle, and a dialler the name of the node it dialled as well.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use icomm_pki::{CertificateDer, MemberId, NodeName};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::Instant,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use super::{Address, BindError, Carrier, ConnectError, HostPort, carrier::CarrierIo, gate::Gate, meter};

/// Pause after the system couldn't give us a connection (no file descriptors left, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds one address. Nothing is accepted yet.
pub(super) async fn bind(address: &HostPort) -> Result<(TcpListener, SocketAddr), BindError> {
    let failed = |error: std::io::Error| BindError::Listen {
        address: Address::Tls(address.clone()).to_string(),
        reason: error.to_string(),
    };
    let listener = TcpListener::bind((address.host(), address.port()))
        .await
        .map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

/// Accepts until `stop`; each handshake in a task of its own, so that a slow one holds up nobody.
pub(super) async fn accept(
    gate: Arc<Gate>,
    listener: TcpListener,
    incoming: mpsc::Sender<CarrierIo>,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (tcp, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(permit) = gate.handshake_permit(from.ip().into()) else {
            meter::refused(None, None, Carrier::Tls, "too-many-handshakes");
            continue;
        };
        let (gate, incoming) = (Arc::clone(&gate), incoming.clone());
        tokio::spawn(async move {
            match handshake(&gate, tcp).await {
                Ok(io) => {
                    drop(permit);
                    let _ = incoming.send(io).await;
                }
                Err(error) => gate.refused(Carrier::Tls, &from.to_string(), &error),
            }
        });
    }
}

/// Finds out who calls. The handshake itself judges the peer; [`Gate`] only has to learn who it is.
async fn handshake(gate: &Gate, tcp: TcpStream) -> Result<CarrierIo, ConnectError> {
    let since = Instant::now();
    let _ = tcp.set_nodelay(true);
    let accepting = TlsAcceptor::from(gate.trust().server_config()).accept(tcp);
    let tls = tokio::time::timeout(gate.limits().handshake(), accepting)
        .await
        .map_err(|_| ConnectError::Timeout("the TLS handshake"))?
        .map_err(ConnectError::handshake)?;
    let chain = chain(tls.get_ref().1.peer_certificates());
    let identity = gate.trust().authenticate(&chain)?;
    gate.admit(tls, identity, chain, Carrier::Tls, false, since)
}

/// Connects to `node` of `member` at `address`, and to nobody else who may answer there.
pub(super) async fn connect(
    gate: &Gate,
    address: &HostPort,
    member: &MemberId,
    node: &NodeName,
) -> Result<CarrierIo, ConnectError> {
    let since = Instant::now();
    let name = icomm_pki::tls::server_name(&gate.trust().bundle(), member, node);
    let name = name.ok_or_else(|| ConnectError::NotListed(member.clone()))?;
    let connecting = async {
        let tcp = tcp(address).await.map_err(ConnectError::Tcp)?;
        let _ = tcp.set_nodelay(true);
        let connector = TlsConnector::from(gate.trust().client_config());
        connector.connect(name, tcp).await.map_err(ConnectError::handshake)
    };
    let tls = tokio::time::timeout(gate.limits().handshake(), connecting)
        .await
        .map_err(|_| ConnectError::Timeout("connecting"))??;
    let chain = chain(tls.get_ref().1.peer_certificates());
    let identity = gate.trust().authenticate(&chain)?;
    gate.admit(tls, identity, chain, Carrier::Tls, true, since)
}

fn chain(shown: Option<&[CertificateDer<'_>]>) -> Vec<CertificateDer<'static>> {
    shown
        .unwrap_or_default()
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "carriers are what makes connections")]
async fn tcp(address: &HostPort) -> std::io::Result<TcpStream> {
    TcpStream::connect((address.host(), address.port())).await
}
