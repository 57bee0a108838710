//! rustls configurations: mutual TLS 1.3 where both sides are authenticated by the trust bundle.
//!
//! The handshake itself applies the whole rule of [`authenticate`], so a peer that is not to be let in never gets a
//! session. A configuration belongs to one bundle; a new bundle means a new configuration. There are no tickets and no
//! resumption: a resumed session would skip the certificate check.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError, PeerIncompatible,
    ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    time_provider::TimeProvider,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{InvalidPeer, MemberId, NodeCredentials, NodeName, PeerIdentity, VerifiedBundle, authenticate, moment_at};

/// The only application protocol of a link: HTTP/2.
const ALPN: &[u8] = b"h2";

/// The server's side of a link: TLS 1.3 only, a client certificate demanded, HTTP/2 only.
pub fn server_config(
    credentials: &NodeCredentials,
    bundle: Arc<VerifiedBundle>,
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = provider();
    let verifier = Arc::new(PeerVerifier::new(bundle, &provider));
    let mut config = ServerConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(certified(credentials)?));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// The client's side of a link: TLS 1.3 only, its own certificate shown, HTTP/2 only. Dial with [`server_name`].
pub fn client_config(
    credentials: &NodeCredentials,
    bundle: Arc<VerifiedBundle>,
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = provider();
    let verifier = Arc::new(PeerVerifier::new(bundle, &provider));
    let mut config = ClientConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous() // rustls calls every verifier but its own so; ours asks webpki and then more
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(certified(credentials)?));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

/// The name by which a node is dialled: its DNS name in the network. `None` only if it were no DNS name, which the
/// types of its parts rule out.
pub fn server_name(bundle: &VerifiedBundle, member: &MemberId, node: &NodeName) -> Option<ServerName<'static>> {
    ServerName::try_from(bundle.trust_domain().node_dns(member, node)).ok()
}

/// Why our side refused the peer in a handshake that failed with `error`, if that is why.
pub fn refusal(error: &rustls::Error) -> Option<&InvalidPeer> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => other.downcast_ref(),
        _ => None,
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certified(credentials: &NodeCredentials) -> Result<SingleCertAndKey, rustls::Error> {
    let certified = CertifiedKey::new(credentials.node_chain(), credentials.node_key().tls().rustls());
    certified.keys_match()?;
    Ok(certified.into())
}

/// Applies [`authenticate`] during the handshake.
#[derive(Debug)]
struct PeerVerifier {
    bundle: Arc<VerifiedBundle>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PeerVerifier {
    fn new(bundle: Arc<VerifiedBundle>, provider: &CryptoProvider) -> Self {
        Self {
            bundle,
            algorithms: provider.signature_verification_algorithms,
        }
    }

    fn authenticate(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<PeerIdentity, InvalidPeer> {
        // Bounded by the check of the chain's length, which comes first.
        let chain: Vec<_> = std::iter::once(leaf)
            .chain(intermediates)
            .take(crate::CHAIN_LENGTH_MAX + 1)
            .cloned()
            .collect();
        let now = moment_at(now.as_secs()).ok_or_else(|| InvalidPeer::BundleExpired(self.bundle.expires()))?;
        authenticate(&chain, &self.bundle, now)
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }
}

fn refused(reason: InvalidPeer) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(reason))).into()
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // None: a peer has one certificate, and a scanner learns nothing.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.authenticate(end_entity, intermediates, now).map_err(refused)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let identity = self.authenticate(end_entity, intermediates, now).map_err(refused)?;
        let answered = self.bundle.trust_domain().node_dns(identity.member(), identity.node());
        let dialled = server_name.to_str();
        if dialled != answered {
            return Err(refused(InvalidPeer::OtherNode {
                dialled: dialled.into_owned(),
                answered,
            }));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
