//! Consent on links: requests and answers as they come, what of them is told to whom, and what an answer changes here.
//!
//! ```text
//!   holder ──request──▶ (office of the originator's region, which keeps it) ──▶ originator
//!          ◀──answer─── (office of the holder's region) ◀──────────────────────
//!          ──seen──▶
//! ```
//!
//! A request is told at every hello until an answer came, an answer until its holder has signed that it has it. So whoever
//! was away hears of both, and nothing is lost with an office. Everything is signed end to end: who passes it on can neither
//! change nor make any of it.
//!
//! At every hello a holder also shows its originator the answers that it goes by. A node that was put back to an old backup
//! is found out by that: a holder that forgot a revocation is told it again, an originator that forgot an answer learns it.

use std::collections::BTreeSet;

use icomm_pki::{Digest32, MemberId, Role};
use icomm_policy::{
    Consent, ConsentRefusal, ConsentRequest, ConsentSeen, Digest, NotSigned, Signed, Subject, Verdict, Verified,
};
use icomm_proto::v1::{self, document::Kind};
use icomm_proto::{Origin, View, log::Item};

use super::{Exchange, lock};
use crate::core::consents::{ConsentFault, Document, Kept, SHOWN_SECONDS, TOLD_MAX, document};
use crate::core::law::AdoptError;
use crate::core::refused::RefusedDocument;
use crate::core::routes::LinkId;
use crate::core::session::{Event, Peer};
use crate::store::{Batch, StoreError};

impl Exchange {
    /// Gives the policy the answers that the store holds. Those that don't verify any more don't count, and are logged.
    pub(super) fn remember_consents(&self) {
        let bundle = self.law.bundle();
        for kept in self.desk.threads() {
            let Some(consent) = kept
                .consent
                .as_ref()
                .filter(|consent| self.is_own(&consent.says().holder))
            else {
                continue;
            };
            let taken = Consent::verify(&consent.bytes, &*bundle)
                .and_then(|consent| self.law.policy().take_consent(&consent, kept.number));
            if let Err(refusal) = taken {
                tracing::warn!(code = refusal.code(), %refusal, "a stored consent does not count any more");
            }
        }
    }

    /// Every thread: asked by this member or of it.
    pub fn consents(&self) -> Vec<std::sync::Arc<Kept>> {
        self.desk.threads()
    }

    /// What this member has signed about consent and still stands by: what a hand-over of its key has to name.
    pub fn signed_consents(&self) -> BTreeSet<Digest32> {
        let now = self.now();
        let mut signed = BTreeSet::new();
        for kept in self.desk.threads() {
            let request = kept.open().filter(|request| self.is_own(&request.says().by));
            signed.extend(request.map(Document::signed_digest));
            let answer = kept.consent.as_ref().filter(|consent| self.is_own(&consent.says().by));
            let stands = answer.filter(|answer| answer.says().counts(now) || kept.seen == 0);
            signed.extend(stands.map(Document::signed_digest));
        }
        signed
    }

    /// What a peer is told about consent after the hellos.
    pub(super) fn consents_for(&self, peer: &Peer) -> Vec<v1::Document> {
        let mut told = self.desk.relayed_to(&peer.member, self.now());
        for kept in self.desk.threads() {
            if let Some(shown) = self.shown_to(&kept, &peer.member) {
                told.push(shown);
            }
            let statements = [self.owed_request(&kept), self.owed_answer(&kept)];
            for (member, document) in statements.into_iter().flatten() {
                if member == peer.member || (self.serves_as_office(peer, &member) && !self.is_linked(&member)) {
                    told.push(document);
                }
            }
        }
        told.truncate(TOLD_MAX);
        told
    }

    /// This member's own request that waits for an answer, and for whom it is.
    fn owed_request(&self, kept: &Kept) -> Option<(MemberId, v1::Document)> {
        let request = kept.open().filter(|request| self.is_own(&request.says().by))?;
        let owner = request.says().subject.owner();
        (!self.is_own(owner)).then(|| (owner.clone(), document(Kind::ConsentRequest, &request.bytes)))
    }

    /// This member's own answer that its holder has not signed for, and who that is.
    fn owed_answer(&self, kept: &Kept) -> Option<(MemberId, v1::Document)> {
        let consent = kept
            .consent
            .as_ref()
            .filter(|consent| self.is_own(&consent.says().by))?;
        let holder = &consent.says().holder;
        let owed = kept.seen == 0 && !self.is_own(holder);
        owed.then(|| (holder.clone(), document(Kind::Consent, &consent.bytes)))
    }

