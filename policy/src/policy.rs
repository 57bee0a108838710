//! A node's policy: the book, the directory and the national laws of the moment, shared by all its links.
//!
//! Whoever changes it makes a new *generation*. Sessions notice at their next record, forget what they had decided and decide
//! anew, so that nothing goes on a basis that has lapsed.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use icomm_pki::{MemberId, Role};

use crate::agreement::Purpose;
use crate::book::{Book, Change, Document, DocumentKind, Refusal};
use crate::cedar::overlay::Overlay;
use crate::consent::Consents;
use crate::decision::{Decision, Receiver, Request, decide};
use crate::directory::KeyDirectory;
use crate::lane::{Lane, Route, Sources};
use crate::session::{PeerSession, SessionPolicy, UpstreamSession};

/// A node's policy. Cloning is cheap: clones are the same policy.
#[derive(Clone)]
pub struct Policy(Arc<Shared>);

struct Shared {
    /// The same as in `current`, readable without a lock: what a session compares for every record.
    generation: AtomicU64,
    current: RwLock<Arc<Snapshot>>,
    /// Held by whoever changes something, while it reads, checks and replaces.
    change: Mutex<()>,
}

/// What holds at one generation. A copy is cheap.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) generation: u64,
    pub(crate) book: Arc<Book>,
    pub(crate) directory: Arc<dyn KeyDirectory>,
    pub(crate) overlays: Arc<[Overlay]>,
    pub(crate) consents: Arc<Consents>,
}

impl Snapshot {
    pub(crate) fn sources(&self) -> Sources<'_> {
        Sources {
            book: &self.book,
            directory: self.directory.as_ref(),
            overlays: &self.overlays,
            consents: &self.consents,
        }
    }
}

impl Policy {
    /// The policy of the book's owner. `overlays` are the national laws of the owner; they apply to all that its node sends.
    #[must_use]
    pub fn new(book: Book, directory: Arc<dyn KeyDirectory>, overlays: Vec<Overlay>) -> Self {
        let snapshot = Snapshot {
            generation: 1,
            book: book.into(),
            directory,
            overlays: overlays.into(),
            consents: Arc::default(),
        };
        Self(Arc::new(Shared {
            generation: AtomicU64::new(1),
            current: RwLock::new(Arc::new(snapshot)),
            change: Mutex::new(()),
        }))
    }

    /// Counts the changes. Two equal generations decide equally at equal times.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Whose policy it is.
    #[must_use]
    pub fn owner(&self) -> MemberId {
        self.snapshot().book.owner().clone()
    }

    /// The book as it is now.
    #[must_use]
    pub fn book(&self) -> Arc<Book> {
        self.snapshot().book.clone()
    }

    /// What a document would change; changes nothing. A node asks this, stores the document, and then calls
    /// [`Self::receive`].
    ///
    /// # Errors
    /// When the book does not take it.
    pub fn examine(&self, kind: DocumentKind, bytes: &[u8], now: u64) -> Result<Change, Refusal> {
        let snapshot = self.snapshot();
        let document = Document::verify(kind, bytes, snapshot.directory.as_ref())?;
        snapshot.book.judge(&document, now)
    }

    /// Verifies a document and takes it into the book; `now` in seconds since 1970.
    ///
    /// # Errors
    /// When the book does not take it. The policy is then as before.
    pub fn receive(&self, kind: DocumentKind, bytes: &[u8], now: u64) -> Result<Change, Refusal> {
        let changing = self.changing();
        // Nobody waits while signatures are verified and policies compiled.
        let document = Document::verify(kind, bytes, self.snapshot().directory.as_ref())?;
        if self.snapshot().book.judge(&document, now)? == Change::Nothing {
            return Ok(Change::Nothing);
        }
        self.replace(&changing, |snapshot| {
            Arc::make_mut(&mut snapshot.book).take(document, now)
        })
    }

    /// Takes another directory: a new trust bundle arrived.
    pub fn set_directory(&self, directory: Arc<dyn KeyDirectory>) {
        self.replace(&self.changing(), |snapshot| snapshot.directory = directory);
    }

    /// Takes other national laws.
    pub fn set_overlays(&self, overlays: Vec<Overlay>) {
        self.replace(&self.changing(), |snapshot| snapshot.overlays = overlays.into());
    }

    /// Decides once. A link uses a [session](Self::session), which remembers.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let Request {
            origin,
            holder,
            receiver,
            purpose,
            class,
            entry,
            now,
        } = *request;
        let Receiver { member: receiver, role } = receiver;
        let snapshot = self.snapshot();
        let route = Route {
            origin,
            holder,
            receiver,
            role: *role,
            purpose,
        };
        let lane = Lane::open(route, snapshot.sources(), now);
        let entry = lane.answer.as_ref().ok().and_then(|lane| lane.consent_to(entry));
        decide(&lane, origin, receiver, class, entry)
    }

    /// What one link to `receiver` decides by, with the owner as holder. Towards the global node it yields nothing but
    /// de-nominalised views.
    #[must_use]
    pub fn session(&self, receiver: Receiver) -> SessionPolicy {
        self.session_for(receiver, None)
    }

    /// As [`Self::session`], for one purpose only.
    #[must_use]
    pub fn session_for(&self, receiver: Receiver, purpose: Option<Purpose>) -> SessionPolicy {
        let global =
            receiver.role == Role::Global || self.snapshot().directory.role(&receiver.member) == Some(Role::Global);
        let session = PeerSession::new(self.clone(), receiver, purpose);
        if global {
            SessionPolicy::Upstream(UpstreamSession::new(session))
        } else {
            SessionPolicy::Peer(session)
        }
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        // Nothing panics while the lock is held, so there is no half of a change.
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.0.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the next generation. `change` does what it does to the book in place, unless somebody is reading the old one
    /// just now: then to a copy.
    pub(crate) fn replace<T>(&self, _changing: &MutexGuard<'_, ()>, change: impl FnOnce(&mut Snapshot) -> T) -> T {
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        let snapshot = Arc::make_mut(&mut current);
        let answer = change(snapshot);
        snapshot.generation += 1;
        let generation = snapshot.generation;
        drop(current);
        // After the snapshot: who sees the new number finds the new snapshot or a later one.
        self.0.generation.store(generation, Ordering::Release);
        answer
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy(of {}, generation {})", self.owner(), self.generation())
    }
}
