//! Under what it was decided: the agreement versions, laws and directory facts that make a lane.
//!
//! ```text
//!   esa@3,ke-ug@1/rilo-ug@2;8f5c…            first leg / second leg ; SHA-256 of laws and directory facts, 16 bytes
//!   esa@3/rilo-ug@2;8f5c…;12                 where consents count: the number of the latest that does
//! ```
//!
//! Two lanes of one revision decide alike. Whoever received under an earlier revision names it, and the sender finds out what
//! is wider now: the book keeps every version, so the earlier lane can be made again, exactly, as long as laws and
//! directory are the same. When they are not, nothing is known of what it gave.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::agreement::AgreementId;
use crate::cedar::grant::CompiledGrant;
use crate::cedar::overlay::Overlay;
use crate::cedar::question::MemberFacts;

/// The most bytes of a revision; one of more agreements is named by its hash alone.
pub const REVISION_BYTES_MAX: usize = 4096;

/// What a lane's decisions rest on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revision {
    text: Arc<str>,
    /// None: too many to be named.
    named: Option<Legs>,
    surroundings: Surroundings,
    consents: Option<u64>,
}

/// The versions whose grants make up each leg.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Legs {
    first: BTreeSet<(AgreementId, u32)>,
    second: BTreeSet<(AgreementId, u32)>,
}

/// The hash of everything beside agreements that a decision may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Surroundings([u8; Self::LEN]);

/// Not the name of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this does not name a revision of a policy")]
pub struct InvalidRevision;

/// One step of a record's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    /// From the originator.
    First,
    /// From a holder that passes on.
    Second,
}

impl Surroundings {
    const LEN: usize = 16;

    /// Of the members concerned and the national laws.
    pub(crate) fn of(members: &[Option<&MemberFacts>], laws: &[Overlay]) -> Self {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        for facts in members {
            let Some(MemberFacts { member, role, regions }) = facts else {
                add("");
                continue;
            };
            add(member.as_str());
            add(role.as_str());
            regions.iter().for_each(|region| add(region.as_str()));
            add("");
        }
        for law in laws {
            add(law.name());
            law.policies().iter().for_each(|policy| add(&policy.to_string()));
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut short = [0; Self::LEN];
        short.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(short)
    }
}

impl Revision {
    /// Of a lane with these grants, and the consents up to this number.
    pub(crate) fn new(
        first: &[&CompiledGrant],
        second: &[&CompiledGrant],
        surroundings: Surroundings,
        consents: Option<u64>,
    ) -> Self {
        let versions = |grants: &[&CompiledGrant]| {
            let version = |grant: &&CompiledGrant| (grant.reference.agreement.clone(), grant.reference.version);
            grants.iter().map(version).collect()
        };
        Self::of(
            Legs {
                first: versions(first),
                second: versions(second),
            },
            surroundings,
            consents,
        )
    }

    /// Under which a member is given back its own records: always all that is held.
    pub(crate) fn returned() -> Self {
        Self::of(Legs::default(), Surroundings([0; Surroundings::LEN]), None)
    }

    fn of(legs: Legs, surroundings: Surroundings, consents: Option<u64>) -> Self {
        let list = |versions: &BTreeSet<(AgreementId, u32)>| {
            let words: Vec<String> = versions.iter().map(|(id, version)| format!("{id}@{version}")).collect();
            words.join(",")
        };
        let consented = consents.map(|number| format!(";{number}")).unwrap_or_default();
        let text = format!(
            "{}/{};{}{consented}",
            list(&legs.first),
            list(&legs.second),
            HEXLOWER.encode(&surroundings.0)
        );
        if text.len() <= REVISION_BYTES_MAX {
            return Self {
                text: text.into(),
                named: Some(legs),
                surroundings,
                consents,
            };
        }
        let hashed = format!("#{}", HEXLOWER.encode(&Sha256::digest(text)));
        Self {
            text: hashed.into(),
            named: None,
            surroundings,
            consents,
        }
    }

    /// As it is sent and stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number of the latest consent that counted; none if none did.
    pub(crate) const fn consents(&self) -> Option<u64> {
        self.consents
    }

