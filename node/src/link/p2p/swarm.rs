//! The one task that drives the libp2p swarm. It judges gossip, keeps the allow list and the address book in step
//! with the trust bundle, and keeps our relay reservations; links' bytes don't pass through it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use icomm_proto::v1::Head;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    multiaddr::Protocol,
    ping, relay,
    swarm::{DialError, ListenError, SwarmEvent},
};
use prost::Message;
use tokio::sync::{broadcast, mpsc};

use super::{
    behaviour::{Behaviour, BehaviourEvent, is_unlisted},
    gossip::{self, Judge, Verdict},
    reservation::Reservation,
};
use crate::link::{Address, Announcement, BindError, Carrier, Config, meter, trust::Trust};

const TICK: Duration = Duration::from_millis(250);

/// What the rest of the node asks of the swarm.
pub(super) enum Command {
    /// The trust bundle changed.
    Trust,
    /// Tell everybody.
    Announce(Head),
    /// Panic, as libp2p might on some input.
    #[cfg(test)]
    Panic,
}

/// Where the swarm can be reached, kept by the task, read by status.
pub(super) type Listening = Arc<Mutex<Vec<Multiaddr>>>;

pub(super) struct Driver {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) config: Config,
    pub(super) trust: Arc<Trust>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) announcements: broadcast::Sender<Announcement>,
    pub(super) listening: Listening,
    pub(super) judge: Judge,
    pub(super) reservations: Vec<Reservation>,
}

impl Driver {
    /// Waits until every one of `pending` listens, before anything is served.
    pub(super) async fn listen(&mut self, mut pending: Vec<ListenerId>) -> Result<(), BindError> {
        while !pending.is_empty() {
            let event = self.swarm.select_next_some().await;
            match &event {
                SwarmEvent::NewListenAddr { listener_id, .. } => pending.retain(|id| id != listener_id),
                SwarmEvent::ListenerClosed {
                    listener_id,
                    addresses,
                    reason,
                } if pending.contains(listener_id) => {
                    let reason = reason
                        .as_ref()
                        .err()
                        .map_or_else(|| "closed".to_owned(), ToString::to_string);
                    let address = addresses.first().map(Multiaddr::to_string).unwrap_or_default();
                    return Err(BindError::Listen { address, reason });
                }
                _ => {}
            }
            self.on_event(event);
        }
        Ok(())
    }

