//! The law as this node knows it: the agreements that bind it, and the trust bundle that says who is who.
//!
//! What is adopted is durable before it counts. Documents are stored under `law/<kind>/<digest>`, the bundle under
//! `bundle`; the policy is made of them at start.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use icomm_pki::{
    Digest32, InvalidBundle, MemberId, MemberKeys, MemberPublicKey, Role, TrustDomain, VerifiedBundle, moment_at,
};
use icomm_policy::book::SuspensionStatus;
use icomm_policy::{
    Acknowledgement, AgreementId, Book, Change, DocumentKind, KeyDirectory, NotSigned, Overlay, Policy, Receiver,
    Refusal, SessionPolicy, Signed, Suspension,
};
use icomm_proto::v1::{self, document::Kind};
use sha2::{Digest, Sha256};
use thiserror::Error;
use time::OffsetDateTime;

use super::consents::ConsentFault;
use super::refused::RefusedDocument;
use super::seat::Seat;
use crate::store::{Batch, Store, StoreError};

/// Under which the signed trust bundle is kept.
pub const BUNDLE_KEY: &str = "bundle";
const DOCUMENTS_PREFIX: &str = "law/";

/// Why a document was not adopted.
#[derive(Debug, Error)]
pub enum AdoptError {
    /// It is of no kind that is known here.
    #[error("a document of an unknown kind")]
    UnknownKind,
    /// The agreements have it otherwise.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The bundle does not count.
    #[error(transparent)]
    Bundle(#[from] InvalidBundle),
    /// This node has no agreement of that name.
    #[error("there is no agreement `{0}` here")]
    UnknownAgreement(AgreementId),
    /// A statement could not be signed.
    #[error(transparent)]
    NotSigned(#[from] NotSigned),
    /// A request for consent, or an answer to one.
    #[error(transparent)]
    Consent(#[from] ConsentFault),
    /// It could not be kept, so it does not count.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AdoptError {
    /// The stable code under which the refusal is counted.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownKind => "unknown-kind",
            Self::Refused(refusal) => refusal.code(),
            Self::Bundle(_) => "invalid-bundle",
            Self::UnknownAgreement(_) => "unknown-agreement",
            Self::NotSigned(NotSigned::Key(fault)) => fault.code(),
            Self::NotSigned(_) => "not-signed",
            Self::Consent(fault) => fault.code(),
            Self::Store(_) => "store",
        }
    }
}

/// Whom a document concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// All members.
    Everyone,
    /// The parties to an agreement.
    Parties(Vec<MemberId>),
}

impl Audience {
    /// Whether it concerns this member.
    pub fn includes(&self, member: &MemberId) -> bool {
        match self {
            Self::Everyone => true,
            Self::Parties(parties) => parties.contains(member),
        }
    }
}

/// What adopting a document changed, and what others should now be told.
#[derive(Debug, Default)]
pub struct Adopted {
    /// What changed, in words; none when everything was known.
    pub changes: Vec<String>,
    /// To hand to those whom they concern.
    pub documents: Vec<(Audience, v1::Document)>,
}

impl fmt::Display for Adopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            f.write_str("known already")
        } else {
            f.write_str(&self.changes.join("; "))
        }
    }
}

/// Agreements and trust bundle of one node.
pub struct Law {
    owner: MemberId,
    key: Seat,
    policy: Policy,
    bundle: RwLock<Arc<VerifiedBundle>>,
    store: Arc<dyn Store>,
    // Suspensions may wait for the key to sign that they arrived.
    unacknowledged: AtomicBool,
}

impl Law {
    /// The law as the store holds it, under a verified bundle. What was adopted before and no longer verifies does not
    /// count, and is logged.
    pub fn open(
        owner: MemberId,
        key: impl Into<Seat>,
        bundle: VerifiedBundle,
        overlays: Vec<Overlay>,
        store: Arc<dyn Store>,
    ) -> Result<Self, StoreError> {
        let (key, bundle) = (key.into(), Arc::new(bundle));
        let stored = store.scan_state(DOCUMENTS_PREFIX)?;
        let documents = stored
            .into_iter()
            .filter_map(|(key, bytes)| Some((stored_kind(&key)?, bytes.to_vec())));
        let (book, refusals) = Book::replay(owner.clone(), documents, &*bundle);
        for refusal in refusals {
            tracing::warn!(code = refusal.code(), %refusal, "a stored document does not count any more");
        }
        let directory: Arc<dyn KeyDirectory> = bundle.clone();
        let policy = Policy::new(book, directory, overlays);
        Ok(Self {
            owner,
            unacknowledged: AtomicBool::new(!key.key().signs_at_once()),
            key,
            policy,
            bundle: RwLock::new(bundle),
            store,
        })
    }

    /// Decides what may go to whom.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The policy towards one peer, with a memory.
    pub fn towards(&self, member: &MemberId, role: Role) -> SessionPolicy {
        self.policy.session(Receiver {
            member: member.clone(),
            role,
        })
    }

