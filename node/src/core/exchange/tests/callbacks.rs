//! Narrower terms: what is called back, from whom, what is erased, and everything that is refused.

use icomm_pki::{Handover, MemberKey};
use icomm_proto::log::Item;
use icomm_proto::{SectionSet, View};

use super::recalls::{holding, passed_on, sections, verifies};
use super::refilling::{giving, receipt, refills, served, stored};
use super::*;
use crate::core::callback::{Answer, Call, Stretches};
use crate::store::Restricting;

pub(super) fn calls(did: &Did, link: LinkId) -> Vec<Call> {
    let calls = did.to(link).filter_map(|body| match body {
        Body::CallBack(call) => Some(Call::parse(call).unwrap()),
        _ => None,
    });
    calls.collect()
}

pub(super) fn answers(did: &Did, link: LinkId, by: &str) -> Vec<Answer> {
    let answers = did.to(link).filter_map(|body| match body {
        Body::CalledBack(answer) => Some(Answer::verify(answer, &key(by).public().into()).unwrap()),
        _ => None,
    });
    answers.collect()
}

pub(super) fn call(log: &Originator, entries: &[(u64, &str)]) -> Call {
    let mut stretches = Stretches::default();
    for (index, sections) in entries {
        stretches.keep(*index, sections.parse().unwrap());
    }
    Call {
        origin: log.origin.clone(),
        agreement: "ke-ug".parse().unwrap(),
        version: 2,
        time: UNIX_NOW,
        stretches,
    }
}

pub(super) fn asks(call: &Call) -> Body {
    Body::CallBack(call.encode())
}

fn answer(call: &Call, by: &str, waiting: &[&str]) -> v1::CalledBack {
    answer_under(call, by, waiting, &key(by))
}

fn answer_under(call: &Call, by: &str, waiting: &[&str], key: &MemberKey) -> v1::CalledBack {
    let members = || waiting.iter().map(ToString::to_string).collect();
    Answer {
        origin: call.origin.clone(),
        digest: call.digest(),
        by: by.parse().unwrap(),
        node: "n1".parse().unwrap(),
        time: UNIX_NOW,
        entries: 1,
        passed_on: members(),
        waiting: members(),
    }
    .sign(key)
    .unwrap()
}

fn owed(node: &TestNode, member: &str) -> usize {
    node.exchange.owed_calls().get(member).copied().unwrap_or_default()
}

/// KE has given the open and the exact section of three entries to UG, and gives the open one from now on.
fn narrowed() -> (Network, TestNode, Originator, LinkId) {
    let (network, mut node, own, link, _) = served(3);
    let refill = refills(&node.adopt(&giving(2, "case+exact")), link)[0].clone();
    node.frame(link, stored(&refill));
    assert!(calls(&node.second(), link).is_empty(), "wider terms take nothing back");
    node.adopt(&giving(3, "case"));
    (network, node, own, link)
}

#[test]
fn narrower_terms_call_back_what_went_and_are_asked_again_until_they_are_answered() {
    let (network, mut node, own, link) = narrowed();
    let made = calls(&node.second(), link);
    let [made] = &made[..] else { panic!("{made:?}") };
    assert_eq!(
        (&made.origin, made.agreement.as_str(), made.version),
        (&own.origin, "ke-ug", 3)
    );
    let of: Vec<_> = made.stretches.iter().collect();
    assert_eq!(of, [0, 1, 2].map(|index| (index, SectionSet::open())));
    assert!(calls(&node.second(), link).is_empty(), "once");
    assert_eq!(owed(&node, "UG"), 1);

    // Also after a restart, right after the hellos.
    let mut node = network.node_over("KE", node.store.clone());
    let (link, did) = node.link(network.peer("UG"), &[]);
    assert_eq!(calls(&did, link), std::slice::from_ref(made));
    assert!(calls(&node.second(), link).is_empty());

    // It has erased, but not whoever had it from there.
    node.frame(link, Body::CalledBack(answer(made, "UG", &["ES"])));
    assert_eq!(owed(&node, "UG"), 1);
    node.frame(link, Body::CalledBack(answer(made, "UG", &[])));
    assert_eq!(owed(&node, "UG"), 0);
    let (link, did) = node.link(network.peer("UG"), &[]);
    assert!(calls(&did, link).is_empty());
}

