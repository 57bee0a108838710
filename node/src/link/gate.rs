//! The door that every carrier goes through: handshakes are counted, whoever comes is checked against the current
//! bundle and the bounds, and only then is there a [`CarrierIo`]; who is turned away leaves a log line and a metric.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use icomm_pki::{CertificateDer, PeerId, PeerIdentity};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{Carrier, ConnectError, Limits, carrier::CarrierIo, meter, registry::Registry, trust::Trust};

/// Whoever wants to be let in, as far as that is known before a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// An IPv4 address, or the 64 bits of an IPv6 address that one site shares.
    Network(IpAddr),
    /// A libp2p peer.
    Peer(PeerId),
}

impl From<IpAddr> for Caller {
    fn from(address: IpAddr) -> Self {
        Self::Network(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::from((u128::from(v6) >> 64 << 64).to_be_bytes()),
            v4 => v4,
        })
    }
}

/// Handshakes under way, by caller: one caller's flood must not use up what everybody needs.
#[derive(Default)]
struct Handshakes {
    total: usize,
    by_caller: HashMap<Caller, usize>,
}

/// The right to a handshake; dropping it gives it back.
pub(super) struct Permit {
    handshakes: Arc<Mutex<Handshakes>>,
    caller: Caller,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = lock(&self.handshakes);
        held.total -= 1;
        if let Some(count) = held.by_caller.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                held.by_caller.remove(&self.caller);
            }
        }
    }
}

/// Counts stay valid whatever panics.
fn lock(handshakes: &Mutex<Handshakes>) -> MutexGuard<'_, Handshakes> {
    handshakes.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Gate {
    trust: Arc<Trust>,
    registry: Registry,
    limits: Limits,
    handshakes: Arc<Mutex<Handshakes>>,
}

impl Gate {
    pub(super) fn new(trust: Arc<Trust>, registry: Registry, limits: Limits) -> Self {
        Self {
            trust,
            registry,
            limits,
            handshakes: Arc::default(),
        }
    }

    pub(super) fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The right to one more handshake, unless too many are under way, of this caller or of all.
    pub(super) fn handshake_permit(&self, caller: Caller) -> Option<Permit> {
        let mut held = lock(&self.handshakes);
        let own = held.by_caller.get(&caller).copied().unwrap_or_default();
        if held.total >= self.limits.handshakes_max || own >= self.limits.caller_handshakes_max {
            return None;
        }
        held.total += 1;
        held.by_caller.insert(caller, own + 1);
        let handshakes = Arc::clone(&self.handshakes);
        Some(Permit { handshakes, caller })
    }

    /// Makes an authenticated stream a carrier of links.
    pub(super) fn admit(
        &self,
        io: impl AsyncRead + AsyncWrite + Send + 'static,
        identity: PeerIdentity,
        chain: Vec<CertificateDer<'static>>,
        carrier: Carrier,
        dialled: bool,
        since: Instant,
    ) -> Result<CarrierIo, ConnectError> {
        let registered = self.registry.admit(identity, chain.into(), carrier, dialled, since)?;
        Ok(CarrierIo::new(io, registered))
    }

    /// Says that somebody was turned away; `from` is an address or a PeerId.
    pub(super) fn refused(&self, carrier: Carrier, from: &str, error: &ConnectError) {
        let bundle = self.trust.bundle();
        let claimed = error.claimed().filter(|member| bundle.member(member).is_some());
        let peer = claimed.filter(|_| error.is_proven());
        let reason = error.label();
        tracing::warn!(from, %carrier, reason, claimed = claimed.map(tracing::field::display), %error, "connection refused");
        meter::refused(peer, claimed, carrier, reason);
    }
}
