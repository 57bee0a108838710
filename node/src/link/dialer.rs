//! One task for each peer that this node dials: it tries the peer's addresses in order, keeps the link, and comes
//! back with a growing, jittered pause when it breaks. A slow or dead peer has its own task to be slow in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use icomm_pki::{MemberId, NodeEntry, NodeName, PeerId};
use libp2p::Multiaddr;
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

use super::{
    Address, Carrier, ConnectError, Peer, SessionHandler,
    carrier::CarrierIo,
    client,
    connection::Connection,
    gate::Gate,
    meter,
    p2p::{P2p, through},
    tls,
};

/// A link that lived this long was a success: the next pause is a short one again.
const STABLE: Duration = Duration::from_secs(5);

/// How a peer that this node dials is doing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum DialState {
    /// Trying this address.
    Dialling {
        /// Which one.
        address: String,
    },
    /// A session runs, whoever dialled.
    Linked {
        /// What carries it.
        carrier: Carrier,
    },
    /// Waiting to try again.
    Waiting {
        /// Failed rounds since the last success.
        failures: u32,
        /// Length of this pause in milliseconds.
        pause_ms: u64,
        /// What went wrong last.
        error: String,
    },
}

/// One peer in [`super::Status`].
#[derive(Clone, Debug, serde::Serialize)]
pub struct PeerStatus {
    /// The member.
    pub member: MemberId,
    /// How it is doing.
    #[serde(flatten)]
    pub state: DialState,
}

/// One way to one node of a peer.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) node: NodeName,
    pub(super) peer_id: PeerId,
    pub(super) address: Address,
}

/// What a dialler needs of its node.
#[derive(Clone)]
pub(super) struct Dialing {
    pub(super) gate: Arc<Gate>,
    pub(super) p2p: Arc<P2p>,
    pub(super) handler: Arc<dyn SessionHandler>,
    pub(super) relays: Arc<[MemberId]>,
    /// Ticks when a new bundle is in force: addresses may have changed, and trust.
    pub(super) trust_changes: watch::Receiver<u64>,
}

/// What a dialler is doing, for status.
#[derive(Clone)]
pub(super) struct Watched(Arc<Mutex<DialState>>);

impl Watched {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(DialState::Dialling { address: String::new() })))
    }

    pub(super) fn state(&self) -> DialState {
        self.lock().clone()
    }

    fn set(&self, state: DialState) {
        *self.lock() = state;
    }

    fn lock(&self) -> MutexGuard<'_, DialState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a link with `peer` for as long as it is polled.
pub(super) async fn run(dialing: Dialing, peer: Peer, watched: Watched) {
    let mut backoff = dialing.gate.limits().backoff();
    let mut changes = dialing.trust_changes.clone();
    loop {
        dialing.while_linked(&peer, &watched).await;
        changes.borrow_and_update();
        let error = match dialing.dial(&peer, &watched).await {
            Ok(lived) => {
                if lived >= STABLE {
                    backoff.reset();
                }
                None
            }
            // The other side dialled at the same time and theirs is kept: it shows in the registry in a moment.
            Err(ConnectError::AlreadyLinked) => None,
            Err(error) => Some(error),
        };
        let pause = backoff.pause(dialing.gate.trust().environment().roll());
        let text = error.map_or_else(|| "the link ended".to_owned(), |error| error.to_string());
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        watched.set(DialState::Waiting {
            failures: backoff.attempts(),
            pause_ms,
            error: text,
        });
        let mut links = dialing.gate.registry().changes();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = changes.changed() => backoff.reset(),
            () = async {
                while dialing.session(&peer).is_none() {
                    if links.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            } => backoff.reset(),
        }
    }
}

impl Dialing {
    fn session(&self, peer: &Peer) -> Option<Arc<Connection>> {
        self.gate.registry().session(|identity| {
            identity.member() == &peer.member && peer.node.as_ref().is_none_or(|node| node == identity.node())
        })
    }