#[test]
fn an_answer_that_is_forged_or_was_not_asked_for_settles_nothing() {
    let (_, mut node, own, link) = narrowed();
    let made = calls(&node.second(), link).remove(0);
    let other = call(&own, &[(1, "none")]);
    let changed = v1::CalledBack {
        entries: 9,
        ..answer(&made, "UG", &[])
    };
    for (code, case) in [
        ("invalid-answer", changed),
        ("invalid-answer", answer(&made, "ES", &[])),
        ("unasked", answer(&other, "UG", &[])),
    ] {
        let metrics = counted(|| {
            let did = node.frame(link, Body::CalledBack(case));
            assert!(did.closed.is_empty() && calls(&did, link).is_empty());
        });
        let expected = format!(r#"icomm_refused_calls_total{{peer="UG",code="{code}"}} 1"#);
        assert!(metrics.contains(&expected), "{code}: {metrics}");
        assert_eq!(owed(&node, "UG"), 1);
    }
}

#[test]
fn what_is_over_or_suspended_stays_where_it_is() {
    let (_, mut node, _, link, _) = served(3);
    let suspended = "ke-ug".parse().unwrap();
    node.exchange.law().suspend(&suspended, "test", UNIX_NOW).unwrap();
    assert!(calls(&node.second(), link).is_empty());
    assert_eq!(owed(&node, "UG"), 0);
}

#[test]
fn what_is_covered_by_another_agreement_stays_where_it_is() {
    let (_, mut node, _, link, _) = served(3);
    let mut terms = icomm_policy::Agreement::read(&bilateral("KE", "UG"))
        .unwrap()
        .terms()
        .clone();
    terms.id = "ke-ug-too".parse().unwrap();
    let text = serde_json::to_string(&terms).unwrap();
    node.adopt(&agreement(&text, &["KE", "UG"]));
    let refill = refills(&node.adopt(&giving(2, "case+exact")), link)[0].clone();
    node.frame(link, stored(&refill));
    node.adopt(&giving(3, "case"));
    assert_eq!(calls(&node.second(), link), []);
    // Until that one gives less too.
    terms.version = 2;
    terms
        .grants
        .iter_mut()
        .for_each(|grant| grant.sections = SectionSet::open());
    let text = serde_json::to_string(&terms).unwrap();
    node.adopt(&agreement(&text, &["KE", "UG"]));
    assert_eq!(calls(&node.second(), link)[0].stretches.of(2), SectionSet::open());
}

#[test]
fn what_was_taken_back_goes_again_when_the_terms_are_wide_again() {
    let (network, mut node, own, link) = narrowed();
    let made = calls(&node.second(), link).remove(0);
    node.adopt(&giving(4, "case+exact"));
    let wide = refills(&node.frame(link, Body::CalledBack(answer(&made, "UG", &[]))), link);
    assert!(!wide.is_empty());
    // A peer that received under the second version, and was told nothing of the third.
    let under = v1::Revisions {
        revision: wide[0].revision.replace("ke-ug@4", "ke-ug@2"),
        ..Default::default()
    };
    let (link, _) = node.link(network.peer("UG"), &[]);
    let want = Body::Want(v1::Want {
        origin: own.origin.to_string(),
        from: 3,
        stop: false,
        under: Some(under),
    });
    let again = refills(&node.frame(link, want), link);
    let chunk = again[0].chunk.as_ref().unwrap();
    assert_eq!((chunk.from, chunk.count), (0, 3));
}

#[test]
fn a_holder_erases_signs_and_its_replica_still_verifies() {
    let (_, mut node, ke, link) = holding();
    let call = call(&ke, &[(0, "case"), (1, "none")]);
    let did = node.frame(link, asks(&call));
    let [said] = &answers(&did, link, "UG")[..] else {
        panic!("{did:?}")
    };
    assert_eq!((said.digest, said.entries), (call.digest(), 2));
    assert!(said.passed_on.is_empty() && said.waiting.is_empty());
    assert_eq!(sections(&node, &ke, 0), Some(SectionSet::open()));
    assert_eq!(sections(&node, &ke, 1), None, "its hash alone");
    assert_eq!(sections(&node, &ke, 2), Some(ke.views[2].sections()));
    assert!(node.store.find(&ke.views[1].head().record_id).unwrap().is_empty());
    assert!(verifies(&node, &ke));
    // Asked again it says the same, and writes nothing.
    let batches = node.store.health().batches;
    let again = node.frame(link, asks(&call));
    assert_eq!(answers(&again, link, "UG"), answers(&did, link, "UG"));
    assert_eq!(node.store.health().batches, batches);
    // Terms that are wide again bring it back.
    let wide = v1::Refill {
        origin: ke.origin.to_string(),
        revision: "ke-ug@4/;00000000000000000000000000000000".into(),
        through: 3,
        complete: false,
        chunk: Some(ke.whole(0, 3)),
    };
    node.frame(link, Body::Refill(wide));
    assert_eq!(sections(&node, &ke, 1), Some(ke.views[1].sections()));
    assert!(verifies(&node, &ke));
}

#[test]
fn what_is_no_call_is_counted_and_erases_nothing() {
    let (_, mut node, ke, link) = holding();
    let own = log("UG/main", 2);
    node.holds(&own);
    let mut malformed = call(&ke, &[(0, "none")]).encode();
    malformed.stretches[0].sections = "everything".into();
    for (code, call) in [
        ("own-record", call(&own, &[(0, "none")]).encode()),
        ("invalid-call", malformed),
    ] {
        let metrics = counted(|| {
            let did = node.frame(link, Body::CallBack(call));
            assert!(did.closed.is_empty() && answers(&did, link, "UG").is_empty());
        });
        let expected = format!(r#"icomm_refused_calls_total{{peer="KE",code="{code}"}} 1"#);
        assert!(metrics.contains(&expected), "{code}: {metrics}");
        assert!((0..3).all(|index| sections(&node, &ke, index) == Some(ke.views[0].sections())));
        assert_eq!(sections(&node, &own, 0), Some(own.views[0].sections()));
    }
}

#[test]
fn nobody_takes_what_it_did_not_send() {
    let (network, mut node, ke, _) = holding();
    let (other, _) = node.link(network.peer("ES"), &[&ke]);
    let did = node.frame(other, asks(&call(&ke, &[(0, "none"), (7, "none")])));
    assert_eq!(answers(&did, other, "UG")[0].entries, 0);
    assert_eq!(sections(&node, &ke, 0), Some(ke.views[0].sections()));
}

#[test]
fn nothing_more_goes_to_who_has_not_answered() {
    let (_, mut node, mut own, link) = narrowed();
    let made = calls(&node.second(), link).remove(0);
    node.frame(link, receipt(&own, 3));
    own.commit([record("KE", 77, "x")]);
    node.holds(&own);
    let origin = own.origin.clone();
    let did = node.handle(link, Event::Grew { origin });
    assert!(did.chunks(link).is_empty());
    assert!(refills(&node.adopt(&giving(4, "case+exact")), link).is_empty());
    let did = node.frame(link, Body::CalledBack(answer(&made, "UG", &["ES"])));
    assert_eq!(did.chunks(link).len(), 1);
    assert!(refills(&did, link)[0].chunk.as_ref().unwrap().count >= 3);
}

#[test]
fn a_relay_takes_nothing_that_the_originator_gives_itself() {
    let (network, mut node, ke, _) = holding();
    let (relay, _) = node.link(network.peer("ES"), &[&ke]);
    node.chunk(relay, ke.whole(0, 3));
    let did = node.frame(relay, asks(&call(&ke, &[(0, "none")])));
    assert_eq!(answers(&did, relay, "UG")[0].entries, 0);
    assert_eq!(sections(&node, &ke, 0), Some(ke.views[0].sections()));
    // What goes beyond that it may take.
    node.adopt(&giving(2, "case"));
    let did = node.frame(relay, asks(&call(&ke, &[(1, "none")])));
    assert_eq!(answers(&did, relay, "UG")[0].entries, 1);
    assert_eq!(sections(&node, &ke, 1), Some(SectionSet::open()));
}

#[test]
fn a_hub_calls_back_what_it_passed_on_and_says_who_has_not_answered() {
    let (network, store, mut hub, ke, [from, to]) = passed_on();
    let cause = call(&ke, &[(0, "none")]);
    let did = hub.frame(from, asks(&cause));
    assert_eq!(sections(&hub, &ke, 0), None);
    let [on] = &calls(&did, to)[..] else { panic!("{did:?}") };
    assert_eq!(on.stretches, cause.stretches);
    let [said] = &answers(&did, from, "RILO-ESA")[..] else {
        panic!("{did:?}")
    };
    assert_eq!(
        (&said.passed_on[..], &said.waiting[..]),
        (&["UG".to_owned()][..], &["UG".to_owned()][..])
    );
    // After a restart it is still owed.
    let mut again = network.node_over("RILO-ESA", store);
    let (link, did) = again.link(network.peer("UG"), &[]);
    assert_eq!(calls(&did, link), std::slice::from_ref(on));
    // And whoever asked first hears of the answer at once.
    let did = hub.frame(to, Body::CalledBack(answer(on, "UG", &[])));
    let [said] = &answers(&did, from, "RILO-ESA")[..] else {
        panic!("{did:?}")
    };
    assert!(said.waiting.is_empty() && said.digest == cause.digest());
    assert_eq!(owed(&hub, "UG"), 0);
}

#[test]
fn what_was_read_before_the_terms_became_narrower_does_not_go_after() {
    let (_, mut node, own, _) = narrowed();
    let before = node.exchange.generation(&own.origin);
    node.second();
    assert_ne!(
        node.exchange.generation(&own.origin),
        before,
        "so what was prepared before is read again"
    );
}

#[test]
fn a_store_that_fails_leaves_the_call_owed() {
    let network = Network::new();
    let store = Arc::new(Failing::default());
    let mut node = network.node_over("UG", store.clone());
    let ke = log("KE/main", 2);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 2));
    store.fail(true);
    let did = node.frame(link, asks(&call(&ke, &[(0, "none")])));
    assert!(answers(&did, link, "UG").is_empty());
    assert_eq!(did.closed[0].1.code, "store");
    store.fail(false);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    let did = node.frame(link, asks(&call(&ke, &[(0, "none")])));
    assert_eq!(answers(&did, link, "UG")[0].entries, 1);
    assert_eq!(sections(&node, &ke, 0), None);
}

