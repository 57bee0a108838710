//! Ledgers that are kept by others: handed over, given back, and found out.

use icomm_proto::log::{Checkpoint, Frontier, VerifiedCheckpoint, leaf_hash};

use super::*;
use crate::core::exchange::{Conflict, Holder, Why};
use crate::core::fixture::{Did, domain};
use crate::core::ledger::{BeginError, EpochId, GROWTH_NOTES_MAX, InvalidLedger, Line};

/// Notes of disclosures, whatever they say, signed.
fn notes(node: &TestNode, salt: &str, count: u64) {
    for number in 0..count {
        let note = format!("{salt} {number}");
        node.store
            .append(Batch::new().note(NoteLog::disclosures(), note))
            .unwrap();
    }
    node.exchange.ledger().sign().unwrap();
}

/// What a node says of ledgers on a link.
fn said(did: &Did, link: LinkId) -> Vec<Body> {
    let ledgers = |body: &&Body| matches!(body, Body::LedgerKept(_) | Body::LedgerGrowth(_));
    did.to(link).filter(ledgers).cloned().collect()
}

/// A link between an owner and a keeper; what they say of ledgers goes back and forth until both have said all.
fn linked(network: &Network, owner: &mut TestNode, keeper: &mut TestNode) -> (LinkId, LinkId) {
    let peer = |node: &TestNode| network.peer(node.exchange.local().member.as_str());
    let (to_keeper, did) = owner.link(peer(keeper), &[]);
    let mut for_keeper = said(&did, to_keeper);
    let (to_owner, did) = keeper.link(peer(owner), &[]);
    let mut for_owner = said(&did, to_owner);
    while !for_owner.is_empty() || !for_keeper.is_empty() {
        let heard = std::mem::take(&mut for_owner);
        for_keeper.extend(
            heard
                .into_iter()
                .flat_map(|body| said(&owner.frame(to_keeper, body), to_keeper)),
        );
        let heard = std::mem::take(&mut for_keeper);
        for_owner.extend(
            heard
                .into_iter()
                .flat_map(|body| said(&keeper.frame(to_owner, body), to_owner)),
        );
    }
    (to_keeper, to_owner)
}

fn holder(size: u64) -> Vec<Holder> {
    let name = "RILO-ESA/n1".to_owned();
    vec![Holder { name, size }]
}

fn kept(node: &TestNode, network: &Network) -> u64 {
    let kept = node.exchange.ledger_kept(&network.peer("KE")).unwrap().checkpoint;
    match kept.is_empty() {
        true => 0,
        false => {
            let key = key("KE").public();
            VerifiedCheckpoint::verify(kept, "test.icomm.example/KE/n1/disclosures", &key)
                .unwrap()
                .size()
        }
    }
}

#[test]
fn an_office_keeps_the_head_and_a_restart_of_both_changes_nothing() {
    let network = Network::new();
    let (own, office): (Arc<dyn Store>, Arc<dyn Store>) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
    let mut ke = network.node_over("KE", own.clone());
    let mut esa = network.node_over("RILO-ESA", office.clone());
    notes(&ke, "a", 5);
    let (to_esa, _) = linked(&network, &mut ke, &mut esa);
    assert_eq!(ke.exchange.holders(), holder(5));
    assert_eq!(kept(&esa, &network), 5);

    // Growth waits for its time, and is handed over at once before the node stops.
    notes(&ke, "b", 1);
    ke.exchange.hand_out(false);
    assert!(said(&ke.second(), to_esa).is_empty());
    ke.exchange.hand_out(true);
    assert_eq!(said(&ke.second(), to_esa).len(), 1);

    let (mut ke, mut esa) = (network.node_over("KE", own), network.node_over("RILO-ESA", office));
    assert_eq!(kept(&esa, &network), 5, "the last was never answered");
    linked(&network, &mut ke, &mut esa);
    assert_eq!(ke.exchange.holders(), holder(6));
    assert!(ke.exchange.ledger().fault().is_none());
    assert_eq!(esa.exchange.conflicts().unwrap(), []);
}

#[test]
fn who_is_far_behind_catches_up_without_waiting() {
    let network = Network::new();
    let (mut ke, mut esa) = (network.node("KE"), network.node("RILO-ESA"));
    notes(&ke, "a", 2 * GROWTH_NOTES_MAX + 7);
    linked(&network, &mut ke, &mut esa);
    assert!(kept(&esa, &network) > GROWTH_NOTES_MAX, "{}", kept(&esa, &network));
    assert_eq!(ke.exchange.holders(), holder(kept(&esa, &network)));
}

