//! The running links of a node: [`Links`] binds every listener before anything is served, takes new bundles, gossips,
//! tells how it is doing, and ends in order.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt};
use icomm_pki::{MemberId, NodeCredentials, NodeName, VerifiedBundle};
use icomm_proto::v1::Head;
use tokio::{
    sync::{broadcast, mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;

use crate::environment::Environment;

use super::{
    Address, AdoptError, BindError, CloseReason, Config, ConnectionStatus, HostPort, Peer, PeerStatus, Report,
    SessionHandler,
    connection::{Connection, Stage},
    dialer::{self, Dialing, Watched},
    gate::Gate,
    meter,
    p2p::P2p,
    probe,
    registry::Registry,
    server, tls,
    trust::Trust,
};

/// How often deadlines of connections are looked at.
const SWEEP: Duration = Duration::from_millis(250);
/// How long a connection stays open after its session, for the last bytes to leave.
const LINGER: Duration = Duration::from_secs(3);
/// Announcements that a slow reader may lag behind; older ones are dropped, newer heads replace them anyway.
const ANNOUNCEMENTS_MAX: usize = 1_024;

/// A checkpoint that some member's node announced by gossip. Its signature is still to be verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Announcement {
    /// The member whose node signed the message.
    pub member: MemberId,
    /// That node.
    pub node: NodeName,
    /// Origin and checkpoint.
    pub head: Head,
}

/// How the links of a node are doing.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Status {
    /// Where this node can be reached.
    pub listening: Vec<Address>,
    /// The peers that it dials.
    pub peers: Vec<PeerStatus>,
    /// The connections it has, whoever dialled.
    pub connections: Vec<ConnectionStatus>,
}

/// The running links of a node. Dropping it cuts them; [`Links::shutdown`] ends them in order.
pub struct Links {
    config: Config,
    gate: Arc<Gate>,
    dialing: Dialing,
    listening: Vec<SocketAddr>,
    dialers: Mutex<BTreeMap<(MemberId, Option<NodeName>), Dialer>>,
    trust_changes: watch::Sender<u64>,
    announcements: broadcast::Sender<Announcement>,
    stop: CancellationToken,
    /// Aborted when dropped.
    _tasks: JoinSet<()>,
}

struct Dialer {
    watched: Watched,
    task: AbortHandle,
    /// Whether it is there because the directory lists the member.
    listed: bool,
}

impl Drop for Dialer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Links {
    /// Binds every listener of `config`, then starts serving and dialling. `identity` is this node's certificate
    /// chain and keys, `bundle` the current trust bundle.
    ///
    /// # Errors
    /// The operator's to mend: a port in use, an own certificate that doesn't hold under the bundle, an expired
    /// bundle, `SSLKEYLOGFILE` in the environment.
    pub async fn bind(
        config: Config,
        identity: Arc<NodeCredentials>,
        bundle: Arc<VerifiedBundle>,
        environment: Environment,
        handler: Arc<dyn SessionHandler>,
    ) -> Result<Self, BindError> {
        refuse_key_log(std::env::var_os("SSLKEYLOGFILE"))?;
        let keypair = identity.node_key().libp2p().clone();
        let trust = Arc::new(Trust::new(identity, bundle, environment)?);
        let registry = Registry::new(keypair.public().to_peer_id(), config.limits.member_connections_max);
        let gate = Arc::new(Gate::new(trust, registry.clone(), config.limits.clone()));
        let (incoming, accepted) = mpsc::channel(server::INCOMING_MAX);
        let (announcements, _) = broadcast::channel(ANNOUNCEMENTS_MAX);
        let (trust_changes, changed) = watch::channel(0);

        let mut listeners = Vec::new();
        for address in &config.listen {
            if let Address::Tls(address) = address {
                listeners.push(tls::bind(address).await?);
            }
        }
        let (p2p, serving) = P2p::bind(&config, &keypair, &gate, incoming.clone(), announcements.clone()).await?;

        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for task in serving {
            tasks.spawn(task);
        }
        let limits = config.limits.clone();
        tasks.spawn(server::serve(
            Arc::clone(&handler),
            registry,
            limits,
            accepted,
            stop.clone(),
        ));
        let listening = listeners.iter().map(|(_, address)| *address).collect();
        for (listener, address) in listeners {
            tracing::info!(%address, "listening for TLS");
            tasks.spawn(tls::accept(Arc::clone(&gate), listener, incoming.clone(), stop.clone()));
        }
        tasks.spawn(sweep(Arc::clone(&gate)));

        let relays = config.relays.clone().into();
        let dialing = Dialing {
            gate: Arc::clone(&gate),
            p2p: Arc::new(p2p),
            handler,
            relays,
            trust_changes: changed,
        };
        let links = Self {
            gate,
            dialing,
            listening,
            dialers: Mutex::default(),
            trust_changes,
            announcements,
            stop,
            _tasks: tasks,
            config,
        };
        links.config.peers.clone().into_iter().for_each(|peer| links.dial(peer));
        links.dial_directory();
        Ok(links)
    }

