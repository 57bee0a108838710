//! Relay reservations at our hubs: while one stands, others reach this node through the hub. A hub that restarts, or
//! that can't be reached, is asked again, address by address, with a growing pause.

use libp2p::{Multiaddr, PeerId, core::transport::ListenerId};
use tokio::time::Instant;

use crate::link::{Limits, backoff::Backoff};

/// One hub that is to relay for this node.
pub(super) struct Reservation {
    hub: PeerId,
    addresses: Vec<Multiaddr>,
    next: usize,
    listener: Option<ListenerId>,
    due: Instant,
    backoff: Backoff,
}

impl Reservation {
    /// `addresses` are circuit addresses through the hub: `…/p2p/HUB/p2p-circuit`.
    pub(super) fn new(hub: PeerId, addresses: Vec<Multiaddr>, limits: &Limits) -> Self {
        Self {
            hub,
            addresses,
            next: 0,
            listener: None,
            due: Instant::now(),
            backoff: limits.backoff(),
        }
    }

    pub(super) fn is_for(&self, hub: &PeerId, addresses: &[Multiaddr]) -> bool {
        &self.hub == hub && self.addresses == addresses
    }

    pub(super) fn listener(&self) -> Option<ListenerId> {
        self.listener
    }

    /// The address to listen on now, if it is time to ask.
    pub(super) fn due(&mut self) -> Option<Multiaddr> {
        if self.listener.is_some() || Instant::now() < self.due {
            return None;
        }
        let address = self
            .addresses
            .get(self.next.checked_rem(self.addresses.len())?)?
            .clone();
        self.next = self.next.wrapping_add(1);
        Some(address)
    }

    /// Whether the listener is ours; `None` when asking failed at once.
    pub(super) fn asked(&mut self, listener: Option<ListenerId>, random: u64) {
        self.listener = listener;
        if listener.is_none() {
            self.due = Instant::now() + self.backoff.pause(random);
        }
    }

    /// The hub accepted.
    pub(super) fn accepted(&mut self, hub: &PeerId) -> bool {
        let ours = &self.hub == hub;
        if ours {
            self.backoff.reset();
        }
        ours
    }

    /// A listener closed; whether it was this one.
    pub(super) fn lost(&mut self, listener: ListenerId, random: u64) -> bool {
        let ours = self.listener == Some(listener);
        if ours {
            self.listener = None;
            self.due = Instant::now() + self.backoff.pause(random);
        }
        ours
    }
}
