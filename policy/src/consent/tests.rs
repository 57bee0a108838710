//! Formats: what is written is read back, and nothing else is read.

use std::collections::BTreeMap;

use icomm_pki::{Domain, MemberId, MemberKey, MemberPublicKey, Role};
use icomm_proto::{SectionKind, SectionSet};
use proptest::prelude::*;

use super::*;
use crate::agreement::{Digest, Purpose, Signed, Statement};
use crate::directory::KeyDirectory;

struct Keys(BTreeMap<MemberId, MemberKey>);

impl KeyDirectory for Keys {
    fn key(&self, member: &MemberId) -> Option<MemberPublicKey> {
        self.0.get(member).map(MemberKey::public)
    }

    fn role(&self, _: &MemberId) -> Option<Role> {
        None
    }

    fn regions(&self, _: &MemberId) -> Vec<MemberId> {
        Vec::new()
    }
}

fn member(id: &str) -> MemberId {
    id.parse().unwrap()
}

fn keys() -> Keys {
    let key = |(seed, id): (u8, &str)| (member(id), MemberKey::from_seed(&[seed; 32]));
    Keys([(1, "KE"), (2, "RILO-ESA"), (3, "UG")].map(key).into())
}

fn subject() -> Subject {
    Subject::Record {
        origin: "KE/main".parse().unwrap(),
        record: "0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11".parse().unwrap(),
        version: 1,
        leaf: [7; 32].into(),
    }
}

fn request() -> ConsentRequest {
    ConsentRequest {
        format: ConsentRequestFormat::V1,
        subject: subject(),
        sections: SectionSet::open().with(SectionKind::Persons),
        to: member("UG"),
        purpose: Purpose::Investigation,
        agreement: "esa".parse().unwrap(),
        after: 0,
        by: member("RILO-ESA"),
        at: 1_795_428_000,
        reason: Reason::default(),
    }
}

fn signed<T: Statement>(statement: T) -> Vec<u8> {
    let key = &keys().0[statement.by()];
    Signed::sign(statement, key).unwrap().to_bytes()
}

fn consent() -> Consent {
    let ConsentRequest {
        subject,
        sections,
        to,
        purpose,
        agreement,
        by: holder,
        at,
        ..
    } = request();
    Consent {
        format: ConsentFormat::V1,
        request: Digest::of(&signed(request())),
        by: subject.owner().clone(),
        subject,
        sections,
        holder,
        to,
        purpose,
        agreement,
        version: 1,
        verdict: Verdict::Approved,
        until: at + 86_400,
        officer: "duty-officer-3".parse().unwrap(),
        at,
        reason: Reason::default(),
    }
}

#[test]
fn the_canonical_forms_are_these() {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let begins = concat!(
        r#"{"statement":{"format":"icomm-consent-request/v1","subject":{"record":{"origin":"KE/main","#,
        r#""record":"0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11","version":1,"#,
        r#""leaf":"0707070707070707070707070707070707070707070707070707070707070707"}},"#,
        r#""sections":["case","persons"],"to":"UG","purpose":"investigation","agreement":"esa","after":0,"#,
        r#""by":"RILO-ESA","at":1795428000},"signature":""#,
    );
    let written = text(signed(request()));
    assert!(written.starts_with(begins), "{written}");
    let written = text(signed(consent()));
    let ends = concat!(
        r#""holder":"RILO-ESA","to":"UG","purpose":"investigation","agreement":"esa","version":1,"#,
        r#""verdict":"approved","until":1795514400,"officer":"duty-officer-3","by":"KE","at":1795428000},"signature":""#,
    );
    assert!(written.contains(ends), "{written}");
    let operation = Subject::Operation {
        owner: member("KE"),
        operation: "DEMETER-9".parse().unwrap(),
    };
    assert_eq!(
        serde_json::to_string(&operation).unwrap(),
        r#"{"operation":{"owner":"KE","operation":"DEMETER-9"}}"#
    );
    let thread = Thread::new(&operation, &member("KE"), &member("WCO"));
    assert_eq!(thread.as_str(), "operation/KE/DEMETER-9/KE/WCO");
}

/// The code with which a changed answer is refused.
fn refused(change: impl FnOnce(&mut Consent)) -> &'static str {
    let mut changed = consent();
    change(&mut changed);
    Consent::verify(&signed(changed), &keys()).unwrap_err().code()
}