    /// Keeps a link with `peer` from now on, beside those of the configuration.
    pub fn dial(&self, peer: Peer) {
        self.dial_as(peer, false);
    }

    /// No longer dials `member`, and closes its links.
    pub fn hang_up(&self, member: &MemberId) {
        self.lock_dialers().retain(|(dialled, _), _| dialled != member);
        let requested = |c: &Connection| (c.identity().member() == member).then_some(CloseReason::Requested);
        self.gate.registry().close_where(requested);
    }

    /// Uses `bundle` from now on: for handshakes, for the allow list, for addresses; and closes within milliseconds
    /// every connection that doesn't hold under it. Others stay as they are.
    ///
    /// # Errors
    /// An older version than the current one (no rollback), an expired bundle, or one that TLS can't be set up with;
    /// the current one then stays in force.
    pub async fn set_bundle(&self, bundle: Arc<VerifiedBundle>) -> Result<(), AdoptError> {
        self.gate.trust().replace(bundle)?;
        let trust = self.gate.trust();
        let cut = self
            .gate
            .registry()
            .close_where(|connection| trust.objection(connection));
        tracing::info!(version = trust.bundle().version(), cut, "trust bundle adopted");
        self.dialing.p2p.trust_changed().await;
        self.trust_changes.send_modify(|version| *version += 1);
        self.dial_directory();
        Ok(())
    }

    /// Shows this certificate, with its keys, in every handshake from now on; the links that are up stay up. The libp2p
    /// identity can't change.
    ///
    /// # Errors
    /// TLS can't be set up with it; the one before then stays in use.
    pub fn set_identity(&self, identity: Arc<NodeCredentials>) -> Result<(), rustls::Error> {
        self.gate.trust().succeed(identity)
    }

    /// Gossips a checkpoint of a log that this node serves.
    pub fn announce(&self, head: Head) {
        self.dialing.p2p.announce(head);
    }

    /// The announcements of others from now on, judged as far as their source and shape go.
    pub fn announcements(&self) -> impl Stream<Item = Announcement> + Send + use<> {
        BroadcastStream::new(self.announcements.subscribe()).filter_map(|item| {
            // A reader that lagged misses heads that newer ones replace.
            std::future::ready(item.inspect_err(|_| meter::announcement(None, "lagged")).ok())
        })
    }

    /// How the links are doing.
    pub fn status(&self) -> Status {
        let tls = self
            .listening
            .iter()
            .map(|address| Address::Tls(HostPort::from(*address)));
        let p2p = self.dialing.p2p.listening().into_iter().map(Address::Libp2p);
        let dialers = self.lock_dialers();
        let peer = |((member, _), dialer): (&(MemberId, _), &Dialer)| PeerStatus {
            member: member.clone(),
            state: dialer.watched.state(),
        };
        Status {
            listening: tls.chain(p2p).collect(),
            peers: dialers.iter().map(peer).collect(),
            connections: self.gate.registry().status(),
        }
    }

    /// Tries every address of `peer` anew, beside its links if it has any, and reports what happened at each.
    pub async fn test(&self, peer: &Peer) -> Report {
        probe::run(&self.dialing, peer).await
    }

