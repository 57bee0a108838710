//! Consent as a node keeps it: what this member asked of others, what others ask of it, and the latest answer to each.
//!
//! ```text
//!   state   consent/<thread>                   the request and the latest answer
//!           consent-relay/<member>/<digest>    a statement that an office keeps for a member of its region
//! ```
//!
//! What is kept is small beside the records, so all of it is held in memory too; the store comes first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use icomm_pki::{Digest32, MemberId};
use icomm_policy::{AgreementId, Consent, ConsentRefusal, ConsentRequest, Digest, Signed, Thread, Verdict};
use icomm_proto::v1::{self, document::Kind};
use prost::Message;
use thiserror::Error;

use crate::store::{Batch, Store, StoreError};

/// Threads that a node keeps at most.
pub const THREADS_MAX: usize = 16_384;
/// Requests of one member that may wait for an answer.
pub const PENDING_PER_MEMBER_MAX: usize = 1024;
/// Statements that an office keeps for one member.
pub const RELAYED_PER_MEMBER_MAX: usize = 1024;
/// How long it keeps them: whoever made them sends them again.
pub const RELAYED_SECONDS_MAX: u64 = 90 * 24 * 60 * 60;
/// How long after it was given a holder shows an answer that lets nothing go to its originator.
pub const SHOWN_SECONDS: u64 = RELAYED_SECONDS_MAX;
/// Statements that follow one hello; the rest goes with the next.
pub const TOLD_MAX: usize = 1024;

const THREADS_PREFIX: &str = "consent/";
const RELAYED_PREFIX: &str = "consent-relay/";

/// Why a statement about consent was not taken.
#[derive(Debug, Error)]
pub enum ConsentFault {
    /// It does not count by itself, or beside what is known.
    #[error(transparent)]
    Refused(#[from] ConsentRefusal),
    /// A member that the trust bundle does not know.
    #[error("the trust bundle does not know `{0}`")]
    UnknownMember(MemberId),
    /// What it is about is not in this member's log.
    #[error("this member issued no such entry")]
    UnknownRecord,
    /// No grant in force asks for consent.
    #[error("no grant in force under `{agreement}` lets `{holder}` ask for this consent")]
    NotAsked {
        /// The agreement that the request names.
        agreement: AgreementId,
        /// Who asks.
        holder: MemberId,
    },
    /// Who asks does not know the latest answer.
    #[error("it was made before answer {0} of its thread was known, which comes with this")]
    Outdated(u32),
    /// More than is kept.
    #[error("too many of `{0}` wait already")]
    TooMany(MemberId),
}

impl ConsentFault {
    /// The stable code under which the refusal is counted and told.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::UnknownMember(_) => "unknown-member",
            Self::UnknownRecord => "unknown-record",
            Self::NotAsked { .. } => "not-subject-to-consent",
            Self::Outdated(_) => "outdated-request",
            Self::TooMany(_) => "too-many-requests",
        }
    }
}

/// A signed statement and its digest.
#[derive(Debug, Clone)]
pub struct Document<T> {
    /// The statement, whose signature was verified before it was kept.
    pub signed: Signed<T>,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// As it was signed.
    pub bytes: Vec<u8>,
}

impl<T: icomm_policy::agreement::Statement> Document<T> {
    /// Of a signed statement.
    pub fn new(signed: Signed<T>) -> Self {
        let bytes = signed.to_bytes();
        Self {
            signed,
            digest: Digest::of(&bytes),
            bytes,
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Signed::parse(bytes).ok().map(Self::new)
    }

    /// What a hand-over of the signer's key calls it.
    pub fn signed_digest(&self) -> Digest32 {
        // What was parsed can be written.
        Digest32::of_signed(T::DOMAIN, &serde_json::to_vec(self.says()).unwrap_or_default())
    }

    /// What it says.
    pub fn says(&self) -> &T {
        self.signed.statement()
    }
}

/// A thread: what was asked, and the latest answer.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// The latest request; none if only an answer came.
    pub request: Option<Document<ConsentRequest>>,
    /// The latest answer.
    pub consent: Option<Document<Consent>>,
    /// Under which the policy of the holder took it.
    pub number: u64,
    /// When the holder signed that it has the answer; 0: not yet.
    pub seen: u64,
    /// The code with which the originator's node did not take the request; else empty.
    pub declined: String,
}

