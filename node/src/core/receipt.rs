//! The receiver's signature over the log state that it has durably stored.
//!
//! ```text
//! signed bytes (domain `receipt`):
//!   origin length u16 BE | origin ("KE/main") | size u64 BE | root 32 | time u64 BE (seconds since 1970)
//! ```

use icomm_pki::{Domain, MemberKey, MemberKeys, Signature, SigningError};
use icomm_proto::log::Hash;
use icomm_proto::{Origin, v1};
use thiserror::Error;

/// A log state that a receiver says it holds durably.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The log.
    pub origin: Origin,
    /// Entries stored, from the first.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// When, in seconds since 1970, by the receiver's clock.
    pub time: u64,
}

/// Why a receipt was not accepted. The peer's fault.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidReceipt {
    /// The origin is not a member and a log name.
    #[error("the receipt names `{0}`, which is not a log")]
    Origin(String),
    /// The root is not 32 bytes.
    #[error("the receipt's root is {0} bytes long instead of 32")]
    Root(usize),
    /// The signature is not 64 bytes or not the receiver's.
    #[error("the receipt's signature is not the receiver's")]
    Signature,
}

impl Receipt {
    /// Signs for the member that stored the log.
    ///
    /// # Errors
    /// The key does not sign now.
    pub fn sign(&self, key: &MemberKey) -> Result<v1::Receipt, SigningError> {
        let signature = key.sign(Domain::Receipt, &self.message())?;
        Ok(v1::Receipt {
            origin: self.origin.to_string(),
            size: self.size,
            root: self.root.as_bytes().to_vec().into(),
            time: self.time,
            signature: signature.as_bytes().to_vec().into(),
        })
    }

    /// Checks the receiver's signature, by a key that it may sign with today: a receipt speaks of the present.
    pub fn verify(message: &v1::Receipt, receiver: &MemberKeys) -> Result<Self, InvalidReceipt> {
        let v1::Receipt {
            origin,
            size,
            root,
            time,
            signature,
        } = message;
        let receipt = Self {
            origin: origin.parse().map_err(|_| InvalidReceipt::Origin(origin.clone()))?,
            size: *size,
            root: Hash::try_from(root.as_ref()).map_err(|_| InvalidReceipt::Root(root.len()))?,
            time: *time,
        };
        let signature = Signature::try_from(signature.as_ref()).map_err(|_| InvalidReceipt::Signature)?;
        let message = receipt.message();
        match receiver
            .signing()
            .any(|key| key.verify(Domain::Receipt, &message, &signature).is_ok())
        {
            true => Ok(receipt),
            false => Err(InvalidReceipt::Signature),
        }
    }

    fn message(&self) -> Vec<u8> {
        let origin = self.origin.to_string();
        let mut message = Vec::with_capacity(2 + origin.len() + 48);
        // An origin is at most 2 × 32 characters and a slash, so its length fits.
        message.extend_from_slice(&u16::try_from(origin.len()).unwrap_or(u16::MAX).to_be_bytes());
        message.extend_from_slice(origin.as_bytes());
        message.extend_from_slice(&self.size.to_be_bytes());
        message.extend_from_slice(self.root.as_bytes());
        message.extend_from_slice(&self.time.to_be_bytes());
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt() -> Receipt {
        Receipt {
            origin: "KE/main".parse().unwrap(),
            size: 7,
            root: Hash::from([3; 32]),
            time: 1_795_428_000,
        }
    }

    #[test]
    fn a_signed_receipt_verifies_for_its_signer_only() {
        let (key, other) = (MemberKey::from_seed(&[1; 32]), MemberKey::from_seed(&[2; 32]));
        let message = receipt().sign(&key).unwrap();
        assert_eq!(Receipt::verify(&message, &key.public().into()), Ok(receipt()));
        assert_eq!(
            Receipt::verify(&message, &other.public().into()),
            Err(InvalidReceipt::Signature)
        );
    }

    #[test]
    fn a_receipt_changed_in_any_field_is_refused() {
        let key = MemberKey::from_seed(&[1; 32]);
        let message = receipt().sign(&key).unwrap();
        let changed = [
            v1::Receipt {
                origin: "UG/main".into(),
                ..message.clone()
            },
            v1::Receipt {
                size: 8,
                ..message.clone()
            },
            v1::Receipt {
                root: vec![4; 32].into(),
                ..message.clone()
            },
            v1::Receipt {
                time: 0,
                ..message.clone()
            },
            v1::Receipt {
                signature: vec![0; 64].into(),
                ..message.clone()
            },
            v1::Receipt {
                signature: vec![0; 3].into(),
                ..message.clone()
            },
        ];
        for message in changed {
            assert_eq!(
                Receipt::verify(&message, &key.public().into()),
                Err(InvalidReceipt::Signature)
            );
        }
        let bad_root = v1::Receipt {
            root: vec![1; 31].into(),
            ..message.clone()
        };
        assert_eq!(
            Receipt::verify(&bad_root, &key.public().into()),
            Err(InvalidReceipt::Root(31))
        );
        let bad_origin = v1::Receipt {
            origin: "nowhere".into(),
            ..message
        };
        assert_eq!(
            Receipt::verify(&bad_origin, &key.public().into()),
            Err(InvalidReceipt::Origin("nowhere".into()))
        );
    }
}
