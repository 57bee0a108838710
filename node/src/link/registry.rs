//! The live connections of this node: who is connected, over what, since when; and the one place that cuts them.
//!
//! A changed revocation list affects new handshakes only, so whoever brings a new bundle sweeps this registry. A
//! connection carries at most one session, and two nodes keep one session between them however many connections
//! they made ([`Registry::begin`] says which one stays).

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use icomm_pki::{CertificateDer, MemberId, PeerId, PeerIdentity};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{Carrier, meter};

/// Why this node closed a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer's certificate or directory entry doesn't hold under the current bundle: revoked, removed, changed.
    #[error("`{peer}` is no longer trusted: {why}")]
    Untrusted {
        /// Member and node.
        peer: String,
        /// What the check said.
        why: String,
    },
    /// Our trust bundle has expired.
    #[error("the trust bundle has expired")]
    BundleExpired,
    /// No frame of a session arrived in time.
    #[error("no session was opened in time")]
    Idle,
    /// The connection reached its greatest age.
    #[error("the connection reached its greatest age")]
    Age,
    /// Another connection to the same node took over.
    #[error("another connection to the same node took over")]
    Superseded,
    /// The peer sent what no peer may send.
    #[error("the peer sent an unacceptable frame")]
    BadFrame,
    /// The session is over.
    #[error("the session is over")]
    Finished,
    /// The operator took the peer off the list, or asked for it.
    #[error("closed by the operator")]
    Requested,
    /// This node is shutting down.
    #[error("this node is shutting down")]
    Shutdown,
}

impl CloseReason {
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Untrusted { .. } => "untrusted",
            Self::BundleExpired => "bundle-expired",
            Self::Idle => "idle",
            Self::Age => "age",
            Self::Superseded => "superseded",
            Self::BadFrame => "bad-frame",
            Self::Finished => "finished",
            Self::Requested => "requested",
            Self::Shutdown => "shutdown",
        }
    }
}

/// One authenticated connection.
pub(super) struct Connection {
    number: u64,
    identity: PeerIdentity,
    chain: Arc<[CertificateDer<'static>]>,
    carrier: Carrier,
    dialled: bool,
    since: Instant,
    stage: Mutex<Stage>,
    drained: CancellationToken,
    closed: CancellationToken,
    reason: OnceLock<CloseReason>,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

/// How far a connection got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Authenticated; no session yet, or one whose peer has said nothing.
    Opening,
    /// A session in which the peer has spoken.
    Open,
    /// The session ended.
    Done(Instant),
}

impl Connection {
    pub(super) fn identity(&self) -> &PeerIdentity {
        &self.identity
    }

    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    pub(super) fn carrier(&self) -> Carrier {
        self.carrier
    }

    pub(super) fn dialled(&self) -> bool {
        self.dialled
    }

    /// When the peer was accepted or dialled, before any handshake.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn stage(&self) -> Stage {
        *lock(&self.stage)
    }

    pub(super) fn spoke(&self) {
        let mut stage = lock(&self.stage);
        if *stage == Stage::Opening {
            *stage = Stage::Open;
        }
    }

    /// Cuts the byte stream. The first reason counts.
    pub(super) fn close(&self, reason: CloseReason) {
        if self.reason.set(reason).is_ok() {
            self.closed.cancel();
        }
    }

    pub(super) fn close_reason(&self) -> Option<&CloseReason> {
        self.reason.get()
    }

    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    pub(super) fn closed_owned(&self) -> WaitForCancellationFutureOwned {
        self.closed.clone().cancelled_owned()
    }

    /// Waits until the session is asked to end, with its last frames still going out.
    pub(super) async fn drained(&self) {
        self.drained.cancelled().await;
    }

    pub(super) fn count_received(&self, bytes: usize) {
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            identity,
            carrier,
            dialled,
            ..
        } = self;
        write!(
            f,
            "Connection({number}, {}/{}, {carrier}, dialled {dialled})",
            identity.member(),
            identity.node()
        )
    }
}

