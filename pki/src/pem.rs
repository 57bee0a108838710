//! PEM text in and out, for what the files of an authority and a node hold.

use data_encoding::BASE64;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject};
use zeroize::Zeroizing;

use crate::InvalidKey;

/// A PKCS#8 private key that is wiped when dropped.
pub(crate) type PrivateKey = Zeroizing<PrivatePkcs8KeyDer<'static>>;

/// Exactly `N` PKCS#8 private keys; blocks of other kinds between them are passed over.
pub(crate) fn private_keys<const N: usize>(text: &str) -> Result<[PrivateKey; N], InvalidKey> {
    let keys = PrivatePkcs8KeyDer::pem_slice_iter(text.as_bytes()).map(|key| key.map(Zeroizing::new));
    let keys = keys.collect::<Result<Vec<_>, _>>().map_err(InvalidKey::Pem)?;
    let found = keys.len();
    keys.try_into().map_err(|_| InvalidKey::Count { found, expected: N })
}

/// One `PRIVATE KEY` block.
pub(crate) fn private_key(pkcs8: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(block("PRIVATE KEY", pkcs8))
}

/// One PEM block: 64 characters of base64 a line (RFC 7468).
pub(crate) fn block(label: &str, der: &[u8]) -> String {
    // Room for everything at once: growing would leave copies of a secret behind in freed memory.
    let base64_length = der.len().div_ceil(3) * 4;
    let mut text = String::with_capacity(base64_length + base64_length / 64 + 2 * label.len() + 40);
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    // 48 bytes are 64 characters.
    for line in der.chunks(48) {
        BASE64.encode_append(line, &mut text);
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// All certificates of a PEM text, in order.
pub(crate) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, rustls_pki_types::pem::Error> {
    CertificateDer::pem_slice_iter(text.as_bytes()).collect()
}

/// The content of the only block with a label of our own, which the PEM reader for X.509 passes over.
pub(crate) fn only_block(label: &str, text: &str) -> Option<Vec<u8>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let (_, rest) = text.split_once(&begin)?;
    let (body, rest) = rest.split_once(&end)?;
    if rest.contains(&begin) {
        return None;
    }
    let base64: String = body.split_ascii_whitespace().collect();
    BASE64.decode(base64.as_bytes()).ok()
}
