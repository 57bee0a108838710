//! Explanations: what would this member receive of this record, and why. Nothing is sent.
//!
//! The decision comes from the same lane that links use. What each single grant says is found by asking Cedar about it alone,
//! and why it says no is worked out from its terms: that part informs people and decides nothing.

mod show;

use serde::Serialize;

use icomm_pki::{MemberId, Role};
use icomm_proto::{RecordKind, SectionKind, SectionSet};

use crate::agreement::{Categories, HandlingCode, OnwardRule, Purpose, passable};
use crate::book::Standing;
use crate::cedar::grant::{CompiledGrant, GrantRef};
use crate::cedar::question::{Answer, MemberFacts, Question};
use crate::class::Class;
use crate::decision::{Receiver, Request, complete};
use crate::forbidden::Forbidden;
use crate::lane::{Lane, Route};
use crate::permit::Basis;
use crate::policy::{Policy, Snapshot};

/// What a member would receive of a record, and why. `Display` is for people, `Serialize` for programs.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// Whose record.
    pub origin: MemberId,
    /// Who would send it.
    pub holder: MemberId,
    /// Who would receive it.
    pub receiver: MemberId,
    /// For which purpose only, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// The moment of the answer, in seconds since 1970.
    pub at: u64,
    /// What the decision was made on; none when it can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<ClassFacts>,
    /// The sections that would go.
    pub goes: SectionSet,
    /// Each section that the holder has, in ascending order.
    pub sections: Vec<SectionFate>,
    /// The legal bases of what would go.
    pub bases: Vec<Basis>,
    /// The rule that stopped everything, if nothing would go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<Stopped>,
    /// Every grant in this direction, in force or not, and what it says.
    pub grants: Vec<GrantFate>,
    /// The first second, since 1970, at which the answer may be another; none when documents set no such moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<u64>,
}

/// What policies know of a record.
#[derive(Clone, Debug, Serialize)]
pub struct ClassFacts {
    /// Its kind.
    pub kind: RecordKind,
    /// Seizure, offence or suspicion.
    pub report_type: String,
    /// Its handling code.
    pub handling: HandlingCode,
    /// Its commodity categories.
    pub categories: Vec<String>,
    /// Where it happened.
    pub seizure_country: String,
}

/// What becomes of a section.
#[derive(Clone, Debug, Serialize)]
pub struct SectionFate {
    /// The section.
    pub section: SectionKind,
    /// Whether it goes.
    pub goes: bool,
    /// Why: the bases, or the rule that withholds it.
    pub why: String,
}

/// The rule that stopped everything.
#[derive(Clone, Debug, Serialize)]
pub struct Stopped {
    /// [`Forbidden::code`].
    pub code: &'static str,
    /// In words.
    pub reason: String,
}

/// What one grant says of the record.
#[derive(Clone, Debug, Serialize)]
pub struct GrantFate {
    /// Which grant.
    pub grant: GrantRef,
    /// From whom.
    pub from: MemberId,
    /// To whom.
    pub to: MemberId,
    /// Whether its agreement is in force.
    #[serde(flatten)]
    pub standing: Standing,
    /// The sections that it gives by itself, national laws aside, were it in force.
    pub gives: SectionSet,
    /// Why it gives nothing, or nothing onward.
    pub misses: Vec<String>,
}

