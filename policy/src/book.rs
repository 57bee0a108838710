//! The book of agreements: every version that its owner is bound by, and what became of it.
//!
//! Adopting the same document twice changes nothing, so all stored documents can be replayed at start. Versions never go
//! back: what a higher version says stays said, also when that version can no longer be verified. Time is not part of the
//! book's state; whether a version decides at a moment is computed from the documents ([`Book::standing`]).

mod refusal;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use icomm_pki::MemberId;

use crate::agreement::{
    Acknowledgement, Agreement, AgreementId, Day, Ratified, Signed, SignedAgreement, Suspension, Verified,
};
use crate::directory::KeyDirectory;

pub use refusal::Refusal;

/// The most agreements in a book: two with each of a thousand members.
pub const AGREEMENTS_MAX: usize = 2048;
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

/// Whether a version decides at a given moment, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum Standing {
    /// It decides.
    InForce {
        /// The first second at which it no longer does, as far as documents say so; `u64::MAX` without an end.
        until: u64,
    },
    /// It begins later.
    NotYet {
        /// The first second in force.
        from: u64,
    },
    /// A higher version has taken its place.
    Superseded {
        /// That version.
        by: u32,
    },
    /// A party suspended it.
    Suspended {
        /// Who, at least one.
        by: Vec<MemberId>,
    },
    /// Its last day is over.
    Ended {
        /// The first second no longer in force.
        since: u64,
    },
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day =
            |instant: u64| Day::of(instant).map_or_else(|_| "a day beyond counting".to_owned(), |day| day.to_string());
        match self {
            Self::InForce { until: u64::MAX } => f.write_str("is in force"),
            Self::InForce { until } => write!(f, "is in force until {}", day(until.saturating_sub(1))),
            Self::NotYet { from } => write!(f, "begins on {}", day(*from)),
            Self::Superseded { by } => write!(f, "was superseded by version {by}"),
            Self::Suspended { by } => {
                let by: Vec<&str> = by.iter().map(MemberId::as_str).collect();
                write!(f, "is suspended by {}", by.join(", "))
            }
            Self::Ended { since } => write!(f, "ended on {}", day(since.saturating_sub(1))),
        }
    }
}

/// A suspension and who has acknowledged it.
#[derive(Clone, Debug)]
pub struct SuspensionStatus {
    suspension: Verified<Suspension>,
    acknowledgements: BTreeMap<MemberId, Verified<Acknowledgement>>,
}

impl SuspensionStatus {
    /// The suspension.
    #[must_use]
    pub fn suspension(&self) -> &Suspension {
        self.suspension.statement()
    }

    /// Who has acknowledged it.
    pub fn acknowledged_by(&self) -> impl Iterator<Item = &MemberId> {
        self.acknowledgements.keys()
    }
}

/// All that is known of one agreement.
#[derive(Clone, Debug, Default)]
struct File {
    versions: BTreeMap<u32, Ratified>,
    /// No version below this one counts, though the version itself may be missing.
    floor: u32,
    /// INVARIANT: by one member at most one, that of the highest version.
    suspensions: BTreeMap<MemberId, SuspensionStatus>,
}

/// The agreements that bind `owner`.
#[derive(Clone, Debug)]
pub struct Book {
    owner: MemberId,
    files: BTreeMap<AgreementId, File>,
}

/// A version with the time in which it decides, suspensions aside.
pub(crate) struct Entry<'a> {
    pub(crate) ratified: &'a Ratified,
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) suspended: bool,
}

impl Book {
    /// An empty book.
    #[must_use]
    pub const fn new(owner: MemberId) -> Self {
        Self {
            owner,
            files: BTreeMap::new(),
        }
    }

