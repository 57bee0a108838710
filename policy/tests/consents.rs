//! What a consent lets go and what it does not: each rule, with the code of what stops it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test")]

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use icomm_pki::MemberId;
use icomm_policy::agreement::{HandlingCode, Onward, OnwardRule, Purpose, Signed, Statement, Terms, Verified};
use icomm_policy::consent::{ConsentFormat, ConsentRequestFormat};
use icomm_policy::{
    Consent, ConsentRefusal, ConsentRequest, Digest, KeyDirectory, Policy, SessionPolicy, Subject, Verdict,
};
use icomm_proto::log::ChunkBuilder;
use icomm_proto::{EntryHead, EntryKind, RecordId, RecordKind, SectionKind, SectionSet, View, v1};
use prost::Message;

#[path = "support/world.rs"]
mod world;

use world::{DAY, NOON, World, adopt, class, grant, member, passing_on, planted, policy, set, terms, world};

use SectionKind::{Case, Exact, Persons};

const FOR: Purpose = Purpose::Investigation;

fn with_consent() -> Onward {
    Onward {
        rule: OnwardRule::WithConsent,
        ..Onward::none()
    }
}

/// KE gives its office everything, onward by consent; the office gives members everything; KE gives the root the open section.
fn esa() -> Terms {
    let mut by_consent = grant("KE", "RILO-ESA");
    by_consent.onward = with_consent();
    by_consent.upstream = true;
    let mut terms = terms(
        "esa",
        &["KE", "RILO-ESA", "UG", "TZ"],
        vec![by_consent, grant("RILO-ESA", "parties")],
    );
    terms.grants[1].sections = SectionSet::ALL;
    terms
}

fn office(world: &Arc<World>) -> Policy {
    policy(world, "RILO-ESA", &[esa()], vec![])
}

/// A record of KE with a name planted in each section.
fn record(serial: u8, version: u32, class: &v1::Class) -> View {
    let case = v1::Case {
        class: Some(class.clone()),
        outcome: planted(Case),
        ..Default::default()
    };
    let bytes = |kind: SectionKind| match kind {
        Case => case.encode_to_vec(),
        _ => planted(kind).into_bytes(),
    };
    let sections: Vec<(SectionKind, Vec<u8>)> = SectionKind::ALL.map(|kind| (kind, bytes(kind))).to_vec();
    let sections: Vec<(SectionKind, &[u8])> = sections.iter().map(|(kind, bytes)| (*kind, bytes.as_slice())).collect();
    let head = EntryHead {
        kind: if version == 1 {
            EntryKind::Issue
        } else {
            EntryKind::Amend
        },
        record_kind: RecordKind::Seizure,
        record_id: RecordId::new(NOON * 1000, [serial; 10]),
        version,
    };
    let mut random = SmallRng::seed_from_u64(u64::from(serial) << 32 | u64::from(version));
    icomm_proto::seal::seal(&head, &sections, &mut random).unwrap()
}

fn of_record(view: &View) -> Subject {
    let head = view.head();
    Subject::Record {
        origin: "KE/main".parse().unwrap(),
        record: head.record_id,
        version: head.version,
        leaf: view.leaf_hash(),
    }
}

fn of_operation(operation: &str) -> Subject {
    Subject::Operation {
        owner: member("KE"),
        operation: operation.parse().unwrap(),
    }
}

fn ask(subject: Subject, sections: SectionSet, to: &str) -> ConsentRequest {
    ConsentRequest {
        format: ConsentRequestFormat::V1,
        subject,
        sections,
        to: member(to),
        purpose: FOR,
        agreement: "esa".parse().unwrap(),
        after: 0,
        by: member("RILO-ESA"),
        at: NOON - 60,
        reason: Default::default(),
    }
}

fn answer(request: &ConsentRequest, version: u32, verdict: Verdict) -> Consent {
    Consent {
        format: ConsentFormat::V1,
        request: Digest::of(b"the request"),
        subject: request.subject.clone(),
        sections: request.sections,
        holder: request.by.clone(),
        to: request.to.clone(),
        purpose: request.purpose,
        agreement: request.agreement.clone(),
        version,
        verdict,
        until: if verdict == Verdict::Approved { NOON + DAY } else { 0 },
        officer: "duty-officer-3".parse().unwrap(),
        by: request.subject.owner().clone(),
        at: NOON - 30,
        reason: Default::default(),
    }
}