#[test]
fn nobody_keeps_a_partners_ledger_and_no_partner_is_shown_one() {
    let network = Network::new();
    let (mut ke, mut ug) = (network.node("KE"), network.node("UG"));
    notes(&ke, "a", 5);
    let (to_ug, to_ke) = linked(&network, &mut ke, &mut ug);
    assert!(ke.exchange.holders().is_empty());
    // Not even when asked, and whatever a partner says is not kept.
    let ask = Body::LedgerKept(v1::LedgerKept::default());
    assert!(said(&ke.frame(to_ug, ask), to_ug).is_empty());
    let growth = ke.exchange.ledger().growth(0).unwrap().unwrap();
    assert!(said(&ug.frame(to_ke, Body::LedgerGrowth(growth)), to_ke).is_empty());
    assert!(ug.exchange.ledger_kept(&network.peer("KE")).is_none());
}

#[test]
fn a_store_put_back_to_an_older_state_is_told_by_the_office_and_remembered() {
    let network = Network::new();
    let (mut ke, mut esa) = (network.node("KE"), network.node("RILO-ESA"));
    notes(&ke, "a", 5);
    linked(&network, &mut ke, &mut esa);

    // The same notes but the last two, signed by the same key: nothing here says that anything is missing.
    let older: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut back = network.node_over("KE", older.clone());
    notes(&back, "a", 3);
    assert!(back.exchange.ledger().verify().is_ok());
    linked(&network, &mut back, &mut esa);
    let told = |node: &TestNode| {
        matches!(
            node.exchange.ledger().fault(),
            Some(InvalidLedger::Beyond { holder, held: 5, notes: 3 }) if holder == "RILO-ESA/n1"
        )
    };
    assert!(told(&back));
    assert!(back.exchange.ledger().verify().is_err());
    // Nothing is signed any more, so no second history comes of it, and nothing is handed out.
    notes(&back, "z", 9);
    assert_eq!(back.exchange.ledger().head().size, 3);
    assert!(back.exchange.ledger().growth(0).unwrap().is_none());
    assert_eq!((kept(&esa, &network), esa.exchange.conflicts().unwrap()), (5, vec![]));

    // Nor does a restart forget, with nobody linked.
    let again = network.node_over("KE", older);
    assert!(again.exchange.ledger().fault().is_some());
}

#[test]
fn an_edited_note_signed_anew_is_told_by_the_office() {
    let network = Network::new();
    let (mut ke, mut esa) = (network.node("KE"), network.node("RILO-ESA"));
    notes(&ke, "a", 5);
    linked(&network, &mut ke, &mut esa);
    let mut forged = network.node("KE");
    notes(&forged, "b", 9);
    assert!(forged.exchange.ledger().verify().is_ok());
    linked(&network, &mut forged, &mut esa);
    assert!(matches!(
        forged.exchange.ledger().fault(),
        Some(InvalidLedger::Elsewhere { held: 5, .. })
    ));
}

#[test]
fn an_owner_that_hides_it_leaves_both_signatures_with_the_office() {
    let network = Network::new();
    let (mut ke, mut esa) = (network.node("KE"), network.node("RILO-ESA"));
    notes(&ke, "a", 5);
    let (_, to_ke) = linked(&network, &mut ke, &mut esa);
    let line = Line::new(&domain(), &"KE".parse().unwrap(), &"n1".parse().unwrap());
    // Four notes more, on top of another five.
    let leaves: Vec<_> = (0..9)
        .map(|number| leaf_hash(format!("b {number}").as_bytes()))
        .collect();
    let other: Frontier = leaves.iter().copied().collect();
    let signed = Checkpoint::of(line.of(&EpochId::default()), &other)
        .sign(&key("KE"))
        .unwrap();
    let growth = v1::LedgerGrowth {
        leaf_hashes: leaves[5..]
            .iter()
            .flat_map(|leaf| leaf.as_bytes().to_vec())
            .collect::<Vec<_>>()
            .into(),
        checkpoint: signed.note().clone(),
    };
    for _ in 0..2 {
        let did = esa.frame(to_ke, Body::LedgerGrowth(growth.clone()));
        assert!(did.closed.is_empty(), "the exchange goes on");
        assert_eq!(said(&did, to_ke).len(), 1, "and it hears what it contradicts");
    }
    assert_eq!(kept(&esa, &network), 5);
    let [Conflict { name, checkpoints }] = &esa.exchange.conflicts().unwrap()[..] else {
        panic!()
    };
    assert_eq!(name, "KE/n1");
    assert!(
        checkpoints.contains("\n5\n") && checkpoints.contains("\n9\n"),
        "{checkpoints}"
    );
}

