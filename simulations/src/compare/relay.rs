//! A TCP relay on loopback between two nodes: it counts what passes on the sockets, told apart into the TLS handshake and
//! what the session says after it, and can hold every byte back for a while, as a long line does.
//!
//! ```text
//!  dialler ──▶ record heads are read ──▶ held back by `delay` ──▶ target        and the same the other way
//! ```
//!
//! What is encrypted is not looked into. Of the two flights of a TLS 1.3 handshake, rustls sends all that is encrypted (the
//! certificates and what follows them) as one record, and there are no session tickets: so what comes after the first
//! encrypted record of each side is the session's. `Direction::handshake` checks that by its size.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::{mpsc, watch},
    task::AbortHandle,
    time::Instant,
};

/// Bytes before the content of a TLS record: type, version, length.
const RECORD_HEAD: usize = 5;
/// The type of an encrypted record.
const ENCRYPTED: u8 = 23;
/// A certificate chain takes more than this, whatever a session says first takes less.
const CERTIFICATES_BYTES_MIN: u64 = 500;
/// Pieces on their way in one direction.
const PIECES_MAX: usize = 1024;

/// A relay to one address. Dropping it cuts what passes through it.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

struct Shared {
    target: SocketAddr,
    delay: Mutex<Duration>,
    /// The connection that was accepted last.
    passage: watch::Sender<Option<Arc<Passage>>>,
}

/// One connection through the relay.
pub struct Passage {
    /// When the dialler was accepted.
    pub since: Instant,
    counts: Mutex<[Direction; 2]>,
    cut: watch::Sender<bool>,
}

/// What went one way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direction {
    /// Bytes of the TLS handshake.
    handshake: u64,
    /// Bytes after it.
    session: u64,
    /// The length of the first encrypted record.
    flight: u64,
    /// When the session's first byte was handed in, and when its last came out at the other end.
    span: Option<(Instant, Instant)>,
}

/// What passed, both ways together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// Bytes of the TLS handshake.
    pub handshake_bytes: u64,
    /// Bytes of the session, TLS records and HTTP/2 included.
    pub session_bytes: u64,
    /// From the session's first byte, handed in, to its last, delivered.
    pub session: Duration,
    /// From the accepted connection to the session's last byte, delivered.
    pub whole: Duration,
}

impl Relay {
    /// A relay to `target` that holds nothing back yet.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn to(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            delay: Mutex::default(),
            passage: watch::Sender::new(None),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone())).abort_handle();
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// Where to dial instead of the target.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds back every byte of connections to come, each way.
    pub fn hold_back(&self, delay: Duration) {
        *lock(&self.shared.delay) = delay;
    }

    /// Waits until somebody has dialled and nothing more was said for `quiet`: then both sides are done with each other.
    ///
    /// # Errors
    /// Nobody dials, or it does not become quiet, `within` that time; or what passed is not TLS as rustls speaks it.
    pub async fn settled(&self, quiet: Duration, within: Duration) -> anyhow::Result<Passed> {
        let deadline = Instant::now() + within;
        let mut passages = self.shared.passage.subscribe();
        let passage = tokio::time::timeout_at(deadline, passages.wait_for(Option::is_some)).await;
        let passage = passage
            .map_err(|_| anyhow::anyhow!("nobody dialled the relay within {within:?}"))??
            .clone();
        let passage = passage.ok_or_else(|| anyhow::anyhow!("there is no connection"))?;
        loop {
            tokio::time::sleep(quiet / 10).await;
            let last = lock(&passage.counts)
                .iter()
                .filter_map(|way| way.span)
                .map(|span| span.1)
                .max();
            if last.is_some_and(|last| Instant::now() > last + quiet) {
                return passage.passed();
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the session does not fall silent within {within:?}"
            );
        }
    }

    /// Forgets the connection and cuts it: the next one is counted for itself.
    pub fn cut(&self) {
        if let Some(passage) = self.shared.passage.send_replace(None) {
            passage.cut.send_replace(true);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.accepting.abort();
    }
}

impl Passage {
    fn passed(&self) -> anyhow::Result<Passed> {
        let counts = *lock(&self.counts);
        let spans = || counts.iter().filter_map(|way| way.span);
        let (first, last) = (spans().map(|span| span.0).min(), spans().map(|span| span.1).max());
        let (Some(first), Some(last)) = (first, last) else {
            anyhow::bail!("no session was begun on the connection");
        };
        Ok(Passed {
            handshake_bytes: counts.iter().map(Direction::handshake).sum::<anyhow::Result<u64>>()?,
            session_bytes: counts.iter().map(|way| way.session).sum(),
            session: last - first,
            whole: last - self.since,
        })
    }
}

