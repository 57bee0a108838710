//! What one node seals so that one other can open it: HPKE (RFC 9180) in its base mode, with DHKEM(X25519, HKDF-SHA256),
//! HKDF-SHA256 and AES-256-GCM.
//!
//! The receiver is named by its libp2p id, which holds its Ed25519 key; the X25519 key is the birational image of that one
//! (RFC 7748, 4.1), so that a node needs no third key and the trust bundle's directory is enough to write to it. That one
//! key may both sign and receive in this way is shown in <https://eprint.iacr.org/2021/509>. HPKE's base mode says nothing of
//! the sender: [`NodeKey::sign`] and [`verify_by`] do.

use std::fmt;

use libp2p_identity::{PeerId, PublicKey};
use rustls::crypto::{
    aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE,
    hpke::{EncapsulatedSecret, Hpke, HpkeOpener, HpkePrivateKey, HpkePublicKey, HpkeSealer},
};
use thiserror::Error;

use crate::{BackupKey, BackupRecipient, Domain, InvalidSignature, MemberPublicKey, NodeKey, Signature};

/// Length of the encapsulated secret, which the opener needs.
pub const ENCAPSULATED_BYTES: usize = 32;
/// How much longer a sealed piece is than the piece.
pub const SEAL_BYTES: usize = 16;

/// Why nothing could be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealingError {
    /// The peer id holds no Ed25519 key, as every node's in a verified directory does.
    #[error("the node's libp2p id holds no Ed25519 key, so nothing can be sealed to it")]
    Key,
    /// It is not for this node, or not what was sealed, or the pieces are not in order.
    #[error("it was not sealed to this node, or it was changed")]
    Opening,
    /// The crypto library refused.
    #[error("the crypto library refused to seal")]
    Sealing,
}

/// Seals piece after piece; each counts on those before it.
pub struct Sealer(Box<dyn HpkeSealer>);

/// Opens the pieces in the order in which they were sealed.
pub struct Opener(Box<dyn HpkeOpener>);

/// A sealer towards a node. `info` is what both sides must agree on beside; the encapsulated secret goes to the receiver in
/// clear. Takes fresh randomness from the system.
pub fn seal_to(node: &PeerId, info: &[u8]) -> Result<([u8; ENCAPSULATED_BYTES], Sealer), SealingError> {
    seal_to_x25519(key_of(node).ok_or(SealingError::Key)?.x25519(), info)
}

/// The same towards whoever has a backup key's secret half.
pub fn seal_to_recipient(
    recipient: &BackupRecipient,
    info: &[u8],
) -> Result<([u8; ENCAPSULATED_BYTES], Sealer), SealingError> {
    seal_to_x25519(*recipient.as_bytes(), info)
}

fn seal_to_x25519(key: [u8; 32], info: &[u8]) -> Result<([u8; ENCAPSULATED_BYTES], Sealer), SealingError> {
    let key = HpkePublicKey(key.to_vec());
    let (secret, sealer) = SUITE.setup_sealer(info, &key).map_err(|_| SealingError::Sealing)?;
    let secret = secret.0.try_into().map_err(|_| SealingError::Sealing)?;
    Ok((secret, Sealer(sealer)))
}

impl NodeKey {
    /// An opener for what was sealed to this node.
    pub fn opener(&self, encapsulated: [u8; ENCAPSULATED_BYTES], info: &[u8]) -> Result<Opener, SealingError> {
        open_with(&self.x25519(), encapsulated, info)
    }
}

impl BackupKey {
    /// An opener for what was sealed to this key's recipient.
    pub fn opener(&self, encapsulated: [u8; ENCAPSULATED_BYTES], info: &[u8]) -> Result<Opener, SealingError> {
        open_with(&self.x25519(), encapsulated, info)
    }
}

fn open_with(secret: &[u8; 32], encapsulated: [u8; ENCAPSULATED_BYTES], info: &[u8]) -> Result<Opener, SealingError> {
    let secret = HpkePrivateKey::from(secret.to_vec());
    SUITE
        .setup_opener(&EncapsulatedSecret(encapsulated.to_vec()), info, &secret)
        .map(Opener)
        .map_err(|_| SealingError::Opening)
}

impl Sealer {
    /// The next piece, sealed.
    pub fn seal(&mut self, piece: &[u8]) -> Result<Vec<u8>, SealingError> {
        self.0.seal(&[], piece).map_err(|_| SealingError::Sealing)
    }
}

