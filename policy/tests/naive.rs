//! The decisions against a naive model: plain conditions over the documents, written without looking at lanes or Cedar.
//!
//! Thousands of random agreements, suspensions, national laws, classes, receivers and times; every answer must agree, from a
//! single decision and from a session that remembers, with time jumping to and fro.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{RngExt, SeedableRng};

use icomm_pki::{MemberId, Role};
use icomm_policy::agreement::{Categories, Grant, HandlingCode, Onward, OnwardRule, Purpose, Side, Terms};
use icomm_policy::{Agreement, DocumentKind, KeyDirectory, Overlay, Policy, Request, SessionPolicy};
use icomm_proto::{RecordKind, SectionKind, SectionSet, Sensitivity, v1};

#[path = "support/world.rs"]
mod world;

use world::{DAY, NOON, World, grant, member, policy, terms, view, world};

/// The first second of the first day of the random agreements.
const START: u64 = NOON - DAY / 2;
const MEMBERS: [&str; 7] = ["KE", "UG", "TZ", "ES", "RILO-ESA", "WCO", "INTERPOL"];
const CATEGORIES: [&str; 3] = ["drugs", "tobacco", "weapons"];

/// What a condition or a national law can look at.
struct Facts<'a> {
    world: &'a World,
    class: &'a v1::Class,
    sender: &'a MemberId,
    principal: &'a MemberId,
    purpose: Option<Purpose>,
}

impl Facts<'_> {
    fn role(&self) -> Role {
        self.world.role(self.principal).unwrap()
    }

    fn onward(&self) -> bool {
        self.sender.as_str() != self.class.originator
    }

    fn handling(&self) -> usize {
        handling(self.class)
    }
}

fn handling(class: &v1::Class) -> usize {
    ["H0", "H1", "H2", "H3"]
        .iter()
        .position(|code| *code == class.handling_code)
        .unwrap()
}

/// None: the evaluation errs.
type Condition = (&'static str, fn(&Facts<'_>) -> Option<bool>);

const CONDITIONS: [Condition; 6] = [
    (r#"resource.report_type == "seizure""#, |f| {
        Some(f.class.report_type == "seizure")
    }),
    (r#"principal.role == "national""#, |f| Some(f.role() == Role::National)),
    (r#"principal.regions.contains("RILO-ESA")"#, |f| {
        Some(f.world.regions(f.principal).contains(&member("RILO-ESA")))
    }),
    ("!context.onward", |f| Some(!f.onward())),
    (
        r#"resource.categories.contains("drugs") || resource.seizure_country == "UG""#,
        |f| Some(f.class.categories.iter().any(|code| code == "drugs") || f.class.seizure_country == "UG"),
    ),
    // The sum overflows unless the code is H0.
    ("resource.handling + 9223372036854775807 > 0", |f| {
        (f.handling() == 0).then_some(true)
    }),
];

/// The sections that a law is about, and when it forbids them.
type Law = (&'static str, fn(SectionKind, &Facts<'_>) -> Option<bool>);

const LAWS: [Law; 6] = [
    (
        r#"forbid (principal, action in Action::"nominal-sections", resource) when { principal.role == "partner" };"#,
        |s, f| Some(s.sensitivity() == Sensitivity::Nominal && f.role() == Role::Partner),
    ),
    (
        r#"forbid (principal, action == Action::"persons", resource);"#,
        |s, _| Some(s == SectionKind::Persons),
    ),
    (
        "forbid (principal, action, resource) when { context.onward && resource.handling > 0 };",
        |_, f| Some(f.onward() && f.handling() > 0),
    ),
    (
        r#"forbid (principal == Member::"TZ", action, resource) when { resource.kind == "suspect" };"#,
        |_, f| Some(f.principal.as_str() == "TZ" && f.class.kind() == v1::RecordKind::Suspect),
    ),
    (
        r#"forbid (principal, action == Action::"images", resource) when { resource.handling + 9223372036854775807 < 0 };"#,
        |s, f| {
            if s == SectionKind::Images && f.handling() > 0 {
                None
            } else {
                Some(false)
            }
        },
    ),
    (
        r#"forbid (principal, action == Action::"case", resource)
           when { context has purpose && context.purpose == "prosecution" };"#,
        |s, f| Some(s == SectionKind::Case && f.purpose == Some(Purpose::Prosecution)),
    ),
];

