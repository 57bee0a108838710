//! A lane: all that decides about one originator's records on their way from one holder to one receiver, for a time.
//!
//! ```text
//!   direct     origin = holder ──grants──▶ receiver
//!   onward     origin ──grants, onward rule──▶ holder ──grants──▶ receiver
//!   upstream   origin ──grants, upstream──▶ holder ──(open section)──▶ global receiver
//! ```
//! Where a grant's onward rule asks for consent, and on every way to a global receiver that the record of an operation takes,
//! the originator's consent is needed besides ([`crate::consent`]).
//!
//! Only the grants in force between these members are in it, so the number of agreements in the network costs nothing. The
//! lane knows until when it is right; whoever uses it later makes another.

use std::collections::{BTreeMap, HashMap};

use cedar_policy::{PolicyId, PolicySet};

use icomm_pki::{MemberId, Role};
use icomm_proto::{SectionKind, SectionSet};

use crate::agreement::{HandlingCode, OnwardRule, Purpose, passable};
use crate::book::Book;
use crate::cedar::grant::CompiledGrant;
use crate::cedar::overlay::Overlay;
use crate::cedar::question::{Answer, MemberFacts, Question, upstream_policy};
use crate::class::Class;
use crate::consent::{Consents, Counting, Held as Consented, HeldConsent};
use crate::covered::grants_standing;
use crate::directory::KeyDirectory;
use crate::forbidden::Forbidden;
use crate::permit::{Basis, Way};
use crate::revision::{Hop, Revision, Surroundings};

mod consented;

pub(crate) use consented::consent_grounds;

/// Who asks for whose records, and from whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route<'a> {
    pub(crate) origin: &'a MemberId,
    pub(crate) holder: &'a MemberId,
    pub(crate) receiver: &'a MemberId,
    /// The role in the receiver's certificate.
    pub(crate) role: Role,
    pub(crate) purpose: Option<Purpose>,
}

/// What a lane is made of.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) book: &'a Book,
    pub(crate) directory: &'a dyn KeyDirectory,
    pub(crate) overlays: &'a [Overlay],
    pub(crate) consents: &'a Consents,
}

/// The seconds, since 1970, in which an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: u64,
    pub(crate) until: u64,
}

impl Window {
    pub(crate) const ALWAYS: Self = Self {
        from: 0,
        until: u64::MAX,
    };

    pub(crate) const fn contains(self, now: u64) -> bool {
        self.from <= now && now < self.until
    }

    /// Cuts the window at `boundary`, on the side where `now` is not.
    pub(crate) fn cut(&mut self, boundary: u64, now: u64) {
        if boundary <= now {
            self.from = self.from.max(boundary);
        } else {
            self.until = self.until.min(boundary);
        }
    }
}

/// An answer and when it holds.
#[derive(Clone, Debug)]
pub(crate) struct Held<T> {
    pub(crate) answer: T,
    pub(crate) window: Window,
}

/// What policies say of one class on a lane.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weighed {
    pub(crate) bases: Vec<Basis>,
    /// Sections that the grants speak of and a national law forbids, with the policies that forbid them.
    pub(crate) laws: BTreeMap<SectionKind, Vec<String>>,
}

pub(crate) struct Lane {
    sender: MemberFacts,
    receiver: MemberFacts,
    purpose: Option<Purpose>,
    legs: Legs,
    consents: Consented,
    /// The originator lets the holder pass on some records by consent only.
    by_consent: bool,
    revision: Revision,
}

enum Legs {
    Direct(Leg),
    Onward {
        origin: MemberFacts,
        first: Leg,
        second: Leg,
    },
    Upstream {
        origin: MemberFacts,
        first: Leg,
        laws: PolicySet,
    },
}

/// Which grants there are from one member to another, on each hop.
type Granted<'a, 'b> = dyn FnMut(Hop, &MemberId, &MemberId) -> Result<Vec<&'a CompiledGrant>, Forbidden> + 'b;

/// The grants from one member to another, linked into one policy set.
pub(crate) struct Leg {
    policies: PolicySet,
    grants: HashMap<PolicyId, CompiledGrant>,
}

