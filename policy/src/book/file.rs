//! All that a book knows of one agreement: its versions, and who suspended it.

use std::collections::{BTreeMap, BTreeSet};

use icomm_pki::MemberId;

use super::{Refusal, Standing, VERSIONS_MAX};
use crate::agreement::{Acknowledgement, Agreement, Ratified, Suspension, Verified};

/// A suspension and who has acknowledged it.
#[derive(Clone, Debug)]
pub struct SuspensionStatus {
    pub(super) suspension: Verified<Suspension>,
    pub(super) acknowledgements: BTreeMap<MemberId, Verified<Acknowledgement>>,
}

impl SuspensionStatus {
    /// The suspension.
    #[must_use]
    pub fn suspension(&self) -> &Suspension {
        self.suspension.statement()
    }

    /// Who has acknowledged it, and when.
    pub fn acknowledgements(&self) -> impl Iterator<Item = &Acknowledgement> {
        self.acknowledgements.values().map(Verified::statement)
    }

    /// Who has acknowledged it.
    pub fn acknowledged_by(&self) -> impl Iterator<Item = &MemberId> {
        self.acknowledgements.keys()
    }
}

/// All that is known of one agreement.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) versions: BTreeMap<u32, Ratified>,
    /// No version below this one counts, though the version itself may be missing.
    pub(super) floor: u32,
    /// INVARIANT: by one member at most one, that of the highest version.
    pub(super) suspensions: BTreeMap<MemberId, SuspensionStatus>,
}

/// A version with the time in which it decides, suspensions aside.
pub(crate) struct Entry<'a> {
    pub(crate) ratified: &'a Ratified,
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) suspended: bool,
}

/// Whether a suspension is by a party to `agreement` and of this version or a higher one.
fn counts_for(suspension: &Suspension, agreement: &Agreement) -> bool {
    suspension.version >= agreement.version() && agreement.has_party(&suspension.by)
}

impl File {
    /// The highest version; none of an agreement that has only been spoken of.
    pub(super) fn latest(&self) -> Option<&Ratified> {
        self.versions.values().next_back()
    }

    /// The highest version that has begun by `now`, in force or over.
    pub(super) fn begun(&self, now: u64) -> Option<&Ratified> {
        let begun = |ratified: &&Ratified| ratified.agreement().begins() <= now;
        self.versions.values().rev().find(begun)
    }

    /// Every version with the time in which it decides.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.versions.values().map(|ratified| {
            let (from, until) = self.window(ratified.agreement());
            let suspended = !self.suspended_by(ratified.agreement()).is_empty();
            Entry {
                ratified,
                from,
                until,
                suspended,
            }
        })
    }

    /// The suspensions that count for the highest version.
    pub(super) fn counting_suspensions(&self) -> impl Iterator<Item = &SuspensionStatus> {
        let latest = self.latest();
        let counts = move |status: &&SuspensionStatus| {
            latest.is_some_and(|latest| counts_for(status.suspension(), latest.agreement()))
        };
        self.suspensions.values().filter(counts)
    }

    /// Whether a new version may take its place in this file.
    pub(super) fn admits(&self, agreement: &Agreement) -> Result<(), Refusal> {
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
        if let Some(latest) = self.latest() {
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

    pub(super) fn standing(&self, ratified: &Ratified, now: u64) -> Standing {
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
