//! Logs of which the originator signed two histories: proved, frozen everywhere, and never forgotten.
//!
//! ```text
//!  a checkpoint that contradicts what is held ─▶ convict ─▶ proof ─┐
//!  the proof of somebody else, in a document  ─▶ verify  ──────────┴▶ freeze, keep, tell every link
//! ```
//!
//! A proof verifies with the root certificate alone, so nobody has to be believed. INVARIANT: a forked log is neither
//! served nor taken, by anybody who has the proof; what was held of it before stays readable here. It stays so until the
//! trust bundle says that one of the two was signed with a stolen key, and which history is the member's.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use icomm_pki::{MemberCertificate, MemberPath, VerifiedBundle};
use icomm_proto::fork::{Beginning, Fork, ForkProof, InvalidFork};
use icomm_proto::log::{Checkpoint, InvalidCheckpoint, InvalidNote, ProofError, SignedNote, consistency_proof};
use icomm_proto::v1::document::Kind;
use icomm_proto::{Origin, v1};
use thiserror::Error;

use super::{Exchange, MEMBER_LOGS_MAX, lock};
use crate::core::law::Audience;
use crate::core::replica::History;
use crate::core::routes::LinkId;
use crate::core::session::{Event, Peer};
use crate::store::{Batch, Store, StoreError, StoredLog};

const FORKS_PREFIX: &str = "fork/";
/// Of forks that a stolen key signed.
const VOID_FORKS_PREFIX: &str = "fork-by-thief/";

/// The proofs of forks, by log.
pub(super) struct Forks(RwLock<BTreeMap<Origin, Bytes>>);

