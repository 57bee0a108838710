//! Keys that sign where they are: in a smart card, a hardware security module or another token.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use thiserror::Error;

use super::{MemberPublicKey, Signature};

/// What holds a member's key and signs with it. What it does to reach the key (a PKCS#11 module, a network) is its own
/// affair; this crate does no I/O.
pub trait Token: Send + Sync {
    /// Signs `message` as it is with plain Ed25519 (RFC 8032). May block for as long as the device takes. Many threads may
    /// call at once.
    ///
    /// # Errors
    /// No signature was made. Asked again, it tries again, but must not present a PIN again that was refused.
    fn sign(&self, message: &[u8]) -> Result<Signature, SigningError>;
}

/// Why there is no signature of the member. Nothing is wrong with what was to be signed: the operator mends the token, and
/// it can be signed then.
#[derive(Clone, Debug, Error)]
pub enum SigningError {
    /// The token, the key in it or the way to it is not there.
    #[error("the member key's token is not there: {0}")]
    Absent(#[source] Arc<dyn Error + Send + Sync>),
    /// The token is there and does not let anybody in: no PIN, or a refused one.
    #[error("the member key is locked: {0}")]
    Locked(#[source] Arc<dyn Error + Send + Sync>),
    /// The token failed at signing.
    #[error("the member key's token does not sign: {0}")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
    /// The token signed with another key than the member's.
    #[error("the token signs with another key than the member's `{public}`; put the right token or key label in place")]
    OtherKey {
        /// The member's.
        public: Box<MemberPublicKey>,
    },
}

impl SigningError {
    /// A stable code, kebab-case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Absent(_) => "key-absent",
            Self::Locked(_) => "key-locked",
            Self::Failed(_) => "key-failed",
            Self::OtherKey { .. } => "other-key",
        }
    }
}

/// A key in a token: everything that it signs is verified, so that a wrong signature never gets out.
pub(super) struct InToken {
    public: MemberPublicKey,
    token: Box<dyn Token>,
    fault: Mutex<Option<SigningError>>,
}

impl InToken {
    pub(super) fn new(public: MemberPublicKey, token: Box<dyn Token>) -> Self {
        Self {
            public,
            token,
            fault: Mutex::default(),
        }
    }

    pub(super) fn public(&self) -> &MemberPublicKey {
        &self.public
    }

    pub(super) fn fault(&self) -> Option<SigningError> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Signature, SigningError> {
        let signed = self.token.sign(message).and_then(|signature| {
            let other = |_| SigningError::OtherKey {
                public: Box::new(self.public),
            };
            self.public.verify_raw(message, &signature).map_err(other)?;
            Ok(signature)
        });
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = signed.as_ref().err().cloned();
        signed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::{Domain, MemberKey};

    /// Signs with a key in memory while it is plugged in.
    #[derive(Clone)]
    struct Stick(MemberKey, Arc<AtomicBool>);

    impl Token for Stick {
        fn sign(&self, message: &[u8]) -> Result<Signature, SigningError> {
            match self.1.load(Ordering::Relaxed) {
                true => self.0.sign_raw(message),
                false => Err(SigningError::Absent(Arc::new(std::fmt::Error))),
            }
        }
    }

    #[test]
    fn signs_while_the_token_is_there_and_says_when_it_is_not() {
        let (secret, there) = (MemberKey::from_seed(&[1; 32]), Arc::new(AtomicBool::new(false)));
        let key = MemberKey::in_token(secret.public(), Stick(secret.clone(), there.clone()));
        assert!(secret.signs_at_once() && !key.signs_at_once());
        assert!(secret.to_pkcs8_pem().is_some() && key.to_pkcs8_pem().is_none());
        assert_eq!(format!("{key:?}"), "MemberKey(..)");
        assert!(key.fault().is_none());

        let refused = key.sign(Domain::Receipt, b"text").unwrap_err();
        assert_eq!(refused.code(), "key-absent");
        assert_eq!(key.clone().fault().map(|fault| fault.code()), Some("key-absent"));

        there.store(true, Ordering::Relaxed);
        let signature = key.sign(Domain::Receipt, b"text").unwrap();
        assert_eq!(signature, secret.sign(Domain::Receipt, b"text").unwrap());
        assert!(key.fault().is_none());
    }

    #[test]
    fn a_signature_of_another_key_is_not_given_out() {
        let (secret, other) = (MemberKey::from_seed(&[1; 32]), MemberKey::from_seed(&[2; 32]));
        let key = MemberKey::in_token(secret.public(), Stick(other, Arc::new(AtomicBool::new(true))));
        let refused = key.sign(Domain::Receipt, b"text").unwrap_err();
        assert!(matches!(refused, SigningError::OtherKey { public } if *public == secret.public()));
        assert_eq!(key.fault().map(|fault| fault.code()), Some("other-key"));
    }
}
