//! Retention: what is over is erased or shut away and does not come back, what is not over stays, and the originator is told.

use icomm_policy::agreement::Expiry as Then;
use icomm_proto::log::Item;
use icomm_proto::{EntryKind, SectionSet, View};

use super::*;
use crate::core::retention::{DAY_S, Expiry, InvalidExpiry, Span, parts};
use crate::core::tally::Tally;
use crate::store::Restricting;

/// The agreement by which `a` and `b` give each other records for so long.
fn for_days(a: &str, b: &str, days: u32, then: &str) -> String {
    let text = bilateral(a, b);
    let whole = r#"retention = { days = 1825, then = "erase" }"#;
    assert!(text.contains(whole), "{text}");
    text.replace(whole, &format!(r#"retention = {{ days = {days}, then = "{then}" }}"#))
}

fn version(text: &str, version: u32, from: &str) -> String {
    let (first, begin) = ("version = 1", "in_force_from = 2026-11-01");
    assert!(text.contains(first) && text.contains(begin), "{text}");
    text.replace(first, &format!("version = {version}"))
        .replace(begin, &format!("in_force_from = {from}"))
}

fn sections(store: &dyn Store, log: &Originator, index: u64) -> SectionSet {
    match store.entry(&log.origin, index).unwrap().unwrap() {
        Item::Withheld(_) => SectionSet::EMPTY,
        Item::Disclosed(bytes) => View::parse(bytes).unwrap().verify().unwrap().view().sections(),
    }
}

fn verifies(node: &TestNode, log: &Originator) -> bool {
    let mut tally = Tally::default();
    tally
        .advance(&*node.store, &log.origin, &log.line, &log.key.public().into())
        .unwrap();
    tally.verified && tally.entries() == size(node, log)
}

fn on(day: u64, act: bool) -> Sweep {
    Sweep {
        now: UNIX_NOW + day * DAY_S,
        notice_days: 30,
        act,
    }
}

fn expiries(did: &Did, link: LinkId) -> Vec<&v1::Expiries> {
    let those = did.to(link).filter_map(|body| match body {
        Body::Expiries(expiries) => Some(expiries),
        _ => None,
    });
    those.collect()
}

fn set(names: &str) -> SectionSet {
    names.parse().unwrap()
}

/// `UG` holds three records of `KE`, of which it got everything today, for 30 days.
struct Held {
    network: Network,
    store: Arc<dyn Store>,
    node: TestNode,
    ke: Originator,
    link: LinkId,
}

fn held(then: &str) -> Held {
    let network = Network::new();
    let store: Arc<dyn Store> = Arc::new(Restricting::open(Arc::new(MemoryStore::new())).unwrap());
    let mut node = network.node_over("UG", store.clone());
    node.adopt(&agreement(&for_days("KE", "UG", 30, then), &["KE", "UG"]));
    let ke = log("KE/main", 3);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 3));
    assert_eq!(sections(&*store, &ke, 1), set("case+exact+persons"));
    Held {
        network,
        store,
        node,
        ke,
        link,
    }
}

