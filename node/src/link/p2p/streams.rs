//! Our own libp2p stream behaviour, in place of `libp2p-stream`, which hangs on peers that aren't connected yet and
//! drops inbound streams without a word. Here every request gets an answer, a direct connection is preferred to a
//! relayed one, and both ends learn which carrier a stream runs on.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, DialError, FromSwarm, NetworkBehaviour, NotifyHandler,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::link::{Carrier, meter, session::innermost};

mod handler;

use handler::{Ask, Handler, Told};

/// The protocol under which links are opened.
pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/icomm/exchange/1");

/// Requests on their way to the behaviour.
const REQUESTS_MAX: usize = 256;
/// Requests waiting for one peer to be connected.
const WAITING_MAX: usize = 16;

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// None of the addresses led to the peer.
    #[error("can't reach the peer: {0}")]
    Unreachable(String),
    /// The other side isn't who the address promised, or isn't on our list.
    #[error("not allowed: {0}")]
    Denied(String),
    /// The peer is there and doesn't speak our protocol, or doesn't list us.
    #[error("the peer doesn't take exchange links from this node")]
    NotSpoken,
    /// The connection broke meanwhile.
    #[error("the connection broke")]
    Broken,
    /// Nothing happened in time.
    #[error("no answer in time")]
    Timeout,
    /// Too many requests for this peer are waiting.
    #[error("too many attempts to this peer are under way")]
    Busy,
}

/// A stream that we opened.
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    pub(crate) carrier: Carrier,
}

/// A stream that a peer opened.
pub(crate) struct Inbound {
    pub(crate) peer: PeerId,
    pub(crate) carrier: Carrier,
    pub(crate) stream: Stream,
}

type Reply = oneshot::Sender<Result<Opened, OpenError>>;

struct Request {
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    fresh: bool,
    reply: Reply,
}

/// Opens streams, from any task.
#[derive(Clone)]
pub(crate) struct Control {
    requests: mpsc::Sender<Request>,
    direct: watch::Receiver<HashSet<PeerId>>,
    timeout: Duration,
}

impl Control {
    /// Opens a stream to `peer` over the best connection there is, or over a new one to one of `addresses`.
    pub(crate) async fn open(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<Opened, OpenError> {
        self.request(peer, addresses, false).await
    }

    /// Opens a stream over a new connection to exactly this address, whatever else is connected.
    pub(crate) async fn open_fresh(&self, peer: PeerId, address: Multiaddr) -> Result<Opened, OpenError> {
        self.request(peer, vec![address], true).await
    }

    /// Whether there is a connection to `peer` that no relay carries.
    pub(crate) fn is_direct(&self, peer: PeerId) -> bool {
        self.direct.borrow().contains(&peer)
    }

    /// Waits until there is a connection to `peer` that no relay carries.
    pub(crate) async fn direct(&self, peer: PeerId) {
        let mut direct = self.direct.clone();
        if direct.wait_for(|peers| peers.contains(&peer)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn request(&self, peer: PeerId, addresses: Vec<Multiaddr>, fresh: bool) -> Result<Opened, OpenError> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            let request = Request {
                peer,
                addresses,
                fresh,
                reply,
            };
            self.requests.send(request).await.map_err(|_| OpenError::Broken)?;
            answer.await.unwrap_or(Err(OpenError::Broken))
        };
        tokio::time::timeout(self.timeout, asked)
            .await
            .unwrap_or(Err(OpenError::Timeout))
    }
}

pub(crate) struct Behaviour {
    requests: mpsc::Receiver<Request>,
    inbound: mpsc::Sender<Inbound>,
    answer_max: Duration,
    direct: watch::Sender<HashSet<PeerId>>,
    connections: HashMap<PeerId, Vec<(ConnectionId, Carrier)>>,
    /// Waiting for any connection to the peer.
    waiting: HashMap<PeerId, Vec<Reply>>,
    /// Waiting for exactly this connection.
    fresh: HashMap<ConnectionId, Reply>,
    out: VecDeque<ToSwarm<(), Ask>>,
}

impl Behaviour {
    /// A behaviour, and what opens streams through it; streams that peers open go into `inbound`. A request is
    /// answered within `timeout`; a connection that takes half of it to negotiate a stream is closed as dead.
    pub(super) fn new(inbound: mpsc::Sender<Inbound>, timeout: Duration) -> (Self, Control) {
        let (request, requests) = mpsc::channel(REQUESTS_MAX);
        let (direct, directly) = watch::channel(HashSet::new());
        let behaviour = Self {
            requests,
            inbound,
            answer_max: timeout / 2,
            direct,
            connections: HashMap::new(),
            waiting: HashMap::new(),
            fresh: HashMap::new(),
            out: VecDeque::new(),
        };
        (
            behaviour,
            Control {
                requests: request,
                direct: directly,
                timeout,
            },
        )
    }

    /// The connection to open a stream on: one without a relay if there is one.
    fn best(&self, peer: &PeerId) -> Option<(ConnectionId, Carrier)> {
        self.connections
            .get(peer)?
            .iter()
            .min_by_key(|(_, carrier)| *carrier == Carrier::Relayed)
            .copied()
    }