#[test]
fn what_is_said_twice_or_late_is_no_conflict() {
    let network = Network::new();
    let (mut ke, mut esa) = (network.node("KE"), network.node("RILO-ESA"));
    notes(&ke, "a", 2);
    let early = ke.exchange.ledger().growth(0).unwrap().unwrap();
    notes(&ke, "b", 3);
    let (_, to_ke) = linked(&network, &mut ke, &mut esa);
    let late = ke.exchange.ledger().growth(3).unwrap().unwrap();
    let again = ke.exchange.ledger().growth(0).unwrap().unwrap();
    for growth in [early, late, again] {
        let did = esa.frame(to_ke, Body::LedgerGrowth(growth));
        assert_eq!(said(&did, to_ke).len(), 1, "the answer is what is kept");
    }
    assert_eq!((kept(&esa, &network), esa.exchange.conflicts().unwrap()), (5, vec![]));
}

#[test]
fn growth_that_is_not_signed_by_its_owner_ends_the_link() {
    let network = Network::new();
    let (ke, mut esa) = (network.node("KE"), network.node("RILO-ESA"));
    notes(&ke, "a", 2);
    let good = ke.exchange.ledger().growth(0).unwrap().unwrap();
    let hashes = |len| v1::LedgerGrowth {
        leaf_hashes: vec![7; len].into(),
        ..good.clone()
    };
    let too_long = hashes((usize::try_from(GROWTH_NOTES_MAX).unwrap() + 1) * 32);
    for bad in [
        hashes(33),
        too_long,
        v1::LedgerGrowth {
            checkpoint: "no checkpoint".into(),
            ..good.clone()
        },
    ] {
        let (link, _) = esa.link(network.peer("KE"), &[]);
        let did = esa.frame(link, Body::LedgerGrowth(bad));
        assert_eq!(did.refusals(link), [("invalid-ledger", "")]);
    }
    // Another member's ledger.
    let (link, _) = esa.link(network.peer("UG"), &[]);
    let did = esa.frame(link, Body::LedgerGrowth(good));
    assert_eq!(did.refusals(link), [("invalid-ledger", "")]);
    assert_eq!(kept(&esa, &network), 0);
}

/// A node put back to its first three notes of five, of which the office keeps both heads, and linked again.
fn put_back(network: &Network, esa: &mut TestNode) -> TestNode {
    let mut ke = network.node("KE");
    for _ in 0..2 {
        notes(&ke, "a", 3);
        linked(network, &mut ke, esa);
    }
    assert_eq!(kept(esa, network), 6);
    let mut back = network.node("KE");
    notes(&back, "a", 3);
    linked(network, &mut back, esa);
    back
}