/// Everything that was agreed, suspended and enacted.
struct Scene {
    agreements: Vec<Terms>,
    suspensions: Vec<(String, u32, MemberId)>,
    laws: Vec<Law>,
}

struct Question<'a> {
    origin: MemberId,
    holder: MemberId,
    receiver: MemberId,
    purpose: Option<Purpose>,
    class: &'a v1::Class,
    now: u64,
}

/// The sections that go. None: nothing.
fn naive(world: &World, scene: &Scene, q: &Question<'_>) -> Option<SectionSet> {
    if q.receiver == q.origin || q.receiver == q.holder {
        return None;
    }
    let global = world.role(&q.receiver)? == Role::Global;
    let facts = |sender, principal| Facts {
        world,
        class: q.class,
        sender,
        principal,
        purpose: q.purpose,
    };
    let last = facts(&q.holder, &q.receiver);
    let mut goes = SectionSet::EMPTY;
    if q.origin == q.holder {
        let grants = in_force(scene, q, &q.holder, &q.receiver);
        for section in SectionKind::ALL {
            if global && section != SectionKind::Case || !grants.iter().any(|g| g.sections.contains(section)) {
                continue;
            }
            let given = given(&grants, section, &last)?;
            if !forbidden(scene, section, &last)? && !given.is_empty() {
                goes = goes.with(section);
            }
        }
    } else {
        let grants: Vec<&Grant> = in_force(scene, q, &q.origin, &q.holder)
            .into_iter()
            .filter(|grant| {
                if global {
                    grant.upstream
                } else {
                    passes_on(world, grant, q)
                }
            })
            .collect();
        let first = facts(&q.origin, &q.holder);
        let mut passed = BTreeMap::new();
        for section in SectionKind::ALL {
            let open = matches!(section.sensitivity(), Sensitivity::Open);
            let passable = open || !global && section.sensitivity() == Sensitivity::Exact;
            if passable {
                let mut given = given(&grants, section, &first)?;
                given.retain(|grant| global || goes_onward(grant, section, q.class));
                passed.insert(section, given);
            }
        }
        let second = in_force(scene, q, &q.holder, &q.receiver);
        for (section, one) in passed.into_iter().filter(|(_, one)| !one.is_empty()) {
            let forbidden = forbidden(scene, section, &last)?;
            let covered = if global {
                true
            } else {
                let two = given(&second, section, &last)?;
                one.iter()
                    .any(|one| two.iter().any(|two| share_purpose(one, two, q.purpose)))
            };
            if covered && !forbidden {
                goes = goes.with(section);
            }
        }
    }
    goes.contains(SectionKind::Case).then_some(goes)
}

fn share_purpose(one: &Grant, two: &Grant, asked: Option<Purpose>) -> bool {
    Purpose::ALL.iter().any(|purpose| {
        one.purposes.contains(purpose) && two.purposes.contains(purpose) && asked.is_none_or(|asked| asked == *purpose)
    })
}

fn passes_on(world: &World, grant: &Grant, q: &Question<'_>) -> bool {
    match grant.onward.rule {
        OnwardRule::None | OnwardRule::WithConsent => false,
        OnwardRule::Listed => grant.onward.members.contains(&q.receiver),
        OnwardRule::Region => world.regions(&q.receiver).contains(&q.holder),
    }
}

fn goes_onward(grant: &Grant, section: SectionKind, class: &v1::Class) -> bool {
    let max = HandlingCode::ALL
        .iter()
        .position(|code| Some(*code) == grant.onward.handling)
        .unwrap();
    grant.onward.sections.contains(section) && handling(class) <= max
}

/// The grants from `from` to `to` of the agreements in force that the holder's book has.
fn in_force<'a>(scene: &'a Scene, q: &Question<'_>, from: &MemberId, to: &MemberId) -> Vec<&'a Grant> {
    let begins = |t: &Terms| t.in_force_from.begins();
    let mut grants = Vec::new();
    for agreement in &scene.agreements {
        let parties: Vec<&MemberId> = agreement.parties.iter().map(|party| &party.member).collect();
        let ended = agreement
            .in_force_until
            .is_some_and(|last| q.now >= last.begins() + DAY);
        let superseded = scene
            .agreements
            .iter()
            .any(|other| other.id == agreement.id && other.version > agreement.version && begins(other) <= q.now);
        let suspended = scene
            .suspensions
            .iter()
            .any(|(id, version, _)| *id == agreement.id.to_string() && *version >= agreement.version);
        if !parties.contains(&&q.holder) || q.now < begins(agreement) || ended || superseded || suspended {
            continue;
        }
        let is = |side: &Side, member: &MemberId| match side {
            Side::Parties => parties.contains(&member),
            Side::Member(named) => named == member,
        };
        grants.extend(
            agreement
                .grants
                .iter()
                .filter(|grant| is(&grant.from, from) && is(&grant.to, to)),
        );
    }
    grants
}

