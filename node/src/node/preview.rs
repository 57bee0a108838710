//! What an agreement would change, before anybody signs it: every log held is gone over under the policy as it is and as it
//! would be. Nothing is stored, sent or adopted.

use std::collections::BTreeMap;

use icomm_pki::MemberId;
use icomm_policy::{Agreement, AgreementId, Change, Comparison, Prospect, Receiver, SignedAgreement};
use icomm_proto::log::ItemRef;
use icomm_proto::{Origin, SectionKind, SectionSet, ViewRef, v1};
use prost::Message;

use super::{AgreementError, HoldingsError, Node};
use crate::core::delivery::READ_LIMIT;
use crate::core::law::AdoptError;

/// What is supposed.
#[derive(Debug, Clone)]
pub enum Supposed {
    /// A draft (TOML or JSON) or a signed document, as if every party had signed it.
    Agreement(Vec<u8>),
    /// That this agreement is suspended, or over.
    Without(AgreementId),
}

/// What would change.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The agreement.
    pub id: AgreementId,
    /// Its version.
    pub version: u32,
    /// From when on, in seconds since 1970.
    pub from: u64,
    /// By partner and log: those of which anything would change.
    pub changes: Vec<PreviewedChange>,
}

/// What would change for one partner and one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewedChange {
    /// The partner.
    pub partner: MemberId,
    /// The log.
    pub origin: Origin,
    /// Whether the log is served to it as it is, and as it would be.
    pub served: (bool, bool),
    /// Records of which more would go, and how many for each section.
    pub widened: Counted,
    /// Records of which less would go.
    pub narrowed: Counted,
    /// Of these, those that the partner has and has signed for.
    pub held_there: u64,
}

/// Entries, and of how many of them each section is concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Entries.
    pub entries: u64,
    /// By section.
    pub sections: BTreeMap<SectionKind, u64>,
}

impl Counted {
    fn add(&mut self, sections: SectionSet) {
        if sections.is_empty() {
            return;
        }
        self.entries += 1;
        for section in sections.iter() {
            *self.sections.entry(section).or_default() += 1;
        }
    }
}

/// One log on its way to one partner.
struct Way {
    change: PreviewedChange,
    comparison: Comparison,
    signed_for: u64,
}