    /// The answer that this member goes by, for the originator to compare; not for ever, unless it still lets something go.
    fn shown_to(&self, kept: &Kept, originator: &MemberId) -> Option<v1::Document> {
        let now = self.now();
        let consent = kept.consent.as_ref().filter(|consent| {
            let says = consent.says();
            let recent = now.saturating_sub(says.at) < SHOWN_SECONDS;
            says.by == *originator && self.is_own(&says.holder) && (says.counts(now) || recent)
        })?;
        Some(document(Kind::Consent, &consent.bytes))
    }

    /// A statement about consent from a peer.
    pub(super) fn consented(&self, link: LinkId, peer: &Peer, statement: &v1::Document) {
        if let Err(error) = self.take_statement(link, peer, statement) {
            self.refused_here(link, peer, statement, &error);
        }
    }

    fn take_statement(&self, link: LinkId, peer: &Peer, statement: &v1::Document) -> Result<(), AdoptError> {
        let bundle = self.law.bundle();
        let bytes = &statement.document;
        match statement.kind() {
            Kind::ConsentRequest => {
                let request = ConsentRequest::verify(bytes, &*bundle).map_err(ConsentFault::from)?;
                let says = request.statement();
                match self.is_own(says.subject.owner()) {
                    true => self.take_request(link, peer, &request, statement),
                    false => self.pass_on(says.subject.owner(), statement, says.at),
                }
            }
            Kind::Consent => {
                let consent = Consent::verify(bytes, &*bundle).map_err(ConsentFault::from)?;
                let says = consent.statement();
                match (self.is_own(&says.holder), self.is_own(&says.by)) {
                    (true, _) => return self.take_answer(link, peer, &consent, statement),
                    (false, true) => return self.compare_answer(link, peer, &consent),
                    (false, false) => {}
                }
                self.desk.settled(&*self.store, &says.by, says.request);
                self.pass_on(&says.holder, statement, says.at)
            }
            Kind::ConsentSeen => {
                let seen = ConsentSeen::verify(bytes, &*bundle).map_err(ConsentFault::from)?;
                let says = seen.statement();
                if self.is_own(says.subject.owner()) {
                    return self.take_seen(says);
                }
                self.desk.settled(&*self.store, &says.by, says.consent);
                self.pass_on(says.subject.owner(), statement, says.at)
            }
            _ => Err(AdoptError::UnknownKind),
        }
    }

    /// Somebody asks this member.
    fn take_request(
        &self,
        link: LinkId,
        peer: &Peer,
        request: &Verified<ConsentRequest>,
        statement: &v1::Document,
    ) -> Result<(), AdoptError> {
        let says = request.statement();
        let _changing = self.desk.change();
        let document = Document::new(request.signed().clone());
        let known = self.desk.thread(&says.thread());
        let answer = known.as_ref().and_then(|known| known.consent.as_ref());
        let is_known = known
            .as_ref()
            .and_then(|known| known.request.as_ref())
            .is_some_and(|known| known.digest == document.digest);
        let outdated = answer.filter(|answer| answer.says().version > says.after);
        if let Some(answer) = answer.filter(|_| is_known || outdated.is_some()) {
            let answer = super::super::consents::document(Kind::Consent, &answer.bytes);
            self.mailbox.post(link, Event::Tell(answer));
        }
        if is_known {
            return Ok(());
        }
        if let Some(answer) = outdated {
            return Err(ConsentFault::Outdated(answer.says().version).into());
        }
        self.check_request(says)?;
        self.desk.admit(&says.by)?;
        tracing::info!(by = %says.by, to = %says.to, subject = %says.subject, "consent asked for; see `icomm consent list`");
        let kept = Kept {
            request: Some(document),
            ..known.as_deref().cloned().unwrap_or_default()
        };
        let batch = RefusedDocument::taken(&peer.member, statement, Batch::new());
        self.desk.keep(&*self.store, says.thread(), kept, batch)?;
        Ok(())
    }