impl Kept {
    /// Which thread.
    pub fn thread(&self) -> Option<Thread> {
        let asked = self.request.as_ref().map(|request| request.says().thread());
        asked.or_else(|| Some(self.consent.as_ref()?.says().thread()))
    }

    /// By which it is named: the digest of the request.
    pub fn id(&self) -> Option<Digest> {
        let asked = self.request.as_ref().map(|request| request.digest);
        asked.or_else(|| Some(self.consent.as_ref()?.says().request))
    }

    /// Whose records it is about.
    pub fn thread_owner(&self) -> Option<MemberId> {
        let asked = self.request.as_ref().map(|request| &request.says().subject);
        let subject = asked.or_else(|| Some(&self.consent.as_ref()?.says().subject))?;
        Some(subject.owner().clone())
    }

    /// The request, if it is not answered.
    pub fn pending(&self) -> Option<&Document<ConsentRequest>> {
        let answered = self.consent.as_ref().map(|consent| consent.says().request);
        self.request.as_ref().filter(|request| answered != Some(request.digest))
    }

    /// The request, if whoever made it has no later answer than it knew then.
    pub fn open(&self) -> Option<&Document<ConsentRequest>> {
        let version = self.consent.as_ref().map_or(0, |consent| consent.says().version);
        self.pending().filter(|request| version <= request.says().after)
    }

    /// The answer, if it lets something go at `now` (seconds since 1970).
    pub fn approved(&self, now: u64) -> Option<&Document<Consent>> {
        self.consent.as_ref().filter(|consent| consent.says().counts(now))
    }

    /// Whether it was approved and not revoked.
    pub fn is_approved(&self) -> bool {
        let consent = self.consent.as_ref();
        consent.is_some_and(|consent| consent.says().verdict == Verdict::Approved)
    }

    fn encode(&self) -> Vec<u8> {
        let bytes = |bytes: Option<&Vec<u8>>| bytes.cloned().unwrap_or_default().into();
        v1::KeptConsent {
            request: bytes(self.request.as_ref().map(|request| &request.bytes)),
            consent: bytes(self.consent.as_ref().map(|consent| &consent.bytes)),
            number: self.number,
            seen: self.seen,
            declined: self.declined.clone(),
        }
        .encode_to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let v1::KeptConsent {
            request,
            consent,
            number,
            seen,
            declined,
        } = v1::KeptConsent::decode(bytes).ok()?;
        Some(Self {
            request: Document::read(&request),
            consent: Document::read(&consent),
            number,
            seen,
            declined,
        })
    }
}

/// All threads of a node, and what it keeps for others.
#[derive(Debug, Default)]
pub struct Desk {
    threads: Mutex<BTreeMap<Thread, Arc<Kept>>>,
    relayed: Mutex<BTreeMap<(MemberId, Digest), v1::RelayedConsent>>,
    /// Held by whoever changes a thread, while it judges, stores and replaces.
    changing: Mutex<()>,
}