impl Node {
    /// Goes over every log that the parties could get from here. `progress` hears how many entries of how many were looked
    /// at, and says whether to go on.
    ///
    /// # Errors
    /// It is no agreement, or would not be adopted even if all had signed it; there is none of that name; the store fails.
    pub fn preview(
        &self,
        supposed: &Supposed,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Preview, AgreementError> {
        let policy = self.0.exchange.law().policy();
        let now = self.0.environment.unix_now();
        let (prospect, parties, from): (Prospect, Vec<MemberId>, u64) = match supposed {
            Supposed::Agreement(document) => {
                let agreement = read(document)?;
                agreement.check_categories(&self.0.codes)?;
                let prospect = policy.suppose(&agreement, now).map_err(AdoptError::Refused)?;
                (
                    prospect,
                    agreement.parties().cloned().collect(),
                    agreement.begins().max(now),
                )
            }
            Supposed::Without(id) => {
                let unknown = || AgreementError::Unknown(id.to_string());
                let prospect = policy.suppose_without(id).ok_or_else(unknown)?;
                let book = policy.book();
                let parties = book
                    .latest(id)
                    .into_iter()
                    .flat_map(|latest| latest.agreement().parties());
                (prospect, parties.cloned().collect(), now)
            }
        };
        let (id, version) = match prospect.change() {
            Change::Adopted { id, version } | Change::Suspended { id, version, .. } => (id.clone(), *version),
            // Known already: nothing changes.
            Change::Nothing | Change::Acknowledged { .. } => return self.unchanged(supposed, now),
        };
        let logs: Vec<(Origin, u64)> = self
            .0
            .exchange
            .heads()
            .into_iter()
            .map(|(origin, head)| (origin, head.size))
            .collect();
        let total = logs.iter().map(|(_, size)| size).sum();
        let (mut looked, mut changes) = (0, Vec::new());
        for (origin, size) in logs {
            let mut ways = self.ways(&prospect, &parties, &origin, from)?;
            if matches!(supposed, Supposed::Without(_)) {
                // What went under it stays with its receiver, for as long as the terms say.
                ways.iter_mut().for_each(|way| way.signed_for = 0);
            }
            let before = looked;
            if !ways.is_empty()
                && !self.go_over(&origin, size, &mut ways, &mut |entries| {
                    progress(before + entries, total)
                })?
            {
                break;
            }
            looked += size;
            let changed = ways.into_iter().map(|way| way.change);
            changes.extend(changed.filter(PreviewedChange::is_any));
        }
        progress(total, total);
        Ok(Preview {
            id,
            version,
            from,
            changes,
        })
    }

    fn unchanged(&self, supposed: &Supposed, now: u64) -> Result<Preview, AgreementError> {
        let (id, version) = match supposed {
            Supposed::Agreement(document) => {
                let agreement = read(document)?;
                (agreement.id().clone(), agreement.version())
            }
            Supposed::Without(id) => (id.clone(), 0),
        };
        Ok(Preview {
            id,
            version,
            from: now,
            changes: Vec::new(),
        })
    }

    /// The parties to whom anything of a log goes, as it is or as it would be.
    fn ways(
        &self,
        prospect: &Prospect,
        parties: &[MemberId],
        origin: &Origin,
        at: u64,
    ) -> Result<Vec<Way>, AgreementError> {
        let bundle = self.0.exchange.law().bundle();
        let mut ways = Vec::new();
        for partner in parties {
            let Some(entry) = bundle.member(partner) else { continue };
            let receiver = Receiver {
                member: partner.clone(),
                role: entry.role,
            };
            let comparison = prospect.compare(&origin.member, &receiver, at);
            let served = comparison.serves();
            if served == (false, false) {
                continue;
            }
            let receipt = self.0.store.state(&format!("receipt/{origin}/{partner}"));
            let receipt = receipt.map_err(HoldingsError::from)?;
            let signed_for = receipt.and_then(|bytes| v1::Receipt::decode(bytes).ok());
            ways.push(Way {
                change: PreviewedChange {
                    partner: partner.clone(),
                    origin: origin.clone(),
                    served,
                    widened: Counted::default(),
                    narrowed: Counted::default(),
                    held_there: 0,
                },
                comparison,
                signed_for: signed_for.map_or(0, |receipt| receipt.size),
            });
        }
        Ok(ways)
    }

    /// Compares entry by entry; false when told to stop.
    fn go_over(
        &self,
        origin: &Origin,
        size: u64,
        ways: &mut [Way],
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<bool, AgreementError> {
        let mut next = 0;
        while next < size {
            let stretch = self
                .0
                .store
                .read(origin, next, READ_LIMIT)
                .map_err(HoldingsError::from)?;
            let Some(stretch) = stretch else { break };
            for (item, index) in stretch.items().zip(next..) {
                let ItemRef::Disclosed(bytes) = item else { continue };
                let view = ViewRef::parse(bytes).map_err(HoldingsError::from)?;
                ways.iter_mut().for_each(|way| way.compare(&view, index));
            }
            next = stretch.end.size();
            if !progress(next.min(size)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Way {
    fn compare(&mut self, view: &ViewRef<'_>, index: u64) {
        let (now, then) = self.comparison.gives(view);
        let change = &mut self.change;
        change.widened.add(then.difference(now));
        let lost = now.difference(then);
        change.narrowed.add(lost);
        change.held_there += u64::from(!lost.is_empty() && index < self.signed_for);
    }
}

impl PreviewedChange {
    fn is_any(&self) -> bool {
        self.served.0 != self.served.1 || self.widened.entries > 0 || self.narrowed.entries > 0
    }
}

fn read(document: &[u8]) -> Result<Agreement, AgreementError> {
    Ok(match SignedAgreement::parse(document) {
        Ok(signed) => signed.agreement().clone(),
        Err(_) => Agreement::read(&String::from_utf8_lossy(document))?,
    })
}