/// The grants that give `section`. None: one of them errs.
fn given<'a>(grants: &[&'a Grant], section: SectionKind, facts: &Facts<'_>) -> Option<Vec<&'a Grant>> {
    let mut given = Vec::new();
    for grant in grants {
        let kind = match facts.class.kind() {
            v1::RecordKind::Seizure => RecordKind::Seizure,
            v1::RecordKind::Suspect => RecordKind::Suspect,
            _ => RecordKind::Company,
        };
        let goods = match &grant.categories {
            Categories::All => true,
            Categories::Only(codes) => {
                !facts.class.categories.is_empty() && facts.class.categories.iter().all(|code| codes.contains(code))
            }
        };
        let max = HandlingCode::ALL
            .iter()
            .position(|code| *code == grant.handling)
            .unwrap();
        let purpose = facts.purpose.is_none_or(|purpose| grant.purposes.contains(&purpose));
        let covers = grant.sections.contains(section)
            && grant.kinds.contains(&kind)
            && goods
            && facts.handling() <= max
            && purpose;
        if covers {
            let holds = match &grant.condition {
                None => true,
                Some(text) => CONDITIONS.iter().find(|(known, _)| known == text).unwrap().1(facts)?,
            };
            if holds {
                given.push(*grant);
            }
        }
    }
    Some(given)
}

/// Whether a law forbids `section`. None: one of them errs.
fn forbidden(scene: &Scene, section: SectionKind, facts: &Facts<'_>) -> Option<bool> {
    let mut forbidden = false;
    for (_, law) in &scene.laws {
        forbidden |= law(section, facts)?;
    }
    Some(forbidden)
}

fn some<T: Copy>(rng: &mut SmallRng, all: &[T], odds: f64) -> Vec<T> {
    let mut chosen: Vec<T> = all.iter().copied().filter(|_| rng.random_bool(odds)).collect();
    if chosen.is_empty() {
        chosen.push(*all.choose(rng).unwrap());
    }
    chosen
}

fn random_grant(rng: &mut SmallRng, parties: &[&str]) -> Grant {
    let side = |rng: &mut SmallRng| {
        if rng.random_bool(0.25) {
            "parties"
        } else {
            parties.choose(rng).unwrap()
        }
    };
    // Half of them along the way that records take most: to the office and on from there.
    let (from, to) = match rng.random_range(0..8) {
        0..=1 => ("parties", "RILO-ESA"),
        2..=3 => (
            "RILO-ESA",
            *["parties", "UG", "TZ", "TZ"]
                .iter()
                .filter(|id| **id == "parties" || parties.contains(id))
                .choose(rng)
                .unwrap(),
        ),
        _ => loop {
            let (from, to) = (side(rng), side(rng));
            if from != to || from == "parties" {
                break (from, to);
            }
        },
    };
    let to_global = to == "WCO" || to == "parties" && parties.contains(&"WCO");
    let mut grant = grant(from, to);
    let chosen = some(rng, &SectionKind::ALL, 0.7)
        .into_iter()
        .chain([SectionKind::Case])
        .collect();
    grant.sections = if to_global { SectionSet::open() } else { chosen };
    grant.kinds = some(rng, &RecordKind::ALL, 0.8).into_iter().collect();
    if rng.random_bool(0.3) {
        grant.categories = Categories::Only(some(rng, &CATEGORIES, 0.6).into_iter().map(str::to_owned).collect());
    }
    grant.purposes = some(rng, &Purpose::ALL, 0.6).into_iter().collect();
    grant.handling = HandlingCode::ALL
        .into_iter()
        .rev()
        .find(|_| rng.random_bool(0.5))
        .unwrap_or(HandlingCode::H0);
    grant.upstream = rng.random_bool(0.5);
    let rule = *[
        OnwardRule::None,
        OnwardRule::WithConsent,
        OnwardRule::Listed,
        OnwardRule::Region,
        OnwardRule::Region,
    ]
    .choose(rng)
    .unwrap();
    grant.onward = match rule {
        OnwardRule::None => Onward::none(),
        OnwardRule::WithConsent => Onward { rule, ..Onward::none() },
        OnwardRule::Listed | OnwardRule::Region => Onward {
            rule,
            members: if rule == OnwardRule::Listed {
                some(rng, &MEMBERS, 0.4).into_iter().map(member).collect()
            } else {
                [].into()
            },
            sections: {
                let exact = grant.sections.contains(SectionKind::Exact) && rng.random_bool(0.5);
                let case = SectionSet::from(SectionKind::Case);
                if exact { case.with(SectionKind::Exact) } else { case }
            },
            handling: HandlingCode::ALL
                .into_iter()
                .filter(|code| *code <= grant.handling)
                .choose(rng),
        },
    };
    if rng.random_bool(0.2) {
        grant.condition = Some(CONDITIONS.choose(rng).unwrap().0.to_owned());
    }
    grant
}

