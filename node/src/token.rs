//! The member's key in a PKCS#11 token: a smart card, a hardware security module, SoftHSM.
//!
//! ```text
//!  MemberKey ─ message ─▶ Pkcs11Token ─▶ worker: the one thread that calls the module ─▶ signature, verified in `pki`
//!                             └ waits five seconds at most        └ session · login · key by label and certified public half
//! ```
//!
//! A module is process-wide state, so there is one worker for each. One that hangs keeps its worker and nobody else. A PIN
//! that the token refused is not tried again before it is changed, since tokens lock themselves; after any other failure
//! everything is closed and opened anew, at growing intervals.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use icomm_pki::{MemberKey, MemberPublicKey, Signature, SigningError, Token};
use thiserror::Error;

use crate::config;

mod module;

use module::Module;

/// How long a module may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Where the PIN may stand instead of in a file.
pub(crate) const PIN_VARIABLE: &str = "ICOMM_TOKEN_PIN";

/// Why a token does not do what it is asked for. The operator's to mend, but for [`TokenError::Module`].
#[derive(Debug, Error)]
pub(crate) enum TokenError {
    /// It is no PKCS#11 module, or not there.
    #[error("the PKCS#11 module `{}` can't be loaded: {source}", path.display())]
    Unloadable {
        /// Where the settings say that it is.
        path: PathBuf,
        /// Why not.
        source: cryptoki::error::Error,
    },
    /// No such token is plugged in.
    #[error("no token is labelled `{0}`; plug it in, or mend `identity.token.token`")]
    Absent(String),
    /// The token has no such key.
    #[error(
        "no Ed25519 key `{key}` in the token `{token}` is the member's `{public}`; put in the right token, or mend `identity.token.key`"
    )]
    NoKey {
        /// The token's label.
        token: String,
        /// The key's.
        key: String,
        /// The public half that is certified.
        public: Box<MemberPublicKey>,
    },
    /// The PIN is nowhere.
    #[error("there is no PIN for the token; name a file in `identity.token.pin_file`, or set {PIN_VARIABLE}")]
    NoPin,
    /// The PIN's file can't be used.
    #[error("the PIN's file `{}` can't be used: {reason}", path.display())]
    PinFile {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The token did not accept the PIN.
    #[error("the token refused the PIN; it is not tried again before it is changed")]
    PinRefused,
    /// The token counts failed tries, and only one is left.
    #[error("one more wrong PIN would lock the token, so none is tried; log in once with the token's own program")]
    LastTry,
    /// The token is locked.
    #[error("the token is locked after too many wrong PINs; its security officer can unlock it")]
    Locked,
    /// What it has is no Ed25519 key.
    #[error("the token gave a public key that is none of Ed25519")]
    ForeignKey,
    /// The module does not answer.
    #[error("the module has not answered within {} seconds", ANSWER.as_secs())]
    Silent,
    /// The module failed.
    #[error(transparent)]
    Module(#[from] cryptoki::error::Error),
}

/// The key `public` in the token of the settings.
pub(crate) fn member_key(place: &config::Token, public: MemberPublicKey) -> MemberKey {
    MemberKey::in_token(public, Pkcs11Token::at(place, public))
}

/// The public halves of the member's keys in the token: all with the label of the settings. Asks for no PIN.
///
/// # Errors
/// The token is not there, or fails.
pub(crate) fn keys(place: &config::Token) -> Result<Vec<MemberPublicKey>, SigningError> {
    let asked = place.clone();
    let found = Worker::of(&place.module).run(move |module| module.keys(&asked));
    found.map_err(not_signed)
}

/// Makes a new key in the token, which never leaves it.
///
/// # Errors
/// The token is not there, does not let anybody in, or makes no such keys.
pub(crate) fn generate(place: &config::Token) -> Result<MemberPublicKey, SigningError> {
    let asked = place.clone();
    let made = Worker::of(&place.module).run(move |module| module.generate(&asked));
    made.map_err(not_signed)
}

/// One key in a token.
pub(crate) struct Pkcs11Token {
    place: config::Token,
    public: MemberPublicKey,
    worker: Arc<Worker>,
}

impl Pkcs11Token {
    /// The token of the settings; nothing is opened yet.
    pub(crate) fn at(place: &config::Token, public: MemberPublicKey) -> Self {
        Self {
            place: place.clone(),
            public,
            worker: Worker::of(&place.module),
        }
    }
}

impl Token for Pkcs11Token {
    fn sign(&self, message: &[u8]) -> Result<Signature, SigningError> {
        let (place, public, message) = (self.place.clone(), self.public, message.to_vec());
        let signed = self.worker.run(move |module| module.sign(&place, &public, &message));
        let signed = signed.map_err(not_signed)?;
        let other = |_| SigningError::OtherKey {
            public: Box::new(self.public),
        };
        Signature::try_from(signed.as_slice()).map_err(other)
    }
}

/// Whose fault it is.
fn not_signed(error: Arc<TokenError>) -> SigningError {
    use cryptoki::error::{Error, RvError};
    match &*error {
        TokenError::Unloadable { .. } | TokenError::Absent(_) | TokenError::NoKey { .. } => SigningError::Absent(error),
        TokenError::NoPin
        | TokenError::PinFile { .. }
        | TokenError::PinRefused
        | TokenError::LastTry
        | TokenError::Locked => SigningError::Locked(error),
        TokenError::Module(Error::Pkcs11(
            RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SlotIdInvalid
            | RvError::SessionHandleInvalid
            | RvError::KeyHandleInvalid
            | RvError::ObjectHandleInvalid,
            _,
        )) => SigningError::Absent(error),
        TokenError::Module(_) | TokenError::Silent | TokenError::ForeignKey => SigningError::Failed(error),
    }
}

type Task = Box<dyn FnOnce(&mut Module) + Send>;

/// The thread that calls a module.
struct Worker {
    tasks: mpsc::Sender<Task>,
    silent: Arc<AtomicBool>,
}

/// PKCS#11 is process-wide: a module is initialised once, whoever uses it.
static WORKERS: Mutex<BTreeMap<PathBuf, Arc<Worker>>> = Mutex::new(BTreeMap::new());

impl Worker {
    fn of(path: &Path) -> Arc<Self> {
        let mut workers = WORKERS.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || Arc::new(Self::start(path.to_owned()));
        workers.entry(path.to_owned()).or_insert_with(start).clone()
    }

    fn start(path: PathBuf) -> Self {
        let (tasks, asked) = mpsc::channel::<Task>();
        let silent = Arc::new(AtomicBool::new(false));
        let answered = silent.clone();
        thread::spawn(move || {
            let mut module = Module::at(path);
            for task in asked {
                task(&mut module);
                answered.store(false, Ordering::SeqCst);
            }
        });
        Self { tasks, silent }
    }

    /// Has something done by the thread, and waits for it; while it does not answer, nobody else waits.
    fn run<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Module) -> Result<T, Arc<TokenError>> + Send + 'static,
    ) -> Result<T, Arc<TokenError>> {
        let silent = || Arc::new(TokenError::Silent);
        if self.silent.load(Ordering::SeqCst) {
            return Err(silent());
        }
        let (reply, answer) = mpsc::channel();
        let task: Task = Box::new(move |module| {
            // Whoever asked may have given up.
            let _ = reply.send(ask(module));
        });
        self.tasks.send(task).map_err(|_| silent())?;
        match answer.recv_timeout(ANSWER) {
            Ok(answered) => answered,
            Err(_) => {
                self.silent.store(true, Ordering::SeqCst);
                // INVARIANT: an answer that comes from now on is followed by the thread's own `false`.
                match answer.try_recv() {
                    Ok(answered) => {
                        self.silent.store(false, Ordering::SeqCst);
                        answered
                    }
                    Err(_) => Err(silent()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(module: &str) -> config::Token {
        config::Token {
            module: module.into(),
            token: "t".into(),
            key: "k".into(),
            pin_file: None,
        }
    }

    #[test]
    fn a_module_that_is_not_there_is_an_absent_token() {
        let key = member_key(&place("/nowhere/module.so"), MemberKey::from_seed(&[1; 32]).public());
        let error = key.sign_raw(b"text").unwrap_err();
        assert_eq!(error.code(), "key-absent");
        assert!(
            error.to_string().contains("/nowhere/module.so"),
            "{error}: {:?}",
            key.fault()
        );
        assert!(keys(&place("/nowhere/module.so")).is_err());
    }

    #[test]
    fn who_waits_for_a_module_that_hangs_gives_up_and_those_after_it_do_not_wait() {
        let worker = Worker::of(Path::new("/nowhere/slow.so"));
        let (release, released) = mpsc::channel::<()>();
        let hung = worker.run(move |_| {
            let _ = released.recv();
            Ok(())
        });
        assert!(matches!(*hung.unwrap_err(), TokenError::Silent));
        let begun = tokio::time::Instant::now();
        assert!(worker.run(|_| Ok(())).is_err());
        assert!(begun.elapsed() < ANSWER / 5, "at once");
        release.send(()).unwrap();
        let answers = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(10));
            worker.run(|_| Ok(())).is_ok()
        });
        assert!(answers, "it goes on when the module does");
    }
}
