//! A node under test: real links, and a handler that hands every session to the test.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, future::BoxFuture};
use icomm_pki::{MemberId, NodeCredentials, PeerIdentity, VerifiedBundle};
use icomm_proto::v1::{Frame, Head, Hello, frame::Body};
use tokio::sync::{mpsc, oneshot};

use crate::environment::{Clock, Environment};
use crate::link::{Address, BindError, Carrier, Config, FrameStream, LinkLost, Links, Peer, SessionHandler};
use crate::observe::metrics_of_tests;

/// Generous: these tests share two cores with others.
pub(super) const SOON: Duration = Duration::from_secs(20);

pub(super) const TLS: &str = "tls://127.0.0.1:0";
pub(super) const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
pub(super) const TCP: &str = "/ip4/127.0.0.1/tcp/0";

pub(super) struct Node {
    pub(super) links: Links,
    pub(super) member: MemberId,
    sessions: mpsc::UnboundedReceiver<Session>,
}

/// One side of a session. Dropping it ends the session.
pub(super) struct Session {
    pub(super) peer: PeerIdentity,
    pub(super) carrier: Carrier,
    pub(super) dialled: bool,
    pub(super) frames_in: FrameStream,
    pub(super) frames_out: mpsc::Sender<Frame>,
    _end: oneshot::Sender<()>,
}

struct Handler(mpsc::UnboundedSender<Session>);

impl SessionHandler for Handler {
    fn open(
        &self,
        peer: PeerIdentity,
        carrier: Carrier,
        dialled: bool,
        frames_in: FrameStream,
        frames_out: mpsc::Sender<Frame>,
    ) -> BoxFuture<'static, ()> {
        let sessions = self.0.clone();
        Box::pin(async move {
            let (end, ended) = oneshot::channel();
            let hello = Frame {
                body: Some(Body::Hello(Hello {
                    protocol: 1,
                    ..Hello::default()
                })),
            };
            if frames_out.send(hello).await.is_err() {
                return;
            }
            let _ = sessions.send(Session {
                peer,
                carrier,
                dialled,
                frames_in,
                frames_out,
                _end: end,
            });
            let _ = ended.await;
        })
    }
}

pub(super) fn head(origin: &str, bytes: usize) -> Frame {
    Frame {
        body: Some(Body::Head(Head {
            origin: origin.to_owned(),
            checkpoint: vec![7; bytes].into(),
        })),
    }
}

impl Session {
    /// The next frame, past the hello.
    pub(super) async fn next(&mut self) -> Result<Frame, LinkLost> {
        loop {
            let next = tokio::time::timeout(SOON, self.frames_in.next())
                .await
                .expect("a frame in time");
            match next.unwrap_or(Err(LinkLost::Broken("ended".to_owned())))? {
                Frame {
                    body: Some(Body::Hello(_)),
                } => {}
                frame => return Ok(frame),
            }
        }
    }

    /// Sends a frame from `self` and takes it at `other`.
    pub(super) async fn carries(&self, other: &mut Session, bytes: usize) {
        let frame = head("KE/main", bytes);
        self.frames_out.send(frame.clone()).await.unwrap();
        assert_eq!(other.next().await.unwrap(), frame);
    }

    /// Waits until the session is gone; tells why.
    pub(super) async fn gone(&mut self) -> LinkLost {
        loop {
            if let Err(lost) = self.next().await {
                return lost;
            }
        }
    }
}

pub(super) fn config(listen: &[&str]) -> Config {
    Config {
        listen: listen.iter().map(|text| text.parse().unwrap()).collect(),
        ..quick()
    }
}

/// Short pauses, so that tests needn't wait for what production may wait for.
pub(super) fn quick() -> Config {
    let mut config = Config::default();
    config.limits.retry_delay_ms_min = 50;
    config.limits.retry_delay_ms_max = 1_000;
    config
}

/// A clock that a test can move: seconds ahead of the real one.
pub(super) fn movable() -> (Environment, Arc<AtomicI64>) {
    let ahead = Arc::new(AtomicI64::new(0));
    let clock = Arc::new(Ahead(Arc::clone(&ahead)));
    (
        Environment {
            clock,
            ..Environment::system()
        },
        ahead,
    )
}

struct Ahead(Arc<AtomicI64>);

impl Clock for Ahead {
    fn now(&self) -> time::OffsetDateTime {
        time::OffsetDateTime::now_utc() + time::Duration::seconds(self.0.load(Ordering::SeqCst))
    }
}

impl Node {
    pub(super) async fn start(
        credentials: &Arc<NodeCredentials>,
        bundle: &Arc<VerifiedBundle>,
        config: Config,
    ) -> Self {
        Self::try_start(credentials, bundle, config, Environment::system())
            .await
            .unwrap()
    }

    pub(super) async fn try_start(
        credentials: &Arc<NodeCredentials>,
        bundle: &Arc<VerifiedBundle>,
        config: Config,
        environment: Environment,
    ) -> Result<Self, BindError> {
        metrics_of_tests();
        let (sender, sessions) = mpsc::unbounded_channel();
        let (credentials, bundle) = (Arc::clone(credentials), Arc::clone(bundle));
        let member = credentials.member().clone();
        let links = Links::bind(config, credentials, bundle, environment, Arc::new(Handler(sender))).await?;
        Ok(Self {
            links,
            member,
            sessions,
        })
    }

    pub(super) async fn session(&mut self) -> Session {
        tokio::time::timeout(SOON, self.sessions.recv())
            .await
            .expect("a session in time")
            .unwrap()
    }

    /// A session that has begun already, if any.
    pub(super) fn session_now(&mut self) -> Option<Session> {
        self.sessions.try_recv().ok()
    }

    /// Waits for `patience`; whether no session began.
    pub(super) async fn stays_alone(&mut self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.sessions.recv()).await.is_err()
    }

    pub(super) fn addresses(&self) -> Vec<Address> {
        self.links.status().listening
    }

    pub(super) fn dial(&self, other: &Node) {
        self.links.dial(other.as_peer());
    }

    pub(super) fn as_peer(&self) -> Peer {
        Peer {
            member: self.member.clone(),
            node: None,
            addresses: self.addresses(),
        }
    }
}

/// Two nodes, the second dialling the first.
pub(super) async fn linked(a: &mut Node, b: &mut Node) -> (Session, Session) {
    b.dial(a);
    let of_b = b.session().await;
    (a.session().await, of_b)
}

/// Whether a metric line with all of these parts counts something.
pub(super) fn counted(parts: &[&str]) -> bool {
    let all = metrics_of_tests().render();
    all.lines()
        .any(|line| parts.iter().all(|part| line.contains(part)) && !line.ends_with(" 0"))
}

/// Waits until `done`, or fails with `what`.
pub(super) async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let until = tokio::time::Instant::now() + SOON;
    while !done() {
        assert!(tokio::time::Instant::now() < until, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