fn random_scene(rng: &mut SmallRng) -> Scene {
    let mut agreements = Vec::new();
    let mut suspensions = Vec::new();
    for name in ["a", "b", "c"].into_iter().take(rng.random_range(1..=3)) {
        let others: Vec<&str> = MEMBERS
            .into_iter()
            .filter(|id| !["KE", "RILO-ESA"].contains(id))
            .collect();
        let mut parties = vec!["KE", "RILO-ESA"];
        parties.extend(some(rng, &others, 0.7));
        for version in 1..=rng.random_range(1..=3) {
            let grants = (0..rng.random_range(1..=5))
                .map(|_| random_grant(rng, &parties))
                .collect();
            let mut terms = terms(name, &parties, grants);
            let day = |rng: &mut SmallRng, from| rng.random_range(from..10_u64);
            let from = if version == 1 { day(rng, 0).min(2) } else { day(rng, 0) };
            let calendar = |day: u64| format!("2026-12-{:02}", day + 1).parse().unwrap();
            terms.version = version;
            terms.in_force_from = calendar(from);
            terms.in_force_until = rng.random_bool(0.4).then(|| calendar(day(rng, from)));
            agreements.push(terms);
            if rng.random_bool(0.04) {
                suspensions.push((name.to_owned(), version, member(parties.choose(rng).unwrap())));
            }
        }
    }
    let laws = LAWS.into_iter().filter(|_| rng.random_bool(0.1)).collect();
    Scene {
        agreements,
        suspensions,
        laws,
    }
}

fn random_class(rng: &mut SmallRng, origin: &str) -> v1::Class {
    let kinds = [
        v1::RecordKind::Seizure,
        v1::RecordKind::Seizure,
        v1::RecordKind::Suspect,
        v1::RecordKind::Company,
    ];
    let mut class = world::class(origin);
    class.kind = (*kinds.choose(rng).unwrap()).into();
    class.report_type = (*["seizure", "offence", "suspicion"].choose(rng).unwrap()).to_owned();
    class.handling_code = (*["H0", "H0", "H1", "H2", "H3"].choose(rng).unwrap()).to_owned();
    class.seizure_country = (*["KE", "UG", ""].choose(rng).unwrap()).to_owned();
    class.categories = CATEGORIES
        .into_iter()
        .filter(|_| rng.random_bool(0.4))
        .map(str::to_owned)
        .collect();
    class
}

fn policies(world: &Arc<World>, scene: &Scene) -> BTreeMap<MemberId, Policy> {
    let overlays: Vec<Overlay> = scene
        .laws
        .iter()
        .enumerate()
        .map(|(i, (text, _))| Overlay::parse(&format!("law-{i}"), text).unwrap_or_else(|error| panic!("{error}")))
        .collect();
    let build = |owner: &str| {
        let policy = policy(world, owner, &scene.agreements, overlays.clone());
        for (id, version, by) in &scene.suspensions {
            let document = world.suspension(id, *version, by.as_str());
            policy.receive(DocumentKind::Suspension, &document, 0).unwrap();
        }
        (member(owner), policy)
    };
    ["KE", "RILO-ESA"].into_iter().map(build).collect()
}