#[test]
fn on_its_day_everything_but_the_open_section_is_erased_and_the_originator_is_told() {
    let Held {
        network,
        store,
        mut node,
        ke,
        link,
    } = held("erase");
    // On the last day nothing happens, but it is known beforehand.
    let swept = node.exchange.sweep(on(30, true)).unwrap();
    let [term] = &swept.terms[..] else { panic!("{swept:?}") };
    let today = UNIX_NOW / DAY_S;
    assert_eq!(
        (term.entries, term.then, term.over, term.done),
        (3, Then::Erase, today + 31, false)
    );
    assert_eq!(
        (term.sections, &*term.basis),
        (set("exact+persons"), "`ke-ug` version 1, grant 0")
    );
    assert_eq!(sections(&*store, &ke, 1), set("case+exact+persons"));
    assert_eq!(
        node.exchange.sweep(on(0, false)).unwrap(),
        Swept::default(),
        "not within 30 days"
    );
    // A dry run changes nothing.
    let swept = node.exchange.sweep(on(31, false)).unwrap();
    assert_eq!((swept.terms[0].entries, swept.terms[0].done), (3, false));
    assert_eq!(sections(&*store, &ke, 1), set("case+exact+persons"));

    let before = node.exchange.generation(&ke.origin);
    let swept = node.exchange.sweep(on(31, true)).unwrap();
    assert_eq!((swept.terms[0].entries, swept.terms[0].done), (3, true));
    let after = node.exchange.generation(&ke.origin);
    assert!(
        after.is_some() && after != before,
        "what was read before goes to nobody any more"
    );
    for index in 0..3 {
        assert_eq!(sections(&*store, &ke, index), set("case"));
    }
    assert!(verifies(&node, &ke));
    assert!(
        parts(&*store, &ke.origin).unwrap().is_empty(),
        "nothing is left to look at"
    );
    assert_eq!(node.exchange.sweep(on(40, true)).unwrap(), Swept::default());

    // Its word goes to who sent it, until that one has taken it.
    let did = node.handle(LinkId(u64::MAX), Event::Changed);
    let [told] = expiries(&did, link)[..] else {
        panic!("{did:?}")
    };
    let [word] = &told.expired[..] else { panic!("{told:?}") };
    let expiry = Expiry::verify(word, &key("UG").public().into()).unwrap();
    let span = Span {
        from: 0,
        count: 3,
        sections: set("exact+persons"),
        restricted: false,
    };
    assert_eq!((&expiry.origin, expiry.spans), (&ke.origin, vec![span]));
    let mut restarted = network.node_on(31, "UG", store.clone());
    let (link, did) = restarted.link(network.peer("KE"), &[&ke]);
    assert_eq!(expiries(&did, link), [told], "it was not taken");
    let mut originator = network.node("KE");
    originator.holds(&ke);
    let (to_ug, _) = originator.link(network.peer("UG"), &[]);
    let did = originator.frame(to_ug, Body::Expiries(told.clone()));
    let [taken] = expiries(&did, to_ug)[..] else {
        panic!("{did:?}")
    };
    assert!(restarted.frame(link, Body::Expiries(taken.clone())).frames.is_empty());
    let (link, did) = restarted.link(network.peer("KE"), &[&ke]);
    assert!(expiries(&did, link).is_empty());
    let known = originator
        .exchange
        .expired_at(&ke.origin, &"UG".parse().unwrap(), "n1")
        .unwrap();
    assert_eq!(known[0].of(2), (set("exact+persons"), SectionSet::EMPTY));
}

#[test]
fn what_expired_is_stored_again_from_nobody_under_no_terms_and_after_no_restart() {
    let Held {
        network,
        store,
        mut node,
        mut ke,
        link,
    } = held("erase");
    node.exchange.sweep(on(31, true)).unwrap();
    // The same again, from its originator and from another, now and after a restart, under an agreement for longer.
    node.chunk(link, ke.whole(0, 3));
    let longer = version(&for_days("KE", "UG", 3000, "erase"), 2, "2026-11-02");
    node.adopt(&agreement(&longer, &["KE", "UG"]));
    node.chunk(link, ke.whole(0, 3));
    let (office, _) = node.link(network.peer("RILO-ESA"), &[&ke]);
    node.chunk(office, ke.whole(0, 3));
    drop(node);
    let mut node = network.node_on(31, "UG", store.clone());
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    let batches = store.health().batches;
    let did = node.chunk(link, ke.whole(0, 3));
    assert_eq!(did.receipts(link), [("KE/main", 3)]);
    assert_eq!(store.health().batches, batches, "nothing of it is news");
    for index in 0..3 {
        assert_eq!(sections(&*store, &ke, index), set("case"));
    }
    // What is issued anew is new, and the log goes on.
    ke.void(1, EntryKind::Amend);
    let did = node.chunk(link, ke.whole(2, 4));
    assert_eq!(did.receipts(link), [("KE/main", 4)]);
    assert_eq!(
        (sections(&*store, &ke, 2), sections(&*store, &ke, 3)),
        (set("case"), ke.views[3].sections())
    );
    assert!(verifies(&node, &ke));
}

