//! The two keys that a node proves itself with: P-256 on TLS, Ed25519 on libp2p.
//!
//! gRPC clients on BoringSSL (Python, C++) and Java refuse Ed25519 certificates, and libp2p peers know each other by
//! Ed25519 keys; so a node has one of each and its certificate binds both.

use std::{fmt, sync::Arc};

use ed25519_dalek::{Signer, SigningKey, pkcs8::DecodePrivateKey};
use libp2p_identity::{Keypair, PeerId, ed25519};
use rand::{TryRng, rngs::SysRng};
use rustls::{SignatureScheme, crypto::aws_lc_rs::sign::any_ecdsa_type};
use rustls_pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use super::{Domain, InvalidKey, Signature, member::ed25519_pkcs8};
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
        Self::new(
            TlsKey::from_pkcs8(tls.secret_pkcs8_der())?,
            Zeroizing::new(p2p.to_bytes()),
        )
    }

    /// Writes both keys as PKCS#8 version 1 PEM blocks: the P-256 TLS key, then the Ed25519 libp2p key.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let (tls, p2p) = (self.tls.to_pem(), pem::private_key(&ed25519_pkcs8(&self.p2p_seed)));
        Zeroizing::new([tls.as_str(), p2p.as_str()].concat())
    }

    /// A new TLS key beside the same libp2p identity.
    pub fn with_new_tls(&self) -> Result<Self, InvalidKey> {
        Ok(Self {
            tls: TlsKey::generate()?,
            ..self.clone()
        })
    }

    /// The libp2p key pair, for the swarm.
    pub fn libp2p(&self) -> &Keypair {
        &self.p2p
    }

    /// The id that libp2p peers know this node by.
    pub fn peer_id(&self) -> PeerId {
        self.p2p.public().to_peer_id()
    }

    /// Signs with the libp2p key, for one purpose.
    pub fn sign(&self, domain: Domain, message: &[u8]) -> Signature {
        let key = SigningKey::from_bytes(&self.p2p_seed);
        Signature::from_bytes(key.sign(&domain.frame(message)).to_bytes())
    }

    /// The X25519 secret that belongs to the libp2p key (RFC 8032, 5.1.5: the lower half of the seed's hash).
    pub(crate) fn x25519(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(SigningKey::from_bytes(&self.p2p_seed).to_scalar_bytes())
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

/// PKCS#8 version 1 of a P-256 key without its public key (RFC 5208 and 5915): this, then the scalar.
const P256_HEAD: [u8; 35] = *b"\x30\x41\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x27\x30\x25\x02\x01\x01\x04\x20";
/// The same with its public key: this, the scalar, [`P256_PUBLIC_TAG`], the uncompressed point.
const P256_PUBLIC_HEAD: [u8; 36] = *b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x6d\x30\x6b\x02\x01\x01\x04\x20";
const P256_PUBLIC_TAG: [u8; 5] = *b"\xa1\x44\x03\x42\x00";

/// A P-256 key in PKCS#8 form: a node's for TLS, or an authority's for certificates and revocation lists.
#[derive(Clone)]
pub(crate) struct TlsKey {
    pkcs8: Arc<Zeroizing<Vec<u8>>>,
    signing: Arc<dyn rustls::sign::SigningKey>,
    /// The uncompressed point: 0x04, x, y.
    public: [u8; 65],
}

impl TlsKey {
    /// A new key from the operating system's randomness.
    pub(crate) fn generate() -> Result<Self, InvalidKey> {
        let mut scalar = Zeroizing::new([0; 32]);
        SysRng
            .try_fill_bytes(&mut *scalar)
            .map_err(|_| InvalidKey::Generation)?;
        Self::from_scalar(&scalar)
    }

    /// The key of a scalar. About one of 2^32 arrays is none, because it is zero or not below the group's order.
    fn from_scalar(scalar: &[u8; 32]) -> Result<Self, InvalidKey> {
        let bare = Zeroizing::new([&P256_HEAD[..], scalar].concat());
        let public = Self::from_pkcs8(&bare).map_err(|_| InvalidKey::Generation)?.public;
        // Once more with the public key in it, since not every program computes it.
        let whole = [&P256_PUBLIC_HEAD[..], scalar, &P256_PUBLIC_TAG, &public].concat();
        Self::from_pkcs8(&Zeroizing::new(whole)).map_err(|_| InvalidKey::Generation)
    }

    /// Takes a PKCS#8 key that must be on P-256.
    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, InvalidKey> {
        let wrong = InvalidKey::Algorithm { wanted: "a P-256" };
        let Ok(signing) = any_ecdsa_type(&PrivatePkcs8KeyDer::from(pkcs8).into()) else {
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
            pkcs8: Arc::new(Zeroizing::new(pkcs8.to_vec())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_that_are_none_and_the_first_that_is_one() {
        let order = *b"\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\
            \xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
        for scalar in [[0; 32], order, [0xff; 32]] {
            assert!(
                matches!(TlsKey::from_scalar(&scalar), Err(InvalidKey::Generation)),
                "{scalar:?}"
            );
        }
        // One times the generator is the generator (SEC 2, 2.4.2).
        let mut one = [0; 32];
        one[31] = 1;
        let generator = *b"\x04\x6b\x17\xd1\xf2\xe1\x2c\x42\x47";
        assert!(TlsKey::from_scalar(&one).unwrap().public.starts_with(&generator));
    }
}