#[test]
fn decisions_agree_with_a_naive_model() {
    const QUESTIONS: usize = 60;
    // A longer run: ICOMM_SCENES=5000 cargo test -p icomm-policy --test naive
    let scenes = std::env::var("ICOMM_SCENES").map_or(200, |scenes| scenes.parse().unwrap());
    let world = world();
    // How often something went, by way: a test in which nothing ever goes would agree with anything.
    let mut went = BTreeMap::new();
    let mut remembered = 0;
    for seed in 0..scenes {
        let mut rng = SmallRng::seed_from_u64(seed);
        let scene = random_scene(&mut rng);
        let policies = policies(&world, &scene);
        let mut sessions = BTreeMap::new();
        let mut revisions = Vec::new();
        for _ in 0..QUESTIONS {
            let holder = *["KE", "RILO-ESA", "RILO-ESA"].choose(&mut rng).unwrap();
            let origin = if holder == "KE" || rng.random_bool(0.2) {
                holder
            } else {
                *["KE", "UG"].choose(&mut rng).unwrap()
            };
            let receiver = if origin == holder || rng.random_bool(0.3) {
                MEMBERS.choose(&mut rng)
            } else {
                ["UG", "TZ"].choose(&mut rng)
            };
            let receiver = *receiver.unwrap();
            let purpose = rng.random_bool(0.2).then(|| *Purpose::ALL.choose(&mut rng).unwrap());
            let class = random_class(&mut rng, origin);
            let now = (START + rng.random_range(0..11) * DAY).saturating_add_signed(rng.random_range(-1..=1));
            let q = Question {
                origin: member(origin),
                holder: member(holder),
                receiver: member(receiver),
                purpose,
                class: &class,
                now,
            };
            let expected = naive(&world, &scene, &q);
            let (policy, to) = (&policies[&q.holder], world.receiver(receiver));
            let bytes = class.encode_to_vec();
            let request = Request {
                origin: &q.origin,
                holder: &q.holder,
                receiver: &to,
                purpose,
                class: Some(&bytes),
                entry: None,
                now,
            };
            let decision = policy.decide(&request);
            let decided = decision.permit().map(icomm_policy::Permit::sections);
            let scene_says =
                || format!("seed {seed}: {origin} from {holder} to {receiver} at {now}, {class:?}, {decision:?}");
            assert_eq!(decided, expected, "{}", scene_says());

            let session = sessions
                .entry((holder, receiver, purpose))
                .or_insert_with(|| policy.session_for(to.clone(), purpose));
            let record = view(&class);
            // To its originator all goes back that is held, but for the root, which holds nothing of its own.
            let (expected, returned) = match session {
                SessionPolicy::Peer(_) if q.receiver == q.origin => (Some(record.sections()), true),
                _ => (expected, false),
            };
            let sent = match session {
                SessionPolicy::Peer(session) => session.disclose(&q.origin, &record.borrowed(), now).sections(),
                SessionPolicy::Upstream(session) => {
                    let upstream = session.disclose(&q.origin, &record.borrowed(), now).unwrap();
                    upstream.view().map_or(SectionSet::EMPTY, |open| open.sections())
                }
            };
            assert_eq!(sent, expected.unwrap_or_default(), "session, {}", scene_says());
            // What goes back takes no grant.
            if returned {
                continue;
            }
            if expected.is_some() {
                assert!(session.basis(&q.origin, now).is_ok(), "basis, {}", scene_says());
            }
            assert_eq!(
                session.gives(&q.origin, &record.borrowed(), now),
                expected.unwrap_or_default()
            );
            if let (None, Ok(revision)) = (purpose, session.revision(&q.origin, now)) {
                let gave = expected.unwrap_or_default();
                revisions.push((
                    q.holder.clone(),
                    q.origin.clone(),
                    to.clone(),
                    revision.clone(),
                    record,
                    gave,
                ));
            }
            let explained = policy.explain(&request, SectionSet::ALL);
            assert_eq!(
                explained.goes,
                expected.unwrap_or_default(),
                "explanation, {}",
                scene_says()
            );
            assert_eq!(
                explained.stopped_by.is_some(),
                expected.is_none(),
                "explanation, {}",
                scene_says()
            );
            let way = match (origin == holder, receiver) {
                (true, "WCO") => "direct to the global node",
                (true, _) => "direct",
                (false, "WCO") => "upstream",
                (false, _) => "onward",
            };
            let (asked, permitted) = went.entry(way).or_insert((0_u32, 0_u32));
            *asked += 1;
            *permitted += u32::from(expected.is_some());
        }
        // Whatever became of the agreements: what went under a revision can be said as long as the laws are the same.
        let parties = |version: &Terms| version.parties.iter().map(|party| party.member.clone()).next().unwrap();
        for policy in policies.values() {
            for version in &scene.agreements {
                let document = world.suspension(version.id.as_str(), version.version, parties(version).as_str());
                policy.receive(DocumentKind::Suspension, &document, 0).unwrap();
            }
        }
        for (holder, origin, to, revision, record, gave) in revisions.into_iter().step_by(4) {
            let kept = &policies[&holder];
            let revision = revision.as_str().parse().unwrap();
            let mut earlier = kept.earlier(&origin, &to, &revision);
            assert!(earlier.is_known());
            for _ in 0..2 {
                assert_eq!(earlier.gave(&record.borrowed()), gave, "seed {seed}: {revision}");
            }
            remembered += u32::from(!gave.is_empty());
            let laws = LAWS
                .iter()
                .filter(|(text, _)| scene.laws.iter().all(|(known, _)| known != text));
            let other = Overlay::parse("another", laws.clone().next().unwrap().0).unwrap();
            let changed = policy(&world, holder.as_str(), &scene.agreements, vec![other]);
            assert!(
                !changed.earlier(&origin, &to, &revision).is_known(),
                "the law is another"
            );
        }
    }
    assert!(remembered >= 200, "too little is remembered: {remembered}");
    println!("asked and permitted: {went:?}");
    assert_eq!(went.len(), 4);
    assert!(
        went.values().all(|(_, permitted)| *permitted >= 40),
        "too little goes: {went:?}"
    );
}

