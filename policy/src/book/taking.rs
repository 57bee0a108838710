//! How documents come into the book: verified first, then judged against what the book has, then noted. Judging changes
//! nothing, noting can't fail.

use std::collections::BTreeMap;

use icomm_pki::MemberId;

use super::{
    AGREEMENTS_MAX, AWAITED_PER_MEMBER_MAX, Book, Change, DocumentKind, Refusal, SuspensionStatus, VERSIONS_MAX,
};
use crate::agreement::{Acknowledgement, AgreementId, Ratified, Signed, SignedAgreement, Suspension, Verified};
use crate::directory::KeyDirectory;

/// A document whose signatures were verified.
pub(crate) enum Document {
    Agreement(Ratified),
    Suspension(Verified<Suspension>),
    Acknowledgement(Verified<Acknowledgement>),
}

impl Document {
    /// Reads and verifies it; the book has no part in this.
    pub(crate) fn verify(kind: DocumentKind, bytes: &[u8], directory: &dyn KeyDirectory) -> Result<Self, Refusal> {
        Ok(match kind {
            DocumentKind::Agreement => Self::Agreement(Ratified::verify(SignedAgreement::parse(bytes)?, directory)?),
            DocumentKind::Suspension => Self::Suspension(Signed::parse(bytes)?.verify(directory)?),
            DocumentKind::Acknowledgement => Self::Acknowledgement(Signed::parse(bytes)?.verify(directory)?),
        })
    }
}

impl Book {
    /// The book that the stored `documents` make, in whatever order they come, and what of them could not be used.
    ///
    /// A stored agreement whose signatures can't be verified any more (a party left the trust bundle, say) does not decide,
    /// and does not bring an earlier version back either.
    pub fn replay(
        owner: MemberId,
        documents: impl IntoIterator<Item = (DocumentKind, Vec<u8>)>,
        directory: &dyn KeyDirectory,
    ) -> (Self, Vec<Refusal>) {
        // Only what comes new may have ended already; a stored document was in force when it came.
        const ALWAYS: u64 = 0;
        let mut book = Self::new(owner);
        let mut refusals = Vec::new();
        let mut agreements = Vec::new();
        let mut statements = Vec::new();
        for (kind, bytes) in documents {
            match kind {
                DocumentKind::Agreement => match SignedAgreement::parse(&bytes) {
                    Ok(signed) => agreements.push(signed),
                    Err(invalid) => refusals.push(invalid.into()),
                },
                DocumentKind::Suspension | DocumentKind::Acknowledgement => statements.push((kind, bytes)),
            }
        }
        agreements.sort_by_key(|signed| signed.agreement().version());
        for signed in agreements {
            let (id, version) = (signed.agreement().id().clone(), signed.agreement().version());
            let adopted = Ratified::verify(signed, directory)
                .map_err(Refusal::from)
                .and_then(|ratified| book.take(Document::Agreement(ratified), ALWAYS));
            if let Err(refusal) = adopted {
                let file = book.files.entry(id).or_default();
                file.floor = file.floor.max(version);
                refusals.push(refusal);
            }
        }
        // Acknowledgements need what they acknowledge.
        statements.sort_by_key(|(kind, _)| *kind);
        for (kind, bytes) in statements {
            if let Err(refusal) = book.receive(kind, &bytes, directory, ALWAYS) {
                refusals.push(refusal);
            }
        }
        (book, refusals)
    }

    /// Takes a document in; `now` in seconds since 1970.
    ///
    /// # Errors
    /// When the book knows better. It is then as before.
    pub(crate) fn take(&mut self, document: Document, now: u64) -> Result<Change, Refusal> {
        let change = self.judge(&document, now)?;
        if change != Change::Nothing {
            match document {
                Document::Agreement(ratified) => self.note_agreement(ratified),
                Document::Suspension(suspension) => self.note_suspension(suspension),
                Document::Acknowledgement(acknowledgement) => self.note_acknowledgement(acknowledgement),
            }
        }
        Ok(change)
    }

    /// Takes in an agreement that is only supposed to be signed; `now` in seconds since 1970.
    ///
    /// # Errors
    /// When the book knows better.
    pub(crate) fn suppose(&mut self, ratified: Ratified, now: u64) -> Result<Change, Refusal> {
        self.take(Document::Agreement(ratified), now)
    }

    /// Supposes that an agreement were not there.
    pub(crate) fn forget(&mut self, id: &AgreementId) {
        self.held -= usize::from(self.holds(id));
        self.files.remove(id);
        for ids in self.with.values_mut() {
            ids.remove(id);
        }
    }

    /// What a document would change.
    ///
    /// # Errors
    /// When the book knows better.
    pub(crate) fn judge(&self, document: &Document, now: u64) -> Result<Change, Refusal> {
        match document {
            Document::Agreement(ratified) => self.judge_agreement(ratified, now),
            Document::Suspension(suspension) => self.judge_suspension(suspension.statement()),
            Document::Acknowledgement(acknowledgement) => self.judge_acknowledgement(acknowledgement.statement()),
        }
    }