impl Desk {
    /// As the store has them.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn open(store: &dyn Store) -> Result<Self, StoreError> {
        let desk = Self::default();
        for (key, bytes) in store.scan_state(THREADS_PREFIX)? {
            let kept = Kept::decode(&bytes).and_then(|kept| Some((kept.thread()?, kept)));
            match kept {
                Some((thread, kept)) => {
                    lock(&desk.threads).insert(thread, kept.into());
                }
                None => tracing::error!(key, "a stored consent can't be read; it does not count"),
            }
        }
        for (key, bytes) in store.scan_state(RELAYED_PREFIX)? {
            let name = key.strip_prefix(RELAYED_PREFIX).and_then(|name| name.rsplit_once('/'));
            let name = name.and_then(|(member, digest)| Some((member.parse().ok()?, digest.parse().ok()?)));
            if let (Some(name), Ok(relayed)) = (name, v1::RelayedConsent::decode(bytes)) {
                lock(&desk.relayed).insert(name, relayed);
            }
        }
        Ok(desk)
    }

    /// Keeps others from changing threads.
    pub fn change(&self) -> MutexGuard<'_, ()> {
        lock(&self.changing)
    }

    /// A thread.
    pub fn thread(&self, thread: &Thread) -> Option<Arc<Kept>> {
        lock(&self.threads).get(thread).cloned()
    }

    /// Every thread.
    pub fn threads(&self) -> Vec<Arc<Kept>> {
        lock(&self.threads).values().cloned().collect()
    }

    /// A number higher than any before: the latest answer of some thread always has the highest.
    pub fn next_number(&self) -> u64 {
        let highest = lock(&self.threads).values().map(|kept| kept.number).max();
        highest.unwrap_or(0).saturating_add(1)
    }

    /// Whether `member` may ask for one thing more.
    ///
    /// # Errors
    /// It may not: as much of it waits as is kept.
    pub fn admit(&self, member: &MemberId) -> Result<(), ConsentFault> {
        let threads = lock(&self.threads);
        let waits = |kept: &&Arc<Kept>| kept.pending().is_some_and(|request| request.says().by == *member);
        let full = threads.len() >= THREADS_MAX || threads.values().filter(waits).count() >= PENDING_PER_MEMBER_MAX;
        match full {
            true => Err(ConsentFault::TooMany(member.clone())),
            false => Ok(()),
        }
    }

    /// Makes a thread durable, with what else is in `batch`, and then known.
    ///
    /// # Errors
    /// The store fails; the thread is then as before.
    pub fn keep(&self, store: &dyn Store, thread: Thread, kept: Kept, batch: Batch) -> Result<Arc<Kept>, StoreError> {
        store.append(batch.set(format!("{THREADS_PREFIX}{thread}"), kept.encode()))?;
        let kept = Arc::new(kept);
        lock(&self.threads).insert(thread, kept.clone());
        Ok(kept)
    }

    /// What is kept for a member.
    pub fn relayed_to(&self, member: &MemberId, now: u64) -> Vec<v1::Document> {
        let relayed = lock(&self.relayed);
        let theirs = relayed.iter().filter(|((to, _), _)| to == member);
        let fresh = theirs.filter(|(_, kept)| now.saturating_sub(kept.at) < RELAYED_SECONDS_MAX);
        fresh
            .map(|(_, kept)| v1::Document {
                kind: i32::try_from(kept.kind).unwrap_or_default(),
                document: kept.document.clone(),
            })
            .collect()
    }

    /// Keeps a statement for `member` until it is settled; what is too old makes room.
    ///
    /// # Errors
    /// Too much is kept for it, or the store fails.
    pub fn relay(
        &self,
        store: &dyn Store,
        member: &MemberId,
        document: &v1::Document,
        (at, now): (u64, u64),
    ) -> Result<(), super::law::AdoptError> {
        let name = (member.clone(), Digest::of(&document.document));
        let mut relayed = lock(&self.relayed);
        if relayed.contains_key(&name) {
            return Ok(());
        }
        let is_old = |(to, _): &(MemberId, Digest), kept: &v1::RelayedConsent| {
            to == member && now.saturating_sub(kept.at) >= RELAYED_SECONDS_MAX
        };
        let old: Vec<_> = relayed.extract_if(.., |name, kept| is_old(name, kept)).collect();
        if relayed.keys().filter(|(to, _)| to == member).count() >= RELAYED_PER_MEMBER_MAX {
            return Err(ConsentFault::TooMany(member.clone()).into());
        }
        let kept = v1::RelayedConsent {
            kind: u32::try_from(document.kind).unwrap_or_default(),
            document: document.document.clone(),
            // By this node's clock if the other's runs ahead.
            at: at.min(now),
        };
        let batch = old
            .iter()
            .fold(Batch::new(), |batch, (name, _)| batch.forget(relayed_key(name)));
        let batch = batch.set(relayed_key(&name), kept.encode_to_vec());
        relayed.insert(name, kept);
        drop(relayed);
        Ok(store.append(batch)?)
    }

    /// A statement for `member` needs no keeping any more.
    pub fn settled(&self, store: &dyn Store, member: &MemberId, digest: Digest) {
        let name = (member.clone(), digest);
        if lock(&self.relayed).remove(&name).is_some() {
            // Should that be lost, it is told once more.
            store.ride(Batch::new().forget(relayed_key(&name)));
        }
    }
}

fn relayed_key((member, digest): &(MemberId, Digest)) -> String {
    format!("{RELAYED_PREFIX}{member}/{digest}")
}

/// A statement as links carry it.
pub fn document(kind: Kind, bytes: &[u8]) -> v1::Document {
    v1::Document {
        kind: kind.into(),
        document: bytes.to_vec().into(),
    }
}

/// A panic elsewhere leaves these tables whole: each is changed in one step.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
