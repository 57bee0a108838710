//! What an operator is told of the own log: why it is being recovered, who was heard, and what nobody holds.

use std::collections::BTreeSet;

use icomm_proto::{Origin, SectionSet};
use serde::{Deserialize, Serialize};

use super::{Exchange, Phase, RECOVERED_PREFIX, Why};
use crate::core::delivery;
use crate::core::recall::{Kept, RECALLS_PREFIX};
use crate::store::StoreError;

/// How the own log stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnStatus {
    /// Which log.
    pub origin: Option<Origin>,
    /// Why it is being recovered; none if it is not.
    pub why: Option<Why>,
    /// Whether partners are still being asked after the start.
    pub asking: bool,
    /// How much there was when recovery began.
    pub base: u64,
    /// How much is held now.
    pub held: u64,
    /// How much was signed for sure.
    pub signed: u64,
    /// Who showed the largest checkpoint, and of how many entries.
    pub shown: Option<(String, u64)>,
    /// Who said since the start how much it holds, and how much.
    pub heard: Vec<(String, u64)>,
    /// Who may hold some and was not heard.
    pub unheard: Vec<String>,
    /// What was recovered before.
    pub recovered: Vec<Recovered>,
}

/// A recovery that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// The first entry that was missing.
    pub from: u64,
    /// The entry after the last that came back.
    pub to: u64,
    /// When it began, in seconds since 1970.
    pub since: u64,
    /// When it ended.
    pub until: u64,
    /// Why it was needed.
    pub why: Why,
}

/// An entry that came back in part or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its index.
    pub index: u64,
    /// Its record and the sections that came back; none where its hash is all that anybody showed.
    pub known: Option<(String, SectionSet)>,
}

/// Some of the entries that came back in part or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPage {
    /// They, ascending.
    pub missing: Vec<Missing>,
    /// Where to go on; none at the end.
    pub next: Option<u64>,
}

impl Exchange {
    /// How the own log stands.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn own_status(&self) -> Result<OwnStatus, StoreError> {
        let recovered = self.store.scan_state(RECOVERED_PREFIX)?;
        let recovered = recovered
            .iter()
            .filter_map(|(_, bytes)| serde_json::from_slice(bytes).ok());
        let mut status = OwnStatus {
            origin: None,
            why: None,
            asking: false,
            base: 0,
            held: 0,
            signed: 0,
            shown: None,
            heard: Vec::new(),
            unheard: Vec::new(),
            recovered: recovered.collect(),
        };
        let (origin, phase, heard) = match &*self.own.lock() {
            None => return Ok(status),
            Some(state) => (state.origin.clone(), state.phase.clone(), state.heard.clone()),
        };
        status.held = self.heads.size(&origin).unwrap_or(0);
        (status.base, status.signed) = (status.held, status.held);
        let unheard = self
            .may_hold(&origin)?
            .into_iter()
            .filter(|member| !heard.contains_key(member));
        status.unheard = unheard.map(|member| member.to_string()).collect();
        status.heard = heard
            .into_iter()
            .map(|(member, size)| (member.to_string(), size))
            .collect();
        status.origin = Some(origin);
        match phase {
            Phase::Sure => {}
            Phase::Asking => status.asking = true,
            Phase::Recovering(recovery) => {
                (status.base, status.signed) = (recovery.base, recovery.signed);
                let largest = status.heard.iter().max_by_key(|(_, size)| *size).cloned();
                let remembered = recovery.by.map(|by| (by, recovery.signed));
                status.shown = remembered.or(largest).filter(|(_, size)| *size > 0);
                status.why = Some(recovery.why);
            }
        }
        Ok(status)
    }

    /// The entries from `from` on that were recovered, now or before, and of which not every section is here; so many looked
    /// at as are read at once.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn missing(&self, from: u64) -> Result<MissingPage, StoreError> {
        let status = self.own_status()?;
        let mut page = MissingPage {
            missing: Vec::new(),
            next: None,
        };
        let Some(origin) = &status.origin else { return Ok(page) };
        let mut ranges: Vec<(u64, u64)> = status.recovered.iter().map(|past| (past.from, past.to)).collect();
        if status.why.is_some() {
            ranges.push((status.base, status.held));
        }
        ranges.sort_unstable();
        let due = ranges.iter().copied().find(|(_, end)| *end > from);
        let Some((start, end)) = due else { return Ok(page) };
        let from = from.max(start);
        let Some(stretch) = self.store.read(origin, from, delivery::READ_LIMIT)? else {
            return Ok(page);
        };
        let voided = self.voids.of(origin);
        let recalled = self.store.scan_state(&format!("{RECALLS_PREFIX}{origin}/"))?;
        let recalled = recalled.iter().filter_map(|(_, bytes)| Kept::decode(bytes));
        let recalls: BTreeSet<u64> = recalled.map(|kept| kept.order.index).collect();
        for (index, item) in (from..end).zip(stretch.items()) {
            let known = match delivery::recovered(item) {
                Some((_, sections, committed)) if sections == committed => continue,
                Some((record, ..)) if voided.as_ref().is_some_and(|voided| voided.covers(&record, index)) => continue,
                Some((record, sections, _)) => Some((record.to_string(), sections)),
                // The entry of a recall: all that it says stands in the order, which is here.
                None if recalls.contains(&index) => continue,
                None => None,
            };
            page.missing.push(Missing { index, known });
        }
        page.next = Some(stretch.end.size().min(end)).filter(|next| ranges.iter().any(|(_, end)| end > next));
        Ok(page)
    }
}
