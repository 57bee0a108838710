//! One authenticated connection: who is at its other end, how far it got, and the switch that cuts it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use icomm_pki::{CertificateDer, MemberId, NodeName, PeerId, PeerIdentity};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::Carrier;

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
    /// libp2p failed under it.
    #[error("its carrier failed")]
    Carrier,
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
            Self::Carrier => "carrier",
            Self::BadFrame => "bad-frame",
            Self::Finished => "finished",
            Self::Requested => "requested",
            Self::Shutdown => "shutdown",
        }
    }
}

/// One connection in [`Status`](super::Status).
#[derive(Clone, Debug, serde::Serialize)]
pub struct ConnectionStatus {
    /// The member at the other end.
    pub member: MemberId,
    /// Its node.
    pub node: NodeName,
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
    /// `number` is unique in its registry; `since` is when the peer was accepted or dialled.
    pub(super) fn new(
        number: u64,
        identity: PeerIdentity,
        chain: Arc<[CertificateDer<'static>]>,
        carrier: Carrier,
        dialled: bool,
        since: Instant,
    ) -> Self {
        Self {
            number,
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
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn peer_id(&self) -> PeerId {
        self.identity.peer_id()
    }

    pub(super) fn member(&self) -> &MemberId {
        self.identity.member()
    }

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
        *self.lock_stage()
    }

    /// The peer's first frame arrived.
    pub(super) fn spoke(&self) {
        let mut stage = self.lock_stage();
        if *stage == Stage::Opening {
            *stage = Stage::Open;
        }
    }

    /// The session is over.
    pub(super) fn done(&self) {
        *self.lock_stage() = Stage::Done(Instant::now());
    }

    /// A panic elsewhere doesn't spoil a stage, which is valid whenever it is there.
    fn lock_stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the byte stream. The first reason counts.
    pub(super) fn close(&self, reason: CloseReason) {
        if self.reason.set(reason).is_ok() {
            self.closed.cancel();
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.reason.get().is_some()
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

    /// Asks the session to end.
    pub(super) fn drain(&self) {
        self.drained.cancel();
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

    /// What status says of it; whether a session runs on it is the registry's to know.
    pub(super) fn status(&self, session: bool) -> ConnectionStatus {
        ConnectionStatus {
            member: self.identity.member().clone(),
            node: self.identity.node().clone(),
            carrier: self.carrier,
            dialled: self.dialled,
            session,
            age_s: self.since.elapsed().as_secs(),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
        }
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
