//! Drives the core's sessions over real links: one task a link, tokio around [`Session`].
//!
//! The task owns its session and never waits for the disk or the peer while events are pending: frames to the peer wait in
//! an outbox (the session's windows bound it), frames from the peer are left unread while too much of what it sent is still
//! on its way to the disk, so that HTTP/2's flow control slows it down and nobody else. What takes long (hashing a large
//! chunk, reading far back) is announced to the runtime; for what is small that would cost more than the work.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::future::BoxFuture;
use icomm_pki::PeerIdentity;
use icomm_proto::{Origin, v1::Frame};
use serde::Serialize;
use tokio::sync::{Notify, broadcast, mpsc, watch};

use crate::core::exchange::{Exchange, Link, Mailbox};
use crate::core::routes::LinkId;
use crate::core::session::{Action, Closed, Event, Peer, Session};
use crate::environment::Environment;
use crate::link::{Carrier, FrameStream, SessionHandler};

mod parcels;

pub use parcels::{Composed, PostError, Posted};

/// Chunks of one peer that may be on their way to the disk.
const STORING_MAX: usize = 8;
/// Frames waiting for one peer before nothing more is read from it.
const OUTBOX_FRAMES_MAX: usize = 64;
/// A chunk up to this length is verified in a moment.
const SMALL_CHUNK_BYTES_MAX: usize = 64 << 10;
/// So many entries from the end of a log are read and disclosed in a moment.
const SMALL_READ_ENTRIES_MAX: u64 = 64;
/// Growth that a slow subscriber may lag behind; it then reads on from its cursor.
const GROWTH_MAX: usize = 4096;

/// What became durable of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChange {
    /// Which log.
    pub origin: Origin,
    /// How it changed.
    pub change: Change,
}

/// How a log changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It has so many entries now.
    Grew(u64),
    /// More is held of these entries, ascending.
    Widened(Arc<[u64]>),
}

/// Events for sessions, by link.
#[derive(Debug)]
pub struct Post {
    boxes: Mutex<BTreeMap<LinkId, mpsc::UnboundedSender<Event>>>,
    changed: watch::Sender<u64>,
    growth: broadcast::Sender<LogChange>,
    unsigned: Notify,
}

impl Post {
    /// No sessions yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            boxes: Mutex::default(),
            changed: watch::Sender::new(0),
            growth: broadcast::Sender::new(GROWTH_MAX),
            unsigned: Notify::new(),
        })
    }

    /// Resolves whenever an agreement or the bundle changed, or a log is there that was not.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Resolves when something waits for a key that takes long.
    pub async fn unsigned(&self) {
        self.unsigned.notified().await;
    }

    /// Growth of any log from now on, and wider views of what it has. A subscriber that lags reads on from its cursor.
    pub fn growth(&self) -> broadcast::Receiver<LogChange> {
        self.growth.subscribe()
    }

    fn tell(&self, origin: &Origin, change: impl FnOnce() -> Change) {
        if self.growth.receiver_count() > 0 {
            let (origin, change) = (origin.clone(), change());
            // Nobody listening any more is no fault.
            let _ = self.growth.send(LogChange { origin, change });
        }
    }

    /// Ends every session with a refusal.
    pub fn stop_all(&self, code: &'static str, message: &str) {
        let boxes = self.boxes.lock().unwrap_or_else(PoisonError::into_inner);
        for mailbox in boxes.values() {
            let _ = mailbox.send(Event::Stop {
                code,
                message: message.to_owned(),
            });
        }
    }
}

impl Mailbox for Post {
    fn post(&self, link: LinkId, event: Event) {
        let boxes = self.boxes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mailbox) = boxes.get(&link) {
            // Fails only when the session just ended.
            let _ = mailbox.send(event);
        }
    }

    fn changed(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn grew(&self, origin: &Origin, size: u64) {
        self.tell(origin, || Change::Grew(size));
    }

    fn unsigned(&self) {
        self.unsigned.notify_one();
    }

    fn widened(&self, origin: &Origin, entries: Vec<u64>) {
        self.tell(origin, || Change::Widened(entries.into()));
    }
}

