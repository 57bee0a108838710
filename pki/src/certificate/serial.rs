//! Serial numbers of certificates.

use std::{fmt, str::FromStr, sync::Arc};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::InvalidCertificate;

/// A certificate's serial number: a positive number of up to 20 bytes, printed as lower-case hex.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Arc<[u8]>);

impl Serial {
    /// The longest serial number, in bytes (RFC 5280).
    pub const LENGTH_MAX: usize = 20;

    /// A number from its big-endian bytes, as DER has them (perhaps with one leading zero).
    pub fn from_be_bytes(bytes: &[u8]) -> Result<Self, InvalidCertificate> {
        let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
        let digits = bytes.strip_prefix(&[0]).unwrap_or(bytes);
        if negative || digits.first().is_none_or(|byte| *byte == 0) || bytes.len() > Self::LENGTH_MAX {
            return Err(InvalidCertificate::Serial);
        }
        Ok(Self(digits.into()))
    }

    /// The serial number for a certificate with this content: 16 bytes of its SHA-256, so that two certificates with
    /// different content never share one, and no counter has to be kept.
    pub(crate) fn of_content(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new_with_prefix(b"icomm/v1 serial\0");
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut bytes: [u8; 32] = hash.finalize().into();
        // INVARIANT: positive and without a leading zero, so that it has one encoding.
        let [first, ..] = &mut bytes;
        *first = *first & 0x3f | 0x40;
        Self(bytes.iter().copied().take(16).collect())
    }

    /// The number's big-endian bytes, without leading zeros.
    pub fn as_be_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serial({self})")
    }
}

impl FromStr for Serial {
    type Err = InvalidCertificate;

    /// Reads hex in either case, with or without colons, as `openssl x509 -serial` and `-text` print it.
    fn from_str(text: &str) -> Result<Self, InvalidCertificate> {
        let text: String = text
            .chars()
            .take(64)
            .filter(|c| *c != ':')
            .map(|c| c.to_ascii_lowercase())
            .collect();
        let bytes = HEXLOWER
            .decode(text.as_bytes())
            .map_err(|_| InvalidCertificate::Serial)?;
        let digits = bytes.strip_prefix(&[0]).unwrap_or(&bytes);
        if digits.first().is_none_or(|byte| *byte == 0) || digits.len() > Self::LENGTH_MAX {
            return Err(InvalidCertificate::Serial);
        }
        Ok(Self(digits.into()))
    }
}