#[test]
fn a_ledger_that_an_officer_lets_begin_anew_is_kept_from_its_first_note_and_what_is_lost_is_told_on_both_sides() {
    let network = Network::new();
    let mut esa = network.node("RILO-ESA");
    let mut back = put_back(&network, &mut esa);
    assert!(back.exchange.ledger().fault().is_some());
    back.exchange.accept_lost_notes("a copy was put back").unwrap();
    assert!(matches!(
        back.exchange.accept_lost_notes("again"),
        Err(BeginError::NotNeeded)
    ));
    notes(&back, "z", 4);
    let (to_esa, to_ke) = linked(&network, &mut back, &mut esa);
    assert_eq!(back.exchange.holders().last(), holder(7).last());
    assert_eq!(esa.exchange.conflicts().unwrap(), []);
    let began = esa.exchange.began_anew().unwrap();
    let [(name, former)] = &began[..] else {
        panic!("{began:?}")
    };
    let [former] = &former[..] else { panic!() };
    assert_eq!((name.as_str(), former.signed, former.unchanged), ("KE/n1", 6, 3));
    let lost = &back.exchange.ledger().epochs().lost[&EpochId::default()];
    assert_eq!((lost.holder.as_str(), lost.end.size), ("RILO-ESA/n1", 6));

    // It grows as before, after a restart of the office, too.
    notes(&back, "y", 2);
    back.exchange.hand_out(true);
    let growth = said(&back.second(), to_esa);
    let did = esa.frame(to_ke, growth[0].clone());
    assert_eq!(said(&did, to_ke).len(), 1);
    assert_eq!(esa.exchange.began_anew().unwrap(), began);

    // Who goes back to what was before is told what it contradicts.
    let mut older = network.node("KE");
    notes(&older, "a", 6);
    let growth = older.exchange.ledger().growth(0).unwrap().unwrap();
    let did = esa.frame(to_ke, Body::LedgerGrowth(growth));
    assert!(did.closed.is_empty() && said(&did, to_ke).len() == 1);
    assert_eq!(esa.exchange.conflicts().unwrap().len(), 1);
    linked(&network, &mut older, &mut esa);
    assert!(
        matches!(
            older.exchange.ledger().fault(),
            Some(InvalidLedger::Beyond { held: 9, .. })
        ),
        "and it finds out itself"
    );
}

#[test]
fn who_found_a_ledger_too_short_hears_on_the_same_link_that_it_began_anew() {
    let network = Network::new();
    let mut esa = network.node("RILO-ESA");
    let mut ke = network.node("KE");
    notes(&ke, "a", 5);
    linked(&network, &mut ke, &mut esa);
    let mut back = network.node("KE");
    notes(&back, "a", 3);
    let (to_esa, to_ke) = linked(&network, &mut back, &mut esa);
    assert_eq!(back.exchange.holders(), []);
    back.exchange.accept_lost_notes("a copy was put back").unwrap();
    back.exchange.ledger().sign().unwrap();
    back.exchange.hand_out(false);
    let growth = said(&back.second(), to_esa);
    let answer = said(&esa.frame(to_ke, growth[0].clone()), to_ke);
    back.frame(to_esa, answer[0].clone());
    assert_eq!(back.exchange.holders(), holder(3));
}

#[test]
fn a_new_epoch_that_rewrites_the_past_shows_at_who_kept_it() {
    let network = Network::new();
    let mut esa = network.node("RILO-ESA");
    put_back(&network, &mut esa);
    let mut forged = network.node("KE");
    notes(&forged, "b", 9);
    linked(&network, &mut forged, &mut esa);
    forged.exchange.accept_lost_notes("nothing to see here").unwrap();
    notes(&forged, "z", 1);
    linked(&network, &mut forged, &mut esa);
    let began = esa.exchange.began_anew().unwrap();
    assert_eq!((began[0].1[0].signed, began[0].1[0].unchanged), (6, 0));
}

#[test]
fn a_ledger_begins_anew_by_itself_when_the_own_log_is_known_to_be_put_back() {
    let network = Network::new();
    let mut esa = network.node("RILO-ESA");
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut ke = network.node("KE");
    notes(&ke, "a", 5);
    linked(&network, &mut ke, &mut esa);

    let mut back = network.node_over("KE", store.clone());
    notes(&back, "a", 3);
    let origin: Origin = "KE/main".parse().unwrap();
    let restored = Why::Restored {
        backup: "b".to_owned(),
        taken: 7,
    };
    back.exchange.guard(origin.clone(), vec![restored.clone()]).unwrap();
    back.exchange.ledger().sign().unwrap();
    linked(&network, &mut back, &mut esa);
    assert!(back.exchange.ledger().fault().is_none());
    assert_eq!(kept_line(&esa, &network).1, 3);
    let line = back.exchange.ledger().line();
    assert_eq!(kept_line(&esa, &network).0, line);

    // Once for each time that it was put back, however often it starts meanwhile.
    let again = network.node_over("KE", store);
    again.exchange.guard(origin, vec![restored]).unwrap();
    assert_eq!(again.exchange.ledger().line(), line);
}

fn kept_line(node: &TestNode, network: &Network) -> (String, u64) {
    let kept = node.exchange.ledger_kept(&network.peer("KE")).unwrap().checkpoint;
    let note = icomm_proto::log::SignedNote::parse(&kept).unwrap();
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    (checkpoint.origin, checkpoint.size)
}
