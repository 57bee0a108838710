//! Who was given a record, who has erased it, and who has not answered.
//!
//! What this node gave is told by its own notes. What a holder gave to others is told by that holder alone, in its answer to
//! a recall: before one, it is not known here, and is said not to be.

use std::collections::{BTreeMap, BTreeSet};

use icomm_pki::Role;
use icomm_policy::AgreementId;
use icomm_proto::{Origin, RecordId, SectionSet, v1};

use super::{HoldingsError, Node};
use crate::core::recall::{Kept, Void, answers, has_file, holders};
use crate::core::retention::Expiry;
use crate::store::Place;

/// Who was given a record.
#[derive(Debug, Clone)]
pub struct Who {
    /// By which log it is recalled or corrected.
    pub recalls: Vec<(Origin, Kept)>,
    /// Each holder once for every way on which it was given something.
    pub holders: Vec<Holder>,
}

/// Somebody who was given some of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The record's log.
    pub origin: Origin,
    /// The member; of a file: who has it, in words.
    pub member: String,
    /// Its node; empty if it has a file.
    pub node: String,
    /// Who says it passed it on; none: this node itself.
    pub via: Option<String>,
    /// What it was given.
    pub handovers: Vec<Handover>,
    /// Whether some of that is not recalled.
    pub holds: bool,
    /// Since when it has to erase something, in seconds since 1970.
    pub asked_since: Option<u64>,
    /// When it had, by its own signature.
    pub erased: Option<u64>,
    /// What narrower terms called back from it.
    pub calls: Vec<CalledBack>,
    /// An office, which may pass it on; to whom, it tells in its answer to a recall.
    pub passes_on: bool,
}

/// What narrower terms called back of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalledBack {
    /// The entry.
    pub index: u64,
    /// Whose terms became narrower.
    pub agreement: AgreementId,
    /// By this version.
    pub version: u32,
    /// What may stay.
    pub keeps: SectionSet,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// When it was erased, by the holder's signature.
    pub erased: Option<u64>,
    /// Who had it from the holder and has not answered that one.
    pub waiting: Vec<String>,
}

/// Something that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The version, if it is known here.
    pub version: Option<u32>,
    /// The entry.
    pub index: u64,
    /// When, in seconds since 1970.
    pub time: u64,
    /// Which sections.
    pub sections: String,
    /// Agreement, version and grant of each basis.
    pub bases: Vec<String>,
    /// What the holder says is over of it.
    pub expired: Option<Expired>,
}

/// The time for which something was given is over, by the holder's own signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Since when, in seconds since 1970.
    pub time: u64,
    /// Of which sections.
    pub sections: SectionSet,
    /// Whether some of them are not erased but shut away.
    pub restricted: bool,
}

/// What is known of one record in one log.
struct Known<'a> {
    origin: &'a Origin,
    versions: BTreeMap<u64, u32>,
    kept: Option<&'a Kept>,
    answers: BTreeMap<String, v1::Erased>,
    /// What holders' nodes said of their time for entries of the log.
    expiries: BTreeMap<(String, String), Vec<Expiry>>,
}

