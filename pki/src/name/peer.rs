//! Peer ids as DNS labels: the base36 CID that libp2p and IPFS use in subdomains, where case gets lost.
//!
//! ```text
//! 'k' | base36( 0x01 CIDv1 | 0x72 libp2p-key | 0x00 identity hash | 0x24 | 08 01 12 20 | Ed25519 key 32 )
//! ```

use libp2p_identity::PeerId;

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// CIDv1 and the codec `libp2p-key`, before the multihash that a peer id is.
const CID_HEAD: [u8; 2] = [0x01, 0x72];
/// The identity multihash of an Ed25519 public key in protobuf form, before its 32 bytes.
const ED25519_HEAD: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
/// Base36 digits of the 40 bytes of a CID that starts with 0x01.
const DIGITS_COUNT: usize = 61;

/// The label of a peer id, 62 characters, or `None` when it is not of an Ed25519 key.
pub(crate) fn dns_label(peer_id: &PeerId) -> Option<String> {
    let multihash = peer_id.to_bytes();
    if !multihash.starts_with(&ED25519_HEAD) || multihash.len() != ED25519_HEAD.len() + 32 {
        return None;
    }
    let mut number = [&CID_HEAD[..], &multihash].concat();
    let mut label = vec![b'k'; DIGITS_COUNT + 1];
    for digit in label.iter_mut().skip(1).rev() {
        // Long division of the whole number by 36; the remainder is the next digit from the right.
        let mut remainder = 0u32;
        for byte in &mut number {
            let dividend = remainder << 8 | u32::from(*byte);
            (*byte, remainder) = ((dividend / 36) as u8, dividend % 36);
        }
        *digit = *DIGITS.get(remainder as usize)?;
    }
    String::from_utf8(label).ok()
}

/// The peer id that a label stands for; only the one spelling that [`dns_label`] writes is accepted.
pub(crate) fn from_dns_label(label: &str) -> Option<PeerId> {
    if label.len() != DIGITS_COUNT + 1 {
        return None;
    }
    let mut number = [0u8; 40];
    for digit in label.strip_prefix('k')?.bytes() {
        let mut carry = DIGITS.iter().position(|d| *d == digit)? as u32;
        for byte in number.iter_mut().rev() {
            let product = u32::from(*byte) * 36 + carry;
            (*byte, carry) = (product as u8, product >> 8);
        }
    }
    let peer_id = PeerId::from_bytes(number.strip_prefix(&CID_HEAD)?).ok()?;
    (dns_label(&peer_id)? == label).then_some(peer_id)
}