impl Forks {
    /// As the store holds them.
    pub(super) fn open(store: &dyn Store) -> Result<Self, StoreError> {
        let kept = store.scan_state(FORKS_PREFIX)?.into_iter();
        let proofs = kept.filter_map(|(key, proof)| Some((key.strip_prefix(FORKS_PREFIX)?.parse().ok()?, proof)));
        let proofs: BTreeMap<Origin, Bytes> = proofs.collect();
        count(proofs.len());
        Ok(Self(RwLock::new(proofs)))
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Origin, Bytes>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this log is forked.
    pub(super) fn has(&self, origin: &Origin) -> bool {
        self.read().contains_key(origin)
    }

    /// Every proof, for a peer.
    pub(super) fn documents(&self) -> Vec<v1::Document> {
        self.read().values().cloned().map(document).collect()
    }

    /// Keeps the first proof of a log; whether it was the first.
    fn add(&self, origin: &Origin, proof: Bytes) -> Result<bool, Unproved> {
        let mut forks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if forks.contains_key(origin) {
            return Ok(false);
        }
        // No member has the room of the others, with forks neither.
        if forks.keys().filter(|known| known.member == origin.member).count() >= MEMBER_LOGS_MAX {
            return Err(Unproved::TooMany);
        }
        forks.insert(origin.clone(), proof);
        count(forks.len());
        Ok(true)
    }

    fn remove(&self, origin: &Origin) {
        let mut forks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        forks.remove(origin);
        count(forks.len());
    }
}

/// Why a fork was not proved.
#[derive(Debug, Error)]
enum Unproved {
    /// The proof does not prove it.
    #[error(transparent)]
    Invalid(#[from] InvalidFork),
    /// What is held can't be read.
    #[error("what is held of the log can't be read: {0}")]
    Store(#[from] StoreError),
    /// The same.
    #[error("what is held of the log can't be proved: {0}")]
    Proof(#[from] ProofError<StoreError>),
    /// A checkpoint can't be read.
    #[error(transparent)]
    Checkpoint(#[from] InvalidCheckpoint),
    /// Its originator left the network.
    #[error("its originator is no member in the trust bundle")]
    UnknownMember,
    /// A thief can sign what it likes; the trust bundle says which history is the member's.
    #[error("one of the two was signed with a key that was stolen from the originator")]
    StolenKey,
    /// What is held is not what contradicts.
    #[error("less is held of the log than would be needed")]
    NotHeld,
    /// More logs of one member than a node keeps proofs of.
    #[error("more forked logs of this member than are kept")]
    TooMany,
}

impl From<InvalidNote> for Unproved {
    fn from(invalid: InvalidNote) -> Self {
        Self::Checkpoint(invalid.into())
    }
}

impl Exchange {
    /// Logs whose originators signed two histories, each with the proof: see [`ForkProof`].
    pub fn forks(&self) -> BTreeMap<Origin, Bytes> {
        self.forks.read().clone()
    }

    /// Whether the originator of this log signed two histories of it.
    pub fn is_forked(&self, origin: &Origin) -> bool {
        self.forks.has(origin)
    }

    /// Two checkpoints of the originator contradict each other: makes the proof and freezes the log. `begins`: how the log
    /// of `theirs` begins, where it is the larger one.
    pub(super) fn convict(&self, origin: &Origin, ours: &Bytes, theirs: &Bytes, begins: Option<Beginning>) {
        let proved = self.prove_fork(origin, ours, theirs, begins);
        if let Err(error) = proved.and_then(|proof| self.adopt_fork(&proof.to_bytes(), None)) {
            tracing::error!(%origin, %error, "the originator seems to have signed two histories, but it can't be proved");
        }
    }

    fn prove_fork(
        &self,
        origin: &Origin,
        ours: &Bytes,
        theirs: &Bytes,
        begins: Option<Beginning>,
    ) -> Result<ForkProof, Unproved> {
        let bundle = self.law.bundle();
        let keys = self.law.member_keys(&origin.member).ok_or(Unproved::UnknownMember)?;
        let line = origin.line(bundle.trust_domain());
        let path = |note: &SignedNote| {
            let key = keys.all().find(|key| note.verify(&line, key).is_ok())?;
            MemberPath::of_key(&origin.member, &key, &bundle)
        };
        let prove = |smaller: SignedNote, larger: SignedNote, beginning| {
            let (first, second) = path(&smaller).zip(path(&larger)).ok_or(Unproved::UnknownMember)?;
            let successor = (second != first).then_some(second);
            Ok(ForkProof::new(first, smaller, larger, beginning).with_successor(successor))
        };
        let (ours, theirs) = (SignedNote::parse(ours)?, SignedNote::parse(theirs)?);
        let [held, shown] = [&ours, &theirs].map(|note| Checkpoint::parse(note.text()).map(|signed| signed.size));
        let (held, shown) = (held?, shown?);
        if held <= shown {
            return prove(ours, theirs, begins);
        }
        let history = History::of(&*self.store, origin, shown)?.ok_or(Unproved::NotHeld)?;
        let log = StoredLog {
            store: &*self.store,
            origin,
        };
        let beginning = Beginning {
            root: history.root,
            path: consistency_proof(&log, shown, held)?.path,
        };
        prove(theirs, ours, Some(beginning))
    }

    /// A peer says that a log is forked. What does not prove it costs the peer its session: nobody honest passes it on.
    pub(super) fn accused(&self, link: LinkId, peer: &Peer, document: &v1::Document) {
        if let Err(error) = self.adopt_fork(&document.document, Some((link, document))) {
            tracing::warn!(peer = %peer.member, %error, "an accusation was refused");
            let code = "false-accusation";
            metrics::counter!("icomm_refused_documents_total", "peer" => peer.member.to_string(), "code" => code)
                .increment(1);
            if let Unproved::Invalid(_) = error {
                let message = error.to_string();
                self.mailbox.post(link, Event::Stop { code, message });
            }
        }
    }

    /// A trust bundle may say that a key was stolen: what was signed with it proves nothing against its member any more. The
    /// proof stays in the store, for those who look into it.
    pub(super) fn reconsider_forks(&self) {
        let bundle = self.law.bundle();
        let by_thief = |proof: &Bytes| {
            let fork = ForkProof::parse(proof).and_then(|proof| proof.verify(bundle.root()));
            fork.is_ok_and(|fork| is_by_thief(&fork, &bundle))
        };
        for (origin, proof) in self.forks().into_iter().filter(|(_, proof)| by_thief(proof)) {
            let moved = Batch::new()
                .forget(format!("{FORKS_PREFIX}{origin}"))
                .set(format!("{VOID_FORKS_PREFIX}{origin}"), proof);
            if let Err(error) = self.store.append(moved) {
                tracing::error!(%origin, %error, "a fork by a thief can't be put aside; its log stays frozen");
                continue;
            }
            self.forks.remove(&origin);
            if let Some(replica) = lock(&self.replicas).get(&origin).cloned() {
                lock(&replica.machine).thaw();
            }
            tracing::warn!(%origin, "one history of this forked log was signed with a stolen key; it is taken up again");
            self.mailbox.changed();
        }
    }

    fn adopt_fork(&self, proof: &[u8], received: Option<(LinkId, &v1::Document)>) -> Result<(), Unproved> {
        let fork = ForkProof::parse(proof)?.verify(self.law.bundle().root())?;
        if is_by_thief(&fork, &self.law.bundle()) {
            return Err(Unproved::StolenKey);
        }
        let origin = fork.origin;
        let proof = Bytes::copy_from_slice(proof);
        if !self.forks.add(&origin, proof.clone())? {
            return Ok(());
        }
        let (smaller, larger) = (fork.smaller.size, fork.larger.size);
        tracing::error!(%origin, smaller, larger, "the originator signed two histories of its log; it is frozen here");
        metrics::counter!("icomm_forked_logs_total", "origin" => origin.to_string()).increment(1);
        if let Some(replica) = lock(&self.replicas).get(&origin).cloned() {
            lock(&replica.machine).freeze();
        }
        let asks = lock(&self.routes).forget(&origin);
        self.ask(asks);
        let kept = self
            .store
            .append(Batch::new().set(format!("{FORKS_PREFIX}{origin}"), proof.clone()));
        // Even if it can't be kept here, others may.
        self.publish(&[(Audience::Everyone, document(proof))], received);
        Ok(kept?)
    }
}

/// Whether a key that was stolen signed one of the two histories.
fn is_by_thief(fork: &Fork, bundle: &VerifiedBundle) -> bool {
    let signers = std::iter::once(&fork.originator).chain(&fork.successor);
    bundle.member(&fork.origin.member).is_some_and(|entry| {
        let mut keys = signers.map(MemberCertificate::key);
        keys.any(|key| entry.keys.is_stolen(&key))
    })
}

fn count(forks: usize) {
    metrics::gauge!("icomm_forked_logs").set(forks as f64);
}

fn document(proof: Bytes) -> v1::Document {
    v1::Document {
        kind: Kind::Fork.into(),
        document: proof,
    }
}
