//! How long a receiver may keep what it was given, by its own book.
//!
//! ```text
//!   received          over: from the beginning of this day (UTC) on it is not kept any more
//!      │ day 0 │ 1 │ 2 │ … │ days │ over
//! ```
//!
//! The day of receipt does not count, and the last day counts to its end. What decides are all grants to the owner that were in
//! force at any moment since the receipt, whatever became of them: the one that lasts longest, and of two that last as long the
//! stricter. So a renewal with a longer term keeps what is still there for longer; a shorter term is for what comes after it;
//! suspension and the end of an agreement change nothing. INVARIANT: as time goes by the answer for what was received gets
//! later or stays, so whoever was told when to look next need not look before.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use icomm_pki::{MemberId, Role};
use icomm_proto::{SectionKind, SectionSet, ViewRef};

use crate::agreement::Retention;
use crate::book::Book;
use crate::cedar::grant::{CompiledGrant, GrantRef};
use crate::cedar::question::{MemberFacts, Question};
use crate::class::{CLASS_BYTES_MAX, Class};
use crate::directory::KeyDirectory;
use crate::lane::Leg;
use crate::policy::Policy;
use crate::session::REMEMBERED_CLASSES_MAX;

/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// The day, counted from 1970 in UTC, on which what was received on day `received` is over.
#[must_use]
pub const fn over(received: u64, days: u32) -> u64 {
    received.saturating_add(days as u64).saturating_add(1)
}

/// What the owner's book says on the records of one originator that came on one day from one member.
pub struct Keeping {
    origin: MemberId,
    owner: MemberFacts,
    /// The originator's own grants to the owner.
    direct: Option<Source>,
    /// The grants of who passed them on, bound by what that one said of the originator's terms.
    relayed: Option<Source>,
    answers: HashMap<Box<[u8]>, Limits>,
}

/// One member's grants.
struct Source {
    sender: MemberFacts,
    leg: Leg,
}

type Limit = (Retention, GrantRef);

/// The answers for one class, by section.
#[derive(Default)]
struct Limits {
    direct: BTreeMap<SectionKind, Limit>,
    relayed: BTreeMap<SectionKind, Limit>,
}

impl Policy {
    /// How long the owner may keep records of `origin` that it received on day `received` (since 1970, UTC) from `via`, as it
    /// stands at `now` (seconds since 1970).
    #[must_use]
    pub fn keeping(&self, origin: &MemberId, via: &MemberId, received: u64, now: u64) -> Keeping {
        let snapshot = self.snapshot();
        let (book, directory) = (&*snapshot.book, &*snapshot.directory);
        let owner = facts(book.owner(), directory);
        let since = received.saturating_mul(DAY_S);
        let source = |sender: &MemberId| {
            let grants = grants_since(book, sender, since, now);
            let leg = Leg::new(grants, &owner.member, &[]).ok()?;
            let sender = facts(sender, directory);
            Some(Source { sender, leg })
        };
        Keeping {
            origin: origin.clone(),
            direct: source(origin),
            relayed: (via != origin).then(|| source(via)).flatten(),
            owner,
            answers: HashMap::new(),
        }
    }

    /// The fewest days for which any grant of `from` lets the owner keep anything; none if there never was one.
    #[must_use]
    pub fn keeps_at_least(&self, from: &MemberId) -> Option<u32> {
        let snapshot = self.snapshot();
        let owner = snapshot.book.owner();
        let entries = snapshot.book.entries_between(from, owner);
        let grants = entries.flat_map(|entry| entry.ratified.grants());
        let grants = grants.filter(|grant| grant.concerns(from, owner));
        grants.map(|grant| grant.terms.retention.days).min()
    }
}

impl Keeping {
    /// How long `section` of `view` may be kept, and by which grant; none if no grant speaks of it, so that nobody can tell.
    /// `told` is what the member that passed the record on said of the originator's terms: they bind with its own.
    pub fn limit(
        &mut self,
        view: &ViewRef<'_>,
        section: SectionKind,
        told: Option<Retention>,
    ) -> Option<(Retention, &GrantRef)> {
        let class = view.class_bytes().filter(|class| class.len() <= CLASS_BYTES_MAX)?;
        if !self.answers.contains_key(class) {
            if self.answers.len() >= REMEMBERED_CLASSES_MAX {
                self.answers.clear();
            }
            let limits = self.learn(class);
            self.answers.insert(class.into(), limits);
        }
        let limits = self.answers.get(class)?;
        let direct = limits
            .direct
            .get(&section)
            .map(|(retention, grant)| (*retention, grant));
        let relayed = limits.relayed.get(&section).map(|(retention, grant)| {
            let bound = told.map_or(*retention, |told| retention.bound_by(told));
            (bound, grant)
        });
        direct
            .into_iter()
            .chain(relayed)
            .max_by_key(|(retention, _)| lasting(retention))
    }

    fn learn(&self, class: &[u8]) -> Limits {
        let Ok(class) = Class::parse(class, &self.origin) else {
            return Limits::default();
        };
        let of = |source: &Option<Source>| source.as_ref().map(|source| source.limits(&class, &self.owner));
        Limits {
            direct: of(&self.direct).unwrap_or_default(),
            relayed: of(&self.relayed).unwrap_or_default(),
        }
    }
}

impl Source {
    fn limits(&self, class: &Class, owner: &MemberFacts) -> BTreeMap<SectionKind, Limit> {
        let asked = Question::new(class, &self.sender, owner, None).ok();
        let answers = asked.and_then(|question| self.leg.ask(&question, SectionSet::ALL, &mut BTreeMap::new()).ok());
        let longest = |grants: Vec<&CompiledGrant>| {
            let longest = grants.into_iter().max_by_key(|grant| lasting(&grant.terms.retention));
            longest.map(|grant| (grant.terms.retention, grant.reference.clone()))
        };
        let answers = answers.unwrap_or_default().into_iter();
        answers
            .filter_map(|(section, grants)| Some((section, longest(grants)?)))
            .collect()
    }
}

/// Orders by which lasts longer; of two that last as long the stricter comes last.
fn lasting(retention: &Retention) -> (u32, Reverse<crate::agreement::Expiry>) {
    (retention.days, Reverse(retention.then))
}

/// The grants of `from` to the owner that were in force at some moment from `since` to `now`.
fn grants_since<'a>(book: &'a Book, from: &MemberId, since: u64, now: u64) -> Vec<&'a CompiledGrant> {
    let owner = book.owner();
    let entries = book.entries_between(from, owner);
    let entries = entries.filter(|entry| entry.from <= now && entry.from < entry.until && since < entry.until);
    let grants = entries.flat_map(|entry| entry.ratified.grants());
    grants.filter(|grant| grant.concerns(from, owner)).collect()
}

/// A duty outlives membership: of who is not in the directory any more the conditions of grants are told the least.
fn facts(member: &MemberId, directory: &dyn KeyDirectory) -> MemberFacts {
    MemberFacts {
        member: member.clone(),
        role: directory.role(member).unwrap_or(Role::National),
        regions: directory.regions(member),
    }
}
