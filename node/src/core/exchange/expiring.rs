//! Going over what is due: whose time is over is erased or shut away, with a signed word of it in the same batch; whose time
//! will soon be over is counted.
//!
//! ```text
//!  parts of days (core/retention) ──not before `look`──▶ entries read ──▶ over: batches of erasures, in the log's order
//!                                                                  └─────▶ the next day to look at the part, or its end
//! ```
//!
//! Only days of which something can be due are looked at. A crash between a batch and the part's new day costs another look.

use std::collections::{BTreeMap, BTreeSet};

use icomm_pki::{MemberId, Role};
use icomm_policy::agreement::{Expiry as Then, Retention};
use icomm_policy::{Keeping, over};
use icomm_proto::log::ItemRef;
use icomm_proto::{Origin, SectionSet, ViewRef};
use prost::Message;

use super::held::settle_store;
use super::retaining::expired_key;
use super::{Exchange, lock};
use crate::core::delivery::{DeliveryError, READ_LIMIT};
use crate::core::retention::{DAY_S, Expiry, Part, SPANS_MAX, Span, parts};
use crate::store::{Batch, Remains, StoreError};

/// Entries of one batch.
const ENTRIES_MAX: usize = 256;

/// What to go over.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// What time it is, or is supposed to be, in seconds since 1970.
    pub now: u64,
    /// How many days ahead to look for what will be over.
    pub notice_days: u32,
    /// Whether to erase and shut away what is over; otherwise nothing changes.
    pub act: bool,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// What is over, and what will be.
    pub terms: Vec<Term>,
    /// What nobody can tell of.
    pub unknown: Vec<Unknown>,
}

/// Entries of which the time is over, or will be, on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The log.
    pub origin: Origin,
    /// The member that sent them.
    pub via: MemberId,
    /// The grant that lasts longest.
    pub basis: String,
    /// Which sections, of all these entries together.
    pub sections: SectionSet,
    /// What happens to them.
    pub then: Then,
    /// The day from which on it is not kept.
    pub over: u64,
    /// How many.
    pub entries: u64,
    /// Whether it happened.
    pub done: bool,
}

/// Entries with more than the open section of which no grant speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The log.
    pub origin: Origin,
    /// The member that sent them.
    pub via: MemberId,
    /// How many.
    pub entries: u64,
}

/// By which terms are counted: way, grant, what then, day.
type TermKey = (MemberId, String, Then, u64);

/// What is found of one log.
#[derive(Default)]
struct Found {
    terms: BTreeMap<TermKey, (SectionSet, u64)>,
    unknown: BTreeMap<MemberId, u64>,
}

/// An entry of which something is over.
struct Over {
    index: u64,
    erased: SectionSet,
    restricted: SectionSet,
    bases: BTreeSet<String>,
}

/// What is found of one part.
#[derive(Default)]
struct Looked {
    over: Vec<Over>,
    /// When to look again; none if nothing is left.
    next: Option<u64>,
}

impl Exchange {
    /// Goes over every log of others.
    ///
    /// # Errors
    /// The store fails, or a stored view can't be read; what was done stays done.
    pub fn sweep(&self, sweep: Sweep) -> Result<Swept, DeliveryError> {
        let mut swept = Swept::default();
        // The global node holds open sections only.
        if self.local.role == Role::Global {
            return Ok(swept);
        }
        for origin in self.store.origins() {
            if origin.member == self.local.member {
                continue;
            }
            let Found { terms, unknown } = self.sweep_log(&origin, sweep)?;
            let today = sweep.now / DAY_S;
            for ((via, basis, then, over), (sections, entries)) in terms {
                swept.terms.push(Term {
                    origin: origin.clone(),
                    via,
                    basis,
                    sections,
                    then,
                    over,
                    entries,
                    done: sweep.act && over <= today,
                });
            }
            let of_log = |(via, entries)| Unknown {
                origin: origin.clone(),
                via,
                entries,
            };
            swept.unknown.extend(unknown.into_iter().map(of_log));
        }
        Ok(swept)
    }