    fn ask(&mut self, peer: PeerId, connection: ConnectionId, carrier: Carrier, reply: Reply) {
        let handler = NotifyHandler::One(connection);
        self.out.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler,
            event: Ask { carrier, reply },
        });
    }

    fn take(&mut self, request: Request) {
        let Request {
            peer,
            addresses,
            fresh,
            reply,
        } = request;
        if fresh {
            let opts = DialOpts::peer_id(peer)
                .addresses(addresses)
                .condition(PeerCondition::Always)
                .build();
            self.fresh.insert(opts.connection_id(), reply);
            self.out.push_back(ToSwarm::Dial { opts });
            return;
        }
        if let Some((connection, carrier)) = self.best(&peer) {
            self.ask(peer, connection, carrier, reply);
            return;
        }
        let waiting = self.waiting.entry(peer).or_default();
        waiting.retain(|reply| !reply.is_closed());
        if waiting.len() >= WAITING_MAX {
            let _ = reply.send(Err(OpenError::Busy));
            return;
        }
        waiting.push(reply);
        let dial = DialOpts::peer_id(peer).condition(PeerCondition::DisconnectedAndNotDialing);
        let opts = if addresses.is_empty() {
            dial.build()
        } else {
            dial.addresses(addresses).build()
        };
        self.out.push_back(ToSwarm::Dial { opts });
    }

    fn dial_failed(&mut self, peer: Option<PeerId>, connection: ConnectionId, error: &DialError) {
        if let Some(reply) = self.fresh.remove(&connection) {
            let _ = reply.send(Err(open_error(error)));
            return;
        }
        // A dial that was already under way ends in an event of its own.
        if matches!(error, DialError::DialPeerConditionFalse(_)) {
            return;
        }
        for reply in peer.and_then(|peer| self.waiting.remove(&peer)).unwrap_or_default() {
            let _ = reply.send(Err(open_error(error)));
        }
    }
}

fn open_error(error: &DialError) -> OpenError {
    match error {
        DialError::Denied { cause } => OpenError::Denied(cause.to_string()),
        DialError::WrongPeerId { obtained, .. } => OpenError::Denied(format!("`{obtained}` answered there")),
        DialError::Transport(attempts) => {
            let reasons: Vec<_> = attempts
                .iter()
                .map(|(address, error)| format!("{address}: {}", innermost(error)))
                .collect();
            OpenError::Unreachable(reasons.join("; "))
        }
        other => OpenError::Unreachable(other.to_string()),
    }
}

/// What carries the streams of a connection.
fn carrier(endpoint: &ConnectedPoint) -> Carrier {
    if endpoint.is_relayed() {
        Carrier::Relayed
    } else if endpoint
        .get_remote_address()
        .iter()
        .any(|part| part == Protocol::QuicV1)
    {
        Carrier::Quic
    } else {
        Carrier::NoiseYamux
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = ();

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.answer_max))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.answer_max))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(event) => {
                let (peer, id, carrier) = (event.peer_id, event.connection_id, carrier(event.endpoint));
                self.connections.entry(peer).or_default().push((id, carrier));
                if carrier != Carrier::Relayed {
                    self.direct.send_if_modified(|peers| peers.insert(peer));
                }
                if let Some(reply) = self.fresh.remove(&id) {
                    self.ask(peer, id, carrier, reply);
                }
                for reply in self.waiting.remove(&peer).unwrap_or_default() {
                    self.ask(peer, id, carrier, reply);
                }
            }
            FromSwarm::ConnectionClosed(event) => {
                if let Some(held) = self.connections.get_mut(&event.peer_id) {
                    held.retain(|(id, _)| *id != event.connection_id);
                    if held.iter().all(|(_, carrier)| *carrier == Carrier::Relayed) {
                        self.direct.send_if_modified(|peers| peers.remove(&event.peer_id));
                    }
                    if held.is_empty() {
                        self.connections.remove(&event.peer_id);
                    }
                }
            }
            FromSwarm::DialFailure(event) => self.dial_failed(event.peer_id, event.connection_id, event.error),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, told: THandlerOutEvent<Self>) {
        let known = self
            .connections
            .get(&peer)
            .and_then(|held| held.iter().find(|(held, _)| *held == id));
        let Some((_, carrier)) = known.copied() else { return };
        match told {
            Told::Inbound(stream) => {
                if self.inbound.try_send(Inbound { peer, carrier, stream }).is_err() {
                    tracing::warn!(%peer, "a stream was refused: too many are waiting");
                    meter::refused(None, None, carrier, "queue-full");
                }
            }
            Told::Stuck => {
                tracing::info!(%peer, "closing a libp2p connection on which the peer doesn't answer");
                let connection = CloseConnection::One(id);
                self.out.push_back(ToSwarm::CloseConnection {
                    peer_id: peer,
                    connection,
                });
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(event) = self.out.pop_front() {
                return Poll::Ready(event);
            }
            match self.requests.poll_recv(cx) {
                Poll::Ready(Some(request)) => self.take(request),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests;
