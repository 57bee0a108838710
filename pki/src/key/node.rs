//! The two keys that a node proves itself with: P-256 on TLS, Ed25519 on libp2p.
//!
//! gRPC clients on BoringSSL (Python, C++) and Java refuse Ed25519 certificates, and libp2p peers know each other by
//! Ed25519 keys; so a node has one of each and its certificate binds both.

use std::{fmt, sync::Arc};

use ed25519_dalek::{SigningKey, pkcs8::DecodePrivateKey};
use libp2p_identity::{Keypair, PeerId, ed25519};
use rand::{TryRng, rngs::SysRng};
use rustls::{SignatureScheme, crypto::aws_lc_rs::sign::any_ecdsa_type};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::{InvalidKey, member::ed25519_pkcs8};
use crate::pem;

/// A node's transport keys. Clones share the secrets in memory.
#[derive(Clone)]
pub struct NodeKey {
    tls: TlsKey,
    p2p: Keypair,
    /// What `p2p` was made from, which it does not give back.
    p2p_seed: Arc<Zeroizing<[u8; 32]>>,
}

impl NodeKey {
    /// New keys from the operating system's randomness.
    pub fn generate() -> Result<Self, InvalidKey> {
        let mut seed = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *seed).map_err(|_| InvalidKey::Generation)?;
        Self::new(TlsKey::generate()?, seed)
    }

    fn new(tls: TlsKey, p2p_seed: Zeroizing<[u8; 32]>) -> Result<Self, InvalidKey> {
        // A copy, because reading the seed wipes it.
        let secret = ed25519::SecretKey::try_from_bytes(*p2p_seed).map_err(|_| InvalidKey::Generation)?;
        Ok(Self {
            tls,
            p2p: ed25519::Keypair::from(secret).into(),
            p2p_seed: Arc::new(p2p_seed),
        })
    }

    /// Reads the two `PRIVATE KEY` blocks that [`to_pem`](Self::to_pem) writes: P-256 first, then Ed25519.
    pub fn from_pem(text: &str) -> Result<Self, InvalidKey> {
        let [tls, p2p] = pem::private_keys(text)?;
        let wrong = |_| InvalidKey::Algorithm { wanted: "an Ed25519" };
        let p2p = SigningKey::from_pkcs8_der(p2p.secret_pkcs8_der()).map_err(wrong)?;
        Self::new(TlsKey::from_pkcs8(tls)?, Zeroizing::new(p2p.to_bytes()))
    }

    /// Writes both keys as PKCS#8 version 1 PEM blocks: the P-256 TLS key, then the Ed25519 libp2p key.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let (tls, p2p) = (self.tls.to_pem(), pem::private_key(&ed25519_pkcs8(&self.p2p_seed)));
        Zeroizing::new([tls.as_str(), p2p.as_str()].concat())
    }

    /// The libp2p key pair, for the swarm.
    pub fn libp2p(&self) -> &Keypair {
        &self.p2p
    }

    /// The id that libp2p peers know this node by.
    pub fn peer_id(&self) -> PeerId {
        self.p2p.public().to_peer_id()
    }

    /// The TLS key.
    pub(crate) fn tls(&self) -> &TlsKey {
        &self.tls
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(..)")
    }
}

/// A P-256 key in PKCS#8 form: a node's for TLS, or an authority's for certificates and revocation lists.
#[derive(Clone)]
pub(crate) struct TlsKey {
    pkcs8: Arc<Zeroizing<Vec<u8>>>,
    signing: Arc<dyn rustls::sign::SigningKey>,
    /// The uncompressed point: 0x04, x, y.
    public: [u8; 65],
}

impl TlsKey {
    /// A new key.
    pub(crate) fn generate() -> Result<Self, InvalidKey> {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|_| InvalidKey::Generation)?;
        Self::from_pkcs8(PrivatePkcs8KeyDer::from(pair))
    }

    /// Takes a PKCS#8 key that must be on P-256.
    pub(crate) fn from_pkcs8(key: PrivatePkcs8KeyDer<'static>) -> Result<Self, InvalidKey> {
        let wrong = InvalidKey::Algorithm { wanted: "a P-256" };
        let pkcs8 = Zeroizing::new(key.secret_pkcs8_der().to_vec());
        let key = PrivateKeyDer::Pkcs8(key);
        let Ok(signing) = any_ecdsa_type(&key) else {
            return Err(wrong);
        };
        if signing
            .choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])
            .is_none()
        {
            return Err(wrong);
        }
        let Some(public) = signing.public_key().and_then(|spki| spki.last_chunk::<65>().copied()) else {
            return Err(wrong);
        };
        Ok(Self {
            pkcs8: Arc::new(pkcs8),
            signing,
            public,
        })
    }

    /// One PKCS#8 `PRIVATE KEY` block.
    pub(crate) fn to_pem(&self) -> Zeroizing<String> {
        pem::private_key(&self.pkcs8)
    }

    /// The key as rustls signs with it.
    pub(crate) fn rustls(&self) -> Arc<dyn rustls::sign::SigningKey> {
        self.signing.clone()
    }
}

impl rcgen::PublicKeyData for TlsKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signer = self.signing.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]);
        signer
            .and_then(|signer| signer.sign(message).ok())
            .ok_or(rcgen::Error::RemoteKeyError)
    }
}