    /// The trust bundle in force.
    pub fn bundle(&self) -> Arc<VerifiedBundle> {
        self.bundle.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The key of a member in the bundle that was certified last.
    pub fn member_key(&self, member: &MemberId) -> Option<MemberPublicKey> {
        self.bundle().member(member).map(|entry| entry.key)
    }

    /// The keys of a member in the bundle: that, and those before it with what counts of them. What a member signed is
    /// verified with these.
    pub fn member_keys(&self, member: &MemberId) -> Option<Arc<MemberKeys>> {
        self.bundle().member(member).map(|entry| entry.keys.clone())
    }

    /// Of this network.
    pub fn trust_domain(&self) -> TrustDomain {
        self.bundle().trust_domain().clone()
    }

    /// The latest agreements with a member, as a hello names them.
    pub fn shared_with(&self, member: &MemberId) -> Vec<v1::AgreementVersion> {
        let book = self.policy.book();
        book.latest_with(member)
            .map(|ratified| {
                let agreement = ratified.agreement();
                v1::AgreementVersion {
                    id: agreement.id().to_string(),
                    version: agreement.version(),
                    suspended: book.suspensions(agreement.id()).next().is_some(),
                    digest: agreement.digest().as_bytes().to_vec().into(),
                }
            })
            .collect()
    }

    /// What a peer lacks according to its hello. Suspensions and acknowledgements are small and go whenever there are any.
    pub fn documents_for(&self, member: &MemberId, hello: &v1::Hello) -> Vec<v1::Document> {
        let bundle = self.bundle();
        let mut documents = Vec::new();
        if hello.bundle_version < bundle.version() {
            documents.push(document(Kind::Bundle, bundle.bytes()));
        }
        let ours = self.shared_with(member);
        let book = self.policy.book();
        if ours != hello.agreements || ours.iter().any(|agreement| agreement.suspended) {
            let lacking = book.documents_with(member);
            documents.extend(lacking.iter().map(|(kind, bytes)| document(sent_kind(*kind), bytes)));
        }
        documents
    }

    /// Every document to which a member is a party too.
    pub fn documents_shared_with(&self, member: &MemberId) -> Vec<v1::Document> {
        let documents = self.policy.book().documents_with(member);
        let document = |(kind, bytes): &(DocumentKind, Vec<u8>)| document(sent_kind(*kind), bytes);
        documents.iter().map(document).collect()
    }

    /// What this member has signed of what is adopted here: what a hand-over of its key names. With whichever key it did.
    ///
    /// # Errors
    /// The store fails.
    pub fn signed_documents(&self) -> Result<BTreeSet<Digest32>, StoreError> {
        let stored = self.store.scan_state(DOCUMENTS_PREFIX)?;
        let signed = stored
            .iter()
            .filter_map(|(key, bytes)| stored_kind(key)?.signed_digest(bytes, &self.owner));
        Ok(signed.collect())
    }

    /// Adopts a document from a peer or from an operator; `now` in seconds since 1970.
    pub fn adopt(&self, document: &v1::Document, now: u64) -> Result<Adopted, AdoptError> {
        let kind = match document.kind() {
            // The proof of a fork and what is said of consent are no law: see `Exchange`.
            Kind::Unspecified | Kind::Fork | Kind::ConsentRequest | Kind::Consent | Kind::ConsentSeen => {
                return Err(AdoptError::UnknownKind);
            }
            Kind::Bundle => return self.adopt_bundle(&document.document, now),
            Kind::Agreement => DocumentKind::Agreement,
            Kind::Suspension => DocumentKind::Suspension,
            Kind::Acknowledgement => DocumentKind::Acknowledgement,
        };
        let mut adopted = Adopted::default();
        self.receive(kind, &document.document, now, &mut adopted)?;
        Ok(adopted)
    }

    /// Suspends an agreement in this member's name, at once.
    pub fn suspend(&self, id: &AgreementId, reason: &str, now: u64) -> Result<Adopted, AdoptError> {
        let book = self.policy.book();
        let latest = book.latest(id);
        let version = latest
            .ok_or_else(|| AdoptError::UnknownAgreement(id.clone()))?
            .agreement()
            .version();
        let suspension = Signed::sign(
            Suspension::new(id.clone(), version, self.owner.clone(), now, reason),
            &self.key.key(),
        )?;
        let mut adopted = Adopted::default();
        self.receive(DocumentKind::Suspension, &suspension.to_bytes(), now, &mut adopted)?;
        Ok(adopted)
    }

    fn receive(&self, kind: DocumentKind, bytes: &[u8], now: u64, adopted: &mut Adopted) -> Result<(), AdoptError> {
        let examined = self.policy.examine(kind, bytes, now)?;
        if examined == Change::Nothing {
            return Ok(());
        }
        // Durable first. Should it be refused after all, because something else came in between, it does no harm: what is
        // stored is verified again at start.
        let batch = Batch::new().set(stored_key(kind, bytes), bytes.to_vec());
        let batch = match &examined {
            Change::Adopted { id, version } => RefusedDocument::settle(&*self.store, id, *version, batch)?,
            _ => batch,
        };
        self.store.append(batch)?;
        let change = self.policy.receive(kind, bytes, now)?;
        let (id, words) = match &change {
            Change::Nothing => return Ok(()),
            Change::Adopted { id, version } => (id, format!("agreement `{id}` version {version} adopted")),
            Change::Suspended { id, by, .. } => (id, format!("agreement `{id}` suspended by `{by}`")),
            Change::Acknowledged { id, by, .. } => (id, format!("suspension of `{id}` acknowledged by `{by}`")),
        };
        adopted.changes.push(words);
        adopted
            .documents
            .push((self.audience(id), document(sent_kind(kind), bytes)));
        if let Change::Suspended { id, by, .. } = &change
            && *by != self.owner
        {
            match self.acknowledge(id, by, now, adopted) {
                Err(AdoptError::NotSigned(error)) => {
                    // The suspension counts all the same.
                    tracing::error!(%error, "a suspension is not acknowledged yet");
                    self.unacknowledged.store(true, Ordering::Relaxed);
                }
                done => done?,
            }
        }
        Ok(())
    }

    /// Acknowledges the suspensions that could not be acknowledged when they arrived, because the key did not sign.
    ///
    /// # Errors
    /// The key does not sign yet, or the store fails.
    pub fn acknowledge_owed(&self, now: u64) -> Result<Adopted, AdoptError> {
        let mut adopted = Adopted::default();
        if !self.unacknowledged.swap(false, Ordering::Relaxed) {
            return Ok(adopted);
        }
        let book = self.policy.book();
        let own = book.latest_with(&self.owner).map(|latest| latest.agreement().id());
        let owed = own.flat_map(|id| book.suspensions(id)).filter(|status| {
            status.suspension().by != self.owner && status.acknowledged_by().all(|seen| *seen != self.owner)
        });
        for suspension in owed.map(SuspensionStatus::suspension) {
            let done = self.acknowledge(&suspension.agreement, &suspension.by, now, &mut adopted);
            if done.is_err() {
                self.unacknowledged.store(true, Ordering::Relaxed);
            }
            done?;
        }
        Ok(adopted)
    }

    /// The other party hears that its suspension has arrived.
    fn acknowledge(
        &self,
        id: &AgreementId,
        suspended_by: &MemberId,
        now: u64,
        adopted: &mut Adopted,
    ) -> Result<(), AdoptError> {
        let book = self.policy.book();
        let Some(status) = book
            .suspensions(id)
            .find(|status| status.suspension().by == *suspended_by)
        else {
            return Ok(());
        };
        let seen = Acknowledgement::new(status.suspension(), self.owner.clone(), now);
        let signed = Signed::sign(seen, &self.key.key())?.to_bytes();
        self.receive(DocumentKind::Acknowledgement, &signed, now, adopted)
    }

    fn adopt_bundle(&self, bytes: &[u8], now: u64) -> Result<Adopted, AdoptError> {
        let now = moment_at(now).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let Some(bundle) = self.bundle().replaced_by(bytes, now)? else {
            return Ok(Adopted::default());
        };
        self.store.append(Batch::new().set(BUNDLE_KEY, bytes.to_vec()))?;
        let version = bundle.version();
        let bundle = Arc::new(bundle);
        self.policy.set_directory(bundle.clone());
        *self.bundle.write().unwrap_or_else(PoisonError::into_inner) = bundle;
        Ok(Adopted {
            changes: vec![format!("trust bundle version {version} adopted")],
            documents: vec![(Audience::Everyone, document(Kind::Bundle, bytes))],
        })
    }

    /// No version leaves out a party of an earlier one, so the latest names them all.
    fn audience(&self, id: &AgreementId) -> Audience {
        let book = self.policy.book();
        let parties = book
            .latest(id)
            .into_iter()
            .flat_map(|latest| latest.agreement().parties());
        Audience::Parties(parties.cloned().collect())
    }
}

fn document(kind: Kind, bytes: &[u8]) -> v1::Document {
    v1::Document {
        kind: kind.into(),
        document: bytes.to_vec().into(),
    }
}

fn sent_kind(kind: DocumentKind) -> Kind {
    match kind {
        DocumentKind::Agreement => Kind::Agreement,
        DocumentKind::Suspension => Kind::Suspension,
        DocumentKind::Acknowledgement => Kind::Acknowledgement,
    }
}

const STORED_KINDS: [(DocumentKind, &str); 3] = [
    (DocumentKind::Agreement, "agreement"),
    (DocumentKind::Suspension, "suspension"),
    (DocumentKind::Acknowledgement, "acknowledgement"),
];

fn stored_key(kind: DocumentKind, bytes: &[u8]) -> String {
    let name = STORED_KINDS
        .iter()
        .find(|(known, _)| *known == kind)
        .map_or("other", |(_, name)| name);
    format!(
        "{DOCUMENTS_PREFIX}{name}/{}",
        data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
    )
}

fn stored_kind(key: &str) -> Option<DocumentKind> {
    let name = key.strip_prefix(DOCUMENTS_PREFIX)?.split('/').next()?;
    STORED_KINDS
        .iter()
        .find(|(_, known)| *known == name)
        .map(|(kind, _)| *kind)
}