impl Policy {
    /// What would go of a record of which the holder has the sections `held`? Sends nothing and remembers nothing.
    #[must_use]
    pub fn explain(&self, request: &Request<'_>, held: SectionSet) -> Explanation {
        let Request {
            origin,
            holder,
            receiver: Receiver { member: receiver, role },
            purpose,
            class,
            entry,
            now,
        } = *request;
        let snapshot = self.snapshot();
        let route = Route {
            origin,
            holder,
            receiver,
            role: *role,
            purpose,
        };
        let lane = Lane::open(route, snapshot.sources(), now);
        let parsed = class
            .ok_or(Forbidden::NoClass)
            .and_then(|bytes| Class::parse(bytes, origin).map_err(Forbidden::from));
        let consent = lane.answer.as_ref().ok().and_then(|open| open.consent_to(entry));
        let consent = consent.map(|(consent, _)| consent);
        let weighed = match (&lane.answer, &parsed) {
            (Ok(open), Ok(class)) => open.weigh(class, consent),
            (Err(forbidden), _) | (_, Err(forbidden)) => Err(forbidden.clone()),
        };
        let laws = weighed.as_ref().map(|weighed| weighed.laws.clone()).unwrap_or_default();
        let outcome = match (&lane.answer, &parsed) {
            (Ok(open), Ok(class)) => weighed.and_then(|weighed| complete(weighed, open, class)),
            _ => weighed,
        };
        let bases = outcome
            .as_ref()
            .map(|weighed| weighed.bases.clone())
            .unwrap_or_default();
        let permitted = bases
            .iter()
            .fold(SectionSet::EMPTY, |all, basis| all.union(basis.sections));
        let forbidden = outcome.err();
        let fate = |section: SectionKind| {
            let on: Vec<String> = bases
                .iter()
                .filter(|basis| basis.sections.contains(section))
                .map(ToString::to_string)
                .collect();
            let why = match (on.is_empty(), laws.get(&section), &forbidden) {
                (false, ..) => on.join("; "),
                (true, Some(laws), _) => format!("national law forbids it: {}", laws.join(", ")),
                (true, None, Some(forbidden)) => forbidden.to_string(),
                (true, None, None) => "no grant in force gives it".to_owned(),
            };
            SectionFate {
                section,
                goes: permitted.contains(section),
                why,
            }
        };
        Explanation {
            origin: origin.clone(),
            holder: holder.clone(),
            receiver: receiver.clone(),
            purpose,
            at: now,
            goes: permitted.intersection(held),
            sections: held.iter().map(fate).collect(),
            grants: grant_fates(&snapshot, route, parsed.as_ref().ok(), consent.is_some(), now),
            class: parsed.ok().map(ClassFacts::from),
            bases,
            stopped_by: forbidden.as_ref().map(|forbidden| Stopped {
                code: forbidden.code(),
                reason: forbidden.to_string(),
            }),
            valid_until: (lane.window.until < u64::MAX).then_some(lane.window.until),
        }
    }
}

impl From<Class> for ClassFacts {
    fn from(class: Class) -> Self {
        let Class {
            kind,
            originator: _,
            report_type,
            handling,
            categories,
            seizure_country,
            operation_id: _,
        } = class;
        Self {
            kind,
            report_type,
            handling,
            categories,
            seizure_country,
        }
    }
}

/// Every grant on each leg of the route.
fn grant_fates(
    snapshot: &Snapshot,
    route: Route<'_>,
    class: Option<&Class>,
    consented: bool,
    now: u64,
) -> Vec<GrantFate> {
    let Route {
        origin,
        holder,
        receiver,
        ..
    } = route;
    let legs = if origin == holder {
        vec![(holder, receiver)]
    } else {
        vec![(origin, holder), (holder, receiver)]
    };
    let mut fates = Vec::new();
    for (from, to) in legs {
        let passing_on = to != receiver;
        for entry in snapshot.book.entries_between(from, to) {
            let agreement = entry.ratified.agreement();
            let Some(standing) = snapshot.book.standing(agreement.id(), agreement.version(), now) else {
                continue;
            };
            for grant in entry.ratified.grants().iter().filter(|grant| grant.concerns(from, to)) {
                let mut misses = class
                    .map(|class| misses(grant, class, route.purpose))
                    .unwrap_or_default();
                let gives = class.map_or(SectionSet::EMPTY, |class| {
                    alone(snapshot, grant, class, (from, to), route)
                });
                if misses.is_empty() && gives.is_empty() && class.is_some() {
                    let condition = grant.terms.condition.as_deref().unwrap_or("none");
                    misses.push(format!("its condition does not hold: {condition}"));
                }
                if passing_on {
                    misses.extend(onward_misses(snapshot, grant, class, consented, route));
                }
                let (grant, standing) = (grant.reference.clone(), standing.clone());
                fates.push(GrantFate {
                    grant,
                    from: from.clone(),
                    to: to.clone(),
                    standing,
                    gives,
                    misses,
                });
            }
        }
    }
    fates
}