impl Opener {
    /// The next piece, opened.
    pub fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, SealingError> {
        self.0.open(&[], sealed).map_err(|_| SealingError::Opening)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(..)")
    }
}

/// Checks that the node of this libp2p id signed `message` for `domain`.
pub fn verify_by(node: &PeerId, domain: Domain, message: &[u8], signature: &Signature) -> Result<(), InvalidSignature> {
    key_of(node).ok_or(InvalidSignature)?.verify(domain, message, signature)
}

/// The Ed25519 key that a libp2p id holds: ids of keys this short are the keys themselves (libp2p peer-ids spec).
fn key_of(node: &PeerId) -> Option<MemberPublicKey> {
    let key = PublicKey::try_decode_protobuf(node.as_ref().digest()).ok()?;
    MemberPublicKey::from_bytes(&key.try_into_ed25519().ok()?.to_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_node_it_is_sealed_to_opens_it_and_only_in_order() {
        let (node, other) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
        let (secret, mut sealer) = seal_to(&node.peer_id(), b"from KE").unwrap();
        let sealed: Vec<_> = [&b"one"[..], b"", b"three"]
            .map(|piece| sealer.seal(piece).unwrap())
            .into();
        assert_eq!(sealed[0].len(), 3 + SEAL_BYTES);

        let mut opener = node.opener(secret, b"from KE").unwrap();
        let opened: Vec<_> = sealed.iter().map(|sealed| opener.open(sealed).unwrap()).collect();
        assert_eq!(opened, [&b"one"[..], b"", b"three"]);

        let first = |key: &NodeKey, info: &[u8], sealed: &[u8]| key.opener(secret, info).unwrap().open(sealed);
        assert_eq!(first(&other, b"from KE", &sealed[0]), Err(SealingError::Opening));
        assert_eq!(first(&node, b"from UG", &sealed[0]), Err(SealingError::Opening));
        assert_eq!(
            first(&node, b"from KE", &sealed[1]),
            Err(SealingError::Opening),
            "out of order"
        );
        for at in 0..sealed[0].len() {
            let mut changed = sealed[0].clone();
            changed[at] ^= 1;
            assert_eq!(
                first(&node, b"from KE", &changed),
                Err(SealingError::Opening),
                "byte {at}"
            );
        }
    }

    #[test]
    fn only_a_recipient_opens_what_was_sealed_to_it() {
        let (key, other) = (BackupKey::generate().unwrap(), BackupKey::generate().unwrap());
        let (secret, mut sealer) = seal_to_recipient(&key.recipient(), b"backup").unwrap();
        let sealed = sealer.seal(b"piece").unwrap();
        let open = |key: &BackupKey, info: &[u8]| key.opener(secret, info).unwrap().open(&sealed);
        assert_eq!(open(&key, b"backup").unwrap(), b"piece");
        assert_eq!(open(&other, b"backup"), Err(SealingError::Opening));
        assert_eq!(open(&key, b"other"), Err(SealingError::Opening));
        let nobody = BackupRecipient::from_bytes([0; 32]);
        assert!(seal_to_recipient(&nobody, b"").is_err(), "a point of small order");
    }

    #[test]
    fn a_node_signs_for_one_purpose_as_the_holder_of_its_libp2p_key() {
        let (node, other) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
        let signature = node.sign(Domain::Parcel, b"text");
        let verify = |by: &NodeKey, domain, text: &[u8]| verify_by(&by.peer_id(), domain, text, &signature).is_ok();
        assert!(verify(&node, Domain::Parcel, b"text"));
        assert!(!verify(&node, Domain::Enrolment, b"text"));
        assert!(!verify(&node, Domain::Parcel, b"test"));
        assert!(!verify(&other, Domain::Parcel, b"text"));
        assert!(
            node.libp2p()
                .public()
                .verify(&Domain::Parcel.frame(b"text"), signature.as_bytes()),
            "libp2p's own check agrees"
        );
    }

    #[test]
    fn an_id_that_is_no_key_is_nobodys() {
        let hashed = PeerId::from_bytes(&[&[0x12, 0x20][..], &[7; 32]].concat()).unwrap();
        assert_eq!(seal_to(&hashed, b"").unwrap_err(), SealingError::Key);
        let signature = NodeKey::generate().unwrap().sign(Domain::Parcel, b"");
        assert!(verify_by(&hashed, Domain::Parcel, b"", &signature).is_err());
    }
}