/// A live session, as `status` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct SessionStatus {
    /// The peer.
    pub member: String,
    /// Its node.
    pub node: String,
    /// What the link runs on.
    pub carrier: Carrier,
    /// Whether this node dialled.
    pub dialled: bool,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// Entries sent in chunks.
    pub sent_entries: u64,
    /// Entries received in chunks.
    pub received_entries: u64,
}

/// Runs a session for every link that comes up.
pub struct Sessions {
    exchange: Arc<Exchange>,
    post: Arc<Post>,
    environment: Environment,
    live: Arc<Mutex<BTreeMap<LinkId, Live>>>,
}

/// A live session: what never changes of its status, and what its task counts.
struct Live {
    opened: SessionStatus,
    counts: Arc<Counts>,
}

/// Entries in chunks so far.
#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Sessions {
    /// Sessions over the node's shared state. `post` is the mailbox that `exchange` was made with.
    pub fn new(exchange: Arc<Exchange>, post: Arc<Post>, environment: Environment) -> Self {
        Self {
            exchange,
            post,
            environment,
            live: Arc::default(),
        }
    }

    /// The live sessions.
    pub fn live(&self) -> Vec<SessionStatus> {
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .map(|Live { opened, counts }| SessionStatus {
                sent_entries: counts.sent.load(Ordering::Relaxed),
                received_entries: counts.received.load(Ordering::Relaxed),
                ..opened.clone()
            })
            .collect()
    }
}

impl Sessions {
    /// Enters a new session in the shared tables.
    fn register(&self, link: Link) -> (Registered, mpsc::UnboundedReceiver<Event>) {
        let (mailbox, events) = mpsc::unbounded_channel();
        self.post
            .boxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(link.id(), mailbox);
        let registered = Registered {
            link,
            exchange: self.exchange.clone(),
            post: self.post.clone(),
            live: self.live.clone(),
        };
        (registered, events)
    }
}

impl SessionHandler for Sessions {
    fn open(
        &self,
        identity: PeerIdentity,
        carrier: Carrier,
        dialled: bool,
        frames_in: FrameStream,
        frames_out: mpsc::Sender<Frame>,
    ) -> BoxFuture<'static, ()> {
        let peer = Peer {
            member: identity.member().clone(),
            node: identity.node().clone(),
            role: identity.role(),
        };
        let (registered, events) = self.register(self.exchange.opened(peer.clone()));
        let id = registered.link.id();
        let counts = Arc::new(Counts::default());
        let opened = SessionStatus {
            member: peer.member.to_string(),
            node: peer.node.to_string(),
            carrier,
            dialled,
            since: self.environment.unix_now(),
            sent_entries: 0,
            received_entries: 0,
        };
        self.live.lock().unwrap_or_else(PoisonError::into_inner).insert(
            id,
            Live {
                opened,
                counts: counts.clone(),
            },
        );
        let changed = self.post.changes();
        Box::pin(async move {
            let driver = Driver {
                session: Session::new(peer),
                outbox: VecDeque::new(),
                storing: 0,
                closed: None,
                counts,
                registered,
            };
            driver.run(frames_in, frames_out, events, changed).await;
        })
    }
}

/// A session's entries in the shared tables, gone with it however it ends.
struct Registered {
    link: Link,
    exchange: Arc<Exchange>,
    post: Arc<Post>,
    live: Arc<Mutex<BTreeMap<LinkId, Live>>>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.post
            .boxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.link.id());
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.link.id());
        self.exchange.closed(self.link.id());
    }
}

struct Driver {
    session: Session,
    outbox: VecDeque<Frame>,
    storing: usize,
    closed: Option<Closed>,
    counts: Arc<Counts>,
    registered: Registered,
}