    /// The book that the stored `documents` make, in whatever order they come, and what of them could not be used.
    ///
    /// A stored agreement whose signatures can't be verified any more (a party left the trust bundle, say) does not decide,
    /// and does not bring an earlier version back either.
    pub fn replay(
        owner: MemberId,
        documents: impl IntoIterator<Item = (DocumentKind, Vec<u8>)>,
        directory: &dyn KeyDirectory,
    ) -> (Self, Vec<Refusal>) {
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
                .and_then(|r| book.insert(r));
            if let Err(refusal) = adopted {
                let file = book.files.entry(id).or_default();
                file.floor = file.floor.max(version);
                refusals.push(refusal);
            }
        }
        // Acknowledgements need what they acknowledge.
        statements.sort_by_key(|(kind, _)| *kind);
        for (kind, bytes) in statements {
            // Only agreements look at the clock, and there are none among these.
            if let Err(refusal) = book.receive(kind, &bytes, directory, 0) {
                refusals.push(refusal);
            }
        }
        (book, refusals)
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
        match kind {
            DocumentKind::Agreement => self.adopt(Ratified::verify(SignedAgreement::parse(bytes)?, directory)?, now),
            DocumentKind::Suspension => self.suspend(Signed::parse(bytes)?.verify(directory)?),
            DocumentKind::Acknowledgement => self.acknowledge(Signed::parse(bytes)?.verify(directory)?),
        }
    }

    /// Adopts an agreement that every party signed; `now` in seconds since 1970.
    ///
    /// # Errors
    /// When it is over already, not ours, older than what the book has, or another text under the same version.
    pub fn adopt(&mut self, ratified: Ratified, now: u64) -> Result<Change, Refusal> {
        let agreement = ratified.agreement();
        let known = self
            .files
            .get(agreement.id())
            .is_some_and(|file| file.versions.contains_key(&agreement.version()));
        if !known && agreement.ends() <= now {
            return Err(Refusal::Expired {
                agreement: agreement.id().clone(),
                version: agreement.version(),
            });
        }
        self.insert(ratified)
    }

    fn insert(&mut self, ratified: Ratified) -> Result<Change, Refusal> {
        let agreement = ratified.agreement();
        let (id, version) = (agreement.id().clone(), agreement.version());
        if !agreement.has_party(&self.owner) {
            return Err(Refusal::NotOurs {
                agreement: id,
                owner: self.owner.clone(),
            });
        }
        if !self.holds(&id) && self.files.values().filter(|file| !file.versions.is_empty()).count() >= AGREEMENTS_MAX {
            return Err(Refusal::TooManyAgreements);
        }
        if let Some(file) = self.files.get(&id) {
            if let Some(known) = file.versions.get(&version) {
                let same = known.agreement().digest() == agreement.digest();
                return if same {
                    Ok(Change::Nothing)
                } else {
                    Err(Refusal::OtherText { agreement: id, version })
                };
            }
            file.admits(agreement)?;
        }
        let file = self.files.entry(id.clone()).or_default();
        // What strangers said before the agreement arrived.
        file.suspensions.retain(|by, _| ratified.agreement().has_party(by));
        file.versions.insert(version, ratified);
        Ok(Change::Adopted { id, version })
    }

    /// Notes a suspension. It counts at once, also when the version that it names has not arrived yet.
    ///
    /// # Errors
    /// When the member is not a party to the agreement.
    pub fn suspend(&mut self, suspension: Verified<Suspension>) -> Result<Change, Refusal> {
        let Suspension {
            agreement: id,
            version,
            by,
            ..
        } = suspension.statement().clone();
        // Nobody but a party may suspend. Of an agreement that has not arrived yet the parties are unknown: what a member
        // says about it is kept, within bounds, and counts if it turns out to be a party.
        let awaited = |file: &&File| file.versions.is_empty() && file.suspensions.contains_key(&by);
        if !self.holds(&id) && self.files.values().filter(awaited).count() >= AWAITED_PER_MEMBER_MAX {
            return Err(Refusal::TooManyAwaited { member: by });
        }
        if let Some(file) = self.files.get(&id)
            && let Some(latest) = file.versions.values().next_back()
            && !latest.agreement().has_party(&by)
        {
            return Err(Refusal::NotParty {
                agreement: id,
                member: by,
            });
        }
        // Each higher version is a document to keep: without a bound a party could make us keep any number.
        let latest = self
            .files
            .get(&id)
            .and_then(|file| file.versions.keys().next_back().copied())
            .unwrap_or(0);
        if usize::try_from(version.saturating_sub(latest)).unwrap_or(usize::MAX) > VERSIONS_MAX {
            return Err(Refusal::TooManyVersions { agreement: id });
        }
        let suspensions = &mut self.files.entry(id.clone()).or_default().suspensions;
        if suspensions
            .get(&by)
            .is_some_and(|known| known.suspension().version >= version)
        {
            return Ok(Change::Nothing);
        }
        suspensions.insert(
            by.clone(),
            SuspensionStatus {
                suspension,
                acknowledgements: BTreeMap::new(),
            },
        );
        Ok(Change::Suspended { id, version, by })
    }

    /// Notes that a party has seen another's suspension.
    ///
    /// # Errors
    /// When there is no such suspension, or the member has nothing to acknowledge.
    pub fn acknowledge(&mut self, acknowledgement: Verified<Acknowledgement>) -> Result<Change, Refusal> {
        let Acknowledgement {
            agreement: id,
            version,
            suspended_by,
            by,
            ..
        } = acknowledgement.statement().clone();
        let file = self
            .files
            .get_mut(&id)
            .ok_or_else(|| Refusal::NotSuspended { agreement: id.clone() })?;
        let party = file
            .versions
            .values()
            .next_back()
            .is_some_and(|latest| latest.agreement().has_party(&by));
        if !party || by == suspended_by {
            return Err(Refusal::NotParty {
                agreement: id,
                member: by,
            });
        }
        match file.suspensions.get_mut(&suspended_by) {
            Some(status) if status.suspension().version == version => {
                if status.acknowledgements.contains_key(&by) {
                    return Ok(Change::Nothing);
                }
                status.acknowledgements.insert(by.clone(), acknowledgement);
                Ok(Change::Acknowledged { id, suspended_by, by })
            }
            // A later suspension has taken its place; the acknowledgement of the earlier one says nothing new.
            Some(status) if status.suspension().version > version => Ok(Change::Nothing),
            _ => Err(Refusal::NotSuspended { agreement: id }),
        }
    }

    fn holds(&self, id: &AgreementId) -> bool {
        self.files.get(id).is_some_and(|file| !file.versions.is_empty())
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

    /// The highest version of each agreement to which `member` is a party: what a hello names.
    pub fn latest_with(&self, member: &MemberId) -> impl Iterator<Item = &Ratified> {
        self.files
            .values()
            .filter_map(|file| file.versions.values().next_back())
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
        let file = self.files.get(id);
        let latest = file.and_then(|file| file.versions.values().next_back());
        let counts = move |status: &&SuspensionStatus| {
            latest.is_some_and(|latest| counts_for(status.suspension(), latest.agreement()))
        };
        file.into_iter()
            .flat_map(|file| file.suspensions.values())
            .filter(counts)
    }

    /// The documents to which `member` is a party too, to send to it: agreements first, each in its stored form.
    #[must_use]
    pub fn documents_with(&self, member: &MemberId) -> Vec<(DocumentKind, Vec<u8>)> {
        let mut documents = Vec::new();
        let with_both = |file: &&File| {
            file.versions
                .values()
                .next_back()
                .is_some_and(|latest| latest.agreement().has_party(member))
        };
        for file in self.files.values().filter(with_both) {
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

    /// Every version with the time in which it decides.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.files.values().flat_map(|file| {
            file.versions.values().map(|ratified| {
                let (from, until) = file.window(ratified.agreement());
                let suspended = !file.suspended_by(ratified.agreement()).is_empty();
                Entry {
                    ratified,
                    from,
                    until,
                    suspended,
                }
            })
        })
    }
}

