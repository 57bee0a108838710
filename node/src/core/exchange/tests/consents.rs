//! Consent on links: what is asked, answered, told again, passed on by an office, refused, and what an answer lets go.

use std::sync::Arc;

use icomm_pki::{Digest32, Domain};
use icomm_policy::agreement::{Purpose, Statement};
use icomm_policy::consent::{ConsentFormat, ConsentRequestFormat};
use icomm_policy::{Consent, ConsentRequest, ConsentSeen, Digest, Signed, Subject, Verdict};
use icomm_proto::SectionSet;

use super::*;
use crate::core::consents::{PENDING_PER_MEMBER_MAX, TOLD_MAX};
use crate::core::fixture::Stick;
use crate::core::session::Peer;

const DAY: u64 = 24 * 60 * 60;
const WANTED: [SectionKind; 2] = [SectionKind::Case, SectionKind::Persons];

fn wanted() -> SectionSet {
    WANTED.into_iter().collect()
}

/// The template of a bilateral agreement under which both pass on by consent only.
fn by_consent(a: &str, b: &str) -> v1::Document {
    let text = bilateral(a, b);
    let (none, asks) = (r#"{ rule = "none" }"#, r#"{ rule = "with-consent" }"#);
    assert!(text.contains(none), "{text}");
    agreement(&text.replace(none, asks), &[a, b])
}

fn about(log: &Originator, index: usize) -> Subject {
    let view = &log.views[index];
    Subject::Record {
        origin: log.origin.clone(),
        record: view.head().record_id,
        version: 1,
        leaf: view.leaf_hash(),
    }
}

/// The office asks whether UG may get a record.
fn asks(log: &Originator, index: usize) -> ConsentRequest {
    ConsentRequest {
        format: ConsentRequestFormat::V1,
        subject: about(log, index),
        sections: wanted(),
        to: "UG".parse().unwrap(),
        purpose: Purpose::Investigation,
        agreement: "ke-rilo-esa".parse().unwrap(),
        after: 0,
        by: "RILO-ESA".parse().unwrap(),
        at: UNIX_NOW - 60,
        reason: Default::default(),
    }
}

fn signed<T: Statement>(statement: &T) -> Vec<u8> {
    let key = key(statement.by().as_str());
    Signed::sign(statement.clone(), &key).unwrap().to_bytes()
}

fn says(request: &ConsentRequest, version: u32, verdict: Verdict) -> Consent {
    Consent {
        format: ConsentFormat::V1,
        request: Digest::of(&signed(request)),
        subject: request.subject.clone(),
        sections: request.sections,
        holder: request.by.clone(),
        to: request.to.clone(),
        purpose: request.purpose,
        agreement: request.agreement.clone(),
        version,
        verdict,
        until: if verdict == Verdict::Approved {
            UNIX_NOW + DAY
        } else {
            0
        },
        officer: "duty-officer-3".parse().unwrap(),
        by: request.subject.owner().clone(),
        at: UNIX_NOW,
        reason: Default::default(),
    }
}

fn request_of(request: &ConsentRequest) -> v1::Document {
    document(Kind::ConsentRequest, signed(request))
}

fn consent_of(consent: &Consent) -> v1::Document {
    document(Kind::Consent, signed(consent))
}

fn seen_of(consent: &Consent) -> v1::Document {
    let signed_consent = Signed::sign(consent.clone(), &key(consent.by.as_str())).unwrap();
    let seen = ConsentSeen::new(&signed_consent, Digest::of(&signed(consent)), UNIX_NOW);
    document(Kind::ConsentSeen, signed(&seen))
}

/// The statements about consent for one link.
fn told(did: &Did, link: LinkId) -> Vec<&v1::Document> {
    let documents = did.to(link).filter_map(|body| match body {
        Body::Document(document) if (70..80).contains(&document.kind) => Some(document),
        _ => None,
    });
    documents.collect()
}

/// The code with which a document is refused.
fn refused(did: &Did, link: LinkId) -> Option<&str> {
    did.to(link).find_map(|body| match body {
        Body::DocumentRefused(refused) => Some(refused.code.as_str()),
        _ => None,
    })
}

/// `KE` with a log, whose office asks it.
fn originator() -> (Network, TestNode, Originator) {
    let network = Network::new();
    let mut node = network.node("KE");
    let own = log("KE/main", 2);
    node.holds(&own);
    node.adopt(&by_consent("KE", "RILO-ESA"));
    (network, node, own)
}

/// `RILO-ESA` with what it had of `KE`, and an agreement with `UG`.
fn holder(network: &Network, store: Arc<dyn Store>) -> (TestNode, Originator) {
    let mut node = network.node_over("RILO-ESA", store);
    let ke = log("KE/main", 3);
    node.holds(&ke);
    node.adopt(&by_consent("KE", "RILO-ESA"));
    node.adopt(&agreement(&bilateral("RILO-ESA", "UG"), &["RILO-ESA", "UG"]));
    (node, ke)
}

fn only(node: &TestNode) -> Arc<crate::core::consents::Kept> {
    let [kept] = node.exchange.consents().try_into().unwrap();
    kept
}

#[test]
fn a_request_waits_and_an_answer_is_told_at_every_hello_until_it_is_signed_for() {
    let (network, mut node, own) = originator();
    let (office, _) = node.link(network.peer("RILO-ESA"), &[]);
    let request = asks(&own, 0);
    for _ in 0..2 {
        let did = node.frame(office, Body::Document(request_of(&request)));
        assert!(
            told(&did, office).is_empty() && refused(&did, office).is_none(),
            "{did:?}"
        );
    }
    assert_eq!(only(&node).pending().unwrap().says(), &request);
    let consent = says(&request, 1, Verdict::Approved);
    node.exchange.answer_consent(consent.clone()).unwrap();
    let did = node.handle(office, Event::Changed);
    assert_eq!(told(&did, office), [&consent_of(&consent)]);
    assert!(only(&node).pending().is_none());
    // Asked again, it answers again; at the next hello it tells by itself, also after a restart.
    let did = node.frame(office, Body::Document(request_of(&request)));
    assert_eq!(told(&did, office), [&consent_of(&consent)]);
    let mut node = network.node_over("KE", node.store.clone());
    let (office, did) = node.link(network.peer("RILO-ESA"), &[]);
    assert_eq!(told(&did, office), [&consent_of(&consent)]);
    let (_, did) = node.link(network.peer("UG"), &[]);
    assert!(
        did.frames
            .iter()
            .all(|(_, body)| !matches!(body, Body::Document(d) if d.kind >= 70)),
        "nobody else's business"
    );
    // Nobody else signs for it.
    let usurped = ConsentSeen {
        by: "UG".parse().unwrap(),
        ..ConsentSeen::new(
            &Signed::sign(consent.clone(), &key("KE")).unwrap(),
            Digest::of(&signed(&consent)),
            UNIX_NOW,
        )
    };
    node.frame(office, Body::Document(document(Kind::ConsentSeen, signed(&usurped))));
    assert_eq!(only(&node).seen, 0);
    node.frame(office, Body::Document(seen_of(&consent)));
    assert_eq!(only(&node).seen, UNIX_NOW);
    let (again, did) = node.link(network.peer("RILO-ESA"), &[]);
    assert!(told(&did, again).is_empty());
}

#[test]
fn an_originator_refuses_what_it_can_not_be_asked() {
    let (network, mut node, own) = originator();
    let (office, _) = node.link(network.peer("RILO-ESA"), &[]);
    let good = asks(&own, 0);
    let other_leaf = Subject::Record {
        origin: own.origin.clone(),
        record: own.views[0].head().record_id,
        version: 1,
        leaf: own.views[1].leaf_hash(),
    };
    let mut altered = request_of(&good);
    altered.document = String::from_utf8(altered.document.to_vec())
        .unwrap()
        .replace("persons", "exact")
        .into();
    let cases = [
        ("forged-consent", altered),
        (
            "unknown-record",
            request_of(&ConsentRequest {
                subject: other_leaf,
                ..good.clone()
            }),
        ),
        (
            "unknown-record",
            request_of(&ConsentRequest {
                subject: about(&log("KE/special", 1), 0),
                ..good.clone()
            }),
        ),
        (
            "unknown-member",
            request_of(&ConsentRequest {
                to: "ZZ".parse().unwrap(),
                ..good.clone()
            }),
        ),
        (
            "not-subject-to-consent",
            request_of(&ConsentRequest {
                agreement: "x".parse().unwrap(),
                ..good.clone()
            }),
        ),
        // Another member asks, which has no such grant.
        (
            "not-subject-to-consent",
            request_of(&ConsentRequest {
                by: "ES".parse().unwrap(),
                ..good.clone()
            }),
        ),
        (
            "misdirected-consent",
            request_of(&asks(&log("UG/main", 1), 0).tap(|request| request.to = "ES".parse().unwrap())),
        ),
        (
            "malformed-consent",
            request_of(&ConsentRequest {
                sections: SectionSet::EMPTY,
                ..good.clone()
            }),
        ),
    ];
    for (code, document) in cases {
        let did = node.frame(office, Body::Document(document));
        assert_eq!(refused(&did, office), Some(code), "{did:?}");
        assert!(did.closed.is_empty());
    }
    assert!(node.exchange.consents().is_empty());
    // Once it was answered, a request that does not know the answer is told it.
    node.frame(office, Body::Document(request_of(&good)));
    let refusal = says(&good, 1, Verdict::Refused);
    node.exchange.answer_consent(refusal.clone()).unwrap();
    node.handle(office, Event::Changed);
    let stale = ConsentRequest {
        at: UNIX_NOW,
        ..good.clone()
    };
    let did = node.frame(office, Body::Document(request_of(&stale)));
    assert_eq!(
        (refused(&did, office), told(&did, office)),
        (Some("outdated-request"), vec![&consent_of(&refusal)])
    );
    let later = ConsentRequest { after: 1, ..stale };
    let did = node.frame(office, Body::Document(request_of(&later)));
    assert_eq!(refused(&did, office), None);
    assert_eq!(only(&node).pending().unwrap().says(), &later);
    // Two officers: the second finds it answered.
    node.exchange
        .answer_consent(says(&later, 2, Verdict::Approved))
        .unwrap();
    let second = node
        .exchange
        .answer_consent(says(&later, 2, Verdict::Refused))
        .unwrap_err();
    assert_eq!(second.code(), "older-consent");
}

trait Tap: Sized {
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Tap for ConsentRequest {}

/// The bodies that a link is sent of a log from its beginning, as one text.
fn sent(node: &mut TestNode, link: LinkId, log: &Originator) -> (Vec<u8>, usize) {
    let did = node.frame(link, want(log, 0));
    let chunks = did.chunks(link);
    (
        chunks.iter().flat_map(|chunk| chunk.body.to_vec()).collect(),
        chunks.len(),
    )
}

fn names(bytes: &[u8]) -> usize {
    let name = b"Planted Name";
    bytes.windows(name.len()).filter(|window| window == name).count()
}

#[test]
fn an_approval_lets_one_record_go_to_one_member_and_a_revocation_ends_it() {
    let network = Network::new();
    let (mut node, ke) = holder(&network, Arc::new(MemoryStore::new()));
    let (to_ke, _) = node.link(network.peer("KE"), &[]);
    let (ug, _) = node.link(network.peer("UG"), &[]);
    assert_eq!(sent(&mut node, ug, &ke).1, 0, "not even hashes");
    let request = asks(&ke, 1);
    let kept = node.exchange.ask_consent(request.clone()).unwrap();
    let did = node.handle(to_ke, Event::Changed);
    assert_eq!(told(&did, to_ke), [&request_of(&request)]);
    assert_eq!(
        node.exchange.ask_consent(request.clone()).unwrap().id(),
        kept.id(),
        "once"
    );

    // Told again at the next hello, and to the office of nobody.
    let (again, did) = node.link(network.peer("KE"), &[]);
    assert_eq!(told(&did, again), [&request_of(&request)]);

    let approval = says(&request, 1, Verdict::Approved);
    let beyond = Consent {
        sections: wanted().with(SectionKind::Exact),
        ..approval.clone()
    };
    let unasked = Consent {
        request: Digest::of(b"another"),
        ..approval.clone()
    };
    let misdirected = Consent {
        holder: "ES".parse().unwrap(),
        ..approval.clone()
    };
    let usurped = Consent {
        by: "UG".parse().unwrap(),
        ..approval.clone()
    };
    for (code, consent) in [
        ("beyond-request", beyond),
        ("unasked-consent", unasked),
        ("misdirected-consent", misdirected),
        ("not-the-owner", usurped),
    ] {
        let did = node.frame(to_ke, Body::Document(consent_of(&consent)));
        assert_eq!(refused(&did, to_ke), Some(code));
        assert_eq!(sent(&mut node, ug, &ke).1, 0, "{code}");
    }
    let did = node.frame(to_ke, Body::Document(consent_of(&approval)));
    assert_eq!(told(&did, to_ke), [&seen_of(&approval)], "{did:?}");
    assert!(
        did.to(ug)
            .any(|body| matches!(body, Body::Head(head) if head.origin == "KE/main"))
    );
    let (bytes, chunks) = sent(&mut node, ug, &ke);
    assert_eq!(
        (names(&bytes), chunks),
        (1, 1),
        "one record with its person, of the others the hash"
    );
    let notes = node.store.notes(&NoteLog::disclosures(), 0, 10).unwrap();
    let note = Note::decode(&notes[0].1).unwrap();
    assert_eq!(
        (note.runs.clone(), note.terms.len()),
        (vec![(1, None), (1, Some(0)), (1, None)], 1)
    );
    let cited = format!("by consent {}", Digest::of(&signed(&approval)));
    assert!(
        note.terms[0].bases[0].ends_with(&cited) && note.terms[0].sections == "case+persons",
        "{note:?}"
    );
    // Nothing to another member.
    let (es, _) = node.link(network.peer("ES"), &[]);
    assert_eq!(sent(&mut node, es, &ke).1, 0);

    // It survives: a node over the same store goes by it.
    let store = node.store.clone();
    let mut node = network.node_over("RILO-ESA", store);
    let (to_ke, did) = node.link(network.peer("KE"), &[]);
    assert_eq!(told(&did, to_ke), [&consent_of(&approval)], "what it goes by");
    let (ug, _) = node.link(network.peer("UG"), &[]);
    assert_eq!(names(&sent(&mut node, ug, &ke).0), 1);

    // What was read before the revocation belongs to another generation and does not go after it.
    let before = node.exchange.generation(&ke.origin);
    let revocation = says(&request, 2, Verdict::Revoked);
    let did = node.frame(to_ke, Body::Document(consent_of(&revocation)));
    assert_eq!(told(&did, to_ke), [&seen_of(&revocation)]);
    assert_ne!(node.exchange.generation(&ke.origin), before);
    assert_eq!(did.refusals(ug), [("no-agreement", "KE/main")]);
    assert_eq!(sent(&mut node, ug, &ke).1, 0);
    for _ in 0..2 {
        let did = node.frame(to_ke, Body::Document(consent_of(&approval)));
        assert_eq!(refused(&did, to_ke), Some("older-consent"));
        assert_eq!(sent(&mut node, ug, &ke).1, 0);
        // Nor does it come back with a restart.
        node = network.node_over("RILO-ESA", node.store.clone());
        let (_, _) = node.link(network.peer("KE"), &[]);
    }
}

#[test]
fn a_request_that_is_not_taken_says_why() {
    let network = Network::new();
    let (mut node, ke) = holder(&network, Arc::new(MemoryStore::new()));
    let (to_ke, _) = node.link(network.peer("KE"), &[]);
    let request = asks(&ke, 0);
    node.exchange.ask_consent(request.clone()).unwrap();
    let refusal = v1::DocumentRefused {
        kind: Kind::ConsentRequest.into(),
        sha256: crate::core::refused::digest(&signed(&request)).to_vec().into(),
        code: "unknown-record".into(),
    };
    node.frame(to_ke, Body::DocumentRefused(refusal));
    assert_eq!(only(&node).declined, "unknown-record");
    // It is asked again nevertheless, and an answer counts.
    let (again, did) = node.link(network.peer("KE"), &[]);
    assert_eq!(told(&did, again), [&request_of(&request)]);
    node.frame(again, Body::Document(consent_of(&says(&request, 1, Verdict::Refused))));
    assert!(only(&node).declined.is_empty() && only(&node).open().is_none());
}

#[test]
fn an_office_keeps_what_is_for_a_member_of_its_region_until_it_is_settled() {
    let network = Network::new();
    let mut office = network.node("RILO-ESA");
    let (ke, peer): (_, fn(&Network) -> Peer) = (log("KE/main", 1), |network| network.peer("UG"));
    let request = asks(&ke, 0).tap(|request| {
        request.by = "UG".parse().unwrap();
        request.to = "ES".parse().unwrap();
    });
    let (ug, _) = office.link(peer(&network), &[]);
    office.frame(ug, Body::Document(request_of(&request)));
    // KE is away; the office is restarted.
    let mut office = network.node_over("RILO-ESA", office.store.clone());
    let (to_ke, did) = office.link(network.peer("KE"), &[]);
    assert_eq!(told(&did, to_ke), [&request_of(&request)]);
    let (again, did) = office.link(network.peer("KE"), &[]);
    assert_eq!(told(&did, again), [&request_of(&request)], "until it is answered");
    let consent = says(&request, 1, Verdict::Approved);
    let did = office.frame(to_ke, Body::Document(consent_of(&consent)));
    assert!(did.to(to_ke).next().is_none());
    let (ug, did) = office.link(peer(&network), &[]);
    assert_eq!(told(&did, ug), [&consent_of(&consent)]);
    let (to_ke, did) = office.link(network.peer("KE"), &[]);
    assert!(told(&did, to_ke).is_empty(), "the request is settled");
    let did = office.frame(ug, Body::Document(seen_of(&consent)));
    assert!(told(&did, to_ke).contains(&&seen_of(&consent)));
    let (ug, did) = office.link(peer(&network), &[]);
    assert!(told(&did, ug).is_empty(), "so is the answer");
    assert!(office.exchange.consents().is_empty(), "none of it is the office's");
    // Not for a member of another region, and nothing forged.
    let spain = log("ES/main", 1);
    let did = office.frame(
        ug,
        Body::Document(request_of(
            &asks(&spain, 0)
                .tap(|request| request.by = "UG".parse().unwrap())
                .tap(|request| request.to = "KE".parse().unwrap()),
        )),
    );
    assert_eq!(refused(&did, ug), Some("misdirected-consent"));
    let mut forged = request_of(&request);
    forged.document = String::from_utf8(forged.document.to_vec())
        .unwrap()
        .replace("persons", "exact")
        .into();
    let did = office.frame(ug, Body::Document(forged));
    assert_eq!(refused(&did, ug), Some("forged-consent"));
}

#[test]
fn who_is_not_linked_is_asked_through_the_office_of_its_region() {
    let network = Network::new();
    let mut node = network.node("UG");
    let ke = log("KE/main", 1);
    let request = asks(&ke, 0).tap(|request| {
        request.by = "UG".parse().unwrap();
        request.to = "ES".parse().unwrap();
    });
    let (office, _) = node.link(network.peer("RILO-ESA"), &[]);
    node.exchange.ask_consent(request.clone()).unwrap();
    let did = node.handle(office, Event::Changed);
    assert_eq!(told(&did, office), [&request_of(&request)]);
    // Once there is a link to it, it is asked there.
    let (to_ke, did) = node.link(network.peer("KE"), &[]);
    assert_eq!(told(&did, to_ke), [&request_of(&request)]);
    let (office, did) = node.link(network.peer("RILO-ESA"), &[]);
    assert!(told(&did, office).is_empty());
}

#[test]
fn a_holder_put_back_to_before_a_revocation_is_told_it_again() {
    let (network, mut node, own) = originator();
    let (office, _) = node.link(network.peer("RILO-ESA"), &[]);
    let request = asks(&own, 0);
    node.frame(office, Body::Document(request_of(&request)));
    let approval = says(&request, 1, Verdict::Approved);
    let revocation = says(&request, 2, Verdict::Revoked);
    for consent in [&approval, &revocation] {
        node.exchange.answer_consent(consent.clone()).unwrap();
        node.handle(office, Event::Changed);
        node.frame(office, Body::Document(seen_of(consent)));
    }
    let (office, did) = node.link(network.peer("RILO-ESA"), &[]);
    assert!(told(&did, office).is_empty(), "it signed for both");
    let did = node.frame(office, Body::Document(consent_of(&approval)));
    assert_eq!(told(&did, office), [&consent_of(&revocation)]);
    let did = node.frame(office, Body::Document(consent_of(&revocation)));
    assert!(told(&did, office).is_empty() && refused(&did, office).is_none());
}

#[test]
fn an_originator_put_back_to_before_an_answer_learns_it_from_the_holder_and_can_revoke_it() {
    let (network, mut node, own) = originator();
    let (office, _) = node.link(network.peer("RILO-ESA"), &[]);
    let request = asks(&own, 0);
    let approval = says(&request, 3, Verdict::Approved);
    // Not from another key.
    let forged = Signed::sign(approval.clone(), &key("RILO-ESA")).unwrap().to_bytes();
    let did = node.frame(office, Body::Document(document(Kind::Consent, forged)));
    assert_eq!(refused(&did, office), Some("forged-consent"));
    node.frame(office, Body::Document(consent_of(&approval)));
    assert!(only(&node).is_approved() && only(&node).seen == UNIX_NOW);
    let revocation = says(&request, 4, Verdict::Revoked);
    node.exchange.answer_consent(revocation.clone()).unwrap();
    let did = node.handle(office, Event::Changed);
    assert_eq!(told(&did, office), [&consent_of(&revocation)]);
}

#[test]
fn what_can_not_be_kept_does_not_count() {
    let network = Network::new();
    let store = Arc::new(Failing::default());
    let (mut node, ke) = holder(&network, store.clone());
    let (to_ke, _) = node.link(network.peer("KE"), &[]);
    let (ug, _) = node.link(network.peer("UG"), &[]);
    let request = asks(&ke, 1);
    store.fail(true);
    assert_eq!(node.exchange.ask_consent(request.clone()).unwrap_err().code(), "store");
    assert!(node.exchange.consents().is_empty());
    store.fail(false);
    node.exchange.ask_consent(request.clone()).unwrap();
    let approval = says(&request, 1, Verdict::Approved);
    store.fail(true);
    let did = node.frame(to_ke, Body::Document(consent_of(&approval)));
    let blamed = refused(&did, to_ke).is_some();
    assert!(
        told(&did, to_ke)
            .iter()
            .all(|document| document.kind() == Kind::ConsentRequest)
            && !blamed,
        "{did:?}"
    );
    assert_eq!(sent(&mut node, ug, &ke).1, 0);
    store.fail(false);
    let (to_ke, _) = node.link(network.peer("KE"), &[]);
    let did = node.frame(to_ke, Body::Document(consent_of(&approval)));
    assert_eq!(told(&did, to_ke), [&seen_of(&approval)]);
    let (ug, _) = node.link(network.peer("UG"), &[]);
    assert_eq!(names(&sent(&mut node, ug, &ke).0), 1);
}

#[test]
fn refusals_of_what_nobody_asked_fill_nothing() {
    let network = Network::new();
    let (mut node, ke) = holder(&network, Arc::new(MemoryStore::new()));
    let (to_ke, _) = node.link(network.peer("KE"), &[]);
    for index in 0..3 {
        let refusal = says(&asks(&ke, index), 1, Verdict::Refused);
        let did = node.frame(to_ke, Body::Document(consent_of(&refusal)));
        assert_eq!(told(&did, to_ke), [&seen_of(&refusal)]);
    }
    assert!(node.exchange.consents().is_empty());
}

#[test]
fn nobody_asks_without_end() {
    let network = Network::new();
    let (mut node, ke) = holder(&network, Arc::new(MemoryStore::new()));
    let many = (0..=PENDING_PER_MEMBER_MAX).map(|serial| ConsentRequest {
        subject: Subject::Operation {
            owner: "KE".parse().unwrap(),
            operation: format!("OP-{serial}").parse().unwrap(),
        },
        sections: SectionSet::open(),
        to: "WCO".parse().unwrap(),
        ..asks(&ke, 0)
    });
    let codes: Vec<_> = many
        .map(|request| node.exchange.ask_consent(request).map_err(|error| error.code()))
        .filter_map(Result::err)
        .collect();
    assert_eq!(codes, ["too-many-requests"]);
    let (to_ke, did) = node.link(network.peer("KE"), &[]);
    assert_eq!(told(&did, to_ke).len(), TOLD_MAX);
}

#[test]
fn a_hand_over_of_the_key_names_what_is_still_stood_by() {
    let (network, mut node, own) = originator();
    let (office, _) = node.link(network.peer("RILO-ESA"), &[]);
    assert!(node.exchange.signed_consents().is_empty());
    let request = asks(&own, 0);
    node.frame(office, Body::Document(request_of(&request)));
    assert!(node.exchange.signed_consents().is_empty(), "it is another's");
    let approval = says(&request, 1, Verdict::Approved);
    node.exchange.answer_consent(approval.clone()).unwrap();
    node.frame(office, Body::Document(seen_of(&approval)));
    let named = Digest32::of_signed(Domain::Consent, &serde_json::to_vec(&approval).unwrap());
    assert_eq!(node.exchange.signed_consents(), [named].into());
    let revocation = says(&request, 2, Verdict::Revoked);
    node.exchange.answer_consent(revocation.clone()).unwrap();
    let named = Digest32::of_signed(Domain::Consent, &serde_json::to_vec(&revocation).unwrap());
    assert_eq!(
        node.exchange.signed_consents(),
        [named].into(),
        "until it is signed for"
    );
    node.frame(office, Body::Document(seen_of(&revocation)));
    assert!(node.exchange.signed_consents().is_empty());
}

/// The next version of the agreement by which `KE` lets its office pass on, with another rule or fewer sections.
fn next(version: u32, change: impl Fn(&str) -> String) -> v1::Document {
    let text = bilateral("KE", "RILO-ESA").replace(r#"{ rule = "none" }"#, r#"{ rule = "with-consent" }"#);
    let text = text.replace("version = 1", &format!("version = {version}"));
    agreement(&change(&text), &["KE", "RILO-ESA"])
}

#[test]
fn a_revocation_calls_nothing_back_and_neither_do_terms_that_still_ask_for_consent() {
    let network = Network::new();
    let (mut node, ke) = holder(&network, Arc::new(MemoryStore::new()));
    let (to_ke, _) = node.link(network.peer("KE"), &[]);
    let (ug, _) = node.link(network.peer("UG"), &[]);
    let request = asks(&ke, 1);
    node.exchange.ask_consent(request.clone()).unwrap();
    let approval = says(&request, 1, Verdict::Approved);
    node.frame(to_ke, Body::Document(consent_of(&approval)));
    assert_eq!(names(&sent(&mut node, ug, &ke).0), 1);
    let revocation = says(&request, 2, Verdict::Revoked);
    node.frame(to_ke, Body::Document(consent_of(&revocation)));
    assert!(callbacks::calls(&node.second(), ug).is_empty(), "revoked");
    node.adopt(&next(2, str::to_owned));
    assert!(callbacks::calls(&node.second(), ug).is_empty(), "the same terms again");
    let persons = r#", "persons""#;
    assert!(bilateral("KE", "RILO-ESA").contains(persons));
    node.adopt(&next(3, |text| text.replace(persons, "")));
    let made = callbacks::calls(&node.second(), ug);
    let [call] = &made[..] else { panic!("{made:?}") };
    let of: Vec<_> = call.stretches.iter().collect();
    assert_eq!(
        of,
        [(1, SectionSet::open())],
        "the office has no persons to pass on any more"
    );
}

#[test]
fn terms_that_let_nothing_go_onward_call_back_what_went_by_consent() {
    let network = Network::new();
    let (mut node, ke) = holder(&network, Arc::new(MemoryStore::new()));
    let (to_ke, _) = node.link(network.peer("KE"), &[]);
    let (ug, _) = node.link(network.peer("UG"), &[]);
    let request = asks(&ke, 1);
    node.exchange.ask_consent(request.clone()).unwrap();
    let approval = says(&request, 1, Verdict::Approved);
    node.frame(to_ke, Body::Document(consent_of(&approval)));
    assert_eq!(names(&sent(&mut node, ug, &ke).0), 1);
    node.adopt(&next(2, |text| {
        text.replace(r#"rule = "with-consent""#, r#"rule = "none""#)
    }));
    let made = callbacks::calls(&node.second(), ug);
    assert_eq!(made[0].stretches.iter().collect::<Vec<_>>(), [(1, SectionSet::EMPTY)]);
}

#[test]
fn that_an_answer_arrived_is_said_when_the_token_is_back() {
    let network = Network::new();
    let (stick, token) = Stick::with_key_of("RILO-ESA");
    let mut node = network.node_signing("RILO-ESA", Arc::new(MemoryStore::new()), token);
    let ke = log("KE/main", 3);
    node.holds(&ke);
    node.adopt(&by_consent("KE", "RILO-ESA"));
    node.adopt(&agreement(&bilateral("RILO-ESA", "UG"), &["RILO-ESA", "UG"]));
    stick.plug(false);
    let refused = node.exchange.ask_consent(asks(&ke, 0)).unwrap_err();
    assert_eq!(refused.code(), "key-absent");
    assert!(
        node.exchange.consents().is_empty(),
        "nothing is kept of what was not signed"
    );

    stick.plug(true);
    node.exchange.ask_consent(asks(&ke, 0)).unwrap();
    let (link, _) = node.link(network.peer("KE"), &[]);
    stick.plug(false);
    let did = node.frame(
        link,
        Body::Document(consent_of(&says(&asks(&ke, 0), 1, Verdict::Approved))),
    );
    assert!(told(&did, link).is_empty() && did.closed.is_empty(), "{did:?}");
    assert!(only(&node).consent.is_some(), "it counts");
    assert!(node.sign_owed().is_err());
    stick.plug(true);
    let did = node.sign_owed().unwrap();
    assert_eq!(told(&did, link).len(), 1, "{did:?}");
    assert!(told(&node.sign_owed().unwrap(), link).is_empty(), "once");
}
