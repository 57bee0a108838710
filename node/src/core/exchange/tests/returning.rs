//! A node that was away: what it holds back, for how long, and from whom.

use icomm_proto::EntryKind;
use icomm_proto::log::{ChunkBody, Item};

use super::*;
use crate::store::Store;

/// An office that was given two records of `KE` and by `KE` alone, twenty days later; and `UG`, linked to it, which may have
/// them and has none.
fn returned() -> (Network, Arc<dyn Store>, TestNode, Originator, LinkId) {
    let network = Network::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let ke = log("KE/main", 2);
    let mut office = network.node_over("RILO-ESA", store.clone());
    for (a, b) in [("KE", "RILO-ESA"), ("RILO-ESA", "UG")] {
        office.adopt(&agreement(&crate::core::fixture::onward(a, b), &[a, b]));
    }
    let (from, _) = office.link(network.peer("KE"), &[&ke]);
    office.chunk(from, ke.whole(0, 2));
    office.second();
    let mut office = network.node_on(20, "RILO-ESA", store.clone());
    let (to, _) = office.link(network.peer("UG"), &[]);
    (network, store, office, ke, to)
}

fn members<const N: usize>(names: [&str; N]) -> std::collections::BTreeSet<MemberId> {
    names.map(|name| name.parse().unwrap()).into()
}

#[test]
fn who_was_away_hears_of_recalls_before_it_passes_anything_on() {
    let (network, store, mut office, mut ke, to) = returned();
    let recall = ke.void(0, EntryKind::Recall);
    let notes = store.notes_len(&NoteLog::disclosures()).unwrap();
    assert!(office.frame(to, want(&ke, 0)).chunks(to).is_empty());
    assert!(office.second().chunks(to).is_empty());
    assert_eq!(office.exchange.waits_for(&ke.origin), members(["KE"]));
    let told = office.exchange.held_back().unwrap();
    assert_eq!((told.away_since, told.until), (UNIX_NOW, UNIX_NOW + 20 * 86_400 + 3600));
    // Its recalls are announced, and then they come.
    let (from, _) = office.link_with(network.peer("KE"), &[&ke], 1);
    assert!(office.handle(to, Event::Changed).chunks(to).is_empty());
    let recalls = v1::Recalls {
        recalls: vec![recall],
        more: false,
    };
    let did = office.frame(from, Body::Recalls(recalls));
    let [chunk] = did.chunks(to)[..] else { panic!("{did:?}") };
    let body = ChunkBody::parse(chunk.body.clone(), chunk.count).unwrap();
    let items: Vec<Item> = body.items().collect();
    assert!(matches!(items[..], [Item::Withheld(_), Item::Disclosed(_)]));
    assert_eq!(store.notes_len(&NoteLog::disclosures()).unwrap(), notes + 1);
    assert!(office.exchange.held_back().is_none() && office.exchange.waits_for(&ke.origin).is_empty());
}

#[test]
fn whoever_has_recalled_nothing_is_passed_on_as_soon_as_it_was_heard() {
    let (network, _, mut office, ke, to) = returned();
    assert!(office.frame(to, want(&ke, 0)).chunks(to).is_empty());
    let (_, did) = office.link(network.peer("ES"), &[]);
    assert!(did.chunks(to).is_empty(), "it gave nothing of the log");
    let (_, did) = office.link(network.peer("KE"), &[&ke]);
    assert_eq!(did.chunks(to).len(), 1);
}

#[test]
fn an_originator_gets_its_own_log_back_though_others_are_waited_for() {
    let (network, store, _, ke, _) = returned();
    // Spain gave some of it as well.
    store
        .append(Batch::new().set("cursor/KE/main/ES", 2_u64.to_be_bytes().to_vec()))
        .unwrap();
    let mut office = network.node_on(20, "RILO-ESA", store);
    let (to, _) = office.link(network.peer("UG"), &[]);
    let (back, _) = office.link(network.peer("KE"), &[&ke]);
    assert!(office.frame(to, want(&ke, 0)).chunks(to).is_empty());
    assert_eq!(office.exchange.waits_for(&ke.origin), members(["ES"]));
    assert_eq!(office.frame(back, want(&ke, 0)).chunks(back).len(), 1);
}

#[test]
fn what_is_carried_in_files_is_no_network_but_is_heard() {
    let (network, _, office, ke, _) = returned();
    let link = office.exchange.opened_by_post(network.peer("KE"));
    assert_eq!(office.exchange.waits_for(&ke.origin), members(["KE"]));
    office.exchange.perform(&link, Action::CaughtUp);
    assert!(office.exchange.waits_for(&ke.origin).is_empty());
}
