//! The book of agreements: every version that its owner is bound by, and what became of it.
//!
//! Adopting the same document twice changes nothing, so all stored documents can be replayed at start. Versions never go
//! back: what a higher version says stays said, also when that version can no longer be verified. Time is not part of the
//! book's state; whether a version decides at a moment is computed from the documents ([`Book::standing`]).
//!
//! Whatever is asked about two members looks at what they have together, and never through the whole book.

mod file;
mod refusal;
mod standing;
mod taking;

use std::collections::{BTreeMap, BTreeSet};

use icomm_pki::{Digest32, MemberId};

use crate::agreement::{Acknowledgement, AgreementId, Ratified, Signed, SignedAgreement, Suspension};
use crate::directory::KeyDirectory;

use file::File;

pub(crate) use file::Entry;
pub use file::SuspensionStatus;
pub use refusal::Refusal;
pub use standing::Standing;
pub(crate) use taking::Document;

/// The most agreements in a book: one with each of ten thousand partners, with room.
pub const AGREEMENTS_MAX: usize = 16_384;
/// The most agreements that one member may suspend before the book has them.
pub const AWAITED_PER_MEMBER_MAX: usize = 16;
/// The most versions of one agreement.
pub const VERSIONS_MAX: usize = 256;

/// What kind of document bytes hold. The order is that in which stored documents are replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// A [`SignedAgreement`].
    Agreement,
    /// A signed [`Suspension`].
    Suspension,
    /// A signed [`Acknowledgement`].
    Acknowledgement,
}

impl DocumentKind {
    /// What a hand-over of its key calls this document, if `member` signed it; nothing is verified.
    #[must_use]
    pub fn signed_digest(self, bytes: &[u8], member: &MemberId) -> Option<Digest32> {
        match self {
            Self::Agreement => {
                let signed = SignedAgreement::parse(bytes).ok()?;
                let is_signer = signed.signers().any(|signer| signer == member);
                is_signer.then(|| signed.agreement().signed_digest())
            }
            Self::Suspension => Signed::<Suspension>::parse(bytes).ok()?.signed_digest(member),
            Self::Acknowledgement => Signed::<Acknowledgement>::parse(bytes).ok()?.signed_digest(member),
        }
    }
}

/// What a document changed in the book. Anything but `Nothing` is to be stored before it counts for anybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The book knew it already.
    Nothing,
    /// A new agreement, or a new version.
    Adopted {
        /// The agreement.
        id: AgreementId,
        /// Its version.
        version: u32,
    },
    /// A party suspended an agreement.
    Suspended {
        /// The agreement.
        id: AgreementId,
        /// The latest version that is suspended.
        version: u32,
        /// Who suspended it.
        by: MemberId,
    },
    /// A party acknowledged a suspension.
    Acknowledged {
        /// The agreement.
        id: AgreementId,
        /// Who had suspended it.
        suspended_by: MemberId,
        /// Who acknowledged.
        by: MemberId,
    },
}

/// The agreements that bind `owner`.
#[derive(Clone, Debug)]
pub struct Book {
    owner: MemberId,
    files: BTreeMap<AgreementId, File>,
    /// INVARIANT: under each member the agreements to which it is a party, and those that it has suspended before they came.
    with: BTreeMap<MemberId, BTreeSet<AgreementId>>,
    /// INVARIANT: the number of files with a version.
    held: usize,
}

impl Book {
    /// An empty book.
    #[must_use]
    pub const fn new(owner: MemberId) -> Self {
        Self {
            owner,
            files: BTreeMap::new(),
            with: BTreeMap::new(),
            held: 0,
        }
    }

    /// Takes a document from a peer or an operator, verifies it and changes the book; `now` in seconds since 1970.
    ///
    /// # Errors
    /// When it is not what it should be, or the book knows better. The book is then as before.
    pub fn receive(
        &mut self,
        kind: DocumentKind,
        bytes: &[u8],
        directory: &dyn KeyDirectory,
        now: u64,
    ) -> Result<Change, Refusal> {
        self.take(Document::verify(kind, bytes, directory)?, now)
    }

    /// Whose book it is.
    #[must_use]
    pub const fn owner(&self) -> &MemberId {
        &self.owner
    }

    /// Every version of every agreement, by id and version.
    pub fn agreements(&self) -> impl Iterator<Item = &Ratified> {
        self.files.values().flat_map(|file| file.versions.values())
    }