    /// Whether a version's grants have part in a leg; none when the versions are not named.
    pub(crate) fn names(&self, hop: Hop, id: &AgreementId, version: u32) -> Option<bool> {
        let legs = self.named.as_ref()?;
        let versions = match hop {
            Hop::First => &legs.first,
            Hop::Second => &legs.second,
        };
        Some(versions.contains(&(id.clone(), version)))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Revision {
    type Err = InvalidRevision;

    fn from_str(text: &str) -> Result<Self, InvalidRevision> {
        if text.len() > REVISION_BYTES_MAX {
            return Err(InvalidRevision);
        }
        let (legs, surroundings) = text.split_once(';').ok_or(InvalidRevision)?;
        let (first, second) = legs.split_once('/').ok_or(InvalidRevision)?;
        let (surroundings, consents) = match surroundings.split_once(';') {
            Some((surroundings, number)) => (surroundings, Some(number.parse().map_err(|_| InvalidRevision)?)),
            None => (surroundings, None),
        };
        let surroundings = HEXLOWER
            .decode(surroundings.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(InvalidRevision)?;
        let legs = Legs {
            first: versions(first)?,
            second: versions(second)?,
        };
        let revision = Self::of(legs, Surroundings(surroundings), consents);
        // One text for each.
        (*revision.text == *text).then_some(revision).ok_or(InvalidRevision)
    }
}

fn versions(list: &str) -> Result<BTreeSet<(AgreementId, u32)>, InvalidRevision> {
    let words = list.split(',').filter(|word| !word.is_empty());
    words
        .map(|word| {
            let (id, version) = word.split_once('@').ok_or(InvalidRevision)?;
            let id = id.parse().map_err(|_| InvalidRevision)?;
            Ok((id, version.parse().map_err(|_| InvalidRevision)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(first: &[(&str, u32)], second: &[(&str, u32)]) -> Revision {
        revision_with(first, second, None)
    }

    fn revision_with(first: &[(&str, u32)], second: &[(&str, u32)], consents: Option<u64>) -> Revision {
        let set = |versions: &[(&str, u32)]| {
            let version = |(id, version): &(&str, u32)| (id.parse().unwrap(), *version);
            versions.iter().map(version).collect()
        };
        Revision::of(
            Legs {
                first: set(first),
                second: set(second),
            },
            Surroundings([7; 16]),
            consents,
        )
    }

    #[test]
    fn a_revision_reads_back_as_it_was_written() {
        for revision in [
            revision(&[], &[]),
            revision(&[("ke-ug", 1)], &[]),
            revision(&[("ke-ug", 1), ("esa", 12)], &[("rilo-ug", u32::MAX)]),
            revision_with(&[("esa", 12)], &[("rilo-ug", 2)], Some(0)),
            revision_with(&[("esa", 12)], &[("rilo-ug", 2)], Some(u64::MAX)),
        ] {
            assert_eq!(revision.as_str().parse::<Revision>().unwrap(), revision);
        }
    }

    #[test]
    fn what_is_no_revision_is_refused() {
        let good = revision(&[("esa", 1), ("ke-ug", 1)], &[]).to_string();
        for bad in [
            "",
            ";",
            "/;",
            "ke-ug@1/;",
            &good.replace("esa@1,ke-ug@1", "ke-ug@1,esa@1"),
            &good.replace("esa@1", "esa@01"),
            &good.replace("esa@1", "esa"),
            &good.replace("esa@1", "ESA@1"),
            &good.replace(";07", ";zz"),
            &good[..good.len() - 1],
            &format!("{good};"),
            &format!("{good};07"),
            &format!("{good};7;7"),
            &format!("{good};-1"),
            &format!("#{}", "0".repeat(64)),
            &"x".repeat(REVISION_BYTES_MAX + 1),
        ] {
            assert_eq!(bad.parse::<Revision>(), Err(InvalidRevision), "{bad}");
        }
    }

    #[test]
    fn more_agreements_than_fit_are_named_by_their_hash() {
        let ids: Vec<String> = (0..300).map(|number| format!("agreement-number-{number}")).collect();
        let many: Vec<(&str, u32)> = ids.iter().map(|id| (id.as_str(), 1)).collect();
        let (one, other) = (revision(&many, &[]), revision(&many[1..], &[]));
        assert!(one.as_str().len() == 65 && one != other);
        assert_eq!(one.names(Hop::First, &ids[0].parse().unwrap(), 1), None);
    }
}