impl Direction {
    /// Bytes of the handshake; an error if they can't be told from the session's.
    fn handshake(&self) -> anyhow::Result<u64> {
        anyhow::ensure!(
            self.flight > CERTIFICATES_BYTES_MIN,
            "the first encrypted record has {} bytes, too few for a certificate chain: this is no TLS 1.3 as rustls speaks it",
            self.flight
        );
        Ok(self.handshake)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((dialler, _)) = listener.accept().await {
        let passage = Arc::new(Passage {
            since: Instant::now(),
            counts: Mutex::default(),
            cut: watch::Sender::new(false),
        });
        let delay = *lock(&shared.delay);
        let target = shared.target;
        shared.passage.send_replace(Some(passage.clone()));
        tokio::spawn(async move {
            let mut cut = passage.cut.subscribe();
            tokio::select! {
                _ = cut.wait_for(|cut| *cut) => {}
                _ = carry(dialler, target, delay, &passage) => {}
            }
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "a relay is what makes this connection")]
async fn carry(dialler: TcpStream, target: SocketAddr, delay: Duration, passage: &Passage) -> io::Result<()> {
    let target = TcpStream::connect(target).await?;
    dialler.set_nodelay(true)?;
    target.set_nodelay(true)?;
    let ((from_dialler, to_dialler), (from_target, to_target)) = (dialler.into_split(), target.into_split());
    tokio::try_join!(
        one_way(from_dialler, to_target, delay, passage, 0),
        one_way(from_target, to_dialler, delay, passage, 1),
    )?;
    Ok(())
}

/// Carries one direction; reading never waits for the bytes held back.
async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    passage: &Passage,
    way: usize,
) -> io::Result<()> {
    let (hand_over, mut held) = mpsc::channel::<(Instant, Vec<u8>, bool)>(PIECES_MAX);
    let read = async move {
        let mut records = Records::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = from.read(&mut buffer).await?;
            let piece = buffer.get(..count).unwrap_or_default().to_vec();
            let now = Instant::now();
            let session = records.read(&piece, |change| {
                if let Some(direction) = lock(&passage.counts).get_mut(way) {
                    change.add_to(direction);
                    if change.session && direction.span.is_none() {
                        direction.span = Some((now, now));
                    }
                }
            });
            if count == 0 || hand_over.send((now + delay, piece, session)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async {
        while let Some((due, piece, session)) = held.recv().await {
            // Asked first, since the timer's tick is a millisecond.
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            to.write_all(&piece).await?;
            if let Some((_, last)) = lock(&passage.counts).get_mut(way).and_then(|way| way.span.as_mut())
                && session
            {
                *last = Instant::now();
            }
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write)?;
    Ok(())
}

/// Follows the records of one direction through pieces cut anywhere.
#[derive(Default)]
struct Records {
    head: Vec<u8>,
    /// Bytes of the record under way that are still to come.
    left: usize,
    /// Whether the record under way is of the session.
    session: bool,
    /// Whether the encrypted flight of the handshake has begun.
    flown: bool,
}

/// Some bytes of one kind.
struct Change {
    bytes: u64,
    session: bool,
    /// The length of the handshake's encrypted record, when it begins.
    flight: Option<u64>,
}

impl Change {
    fn add_to(&self, direction: &mut Direction) {
        match self.session {
            true => direction.session += self.bytes,
            false => direction.handshake += self.bytes,
        }
        if let Some(flight) = self.flight {
            direction.flight = flight;
        }
    }
}

impl Records {
    /// Whether any byte of the piece is the session's.
    fn read(&mut self, mut piece: &[u8], mut each: impl FnMut(Change)) -> bool {
        let mut any = false;
        while !piece.is_empty() {
            if self.left > 0 {
                let (content, rest) = piece.split_at(self.left.min(piece.len()));
                self.left -= content.len();
                piece = rest;
                any |= self.session;
                each(Change {
                    bytes: content.len() as u64,
                    session: self.session,
                    flight: None,
                });
                continue;
            }
            let (head, rest) = piece.split_at((RECORD_HEAD - self.head.len()).min(piece.len()));
            self.head.extend_from_slice(head);
            piece = rest;
            let &[kind, _, _, high, low] = self.head.as_slice() else {
                continue;
            };
            self.head.clear();
            self.left = usize::from(u16::from_be_bytes([high, low]));
            self.session = kind == ENCRYPTED && self.flown;
            let flight = (kind == ENCRYPTED && !self.flown).then_some(self.left as u64);
            self.flown |= kind == ENCRYPTED;
            any |= self.session;
            each(Change {
                bytes: RECORD_HEAD as u64,
                session: self.session,
                flight,
            });
        }
        any
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::{Direction, Records, Relay};

    /// A hello in clear, a flight of 600 encrypted bytes, a session's record of 20.
    fn spoken() -> Vec<u8> {
        let record = |kind: u8, len: u16| {
            let [high, low] = len.to_be_bytes();
            let mut bytes = vec![kind, 3, 3, high, low];
            bytes.resize(5 + usize::from(len), 7);
            bytes
        };
        [record(22, 100), record(20, 1), record(23, 600), record(23, 20)].concat()
    }

    #[test]
    fn records_are_told_apart_wherever_they_are_cut() {
        let spoken = spoken();
        for size in 1..spoken.len() {
            let (mut records, mut direction) = (Records::default(), Direction::default());
            for piece in spoken.chunks(size) {
                records.read(piece, |change| change.add_to(&mut direction));
            }
            assert_eq!((direction.handshake, direction.session), (105 + 6 + 605, 25));
            assert_eq!(direction.handshake().unwrap(), 716);
        }
        assert!(Direction::default().handshake().is_err());
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the test is the dialler")]
    async fn what_passes_is_counted_and_held_back() {
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Relay::to(target.local_addr().unwrap()).await.unwrap();
        relay.hold_back(Duration::from_millis(30));
        let mut dialler = TcpStream::connect(relay.address()).await.unwrap();
        let (mut accepted, _) = target.accept().await.unwrap();
        let spoken = spoken();
        dialler.write_all(&spoken).await.unwrap();
        let mut heard = vec![0; spoken.len()];
        accepted.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, spoken);
        accepted.write_all(&spoken).await.unwrap();
        dialler.read_exact(&mut heard).await.unwrap();

        let passed = relay
            .settled(Duration::from_millis(50), Duration::from_secs(10))
            .await
            .unwrap();
        assert_eq!((passed.handshake_bytes, passed.session_bytes), (2 * 716, 2 * 25));
        assert!(passed.session >= Duration::from_millis(60), "{:?}", passed.session);

        relay.cut();
        assert_eq!(dialler.read(&mut heard).await.unwrap_or(0), 0);
        assert!(
            relay
                .settled(Duration::from_millis(1), Duration::from_millis(20))
                .await
                .is_err()
        );
    }
}