    /// Whether a request is about something that this member can consent to.
    fn check_request(&self, request: &ConsentRequest) -> Result<(), AdoptError> {
        let ConsentRequest {
            subject,
            to,
            by,
            agreement,
            ..
        } = request;
        if self.law.member_key(to).is_none() {
            return Err(ConsentFault::UnknownMember(to.clone()).into());
        }
        let grounds = self.law.policy().consent_grounds(subject.owner(), by, to, self.now());
        if !grounds.is_ok_and(|grounds| grounds.contains(agreement)) {
            return Err(ConsentFault::NotAsked {
                agreement: agreement.clone(),
                holder: by.clone(),
            }
            .into());
        }
        if let Subject::Record {
            origin, record, leaf, ..
        } = subject
        {
            let places = self.store.find(record)?;
            let mut of_log = places.iter().filter(|place| place.origin == *origin);
            let is = |index| -> Result<bool, StoreError> {
                Ok(match self.store.entry(origin, index)? {
                    Some(Item::Disclosed(bytes)) => View::parse(bytes).is_ok_and(|view| view.leaf_hash() == *leaf),
                    _ => false,
                })
            };
            let found = of_log.try_fold(false, |found, place| Ok::<_, StoreError>(found || is(place.index)?))?;
            if !found {
                return Err(ConsentFault::UnknownRecord.into());
            }
        }
        Ok(())
    }

    /// An answer to what this member asked.
    fn take_answer(
        &self,
        link: LinkId,
        peer: &Peer,
        consent: &Verified<Consent>,
        statement: &v1::Document,
    ) -> Result<(), AdoptError> {
        let _changing = self.desk.change();
        let says = consent.statement();
        let known = self.desk.thread(&says.thread());
        // Of what nobody here asked nothing is kept: there is nothing that a refusal or revocation could end.
        let concerns = known.is_some() || says.verdict == Verdict::Approved;
        if concerns && self.law.policy().examine_consent(consent).map_err(ConsentFault::from)? {
            let request = known.as_ref().and_then(|known| known.request.as_ref());
            let request = request.map(|request| (request.says(), request.digest));
            says.answers(request).map_err(ConsentFault::from)?;
            let batch = RefusedDocument::taken(&peer.member, statement, Batch::new());
            self.adopt_consent(consent, known.as_deref(), batch)?;
            let verdict = says.verdict.as_str();
            tracing::info!(by = %says.by, to = %says.to, subject = %says.subject, verdict, "consent answered");
        }
        let digest = Digest::of(&statement.document);
        let seen = ConsentSeen::new(consent.signed(), digest, self.now());
        // By the way it came: who passed it on keeps it until it sees this.
        match self.tell_seen(link, &seen) {
            Err(NotSigned::Key(error)) => {
                tracing::error!(%error, peer = %peer.member, "that an answer arrived is not signed yet");
                self.unsigned.owe_seen(link, seen);
                Ok(())
            }
            told => Ok(told?),
        }
    }

    pub(super) fn tell_seen(&self, link: LinkId, seen: &ConsentSeen) -> Result<(), NotSigned> {
        let signed = Signed::sign(seen.clone(), &self.local.key.key())?.to_bytes();
        self.mailbox
            .post(link, Event::Tell(document(Kind::ConsentSeen, &signed)));
        Ok(())
    }

    /// A holder shows an answer of this member's that it goes by.
    fn compare_answer(&self, link: LinkId, peer: &Peer, consent: &Verified<Consent>) -> Result<(), AdoptError> {
        let _changing = self.desk.change();
        let (says, shown) = (consent.statement(), Document::new(consent.signed().clone()));
        let by_holder = says.holder == peer.member;
        let thread = says.thread();
        let known = self.desk.thread(&thread);
        let latest = known.as_ref().and_then(|known| known.consent.as_ref());
        let seen = match latest {
            Some(latest) if latest.says().version > says.version => {
                let latest = document(Kind::Consent, &latest.bytes);
                self.mailbox.post(link, Event::Tell(latest));
                return Ok(());
            }
            Some(latest) if latest.says().version == says.version => {
                let seen = known.as_ref().map_or(0, |known| known.seen);
                if latest.digest != shown.digest || seen > 0 || !by_holder {
                    return Ok(());
                }
                self.now()
            }
            _ => {
                tracing::warn!(holder = %says.holder, version = says.version,
                    "a holder shows an answer of this member's that this node did not remember; it is remembered again");
                if by_holder { self.now() } else { 0 }
            }
        };
        let kept = Kept {
            consent: Some(shown),
            seen,
            ..known.as_deref().cloned().unwrap_or_default()
        };
        self.desk.keep(&*self.store, thread, kept, Batch::new())?;
        Ok(())
    }