#[test]
fn answers_that_contradict_themselves_are_refused() {
    let malformed = "malformed-consent";
    assert!(Consent::verify(&signed(consent()), &keys()).is_ok());
    assert_eq!(refused(|c| c.by = member("UG")), "not-the-owner");
    assert_eq!(refused(|c| c.version = 0), malformed);
    assert_eq!(refused(|c| c.until = c.at), malformed);
    assert_eq!(refused(|c| c.until = u64::MAX), malformed);
    assert_eq!(
        refused(|c| c.verdict = Verdict::Revoked),
        malformed,
        "a revocation has no end"
    );
    assert_eq!(refused(|c| c.to = member("KE")), malformed);
    assert_eq!(
        refused(|c| c.sections = SectionKind::Persons.into()),
        malformed,
        "without `case`"
    );
    let operation = Subject::Operation {
        owner: member("KE"),
        operation: "X".parse().unwrap(),
    };
    assert_eq!(refused(|c| c.subject = operation), malformed, "persons of an operation");
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    let refused = |change: fn(&mut ConsentRequest)| {
        let mut changed = request();
        change(&mut changed);
        ConsentRequest::verify(&signed(changed), &keys()).unwrap_err().code()
    };
    assert!(ConsentRequest::verify(&signed(request()), &keys()).is_ok());
    assert_eq!(refused(|r| r.to = r.by.clone()), "malformed-consent");
    assert_eq!(refused(|r| r.to = member("KE")), "malformed-consent");
    assert_eq!(refused(|r| r.sections = SectionSet::EMPTY), "malformed-consent");
}

