//! The live connections of this node: who is connected, over what, since when; and the one place that cuts them.
//!
//! A changed revocation list affects new handshakes only, so whoever brings a new bundle sweeps this registry. A
//! connection carries at most one session, and two nodes keep one session between them however many connections
//! they made ([`Registry::begin`] says which one stays).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use icomm_pki::{CertificateDer, MemberId, PeerId, PeerIdentity};
use tokio::{sync::watch, time::Instant};

use super::{
    Carrier, CloseReason, ConnectionStatus,
    connection::{Connection, Stage},
    meter,
};

/// The member has as many connections as one may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{member}` has {max} connections already, which is the most one member may have")]
pub struct TooManyConnections {
    /// The member.
    pub member: MemberId,
    /// The bound.
    pub max: usize,
}

/// A session with this node runs already, and is the one to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session between these two nodes runs already on another connection")]
pub(super) struct AlreadyLinked;

/// All live connections of a node. Cloning shares it.
#[derive(Clone)]
pub(super) struct Registry(Arc<Shared>);

struct Shared {
    local: PeerId,
    member_connections_max: usize,
    live: Mutex<Live>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Live {
    next: u64,
    connections: HashMap<u64, Arc<Connection>>,
    /// The connection whose session counts, by the peer's node.
    sessions: HashMap<PeerId, Arc<Connection>>,
}

impl Registry {
    pub(super) fn new(local: PeerId, member_connections_max: usize) -> Self {
        let (changes, _) = watch::channel(0);
        Self(Arc::new(Shared {
            local,
            member_connections_max,
            live: Mutex::default(),
            changes,
        }))
    }

    /// This node.
    pub(super) fn local(&self) -> PeerId {
        self.0.local
    }

    /// Takes an authenticated connection on. `since` is when it was accepted or dialled. What this node dialled is
    /// not counted against the peer.
    pub(super) fn admit(
        &self,
        identity: PeerIdentity,
        chain: Arc<[CertificateDer<'static>]>,
        carrier: Carrier,
        dialled: bool,
        since: Instant,
    ) -> Result<Registered, TooManyConnections> {
        let max = self.0.member_connections_max;
        let mut live = lock(&self.0.live);
        let member = identity.member();
        let held = live
            .connections
            .values()
            .filter(|c| !c.dialled() && c.member() == member)
            .count();
        if !dialled && held >= max {
            return Err(TooManyConnections {
                member: member.clone(),
                max,
            });
        }
        live.next += 1;
        let connection = Arc::new(Connection::new(live.next, identity, chain, carrier, dialled, since));
        live.connections.insert(connection.number(), Arc::clone(&connection));
        meter::connections(connection.member(), carrier).increment(1.0);
        Ok(Registered {
            registry: self.clone(),
            connection,
        })
    }

    /// Makes `connection` the session with its node. When both dialled at once, both sides keep the same one: a
    /// direct connection before a relayed one, then the one dialled by the smaller PeerId; of two dialled by the
    /// same side the newer, since nobody dials who believes the older one alive. A connection carries one session in
    /// its life, so that opening and resetting calls in a loop starts nothing.
    pub(super) fn begin(&self, connection: &Arc<Connection>) -> Result<Session, AlreadyLinked> {
        if matches!(connection.stage(), Stage::Done(_)) {
            return Err(AlreadyLinked);
        }
        let peer = connection.peer_id();
        let mut live = lock(&self.0.live);
        if let Some(held) = live.sessions.get(&peer)
            && !held.is_closed()
        {
            if held.number() == connection.number() || self.rank(connection) > self.rank(held) {
                return Err(AlreadyLinked);
            }
            held.close(CloseReason::Superseded);
        }
        live.sessions.insert(peer, Arc::clone(connection));
        drop(live);
        meter::opened(connection);
        self.changed();
        Ok(Session {
            registry: self.clone(),
            connection: Arc::clone(connection),
        })
    }

    /// Smaller is better.
    fn rank(&self, connection: &Connection) -> (bool, PeerId) {
        let dialler = if connection.dialled() {
            self.0.local
        } else {
            connection.peer_id()
        };
        (connection.carrier() == Carrier::Relayed, dialler)
    }

    /// Closes every connection for which `judge` has a reason; returns how many.
    pub(super) fn close_where(&self, mut judge: impl FnMut(&Connection) -> Option<CloseReason>) -> usize {
        // Judged outside the lock: a check of certificates takes longer than others should wait for.
        let connections: Vec<_> = lock(&self.0.live).connections.values().cloned().collect();
        let mut count = 0;
        for connection in connections.iter().filter(|connection| !connection.is_closed()) {
            if let Some(reason) = judge(connection) {
                tracing::info!(peer = %connection.member(), node = %connection.identity().node(),
                    carrier = %connection.carrier(), %reason, "connection closed");
                connection.close(reason);
                count += 1;
            }
        }
        count
    }

    /// Asks every session to end.
    pub(super) fn drain(&self) {
        for connection in lock(&self.0.live).connections.values() {
            connection.drain();
        }
    }

    /// The session with any node that `wanted` accepts.
    pub(super) fn session(&self, wanted: impl Fn(&PeerIdentity) -> bool) -> Option<Arc<Connection>> {
        let live = lock(&self.0.live);
        live.sessions
            .values()
            .find(|held| !held.is_closed() && wanted(held.identity()))
            .cloned()
    }

    /// Ticks whenever a session begins or ends.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0.live).connections.is_empty()
    }

    /// Every connection, by member and age.
    pub(super) fn status(&self) -> Vec<ConnectionStatus> {
        let live = lock(&self.0.live);
        let holds = |c: &Connection| {
            live.sessions
                .get(&c.peer_id())
                .is_some_and(|held| held.number() == c.number())
        };
        let mut all: Vec<_> = live.connections.values().map(|c| c.status(holds(c))).collect();
        all.sort_by(|a, b| (&a.member, &a.node, b.age_s).cmp(&(&b.member, &b.node, a.age_s)));
        all
    }

    fn changed(&self) {
        self.0.changes.send_modify(|version| *version += 1);
    }
}

/// A connection on the registry; dropping it takes it off.
pub(super) struct Registered {
    registry: Registry,
    connection: Arc<Connection>,
}

impl Registered {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Whoever still holds the connection learns that its bytes are gone.
        self.connection.close(CloseReason::Finished);
        lock(&self.registry.0.live)
            .connections
            .remove(&self.connection.number());
        meter::connections(self.connection.member(), self.connection.carrier()).decrement(1.0);
    }
}

/// The right to be the session with a node; dropping it ends that.
pub(super) struct Session {
    registry: Registry,
    connection: Arc<Connection>,
}

impl Session {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.done();
        let mut live = lock(&self.registry.0.live);
        let peer = self.connection.peer_id();
        if live
            .sessions
            .get(&peer)
            .is_some_and(|held| held.number() == self.connection.number())
        {
            live.sessions.remove(&peer);
        }
        drop(live);
        meter::ended(&self.connection);
        self.registry.changed();
    }
}

/// The data behind these locks is valid after every single statement, so a panic elsewhere doesn't spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