/// What a next version would change, before anybody signs it: the naive answer without it and with it.
#[test]
fn prospects_agree_with_a_naive_model() {
    let world = world();
    let (mut wider, mut narrower) = (0, 0);
    for seed in 0..60 {
        let mut rng = SmallRng::seed_from_u64(seed ^ 0xd1f);
        let mut scene = random_scene(&mut rng);
        let policies = policies(&world, &scene);
        let mut next = scene.agreements.last().unwrap().clone();
        let parties: Vec<String> = next.parties.iter().map(|party| party.member.to_string()).collect();
        let parties: Vec<&str> = parties.iter().map(String::as_str).collect();
        next.version += 1;
        next.in_force_until = None;
        next.grants = (0..3).map(|_| random_grant(&mut rng, &parties)).collect();
        let agreement = Agreement::new(next.clone()).unwrap();
        let prospects: BTreeMap<_, _> = policies
            .iter()
            .map(|(owner, policy)| (owner.clone(), policy.suppose(&agreement, 0).unwrap()))
            .collect();
        let without: BTreeMap<_, _> = policies
            .iter()
            .map(|(owner, policy)| (owner.clone(), policy.suppose_without(agreement.id()).unwrap()))
            .collect();
        let before = Scene {
            agreements: scene.agreements.clone(),
            suspensions: scene.suspensions.clone(),
            laws: scene.laws.clone(),
        };
        scene.agreements.push(next);
        let none = Scene {
            agreements: before
                .agreements
                .iter()
                .filter(|terms| terms.id != *agreement.id())
                .cloned()
                .collect(),
            suspensions: before.suspensions.clone(),
            laws: before.laws.clone(),
        };
        for _ in 0..30 {
            let holder = *["KE", "RILO-ESA"].choose(&mut rng).unwrap();
            let origin = *["KE", holder].choose(&mut rng).unwrap();
            let receiver = *MEMBERS.choose(&mut rng).unwrap();
            let class = random_class(&mut rng, origin);
            let q = Question {
                origin: member(origin),
                holder: member(holder),
                receiver: member(receiver),
                purpose: None,
                class: &class,
                now: START + rng.random_range(0..11) * DAY,
            };
            let expected = |scene| naive(&world, scene, &q).unwrap_or_default();
            let (now, then, gone) = (expected(&before), expected(&scene), expected(&none));
            let (to, record) = (world.receiver(receiver), view(&class));
            let mut comparison = prospects[&q.holder].compare(&q.origin, &to, q.now);
            for _ in 0..2 {
                assert_eq!(comparison.gives(&record.borrowed()), (now, then), "seed {seed}");
            }
            let mut stopped = without[&q.holder].compare(&q.origin, &to, q.now);
            assert_eq!(stopped.gives(&record.borrowed()), (now, gone), "seed {seed}");
            wider += u32::from(!then.is_subset(now));
            narrower += u32::from(!now.is_subset(then));
        }
    }
    assert!(wider >= 40 && narrower >= 40, "too little changes: {wider} {narrower}");
}