fn signed<T: Statement>(world: &World, statement: T) -> Verified<T> {
    let key = &world.0[statement.by()].key;
    Signed::sign(statement, key).unwrap().verify(world).unwrap()
}

fn take(policy: &Policy, world: &World, consent: Consent, number: u64) -> Result<(), ConsentRefusal> {
    policy.take_consent(&signed(world, consent), number)
}

/// What goes of a record at a time, and the bytes that would.
fn sent(session: &mut SessionPolicy, view: &View, now: u64) -> (SectionSet, Vec<u8>) {
    let origin = member("KE");
    let mut chunk = ChunkBuilder::with_capacity(64);
    let sections = match session {
        SessionPolicy::Peer(session) => {
            let disclosed = session.disclose(&origin, &view.borrowed(), now);
            disclosed.write(&mut chunk);
            disclosed.sections()
        }
        SessionPolicy::Upstream(session) => {
            let upstream = session.disclose(&origin, &view.borrowed(), now).unwrap();
            upstream.write(&mut chunk);
            upstream.view().map_or(SectionSet::EMPTY, |_| SectionSet::open())
        }
    };
    (sections, chunk.finish().unwrap().bytes().to_vec())
}

fn goes(policy: &Policy, world: &World, to: &str, view: &View, now: u64) -> SectionSet {
    let (sections, bytes) = sent(&mut policy.session(world.receiver(to)), view, now);
    for kind in SectionKind::ALL {
        let name = planted(kind);
        let found = bytes.windows(name.len()).any(|window| window == name.as_bytes());
        assert_eq!(found, sections.contains(kind), "{kind} to {to}");
    }
    sections
}

/// The code of what keeps a whole log from a receiver.
fn stopped(policy: &Policy, world: &World, to: &str) -> &'static str {
    let mut session = policy.session(world.receiver(to));
    session.basis(&member("KE"), NOON).unwrap_err().code()
}

const NOTHING: SectionSet = SectionSet::EMPTY;

#[test]
fn without_consent_not_even_the_log_is_served_where_a_grant_asks_for_it() {
    let world = world();
    let policy = office(&world);
    assert_eq!(stopped(&policy, &world, "UG"), "consent-needed");
    assert_eq!(goes(&policy, &world, "UG", &record(1, 1, &class("KE")), NOON), NOTHING);
}

#[test]
fn a_consent_lets_exactly_these_sections_of_exactly_this_entry_go_to_exactly_that_member() {
    let world = world();
    let policy = office(&world);
    let view = record(1, 1, &class("KE"));
    let wanted = set(&[Case, Exact, Persons]);
    take(
        &policy,
        &world,
        answer(&ask(of_record(&view), wanted, "UG"), 1, Verdict::Approved),
        1,
    )
    .unwrap();
    assert_eq!(goes(&policy, &world, "UG", &view, NOON), wanted);
    // Neither another record, nor another version of it, nor to another member.
    assert_eq!(goes(&policy, &world, "UG", &record(2, 1, &class("KE")), NOON), NOTHING);
    assert_eq!(goes(&policy, &world, "UG", &record(1, 2, &class("KE")), NOON), NOTHING);
    assert_eq!(goes(&policy, &world, "TZ", &view, NOON), NOTHING);
    assert_eq!(stopped(&policy, &world, "TZ"), "consent-needed");
    // Until its time is over.
    assert_eq!(goes(&policy, &world, "UG", &view, NOON + DAY - 1), wanted);
    assert_eq!(goes(&policy, &world, "UG", &view, NOON + DAY), NOTHING);
    let mut session = policy.session(world.receiver("UG"));
    assert_eq!(sent(&mut session, &view, NOON).0, wanted);
    assert_eq!(
        sent(&mut session, &view, NOON + DAY).0,
        NOTHING,
        "the same session, later"
    );
    assert_eq!(
        session.basis(&member("KE"), NOON + DAY).unwrap_err().code(),
        "consent-needed"
    );
}