#[test]
fn members_that_pass_on_to_each_other_do_not_wait_for_each_other() {
    let (network, _, mut hub, ke, [from, to]) = passed_on();
    let (around, _) = hub.link(network.peer("ES"), &[&ke]);
    hub.chunk(around, ke.whole(0, 2));
    let cause = call(&ke, &[(0, "none")]);
    let did = hub.frame(from, asks(&cause));
    assert_eq!(calls(&did, to).len(), 1);
    // The same, come round by somebody who had it too: nobody is asked twice, and nobody waited for.
    let round = call(&ke, &[(0, "none"), (1, "case")]);
    let did = hub.frame(around, asks(&round));
    let [said] = &answers(&did, around, "RILO-ESA")[..] else {
        panic!("{did:?}")
    };
    assert_eq!(
        (&said.passed_on[..], &said.waiting[..]),
        (&["UG".to_owned()][..], &[][..])
    );
    assert!(calls(&did, to).is_empty());
    assert_eq!(owed(&hub, "UG"), 1);
    // A later version is another matter.
    let later = Call { version: 3, ..cause };
    let did = hub.frame(from, asks(&later));
    assert_eq!(answers(&did, from, "RILO-ESA")[0].waiting, ["UG"]);
    assert_eq!(owed(&hub, "UG"), 2);
}

