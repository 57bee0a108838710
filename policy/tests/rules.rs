//! Every rule of a decision: what it permits and what it refuses.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test")]

use std::sync::Arc;

use prost::Message;

use icomm_pki::{MemberId, Role};
use icomm_policy::agreement::{Categories, Expiry, HandlingCode, OnwardRule, Purpose, Retention, Terms, UseInCourt};
use icomm_policy::{Decision, DocumentKind, Forbidden, Overlay, Policy, Receiver, Request, SessionPolicy, Way};
use icomm_proto::{SectionKind, SectionSet, v1};

#[path = "support/world.rs"]
mod world;

use world::{DAY, NOON, World, class, grant, member, passing_on, policy, set, terms, view, world};

use SectionKind::{Case, Companies, Exact, Images, Narrative, Persons};

/// One question, KE's records from KE to UG unless changed.
struct Ask<'a> {
    policy: &'a Policy,
    world: &'a World,
    origin: MemberId,
    holder: MemberId,
    receiver: Receiver,
    purpose: Option<Purpose>,
    class: v1::Class,
    now: u64,
}

impl<'a> Ask<'a> {
    fn of(policy: &'a Policy, world: &'a World) -> Self {
        let receiver = world.receiver("UG");
        let (origin, holder) = (member("KE"), member("KE"));
        Self {
            policy,
            world,
            origin,
            holder,
            receiver,
            purpose: None,
            class: class("KE"),
            now: NOON,
        }
    }

    fn to(mut self, id: &str) -> Self {
        self.receiver = self.world.receiver(id);
        self
    }

    fn from(mut self, id: &str) -> Self {
        self.holder = member(id);
        self
    }

    fn at(mut self, now: u64) -> Self {
        self.now = now;
        self
    }

    fn on(mut self, purpose: Purpose) -> Self {
        self.purpose = Some(purpose);
        self
    }

    fn with(mut self, change: impl FnOnce(&mut v1::Class)) -> Self {
        change(&mut self.class);
        self
    }

    fn decide_bytes(&self, class: Option<&[u8]>) -> Decision {
        let Self {
            policy,
            origin,
            holder,
            receiver,
            purpose,
            now,
            ..
        } = self;
        policy.decide(&Request {
            origin,
            holder,
            receiver,
            purpose: *purpose,
            class,
            entry: None,
            now: *now,
        })
    }

    fn decide(&self) -> Decision {
        self.decide_bytes(Some(&self.class.encode_to_vec()))
    }

    /// The sections that go.
    fn goes(&self) -> SectionSet {
        match self.decide() {
            Decision::Permit(permit) => permit.sections(),
            Decision::Forbid(forbidden) => panic!("forbidden: {forbidden}"),
        }
    }

    /// The code of the rule that stopped it.
    fn stopped(&self) -> &'static str {
        match self.decide() {
            Decision::Permit(permit) => panic!("permitted: {permit:?}"),
            Decision::Forbid(forbidden) => forbidden.code(),
        }
    }
}

/// KE's policy with one grant from KE to UG after `change`.
fn bilateral(world: &Arc<World>, change: impl FnOnce(&mut Terms)) -> Policy {
    let mut terms = terms("ke-ug", &["KE", "UG"], vec![grant("KE", "UG")]);
    change(&mut terms);
    policy(world, "KE", &[terms], vec![])
}

fn law(text: &str) -> Overlay {
    Overlay::parse("law", text).unwrap()
}

#[test]
fn without_an_agreement_nothing_goes() {
    let world = world();
    let nobody = policy(&world, "KE", &[], vec![]);
    assert_eq!(Ask::of(&nobody, &world).stopped(), "no-agreement");
    let policy = bilateral(&world, |_| {});
    assert_eq!(Ask::of(&policy, &world).goes(), SectionSet::ALL);
    // Not to another, not in the other direction.
    assert_eq!(Ask::of(&policy, &world).to("TZ").stopped(), "no-agreement");
    let mut back = Ask::of(&policy, &world).to("KE").from("UG");
    back.origin = member("UG");
    back.class.originator = "UG".to_owned();
    assert_eq!(back.stopped(), "no-agreement");
}

