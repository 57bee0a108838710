//! The store key: it wraps the keys of all views of a store, so that the store's folder alone tells nobody what is in it.
//!
//! ```text
//! icomm-store-key/v1 0123…def      64 hexadecimal digits, a line feed
//! ```
//!
//! It lies beside the node's other keys, outside the store. Without it nothing that is kept can be read, and nothing brings
//! it back: a copy of it belongs where copies of the member key are.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use crate::environment::Entropy;

const TAG: &str = "icomm-store-key/v1 ";

/// The secret of one store.
#[derive(Clone)]
pub struct StoreKey(Zeroizing<[u8; 32]>);

/// Not a store key. The operator's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a store key: `icomm-store-key/v1` and 64 hexadecimal digits are one")]
pub struct InvalidStoreKey;

impl StoreKey {
    /// A new one.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        entropy.fill(&mut *bytes);
        Self(bytes)
    }

    /// As its file has it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let digits = Zeroizing::new(HEXLOWER.encode(&*self.0));
        Zeroizing::new(format!("{TAG}{}\n", *digits))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for StoreKey {
    type Err = InvalidStoreKey;

    fn from_str(text: &str) -> Result<Self, InvalidStoreKey> {
        let digits = text.trim_ascii_end().strip_prefix(TAG).ok_or(InvalidStoreKey)?;
        let bytes = HEXLOWER.decode(digits.as_bytes()).map_err(|_| InvalidStoreKey)?;
        let bytes = Zeroizing::new(bytes);
        let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| InvalidStoreKey)?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidStoreKey, StoreKey};
    use crate::environment::Environment;

    #[test]
    fn a_store_key_is_read_as_it_was_written_and_never_printed() {
        let key = StoreKey::generate(&*Environment::system().entropy);
        let text = key.to_text();
        assert_eq!(text.parse::<StoreKey>().unwrap().bytes(), key.bytes());
        assert_eq!(format!("{key:?}"), "StoreKey(..)");
        for wrong in [
            "",
            "icomm-store-key/v1 ",
            &text[1..],
            &text[..text.len() - 2],
            &text.to_uppercase(),
        ] {
            assert_eq!(wrong.parse::<StoreKey>().err(), Some(InvalidStoreKey), "{wrong}");
        }
    }
}
