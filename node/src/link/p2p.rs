//! libp2p carriers: QUIC, and TCP with Noise and yamux, directly or through a relaying hub, for nodes behind NAT.
//!
//! Whoever isn't in the trust bundle gets no connection (`behaviour`); whoever is opens a stream (`streams`), both
//! sides show their certificates on it (`attest`), and from there on it is a carrier like TLS.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use futures::{FutureExt, future::BoxFuture};
use icomm_proto::v1::Head;
use libp2p::{Multiaddr, PeerId, core::transport::ListenerId, identity::Keypair, multiaddr::Protocol};
use tokio::{
    sync::{broadcast, mpsc},
    time::Instant,
};
use tokio_util::compat::FuturesAsyncReadCompatExt;

use super::{
    Address, Announcement, BindError, Carrier, CloseReason, Config, ConnectError,
    backoff::Backoff,
    carrier::CarrierIo,
    connection::Connection,
    gate::{Caller, Gate},
    meter,
};

mod attest;
mod behaviour;
mod book;
mod gossip;
mod reservation;
mod streams;
mod swarm;

pub use attest::AttestError;
pub use streams::OpenError;
pub(super) use swarm::through;

use swarm::{Command, Driver, Listening};

/// Commands on their way to the swarm.
const COMMANDS_MAX: usize = 64;
/// Streams that peers opened and nobody has looked at yet.
const STREAMS_MAX: usize = 256;

/// Shortest and longest pause before a swarm that panicked is built anew.
const REBUILD_MIN: Duration = Duration::from_secs(1);
const REBUILD_MAX: Duration = Duration::from_secs(60);

/// The libp2p side of a node.
pub(super) struct P2p {
    gate: Arc<Gate>,
    running: Arc<ArcSwap<Running>>,
    listening: Listening,
}

/// What reaches the swarm that runs now.
struct Running {
    control: streams::Control,
    commands: mpsc::Sender<Command>,
}

/// What a swarm is built from.
struct Plan {
    config: Config,
    key: Keypair,
    gate: Arc<Gate>,
    opened: mpsc::Sender<streams::Inbound>,
    announcements: broadcast::Sender<Announcement>,
    listening: Listening,
}

impl Plan {
    /// Builds a swarm and waits until every listener of the configuration listens.
    async fn build(&self) -> Result<(Driver, Running), BindError> {
        let config = &self.config;
        let (streams, control) = streams::Behaviour::new(self.opened.clone(), config.limits.handshake());
        let mut swarm = behaviour::swarm(&self.key, config, streams)?;
        for address in &config.external {
            swarm.add_external_address(address.clone());
        }
        let mut pending: Vec<ListenerId> = Vec::new();
        for address in &config.listen {
            let Address::Libp2p(address) = address else { continue };
            free_port(address)?;
            let failed = |reason: String| BindError::Listen {
                address: address.to_string(),
                reason,
            };
            pending.push(
                swarm
                    .listen_on(address.clone())
                    .map_err(|error| failed(error.to_string()))?,
            );
        }
        let (commands, asked) = mpsc::channel(COMMANDS_MAX);
        let mut driver = Driver {
            swarm,
            config: config.clone(),
            trust: Arc::clone(self.gate.trust()),
            commands: asked,
            announcements: self.announcements.clone(),
            listening: Arc::clone(&self.listening),
            judge: gossip::Judge::new(&config.limits),
            reservations: Vec::new(),
        };
        driver.listen(pending).await?;
        Ok((driver, Running { control, commands }))
    }

    /// Drives the swarm. A panic in libp2p on some peer's input costs the libp2p connections and a pause, not the
    /// node: the links over TLS don't notice.
    async fn drive(self, mut driver: Driver, running: Arc<ArcSwap<Running>>) {
        let mut backoff = Backoff::new(REBUILD_MIN, REBUILD_MAX);
        while AssertUnwindSafe(driver.run()).catch_unwind().await.is_err() {
            meter::swarm_panicked();
            // A QUIC stream outlives the swarm, and with it the port that the next swarm wants to listen on.
            let failed = |c: &Connection| (c.carrier() != Carrier::Tls).then_some(CloseReason::Carrier);
            self.gate.registry().close_where(failed);
            driver = loop {
                let pause = backoff.pause(self.gate.trust().environment().roll());
                tracing::error!(?pause, "the libp2p swarm panicked; building it anew");
                tokio::time::sleep(pause).await;
                self.listening.lock().unwrap_or_else(PoisonError::into_inner).clear();
                match self.build().await {
                    Ok((driver, next)) => {
                        running.store(Arc::new(next));
                        break driver;
                    }
                    Err(error) => tracing::error!(%error, "no libp2p swarm"),
                }
            };
        }
    }
}