/// Whether a suspension is by a party to `agreement` and of this version or a higher one.
fn counts_for(suspension: &Suspension, agreement: &Agreement) -> bool {
    suspension.version >= agreement.version() && agreement.has_party(&suspension.by)
}

impl File {
    /// Whether a new version may take its place in this file.
    fn admits(&self, agreement: &Agreement) -> Result<(), Refusal> {
        let (id, version) = (agreement.id().clone(), agreement.version());
        let highest = self.versions.keys().next_back().copied().unwrap_or(0).max(self.floor);
        if version < highest {
            return Err(Refusal::OlderVersion {
                agreement: id,
                version,
                highest,
            });
        }
        if self.versions.len() >= VERSIONS_MAX {
            return Err(Refusal::TooManyVersions { agreement: id });
        }
        if let Some(latest) = self.versions.values().next_back() {
            let parties: BTreeSet<&MemberId> = agreement.parties().collect();
            let dropped: Vec<MemberId> = latest
                .agreement()
                .parties()
                .filter(|party| !parties.contains(party))
                .cloned()
                .collect();
            if !dropped.is_empty() {
                return Err(Refusal::PartiesDropped {
                    agreement: id,
                    version,
                    dropped,
                });
            }
        }
        Ok(())
    }

    /// When `agreement` decides, suspensions aside: from its first day to its last, or until a higher version begins.
    fn window(&self, agreement: &Agreement) -> (u64, u64) {
        let higher = self
            .versions
            .range(agreement.version().saturating_add(1)..)
            .map(|(_, r)| r.agreement().begins());
        let until = higher.min().unwrap_or(u64::MAX).min(agreement.ends());
        let until = if agreement.version() < self.floor { 0 } else { until };
        (agreement.begins(), until)
    }

    fn suspended_by(&self, agreement: &Agreement) -> Vec<MemberId> {
        let counts = |status: &&SuspensionStatus| counts_for(status.suspension(), agreement);
        self.suspensions
            .values()
            .filter(counts)
            .map(|status| status.suspension().by.clone())
            .collect()
    }

    fn standing(&self, ratified: &Ratified, now: u64) -> Standing {
        let agreement = ratified.agreement();
        let version = agreement.version();
        let begun = |(_, higher): &(&u32, &Ratified)| higher.agreement().begins() <= now;
        let by = self
            .versions
            .range(version.saturating_add(1)..)
            .filter(begun)
            .map(|(by, _)| *by)
            .next_back();
        if let Some(by) = by.or((version < self.floor).then_some(self.floor)) {
            return Standing::Superseded { by };
        }
        let suspended_by = self.suspended_by(agreement);
        if !suspended_by.is_empty() {
            return Standing::Suspended { by: suspended_by };
        }
        let (from, until) = self.window(agreement);
        if agreement.ends() <= now {
            Standing::Ended {
                since: agreement.ends(),
            }
        } else if now < from {
            Standing::NotYet { from }
        } else {
            Standing::InForce { until }
        }
    }
}

#[cfg(test)]
mod tests;