#[test]
fn the_basis_cites_the_consent_and_its_purpose_alone() {
    let world = world();
    let policy = office(&world);
    let view = record(1, 1, &class("KE"));
    let consent = signed(
        &world,
        answer(
            &ask(of_record(&view), set(&[Case, Persons]), "UG"),
            1,
            Verdict::Approved,
        ),
    );
    policy.take_consent(&consent, 7).unwrap();
    let digest = Digest::of(&consent.signed().to_bytes());
    let SessionPolicy::Peer(mut session) = policy.session(world.receiver("UG")) else {
        panic!()
    };
    let permit = session
        .decide(&member("KE"), &view.borrowed(), NOON)
        .permit()
        .unwrap()
        .clone();
    let [basis] = permit.bases() else { panic!("{permit:?}") };
    assert_eq!(
        basis.to_string(),
        format!("`esa` version 1, grant 0, onward through `esa` version 1, grant 1, by consent {digest}")
    );
    assert_eq!(basis.purposes, [FOR].into());
    assert_eq!(serde_json::to_value(basis).unwrap()["consent"], digest.to_string());
    // The permit itself is for this entry alone, whoever keeps it.
    assert!(permit.covers(&view.borrowed(), NOON));
    assert!(!permit.covers(&record(2, 1, &class("KE")).borrowed(), NOON));
    assert_eq!(permit.valid_until(), NOON + DAY);
}

#[test]
fn what_goes_at_large_goes_on_beside_a_consent() {
    let world = world();
    let mut agreed = esa();
    let mut region = grant("KE", "RILO-ESA");
    region.onward = passing_on(OnwardRule::Region, &[], set(&[Case]), HandlingCode::H3);
    agreed.grants.push(region);
    let policy = policy(&world, "RILO-ESA", &[agreed], vec![]);
    let view = record(1, 1, &class("KE"));
    assert_eq!(goes(&policy, &world, "UG", &view, NOON), set(&[Case]));
    let request = ask(of_record(&view), set(&[Case, Persons]), "UG");
    take(&policy, &world, answer(&request, 1, Verdict::Approved), 1).unwrap();
    assert_eq!(goes(&policy, &world, "UG", &view, NOON), set(&[Case, Persons]));
    assert_eq!(
        goes(&policy, &world, "UG", &record(2, 1, &class("KE")), NOON),
        set(&[Case])
    );
    assert_eq!(goes(&policy, &world, "TZ", &view, NOON), set(&[Case]));
}

#[test]
fn a_consent_adds_nothing_to_what_both_grants_give() {
    let world = world();
    let view = record(1, 1, &class("KE"));
    let request = ask(of_record(&view), set(&[Case, Exact, Persons]), "UG");
    let given = |change: &dyn Fn(&mut Terms), consent: Consent| {
        let mut agreed = esa();
        change(&mut agreed);
        let policy = policy(&world, "RILO-ESA", &[agreed], vec![]);
        take(&policy, &world, consent, 1).unwrap();
        goes(&policy, &world, "UG", &view, NOON)
    };
    let approved = || answer(&request, 1, Verdict::Approved);
    assert_eq!(given(&|_| {}, approved()), set(&[Case, Exact, Persons]));
    let first = |t: &mut Terms| t.grants[0].sections = set(&[Case, Persons]);
    assert_eq!(given(&first, approved()), set(&[Case, Persons]));
    let second = |t: &mut Terms| t.grants[1].sections = set(&[Case, Exact]);
    assert_eq!(given(&second, approved()), set(&[Case, Exact]));
    // Not where the grant says that nothing goes onward, for a purpose that it does not have, or under another agreement.
    assert_eq!(given(&|t| t.grants[0].onward = Onward::none(), approved()), NOTHING);
    assert_eq!(
        given(&|t| t.grants[0].purposes = [Purpose::Statistics].into(), approved()),
        NOTHING
    );
    assert_eq!(
        given(&|t| t.grants[1].purposes = [Purpose::Statistics].into(), approved()),
        NOTHING
    );
    let elsewhere = Consent {
        agreement: "other".parse().unwrap(),
        ..approved()
    };
    assert_eq!(given(&|_| {}, elsewhere), NOTHING);
    // A class that the first grant does not cover.
    assert_eq!(
        given(&|t| t.grants[0].kinds = [RecordKind::Suspect].into(), approved()),
        NOTHING
    );
}