impl P2p {
    /// Binds every libp2p listener of the configuration. The futures returned serve: the swarm, and the streams that
    /// peers open, whose links go into `incoming`.
    pub(super) async fn bind(
        config: &Config,
        key: &Keypair,
        gate: &Arc<Gate>,
        incoming: mpsc::Sender<CarrierIo>,
        announcements: broadcast::Sender<Announcement>,
    ) -> Result<(Self, [BoxFuture<'static, ()>; 2]), BindError> {
        let (opened, streams) = mpsc::channel(STREAMS_MAX);
        let listening = Listening::default();
        let plan = Plan {
            config: config.clone(),
            key: key.clone(),
            gate: Arc::clone(gate),
            opened,
            announcements,
            listening: Arc::clone(&listening),
        };
        let (driver, running) = plan.build().await?;
        let running = Arc::new(ArcSwap::from_pointee(running));
        let accepting = Box::pin(accept(Arc::clone(gate), streams, incoming));
        let driving = Box::pin(plan.drive(driver, Arc::clone(&running)));
        Ok((
            Self {
                gate: Arc::clone(gate),
                running,
                listening,
            },
            [driving, accepting],
        ))
    }

    /// Where this node can be reached over libp2p, relayed addresses included.
    pub(super) fn listening(&self) -> Vec<Multiaddr> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says that the trust bundle changed.
    pub(super) async fn trust_changed(&self) {
        let commands = self.running.load().commands.clone();
        let _ = commands.send(Command::Trust).await;
    }

    /// Gossips a checkpoint. Never waits: an announcement that finds the queue full is superseded soon anyway.
    pub(super) fn announce(&self, head: Head) {
        if self.running.load().commands.try_send(Command::Announce(head)).is_err() {
            meter::announcement(None, "not-sent");
        }
    }

    /// Waits until a connection to `peer` exists that no relay carries.
    pub(super) async fn direct(&self, peer: PeerId) {
        let control = self.control();
        control.direct(peer).await;
    }

    /// Whether a connection to `peer` exists that no relay carries.
    pub(super) fn is_direct(&self, peer: PeerId) -> bool {
        self.control().is_direct(peer)
    }

    /// A link's stream to `peer`, over the best connection there is, else over one to one of `addresses`.
    pub(super) async fn connect(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<CarrierIo, ConnectError> {
        let since = Instant::now();
        let opened = self
            .control()
            .open(peer, addresses)
            .await
            .map_err(ConnectError::Stream)?;
        attested(&self.gate, opened.stream, peer, opened.carrier, true, since).await
    }

    #[cfg(test)]
    pub(super) async fn panic(&self) {
        let commands = self.running.load().commands.clone();
        commands.send(Command::Panic).await.unwrap();
    }

    fn control(&self) -> streams::Control {
        self.running.load().control.clone()
    }

    /// A stream over a new connection to exactly this address.
    pub(super) async fn connect_fresh(&self, peer: PeerId, address: Multiaddr) -> Result<CarrierIo, ConnectError> {
        let since = Instant::now();
        let opened = self
            .control()
            .open_fresh(peer, address)
            .await
            .map_err(ConnectError::Stream)?;
        attested(&self.gate, opened.stream, peer, opened.carrier, true, since).await
    }
}

/// libp2p listens with SO_REUSEPORT, for hole punching, and would share a port with another process in silence.
fn free_port(address: &Multiaddr) -> Result<(), BindError> {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => std::net::IpAddr::from(ip),
        Some(Protocol::Ip6(ip)) => std::net::IpAddr::from(ip),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => match std::net::TcpListener::bind((ip, port)) {
            Ok(_) => Ok(()),
            Err(error) => Err(BindError::Listen {
                address: address.to_string(),
                reason: error.to_string(),
            }),
        },
        _ => Ok(()),
    }
}

/// Attests the streams that peers open; each in a task of its own.
async fn accept(gate: Arc<Gate>, mut opened: mpsc::Receiver<streams::Inbound>, incoming: mpsc::Sender<CarrierIo>) {
    while let Some(streams::Inbound { peer, carrier, stream }) = opened.recv().await {
        let Some(permit) = gate.handshake_permit(Caller::Peer(peer)) else {
            meter::refused(None, None, carrier, "too-many-handshakes");
            continue;
        };
        let (gate, incoming) = (Arc::clone(&gate), incoming.clone());
        tokio::spawn(async move {
            match attested(&gate, stream, peer, carrier, false, Instant::now()).await {
                Ok(io) => {
                    drop(permit);
                    let _ = incoming.send(io).await;
                }
                Err(error) => gate.refused(carrier, &peer.to_string(), &error),
            }
        });
    }
}

/// Exchanges certificates on a fresh stream and checks that theirs names the PeerId at its other end.
async fn attested(
    gate: &Gate,
    stream: libp2p::Stream,
    peer: PeerId,
    carrier: Carrier,
    dialled: bool,
    since: Instant,
) -> Result<CarrierIo, ConnectError> {
    let mut stream = stream.compat();
    let own = gate.trust().chain();
    let exchanged = attest::exchange(&mut stream, &own);
    let chain = tokio::time::timeout(gate.limits().handshake(), exchanged)
        .await
        .map_err(|_| ConnectError::Timeout("exchanging certificates"))?
        .map_err(ConnectError::Attest)?;
    let identity = gate.trust().authenticate_libp2p(&chain, &peer)?;
    gate.admit(stream, identity, chain, carrier, dialled, since)
}
