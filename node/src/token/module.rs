//! A PKCS#11 module, called by one thread: what is open, what was refused, when to try again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use icomm_pki::MemberPublicKey;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{PIN_VARIABLE, TokenError};
use crate::config::Token;

/// How long after a failure a module is tried again at least; doubled with each, up to the second.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(500);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(8);
/// Bytes of a PIN's file at most.
const PIN_BYTES_MAX: u64 = 256;

/// The curve of Ed25519, as PKCS#11 3.0 names it, and as SoftHSM and others since RFC 8410 do.
const CURVES: [&[u8]; 2] = [b"\x13\x0cedwards25519", b"\x06\x03\x2b\x65\x70"];

/// A module, and what is open in it.
pub(super) struct Module {
    path: PathBuf,
    open: Option<Open>,
    /// PINs that tokens refused.
    refused: BTreeMap<String, Zeroizing<String>>,
    failed: Option<Failed>,
}

struct Open {
    // Closed before the module is.
    sessions: BTreeMap<String, LoggedIn>,
    context: Pkcs11,
}

struct LoggedIn {
    session: Session,
    keys: BTreeMap<MemberPublicKey, ObjectHandle>,
}

struct Failed {
    until: Instant,
    pause: Duration,
    error: Arc<TokenError>,
}

impl Module {
    pub(super) fn at(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            refused: BTreeMap::new(),
            failed: None,
        }
    }

    /// Signs with the private half of a key.
    pub(super) fn sign(
        &mut self,
        place: &Token,
        public: &MemberPublicKey,
        message: &[u8],
    ) -> Result<Vec<u8>, Arc<TokenError>> {
        if let Some(failed) = self.failed.as_ref().filter(|failed| Instant::now() < failed.until) {
            return Err(failed.error.clone());
        }
        let signed = self.try_to_sign(place, public, message);
        self.settle(signed)
    }

    fn try_to_sign(&mut self, place: &Token, public: &MemberPublicKey, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let LoggedIn { session, keys } = self.logged_in(place)?;
        let key = match keys.get(public) {
            Some(key) => *key,
            None => {
                let key = private_half(session, place, public)?;
                keys.insert(*public, key);
                key
            }
        };
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
        Ok(session.sign(&mechanism, key, message)?)
    }

    /// The public halves of all keys with the label. No PIN is needed.
    pub(super) fn keys(&mut self, place: &Token) -> Result<Vec<MemberPublicKey>, Arc<TokenError>> {
        let found = self.context().and_then(|context| {
            let session = context.open_ro_session(slot(context, place)?)?;
            let public = public_halves(&session, place)?;
            Ok(public.into_iter().map(|(public, _)| public).collect())
        });
        self.settle(found)
    }

    /// Makes a key under the label.
    pub(super) fn generate(&mut self, place: &Token) -> Result<MemberPublicKey, Arc<TokenError>> {
        let made = self.try_to_generate(place);
        self.settle(made)
    }

    fn try_to_generate(&mut self, place: &Token) -> Result<MemberPublicKey, TokenError> {
        // Whoever is logged in is so in every session.
        self.logged_in(place)?;
        let context = self.context()?;
        let session = context.open_rw_session(slot(context, place)?)?;
        let id = session.generate_random_vec(16)?;
        let shared = [
            Attribute::Token(true),
            Attribute::Label(place.key.clone().into_bytes()),
            Attribute::Id(id.clone()),
        ];
        let private = [
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ];
        let mut made = Err(Error::NotSupported);
        for curve in CURVES {
            let public = [
                Attribute::Private(false),
                Attribute::Verify(true),
                Attribute::EcParams(curve.to_vec()),
            ];
            made = session.generate_key_pair(
                &Mechanism::EccEdwardsKeyPairGen,
                &[&shared[..], &public].concat(),
                &[&shared[..], &private].concat(),
            );
            if made.is_ok() {
                break;
            }
        }
        made?;
        let halves = public_halves(&session, place)?;
        let mine = halves.into_iter().find(|(_, of)| *of == id);
        mine.map(|(public, _)| public).ok_or(TokenError::ForeignKey)
    }

    /// After a failure everything is closed, and not tried again for a while.
    fn settle<T>(&mut self, done: Result<T, TokenError>) -> Result<T, Arc<TokenError>> {
        match done {
            Ok(done) => {
                self.failed = None;
                Ok(done)
            }
            Err(error) => {
                if let Some(Open { sessions, context }) = self.open.take() {
                    drop(sessions);
                    if let Err(error) = context.finalize() {
                        tracing::debug!(%error, "the PKCS#11 module does not close");
                    }
                }
                let error = Arc::new(error);
                let pause = self.failed.as_ref().map_or(RETRY_PAUSE_MIN, |failed| failed.pause * 2);
                let pause = pause.min(RETRY_PAUSE_MAX);
                self.failed = Some(Failed {
                    until: Instant::now() + pause,
                    pause,
                    error: error.clone(),
                });
                Err(error)
            }
        }
    }

    fn context(&mut self) -> Result<&Pkcs11, TokenError> {
        Ok(&self.opened()?.context)
    }

    fn opened(&mut self) -> Result<&mut Open, TokenError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let context = Pkcs11::new(&self.path)
                    .and_then(|context| {
                        context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
                        Ok(context)
                    })
                    .map_err(|source| TokenError::Unloadable {
                        path: self.path.clone(),
                        source,
                    })?;
                Open {
                    sessions: BTreeMap::new(),
                    context,
                }
            }
        };
        Ok(self.open.insert(open))
    }

    fn logged_in(&mut self, place: &Token) -> Result<&mut LoggedIn, TokenError> {
        let known = self.open.as_ref();
        if !known.is_some_and(|open| open.sessions.contains_key(&place.token)) {
            let context = self.context()?.clone();
            let session = self.log_in(&context, place)?;
            let keys = BTreeMap::new();
            self.opened()?
                .sessions
                .insert(place.token.clone(), LoggedIn { session, keys });
        }
        let session = self.opened()?.sessions.get_mut(&place.token);
        session.ok_or_else(|| TokenError::Absent(place.token.clone()))
    }

    fn log_in(&mut self, context: &Pkcs11, place: &Token) -> Result<Session, TokenError> {
        let slot = slot(context, place)?;
        let info = context.get_token_info(slot)?;
        let session = context.open_ro_session(slot)?;
        if info.user_pin_locked() {
            return Err(TokenError::Locked);
        }
        let pin = pin(place)?;
        if self.refused.get(&place.token) == Some(&pin) {
            return Err(TokenError::PinRefused);
        }
        if info.user_pin_final_try() {
            return Err(TokenError::LastTry);
        }
        match session.login(UserType::User, Some(&AuthPin::from(pin.as_str()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                self.refused.remove(&place.token);
                Ok(session)
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(TokenError::Locked),
            Err(Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange | RvError::PinExpired,
                _,
            )) => {
                tracing::warn!(token = place.token, "a PIN was presented and refused");
                self.refused.insert(place.token.clone(), pin);
                Err(TokenError::PinRefused)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Where the token is plugged in.
fn slot(context: &Pkcs11, place: &Token) -> Result<Slot, TokenError> {
    for slot in context.get_slots_with_initialized_token()? {
        if context.get_token_info(slot)?.label().trim_end() == place.token {
            return Ok(slot);
        }
    }
    Err(TokenError::Absent(place.token.clone()))
}

/// The public halves under the label, each with its id.
fn public_halves(session: &Session, place: &Token) -> Result<Vec<(MemberPublicKey, Vec<u8>)>, TokenError> {
    let template = [
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::KeyType(KeyType::EC_EDWARDS),
        Attribute::Label(place.key.clone().into_bytes()),
    ];
    let mut found = Vec::new();
    for object in session.find_objects(&template)? {
        let (mut public, mut id) = (None, Vec::new());
        for attribute in session.get_attributes(object, &[AttributeType::EcPoint, AttributeType::Id])? {
            match attribute {
                Attribute::EcPoint(point) => public = Some(public_of(&point)?),
                Attribute::Id(value) => id = value,
                _ => {}
            }
        }
        found.push((public.ok_or(TokenError::ForeignKey)?, id));
    }
    Ok(found)
}

/// The point as PKCS#11 has it: in a DER octet string, or, with some tokens, bare.
fn public_of(point: &[u8]) -> Result<MemberPublicKey, TokenError> {
    let bytes = point.strip_prefix(b"\x04\x20").unwrap_or(point);
    let bytes: &[u8; MemberPublicKey::LENGTH] = bytes.try_into().map_err(|_| TokenError::ForeignKey)?;
    MemberPublicKey::from_bytes(bytes).map_err(|_| TokenError::ForeignKey)
}

fn private_half(session: &Session, place: &Token, public: &MemberPublicKey) -> Result<ObjectHandle, TokenError> {
    let missing = || TokenError::NoKey {
        token: place.token.clone(),
        key: place.key.clone(),
        public: Box::new(*public),
    };
    let halves = public_halves(session, place)?;
    let (_, id) = halves.into_iter().find(|(of, _)| of == public).ok_or_else(missing)?;
    let template = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Label(place.key.clone().into_bytes()),
        Attribute::Id(id),
    ];
    let found = session.find_objects(&template)?;
    found.first().copied().ok_or_else(missing)
}

/// The PIN: of the file that the settings name, else of the environment.
fn pin(place: &Token) -> Result<Zeroizing<String>, TokenError> {
    use std::os::unix::fs::PermissionsExt;
    let Some(path) = &place.pin_file else {
        let pin = std::env::var(PIN_VARIABLE).map_err(|_| TokenError::NoPin)?;
        return Ok(Zeroizing::new(pin));
    };
    let unusable = |reason: String| TokenError::PinFile {
        path: path.clone(),
        reason,
    };
    let file = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?;
    if file.permissions().mode() & 0o077 != 0 {
        return Err(unusable("others can read it; `chmod 600` it".to_owned()));
    }
    if file.len() > PIN_BYTES_MAX {
        return Err(unusable(format!("it has more than {PIN_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    let text = Zeroizing::new(text);
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use icomm_pki::MemberKey;

    use super::*;

    #[test]
    fn a_point_is_read_in_both_forms_and_nothing_else_is() {
        let public = MemberKey::from_seed(&[1; 32]).public();
        let bare = public.as_bytes().to_vec();
        let wrapped = [&b"\x04\x20"[..], &bare].concat();
        assert_eq!(public_of(&bare).unwrap(), public);
        assert_eq!(public_of(&wrapped).unwrap(), public);
        let short = bare.get(1..).unwrap();
        let zero = [0; 32];
        for wrong in [short, &zero, b""] {
            assert!(matches!(public_of(wrong), Err(TokenError::ForeignKey)), "{wrong:?}");
        }
    }
}