    fn sweep_log(&self, origin: &Origin, sweep: Sweep) -> Result<Found, DeliveryError> {
        let today = sweep.now / DAY_S;
        let horizon = today.saturating_add(u64::from(sweep.notice_days));
        let parts = parts(&*self.store, origin)?;
        let mut found = Found::default();
        let mut least: BTreeMap<MemberId, Option<u32>> = BTreeMap::new();
        let mut keepings: BTreeMap<MemberId, Keeping> = BTreeMap::new();
        let (mut day, mut acted) = (0, BTreeSet::new());
        for (at, part) in parts.iter().enumerate() {
            let least = least
                .entry(part.via.clone())
                .or_insert_with(|| self.least_days(origin, &part.via));
            if first_look(part, *least) > horizon {
                continue;
            }
            if part.day != day {
                (day, keepings) = (part.day, BTreeMap::new());
            }
            let policy = self.law.policy();
            let keeping = keepings
                .entry(part.via.clone())
                .or_insert_with(|| policy.keeping(&origin.member, &part.via, part.day, sweep.now));
            let later = parts.get(at + 1..).unwrap_or_default();
            let looked = self.look_at(origin, part, later, keeping, (today, horizon), &mut found)?;
            // What comes in today is still written to; nothing of it can be over.
            if sweep.act && part.day < today {
                if !looked.over.is_empty() {
                    self.expire(origin, &part.via, sweep.now, &looked.over)?;
                    acted.insert(part.via.clone());
                }
                self.look_again(origin, part, looked.next);
            }
        }
        if !acted.is_empty() {
            self.mailbox.changed();
            self.post_expiries(&acted);
        }
        Ok(found)
    }

    /// The fewest days for which anything of this log that came this way may be kept; none if no grant says so.
    fn least_days(&self, origin: &Origin, via: &MemberId) -> Option<u32> {
        let policy = self.law.policy();
        let days = [&origin.member, via].map(|from| policy.keeps_at_least(from));
        days.into_iter().flatten().min()
    }

    /// Reads the entries of a part, and finds what is over, or will be before the horizon.
    fn look_at(
        &self,
        origin: &Origin,
        part: &Part,
        later: &[Part],
        keeping: &mut Keeping,
        (today, horizon): (u64, u64),
        found: &mut Found,
    ) -> Result<Looked, DeliveryError> {
        let bounds = part.entries.bounds();
        let later: Vec<&Part> = later.iter().filter(|later| later.entries.overlaps(&bounds)).collect();
        let mut looked = Looked::default();
        for span in part.entries.iter() {
            let mut next = span.start;
            while next < span.end {
                let Some(stretch) = self.store.read(origin, next, READ_LIMIT)? else {
                    break;
                };
                for (index, item) in (stretch.from..span.end).zip(stretch.items()) {
                    let ItemRef::Disclosed(bytes) = item else { continue };
                    let view = ViewRef::parse(bytes)?;
                    let came_later = later.iter().filter(|later| later.entries.contains(index));
                    let came_later = came_later.fold(SectionSet::EMPTY, |all, later| all.union(later.sections));
                    let here = view.sections().intersection(part.sections).difference(came_later);
                    let here = here.difference(SectionSet::open());
                    if !here.is_empty() {
                        let entry = judge(index, &view, here, part, keeping);
                        entry.count(part, (today, horizon), found, &mut looked);
                    }
                }
                next = stretch.end.size().max(next.saturating_add(1));
            }
        }
        Ok(looked)
    }

    /// Erases or shuts away, in batches, each with the signed word of it.
    fn expire(&self, origin: &Origin, via: &MemberId, now: u64, entries: &[Over]) -> Result<(), StoreError> {
        for entries in entries.chunks(ENTRIES_MAX) {
            let expiry = Expiry {
                origin: origin.clone(),
                by: self.local.member.clone(),
                node: self.local.node.clone(),
                time: now,
                spans: spans(entries),
                bases: entries.iter().flat_map(|over| over.bases.iter().cloned()).collect(),
            };
            // Erasing does not wait for a key that is away; its word is signed before it goes.
            let signed = expiry.sign(&self.local.key.key()).unwrap_or_else(|_| expiry.unsigned());
            let key = expired_key(&signed);
            let mut batch = Batch::new().set(key.clone(), signed.encode_to_vec());
            batch = self.owe_expiry(via, &signed, key, batch);
            for over in entries.iter().filter(|over| !over.erased.is_empty()) {
                let remains = Remains::Sections(SectionSet::ALL.difference(over.erased));
                batch = batch.erase(origin.clone(), over.index, remains);
            }
            for span in expiry.spans.iter().filter(|span| span.restricted) {
                batch = batch.restrict(origin, span.from, span.count, span.sections);
            }
            // Nothing of the log is accepted meanwhile: what was, is durable, and what comes knows what expired.
            let replica = self.replica(origin).ok();
            let machine = replica.as_ref().map(|replica| lock(&replica.machine));
            settle_store(&*self.store)?;
            self.retaining.expire(&expiry);
            self.voids.begin(origin, []);
            let done = self.store.append(batch);
            self.voids.end(origin);
            drop(machine);
            done?;
            tracing::info!(%origin, %via, entries = entries.len(), "the time for which records were given is over");
            let count = |name: &'static str, entries: usize| {
                metrics::counter!(name, "origin" => origin.to_string()).increment(entries as u64);
            };
            count(
                "icomm_retention_erased_entries_total",
                entries.iter().filter(|over| !over.erased.is_empty()).count(),
            );
            count(
                "icomm_retention_restricted_entries_total",
                entries.iter().filter(|over| !over.restricted.is_empty()).count(),
            );
        }
        Ok(())
    }

    /// When to look at a part again; it is forgotten when nothing is left of it. Should that be lost, it is looked at once
    /// more.
    fn look_again(&self, origin: &Origin, part: &Part, next: Option<u64>) {
        if next.is_some() && part.look == next {
            return;
        }
        let batch = match next {
            Some(next) => {
                let part = Part {
                    look: Some(next),
                    ..part.clone()
                };
                Batch::new().set(part.key(origin), part.encode())
            }
            None => Batch::new().forget(part.key(origin)),
        };
        let replica = self.replica(origin).ok();
        let machine = replica.as_ref().map(|replica| lock(&replica.machine));
        // A clock that went back might add to the part of an earlier day.
        self.retaining.receiving.forget(origin);
        self.store.ride(batch);
        drop(machine);
    }
}