    /// Runs until every command sender is gone.
    pub(super) async fn run(mut self) {
        self.adopt_trust();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Trust) => self.adopt_trust(),
                    Some(Command::Announce(head)) => self.announce(&head),
                    #[cfg(test)]
                    Some(Command::Panic) => std::panic::resume_unwind(Box::new("as libp2p might")),
                    None => return,
                },
                event = self.swarm.select_next_some() => self.on_event(event),
                _ = tick.tick() => self.reserve(),
            }
        }
    }

    /// Brings allow list, address book and reservations in step with the bundle. Whoever is no longer listed loses
    /// its connections at once.
    fn adopt_trust(&mut self) {
        let bundle = self.trust.bundle();
        let local = *self.swarm.local_peer_id();
        let mut book = HashMap::new();
        for node in bundle
            .members()
            .flat_map(|entry| entry.nodes.iter())
            .filter(|node| node.peer_id != local)
        {
            book.insert(node.peer_id, multiaddrs(&node.addresses));
        }
        let listed: HashSet<PeerId> = book.keys().copied().collect();
        let behaviour = self.swarm.behaviour_mut();
        let gone: Vec<_> = behaviour.allowed.allowed_peers().difference(&listed).copied().collect();
        for peer in gone {
            behaviour.allowed.disallow_peer(peer);
        }
        for peer in listed {
            behaviour.allowed.allow_peer(peer);
        }
        behaviour.book.replace(book);

        let mut wanted = Vec::new();
        for hub in self.config.relays.iter().filter_map(|hub| bundle.member(hub)) {
            for node in hub.nodes.iter().filter(|node| node.peer_id != local) {
                let circuits: Vec<_> = multiaddrs(&node.addresses)
                    .into_iter()
                    .filter(|address| !address.iter().any(|part| part == Protocol::P2pCircuit))
                    .map(|address| through(address, node.peer_id))
                    .collect();
                if circuits.is_empty() {
                    tracing::warn!(hub = %hub.id, "this hub has no libp2p address to keep a relay reservation at");
                }
                wanted.push((node.peer_id, circuits));
            }
        }
        let (keep, drop): (Vec<_>, Vec<_>) = std::mem::take(&mut self.reservations)
            .into_iter()
            .partition(|held| wanted.iter().any(|(hub, circuits)| held.is_for(hub, circuits)));
        for listener in drop.iter().filter_map(Reservation::listener) {
            self.swarm.remove_listener(listener);
        }
        self.reservations = keep;
        for (hub, circuits) in wanted {
            if !self.reservations.iter().any(|held| held.is_for(&hub, &circuits)) {
                self.reservations
                    .push(Reservation::new(hub, circuits, &self.config.limits));
            }
        }
        self.reserve();
    }

    /// Asks for the reservations that are due.
    fn reserve(&mut self) {
        for held in &mut self.reservations {
            if let Some(address) = held.due() {
                let listener = self.swarm.listen_on(address.clone());
                if let Err(error) = &listener {
                    tracing::warn!(%address, %error, "no relay reservation");
                }
                held.asked(listener.ok(), self.trust.environment().roll());
            }
        }
    }

    fn announce(&mut self, head: &Head) {
        let published = self
            .swarm
            .behaviour_mut()
            .gossip
            .publish(gossip::topic(), head.encode_to_vec());
        if let Err(error) = published {
            // Nobody connected over libp2p, or told already: links carry heads as well.
            tracing::debug!(origin = %head.origin, %error, "checkpoint not gossiped");
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                let relayed = address.iter().any(|part| part == Protocol::P2pCircuit);
                // A hub tells those who reserve where it is; without words of the operator, where it listens.
                if self.config.relay && self.config.external.is_empty() && !relayed {
                    self.swarm.add_external_address(address.clone());
                }
                self.listening
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(address);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => self.forget(&[address]),
            SwarmEvent::ListenerClosed {
                listener_id,
                addresses,
                reason,
            } => {
                self.forget(&addresses);
                let random = self.trust.environment().roll();
                let ours = self.reservations.iter_mut().any(|held| held.lost(listener_id, random));
                match reason {
                    Err(error) if ours => tracing::warn!(%error, "relay reservation lost; asking again"),
                    Err(error) => tracing::error!(%error, ?addresses, "a libp2p listener failed"),
                    Ok(()) => tracing::debug!(?addresses, "listener closed"),
                }
            }
            SwarmEvent::IncomingConnectionError {
                error,
                send_back_addr,
                peer_id,
                ..
            } => {
                let reason = match &error {
                    ListenError::Denied { cause } if is_unlisted(cause) => "not-listed",
                    ListenError::Denied { .. } => "too-many",
                    _ => "handshake",
                };
                tracing::info!(address = %send_back_addr, peer = ?peer_id, %error, "libp2p connection refused");
                meter::refused(None, None, carrier_of(&send_back_addr), reason);
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. }
                if !matches!(error, DialError::DialPeerConditionFalse(_)) =>
            {
                tracing::debug!(peer = ?peer_id, %error, "libp2p dial failed");
            }
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        use libp2p::gossipsub::Event as Gossip;
        match event {
            BehaviourEvent::Gossip(Gossip::Message {
                propagation_source,
                message_id,
                message,
            }) => {
                let verdict = self.judge.judge(&message, &self.trust.bundle());
                let acceptance = verdict.acceptance();
                let gossip = &mut self.swarm.behaviour_mut().gossip;
                gossip.report_message_validation_result(&message_id, &propagation_source, acceptance);
                match verdict {
                    Verdict::Accept(announcement) => {
                        meter::announcement(Some(&announcement.member), "accepted");
                        let _ = self.announcements.send(announcement);
                    }
                    Verdict::Ignore(member) => meter::announcement(Some(&member), "too-many"),
                    Verdict::Reject { source, reason } => {
                        tracing::warn!(from = %propagation_source, ?source, reason, "announcement rejected");
                        meter::announcement(source.as_ref(), reason);
                    }
                }
            }
            BehaviourEvent::Ping(ping::Event {
                connection,
                peer,
                result: Err(ping::Failure::Timeout),
            }) => {
                tracing::info!(%peer, "libp2p peer doesn't answer pings; closing");
                self.swarm.close_connection(connection);
            }
            BehaviourEvent::Relayed(relay::client::Event::ReservationReqAccepted {
                relay_peer_id, renewal, ..
            }) => {
                if !renewal {
                    tracing::info!(hub = %relay_peer_id, "relay reservation accepted");
                }
                for held in &mut self.reservations {
                    held.accepted(&relay_peer_id);
                }
            }
            BehaviourEvent::Dcutr(event) => match event.result {
                Ok(_) => tracing::info!(peer = %event.remote_peer_id, "hole punched: direct connection"),
                Err(error) => tracing::debug!(peer = %event.remote_peer_id, %error, "no direct connection"),
            },
            BehaviourEvent::Reachability(event) => {
                tracing::debug!(address = %event.tested_addr, reachable = event.result.is_ok(), "reachability tested");
            }
            _ => {}
        }
    }

    fn forget(&self, gone: &[Multiaddr]) {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        listening.retain(|address| !gone.contains(address));
    }
}

/// The libp2p addresses among a node's addresses in the directory; what can't be parsed is skipped.
fn multiaddrs(addresses: &[String]) -> Vec<Multiaddr> {
    let parsed = addresses.iter().filter_map(|text| text.parse::<Address>().ok());
    parsed
        .filter_map(|address| match address {
            Address::Libp2p(address) => Some(address),
            Address::Tls(_) => None,
        })
        .collect()
}

/// The circuit address through a hub that is reached at `address`.
pub(in crate::link) fn through(address: Multiaddr, hub: PeerId) -> Multiaddr {
    let named = address.iter().any(|part| matches!(part, Protocol::P2p(_)));
    let address = if named {
        address
    } else {
        address.with(Protocol::P2p(hub))
    };
    address.with(Protocol::P2pCircuit)
}

fn carrier_of(address: &Multiaddr) -> Carrier {
    if address.iter().any(|part| part == Protocol::P2pCircuit) {
        Carrier::Relayed
    } else if address.iter().any(|part| part == Protocol::QuicV1) {
        Carrier::Quic
    } else {
        Carrier::NoiseYamux
    }
}
