//! A node that was put back: it gets its own log back and signs nothing before; what it is shown wrongly is refused.

use icomm_proto::{SectionSet, v1::frame::Body};

use super::*;
use crate::core::fixture::{Did, Network, Originator, TestNode, UNIX_NOW, agreement, bilateral};

/// Kenya's node, which holds the first commit of its own log, and all of that log as others hold it.
struct World {
    network: Network,
    ke: TestNode,
    log: Originator,
}

fn world() -> World {
    let network = Network::new();
    let ke = network.node("KE");
    let mut log = Originator::new("KE/main");
    log.commits(&[4], 1);
    ke.holds(&log);
    log.commits(&[3], 1);
    World { network, ke, log }
}

fn held(log: &Originator, size: u64) -> Body {
    Body::Held(v1::Held {
        logs: vec![v1::Head {
            origin: log.origin.to_string(),
            checkpoint: log.checkpoint(size),
        }],
    })
}

fn wants(did: &Did) -> Vec<(u64, bool)> {
    let wants = did.frames.iter().filter_map(|(_, body)| match body {
        Body::Want(want) if want.origin == "KE/main" => Some((want.from, want.stop)),
        _ => None,
    });
    wants.collect()
}

#[test]
fn a_peer_that_shows_more_stops_appending_and_gives_it_back() {
    let World { network, mut ke, log } = world();
    ke.exchange.guard(log.origin.clone(), Vec::new()).unwrap();
    assert_eq!(ke.exchange.may_append(), Err(NotCleared::Asking));
    let (link, _) = ke.link(network.peer("UG"), &[]);
    let did = ke.frame(link, held(&log, 7));
    assert_eq!(wants(&did), [(4, false)]);
    assert!(matches!(
        ke.exchange.may_append(),
        Err(NotCleared::Recovering(Why::Shown { signed: 7, .. }))
    ));
    assert_eq!(ke.exchange.generation(&log.origin), None, "it is not served meanwhile");
    let behind = ke.exchange.finish_recovery(true).unwrap_err();
    assert!(
        matches!(behind, FinishError::Behind { signed: 7, held: 4, .. }),
        "{behind}"
    );

    let did = ke.chunk(link, log.whole(4, 7));
    assert!(did.frames.iter().any(|(_, body)| matches!(body, Body::Receipt(_))));
    let did = ke.second();
    assert_eq!(ke.exchange.may_append(), Ok(()));
    assert!(ke.exchange.take_recovered() && !ke.exchange.take_recovered());
    assert_eq!(wants(&did), [(0, true)], "nothing more is asked for");
    let status = ke.exchange.own_status().unwrap();
    assert_eq!((status.held, status.why), (7, None));
    assert_eq!((status.recovered[0].from, status.recovered[0].to), (4, 7));
    assert_eq!(ke.exchange.missing(0).unwrap().missing, [], "all of it came back");
}

#[test]
fn what_came_back_in_part_is_named_and_what_another_brings_is_added() {
    let World { network, mut ke, log } = world();
    let restored = Why::Restored {
        backup: "1".into(),
        taken: 1,
    };
    ke.exchange.guard(log.origin.clone(), vec![restored]).unwrap();
    let (ug, _) = ke.link(network.peer("UG"), &[]);
    let (es, _) = ke.link(network.peer("ES"), &[]);
    ke.frame(ug, held(&log, 7));
    ke.frame(es, held(&log, 7));
    ke.chunk(ug, log.chunk(4, 7, |_| SectionSet::EMPTY));
    ke.second();
    assert!(ke.exchange.may_append().is_err(), "the other one may know more of them");
    ke.chunk(es, log.chunk(4, 7, |_| "case+exact".parse().unwrap()));
    ke.second();
    assert_eq!(ke.exchange.may_append(), Ok(()));
    let missing = ke.exchange.missing(0).unwrap().missing;
    let known: Vec<_> = missing
        .iter()
        .map(|missing| (missing.index, missing.known.is_some()))
        .collect();
    assert_eq!(known, [(4, true), (5, true), (6, true)]);
    assert_eq!(missing[0].known.as_ref().unwrap().1, "case+exact".parse().unwrap());
}

#[test]
fn who_may_hold_more_is_waited_for_and_only_an_officer_goes_on_without() {
    let World { network, mut ke, log } = world();
    ke.exchange
        .law()
        .adopt(&agreement(&bilateral("KE", "UG"), &["KE", "UG"]), UNIX_NOW)
        .unwrap();
    ke.exchange
        .guard(log.origin.clone(), vec![Why::Marked { signed: 7 }])
        .unwrap();
    let (es, _) = ke.link(network.peer("ES"), &[]);
    ke.frame(es, Body::Held(v1::Held::default()));
    ke.second();
    assert_eq!(ke.exchange.own_status().unwrap().unheard, ["UG"]);
    assert!(matches!(
        ke.exchange.finish_recovery(false),
        Err(FinishError::Unheard(_))
    ));
    // What only the mark says may be given up, by an officer's word.
    let status = ke.exchange.finish_recovery(true).unwrap();
    assert_eq!((status.held, status.why), (4, None));
    assert_eq!(ke.exchange.may_append(), Ok(()));
    assert!(matches!(ke.exchange.finish_recovery(true), Err(FinishError::Nothing)));
}