#[test]
fn who_was_away_while_terms_narrowed_twice_gives_up_both() {
    let (network, mut node, own, link) = narrowed();
    let first = calls(&node.second(), link).remove(0);
    node.exchange.closed(link);
    let mut none = icomm_policy::Agreement::read(&bilateral("KE", "UG"))
        .unwrap()
        .terms()
        .clone();
    none.version = 4;
    none.grants.retain(|grant| grant.from.to_string() != "KE");
    node.adopt(&agreement(&serde_json::to_string(&none).unwrap(), &["KE", "UG"]));
    node.second();
    assert_eq!(owed(&node, "UG"), 2);
    let (link, did) = node.link(network.peer("UG"), &[]);
    let mut asked = calls(&did, link);
    assert_eq!(asked.len(), 1, "one at a time");
    let did = node.frame(link, Body::CalledBack(answer(&asked[0], "UG", &[])));
    asked.extend(calls(&did, link));
    let [one, other] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!([one, other].iter().filter(|call| **call == &first).count(), 1);
    let kept = [one, other].map(|call| call.stretches.of(2));
    assert!(
        kept.contains(&SectionSet::EMPTY) && kept.contains(&SectionSet::open()),
        "{kept:?}"
    );
    node.frame(link, Body::CalledBack(answer(other, "UG", &[])));
    assert_eq!(owed(&node, "UG"), 0);

    // There, in whichever order they come, nothing is left, and nothing came back between.
    for order in [[one, other], [other, one]] {
        let (_, mut holder, ke, link) = holding();
        assert_eq!(ke.origin, own.origin);
        for call in order {
            holder.frame(link, asks(call));
        }
        assert!((0..3).all(|index| sections(&holder, &ke, index).is_none()));
        assert!(verifies(&holder, &ke));
    }
}

