//! The keys that backups are sealed to. The public half is all that whoever takes a backup needs; the secret one is kept away
//! from the node, and opens every backup that was sealed to it.
//!
//! ```text
//! icomm-backup-key/1 0123…def      the secret half: 64 hexadecimal digits, a line feed
//! icomm-backup-to-0123…def         the public half, one word: an X25519 key
//! ```

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use rand::{TryRng, rngs::SysRng};
use zeroize::Zeroizing;

use super::InvalidKey;

const TAG: &str = "icomm-backup-key/1 ";
const PUBLIC_TAG: &str = "icomm-backup-to-";

/// The secret half.
#[derive(Clone)]
pub struct BackupKey(Zeroizing<[u8; 32]>);

/// The public half: whom a backup is sealed to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupRecipient([u8; 32]);

/// Not a backup key, or not the half that is needed. The operator's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBackupKey {
    /// Not the secret half.
    #[error("not a secret backup key: `icomm-backup-key/1` and 64 hexadecimal digits are one")]
    Secret,
    /// Not the public half.
    #[error("not whom a backup can be sealed to: `icomm-backup-to-` and 64 hexadecimal digits are")]
    Public,
}

impl BackupKey {
    /// A new key from the operating system's randomness.
    pub fn generate() -> Result<Self, InvalidKey> {
        let mut seed = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *seed).map_err(|_| InvalidKey::Generation)?;
        Ok(Self(seed))
    }

    /// The key of these bytes, which whoever has them can open with.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes, to be sealed to others.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public half.
    pub fn recipient(&self) -> BackupRecipient {
        let key = SigningKey::from_bytes(&self.0);
        BackupRecipient(key.verifying_key().to_montgomery().to_bytes())
    }

    /// As its file has it.
    pub fn to_text(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(HEXLOWER.encode(&*self.0));
        Zeroizing::new(format!("{TAG}{}\n", *digits))
    }

    /// The X25519 secret (RFC 8032, 5.1.5: the lower half of the seed's hash).
    pub(crate) fn x25519(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(SigningKey::from_bytes(&self.0).to_scalar_bytes())
    }
}

impl FromStr for BackupKey {
    type Err = InvalidBackupKey;

    fn from_str(text: &str) -> Result<Self, InvalidBackupKey> {
        let digits = text.trim_ascii_end().strip_prefix(TAG);
        let bytes = digits.and_then(|digits| HEXLOWER.decode(digits.as_bytes()).ok());
        let bytes = Zeroizing::new(bytes.ok_or(InvalidBackupKey::Secret)?);
        let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| InvalidBackupKey::Secret)?;
        Ok(Self::from_bytes(bytes))
    }
}

impl fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupKey(..)")
    }
}

impl BackupRecipient {
    /// The recipient of this X25519 key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its X25519 key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for BackupRecipient {
    type Err = InvalidBackupKey;

    fn from_str(text: &str) -> Result<Self, InvalidBackupKey> {
        let digits = text.trim_ascii().strip_prefix(PUBLIC_TAG);
        let bytes = digits.and_then(|digits| HEXLOWER.decode(digits.as_bytes()).ok());
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(InvalidBackupKey::Public)
    }
}

impl fmt::Display for BackupRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_TAG}{}", HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for BackupRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{BackupKey, BackupRecipient, InvalidBackupKey};

    #[test]
    fn each_half_is_read_as_it_was_written_and_is_not_taken_for_the_other() {
        let key = BackupKey::generate().unwrap();
        let (secret, public) = (key.to_text(), key.recipient().to_string());
        assert_eq!(secret.parse::<BackupKey>().unwrap().recipient(), key.recipient());
        assert_eq!(public.parse(), Ok(key.recipient()));
        assert_eq!(format!("{key:?}"), "BackupKey(..)");
        assert_eq!(secret.parse::<BackupRecipient>(), Err(InvalidBackupKey::Public));
        for wrong in [
            "",
            "icomm-backup-key/1 ",
            &secret[1..],
            &secret[..secret.len() - 3],
            &public,
        ] {
            assert_eq!(
                wrong.parse::<BackupKey>().err(),
                Some(InvalidBackupKey::Secret),
                "{wrong}"
            );
        }
        for wrong in ["", "icomm-backup-to-", &public[1..], &public[..public.len() - 2]] {
            assert_eq!(
                wrong.parse::<BackupRecipient>(),
                Err(InvalidBackupKey::Public),
                "{wrong}"
            );
        }
    }
}