#[test]
fn a_longer_agreement_keeps_what_is_still_there_and_an_ended_one_still_ends_it() {
    let Held { node, ke, store, .. } = held("erase");
    let longer = version(&for_days("KE", "UG", 60, "erase"), 2, "2026-12-10").replacen(
        "in_force_from = 2026-12-10",
        "in_force_from = 2026-12-10\nin_force_until = 2026-12-20",
        1,
    );
    node.exchange
        .law()
        .adopt(&agreement(&longer, &["KE", "UG"]), UNIX_NOW)
        .unwrap();
    // It has ended long ago when the longer time is over.
    assert!(
        node.exchange
            .sweep(on(31, true))
            .unwrap()
            .terms
            .iter()
            .all(|term| !term.done)
    );
    node.exchange.sweep(on(60, true)).unwrap();
    assert_eq!(sections(&*store, &ke, 0), set("case+exact+persons"));
    let swept = node.exchange.sweep(on(61, true)).unwrap();
    assert_eq!(swept.terms[0].basis, "`ke-ug` version 2, grant 0");
    assert_eq!(sections(&*store, &ke, 0), set("case"));
}

#[test]
fn each_section_has_its_time_from_when_it_came() {
    let network = Network::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let ke = log("KE/main", 4);
    let terms = agreement(&for_days("KE", "UG", 30, "erase"), &["KE", "UG"]);
    let part = |index: u64| {
        if index < 2 {
            set("case+exact")
        } else {
            SectionSet::EMPTY
        }
    };
    for (day, from, to, chunk) in [
        (0, 0, 4, ke.chunk(0, 4, part)),
        // Wider terms ten days later, for some; of the others a hash came, and now all of them.
        (
            10,
            1,
            4,
            ke.chunk(0, 4, |index| if index == 0 { set("case") } else { SectionSet::ALL }),
        ),
    ] {
        let mut node = network.node_on(day, "UG", store.clone());
        node.adopt(&terms);
        let (link, _) = node.link(network.peer("KE"), &[&ke]);
        assert_eq!(node.chunk(link, chunk).receipts(link), [("KE/main", 4)], "{from} {to}");
    }
    let node = network.node_on(31, "UG", store.clone());
    let all = |node: &TestNode| {
        (0..4)
            .map(|index| sections(&*node.store, &ke, index).to_string())
            .collect::<Vec<_>>()
    };
    node.exchange.sweep(on(31, true)).unwrap();
    assert_eq!(
        all(&node),
        ["case", "case+persons", "case+exact+persons", "case+exact+persons"]
    );
    node.exchange.sweep(on(40, true)).unwrap();
    assert_eq!(
        all(&node),
        ["case", "case+persons", "case+exact+persons", "case+exact+persons"]
    );
    node.exchange.sweep(on(41, true)).unwrap();
    assert_eq!(all(&node), ["case"; 4]);
    assert!(verifies(&node, &ke));
}

