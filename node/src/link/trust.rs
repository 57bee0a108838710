//! What the links of this node believe at the moment: the bundle, and the TLS configurations made from it, swapped
//! together when a new bundle arrives. Handshakes under way finish with what they began with and are swept after.

use std::sync::Arc;

use arc_swap::ArcSwap;
use icomm_pki::{CertificateDer, InvalidPeer, NodeCredentials, PeerId, PeerIdentity, VerifiedBundle, tls};
use rustls::time_provider::TimeProvider;

use crate::environment::Environment;

use super::{AdoptError, BindError, CloseReason, connection::Connection};

/// Identity, environment and current bundle.
pub(super) struct Trust {
    environment: Environment,
    current: ArcSwap<Anchors>,
}

struct Anchors {
    identity: Arc<NodeCredentials>,
    chain: Arc<[CertificateDer<'static>]>,
    bundle: Arc<VerifiedBundle>,
    server: Arc<rustls::ServerConfig>,
    client: Arc<rustls::ClientConfig>,
}

impl Anchors {
    fn new(
        identity: Arc<NodeCredentials>,
        bundle: Arc<VerifiedBundle>,
        environment: &Environment,
    ) -> Result<Self, rustls::Error> {
        let clock: Arc<dyn TimeProvider> = Arc::new(environment.clone());
        let server = tls::server_config(&identity, Arc::clone(&bundle), Arc::clone(&clock))?;
        let client = tls::client_config(&identity, Arc::clone(&bundle), clock)?;
        let chain = identity.node_chain().into();
        Ok(Self {
            identity,
            chain,
            bundle,
            server,
            client,
        })
    }
}

impl Trust {
    /// Fails when the bundle has expired or this node itself doesn't hold under it.
    pub(super) fn new(
        identity: Arc<NodeCredentials>,
        bundle: Arc<VerifiedBundle>,
        environment: Environment,
    ) -> Result<Self, BindError> {
        if !bundle.is_live(environment.now()) {
            return Err(BindError::BundleExpired);
        }
        let chain = identity.node_chain();
        icomm_pki::authenticate(&chain, &bundle, environment.now()).map_err(BindError::OwnCertificate)?;
        let current = ArcSwap::from_pointee(Anchors::new(identity, bundle, &environment).map_err(BindError::Tls)?);
        Ok(Self { environment, current })
    }

    /// Uses `bundle` from now on. On failure the old one stays.
    pub(super) fn replace(&self, bundle: Arc<VerifiedBundle>) -> Result<(), AdoptError> {
        let (offered, held) = (bundle.version(), self.bundle().version());
        if offered < held {
            return Err(AdoptError::Older { offered, held });
        }
        if !bundle.is_live(self.environment.now()) {
            return Err(AdoptError::Expired(offered));
        }
        let identity = Arc::clone(&self.current.load().identity);
        let anchors = Anchors::new(identity, bundle, &self.environment).map_err(AdoptError::Tls)?;
        self.current.store(Arc::new(anchors));
        Ok(())
    }

    /// Shows this certificate, with its keys, in every handshake from now on. On failure the old one stays.
    pub(super) fn succeed(&self, identity: Arc<NodeCredentials>) -> Result<(), rustls::Error> {
        let anchors = Anchors::new(identity, self.bundle(), &self.environment)?;
        self.current.store(Arc::new(anchors));
        Ok(())
    }

    pub(super) fn bundle(&self) -> Arc<VerifiedBundle> {
        Arc::clone(&self.current.load().bundle)
    }

    pub(super) fn server_config(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.current.load().server)
    }

    pub(super) fn client_config(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.current.load().client)
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Our own certificate chain, as shown to peers.
    pub(super) fn chain(&self) -> Arc<[CertificateDer<'static>]> {
        Arc::clone(&self.current.load().chain)
    }

    pub(super) fn bundle_expired(&self) -> bool {
        !self.bundle().is_live(self.environment.now())
    }

    /// Who a chain names, if it holds now.
    pub(super) fn authenticate(&self, chain: &[CertificateDer<'_>]) -> Result<PeerIdentity, InvalidPeer> {
        icomm_pki::authenticate(chain, &self.bundle(), self.environment.now())
    }

    /// The same for a chain that came over a libp2p connection to `connected`, which it must name.
    pub(super) fn authenticate_libp2p(
        &self,
        chain: &[CertificateDer<'_>],
        connected: &PeerId,
    ) -> Result<PeerIdentity, InvalidPeer> {
        icomm_pki::authenticate_libp2p(chain, connected, &self.bundle(), self.environment.now())
    }

    /// Why a live connection has to go under the current bundle, if it has to.
    pub(super) fn objection(&self, connection: &Connection) -> Option<CloseReason> {
        let held = connection.identity();
        let peer = format!("{}/{}", held.member(), held.node());
        match self.authenticate(connection.chain()) {
            Ok(now) if now == *held => None,
            Ok(_) => Some(CloseReason::Untrusted {
                peer,
                why: "its directory entry changed".to_owned(),
            }),
            Err(InvalidPeer::BundleExpired(_)) => Some(CloseReason::BundleExpired),
            Err(error) => Some(CloseReason::Untrusted {
                peer,
                why: error.to_string(),
            }),
        }
    }
}