#[test]
fn a_suspended_agreement_stops_what_was_consented_to() {
    let world = world();
    let policy = office(&world);
    let view = record(1, 1, &class("KE"));
    let request = ask(of_record(&view), set(&[Case]), "UG");
    take(&policy, &world, answer(&request, 1, Verdict::Approved), 1).unwrap();
    let mut session = policy.session(world.receiver("UG"));
    assert_eq!(sent(&mut session, &view, NOON).0, set(&[Case]));
    let suspension = world.suspension("esa", 1, "KE");
    policy
        .receive(icomm_policy::DocumentKind::Suspension, &suspension, NOON)
        .unwrap();
    assert_eq!(sent(&mut session, &view, NOON).0, NOTHING);
}

#[test]
fn a_revocation_counts_at_once_and_the_approval_never_comes_back() {
    let world = world();
    let policy = office(&world);
    let view = record(1, 1, &class("KE"));
    let request = ask(of_record(&view), set(&[Case, Persons]), "UG");
    let approval = answer(&request, 1, Verdict::Approved);
    take(&policy, &world, approval.clone(), 1).unwrap();
    let mut session = policy.session(world.receiver("UG"));
    assert_eq!(sent(&mut session, &view, NOON).0, request.sections);
    take(&policy, &world, answer(&request, 2, Verdict::Revoked), 2).unwrap();
    assert_eq!(sent(&mut session, &view, NOON).0, NOTHING);
    let replayed = take(&policy, &world, approval.clone(), 3).unwrap_err();
    assert_eq!(replayed.code(), "older-consent");
    let same = Consent {
        version: 2,
        ..approval.clone()
    };
    assert_eq!(take(&policy, &world, same, 3).unwrap_err().code(), "other-consent");
    assert_eq!(sent(&mut session, &view, NOON).0, NOTHING);
    // A later approval is another matter.
    let renewed = Consent { version: 3, ..approval };
    take(&policy, &world, renewed, 3).unwrap();
    assert_eq!(sent(&mut session, &view, NOON).0, request.sections);
}

#[test]
fn a_refusal_lets_nothing_go() {
    let world = world();
    let policy = office(&world);
    let view = record(1, 1, &class("KE"));
    let request = ask(of_record(&view), set(&[Case]), "UG");
    take(&policy, &world, answer(&request, 1, Verdict::Refused), 1).unwrap();
    assert_eq!(goes(&policy, &world, "UG", &view, NOON), NOTHING);
    assert_eq!(stopped(&policy, &world, "UG"), "consent-needed");
}

#[test]
fn who_may_not_answer_is_not_heard() {
    let world = world();
    let policy = office(&world);
    let view = record(1, 1, &class("KE"));
    let approval = answer(&ask(of_record(&view), set(&[Case]), "UG"), 1, Verdict::Approved);
    // Signed by another member in its own name.
    let usurped = Consent {
        by: member("UG"),
        ..approval.clone()
    };
    assert_eq!(take(&policy, &world, usurped, 1).unwrap_err().code(), "not-the-owner");
    // For another holder.
    let other = Consent {
        holder: member("TZ"),
        ..approval.clone()
    };
    assert_eq!(
        take(&policy, &world, other, 1).unwrap_err().code(),
        "misdirected-consent"
    );
    // Signed with another key.
    let key = &world.0[&member("UG")].key;
    let forged = Signed::sign(approval.clone(), key).unwrap().to_bytes();
    let refused = Consent::verify(&forged, &*world).unwrap_err();
    assert_eq!(refused.code(), "forged-consent");
    assert_eq!(goes(&policy, &world, "UG", &view, NOON), NOTHING);
}

