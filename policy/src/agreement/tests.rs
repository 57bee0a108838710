//! Documents: what is read, what is refused and how the refusal reads.

use std::collections::BTreeMap;

use proptest::prelude::*;

use icomm_pki::{MemberKey, MemberPublicKey, Role};
use icomm_proto::{RecordKind, SectionKind, SectionSet};

use super::*;
use crate::directory::KeyDirectory;

fn member(id: &str) -> MemberId {
    id.parse().unwrap()
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn draft() -> String {
    bilateral(
        &"ke-ug".parse().unwrap(),
        &member("KE"),
        &member("UG"),
        day("2026-12-01"),
    )
}

fn terms() -> Terms {
    Agreement::read(&draft()).unwrap().terms().clone()
}

/// The faults of the bilateral draft after `change`, as text.
fn faults_after(change: impl FnOnce(&mut Terms)) -> Vec<String> {
    let mut terms = terms();
    change(&mut terms);
    match Agreement::new(terms) {
        Err(InvalidAgreement::Faults(Faults(faults))) => faults.iter().map(ToString::to_string).collect(),
        other => panic!("expected faults, got {other:?}"),
    }
}

struct Directory(BTreeMap<MemberId, (MemberKey, Role)>);

impl Directory {
    fn of(members: &[(&str, Role)]) -> Self {
        let entry = |(i, (id, role)): (usize, &(&str, Role))| {
            let seed = u8::try_from(i + 1).unwrap();
            (member(id), (MemberKey::from_seed(&[seed; 32]), *role))
        };
        Self(members.iter().enumerate().map(entry).collect())
    }

    fn secret(&self, id: &str) -> &MemberKey {
        &self.0[&member(id)].0
    }

    fn signed(&self, agreement: &Agreement) -> SignedAgreement {
        let mut signed = SignedAgreement::unsigned(agreement.clone());
        for party in agreement.parties() {
            signed.sign(party, &self.0[party].0).unwrap();
        }
        signed
    }
}

impl KeyDirectory for Directory {
    fn key(&self, member: &MemberId) -> Option<MemberPublicKey> {
        self.0.get(member).map(|(key, _)| key.public())
    }

    fn role(&self, member: &MemberId) -> Option<Role> {
        self.0.get(member).map(|(_, role)| *role)
    }

    fn regions(&self, _: &MemberId) -> Vec<MemberId> {
        Vec::new()
    }
}

fn directory() -> Directory {
    Directory::of(&[
        ("KE", Role::National),
        ("UG", Role::National),
        ("TZ", Role::National),
        ("WCO", Role::Global),
    ])
}

#[test]
fn drafts_are_valid_and_survive_toml_and_canonical_json() {
    let members = [member("KE"), member("UG"), member("TZ")];
    let region = regional(
        &"esa".parse().unwrap(),
        &member("RILO-ESA"),
        &members,
        day("2026-12-01"),
    );
    let upstream = contribution(
        &"ke-wco".parse().unwrap(),
        &member("KE"),
        &member("WCO"),
        day("2026-12-01"),
    );
    for text in [draft(), region, upstream] {
        let agreement = Agreement::read(&text).unwrap();
        assert_eq!(Agreement::parse(agreement.canonical()).unwrap(), agreement);
        assert_eq!(Agreement::read(&agreement.to_toml().unwrap()).unwrap(), agreement);
        let pretty = serde_json::to_string_pretty(agreement.terms()).unwrap();
        assert_eq!(Agreement::read(&pretty).unwrap(), agreement);
        assert!(
            agreement
                .canonical()
                .starts_with(br#"{"format":"icomm-agreement/v1","id":""#)
        );
    }
}

#[test]
fn what_is_read_is_what_was_written() {
    let terms = terms();
    assert_eq!(terms.in_force_from, day("2026-12-01"));
    assert_eq!(terms.parties[0].accepts.len(), 2);
    let grant = &terms.grants[0];
    assert_eq!(
        (&grant.from, &grant.to),
        (&Side::Member(member("KE")), &Side::Member(member("UG")))
    );
    assert_eq!(grant.kinds.len(), 3);
    assert_eq!(grant.categories, Categories::All);
    assert_eq!(
        grant.sections,
        SectionSet::ALL
            .without(SectionKind::Narrative)
            .without(SectionKind::Images)
    );
    assert_eq!(
        grant.retention,
        Retention {
            days: 1825,
            then: Expiry::Erase
        }
    );
    assert_eq!(grant.onward, Onward::none());
}

#[test]
fn keys_and_words_that_agreements_do_not_know_are_refused_with_their_place() {
    for (from, to, says) in [
        ("title =", "titel =", "unknown field `titel`"),
        (
            "reply_within_days = 30",
            "reply_within_days = 30\nsecret = 1",
            "unknown field `secret`",
        ),
        (
            "use_in_court = \"with-consent\"",
            "use_in_court = \"maybe\"",
            "unknown variant `maybe`",
        ),
        ("handling = \"H1\"", "handling = \"H9\"", "`H9` is not a handling code"),
        ("\"risk-analysis\"", "\"curiosity\"", "`curiosity` is not a purpose"),
        ("\"persons\"", "\"person\"", "`person` is no section"),
        ("\"suspect\"", "\"suspects\"", "`suspects` is no kind of record"),
        (
            "categories = \"all\"",
            "categories = \"any\"",
            "`any` is not a choice of categories",
        ),
        (
            "from = \"KE\"",
            "from = \"everybody\"",
            "`everybody` is neither a member id",
        ),
        (
            "in_force_from = 2026-12-01",
            "in_force_from = 2026-12-01T10:00:00Z",
            "is not a day",
        ),
        (
            "in_force_from = 2026-12-01",
            "in_force_from = \"soon\"",
            "`soon` is not a day",
        ),
        ("id = \"ke-ug\"", "id = \"KE/UG\"", "`KE/UG` is not an agreement id"),
        (
            "icomm-agreement/v1",
            "icomm-agreement/v2",
            "unknown variant `icomm-agreement/v2`",
        ),
        (
            "{ rule = \"none\" }",
            "{ rule = \"none\", note = \"x\" }",
            "unknown field `note`",
        ),
        ("then = \"erase\"", "then = \"keep\"", "unknown variant `keep`"),
    ] {
        // Only in the last place, so that the remarks at the top stay as they are.
        let text = draft();
        let at = text
            .rfind(from)
            .unwrap_or_else(|| panic!("`{from}` is not in the draft"));
        let text = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
        let message = Agreement::read(&text).unwrap_err().to_string();
        assert!(message.contains(says), "{from} → {to}: {message}");
        assert!(message.contains("line "), "{message}");
    }
}

#[test]
fn contradictory_terms_are_refused() {
    let listed = |members: &[&str], sections: SectionSet, handling| Onward {
        rule: OnwardRule::Listed,
        members: members.iter().map(|id| member(id)).collect(),
        sections,
        handling: Some(handling),
    };
    let case = SectionSet::from(SectionKind::Case);
    type Change = Box<dyn FnOnce(&mut Terms)>;
    let cases: Vec<(Change, &str)> = vec![
        (Box::new(|t| t.version = 0), "version: is 0"),
        (Box::new(|t| t.title = "  ".into()), "title: is empty"),
        (
            Box::new(|t| t.title = "a\u{202e}b".into()),
            "title: holds the character U+202E",
        ),
        (
            Box::new(|t| t.title = "a".repeat(501)),
            "title: has 501, more than the 500 allowed",
        ),
        (
            Box::new(|t| t.signed_on = Some(day("2027-01-01"))),
            "in_force_from: 2026-12-01 is before `signed_on`",
        ),
        (
            Box::new(|t| t.in_force_until = Some(day("2026-11-30"))),
            "in_force_until: 2026-11-30 is before `in_force_from`",
        ),
        (Box::new(|t| t.parties.clear()), "parties: is empty"),
        (Box::new(|t| t.parties.truncate(1)), "parties: names one party"),
        (
            Box::new(|t| t.parties[1].member = member("KE")),
            "parties[1].member: `KE` is a party already",
        ),
        (
            Box::new(|t| t.parties[0].authority.clear()),
            "parties[0].authority: is empty",
        ),
        (Box::new(|t| t.grants.clear()), "grants: is empty"),
        (
            Box::new(|t| t.grants[1].to = Side::Member(member("TZ"))),
            "grants[1].to: `TZ` is not a party; the parties are `KE`, `UG`",
        ),
        (
            Box::new(|t| t.grants[0].to = Side::Member(member("KE"))),
            "grants[0].to: `KE` is on both sides",
        ),
        (Box::new(|t| t.grants[0].kinds.clear()), "grants[0].kinds: is empty"),
        (
            Box::new(|t| t.grants[0].categories = Categories::Only([].into())),
            "grants[0].categories: is empty",
        ),
        (
            Box::new(|t| t.grants[0].categories = Categories::Only(["Drugs!".to_owned()].into())),
            "grants[0].categories: `Drugs!` is not a code of the list `commodity-category`",
        ),
        (
            Box::new(|t| t.grants[0].sections = SectionSet::EMPTY),
            "grants[0].sections: is empty",
        ),
        (
            Box::new(|t| t.grants[0].sections = SectionKind::Exact.into()),
            "grants[0].sections: leaves out `case`",
        ),
        (
            Box::new(|t| t.grants[0].purposes.clear()),
            "grants[0].purposes: is empty",
        ),
        (
            Box::new(|t| t.grants[0].retention.days = 0),
            "grants[0].retention.days: is 0 days",
        ),
        (
            Box::new(|t| t.grants[0].retention.days = 36_526),
            "grants[0].retention.days: is 36526 days",
        ),
        (
            Box::new(|t| t.grants[0].under = ["annex XI".to_owned()].into()),
            "grants[0].under: `annex XI` is not among the articles that `KE` accepts",
        ),
        (
            Box::new(|t| t.grants[0].onward.sections = SectionKind::Case.into()),
            "onward.sections: has no meaning under the onward rule `none`",
        ),
        (
            Box::new(|t| t.grants[0].onward.rule = OnwardRule::Region),
            "onward.sections: is missing; the onward rule `region` needs it",
        ),
        (
            Box::new(move |t| t.grants[0].onward = listed(&[], case, HandlingCode::H0)),
            "onward.members: is missing; the onward rule `listed` needs it",
        ),
        (
            Box::new(move |t| t.grants[0].onward = listed(&["TZ"], case.with(SectionKind::Persons), HandlingCode::H0)),
            "onward.sections: lets `persons` go onward; what may identify",
        ),
        (
            Box::new(move |t| {
                t.grants[0].sections = case;
                t.grants[0].onward = listed(&["TZ"], case.with(SectionKind::Exact), HandlingCode::H0);
            }),
            "onward.sections: lets `exact` go onward, which the grant itself does not give",
        ),
        (
            Box::new(move |t| t.grants[0].onward = listed(&["TZ"], SectionKind::Exact.into(), HandlingCode::H0)),
            "onward.sections: leaves out `case`",
        ),
        (
            Box::new(move |t| t.grants[0].onward = listed(&["TZ"], case, HandlingCode::H3)),
            "onward.handling: is more than the grant's own handling code",
        ),
        (
            Box::new(|t| t.grants[0].condition = Some("resource.colour == 1".into())),
            "grants[0].condition: the condition does not fit the record model",
        ),
        (
            Box::new(|t| {
                t.grants[0].condition = Some("true }; permit(principal, action, resource) when { true".into())
            }),
            "grants[0].condition: the condition is not a Cedar expression",
        ),
    ];
    for (change, says) in cases {
        let faults = faults_after(change);
        assert!(faults.iter().any(|fault| fault.contains(says)), "{says}: {faults:#?}");
    }
}

#[test]
fn categories_are_checked_against_the_code_list() {
    let named = |codes: &[&str]| {
        let mut terms = terms();
        let codes = codes.iter().map(|code| (*code).to_owned()).collect();
        terms.grants[1].categories = Categories::Only(codes);
        Agreement::new(terms).unwrap()
    };
    let lists = CodeLists::built_in();
    named(&["drugs", "tobacco"]).check_categories(&lists).unwrap();
    Agreement::new(terms()).unwrap().check_categories(&lists).unwrap();
    let refused = named(&["drugs", "tobaco", "zzzzzz"])
        .check_categories(&lists)
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("grants[1].categories: `tobaco` is not a code of the list `commodity-category`"),
        "{refused}"
    );
    assert!(refused.contains("did you mean `tobacco`?"), "{refused}");
    assert!(
        refused.contains("`zzzzzz`") && !refused.contains("`drugs` is not"),
        "{refused}"
    );
}

#[test]
fn every_fault_is_reported_not_only_the_first() {
    let faults = faults_after(|t| {
        t.version = 0;
        t.grants[0].kinds.clear();
        t.grants[1].sections = SectionSet::EMPTY;
    });
    assert_eq!(faults.len(), 3, "{faults:#?}");
}

#[test]
fn only_canonical_bytes_are_an_agreement() {
    let agreement = Agreement::new(terms()).unwrap();
    let text = String::from_utf8(agreement.canonical().to_vec()).unwrap();
    let mut variants = vec![
        format!(" {text}"),
        format!("{text}\n"),
        text.replacen("\"version\":1", "\"version\": 1", 1),
        text.replacen("KE customs", "K\\u0045 customs", 1),
        // The same sections in another order.
        text.replacen(r#"["case","exact""#, r#"["exact","case""#, 1),
        text.replacen(r#"["seizure","suspect""#, r#"["seizure","seizure","suspect""#, 1),
        text.replacen(r#""rule":"none""#, r#""rule":"none","members":[]"#, 1),
    ];
    variants.retain(|variant| *variant != text);
    assert_eq!(variants.len(), 7);
    for variant in variants {
        assert!(
            matches!(
                Agreement::parse(variant.as_bytes()),
                Err(InvalidAgreement::NotCanonical)
            ),
            "{variant}"
        );
    }
    let twice = text.replacen("\"version\":1", "\"version\":1,\"version\":1", 1);
    assert!(matches!(
        Agreement::parse(twice.as_bytes()),
        Err(InvalidAgreement::Json(_))
    ));
    let cut = &text.as_bytes()[..text.len() - 1];
    assert!(matches!(Agreement::parse(cut), Err(InvalidAgreement::Json(_))));
    let long = vec![b' '; DOCUMENT_BYTES_MAX + 1];
    assert!(matches!(Agreement::parse(&long), Err(InvalidAgreement::TooLong(_))));
}

#[test]
fn an_agreement_binds_when_every_party_signed_it() {
    let directory = directory();
    let agreement = Agreement::new(terms()).unwrap();
    let mut signed = SignedAgreement::unsigned(agreement.clone());
    let verify = |signed: &SignedAgreement| Ratified::verify(signed.clone(), &directory);
    assert_eq!(verify(&signed).unwrap_err(), InvalidSignatures::Unsigned);
    signed.sign(&member("KE"), directory.secret("KE")).unwrap();
    assert_eq!(
        verify(&signed).unwrap_err(),
        InvalidSignatures::OneSided {
            missing: vec![member("UG")]
        }
    );
    let stranger = signed.sign(&member("TZ"), directory.secret("TZ")).unwrap_err();
    let expected = InvalidSignatures::Stranger { member: member("TZ") };
    assert!(matches!(stranger, NotSigned::Stranger(error) if error == expected));
    let mut other = SignedAgreement::unsigned(agreement.clone());
    other.sign(&member("UG"), directory.secret("TZ")).unwrap();
    signed.merge(other).unwrap();
    assert_eq!(
        verify(&signed).unwrap_err(),
        InvalidSignatures::BadSignature { member: member("UG") }
    );
    signed.sign(&member("UG"), directory.secret("UG")).unwrap();
    assert_eq!(verify(&signed).unwrap().agreement(), &agreement);

    let parsed = SignedAgreement::parse(&signed.to_bytes()).unwrap();
    assert_eq!(parsed, signed);
    let mut changed = terms();
    changed.grants[0].retention.days += 1;
    let changed = Agreement::new(changed).unwrap();
    assert_eq!(
        signed.merge(directory.signed(&changed)).unwrap_err(),
        InvalidSignatures::OtherText
    );
}

#[test]
fn a_signature_of_a_stranger_or_over_another_text_does_not_bind() {
    let directory = directory();
    let agreement = Agreement::new(terms()).unwrap();
    let text = String::from_utf8(directory.signed(&agreement).to_bytes()).unwrap();
    // The text is changed under the signatures.
    let changed = text.replacen("\"days\":1825", "\"days\":1826", 1);
    let changed = SignedAgreement::parse(changed.as_bytes()).unwrap();
    let refused = Ratified::verify(changed, &directory).unwrap_err();
    assert_eq!(refused, InvalidSignatures::BadSignature { member: member("KE") });
    // A third signature under a bilateral agreement.
    let extra = directory
        .secret("TZ")
        .sign(Domain::Agreement, agreement.canonical())
        .unwrap();
    let extra = format!(
        r#","signatures":[{{"member":"TZ","signature":"{}"}},"#,
        extra.to_base64()
    );
    let text_with_stranger = text.replacen(r#","signatures":["#, &extra, 1);
    assert!(matches!(
        SignedAgreement::parse(text_with_stranger.as_bytes()),
        Err(InvalidAgreement::NotCanonical)
    ));
    // A party nobody knows.
    let small = Directory::of(&[("KE", Role::National)]);
    let refused = Ratified::verify(directory.signed(&agreement), &small).unwrap_err();
    assert_eq!(refused, InvalidSignatures::UnknownParty { member: member("UG") });
    // A signature in another domain.
    let mut other_domain = SignedAgreement::unsigned(agreement.clone());
    other_domain.sign(&member("KE"), directory.secret("KE")).unwrap();
    other_domain.sign(&member("UG"), directory.secret("UG")).unwrap();
    let right = directory
        .secret("UG")
        .sign(Domain::Agreement, agreement.canonical())
        .unwrap()
        .to_base64();
    let wrong = directory
        .secret("UG")
        .sign(Domain::Suspension, agreement.canonical())
        .unwrap()
        .to_base64();
    let text = String::from_utf8(other_domain.to_bytes())
        .unwrap()
        .replace(&right, &wrong);
    let refused = Ratified::verify(SignedAgreement::parse(text.as_bytes()).unwrap(), &directory).unwrap_err();
    assert_eq!(refused, InvalidSignatures::BadSignature { member: member("UG") });
}

#[test]
fn the_global_node_is_given_the_open_section_only() {
    let directory = directory();
    let ratify = |change: &dyn Fn(&mut Terms)| {
        let mut terms = terms();
        terms.parties[1].member = member("WCO");
        terms.grants.truncate(1);
        terms.grants[0].to = Side::Member(member("WCO"));
        change(&mut terms);
        Ratified::verify(directory.signed(&Agreement::new(terms).unwrap()), &directory)
    };
    let refused = ratify(&|_| {}).unwrap_err();
    assert!(
        matches!(&refused, InvalidSignatures::BeyondOpen { grant: 0, .. }),
        "{refused}"
    );
    let refused = ratify(&|t| t.grants[0].to = Side::Parties).unwrap_err();
    assert!(refused.to_string().contains("`WCO`, which is global"), "{refused}");
    ratify(&|t| t.grants[0].sections = SectionKind::Case.into()).unwrap();
}

#[test]
fn statements_are_signed_in_their_own_domain() {
    let directory = directory();
    let suspension = Suspension::new(
        "ke-ug".parse().unwrap(),
        1,
        member("KE"),
        1_800_000_000,
        "change of law",
    );
    let signed = Signed::sign(suspension.clone(), directory.secret("KE")).unwrap();
    let parsed = Signed::<Suspension>::parse(&signed.to_bytes()).unwrap();
    assert_eq!(parsed.clone().verify(&directory).unwrap().statement(), &suspension);
    assert!(Signed::<Acknowledgement>::parse(&signed.to_bytes()).is_err());
    let by_another = Signed::sign(suspension.clone(), directory.secret("UG")).unwrap();
    assert!(matches!(
        by_another.verify(&directory),
        Err(InvalidStatement::BadSignature(_))
    ));
    let spaced = String::from_utf8(signed.to_bytes()).unwrap().replacen(':', ": ", 1);
    assert!(matches!(
        Signed::<Suspension>::parse(spaced.as_bytes()),
        Err(InvalidStatement::NotCanonical)
    ));
    let acknowledgement = Signed::sign(
        Acknowledgement::new(&suspension, member("UG"), 1),
        directory.secret("UG"),
    );
    let acknowledgement = acknowledgement.unwrap().verify(&directory).unwrap();
    assert_eq!(acknowledgement.statement().suspended_by, member("KE"));
    let stranger = Directory::of(&[]);
    assert!(matches!(
        parsed.verify(&stranger),
        Err(InvalidStatement::UnknownMember(_))
    ));
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let kinds = proptest::sample::subsequence(RecordKind::ALL.to_vec(), 1..=3);
    let sections = proptest::sample::subsequence(SectionKind::ALL.to_vec(), 0..=7);
    let purposes = proptest::sample::subsequence(Purpose::ALL.to_vec(), 1..=6);
    let codes = proptest::collection::btree_set("[a-z]{1,8}", 1..4);
    let handling = proptest::sample::select(HandlingCode::ALL.to_vec());
    (
        kinds,
        sections,
        purposes,
        proptest::option::of(codes),
        handling,
        1_u32..=RETENTION_DAYS_MAX,
        any::<[bool; 3]>(),
    )
        .prop_map(
            |(kinds, sections, purposes, codes, handling, days, [upstream, region, forth])| {
                let (from, to) = if forth { ("KE", "UG") } else { ("UG", "KE") };
                let sections: SectionSet = sections.into_iter().chain([SectionKind::Case]).collect();
                let passed_on = Onward {
                    rule: OnwardRule::Region,
                    members: [].into(),
                    sections: sections.intersection(passable()),
                    handling: Some(handling),
                };
                Grant {
                    from: Side::Member(member(from)),
                    to: Side::Member(member(to)),
                    under: [].into(),
                    kinds: kinds.into_iter().collect(),
                    categories: codes.map_or(Categories::All, Categories::Only),
                    sections,
                    purposes: purposes.into_iter().collect(),
                    use_in_court: UseInCourt::No,
                    handling,
                    retention: Retention {
                        days,
                        then: Expiry::Restrict,
                    },
                    onward: if region { passed_on } else { Onward::none() },
                    upstream,
                    condition: upstream.then(|| "resource.handling < 3".to_owned()),
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn checked_terms_round_trip(
        grants in proptest::collection::vec(any_grant(), 1..5),
        version in 1_u32..,
        title in "[\\PC&&[^\\p{Cf}\\p{Zl}\\p{Zp}\\p{Co}\\p{Cn}]]{1,40}[a-z]",
        days in 0_u32..20_000,
    ) {
        let from = Day::of(u64::from(days) * 86_400).unwrap();
        let terms = Terms { grants, version, title, in_force_from: from, in_force_until: Some(from), ..terms() };
        let agreement = Agreement::new(terms).unwrap();
        prop_assert_eq!(&Agreement::parse(agreement.canonical()).unwrap(), &agreement);
        prop_assert_eq!(&Agreement::read(&agreement.to_toml().unwrap()).unwrap(), &agreement);
        prop_assert_eq!(agreement.ends() - agreement.begins(), 86_400);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,200}") {
        let _ = Agreement::parse(&bytes);
        let _ = SignedAgreement::parse(&bytes);
        let _ = Signed::<Suspension>::parse(&bytes);
        let _ = Agreement::read(&text);
    }
}