    /// An agreement must be ours, new or known, and not over already.
    fn judge_agreement(&self, ratified: &Ratified, now: u64) -> Result<Change, Refusal> {
        let agreement = ratified.agreement();
        let (id, version) = (agreement.id().clone(), agreement.version());
        let file = self.files.get(&id);
        let known = file.and_then(|file| file.versions.get(&version));
        if known.is_none() && agreement.ends() <= now {
            return Err(Refusal::Expired { agreement: id, version });
        }
        if !agreement.has_party(&self.owner) {
            return Err(Refusal::NotOurs {
                agreement: id,
                owner: self.owner.clone(),
            });
        }
        if !self.holds(&id) && self.held >= AGREEMENTS_MAX {
            return Err(Refusal::TooManyAgreements);
        }
        if let Some(known) = known {
            let same = known.agreement().digest() == agreement.digest();
            return if same {
                Ok(Change::Nothing)
            } else {
                Err(Refusal::OtherText { agreement: id, version })
            };
        }
        if let Some(file) = file {
            file.admits(agreement)?;
        }
        Ok(Change::Adopted { id, version })
    }

    fn note_agreement(&mut self, ratified: Ratified) {
        let Self { files, with, held, .. } = self;
        let agreement = ratified.agreement();
        let id = agreement.id();
        let file = files.entry(id.clone()).or_default();
        *held += usize::from(file.versions.is_empty());
        // What strangers said before the agreement arrived.
        file.suspensions.retain(|by, _| {
            let party = agreement.has_party(by);
            if !party && let Some(ids) = with.get_mut(by) {
                ids.remove(id);
            }
            party
        });
        for party in agreement.parties() {
            with.entry(party.clone()).or_default().insert(id.clone());
        }
        file.versions.insert(agreement.version(), ratified);
    }

    /// A suspension counts at once, also when the version that it names has not arrived yet.
    fn judge_suspension(&self, suspension: &Suspension) -> Result<Change, Refusal> {
        let Suspension {
            agreement: id,
            version,
            by,
            ..
        } = suspension.clone();
        // Nobody but a party may suspend. Of an agreement that has not arrived yet the parties are unknown: what a member
        // says about it is kept, within bounds, and counts if it turns out to be a party.
        if !self.holds(&id) && self.awaited(&by) >= AWAITED_PER_MEMBER_MAX {
            return Err(Refusal::TooManyAwaited { member: by });
        }
        let file = self.files.get(&id);
        let latest = file.and_then(|file| file.latest());
        if latest.is_some_and(|latest| !latest.agreement().has_party(&by)) {
            return Err(Refusal::NotParty {
                agreement: id,
                member: by,
            });
        }
        // Each higher version is a document to keep: without a bound a party could make us keep any number.
        let latest = latest.map_or(0, |latest| latest.agreement().version());
        if usize::try_from(version.saturating_sub(latest)).unwrap_or(usize::MAX) > VERSIONS_MAX {
            return Err(Refusal::TooManyVersions { agreement: id });
        }
        let known = file.and_then(|file| file.suspensions.get(&by));
        if known.is_some_and(|known| known.suspension().version >= version) {
            return Ok(Change::Nothing);
        }
        Ok(Change::Suspended { id, version, by })
    }

    fn note_suspension(&mut self, suspension: Verified<Suspension>) {
        let Suspension { agreement: id, by, .. } = suspension.statement().clone();
        self.with.entry(by.clone()).or_default().insert(id.clone());
        let status = SuspensionStatus {
            suspension,
            acknowledgements: BTreeMap::new(),
        };
        self.files.entry(id).or_default().suspensions.insert(by, status);
    }

    /// A party has seen another's suspension.
    fn judge_acknowledgement(&self, acknowledgement: &Acknowledgement) -> Result<Change, Refusal> {
        let Acknowledgement {
            agreement: id,
            version,
            suspended_by,
            by,
            ..
        } = acknowledgement.clone();
        let not_suspended = || Refusal::NotSuspended { agreement: id.clone() };
        let file = self.files.get(&id).ok_or_else(not_suspended)?;
        let party = file.latest().is_some_and(|latest| latest.agreement().has_party(&by));
        if !party || by == suspended_by {
            return Err(Refusal::NotParty {
                agreement: id,
                member: by,
            });
        }
        match file.suspensions.get(&suspended_by) {
            Some(status) if status.suspension().version == version => {
                if status.acknowledgements.contains_key(&by) {
                    return Ok(Change::Nothing);
                }
                Ok(Change::Acknowledged { id, suspended_by, by })
            }
            // A later suspension has taken its place; the acknowledgement of the earlier one says nothing new.
            Some(status) if status.suspension().version > version => Ok(Change::Nothing),
            _ => Err(not_suspended()),
        }
    }

    fn note_acknowledgement(&mut self, acknowledgement: Verified<Acknowledgement>) {
        let Acknowledgement {
            agreement,
            suspended_by,
            by,
            ..
        } = acknowledgement.statement().clone();
        let file = self.files.get_mut(&agreement);
        if let Some(status) = file.and_then(|file| file.suspensions.get_mut(&suspended_by)) {
            status.acknowledgements.insert(by, acknowledgement);
        }
    }

    fn holds(&self, id: &AgreementId) -> bool {
        self.latest(id).is_some()
    }

    /// How many agreements `member` has suspended that the book does not have.
    fn awaited(&self, member: &MemberId) -> usize {
        let awaited = self.files_with(member).filter(|file| file.versions.is_empty());
        awaited.count()
    }
}