    /// Stops accepting and dialling, ends the sessions (their `frames_in` ends), and cuts what is left when
    /// `deadline` is over.
    pub async fn shutdown(self, deadline: Duration) {
        self.stop.cancel();
        self.lock_dialers().clear();
        let registry = self.gate.registry();
        registry.drain();
        let until = Instant::now() + deadline;
        while !registry.is_empty() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        registry.close_where(|_| Some(CloseReason::Shutdown));
    }

    #[cfg(test)]
    pub(super) async fn panic_swarm(&self) {
        self.dialing.p2p.panic().await;
    }

    fn dial_as(&self, peer: Peer, listed: bool) {
        let key = (peer.member.clone(), peer.node.clone());
        let watched = Watched::new();
        let task = tokio::spawn(dialer::run(self.dialing.clone(), peer, watched.clone())).abort_handle();
        self.lock_dialers().insert(key, Dialer { watched, task, listed });
    }

    /// Dials whom the directory lists with an address, when the configuration says so; stops dialling who left it.
    fn dial_directory(&self) {
        if !self.config.dial_directory {
            return;
        }
        let bundle = self.gate.trust().bundle();
        let local = self.gate.registry().local();
        let mut wanted: Vec<MemberId> = Vec::new();
        for entry in bundle.members() {
            let reachable = entry.nodes.iter().any(|node| !node.addresses.is_empty());
            let own = entry.nodes.iter().any(|node| node.peer_id == local);
            if reachable && !own && !self.config.dial_never.contains(&entry.id) {
                wanted.push(entry.id.clone());
            }
        }
        let missing: Vec<_> = {
            let mut dialers = self.lock_dialers();
            dialers.retain(|(member, _), dialer| !dialer.listed || wanted.contains(member));
            wanted.retain(|member| !dialers.keys().any(|(dialled, _)| dialled == member));
            wanted
        };
        for member in missing {
            self.dial_as(
                Peer {
                    member,
                    node: None,
                    addresses: Vec::new(),
                },
                true,
            );
        }
    }

    fn lock_dialers(&self) -> MutexGuard<'_, BTreeMap<(MemberId, Option<NodeName>), Dialer>> {
        self.dialers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.stop.cancel();
        self.gate.registry().close_where(|_| Some(CloseReason::Shutdown));
    }
}

/// libp2p's TLS honours the variable that makes programs write their session keys to a file.
fn refuse_key_log(value: Option<OsString>) -> Result<(), BindError> {
    if value.is_some() {
        Err(BindError::KeyLog)
    } else {
        Ok(())
    }
}

/// Closes connections whose time is over.
async fn sweep(gate: Arc<Gate>) {
    let mut tick = tokio::time::interval(SWEEP);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let now = gate.trust().environment().now();
        let bundle_expired = gate.trust().bundle_expired();
        gate.registry().close_where(|connection| {
            let reason = overdue(connection, &gate, now, bundle_expired)?;
            meter::cut(connection.identity().member(), reason.label());
            Some(reason)
        });
    }
}

fn overdue(
    connection: &Connection,
    gate: &Gate,
    now: time::OffsetDateTime,
    bundle_expired: bool,
) -> Option<CloseReason> {
    let (limits, age) = (gate.limits(), connection.since().elapsed());
    if bundle_expired {
        return Some(CloseReason::BundleExpired);
    }
    if connection.identity().not_after() <= now {
        let peer = format!("{}/{}", connection.identity().member(), connection.identity().node());
        return Some(CloseReason::Untrusted {
            peer,
            why: "its certificate has expired".to_owned(),
        });
    }
    match connection.stage() {
        Stage::Opening if age > limits.opening() => Some(CloseReason::Idle),
        Stage::Done(at) if at.elapsed() > LINGER => Some(CloseReason::Finished),
        _ if age > limits.connection_age() => Some(CloseReason::Age),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_log_stops_the_start() {
        assert!(matches!(
            refuse_key_log(Some("/tmp/keys".into())),
            Err(BindError::KeyLog)
        ));
        assert!(refuse_key_log(None).is_ok());
    }
}