#[test]
fn what_is_shut_away_is_given_up_too_unless_it_may_stay() {
    let (network, inner) = (Network::new(), Arc::new(MemoryStore::new()));
    let store: Arc<dyn Store> = Arc::new(Restricting::open(inner.clone()).unwrap());
    let mut node = network.node_over("UG", store);
    let ke = log("KE/main", 3);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 3));
    let shut = |batch: Batch, kind: SectionKind| batch.restrict(&ke.origin, 0, 3, kind.into());
    node.store.append(shut(Batch::new(), SectionKind::Persons)).unwrap();
    let here = |index| match inner.entry(&ke.origin, index).unwrap().unwrap() {
        Item::Disclosed(bytes) => View::parse(bytes).unwrap().sections(),
        Item::Withheld(_) => SectionSet::EMPTY,
    };
    let all = ke.views[0].sections();
    assert!(here(0) == all && sections(&node, &ke, 0) != Some(all));
    let did = node.frame(
        link,
        asks(&call(&ke, &[(0, "case+exact"), (1, "case+persons"), (2, "none")])),
    );
    assert_eq!(answers(&did, link, "UG")[0].entries, 3);
    let set = |names: &str| names.parse::<SectionSet>().unwrap();
    assert_eq!(
        [0, 1, 2].map(here),
        [set("case+exact"), set("case+persons"), SectionSet::EMPTY]
    );
    assert_eq!(sections(&node, &ke, 1), Some(SectionSet::open()), "still shut away");
    assert!(verifies(&node, &ke));
}

#[test]
fn an_answer_under_a_key_that_was_handed_over_is_asked_for_again() {
    let (mut network, mut node, _, link) = narrowed();
    let made = calls(&node.second(), link).remove(0);
    let new = MemberKey::from_seed(&[77; 32]);
    let handover = Handover {
        stolen: true,
        ends: Default::default(),
        documents: Default::default(),
    };
    network.succeed("UG", &new, Some(handover));
    node.adopt(&document(Kind::Bundle, network.bundle(9, 30)));
    let metrics = counted(|| {
        node.frame(link, Body::CalledBack(answer(&made, "UG", &[])));
    });
    assert!(metrics.contains(r#"code="invalid-answer"} 1"#), "{metrics}");
    assert_eq!(owed(&node, "UG"), 1);
    let (link, did) = node.link(network.peer("UG"), &[]);
    assert_eq!(calls(&did, link), std::slice::from_ref(&made));
    node.frame(link, Body::CalledBack(answer_under(&made, "UG", &[], &new)));
    assert_eq!(owed(&node, "UG"), 0);
}