#[test]
fn the_revision_tells_what_an_earlier_consent_gave() {
    let world = world();
    let policy = office(&world);
    let (one, two) = (record(1, 1, &class("KE")), record(2, 1, &class("KE")));
    let (ke, ug) = (member("KE"), world.receiver("UG"));
    let wanted = set(&[Case, Persons]);
    let approve = |view: &View, version, number| {
        let request = ask(of_record(view), wanted, "UG");
        take(&policy, &world, answer(&request, version, Verdict::Approved), number).unwrap();
    };
    let revision = || {
        let mut session = policy.session(ug.clone());
        session.revision(&ke, NOON).unwrap().clone()
    };
    let gave = |revision: &icomm_policy::Revision, view: &View| {
        let mut earlier = policy.earlier(&ke, &ug, revision);
        assert!(earlier.is_known());
        earlier.gave(&view.borrowed())
    };
    approve(&one, 1, 5);
    let first = revision();
    assert_eq!((gave(&first, &one), gave(&first, &two)), (wanted, NOTHING));
    approve(&two, 1, 6);
    let second = revision();
    assert_ne!(first, second);
    assert_eq!(first.as_str().parse::<icomm_policy::Revision>().unwrap(), first);
    assert_eq!((gave(&first, &one), gave(&first, &two)), (wanted, NOTHING));
    assert_eq!((gave(&second, &one), gave(&second, &two)), (wanted, wanted));
    // What was revoked and approved again is not taken for sent.
    let request = ask(of_record(&one), wanted, "UG");
    take(&policy, &world, answer(&request, 2, Verdict::Revoked), 7).unwrap();
    approve(&one, 3, 8);
    assert_eq!((gave(&second, &one), gave(&second, &two)), (NOTHING, wanted));
}

fn of(operation: &str) -> v1::Class {
    v1::Class {
        operation_id: operation.to_owned(),
        ..class("KE")
    }
}

/// KE's own agreement with the root.
fn contribution() -> Terms {
    let mut open = grant("KE", "WCO");
    open.sections = set(&[Case]);
    let mut terms = terms("ke-wco", &["KE", "WCO"], vec![open]);
    terms.id = "ke-wco".parse().unwrap();
    terms
}

#[test]
fn operation_data_goes_to_the_root_with_the_owners_approval_only() {
    let world = world();
    let root = |holder: &str, agreed: Terms| {
        let policy = policy(&world, holder, std::slice::from_ref(&agreed), vec![]);
        let (ordinary, ours, other) = (
            record(1, 1, &class("KE")),
            record(2, 1, &of("DEMETER-9")),
            record(3, 1, &of("X")),
        );
        assert_eq!(goes(&policy, &world, "WCO", &ordinary, NOON), set(&[Case]), "{holder}");
        assert_eq!(goes(&policy, &world, "WCO", &ours, NOON), NOTHING, "{holder}: pending");
        let forbidden = match policy.session(world.receiver("WCO")) {
            SessionPolicy::Upstream(mut session) => {
                let decision = session.decide(&member("KE"), &ours.borrowed(), NOON);
                decision.forbidden().unwrap().clone()
            }
            SessionPolicy::Peer(_) => panic!(),
        };
        assert_eq!(forbidden.code(), "approval-needed");
        let request = ConsentRequest {
            by: member(holder),
            agreement: agreed.id.clone(),
            ..ask(of_operation("DEMETER-9"), set(&[Case]), "WCO")
        };
        take(&policy, &world, answer(&request, 1, Verdict::Approved), 1).unwrap();
        assert_eq!(
            goes(&policy, &world, "WCO", &ours, NOON),
            set(&[Case]),
            "{holder}: approved"
        );
        assert_eq!(goes(&policy, &world, "WCO", &other, NOON), NOTHING, "another operation");
        assert_eq!(
            goes(&policy, &world, "WCO", &ours, NOON + DAY),
            NOTHING,
            "its time is over"
        );
        take(&policy, &world, answer(&request, 2, Verdict::Revoked), 2).unwrap();
        assert_eq!(goes(&policy, &world, "WCO", &ours, NOON), NOTHING, "{holder}: revoked");
        assert_eq!(goes(&policy, &world, "WCO", &ordinary, NOON), set(&[Case]), "{holder}");
        // One record of the operation can be approved by itself.
        let request = ConsentRequest {
            subject: of_record(&other),
            ..request
        };
        take(&policy, &world, answer(&request, 1, Verdict::Approved), 3).unwrap();
        assert_eq!(goes(&policy, &world, "WCO", &other, NOON), set(&[Case]));
        assert_eq!(goes(&policy, &world, "WCO", &record(4, 1, &of("X")), NOON), NOTHING);
    };
    root("KE", contribution());
    root("RILO-ESA", esa());
}