    /// One version of one agreement.
    #[must_use]
    pub fn agreement(&self, id: &AgreementId, version: u32) -> Option<&Ratified> {
        self.files.get(id)?.versions.get(&version)
    }

    /// The highest version of an agreement.
    #[must_use]
    pub fn latest(&self, id: &AgreementId) -> Option<&Ratified> {
        self.files.get(id)?.latest()
    }

    /// The highest version of each agreement to which `member` is a party: what a hello names.
    pub fn latest_with(&self, member: &MemberId) -> impl Iterator<Item = &Ratified> {
        self.files_with(member)
            .filter_map(File::latest)
            .filter(move |ratified| ratified.agreement().has_party(member))
    }

    /// Whether `version` of `id` decides at `now` (seconds since 1970); none when the book does not have it.
    #[must_use]
    pub fn standing(&self, id: &AgreementId, version: u32, now: u64) -> Option<Standing> {
        let file = self.files.get(id)?;
        file.versions.get(&version).map(|ratified| file.standing(ratified, now))
    }

    /// The suspensions of an agreement that count for its highest version.
    pub fn suspensions(&self, id: &AgreementId) -> impl Iterator<Item = &SuspensionStatus> {
        self.files.get(id).into_iter().flat_map(File::counting_suspensions)
    }

    /// The documents to which `member` is a party too, to send to it: agreements first, each in its stored form.
    #[must_use]
    pub fn documents_with(&self, member: &MemberId) -> Vec<(DocumentKind, Vec<u8>)> {
        let mut documents = Vec::new();
        let with_both = |file: &&File| file.latest().is_some_and(|latest| latest.agreement().has_party(member));
        for file in self.files_with(member).filter(with_both) {
            let agreements = file
                .versions
                .values()
                .filter(|ratified| ratified.agreement().has_party(member));
            documents.extend(agreements.map(|ratified| (DocumentKind::Agreement, ratified.signed().to_bytes())));
            for status in file.suspensions.values() {
                documents.push((DocumentKind::Suspension, status.suspension.signed().to_bytes()));
                let seen = status.acknowledgements.values();
                documents.extend(seen.map(|seen| (DocumentKind::Acknowledgement, seen.signed().to_bytes())));
            }
        }
        documents.sort_by_key(|(kind, _)| *kind);
        documents
    }

    /// Every version of the agreements to which both are parties, with the time in which it decides, by id and version.
    pub(crate) fn entries_between(&self, one: &MemberId, other: &MemberId) -> impl Iterator<Item = Entry<'_>> {
        self.files_between(one, other).flat_map(File::entries)
    }

    fn files_between(&self, one: &MemberId, other: &MemberId) -> impl Iterator<Item = &File> {
        let together = match (self.with.get(one), self.with.get(other)) {
            (Some(one), Some(other)) if one.len() <= other.len() => Some((one, other)),
            (Some(one), Some(other)) => Some((other, one)),
            _ => None,
        };
        // The shorter list is walked through: everything is with the owner, but little with any one partner.
        let ids = together
            .into_iter()
            .flat_map(|(fewer, more)| fewer.iter().filter(|id| more.contains(*id)));
        ids.filter_map(|id| self.files.get(id))
    }

    /// The version that has begun last by `now`, of every agreement to which both are parties.
    pub(crate) fn begun_between(&self, one: &MemberId, other: &MemberId, now: u64) -> impl Iterator<Item = &Ratified> {
        self.files_between(one, other).filter_map(move |file| file.begun(now))
    }

    /// Every agreement of which more than one version has begun by `now`, and the highest of these.
    pub(crate) fn superseding(&self, now: u64) -> Vec<(AgreementId, u32)> {
        let several = self.files.iter().filter(|(_, file)| file.versions.len() > 1);
        let begun = several.filter_map(|(id, file)| {
            let version = file.begun(now)?.agreement().version();
            let first = file.versions.keys().next()?;
            (version > *first).then(|| (id.clone(), version))
        });
        begun.collect()
    }

    /// Everybody with whom the owner has an agreement, itself included.
    pub(crate) fn partners(&self) -> impl Iterator<Item = &MemberId> {
        self.with
            .iter()
            .filter(|(_, ids)| !ids.is_empty())
            .map(|(member, _)| member)
    }

    fn files_with(&self, member: &MemberId) -> impl Iterator<Item = &File> {
        let ids = self.with.get(member).into_iter().flatten();
        ids.filter_map(|id| self.files.get(id))
    }
}

#[cfg(test)]
mod tests;