impl Lane {
    /// The lane of `route` at `now`, or why nothing at all may go on it.
    pub(crate) fn open(route: Route<'_>, sources: Sources<'_>, now: u64) -> Held<Result<Self, Forbidden>> {
        let mut window = Window::ALWAYS;
        let consents = sources.consents.on(route, Counting::At(now), &mut window);
        let answer = Self::assemble(route, sources, consents, &mut |_, from, to| {
            grants_in_force(sources.book, from, to, now, &mut window)
        });
        Held { answer, window }
    }

    /// The lane of `route` as it was under `revision`; none when it can't be made again.
    pub(crate) fn reopen(route: Route<'_>, sources: Sources<'_>, revision: &Revision) -> Option<Self> {
        let counting = Counting::UpTo(revision.consents());
        let consents = sources.consents.on(route, counting, &mut Window::ALWAYS.clone());
        let lane = Self::assemble(route, sources, consents, &mut |hop, from, to| {
            grants_named(sources.book, from, to, hop, revision)
        });
        // A version that the book no longer has leaves a gap, and another law or directory decides otherwise.
        lane.ok().filter(|lane| lane.revision == *revision)
    }

    /// The lane of `route` by the versions that began last, whether they are in force at `now` or over.
    pub(crate) fn standing(route: Route<'_>, sources: Sources<'_>, now: u64) -> Result<Self, Forbidden> {
        let consents = sources.consents.on(route, Counting::Ever, &mut Window::ALWAYS.clone());
        Self::assemble(route, sources, consents, &mut |_, from, to| {
            grants_standing(sources.book, from, to, now)
        })
    }

    /// Under which documents, laws and facts it decides.
    pub(crate) fn revision(&self) -> &Revision {
        &self.revision
    }