    /// Waits while the peer is linked because it dialled us.
    async fn while_linked(&self, peer: &Peer, watched: &Watched) {
        let mut changes = self.gate.registry().changes();
        while let Some(connection) = self.session(peer) {
            watched.set(DialState::Linked {
                carrier: connection.carrier(),
            });
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Tries every address in turn; when one works, keeps the link until it ends and tells how long it lived.
    async fn dial(&self, peer: &Peer, watched: &Watched) -> Result<Duration, ConnectError> {
        let mut last = ConnectError::NoAddress(peer.member.clone());
        for route in self.routes(peer)? {
            watched.set(DialState::Dialling {
                address: route.address.to_string(),
            });
            match self.link(peer, &route, watched).await {
                Ok(lived) => return Ok(lived),
                Err(ConnectError::AlreadyLinked) => return Err(ConnectError::AlreadyLinked),
                Err(error) => {
                    tracing::warn!(peer = %peer.member, address = %route.address, %error, "can't link");
                    meter::dial_failed(&peer.member, error.label());
                    last = error;
                }
            }
        }
        Err(last)
    }

    async fn link(&self, peer: &Peer, route: &Route, watched: &Watched) -> Result<Duration, ConnectError> {
        let mut io = self.connect(&peer.member, route, false).await?;
        let since = Instant::now();
        loop {
            let connection = Arc::clone(io.connection());
            let limits = self.gate.limits();
            let session = client::link(io, limits, self.gate.registry(), Arc::clone(&self.handler)).await?;
            watched.set(DialState::Linked {
                carrier: connection.carrier(),
            });
            let session = tokio::spawn(session);
            // A relayed link stays on its relay after hole punching worked: open another, which supersedes it.
            let direct = async {
                if connection.carrier() != Carrier::Relayed {
                    std::future::pending::<()>().await;
                }
                loop {
                    self.p2p.direct(route.peer_id).await;
                    match self.p2p.connect(route.peer_id, Vec::new()).await {
                        Ok(io) if io.connection().carrier() != Carrier::Relayed => return io,
                        Ok(_) | Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                    }
                }
            };
            tokio::select! {
                _ = session => return Ok(since.elapsed()),
                better = direct => io = better,
            }
        }
    }

    /// An authenticated connection to the peer by this route; `fresh` when no existing one will do.
    pub(super) async fn connect(
        &self,
        member: &MemberId,
        route: &Route,
        fresh: bool,
    ) -> Result<CarrierIo, ConnectError> {
        match &route.address {
            Address::Tls(address) => tls::connect(&self.gate, address, member, &route.node).await,
            // A connection through a relay, if there is one, is no reason not to try the direct way.
            Address::Libp2p(address) if fresh || !(route.address.is_relayed() || self.p2p.is_direct(route.peer_id)) => {
                self.p2p.connect_fresh(route.peer_id, address.clone()).await
            }
            Address::Libp2p(address) => self.p2p.connect(route.peer_id, vec![address.clone()]).await,
        }
    }

    /// The ways to a peer: configured addresses, the directory's, and circuits through hubs, in this order.
    pub(super) fn routes(&self, peer: &Peer) -> Result<Vec<Route>, ConnectError> {
        let bundle = self.gate.trust().bundle();
        let entry = bundle
            .member(&peer.member)
            .ok_or_else(|| ConnectError::NotListed(peer.member.clone()))?;
        let local = self.gate.registry().local();
        let nodes = || {
            let wanted = |name: &NodeName| peer.node.as_ref().is_none_or(|node| node == name);
            entry
                .nodes
                .iter()
                .filter(move |node| wanted(&node.name) && node.peer_id != local)
        };
        let mut routes: Vec<Route> = Vec::new();
        let max = self.gate.limits().peer_addresses_max;
        let mut add = |node: &NodeEntry, address: Address| {
            let known = routes
                .iter()
                .any(|route| route.peer_id == node.peer_id && route.address == address);
            if !known && routes.len() < max {
                routes.push(Route {
                    node: node.name.clone(),
                    peer_id: node.peer_id,
                    address,
                });
            }
        };
        for address in &peer.addresses {
            nodes().for_each(|node| add(node, address.clone()));
        }
        for node in nodes() {
            for address in &node.addresses {
                match address.parse() {
                    Ok(address) => add(node, address),
                    Err(error) => tracing::warn!(peer = %peer.member, %error, "unusable address in the directory"),
                }
            }
        }
        let region = self.relays.iter().chain(&entry.regions);
        for hub in region.filter_map(|hub| bundle.member(hub)).flat_map(|hub| &hub.nodes) {
            for address in hub.addresses.iter().filter_map(|text| text.parse::<Address>().ok()) {
                let Address::Libp2p(address) = address else { continue };
                for node in nodes().filter(|node| node.peer_id != hub.peer_id && local != hub.peer_id) {
                    add(node, circuit(address.clone(), hub.peer_id));
                }
            }
        }
        Ok(routes)
    }
}

fn circuit(address: Multiaddr, hub: PeerId) -> Address {
    Address::Libp2p(through(address, hub))
}
