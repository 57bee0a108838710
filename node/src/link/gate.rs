//! The door that every carrier goes through: handshakes are counted, whoever comes is checked against the current
//! bundle and the bounds, and only then is there a [`CarrierIo`]; who is turned away leaves a log line and a metric.

use std::sync::Arc;

use icomm_pki::{CertificateDer, PeerIdentity};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{Carrier, ConnectError, Limits, carrier::CarrierIo, meter, registry::Registry, trust::Trust};

pub(super) struct Gate {
    trust: Arc<Trust>,
    registry: Registry,
    limits: Limits,
    handshakes: Arc<Semaphore>,
}

impl Gate {
    pub(super) fn new(trust: Arc<Trust>, registry: Registry, limits: Limits) -> Self {
        let handshakes = Arc::new(Semaphore::new(limits.handshakes_max.min(Semaphore::MAX_PERMITS)));
        Self {
            trust,
            registry,
            limits,
            handshakes,
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

    /// The right to one more handshake, unless too many are under way.
    pub(super) fn handshake_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.handshakes).try_acquire_owned().ok()
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