#[test]
fn only_the_kinds_granted_go() {
    let world = world();
    let policy = bilateral(&world, |t| {
        t.grants[0].kinds = [icomm_proto::RecordKind::Seizure].into()
    });
    assert_eq!(Ask::of(&policy, &world).goes(), SectionSet::ALL);
    let suspect = Ask::of(&policy, &world).with(|class| class.kind = v1::RecordKind::Suspect.into());
    assert_eq!(suspect.stopped(), "not-covered");
}

#[test]
fn only_the_categories_granted_go() {
    let world = world();
    let codes = ["drugs".to_owned(), "tobacco".to_owned()];
    let policy = bilateral(&world, |t| t.grants[0].categories = Categories::Only(codes.into()));
    let goods = |codes: &[&str]| {
        let codes = codes.iter().map(|code| (*code).to_owned()).collect();
        Ask::of(&policy, &world).with(|class| class.categories = codes)
    };
    assert_eq!(goods(&["drugs"]).goes(), SectionSet::ALL);
    assert_eq!(goods(&["drugs", "tobacco"]).goes(), SectionSet::ALL);
    assert_eq!(goods(&["weapons"]).stopped(), "not-covered");
    assert_eq!(goods(&["drugs", "weapons"]).stopped(), "not-covered");
    assert_eq!(goods(&[]).stopped(), "not-covered");
    let all = bilateral(&world, |_| {});
    assert_eq!(
        Ask::of(&all, &world).with(|class| class.categories.clear()).goes(),
        SectionSet::ALL
    );
}

#[test]
fn only_the_sections_granted_go() {
    let world = world();
    let policy = bilateral(&world, |t| t.grants[0].sections = set(&[Case, Persons]));
    assert_eq!(Ask::of(&policy, &world).goes(), set(&[Case, Persons]));
}

#[test]
fn several_grants_add_up_and_each_is_named() {
    let world = world();
    let mut exact = grant("KE", "UG");
    exact.sections = set(&[Case, Exact]);
    exact.purposes = [Purpose::Statistics].into();
    let mut persons = grant("KE", "UG");
    persons.sections = set(&[Case, Persons]);
    persons.purposes = [Purpose::Investigation].into();
    let policy = policy(
        &world,
        "KE",
        &[
            terms("one", &["KE", "UG"], vec![exact]),
            terms("two", &["KE", "UG"], vec![persons]),
        ],
        vec![],
    );
    let decision = Ask::of(&policy, &world).decide();
    let permit = decision.permit().unwrap();
    assert_eq!(permit.sections(), set(&[Case, Exact, Persons]));
    let bases: Vec<_> = permit
        .bases()
        .iter()
        .map(|b| (b.grant.agreement.to_string(), b.sections, b.way))
        .collect();
    assert_eq!(
        bases,
        [
            ("one".to_owned(), set(&[Case, Exact]), Way::Direct),
            ("two".to_owned(), set(&[Case, Persons]), Way::Direct)
        ]
    );
    assert_eq!(
        Ask::of(&policy, &world).on(Purpose::Statistics).goes(),
        set(&[Case, Exact])
    );
}

#[test]
fn only_up_to_the_handling_code_granted() {
    let world = world();
    let policy = bilateral(&world, |t| t.grants[0].handling = HandlingCode::H1);
    let handled = |code: &str| Ask::of(&policy, &world).with(|class| class.handling_code = code.to_owned());
    assert_eq!(handled("H0").goes(), SectionSet::ALL);
    assert_eq!(handled("H1").goes(), SectionSet::ALL);
    assert_eq!(handled("H2").stopped(), "not-covered");
    assert_eq!(handled("H3").stopped(), "not-covered");
}