    /// Makes an answer for which this member is the holder durable, and lets it count. Whoever calls holds the change.
    fn adopt_consent(&self, consent: &Verified<Consent>, known: Option<&Kept>, batch: Batch) -> Result<(), AdoptError> {
        let says = consent.statement();
        let number = self.desk.next_number();
        let kept = Kept {
            consent: Some(Document::new(consent.signed().clone())),
            number,
            seen: if self.is_own(&says.by) { self.now() } else { 0 },
            declined: String::new(),
            ..known.cloned().unwrap_or_default()
        };
        self.desk.keep(&*self.store, says.thread(), kept, batch)?;
        self.law
            .policy()
            .take_consent(consent, number)
            .map_err(ConsentFault::from)?;
        // What was read under the answer before does not go any more: it is read again.
        for origin in self.logs_of(&says.subject) {
            self.voids.begin(&origin, []);
            self.voids.end(&origin);
        }
        self.mailbox.changed();
        Ok(())
    }

    fn logs_of(&self, subject: &Subject) -> Vec<Origin> {
        match subject {
            Subject::Record { origin, .. } => vec![origin.clone()],
            Subject::Operation { owner, .. } => {
                let mut logs: Vec<Origin> = self.heads.all().into_keys().collect();
                logs.retain(|origin| origin.member == *owner);
                logs
            }
        }
    }

    /// A holder has signed that it has this member's answer.
    fn take_seen(&self, seen: &ConsentSeen) -> Result<(), AdoptError> {
        let _changing = self.desk.change();
        let thread = seen.thread();
        let Some(known) = self.desk.thread(&thread) else {
            return Ok(());
        };
        let is_latest = known
            .consent
            .as_ref()
            .is_some_and(|consent| consent.digest == seen.consent);
        if is_latest && known.seen == 0 {
            let kept = Kept {
                seen: self.now(),
                ..Kept::clone(&known)
            };
            self.desk.keep(&*self.store, thread, kept, Batch::new())?;
        }
        Ok(())
    }

    /// Asks for consent in this member's name. What waits already for the same is given instead.
    ///
    /// # Errors
    /// It contradicts itself, or can't be kept.
    pub fn ask_consent(&self, request: ConsentRequest) -> Result<std::sync::Arc<Kept>, AdoptError> {
        request.check().map_err(ConsentFault::from)?;
        let _changing = self.desk.change();
        let thread = request.thread();
        let known = self.desk.thread(&thread);
        let same = |says: &ConsentRequest| {
            (says.sections, says.purpose, &says.agreement) == (request.sections, request.purpose, &request.agreement)
        };
        if let Some(known) = &known {
            let waits = known.open().is_some_and(|open| same(open.says()));
            let asked = known.request.as_ref().is_some_and(|asked| same(asked.says()));
            let given = known.pending().is_none() && known.approved(self.now()).is_some();
            if waits || (asked && given) {
                return Ok(known.clone());
            }
        }
        self.check_room(&known, &request.by)?;
        let answered = known.as_ref().and_then(|known| known.consent.as_ref());
        let request = ConsentRequest {
            after: answered.map_or(0, |answer| answer.says().version),
            ..request
        };
        let owner = request.subject.owner().clone();
        let signed = Document::new(Signed::sign(request, &self.local.key.key())?);
        let told = document(Kind::ConsentRequest, &signed.bytes);
        let kept = Kept {
            request: Some(signed),
            declined: String::new(),
            ..known.as_deref().cloned().unwrap_or_default()
        };
        let kept = self.desk.keep(&*self.store, thread, kept, Batch::new())?;
        if !self.is_own(&owner) {
            self.send_towards(&owner, &told);
        }
        Ok(kept)
    }

    fn check_room(&self, known: &Option<std::sync::Arc<Kept>>, by: &MemberId) -> Result<(), ConsentFault> {
        match known {
            Some(_) => Ok(()),
            None => self.desk.admit(by),
        }
    }