impl Driver {
    async fn run(
        mut self,
        mut frames_in: FrameStream,
        frames_out: mpsc::Sender<Frame>,
        mut events: mpsc::UnboundedReceiver<Event>,
        mut changed: watch::Receiver<u64>,
    ) {
        self.handle(Event::Opened);
        while self.closed.is_none() || !self.outbox.is_empty() {
            if self.closed.is_none() && self.outbox.is_empty() && self.session.awaits_spare() {
                self.handle(Event::Spare);
            }
            let listening =
                self.closed.is_none() && self.storing < STORING_MAX && self.outbox.len() < OUTBOX_FRAMES_MAX;
            tokio::select! {
                permit = frames_out.reserve(), if !self.outbox.is_empty() => match (permit, self.outbox.pop_front()) {
                    (Ok(permit), Some(frame)) => permit.send(frame),
                    _ => return,
                },
                event = events.recv() => match event {
                    Some(event) => self.handle(event),
                    None => return,
                },
                result = changed.changed() => match result {
                    Ok(()) => self.handle(Event::Changed),
                    Err(_) => return,
                },
                frame = frames_in.next(), if listening => match frame {
                    Some(Ok(frame)) => self.handle(Event::Frame(frame)),
                    Some(Err(_)) | None => return,
                },
            }
        }
        if let Some(Closed {
            code,
            message,
            peers_fault,
        }) = &self.closed
        {
            let peer = self.session.peer();
            tracing::info!(peer = %peer.member, node = %peer.node, code, message, peers_fault, "session over");
            if *peers_fault {
                let labels = [("peer", peer.member.to_string()), ("code", code.clone())];
                metrics::counter!("icomm_broken_sessions_total", &labels).increment(1);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        if is_answer_of_storing(&event) {
            self.storing = self.storing.saturating_sub(1);
        }
        let Registered { link, exchange, .. } = &self.registered;
        let mut actions = Vec::new();
        self.session.handle(event, &exchange.world(link), &mut actions);
        for action in actions {
            match action {
                Action::Send(frame) => self.outbox.push_back(frame),
                Action::Close(closed) => self.closed = Some(closed),
                action => {
                    self.storing += usize::from(is_answered_when_stored(&action));
                    match takes_long(&action) {
                        true => tokio::task::block_in_place(|| exchange.perform(link, action)),
                        false => exchange.perform(link, action),
                    }
                }
            }
        }
        let (sent, received) = self.session.entries();
        self.counts.sent.store(sent, Ordering::Relaxed);
        self.counts.received.store(received, Ordering::Relaxed);
    }
}

fn is_answer_of_storing(event: &Event) -> bool {
    matches!(
        event,
        Event::Stored { .. } | Event::Refilled(_) | Event::Faulty { .. } | Event::PieceKept { .. } | Event::PieceFaulty
    )
}

/// Whether [an answer](is_answer_of_storing) will come of it.
fn is_answered_when_stored(action: &Action) -> bool {
    match action {
        Action::Accept(_) | Action::KeepPiece { .. } => true,
        Action::Refill(refill) => refill.chunk.is_some(),
        _ => false,
    }
}

/// Whether an action may hold up the tasks that share this thread: it reads from far back, hashes much, or syncs.
fn takes_long(action: &Action) -> bool {
    match action {
        Action::Accept(chunk) => chunk.body.len() > SMALL_CHUNK_BYTES_MAX,
        Action::Read { entries, .. } => *entries > SMALL_READ_ENTRIES_MAX,
        Action::Refill(refill) => {
            let chunk = refill.chunk.as_ref();
            chunk.is_some_and(|chunk| chunk.body.len() > SMALL_CHUNK_BYTES_MAX)
        }
        Action::Look { from, until, .. } => until.saturating_sub(*from) > SMALL_READ_ENTRIES_MAX,
        Action::ReadPiece { .. } | Action::KeepPiece { .. } => true,
        Action::Adopt(_)
        | Action::Consider(_)
        | Action::Recalled(_)
        | Action::Erased(_)
        | Action::CallBack(_)
        | Action::CalledBack(_) => true,
        _ => false,
    }
}