    fn assemble<'a>(
        route: Route<'_>,
        sources: Sources<'a>,
        consents: Consented,
        grants: &mut Granted<'a, '_>,
    ) -> Result<Self, Forbidden> {
        let Route {
            origin,
            holder,
            receiver,
            role,
            purpose,
        } = route;
        let facts = |member: &MemberId| -> Result<MemberFacts, Forbidden> {
            let role = sources
                .directory
                .role(member)
                .ok_or_else(|| Forbidden::UnknownMember(member.clone()))?;
            Ok(MemberFacts {
                member: member.clone(),
                role,
                regions: sources.directory.regions(member),
            })
        };
        let (sender, to) = (facts(holder)?, facts(receiver)?);
        if to.role != role {
            return Err(Forbidden::OtherRole {
                member: receiver.clone(),
                claimed: role,
                known: to.role,
            });
        }
        if receiver == origin || receiver == holder {
            return Err(Forbidden::OwnRecords(receiver.clone()));
        }
        let laws = sources.overlays;
        let mut by_consent = false;
        let (revision, legs) = if origin == holder {
            let granted = grants(Hop::First, holder, receiver)?;
            let around = Surroundings::of(&[None, Some(&sender), Some(&to)], laws);
            let revision = Revision::new(&granted, &[], around, consents.number);
            (revision, Legs::Direct(Leg::new(granted, receiver, laws)?))
        } else {
            let granted = grants(Hop::First, origin, holder)?;
            let origin_facts = facts(origin)?;
            let around = Surroundings::of(&[Some(&origin_facts), Some(&sender), Some(&to)], laws);
            if to.role == Role::Global {
                let passed: Vec<_> = granted.into_iter().filter(|grant| grant.terms.upstream).collect();
                if passed.is_empty() {
                    return Err(not_upstream(route));
                }
                let revision = Revision::new(&passed, &[], around, consents.number);
                let first = Leg::new(passed, holder, &[])?;
                let mut laws = law_policies(laws)?;
                let upstream = upstream_policy(receiver).map_err(Forbidden::Assembly)?;
                laws.add(upstream)
                    .map_err(|error| Forbidden::Assembly(error.to_string()))?;
                let origin = origin_facts;
                (revision, Legs::Upstream { origin, first, laws })
            } else {
                by_consent = granted.iter().any(|grant| asks_consent(grant));
                let passed = passed_on(granted, route, &to.regions, consents.number.is_some())?;
                let second = grants(Hop::Second, holder, receiver)?;
                if !passed
                    .iter()
                    .any(|one| second.iter().any(|two| common_purpose(one, two, purpose)))
                {
                    return Err(no_common_purpose(route));
                }
                let revision = Revision::new(&passed, &second, around, consents.number);
                let first = Leg::new(passed, holder, &[])?;
                let second = Leg::new(second, receiver, laws)?;
                let origin = origin_facts;
                (revision, Legs::Onward { origin, first, second })
            }
        };
        Ok(Self {
            sender,
            receiver: to,
            purpose,
            legs,
            consents,
            by_consent,
            revision,
        })
    }

    /// What the policies say of `class`, section by section: of all its records, or of the one that `consent` is for.
    pub(crate) fn weigh(&self, class: &Class, consent: Option<&HeldConsent>) -> Result<Weighed, Forbidden> {
        let global = self.receiver.role == Role::Global;
        let clip = if global { SectionSet::open() } else { SectionSet::ALL };
        let approval = if global { self.approval(class, consent)? } else { None };
        let mut weighed = Weighed::default();
        match &self.legs {
            Legs::Direct(leg) => {
                let question = Question::new(class, &self.sender, &self.receiver, self.purpose)?;
                for (section, grants) in leg.ask(&question, leg.sections().intersection(clip), &mut weighed.laws)? {
                    for grant in grants {
                        let basis = Basis::of(&grant.reference, &grant.terms, Way::Direct);
                        weighed.add(section, basis.approved(approval));
                    }
                }
            }
            Legs::Onward { origin, first, second } => {
                let given = self.given(class, origin, first, consent)?;
                let question = Question::new(class, &self.sender, &self.receiver, self.purpose)?;
                let sections = given.keys().copied().collect();
                for (section, grants) in second.ask(&question, sections, &mut weighed.laws)? {
                    for one in given.get(&section).into_iter().flatten() {
                        for two in &grants {
                            let consent = consent.filter(|_| asks_consent(one));
                            let basis = Basis::of(&one.reference, &one.terms, Way::Onward).approved(consent);
                            let basis = basis.and_then(|basis| basis.inherited(&two.reference, &two.terms));
                            let fits =
                                |basis: &Basis| self.purpose.is_none_or(|purpose| basis.purposes.contains(&purpose));
                            weighed.add(section, basis.filter(fits));
                        }
                    }
                }
            }
            Legs::Upstream { origin, first, laws } => {
                let given = self.given(class, origin, first, None)?;
                let question = Question::new(class, &self.sender, &self.receiver, self.purpose)?;
                for (section, grants) in given {
                    match question.ask(section, laws)? {
                        Answer::Permitted(_) => {
                            for grant in grants {
                                let basis = Basis::of(&grant.reference, &grant.terms, Way::Upstream);
                                weighed.add(section, basis.approved(approval));
                            }
                        }
                        Answer::Forbidden(policies) => {
                            weighed
                                .laws
                                .insert(section, policies.iter().map(ToString::to_string).collect());
                        }
                        Answer::Uncovered => {}
                    }
                }
            }
        }
        Ok(weighed)
    }

    /// What the originator gives the holder to pass on of `class`: by section, the grants that say so.
    fn given<'a>(
        &self,
        class: &Class,
        origin: &MemberFacts,
        first: &'a Leg,
        consent: Option<&HeldConsent>,
    ) -> Result<BTreeMap<SectionKind, Vec<&'a CompiledGrant>>, Forbidden> {
        let question = Question::new(class, origin, &self.sender, self.purpose)?;
        let upstream = self.receiver.role == Role::Global;
        let consented = consent.map_or(SectionSet::EMPTY, |consent| consent.terms.sections);
        let clip = match upstream {
            true => SectionSet::open(),
            false => passable().union(consented),
        };
        // No national law is asked here: it is the originator's, and was asked when it sent the record.
        let mut given = first.ask(&question, first.sections().intersection(clip), &mut BTreeMap::new())?;
        for (section, grants) in &mut given {
            grants.retain(|grant| {
                let onward = &grant.terms.onward;
                let handling: Option<HandlingCode> = onward.handling;
                let at_large = passable().contains(*section) && onward.sections.contains(*section);
                upstream
                    || (asks_consent(grant) && consented.contains(*section))
                    || (at_large && handling.is_some_and(|max| class.handling <= max))
            });
        }
        given.retain(|_, grants| !grants.is_empty());
        Ok(given)
    }

    /// Why nothing covers a record.
    pub(crate) fn not_covered(&self, class: &Class) -> Forbidden {
        if let (true, Legs::Onward { origin, .. }) = (self.by_consent, &self.legs) {
            return Forbidden::ConsentNeeded {
                origin: origin.member.clone(),
                holder: self.sender.member.clone(),
                receiver: self.receiver.member.clone(),
            };
        }
        let categories = if class.categories.is_empty() {
            "no goods".to_owned()
        } else {
            class.categories.join(", ")
        };
        Forbidden::NotCovered {
            from: self.sender.member.clone(),
            to: self.receiver.member.clone(),
            kind: class.kind.name(),
            handling: class.handling.as_str(),
            categories,
        }
    }
}

