//! A client of a NATS server over mutual TLS 1.3: publishes, asks and subscribes.
//!
//! ```text
//!  ask ──▶ outgoing buffer ──▶ writer task ──▶ TLS ──▶ server ──▶ reader task ──┬▶ the answer that waits under its number
//!          (what gathers while it writes goes in one piece)                     └▶ the subscription
//! ```
//!
//! It is small because the comparison is of servers: whatever the client saves on, NATS gains.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use rustls::ClientConfig;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf},
    net::TcpStream,
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::wire::{self, Incoming, Message};

/// The subscription under which answers come.
const ANSWERS: u64 = 1;

/// Messages of a subscription that nobody has taken yet; when there are more, reading waits.
const UNTAKEN_MAX: usize = 4096;

/// The longest greeting that is read.
const GREETING_BYTES_MAX: u64 = 64 * 1024;

/// Bytes that are read at once at most.
const READ_BYTES_MAX: usize = 64 * 1024;

/// How many connections there have been.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// A connection. Dropping it closes it.
pub(super) struct Client {
    shared: Arc<Shared>,
    inbox: String,
    next: AtomicU64,
    tasks: [JoinHandle<()>; 2],
}

/// A message of a subscription.
pub(super) struct Arrival {
    /// When it came.
    pub(super) at: Instant,
    pub(super) payload: Bytes,
}

#[derive(Default)]
struct Shared {
    /// What is to be written. Those who ask bound it: each has a limit of answers that it waits for.
    outgoing: Mutex<Vec<u8>>,
    filled: Notify,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    answers: HashMap<u64, oneshot::Sender<Message>>,
    subscriptions: HashMap<u64, mpsc::Sender<Arrival>>,
    /// Why the connection is no more.
    ended: Option<String>,
}

/// The answer to come. An error says why there is none.
pub(super) struct Answer {
    shared: Arc<Shared>,
    message: oneshot::Receiver<Message>,
}

impl Client {
    /// Connects to a server on this machine.
    pub(super) async fn connect(server: SocketAddr, tls: Arc<ClientConfig>) -> anyhow::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "a client of a peer is no link")]
        let mut tcp = TcpStream::connect(server).await?;
        tcp.set_nodelay(true)?;
        greeting(&mut tcp).await?;
        let stream = TlsConnector::from(tls).connect(server.ip().into(), tcp).await?;
        let (reader, writer) = tokio::io::split(stream);
        let shared = Arc::new(Shared::default());
        // The servers are linked: an inbox of the same name at the other one would get our answers too.
        let inbox = format!("_INBOX.comparison-{}", CONNECTIONS.fetch_add(1, Ordering::Relaxed));
        let options = json!({
            "verbose": false, "pedantic": false, "tls_required": true, "headers": true, "no_responders": true, "protocol": 1,
            "name": "comparison", "lang": "rust", "version": env!("CARGO_PKG_VERSION"),
        });
        shared.say(|out| {
            out.extend_from_slice(format!("CONNECT {options}\r\n").as_bytes());
            wire::subscribe(out, &format!("{inbox}.*"), ANSWERS);
        });
        let tasks = [
            tokio::spawn(Arc::clone(&shared).write(writer)),
            tokio::spawn(Arc::clone(&shared).read(reader)),
        ];
        Ok(Self {
            shared,
            inbox,
            next: AtomicU64::new(ANSWERS + 1),
            tasks,
        })
    }

    /// Publishes and awaits the answer: JetStream answers each publication that it has stored, and each call of its API.
    pub(super) fn ask(&self, subject: &str, payload: &[u8]) -> Answer {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, message) = oneshot::channel();
        let mut waiting = self.shared.waiting();
        // After the end nobody would ever answer; the dropped sender says so at once.
        if waiting.ended.is_none() {
            waiting.answers.insert(number, sender);
        }
        drop(waiting);
        let reply = format!("{}.{number}", self.inbox);
        self.shared.say(|out| wire::publish(out, subject, &reply, payload));
        Answer {
            shared: Arc::clone(&self.shared),
            message,
        }
    }

    /// Subscribes. The messages end when the connection does.
    pub(super) fn subscribe(&self, subject: &str) -> mpsc::Receiver<Arrival> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, arrivals) = mpsc::channel(UNTAKEN_MAX);
        self.shared.waiting().subscriptions.insert(number, sender);
        self.shared.say(|out| wire::subscribe(out, subject, number));
        arrivals
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Reads the server's greeting, which it sends in the clear before TLS begins. Not a byte more may be read.
async fn greeting(tcp: &mut TcpStream) -> anyhow::Result<()> {
    let mut line = String::new();
    // The server says nothing else before our half of the handshake, so nothing is left in the reader.
    BufReader::new(tcp.take(GREETING_BYTES_MAX))
        .read_line(&mut line)
        .await?;
    anyhow::ensure!(
        line.starts_with("INFO "),
        "there is no NATS server: it says `{}`",
        line.escape_default()
    );
    Ok(())
}