/// The sections that `grant` gives by itself.
fn alone(
    snapshot: &Snapshot,
    grant: &CompiledGrant,
    class: &Class,
    (from, to): (&MemberId, &MemberId),
    route: Route<'_>,
) -> SectionSet {
    let facts = |member: &MemberId| {
        let role = snapshot.directory.role(member)?;
        Some(MemberFacts {
            member: member.clone(),
            role,
            regions: snapshot.directory.regions(member),
        })
    };
    let mut policies = cedar_policy::PolicySet::new();
    let (Some(sender), Some(receiver)) = (facts(from), facts(to)) else {
        return SectionSet::EMPTY;
    };
    let Ok(_) = grant.link(to, &mut policies) else {
        return SectionSet::EMPTY;
    };
    let Ok(question) = Question::new(class, &sender, &receiver, route.purpose) else {
        return SectionSet::EMPTY;
    };
    let given = |section: &SectionKind| matches!(question.ask(*section, &policies), Ok(Answer::Permitted(_)));
    grant.terms.sections.iter().filter(given).collect()
}

/// Why `grant` does not cover `class`, its condition aside.
fn misses(grant: &CompiledGrant, class: &Class, purpose: Option<Purpose>) -> Vec<String> {
    let terms = &grant.terms;
    let mut misses = Vec::new();
    if !terms.kinds.contains(&class.kind) {
        misses.push(format!("it is not about records of the kind `{}`", class.kind));
    }
    if let Categories::Only(codes) = &terms.categories {
        let others: Vec<&str> = class
            .categories
            .iter()
            .filter(|code| !codes.contains(*code))
            .map(String::as_str)
            .collect();
        if class.categories.is_empty() {
            misses.push("it is about certain goods, and the record has none".to_owned());
        } else if !others.is_empty() {
            misses.push(format!("it is not about `{}`", others.join("`, `")));
        }
    }
    if class.handling > terms.handling {
        misses.push(format!(
            "the handling code {} is above {}",
            class.handling, terms.handling
        ));
    }
    if let Some(purpose) = purpose.filter(|purpose| !terms.purposes.contains(purpose)) {
        misses.push(format!("it is not for the purpose `{purpose}`"));
    }
    misses
}

/// Why `grant` does not let the holder pass the record on.
fn onward_misses(
    snapshot: &Snapshot,
    grant: &CompiledGrant,
    class: Option<&Class>,
    consented: bool,
    route: Route<'_>,
) -> Option<String> {
    let onward = &grant.terms.onward;
    if snapshot.directory.role(route.receiver) == Some(Role::Global) {
        return (!grant.terms.upstream).then(|| "it does not let the record go upstream".to_owned());
    }
    let admitted = match onward.rule {
        OnwardRule::None => return Some("it lets nothing go onward".to_owned()),
        OnwardRule::WithConsent if consented => return None,
        OnwardRule::WithConsent => {
            return Some("it lets records go onward by consent only, and none was given".to_owned());
        }
        OnwardRule::Listed => onward.members.contains(route.receiver),
        OnwardRule::Region => snapshot.directory.regions(route.receiver).contains(route.holder),
    };
    if !admitted {
        return Some(format!("it does not let records go onward to `{}`", route.receiver));
    }
    if let (Some(class), Some(max)) = (class, onward.handling)
        && class.handling > max
    {
        return Some(format!(
            "the handling code {} is above {max}, which may go onward",
            class.handling
        ));
    }
    let sections = onward.sections.intersection(passable());
    Some(format!("onward it gives {sections} only")).filter(|_| sections != grant.terms.sections)
}