impl Weighed {
    /// Adds `section` to the same basis, or the basis itself, if there is one.
    fn add(&mut self, section: SectionKind, basis: Option<Basis>) {
        let Some(basis) = basis else { return };
        let same = |known: &&mut Basis| {
            (&known.grant, &known.through, &known.consent) == (&basis.grant, &basis.through, &basis.consent)
        };
        match self.bases.iter_mut().find(same) {
            Some(known) => known.sections = known.sections.with(section),
            None => self.bases.push(Basis {
                sections: section.into(),
                ..basis
            }),
        }
    }
}

impl Leg {
    pub(crate) fn new(
        grants: Vec<&CompiledGrant>,
        receiver: &MemberId,
        overlays: &[Overlay],
    ) -> Result<Self, Forbidden> {
        let mut policies = law_policies(overlays)?;
        let mut linked = HashMap::with_capacity(grants.len());
        for grant in grants {
            let id = grant
                .link(receiver, &mut policies)
                .map_err(|error| Forbidden::Assembly(error.to_string()))?;
            linked.insert(id, grant.clone());
        }
        Ok(Self {
            policies,
            grants: linked,
        })
    }

    /// Every section that one of the grants speaks of.
    fn sections(&self) -> SectionSet {
        self.grants
            .values()
            .fold(SectionSet::EMPTY, |all, grant| all.union(grant.terms.sections))
    }

    /// For each of `sections` that may go: the grants that say so, in the order of their references. What a law forbids is
    /// noted in `laws`.
    pub(crate) fn ask(
        &self,
        question: &Question,
        sections: SectionSet,
        laws: &mut BTreeMap<SectionKind, Vec<String>>,
    ) -> Result<BTreeMap<SectionKind, Vec<&CompiledGrant>>, Forbidden> {
        let mut permitted = BTreeMap::new();
        for section in sections.iter() {
            match question.ask(section, &self.policies)? {
                Answer::Permitted(policies) => {
                    let mut grants: Vec<_> = policies.iter().filter_map(|id| self.grants.get(id)).collect();
                    grants.sort_by(|a, b| a.reference.cmp(&b.reference));
                    permitted.insert(section, grants);
                }
                Answer::Forbidden(policies) => {
                    laws.insert(section, policies.iter().map(ToString::to_string).collect());
                }
                Answer::Uncovered => {}
            }
        }
        Ok(permitted)
    }
}

fn law_policies(overlays: &[Overlay]) -> Result<PolicySet, Forbidden> {
    let policies = overlays.iter().flat_map(Overlay::policies).cloned();
    PolicySet::from_policies(policies).map_err(|error| Forbidden::Assembly(error.to_string()))
}