#[test]
fn what_is_forged_or_written_otherwise_is_refused() {
    let keys = keys();
    let good = String::from_utf8(signed(consent())).unwrap();
    let code = |text: &str| Consent::verify(text.as_bytes(), &keys).unwrap_err().code();
    assert_eq!(
        code(&good.replace("\"version\":1,\"verdict\"", "\"version\":2,\"verdict\"")),
        "forged-consent"
    );
    assert_eq!(
        code(&good.replace("[\"case\",\"persons\"]", "[\"case\",\"exact\"]")),
        "forged-consent"
    );
    assert_eq!(
        code(&good.replace("duty-officer-3", "duty-officer-4")),
        "forged-consent"
    );
    for (from, to) in [
        ("{\"statement\"", "{ \"statement\""),
        ("[\"case\",\"persons\"]", "[\"persons\",\"case\"]"),
        ("[\"case\",\"persons\"]", "[\"case\",\"case\",\"persons\"]"),
        ("icomm-consent/v1", "icomm-consent/v2"),
        ("\"approved\"", "\"permitted\""),
        ("duty-officer-3", "Jane Doe"),
        ("\"at\":1795428000}", "\"at\":1795428000,\"reason\":\"\"}"),
        ("\"at\":1795428000}", "\"at\":1795428000,\"name\":\"x\"}"),
        ("\"leaf\":\"07", "\"leaf\":\"0"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert_eq!(code(&bad), "malformed-consent", "{to}");
    }
    assert_eq!(code(""), "malformed-consent");
    // Another domain: a request is no answer, and its signature no answer's.
    assert_eq!(
        code(&String::from_utf8(signed(request())).unwrap()),
        "malformed-consent"
    );
    let signature = keys.0[&member("KE")].sign(Domain::Agreement, &serde_json::to_vec(&consent()).unwrap());
    let statement = serde_json::to_string(&consent()).unwrap();
    let other = format!(
        "{{\"statement\":{statement},\"signature\":\"{}\"}}",
        signature.unwrap().to_base64()
    );
    assert_eq!(code(&other), "forged-consent");
    // Nobody whom the bundle knows.
    let stranger = Keys(BTreeMap::new());
    assert_eq!(
        Consent::verify(good.as_bytes(), &stranger).unwrap_err().code(),
        "forged-consent"
    );
}

#[test]
fn an_approval_answers_what_was_asked_and_nothing_else() {
    let (asked, digest) = (request(), Digest::of(&signed(request())));
    let code = |change: fn(&mut Consent)| {
        let mut changed = consent();
        change(&mut changed);
        changed
            .answers(Some((&asked, digest)))
            .map_err(|refusal| refusal.code())
    };
    assert_eq!(code(|_| {}), Ok(()));
    assert_eq!(
        code(|c| c.sections = SectionSet::open()),
        Ok(()),
        "less than was asked for"
    );
    assert_eq!(
        code(|c| c.sections = c.sections.with(SectionKind::Exact)),
        Err("beyond-request")
    );
    assert_eq!(code(|c| c.purpose = Purpose::Prosecution), Err("beyond-request"));
    assert_eq!(code(|c| c.to = member("TZ")), Err("beyond-request"));
    assert_eq!(code(|c| c.holder = member("TZ")), Err("beyond-request"));
    assert_eq!(code(|c| c.agreement = "other".parse().unwrap()), Err("beyond-request"));
    assert_eq!(code(|c| c.request = Digest::of(b"another")), Err("unasked-consent"));
    assert_eq!(consent().answers(None).unwrap_err().code(), "unasked-consent");
    let revoked = Consent {
        verdict: Verdict::Revoked,
        until: 0,
        ..consent()
    };
    assert!(revoked.answers(None).is_ok());
}

#[test]
fn words_are_bounded() {
    for bad in ["", "Jane Doe", "x/y", "é", &"x".repeat(65)] {
        assert!(
            bad.parse::<Officer>().is_err() && bad.parse::<OperationId>().is_err(),
            "{bad}"
        );
    }
    assert!(Reason::try_from("x".repeat(REASON_CHARS_MAX)).is_ok());
    assert!(Reason::try_from("x".repeat(REASON_CHARS_MAX + 1)).is_err());
    assert!(Reason::try_from("two\nlines".to_owned()).is_err());
}

fn any_subject() -> impl Strategy<Value = Subject> {
    let record =
        (any::<[u8; 10]>(), any::<u32>(), any::<[u8; 32]>()).prop_map(|(random, version, leaf)| Subject::Record {
            origin: "KE/main".parse().unwrap(),
            record: icomm_proto::RecordId::new(1_795_428_000_000, random),
            version,
            leaf: leaf.into(),
        });
    let operation = "[A-Za-z0-9._-]{1,64}".prop_map(|operation| Subject::Operation {
        owner: member("KE"),
        operation: operation.parse().unwrap(),
    });
    prop_oneof![record, operation]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_signed_reads_back(
        subject in any_subject(),
        more in proptest::sample::subsequence(SectionKind::ALL.to_vec(), 0..=7),
        purpose in proptest::sample::select(Purpose::ALL.to_vec()),
        verdict in proptest::sample::select(vec![Verdict::Approved, Verdict::Refused, Verdict::Revoked]),
        (version, after, at) in (1_u32.., any::<u32>(), 0_u64..1 << 40),
        seconds in 1..=CONSENT_SECONDS_MAX,
        officer in "[A-Za-z0-9._-]{1,64}",
        reason in "\\PC{0,256}",
    ) {
        let sections = match subject {
            Subject::Record { .. } => more.into_iter().collect::<SectionSet>().union(SectionSet::open()),
            Subject::Operation { .. } => SectionSet::open(),
        };
        let reason = Reason::try_from(reason).unwrap();
        let asked = ConsentRequest { subject: subject.clone(), sections, purpose, after, at, reason: reason.clone(), ..request() };
        let bytes = signed(asked.clone());
        let read = ConsentRequest::verify(&bytes, &keys()).unwrap();
        prop_assert_eq!(read.statement(), &asked);
        prop_assert_eq!(read.signed().to_bytes(), bytes);
        let until = if verdict == Verdict::Approved { at + seconds } else { 0 };
        let said = Consent {
            subject, sections, purpose, version, verdict, until, at, reason,
            officer: officer.parse().unwrap(), ..consent()
        };
        let bytes = signed(said.clone());
        let read = Consent::verify(&bytes, &keys()).unwrap();
        prop_assert_eq!(read.statement(), &said);
        prop_assert_eq!(read.statement().thread(), asked.thread());
        let seen = ConsentSeen::new(read.signed(), Digest::of(&bytes), at);
        prop_assert_eq!(seen.thread(), asked.thread());
        let bytes = signed(seen.clone());
        let read = ConsentSeen::verify(&bytes, &keys()).unwrap();
        prop_assert_eq!(read.statement(), &seen);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = ConsentRequest::verify(&bytes, &keys());
        let _ = Consent::verify(&bytes, &keys());
        let _ = ConsentSeen::verify(&bytes, &keys());
    }
}