impl Shared {
    fn say(&self, what: impl FnOnce(&mut Vec<u8>)) {
        what(&mut self.outgoing.lock().unwrap_or_else(PoisonError::into_inner));
        self.filled.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(self: Arc<Self>, mut to: WriteHalf<TlsStream<TcpStream>>) {
        let mut pieces = Vec::new();
        let result = loop {
            self.filled.notified().await;
            std::mem::swap(
                &mut pieces,
                &mut *self.outgoing.lock().unwrap_or_else(PoisonError::into_inner),
            );
            let written = async { to.write_all(&pieces).await.and(to.flush().await) };
            if let Err(error) = written.await {
                break error;
            }
            pieces.clear();
        };
        self.end(format!("can't write to it: {result}"));
    }

    async fn read(self: Arc<Self>, mut from: ReadHalf<TlsStream<TcpStream>>) {
        let why = match self.read_all(&mut from).await {
            Ok(why) => why,
            Err(error) => error.to_string(),
        };
        self.end(why);
    }

    /// Reads to the end and says why it came.
    async fn read_all(&self, from: &mut ReadHalf<TlsStream<TcpStream>>) -> anyhow::Result<String> {
        let mut buffer = BytesMut::with_capacity(READ_BYTES_MAX);
        let mut why = "it closed the connection".to_owned();
        loop {
            while let Some(incoming) = wire::take(&mut buffer)? {
                match incoming {
                    Incoming::Message(message) => self.deliver(message).await,
                    Incoming::Ping => self.say(|out| out.extend_from_slice(b"PONG\r\n")),
                    Incoming::Error(text) => why = text,
                    Incoming::Pong | Incoming::Other => {}
                }
            }
            buffer.reserve(READ_BYTES_MAX);
            match from.read_buf(&mut buffer).await {
                Ok(0) => return Ok(why),
                Ok(_) => {}
                // A server that is killed sends no farewell.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(why),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn deliver(&self, message: Message) {
        if message.subscription == ANSWERS {
            let number = message
                .subject
                .rsplit('.')
                .next()
                .and_then(|number| number.parse().ok());
            let waits = number.and_then(|number: u64| self.waiting().answers.remove(&number));
            // One who has stopped waiting misses nothing.
            let _ = waits.map(|waits| waits.send(message));
            return;
        }
        let subscription = self.waiting().subscriptions.get(&message.subscription).cloned();
        if let Some(subscription) = subscription {
            let at = Instant::now();
            let payload = message.payload;
            // Nobody listens any more: nothing is lost.
            let _ = subscription.send(Arrival { at, payload }).await;
        }
    }

    fn end(&self, why: String) {
        let mut waiting = self.waiting();
        waiting.ended.get_or_insert(why);
        waiting.answers.clear();
        waiting.subscriptions.clear();
    }
}

impl Future for Answer {
    type Output = anyhow::Result<Bytes>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        /// Nobody answers to the subject.
        const NO_RESPONDERS: u16 = 503;
        Pin::new(&mut self.message).poll(context).map(|message| match message {
            Ok(message) if message.status == Some(NO_RESPONDERS) => Err(anyhow::anyhow!("nobody answers there")),
            Ok(message) => Ok(message.payload),
            Err(_) => {
                let ended = self.shared.waiting().ended.clone();
                Err(anyhow::anyhow!(ended.unwrap_or_default())).context("the NATS server does not answer any more")
            }
        })
    }
}