    /// Signs an answer in this member's name and sends it to who asked, or lets it count here if that was this member itself.
    ///
    /// # Errors
    /// It contradicts itself, or can't be kept.
    pub fn answer_consent(&self, consent: Consent) -> Result<std::sync::Arc<Kept>, AdoptError> {
        let _changing = self.desk.change();
        let thread = consent.thread();
        let known = self.desk.thread(&thread);
        let before = known.as_ref().and_then(|known| known.consent.as_ref());
        if let Some(before) = before.filter(|before| before.says().version >= consent.version) {
            // Somebody else at this node was quicker.
            let (version, known) = (consent.version, before.says().version);
            return Err(ConsentFault::from(ConsentRefusal::Older { version, known }).into());
        }
        let bundle = self.law.bundle();
        let signed = Signed::sign(consent, &self.local.key.key())?.to_bytes();
        let consent = Consent::verify(&signed, &*bundle).map_err(ConsentFault::from)?;
        let holder = consent.statement().holder.clone();
        if self.is_own(&holder) {
            self.adopt_consent(&consent, known.as_deref(), Batch::new())?;
            return Ok(self.desk.thread(&thread).unwrap_or_default());
        }
        let kept = Kept {
            consent: Some(Document::new(consent.signed().clone())),
            seen: 0,
            ..known.as_deref().cloned().unwrap_or_default()
        };
        let kept = self.desk.keep(&*self.store, thread, kept, Batch::new())?;
        self.send_towards(&holder, &document(Kind::Consent, &signed));
        Ok(kept)
    }

    /// The originator's node does not take a request of this member's.
    pub(super) fn request_declined(&self, refused: &v1::DocumentRefused) -> bool {
        let _changing = self.desk.change();
        let declined = self.desk.threads().into_iter().find(|kept| {
            let request = kept.open().filter(|request| self.is_own(&request.says().by));
            request.is_some_and(|request| *request.digest.as_bytes() == *refused.sha256)
        });
        let Some((kept, thread)) = declined.and_then(|kept| Some((kept.clone(), kept.thread()?))) else {
            return false;
        };
        let plain = |letter: &char| letter.is_ascii_lowercase() || *letter == '-';
        let declined: String = refused.code.chars().filter(plain).take(64).collect();
        tracing::warn!(code = declined, "a request for consent was not taken");
        if kept.declined != declined {
            let kept = Kept {
                declined,
                ..Kept::clone(&kept)
            };
            if let Err(error) = self.desk.keep(&*self.store, thread, kept, Batch::new()) {
                tracing::error!(%error, "that a request was not taken can't be kept");
            }
        }
        true
    }

    /// As an office: hands a statement to a member of the region, and keeps it until it is settled.
    fn pass_on(&self, member: &MemberId, statement: &v1::Document, at: u64) -> Result<(), AdoptError> {
        let regions = self.law.bundle().member(member).map(|entry| entry.regions.clone());
        if self.local.role != Role::Regional || !regions.is_some_and(|regions| regions.contains(&self.local.member)) {
            return Err(ConsentFault::from(ConsentRefusal::Misdirected {
                wanted: member.clone(),
                owner: self.local.member.clone(),
            })
            .into());
        }
        let linked = self.post_to(|peer| peer.member == *member, statement);
        // Nobody answers a notice: once it went, it is settled.
        if !(linked && statement.kind() == Kind::ConsentSeen) {
            self.desk.relay(&*self.store, member, statement, (at, self.now()))?;
        }
        Ok(())
    }

    /// Sends a statement to a member that is linked, else to the offices of its region.
    fn send_towards(&self, member: &MemberId, statement: &v1::Document) {
        if !self.post_to(|peer| peer.member == *member, statement) {
            self.post_to(|peer| self.serves_as_office(peer, member), statement);
        }
    }

    fn post_to(&self, is: impl Fn(&Peer) -> bool, statement: &v1::Document) -> bool {
        let links = lock(&self.links);
        let mut any = false;
        for (&link, _) in links.iter().filter(|(_, peer)| is(peer)) {
            self.mailbox.post(link, Event::Tell(statement.clone()));
            any = true;
        }
        any
    }

    fn is_linked(&self, member: &MemberId) -> bool {
        lock(&self.links).values().any(|peer| peer.member == *member)
    }

    /// Whether a peer is an office of a member's region.
    fn serves_as_office(&self, peer: &Peer, member: &MemberId) -> bool {
        let bundle = self.law.bundle();
        let entry = bundle.member(member);
        peer.role == Role::Regional && entry.is_some_and(|entry| entry.regions.contains(&peer.member))
    }

    fn is_own(&self, member: &MemberId) -> bool {
        *member == self.local.member
    }
}

/// Whether a document is a statement about consent.
pub(super) fn is_statement(kind: Kind) -> bool {
    matches!(kind, Kind::ConsentRequest | Kind::Consent | Kind::ConsentSeen)
}
