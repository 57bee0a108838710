//! The Ed25519 key a member signs with: checkpoints, agreements, receipts. In memory, or in a token (`token.rs`).

use std::{fmt, hash, sync::Arc};

use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey, pkcs8::DecodePrivateKey};
use rand::{TryRng, rngs::SysRng};
use zeroize::Zeroizing;

use super::{
    Domain, InvalidKey, InvalidSignature, Signature, SigningError, Token, signature::decode_base64, token::InToken,
};
use crate::pem;

/// A member's secret signing key: in memory, or in a token that signs with it and does not give it away. Clones share the
/// one copy in memory, which is wiped when the last is dropped, or the one way to the token.
///
/// ```
/// use icomm_pki::{Domain, MemberKey};
/// let key = MemberKey::generate()?;
/// let signature = key.sign(Domain::Agreement, b"the text")?;
/// assert!(key.public().verify(Domain::Agreement, b"the text", &signature).is_ok());
/// assert!(key.public().verify(Domain::Receipt, b"the text", &signature).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemberKey(Kept);

#[derive(Clone)]
enum Kept {
    InMemory(Arc<SigningKey>),
    InToken(Arc<InToken>),
}

impl MemberKey {
    /// A new key from the operating system's randomness.
    pub fn generate() -> Result<Self, InvalidKey> {
        let mut seed = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *seed).map_err(|_| InvalidKey::Generation)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key that an RFC 8032 seed stands for; who knows the seed has the key.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Kept::InMemory(Arc::new(SigningKey::from_bytes(seed))))
    }

    /// Reads a PEM text with exactly one PKCS#8 Ed25519 `PRIVATE KEY`, version 1 or 2.
    pub fn from_pkcs8_pem(text: &str) -> Result<Self, InvalidKey> {
        let [key] = pem::private_keys(text)?;
        let wrong = |_| InvalidKey::Algorithm { wanted: "an Ed25519" };
        SigningKey::from_pkcs8_der(key.secret_pkcs8_der())
            .map(|key| Self(Kept::InMemory(Arc::new(key))))
            .map_err(wrong)
    }

    /// The key `public`, whose secret half is in `token`. The token need not be there yet. A signature that is not this key's
    /// is an error and never given to anybody.
    pub fn in_token(public: MemberPublicKey, token: impl Token + 'static) -> Self {
        Self(Kept::InToken(Arc::new(InToken::new(public, Box::new(token)))))
    }

    /// Writes PKCS#8 version 1 as PEM, which OpenSSL 3.0 and GnuTLS read (they refuse version 2). None of a key in a token:
    /// it does not leave it.
    pub fn to_pkcs8_pem(&self) -> Option<Zeroizing<String>> {
        match &self.0 {
            Kept::InMemory(key) => Some(pem::private_key(&ed25519_pkcs8(key.as_bytes()))),
            Kept::InToken(_) => None,
        }
    }

    /// The public half.
    pub fn public(&self) -> MemberPublicKey {
        match &self.0 {
            Kept::InMemory(key) => MemberPublicKey(key.verifying_key()),
            Kept::InToken(key) => *key.public(),
        }
    }

    /// Whether a signature takes a moment and can't fail: the key is in memory. One in a token may take milliseconds, or
    /// seconds when its device is far away.
    pub fn signs_at_once(&self) -> bool {
        matches!(self.0, Kept::InMemory(_))
    }

    /// Why the last signature failed; none since one succeeded. Before the first nothing is known against the key.
    pub fn fault(&self) -> Option<SigningError> {
        match &self.0 {
            Kept::InMemory(_) => None,
            Kept::InToken(key) => key.fault(),
        }
    }

    /// Signs `message` for one purpose.
    ///
    /// # Errors
    /// The key is in a token that does not sign now. Never with a key in memory.
    pub fn sign(&self, domain: Domain, message: &[u8]) -> Result<Signature, SigningError> {
        self.sign_raw(&domain.frame(message))
    }

    /// Signs `message` as it is. For formats that bring their own separation only: C2SP notes and X.509.
    ///
    /// # Errors
    /// As of [`sign`](Self::sign).
    pub fn sign_raw(&self, message: &[u8]) -> Result<Signature, SigningError> {
        match &self.0 {
            Kept::InMemory(key) => Ok(Signature::from_bytes(key.sign(message).to_bytes())),
            Kept::InToken(key) => key.sign(message),
        }
    }
}

impl fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberKey(..)")
    }
}

impl rcgen::PublicKeyData for MemberKey {
    fn der_bytes(&self) -> &[u8] {
        match &self.0 {
            Kept::InMemory(key) => key.as_ref().as_ref().as_bytes(),
            Kept::InToken(key) => key.public().as_bytes(),
        }
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl rcgen::SigningKey for MemberKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.sign_raw(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.as_bytes().to_vec())
    }
}

/// The PKCS#8 version 1 form of an Ed25519 secret (RFC 8410, section 7): a fixed head, then the seed.
pub(super) fn ed25519_pkcs8(seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    const HEAD: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    Zeroizing::new([&HEAD[..], &seed[..]].concat())
}

/// A member's public key. Equality, order and hash are those of its 32 bytes.
#[derive(Clone, Copy)]
pub struct MemberPublicKey(VerifyingKey);

impl MemberPublicKey {
    /// How many bytes a public key has.
    pub const LENGTH: usize = 32;

    /// The key that `bytes` encode; refuses what is no point, a point of small order (any signature would fit it) or
    /// a second spelling of a point.
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Result<Self, InvalidKey> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| InvalidKey::Point)?;
        if key.is_weak() || key.to_edwards().compress().as_bytes() != bytes {
            return Err(InvalidKey::Point);
        }
        Ok(Self(key))
    }

    /// The key's 32 bytes.
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        self.0.as_bytes()
    }

    /// The X25519 key of the same secret: RFC 7748, 4.1 maps the point.
    pub(crate) fn x25519(&self) -> [u8; 32] {
        self.0.to_montgomery().to_bytes()
    }

    /// Reads standard base64 with padding.
    pub fn from_base64(text: &str) -> Result<Self, InvalidKey> {
        Self::from_bytes(&decode_base64(text)?)
    }

    /// Writes standard base64 with padding.
    pub fn to_base64(&self) -> String {
        BASE64.encode(self.as_bytes())
    }

    /// Checks that this key signed `message` for `domain`, by the strict rules (see [`verify_raw`](Self::verify_raw)).
    pub fn verify(&self, domain: Domain, message: &[u8], signature: &Signature) -> Result<(), InvalidSignature> {
        self.verify_raw(&domain.frame(message), signature)
    }

    /// Checks a signature over `message` as it is. For C2SP notes and X.509 only.
    ///
    /// One rule everywhere: the strict one, without malleable or small-order signatures, so that two nodes never
    /// disagree about a signature.
    pub fn verify_raw(&self, message: &[u8], signature: &Signature) -> Result<(), InvalidSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
        self.0.verify_strict(message, &signature).map_err(|_| InvalidSignature)
    }
}

impl PartialEq for MemberPublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for MemberPublicKey {}

impl PartialOrd for MemberPublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MemberPublicKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl hash::Hash for MemberPublicKey {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for MemberPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_base64())
    }
}

impl fmt::Debug for MemberPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberPublicKey({self})")
    }
}

impl serde::Serialize for MemberPublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> serde::Deserialize<'de> for MemberPublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_base64(&text).map_err(serde::de::Error::custom)
    }
}