#[test]
fn only_for_the_purposes_granted() {
    let world = world();
    let policy = bilateral(&world, |t| t.grants[0].purposes = [Purpose::Statistics].into());
    assert_eq!(Ask::of(&policy, &world).on(Purpose::Statistics).goes(), SectionSet::ALL);
    assert_eq!(
        Ask::of(&policy, &world).on(Purpose::Prosecution).stopped(),
        "not-covered"
    );
    // Nothing asked: the purposes are the receiver's duty.
    let decision = Ask::of(&policy, &world).decide();
    assert_eq!(
        decision.permit().unwrap().bases()[0].purposes,
        [Purpose::Statistics].into()
    );
}

#[test]
fn only_while_the_agreement_is_in_force() {
    let world = world();
    let policy = bilateral(&world, |t| t.in_force_until = Some("2026-12-10".parse().unwrap()));
    let begins = NOON - DAY / 2;
    let ends = begins + 10 * DAY;
    assert_eq!(Ask::of(&policy, &world).at(begins - 1).stopped(), "not-in-force");
    assert_eq!(Ask::of(&policy, &world).at(begins).goes(), SectionSet::ALL);
    assert_eq!(Ask::of(&policy, &world).at(ends - 1).goes(), SectionSet::ALL);
    let over = Ask::of(&policy, &world).at(ends);
    assert_eq!(over.stopped(), "not-in-force");
    let says = over.decide().forbidden().unwrap().to_string();
    assert!(says.contains("`ke-ug` version 1 ended on 2026-12-10"), "{says}");
    assert_eq!(Ask::of(&policy, &world).decide().permit().unwrap().valid_until(), ends);
}

#[test]
fn a_permit_lapses_with_its_agreement_and_is_for_its_class_only() {
    let world = world();
    let policy = bilateral(&world, |t| t.in_force_until = Some("2026-12-10".parse().unwrap()));
    let decision = Ask::of(&policy, &world).decide();
    let permit = decision.permit().unwrap();
    let mine = view(&class("KE"));
    assert_eq!(permit.disclose(&mine.borrowed(), NOON).sections(), SectionSet::ALL);
    assert!(permit.disclose(&mine.borrowed(), permit.valid_until()).is_withheld());
    assert!(permit.disclose(&mine.borrowed(), NOON - DAY).is_withheld());
    let mut other = class("KE");
    other.handling_code = "H3".to_owned();
    assert!(permit.disclose(&view(&other).borrowed(), NOON).is_withheld());
    assert!(permit.upstream(&view(&other).borrowed(), NOON).unwrap().is_none());
}

#[test]
fn a_suspension_counts_at_once_until_a_new_version_is_signed() {
    let world = world();
    for by in ["KE", "UG"] {
        let policy = bilateral(&world, |_| {});
        assert_eq!(Ask::of(&policy, &world).goes(), SectionSet::ALL);
        policy
            .receive(DocumentKind::Suspension, &world.suspension("ke-ug", 1, by), NOON)
            .unwrap();
        let suspended = Ask::of(&policy, &world);
        assert_eq!(suspended.stopped(), "not-in-force");
        let says = suspended.decide().forbidden().unwrap().to_string();
        assert!(says.contains(&format!("is suspended by {by}")), "{says}");
        let mut next = terms("ke-ug", &["KE", "UG"], vec![grant("KE", "UG")]);
        next.version = 2;
        world::adopt(&policy, &world, &next).unwrap();
        assert_eq!(Ask::of(&policy, &world).goes(), SectionSet::ALL);
    }
}

#[test]
fn a_higher_version_takes_over_when_it_begins() {
    let world = world();
    let policy = bilateral(&world, |_| {});
    let mut next = terms("ke-ug", &["KE", "UG"], vec![grant("KE", "UG")]);
    next.version = 2;
    next.in_force_from = "2026-12-05".parse().unwrap();
    next.in_force_until = Some("2026-12-06".parse().unwrap());
    next.grants[0].sections = Case.into();
    world::adopt(&policy, &world, &next).unwrap();
    let change = NOON - DAY / 2 + 4 * DAY;
    assert_eq!(Ask::of(&policy, &world).goes(), SectionSet::ALL);
    assert_eq!(
        Ask::of(&policy, &world).decide().permit().unwrap().valid_until(),
        change
    );
    assert_eq!(Ask::of(&policy, &world).at(change - 1).goes(), SectionSet::ALL);
    assert_eq!(Ask::of(&policy, &world).at(change).goes(), Case.into());
    // When the new one is over the old one does not come back.
    assert_eq!(Ask::of(&policy, &world).at(change + 2 * DAY).stopped(), "not-in-force");
}