/// The first day on which something of a part may be over; 0 if nobody can tell.
fn first_look(part: &Part, least: Option<u32>) -> u64 {
    let told = part.told.map(|told| told.days);
    let least = least.into_iter().chain(told).min();
    part.look.or(least.map(|days| over(part.day, days))).unwrap_or(0)
}

/// From which day on a section is not kept, what happens then, and by which grant.
type Limit = (u64, Then, String);

/// What the book says of one entry.
struct Judged {
    index: u64,
    /// By section; none where no grant speaks of it.
    sections: Vec<(SectionSet, Option<Limit>)>,
}

fn judge(index: u64, view: &ViewRef<'_>, here: SectionSet, part: &Part, keeping: &mut Keeping) -> Judged {
    let sections = here.iter().map(|section| {
        let limit = keeping.limit(view, section, part.told);
        let limit = limit.map(|(Retention { days, then }, grant)| (over(part.day, days), then, grant.to_string()));
        (SectionSet::from(section), limit)
    });
    Judged {
        index,
        sections: sections.collect(),
    }
}

impl Judged {
    fn count(self, part: &Part, (today, horizon): (u64, u64), found: &mut Found, looked: &mut Looked) {
        let mut terms: BTreeMap<TermKey, SectionSet> = BTreeMap::new();
        let mut entry = Over {
            index: self.index,
            erased: SectionSet::EMPTY,
            restricted: SectionSet::EMPTY,
            bases: BTreeSet::new(),
        };
        let mut unknown = false;
        for (section, limit) in self.sections {
            let Some((over, then, basis)) = limit else {
                unknown = true;
                looked.again(today.saturating_add(1));
                continue;
            };
            if over <= today {
                let which = match then {
                    Then::Erase => &mut entry.erased,
                    Then::Restrict => &mut entry.restricted,
                };
                *which = which.union(section);
                entry.bases.insert(basis.clone());
            } else {
                looked.again(over);
            }
            if over <= horizon {
                let sections = terms.entry((part.via.clone(), basis, then, over)).or_default();
                *sections = sections.union(section);
            }
        }
        for (key, sections) in terms {
            let (all, entries) = found.terms.entry(key).or_default();
            *all = all.union(sections);
            *entries += 1;
        }
        if unknown {
            *found.unknown.entry(part.via.clone()).or_default() += 1;
        }
        if !entry.bases.is_empty() {
            looked.over.push(entry);
        }
    }
}

impl Looked {
    fn again(&mut self, day: u64) {
        self.next = Some(self.next.map_or(day, |next| next.min(day)));
    }
}

/// The same as stretches: neighbours alike are one.
fn spans(entries: &[Over]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for over in entries {
        for (sections, restricted) in [(over.erased, false), (over.restricted, true)] {
            if sections.is_empty() {
                continue;
            }
            match spans.last_mut() {
                Some(last)
                    if last.range().end == over.index && last.sections == sections && last.restricted == restricted =>
                {
                    last.count += 1;
                }
                _ => spans.push(Span {
                    from: over.index,
                    count: 1,
                    sections,
                    restricted,
                }),
            }
        }
    }
    // Two for each entry at most.
    debug_assert!(spans.len() <= SPANS_MAX);
    spans
}