/// One connection in [`super::Status`].
#[derive(Clone, Debug, serde::Serialize)]
pub struct ConnectionStatus {
    /// The member at the other end.
    pub member: MemberId,
    /// Its node.
    pub node: icomm_pki::NodeName,
    /// What carries it.
    pub carrier: Carrier,
    /// Whether this node dialled.
    pub dialled: bool,
    /// Whether a session runs on it.
    pub session: bool,
    /// Age in seconds.
    pub age_s: u64,
    /// Bytes of frames received.
    pub received_bytes: u64,
    /// Bytes of frames sent.
    pub sent_bytes: u64,
}

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
            .filter(|c| !c.dialled && c.identity.member() == member)
            .count();
        if !dialled && held >= max {
            return Err(TooManyConnections {
                member: member.clone(),
                max,
            });
        }
        live.next += 1;
        let connection = Arc::new(Connection {
            number: live.next,
            identity,
            chain,
            carrier,
            dialled,
            since,
            stage: Mutex::new(Stage::Opening),
            drained: CancellationToken::new(),
            closed: CancellationToken::new(),
            reason: OnceLock::new(),
            received_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
        });
        live.connections.insert(connection.number, Arc::clone(&connection));
        meter::connections(connection.identity.member(), carrier).increment(1.0);
        Ok(Registered {
            registry: self.clone(),
            connection,
        })
    }

    /// Makes `connection` the session with its node. When both dialled at once, both sides keep the same one: a
    /// direct connection before a relayed one, then the one dialled by the smaller PeerId; of two dialled by the
    /// same side the newer, since nobody dials who believes the older one alive.
    pub(super) fn begin(&self, connection: &Arc<Connection>) -> Result<Session, AlreadyLinked> {
        let peer = connection.identity.peer_id();
        let mut live = lock(&self.0.live);
        if let Some(held) = live.sessions.get(&peer)
            && held.reason.get().is_none()
        {
            if held.number == connection.number || self.rank(connection) > self.rank(held) {
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
        let dialler = if connection.dialled {
            self.0.local
        } else {
            connection.identity.peer_id()
        };
        (connection.carrier == Carrier::Relayed, dialler)
    }

    /// Closes every connection for which `judge` has a reason; returns how many.
    pub(super) fn close_where(&self, mut judge: impl FnMut(&Connection) -> Option<CloseReason>) -> usize {
        // Judged outside the lock: a check of certificates takes longer than others should wait for.
        let connections: Vec<_> = lock(&self.0.live).connections.values().cloned().collect();
        let mut count = 0;
        for connection in connections
            .iter()
            .filter(|connection| connection.reason.get().is_none())
        {
            if let Some(reason) = judge(connection) {
                tracing::info!(peer = %connection.identity.member(), node = %connection.identity.node(),
                    carrier = %connection.carrier, %reason, "connection closed");
                connection.close(reason);
                count += 1;
            }
        }
        count
    }

    /// Asks every session to end.
    pub(super) fn drain(&self) {
        for connection in lock(&self.0.live).connections.values() {
            connection.drained.cancel();
        }
    }

    /// The session with any node that `wanted` accepts.
    pub(super) fn session(&self, wanted: impl Fn(&PeerIdentity) -> bool) -> Option<Arc<Connection>> {
        let live = lock(&self.0.live);
        live.sessions
            .values()
            .find(|held| held.reason.get().is_none() && wanted(&held.identity))
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
        let mut all: Vec<_> = live
            .connections
            .values()
            .map(|c| ConnectionStatus {
                member: c.identity.member().clone(),
                node: c.identity.node().clone(),
                carrier: c.carrier,
                dialled: c.dialled,
                session: live
                    .sessions
                    .get(&c.identity.peer_id())
                    .is_some_and(|held| held.number == c.number),
                age_s: c.since.elapsed().as_secs(),
                received_bytes: c.received_bytes.load(Ordering::Relaxed),
                sent_bytes: c.sent_bytes.load(Ordering::Relaxed),
            })
            .collect();
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
        lock(&self.registry.0.live).connections.remove(&self.connection.number);
        meter::connections(self.connection.identity.member(), self.connection.carrier).decrement(1.0);
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
        *lock(&self.connection.stage) = Stage::Done(Instant::now());
        let mut live = lock(&self.registry.0.live);
        let peer = self.connection.identity.peer_id();
        if live
            .sessions
            .get(&peer)
            .is_some_and(|held| held.number == self.connection.number)
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