/// The grants from `from` to `to` that are in force at `now`; cuts `window` where that changes.
pub(crate) fn grants_in_force<'a>(
    book: &'a Book,
    from: &MemberId,
    to: &MemberId,
    now: u64,
    window: &mut Window,
) -> Result<Vec<&'a CompiledGrant>, Forbidden> {
    let mut active = Vec::new();
    let mut idle = Vec::new();
    for entry in book.entries_between(from, to) {
        let mut concerned = entry
            .ratified
            .grants()
            .iter()
            .filter(|grant| grant.concerns(from, to))
            .peekable();
        if concerned.peek().is_none() {
            continue;
        }
        window.cut(entry.from, now);
        window.cut(entry.until, now);
        if entry.from <= now && now < entry.until && !entry.suspended {
            active.extend(concerned);
        } else {
            let agreement = entry.ratified.agreement();
            let (id, version) = (agreement.id().clone(), agreement.version());
            if let Some(standing) = book.standing(&id, version, now) {
                idle.push((id, version, standing));
            }
        }
    }
    let (from, to) = (from.clone(), to.clone());
    match (active.is_empty(), idle.is_empty()) {
        (false, _) => Ok(active),
        (true, true) => Err(Forbidden::NoAgreement { from, to }),
        (true, false) => Err(Forbidden::NotInForce {
            from,
            to,
            agreements: idle,
        }),
    }
}

/// The grants from `from` to `to` of the versions that `revision` names, whatever became of them.
fn grants_named<'a>(
    book: &'a Book,
    from: &MemberId,
    to: &MemberId,
    hop: Hop,
    revision: &Revision,
) -> Result<Vec<&'a CompiledGrant>, Forbidden> {
    let named = book.entries_between(from, to).filter(|entry| {
        let agreement = entry.ratified.agreement();
        revision.names(hop, agreement.id(), agreement.version()) == Some(true)
    });
    let grants = named.flat_map(|entry| entry.ratified.grants());
    let concerned: Vec<_> = grants.filter(|grant| grant.concerns(from, to)).collect();
    let (from, to) = (from.clone(), to.clone());
    match concerned.is_empty() {
        true => Err(Forbidden::NoAgreement { from, to }),
        false => Ok(concerned),
    }
}

/// The grants that let the holder pass records on to this receiver; those that ask for consent only where there is any.
fn passed_on<'a>(
    granted: Vec<&'a CompiledGrant>,
    route: Route<'_>,
    regions: &[MemberId],
    consented: bool,
) -> Result<Vec<&'a CompiledGrant>, Forbidden> {
    let (origin, holder, receiver) = (route.origin.clone(), route.holder.clone(), route.receiver.clone());
    let by_consent = granted.iter().any(|grant| asks_consent(grant));
    let passes = |grant: &&CompiledGrant| match grant.terms.onward.rule {
        OnwardRule::None => false,
        OnwardRule::WithConsent => consented,
        OnwardRule::Listed => grant.terms.onward.members.contains(&receiver),
        OnwardRule::Region => regions.contains(&holder),
    };
    let passed: Vec<_> = granted.into_iter().filter(passes).collect();
    match (passed.is_empty(), by_consent) {
        (false, _) => Ok(passed),
        (true, true) => Err(Forbidden::ConsentNeeded {
            origin,
            holder,
            receiver,
        }),
        (true, false) => Err(Forbidden::NotOnward {
            origin,
            holder,
            receiver,
        }),
    }
}

fn asks_consent(grant: &CompiledGrant) -> bool {
    grant.terms.onward.rule == OnwardRule::WithConsent
}

fn common_purpose(one: &CompiledGrant, two: &CompiledGrant, purpose: Option<Purpose>) -> bool {
    let mut common = one.terms.purposes.intersection(&two.terms.purposes);
    common.any(|common| purpose.is_none_or(|purpose| purpose == *common))
}

fn not_upstream(route: Route<'_>) -> Forbidden {
    let Route {
        origin,
        holder,
        receiver,
        ..
    } = route;
    Forbidden::NotUpstream {
        origin: origin.clone(),
        holder: holder.clone(),
        receiver: receiver.clone(),
    }
}

fn no_common_purpose(route: Route<'_>) -> Forbidden {
    let Route {
        origin,
        holder,
        receiver,
        ..
    } = route;
    Forbidden::NoCommonPurpose {
        origin: origin.clone(),
        holder: holder.clone(),
        receiver: receiver.clone(),
    }
}