#[test]
fn what_a_consent_would_give_is_told_before_anybody_is_asked() {
    let world = world();
    let policy = office(&world);
    let (ke, holder) = (member("KE"), member("RILO-ESA"));
    let view = record(1, 1, &class("KE"));
    let bytes = view.class_bytes().unwrap();
    let request = ask(of_record(&view), set(&[Case, Persons]), "UG");
    assert_eq!(policy.with_consent(&request, bytes, NOON).unwrap(), request.sections);
    let grounds = |to: &str| policy.consent_grounds(&ke, &holder, &member(to), NOON);
    assert_eq!(grounds("UG").unwrap(), ["esa".parse().unwrap()]);
    assert_eq!(grounds("WCO").unwrap(), ["esa".parse().unwrap()]);
    // Spain has no agreement with the office, and nothing but the open section goes to the root.
    let to_spain = ConsentRequest {
        to: member("ES"),
        ..request.clone()
    };
    assert_eq!(
        policy.with_consent(&to_spain, bytes, NOON).unwrap_err().code(),
        "no-agreement"
    );
    let to_root = ConsentRequest {
        to: member("WCO"),
        ..request.clone()
    };
    assert_eq!(policy.with_consent(&to_root, bytes, NOON).unwrap(), NOTHING);
    // Asking gives nothing.
    assert_eq!(goes(&policy, &world, "UG", &view, NOON), NOTHING);
    let nothing_onward = {
        let mut agreed = esa();
        agreed.grants[0].onward = Onward::none();
        world::policy(&world, "RILO-ESA", &[agreed], vec![])
    };
    let refused: MemberId = member("UG");
    let refused = nothing_onward
        .consent_grounds(&ke, &holder, &refused, NOON)
        .unwrap_err();
    assert_eq!(refused.code(), "not-onward");
    assert!(world.key(&ke).is_some());
}

#[test]
fn what_went_by_consent_may_stay_while_the_terms_ask_for_consent_whatever_became_of_it() {
    let world = world();
    let policy = office(&world);
    let view = record(1, 1, &class("KE"));
    let wanted = set(&[Case, Exact, Persons]);
    let keeps = |consented: SectionSet, now: u64| {
        let mut covered = policy.covered(&member("KE"), &world.receiver("UG"), now);
        covered.sections(&view.borrowed(), consented)
    };
    assert_eq!(keeps(wanted, NOON), NOTHING, "nobody was ever asked");
    let request = ask(of_record(&view), wanted, "UG");
    take(&policy, &world, answer(&request, 1, Verdict::Approved), 1).unwrap();
    assert_eq!(keeps(wanted, NOON), wanted);
    assert_eq!(
        keeps(NOTHING, NOON),
        NOTHING,
        "what went without it is not covered by it"
    );
    assert_eq!(keeps(wanted, NOON + 2 * DAY), wanted, "its time is over");
    take(&policy, &world, answer(&request, 2, Verdict::Revoked), 2).unwrap();
    assert_eq!(goes(&policy, &world, "UG", &view, NOON), NOTHING);
    assert_eq!(keeps(wanted, NOON), wanted, "revoked");
    // A later answer for less does not make what went before it less.
    let less = Consent {
        version: 3,
        sections: SectionSet::open(),
        ..answer(&request, 1, Verdict::Approved)
    };
    take(&policy, &world, less, 3).unwrap();
    assert_eq!(keeps(wanted, NOON), wanted);

    let narrower = |version: u32, change: &dyn Fn(&mut Terms)| {
        let mut terms = esa();
        terms.version = version;
        change(&mut terms);
        adopt(&policy, &world, &terms).unwrap();
    };
    narrower(2, &|terms| terms.grants[0].sections = set(&[Case, Exact]));
    assert_eq!(keeps(wanted, NOON), set(&[Case, Exact]));
    narrower(3, &|terms| terms.grants[0].onward = Onward::none());
    assert_eq!(keeps(wanted, NOON), NOTHING);
}