impl Node {
    /// By which logs a record is recalled or corrected, as far as this node was told.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn recalls_of(&self, record: &RecordId) -> Result<Vec<(Origin, Kept)>, HoldingsError> {
        let store = &*self.0.store;
        let mut recalls = Vec::new();
        for origin in self.0.exchange.recalling(record) {
            let kept = Kept::of(store, &(origin.clone(), *record))?;
            recalls.extend(kept.map(|kept| (origin, kept)));
        }
        Ok(recalls)
    }

    /// Who was given any of a record; none if nothing is known of it here. Reads all notes of disclosures.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn who(&self, record: &RecordId) -> Result<Option<Who>, HoldingsError> {
        let store = &*self.0.store;
        let recalls = self.recalls_of(record)?;
        let places: BTreeSet<Place> = store.find(record)?.into_iter().collect();
        let mut origins: BTreeSet<&Origin> = places.iter().map(|place| &place.origin).collect();
        origins.extend(recalls.iter().map(|(origin, _)| origin));
        if origins.is_empty() {
            return Ok(None);
        }
        let found = holders(store, &places)?;
        let mut all = Vec::new();
        for origin in origins {
            let mut versions = BTreeMap::new();
            for place in places.iter().filter(|place| place.origin == *origin) {
                let view = self.view_at(place)?;
                versions.extend(view.map(|view| (place.index, view.head().version)));
            }
            let kept = recalls
                .iter()
                .find(|(recalled, _)| recalled == origin)
                .map(|(_, kept)| kept);
            let answers = answers(store, &(origin.clone(), *record))?;
            let mut known = Known {
                origin,
                versions,
                kept,
                answers: answers.into_iter().map(|erased| (erased.by.clone(), erased)).collect(),
                expiries: BTreeMap::new(),
            };
            let passed_on = known.answers.values().flat_map(|erased| &erased.passed_on);
            let all_given = found.iter().filter(|(place, _)| place.origin == *origin);
            let all_given = all_given.flat_map(|(_, holders)| holders).chain(passed_on);
            known.expiries = self.expiries(origin, all_given)?;
            let given = found.iter().filter(|(place, _)| place.origin == *origin);
            self.holders_of(&known, given.flat_map(|(_, holders)| holders), &mut all);
        }
        for place in &places {
            self.add_calls(place, &mut all)?;
        }
        let holders = all;
        Ok(Some(Who { recalls, holders }))
    }

    /// What those who were given entries of a log said of their time for them.
    fn expiries<'a>(
        &self,
        origin: &Origin,
        given: impl Iterator<Item = &'a v1::Holder>,
    ) -> Result<BTreeMap<(String, String), Vec<Expiry>>, HoldingsError> {
        let mut expiries = BTreeMap::new();
        for v1::Holder { member, node, .. } in given {
            let holder = (member.clone(), node.clone());
            if expiries.contains_key(&holder) {
                continue;
            }
            // A file's holder is no member.
            let Ok(by) = member.parse() else { continue };
            expiries.insert(holder, self.0.exchange.expired_at(origin, &by, node)?);
        }
        Ok(expiries)
    }

    fn holders_of<'a>(&self, known: &Known<'_>, given: impl Iterator<Item = &'a v1::Holder>, all: &mut Vec<Holder>) {
        let asked = known.kept.map(|kept| kept.time);
        self.add_holders(known, None, asked, given, all);
        let own = self.0.exchange.local().member.as_str();
        for (by, erased) in known.answers.iter().filter(|(by, _)| *by != own) {
            self.add_holders(known, Some(by), Some(erased.time), erased.passed_on.iter(), all);
        }
    }

    /// The holders that somebody names, each with all that it was given.
    fn add_holders<'a>(
        &self,
        known: &Known<'_>,
        via: Option<&str>,
        asked: Option<u64>,
        given: impl Iterator<Item = &'a v1::Holder>,
        all: &mut Vec<Holder>,
    ) {
        let mut by_holder: BTreeMap<(&str, &str), Vec<&v1::Holder>> = BTreeMap::new();
        // An originator that got its own records back holds what is its own, and nobody waits for it.
        for holder in given.filter(|holder| holder.member != known.origin.member.as_str()) {
            by_holder
                .entry((&holder.member, &holder.node))
                .or_default()
                .push(holder);
        }
        let void = known.kept.map(Kept::void);
        let is_void = |holder: &&v1::Holder| void.is_some_and(|void: Void| void.covers(holder.index));
        for ((member, node), given) in by_holder {
            let must_erase = given.iter().copied().any(|holder| is_void(&holder));
            // An answer to an earlier correction does not stand for a later one.
            let answer = known.answers.get(member).filter(|_| !node.is_empty());
            let answer = answer.filter(|answer| known.kept.is_some_and(|kept| kept.order.index == answer.index));
            let outside = given.iter().copied().any(has_file);
            all.push(Holder {
                origin: known.origin.clone(),
                member: member.to_owned(),
                node: node.to_owned(),
                via: via.map(str::to_owned),
                holds: outside || !given.iter().copied().all(|holder| is_void(&holder)),
                asked_since: asked.filter(|_| must_erase && !outside),
                erased: answer.filter(|_| must_erase).map(|answer| answer.time),
                calls: Vec::new(),
                passes_on: self.is_office(member) && answer.is_none(),
                handovers: given.into_iter().map(|holder| known.handover(holder)).collect(),
            });
        }
    }

    /// What was called back of an entry, with those whom this node gave it.
    fn add_calls(&self, place: &Place, all: &mut [Holder]) -> Result<(), HoldingsError> {
        for made in self.0.exchange.calls_about(place)? {
            let answer = made.answer.as_ref();
            let called_back = CalledBack {
                index: place.index,
                agreement: made.call.agreement.clone(),
                version: made.call.version,
                keeps: made.call.stretches.of(place.index),
                since: made.call.time,
                erased: answer.map(|answer| answer.time),
                waiting: answer.map(|answer| answer.waiting.clone()).unwrap_or_default(),
            };
            let of_member = all.iter_mut().filter(|holder| {
                holder.via.is_none() && holder.origin == place.origin && holder.member == made.to.as_str()
            });
            of_member.for_each(|holder| holder.calls.push(called_back.clone()));
        }
        Ok(())
    }

    fn is_office(&self, member: &str) -> bool {
        let member = member.parse().ok();
        let bundle = self.bundle();
        member
            .and_then(|member| bundle.member(&member))
            .is_some_and(|entry| entry.role == Role::Regional)
    }
}

impl Known<'_> {
    fn handover(&self, holder: &v1::Holder) -> Handover {
        Handover {
            version: self.versions.get(&holder.index).copied(),
            index: holder.index,
            time: holder.time,
            sections: holder.sections.clone(),
            bases: holder.bases.clone(),
            expired: self.expired(holder),
        }
    }

    /// What the holder said of this entry, all its words together.
    fn expired(&self, holder: &v1::Holder) -> Option<Expired> {
        let words = self.expiries.get(&(holder.member.clone(), holder.node.clone()))?;
        let mut all: Option<Expired> = None;
        for word in words {
            let (erased, restricted) = word.of(holder.index);
            if erased.union(restricted).is_empty() {
                continue;
            }
            let before = all.unwrap_or(Expired {
                time: 0,
                sections: SectionSet::EMPTY,
                restricted: false,
            });
            all = Some(Expired {
                time: before.time.max(word.time),
                sections: before.sections.union(erased).union(restricted),
                restricted: before.restricted || !restricted.is_empty(),
            });
        }
        all
    }
}