#[test]
fn a_condition_narrows_a_grant_and_one_that_errs_refuses() {
    let world = world();
    let condition = |text: &str| bilateral(&world, |t| t.grants[0].condition = Some(text.to_owned()));
    let seizures = condition(r#"resource.report_type == "seizure" && principal.role == "national""#);
    assert_eq!(Ask::of(&seizures, &world).goes(), SectionSet::ALL);
    let suspicion = Ask::of(&seizures, &world).with(|class| class.report_type = "suspicion".to_owned());
    assert_eq!(suspicion.stopped(), "not-covered");
    let open = condition(r#"action in Action::"open-sections" || resource.seizure_country == "UG""#);
    assert_eq!(Ask::of(&open, &world).goes(), Case.into());
    assert_eq!(
        Ask::of(&open, &world)
            .with(|class| class.seizure_country = "UG".to_owned())
            .goes(),
        SectionSet::ALL
    );

    let overflows = "resource.handling + 9223372036854775807 > 0";
    let errs = condition(overflows);
    assert_eq!(Ask::of(&errs, &world).goes(), SectionSet::ALL);
    let h1 = |policy| Ask::of(policy, &world).with(|class| class.handling_code = "H1".to_owned());
    assert_eq!(h1(&errs).stopped(), "evaluation-failed");
    // It refuses also what another grant would permit.
    let both = bilateral(&world, |t| {
        t.grants.push(grant("KE", "UG"));
        t.grants[0].condition = Some(overflows.to_owned());
    });
    assert_eq!(h1(&both).stopped(), "evaluation-failed");
}

#[test]
fn national_law_always_wins() {
    let world = world();
    let terms = terms("ke-ug", &["KE", "UG"], vec![grant("KE", "UG")]);
    let under = |text: &str| policy(&world, "KE", std::slice::from_ref(&terms), vec![law(text)]);
    let persons = under(r#"forbid (principal, action == Action::"persons", resource);"#);
    assert_eq!(Ask::of(&persons, &world).goes(), SectionSet::ALL.without(Persons));
    let nominal =
        under(r#"forbid (principal, action in Action::"nominal-sections", resource) when { resource.handling > 0 };"#);
    assert_eq!(Ask::of(&nominal, &world).goes(), SectionSet::ALL);
    let h1 = Ask::of(&nominal, &world).with(|class| class.handling_code = "H1".to_owned());
    assert_eq!(h1.goes(), set(&[Case, Exact, Narrative, Images]));
    let all = under(r#"@id("embargo") forbid (principal == Member::"UG", action, resource);"#);
    let decision = Ask::of(&all, &world).decide();
    assert_eq!(
        decision.forbidden().unwrap(),
        &Forbidden::Law {
            policies: vec!["law:law/embargo".to_owned()]
        }
    );
    let errs = under("forbid (principal, action, resource) when { resource.handling + 9223372036854775807 < 0 };");
    assert_eq!(Ask::of(&errs, &world).goes(), SectionSet::ALL);
    let h1 = Ask::of(&errs, &world).with(|class| class.handling_code = "H1".to_owned());
    assert_eq!(h1.stopped(), "evaluation-failed");
}

#[test]
fn a_class_that_is_not_understood_is_refused() {
    let world = world();
    let policy = bilateral(&world, |_| {});
    let ask = Ask::of(&policy, &world);
    let stopped = |bytes: &[u8]| ask.decide_bytes(Some(bytes)).forbidden().map(Forbidden::code);
    let good = ask.class.encode_to_vec();
    assert_eq!(stopped(&good), None);
    assert_eq!(ask.decide_bytes(None).forbidden(), Some(&Forbidden::NoClass));
    assert_eq!(stopped(&[]), Some("class-undecidable"));
    assert_eq!(stopped(&good[..good.len() - 1]), Some("class-undecidable"));
    // A field of a later version: number 15, one byte.
    assert_eq!(stopped(&[&good[..], &[0x78, 0x01]].concat()), Some("class-undecidable"));
    // The same field twice: decoders keep the last.
    assert_eq!(stopped(&[&good[..], &good[..]].concat()), Some("class-undecidable"));
    assert_eq!(stopped(&vec![b'x'; 5000]), Some("class-undecidable"));
    for change in [
        (|class| class.kind = 0) as fn(&mut v1::Class),
        |class| class.kind = 9,
        |class| class.kind = -1,
        |class| class.originator = "UG".to_owned(),
        |class| class.originator = String::new(),
        |class| class.handling_code = String::new(),
        |class| class.handling_code = "H4".to_owned(),
        |class| class.categories = vec!["tobacco".to_owned(), "drugs".to_owned()],
        |class| class.categories = vec!["drugs".to_owned(), "drugs".to_owned()],
        |class| class.categories = vec![String::new()],
    ] {
        let ask = Ask::of(&policy, &world).with(change);
        assert_eq!(ask.stopped(), "class-undecidable", "{:?}", ask.class);
    }
}

#[test]
fn strangers_and_false_roles_get_nothing() {
    let world = world();
    let policy = bilateral(&world, |_| {});
    let mut ask = Ask::of(&policy, &world);
    ask.receiver = Receiver {
        member: member("XX"),
        role: Role::National,
    };
    assert_eq!(ask.stopped(), "unknown-member");
    ask.receiver = Receiver {
        member: member("UG"),
        role: Role::Regional,
    };
    assert_eq!(ask.stopped(), "other-role");
    assert_eq!(Ask::of(&policy, &world).to("KE").stopped(), "own-records");
}

/// RILO-ESA's policy: KE gives it everything under this onward rule, it gives UG and WCO what it has.
fn hub(world: &Arc<World>, change: impl FnOnce(&mut Terms)) -> Policy {
    let mut given = grant("KE", "RILO-ESA");
    given.onward = passing_on(OnwardRule::Region, &[], set(&[Case, Exact]), HandlingCode::H1);
    let mut terms = terms(
        "esa",
        &["RILO-ESA", "KE", "UG", "TZ"],
        vec![given, grant("RILO-ESA", "parties")],
    );
    change(&mut terms);
    policy(world, "RILO-ESA", &[terms], vec![])
}

#[test]
fn records_go_onward_only_as_their_originator_allows() {
    let world = world();
    let onward = |policy: &Policy, to: &str| {
        let ask = Ask::of(policy, &world).from("RILO-ESA").to(to);
        match ask.decide() {
            Decision::Permit(permit) => Ok(permit.sections()),
            Decision::Forbid(forbidden) => Err(forbidden.code()),
        }
    };
    let region = hub(&world, |_| {});
    assert_eq!(onward(&region, "UG"), Ok(set(&[Case, Exact])));
    assert_eq!(onward(&region, "TZ"), Ok(set(&[Case, Exact])));
    assert_eq!(onward(&region, "ES"), Err("not-onward"));
    assert_eq!(onward(&region, "WCO"), Err("not-upstream"));
    // Nothing identifying goes onward, whatever both grants give.
    let ask = Ask::of(&region, &world).from("RILO-ESA");
    assert!(!ask.goes().contains(Persons) && !ask.goes().contains(Companies));

    let none = hub(&world, |t| t.grants[0].onward = icomm_policy::agreement::Onward::none());
    assert_eq!(onward(&none, "UG"), Err("not-onward"));
    let consent = hub(&world, |t| {
        t.grants[0].onward = icomm_policy::agreement::Onward::none();
        t.grants[0].onward.rule = OnwardRule::WithConsent;
    });
    assert_eq!(onward(&consent, "UG"), Err("consent-needed"));
    let listed = hub(&world, |t| {
        t.grants[0].onward = passing_on(OnwardRule::Listed, &["TZ"], Case.into(), HandlingCode::H3);
    });
    assert_eq!(onward(&listed, "TZ"), Ok(Case.into()));
    assert_eq!(onward(&listed, "UG"), Err("not-onward"));
    // The holder must have a grant to the receiver as well, and only what both give goes.
    let alone = hub(&world, |t| t.grants.truncate(1));
    assert_eq!(onward(&alone, "UG"), Err("no-agreement"));
    let narrow = hub(&world, |t| t.grants[1].sections = Case.into());
    assert_eq!(onward(&narrow, "UG"), Ok(Case.into()));
}

#[test]
fn the_originators_terms_travel_with_its_records() {
    let world = world();
    let inherited = hub(&world, |t| {
        t.grants[0].purposes = [Purpose::RiskAnalysis, Purpose::Statistics].into();
        t.grants[0].use_in_court = UseInCourt::WithConsent;
        t.grants[0].retention = Retention {
            days: 30,
            then: Expiry::Restrict,
        };
        t.grants[1].purposes = [Purpose::Statistics, Purpose::Investigation].into();
    });
    let decision = Ask::of(&inherited, &world).from("RILO-ESA").decide();
    let basis = &decision.permit().unwrap().bases()[0];
    assert_eq!(basis.way, Way::Onward);
    assert_eq!((basis.grant.grant, basis.through.as_ref().unwrap().grant), (0, 1));
    assert_eq!(basis.purposes, [Purpose::Statistics].into());
    assert_eq!(basis.use_in_court, UseInCourt::WithConsent);
    assert_eq!(
        basis.retention,
        Retention {
            days: 30,
            then: Expiry::Erase
        }
    );
    let by_purpose = |purpose| Ask::of(&inherited, &world).from("RILO-ESA").on(purpose);
    assert_eq!(by_purpose(Purpose::Statistics).goes(), set(&[Case, Exact]));
    assert_eq!(by_purpose(Purpose::RiskAnalysis).stopped(), "no-common-purpose");

    let disjoint = hub(&world, |t| {
        t.grants[0].purposes = [Purpose::Statistics].into();
        t.grants[1].purposes = [Purpose::Investigation].into();
    });
    assert_eq!(
        Ask::of(&disjoint, &world).from("RILO-ESA").stopped(),
        "no-common-purpose"
    );

    let handling = hub(&world, |_| {});
    let h2 = Ask::of(&handling, &world)
        .from("RILO-ESA")
        .with(|class| class.handling_code = "H2".to_owned());
    assert_eq!(h2.stopped(), "not-covered");
    // To the office itself it went.
    let direct = Ask::of(&handling, &world)
        .to("RILO-ESA")
        .with(|class| class.handling_code = "H2".to_owned());
    assert_eq!(direct.goes(), SectionSet::ALL);
    // Suspended towards the office: nothing goes onward either.
    let suspension = world.suspension("esa", 1, "KE");
    handling.receive(DocumentKind::Suspension, &suspension, NOON).unwrap();
    assert_eq!(Ask::of(&handling, &world).from("RILO-ESA").stopped(), "not-in-force");
}

#[test]
fn the_global_node_gets_the_open_section_only() {
    let world = world();
    let upstream = hub(&world, |t| t.grants[0].upstream = true);
    let ask = Ask::of(&upstream, &world).from("RILO-ESA").to("WCO");
    assert_eq!(ask.goes(), Case.into());
    assert_eq!(ask.decide().permit().unwrap().bases()[0].way, Way::Upstream);
    // Directly, on a grant of its own.
    let mut terms = terms("ke-wco", &["KE", "WCO"], vec![grant("KE", "WCO")]);
    terms.grants[0].sections = Case.into();
    let direct = policy(&world, "KE", &[terms], vec![]);
    assert_eq!(Ask::of(&direct, &world).to("WCO").goes(), Case.into());
    // National law of the hub wins here too.
    let mut given = grant("KE", "RILO-ESA");
    given.upstream = true;
    let agreement = world::terms("esa", &["RILO-ESA", "KE"], vec![given]);
    let overlay = law(r#"forbid (principal, action, resource) when { context.onward && principal.role == "global" };"#);
    let forbidden = policy(&world, "RILO-ESA", &[agreement], vec![overlay]);
    assert_eq!(
        Ask::of(&forbidden, &world).from("RILO-ESA").to("WCO").stopped(),
        "national-law"
    );
}

#[test]
fn a_member_that_becomes_global_gets_the_open_section_only() {
    let world = world();
    let policy = bilateral(&world, |_| {});
    let mut changed = World(world.0.clone());
    changed.0.get_mut(&member("UG")).unwrap().role = Role::Global;
    let mut session = policy.session(world.receiver("UG"));
    policy.set_directory(Arc::new(changed));
    // Its link of before shows a role that is no longer its own.
    assert_eq!(session.basis(&member("KE"), NOON).unwrap_err().code(), "other-role");
    let mut ask = Ask::of(&policy, &world);
    ask.receiver.role = Role::Global;
    assert_eq!(ask.goes(), Case.into());
    assert!(matches!(policy.session(ask.receiver), SessionPolicy::Upstream(_)));
}

#[test]
fn a_session_serves_no_log_without_a_basis_and_stops_when_it_lapses() {
    let world = world();
    let policy = bilateral(&world, |t| t.in_force_until = Some("2026-12-10".parse().unwrap()));
    let SessionPolicy::Peer(mut session) = policy.session(world.receiver("UG")) else {
        panic!("UG is a peer")
    };
    let (ke, record) = (member("KE"), view(&class("KE")));
    assert!(session.basis(&member("TZ"), NOON).is_err());
    assert!(session.basis(&ke, NOON - DAY).is_err());
    assert!(session.basis(&ke, NOON).is_ok());
    for _ in 0..3 {
        assert_eq!(
            session.disclose(&ke, &record.borrowed(), NOON).sections(),
            SectionSet::ALL
        );
    }
    // Time alone ends it.
    assert!(session.disclose(&ke, &record.borrowed(), NOON + 10 * DAY).is_withheld());
    assert!(session.basis(&ke, NOON + 10 * DAY).is_err());
    assert!(session.basis(&ke, NOON).is_ok());
    // A change is noticed at the next record.
    let generation = session.generation();
    assert_eq!(generation, policy.generation());
    policy
        .receive(DocumentKind::Suspension, &world.suspension("ke-ug", 1, "UG"), NOON)
        .unwrap();
    assert_ne!(session.generation(), policy.generation());
    assert!(session.disclose(&ke, &record.borrowed(), NOON).is_withheld());
    assert_eq!(session.basis(&ke, NOON).unwrap_err().code(), "not-in-force");
    assert_eq!(session.generation(), policy.generation());
    // What changes nothing makes no generation.
    policy
        .receive(DocumentKind::Suspension, &world.suspension("ke-ug", 1, "UG"), NOON)
        .unwrap();
    assert_eq!(session.generation(), policy.generation());
}

#[test]
fn a_session_to_the_global_node_yields_denominalised_views_only() {
    let world = world();
    let policy = hub(&world, |t| t.grants[0].upstream = true);
    let SessionPolicy::Upstream(mut session) = policy.session(world.receiver("WCO")) else {
        panic!("the global node gets an upstream session")
    };
    let record = view(&class("KE"));
    let upstream = session.disclose(&member("KE"), &record.borrowed(), NOON).unwrap();
    assert_eq!(upstream.view().unwrap().sections(), Case.into());
    assert_eq!(upstream.leaf_hash(), record.leaf_hash());
    let of_tz = view(&class("TZ"));
    let withheld = session.disclose(&member("TZ"), &of_tz.borrowed(), NOON).unwrap();
    assert!(withheld.view().is_none() && withheld.permit().is_none());
    // Who only says that it is global gets nothing.
    let liar = Receiver {
        member: member("UG"),
        role: Role::Global,
    };
    assert!(policy.session(liar).basis(&member("KE"), NOON).is_err());
    // Who only says that it is not global gets nothing either.
    let liar = Receiver {
        member: member("WCO"),
        role: Role::National,
    };
    assert!(policy.session(liar).basis(&member("KE"), NOON).is_err());
}

#[test]
fn a_session_remembers_a_bounded_number_of_classes() {
    let world = world();
    let policy = bilateral(&world, |_| {});
    let SessionPolicy::Peer(mut session) = policy.session(world.receiver("UG")) else {
        panic!("UG is a peer")
    };
    // Classes of bytes that can't be decoded cost nothing to decide, but are remembered as well.
    for i in 0..icomm_policy::REMEMBERED_CLASSES_MAX + 10 {
        let mut class = class("KE");
        class.handling_code = format!("X{i}");
        let forbidden = session
            .decide(&member("KE"), &world::view_of(&class, Case.into()).borrowed(), NOON)
            .clone();
        assert_eq!(forbidden.forbidden().unwrap().code(), "class-undecidable");
    }
    assert_eq!(
        session
            .disclose(&member("KE"), &view(&class("KE")).borrowed(), NOON)
            .sections(),
        SectionSet::ALL
    );
    let mut long = class("KE");
    long.operation_id = "x".repeat(2000);
    assert!(
        session
            .disclose(&member("KE"), &view(&long).borrowed(), NOON)
            .is_withheld()
    );
}

#[test]
fn an_explanation_says_what_goes_and_which_rule_stops_the_rest() {
    let world = world();
    let policy = hub(&world, |t| t.grants[0].sections = SectionSet::ALL.without(Persons));
    let record = view(&class("KE"));
    let explain = |holder: &str, to: &str, purpose| {
        let (origin, holder, receiver) = (member("KE"), member(holder), world.receiver(to));
        let class = record.class_bytes();
        let request = Request {
            origin: &origin,
            holder: &holder,
            receiver: &receiver,
            purpose,
            class,
            entry: None,
            now: NOON,
        };
        policy.explain(&request, record.sections())
    };
    let direct = explain("KE", "RILO-ESA", None);
    assert_eq!(direct.goes, SectionSet::ALL.without(Persons));
    assert_eq!(direct.sections.len(), 7);
    let persons = direct.sections.iter().find(|fate| fate.section == Persons).unwrap();
    assert_eq!(
        (persons.goes, persons.why.as_str()),
        (false, "no grant in force gives it")
    );
    let text = direct.to_string();
    assert!(
        text.contains("case        goes      `esa` version 1, grant 0\n"),
        "{text}"
    );
    assert!(text.contains("kept 100 days, then erased"), "{text}");

    let onward = explain("RILO-ESA", "UG", None);
    assert_eq!(onward.goes, set(&[Case, Exact]));
    let text = onward.to_string();
    assert!(
        text.contains("`esa` version 1, grant 0, onward through `esa` version 1, grant 1"),
        "{text}"
    );
    assert!(text.contains("onward it gives case+exact only"), "{text}");

    let stopped = explain("RILO-ESA", "WCO", None);
    assert!(stopped.goes.is_empty());
    assert_eq!(stopped.stopped_by.as_ref().unwrap().code, "not-upstream");
    assert!(
        stopped.to_string().contains("it does not let the record go upstream"),
        "{stopped}"
    );
    let json = serde_json::to_value(&stopped).unwrap();
    assert_eq!(json["stopped_by"]["code"], "not-upstream");
    assert_eq!(json["grants"][0]["standing"], "in-force");
    // Nothing of the record itself is in it.
    for section in SectionKind::ALL {
        assert!(!json.to_string().contains(&world::planted(section)));
    }
}