#[test]
fn what_is_shut_away_goes_nowhere_is_shown_to_nobody_and_is_still_there() {
    let network = Network::new();
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let store: Arc<dyn Store> = Arc::new(Restricting::open(inner.clone()).unwrap());
    // What KE gives its office may go on in the region.
    let exact = r#"onward = { rule = "region", sections = ["case", "exact"], handling = "H1" }"#;
    let esa_terms = for_days("KE", "RILO-ESA", 30, "restrict").replace(r#"onward = { rule = "none" }"#, exact);
    let ug_terms = for_days("RILO-ESA", "UG", 300, "erase");
    let mut esa = network.node_over("RILO-ESA", store.clone());
    esa.adopt(&agreement(&esa_terms, &["KE", "RILO-ESA"]));
    esa.adopt(&agreement(&ug_terms, &["RILO-ESA", "UG"]));
    let ke = log("KE/main", 3);
    let (to_ke, _) = esa.link(network.peer("KE"), &[&ke]);
    esa.chunk(to_ke, ke.whole(0, 3));
    let given = |esa: &mut TestNode| {
        let (to_ug, _) = esa.link(network.peer("UG"), &[]);
        let did = esa.frame(to_ug, want(&ke, 0));
        let [chunk] = did.chunks(to_ug)[..] else {
            panic!("{did:?}")
        };
        let body = icomm_proto::log::ChunkBody::parse(chunk.body.clone(), chunk.count).unwrap();
        let sections: Vec<String> = body
            .items()
            .map(|item| match item {
                Item::Disclosed(bytes) => View::parse(bytes).unwrap().sections().to_string(),
                Item::Withheld(_) => "none".to_owned(),
            })
            .collect();
        (sections, chunk.keep)
    };
    // The originator's terms go with what is passed on.
    let (before, told) = given(&mut esa);
    assert_eq!(before, ["case+exact"; 3]);
    let keep = v1::Keep {
        days: 30,
        restrict: false,
    };
    assert_eq!(told, Some(keep));

    esa.exchange.sweep(on(31, true)).unwrap();
    for index in 0..3 {
        assert_eq!(sections(&*store, &ke, index), set("case"));
        assert_eq!(sections(&*inner, &ke, index), set("case+exact+persons"), "kept");
    }
    assert_eq!(given(&mut esa).0, ["case"; 3]);
    assert!(verifies(&esa, &ke));
    assert_eq!(esa.exchange.sweep(on(300, true)).unwrap(), Swept::default());
    // Also after a restart, and when it comes again.
    let store: Arc<dyn Store> = Arc::new(Restricting::open(inner.clone()).unwrap());
    let mut esa = network.node_on(31, "RILO-ESA", store.clone());
    let (to_ke, did) = esa.link(network.peer("KE"), &[&ke]);
    let told = expiries(&did, to_ke)[0].expired[0].clone();
    assert!(told.spans.iter().all(|span| span.restricted));
    esa.chunk(to_ke, ke.whole(0, 3));
    assert_eq!(given(&mut esa).0, ["case"; 3]);
}

#[test]
fn what_was_passed_on_lasts_as_long_as_the_stricter_of_both_and_the_word_goes_back_the_same_way() {
    let network = Network::new();
    let mut ug = network.node("UG");
    ug.adopt(&agreement(
        &for_days("RILO-ESA", "UG", 300, "restrict"),
        &["RILO-ESA", "UG"],
    ));
    let ke = log("KE/main", 2);
    let (to_esa, _) = ug.link(network.peer("RILO-ESA"), &[&ke]);
    let keep = v1::Keep {
        days: 20,
        restrict: false,
    };
    let chunk = v1::Chunk {
        keep: Some(keep),
        ..ke.chunk(0, 2, |_| set("case+exact"))
    };
    ug.chunk(to_esa, chunk);
    ug.exchange.sweep(on(20, true)).unwrap();
    assert_eq!(sections(&*ug.store, &ke, 0), set("case+exact"));
    ug.exchange.sweep(on(21, true)).unwrap();
    assert_eq!(sections(&*ug.store, &ke, 0), set("case"));
    let did = ug.handle(LinkId(u64::MAX), Event::Changed);
    let told = expiries(&did, to_esa)[0].clone();

    // The office keeps it, and owes it to the originator.
    let mut esa = network.node("RILO-ESA");
    esa.holds(&ke);
    let (to_ug, _) = esa.link(network.peer("UG"), &[]);
    let (to_ke, _) = esa.link(network.peer("KE"), &[]);
    let did = esa.frame(to_ug, Body::Expiries(told.clone()));
    assert_eq!(expiries(&did, to_ug)[0].taken.len(), 1);
    assert_eq!(expiries(&did, to_ke)[0].expired, told.expired);
    // Once more: taken again, and told to nobody.
    let did = esa.frame(to_ug, Body::Expiries(told.clone()));
    assert_eq!(
        (expiries(&did, to_ug)[0].taken.len(), expiries(&did, to_ke).len()),
        (1, 0)
    );
    let mut originator = network.node("KE");
    originator.holds(&ke);
    let (from_esa, _) = originator.link(network.peer("RILO-ESA"), &[]);
    let did = originator.frame(from_esa, Body::Expiries(told));
    let taken = expiries(&did, from_esa)[0].clone();
    assert!(expiries(&esa.frame(to_ke, Body::Expiries(taken)), to_ke).is_empty());
    let (again, did) = esa.link(network.peer("KE"), &[]);
    assert!(expiries(&did, again).is_empty());
}

#[test]
fn a_word_that_does_not_count_is_refused_counted_and_not_answered() {
    let network = Network::new();
    let mut node = network.node("KE");
    let ke = log("KE/main", 2);
    node.holds(&ke);
    let (link, _) = node.link(network.peer("UG"), &[]);
    let word = |by: &str, from: u64, origin: &str| Expiry {
        origin: origin.parse().unwrap(),
        by: by.parse().unwrap(),
        node: "n1".parse().unwrap(),
        time: UNIX_NOW,
        spans: vec![Span {
            from,
            count: 1,
            sections: set("persons"),
            restricted: false,
        }],
        bases: [].into(),
    };
    let unsigned = word("UG", 0, "KE/main").sign(&key("ES")).unwrap();
    assert_eq!(
        Expiry::verify(&unsigned, &key("UG").public().into()),
        Err(InvalidExpiry::Signature)
    );
    let mut open = word("UG", 0, "KE/main").sign(&key("UG")).unwrap();
    open.spans[0].sections = "case".into();
    for (word, code) in [
        (unsigned, "unsigned-expiry"),
        (open, "malformed-expiry"),
        (word("UG", 2, "KE/main").sign(&key("UG")).unwrap(), "no-entries"),
        (word("UG", 0, "ES/main").sign(&key("UG")).unwrap(), "no-entries"),
        (word("KE", 0, "KE/main").sign(&key("KE")).unwrap(), "no-entries"),
        (word("TZ", 0, "KE/main").sign(&key("TZ")).unwrap(), "unknown-member"),
    ] {
        let expired = v1::Expiries {
            expired: vec![word],
            taken: vec![vec![0; 3].into()],
        };
        let metrics = counted(|| {
            let did = node.frame(link, Body::Expiries(expired));
            assert!(did.frames.is_empty() && did.closed.is_empty(), "{code}: {did:?}");
        });
        let expected = format!(r#"icomm_refused_expiries_total{{peer="UG",code="{code}"}} 1"#);
        assert!(metrics.contains(&expected), "{metrics}");
    }
    assert!(node.store.scan_state("expiry").unwrap().is_empty());
    let many = v1::Expiries {
        expired: Vec::new(),
        taken: vec![vec![0; 32].into(); 33],
    };
    assert_eq!(
        node.frame(link, Body::Expiries(many)).closed[0].1.code,
        "expiries-too-many"
    );
}

#[test]
fn what_no_agreement_speaks_of_is_reported_and_not_erased() {
    let network = Network::new();
    let mut node = network.node("UG");
    let open = for_days("KE", "UG", 30, "erase").replace(
        r#"sections = ["case", "exact", "references", "persons", "companies"]"#,
        r#"sections = ["case", "exact"]"#,
    );
    node.adopt(&agreement(&open, &["KE", "UG"]));
    let ke = log("KE/main", 2);
    let (link, _) = node.link(network.peer("KE"), &[&ke]);
    node.chunk(link, ke.whole(0, 2));
    for day in [31, 32] {
        let swept = node.exchange.sweep(on(day, true)).unwrap();
        let [unknown] = &swept.unknown[..] else {
            panic!("{swept:?}")
        };
        assert_eq!((unknown.entries, unknown.via.as_str()), (2, "KE"));
        assert_eq!(sections(&*node.store, &ke, 0), set("case+persons"));
    }
    // Once there is a grant that speaks of it, it counts from the receipt.
    let all = version(&for_days("KE", "UG", 40, "erase"), 2, "2026-12-01");
    node.adopt(&agreement(&all, &["KE", "UG"]));
    node.exchange.sweep(on(40, true)).unwrap();
    assert_eq!(sections(&*node.store, &ke, 0), set("case+persons"));
    node.exchange.sweep(on(41, true)).unwrap();
    assert_eq!(sections(&*node.store, &ke, 0), set("case"));
}

#[test]
fn a_crash_after_the_erasure_and_before_its_mark_costs_a_look_and_says_nothing_twice() {
    let Held {
        network,
        store,
        node,
        ke,
        ..
    } = held("erase");
    let [part] = &parts(&*store, &ke.origin).unwrap()[..] else {
        panic!()
    };
    node.exchange.sweep(on(31, true)).unwrap();
    let words = |store: &dyn Store| store.scan_state("expired/").unwrap();
    let before = words(&*store);
    assert_eq!(before.len(), 1);
    // The mark was lost.
    store
        .append(Batch::new().set(part.key(&ke.origin), part.encode()))
        .unwrap();
    let node = network.node_on(31, "UG", store.clone());
    assert_eq!(node.exchange.sweep(on(31, true)).unwrap(), Swept::default());
    assert_eq!(words(&*store), before);
    assert!(parts(&*store, &ke.origin).unwrap().is_empty());
    assert_eq!(sections(&*store, &ke, 0), set("case"));
}

#[test]
fn a_recalled_record_is_not_over_a_second_time_and_the_global_node_keeps_its_open_sections() {
    let Held {
        store,
        mut node,
        mut ke,
        link,
        network,
    } = held("erase");
    let recall = ke.void(1, EntryKind::Recall);
    let recalls = v1::Recalls {
        recalls: vec![recall],
        more: false,
    };
    node.frame(link, Body::Recalls(recalls));
    let swept = node.exchange.sweep(on(31, true)).unwrap();
    assert_eq!(swept.terms[0].entries, 2);
    assert_eq!(sections(&*store, &ke, 1), SectionSet::EMPTY);
    let mut root = network.node("WCO");
    let es = log("ES/main", 1);
    let (link, _) = root.link(network.peer("ES"), &[&es]);
    root.chunk(link, es.chunk(0, 1, |_| SectionSet::open()));
    assert_eq!(root.exchange.sweep(on(90_000, true)).unwrap(), Swept::default());
    assert_eq!(sections(&*root.store, &es, 0), set("case"));
}

#[test]
fn of_what_is_over_there_is_nothing_left_to_give_up() {
    let Held {
        store,
        mut node,
        ke,
        link,
        ..
    } = held("erase");
    node.exchange.sweep(on(40, true)).unwrap();
    assert_eq!(sections(&*store, &ke, 1), SectionSet::open());
    let call = callbacks::call(&ke, &[(0, "case+exact"), (1, "case"), (2, "none")]);
    let did = node.frame(link, callbacks::asks(&call));
    assert_eq!(
        callbacks::answers(&did, link, "UG")[0].entries,
        1,
        "the open section of the last"
    );
    let left = [0, 1, 2].map(|index| sections(&*store, &ke, index));
    assert_eq!(left, [SectionSet::open(), SectionSet::open(), SectionSet::EMPTY]);
    assert!(verifies(&node, &ke));
    // And nothing else than before comes back with wide terms.
    let wide = v1::Refill {
        origin: ke.origin.to_string(),
        revision: "ke-ug@4/;00000000000000000000000000000000".into(),
        through: 3,
        complete: false,
        chunk: Some(ke.whole(0, 3)),
    };
    node.frame(link, Body::Refill(wide));
    assert_eq!(
        [0, 1, 2].map(|index| sections(&*store, &ke, index)),
        [SectionSet::open(); 3]
    );
}