#[test]
fn a_peer_that_holds_no_more_lets_it_go_on_and_a_stranger_stops_nothing() {
    let World { network, mut ke, log } = world();
    ke.exchange.guard(log.origin.clone(), Vec::new()).unwrap();
    let (ug, _) = ke.link(network.peer("UG"), &[]);
    let mut forged = Originator::new("UG/main");
    forged.commits(&[9], 2);
    let Body::Held(mut said) = held(&forged, 9) else {
        unreachable!()
    };
    said.logs[0].origin = "KE/main".into();
    ke.frame(ug, Body::Held(said));
    assert_eq!(
        ke.exchange.may_append(),
        Err(NotCleared::Asking),
        "not signed by Kenya: it says nothing"
    );
    ke.frame(ug, held(&log, 4));
    assert_eq!(ke.exchange.may_append(), Ok(()));
    assert!(matches!(ke.exchange.finish_recovery(true), Err(FinishError::Nothing)));
}

#[test]
fn a_second_history_is_never_gone_on_with() {
    let World { network, mut ke, log } = world();
    let mut other = Originator::new("KE/main");
    other.commits(&[4], 9);
    ke.exchange.guard(log.origin.clone(), Vec::new()).unwrap();
    let (ug, _) = ke.link(network.peer("UG"), &[]);
    let did = ke.frame(ug, held(&other, 4));
    assert!(matches!(ke.exchange.may_append(), Err(NotCleared::Contradicted(_))));
    assert!(wants(&did).is_empty());
    assert!(ke.exchange.finish_recovery(true).is_err());
    ke.second();
    assert!(ke.exchange.may_append().is_err());
    assert!(ke.exchange.forks().is_empty(), "it is not for itself to proclaim");
    // Nor after a restart.
    let again = network.node_over("KE", ke.store.clone());
    again.exchange.guard(log.origin.clone(), Vec::new()).unwrap();
    assert!(matches!(again.exchange.may_append(), Err(NotCleared::Contradicted(_))));
}

#[test]
fn a_row_whose_entry_came_back_is_known_by_its_contents_and_stands_for_one_entry() {
    let World { network, mut ke, log } = world();
    ke.exchange.guard(log.origin.clone(), Vec::new()).unwrap();
    let (ug, _) = ke.link(network.peer("UG"), &[]);
    let row = |number: u8| crate::store::IntakeKey::from([number; 16]);
    assert_eq!(
        ke.exchange.issued_before(&row(1), &log.views[4]).unwrap(),
        None,
        "nothing came back yet"
    );
    ke.frame(ug, held(&log, 7));
    // Of the last only the open section: many records have the same.
    let set = |index| if index < 6 { "case+exact" } else { "case" };
    ke.chunk(ug, log.chunk(4, 7, |index| set(index).parse().unwrap()));
    ke.second();
    let issued =
        |ke: &TestNode, number, index: usize| ke.exchange.issued_before(&row(number), &log.views[index]).unwrap();
    // They have the same exact section: which is which does not matter, but there are two.
    let first = [issued(&ke, 1, 4), issued(&ke, 2, 5)];
    assert_eq!(first, [Some(4), Some(5)]);
    assert_eq!(issued(&ke, 1, 4), Some(4), "the same row again");
    assert_eq!([issued(&ke, 3, 4), issued(&ke, 4, 6)], [None, None]);
    let again = network.node_over("KE", ke.store.clone());
    again.exchange.guard(log.origin.clone(), Vec::new()).unwrap();
    assert_eq!([issued(&again, 2, 5), issued(&again, 5, 5)], [Some(5), None]);
}

#[test]
fn who_shows_that_it_holds_some_of_a_log_that_was_put_back_is_noted_once_and_a_recall_goes_to_it() {
    let World { network, mut ke, log } = world();
    let (ug, _) = ke.link(network.peer("UG"), &[]);
    let restored = Why::Restored {
        backup: "b".to_owned(),
        taken: 7,
    };
    let origin = log.origin.clone();
    ke.exchange.guard(origin.clone(), vec![restored]).unwrap();
    for _ in 0..2 {
        ke.frame(ug, held(&log, 4));
    }
    let mut notes = Vec::new();
    crate::core::recall::each_note(&*ke.store, &mut |note| notes.push(note.clone())).unwrap();
    let [note] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!((note.to.as_str(), note.from, note.count), ("UG", 0, 4));
    let runs: Vec<_> = note.disclosed_runs().collect();
    assert_eq!((runs[0].0.clone(), runs[0].1.section_set()), (0..4, SectionSet::ALL));
    assert!(runs[0].1.is_under(&"any-of-them".parse().unwrap()));
    // So a recall knows whom to ask.
    let place = crate::store::Place { origin, index: 2 };
    let found = crate::core::recall::holders(&*ke.store, &[place.clone()].into()).unwrap();
    assert_eq!(found[&place][0].member, "UG");
}
