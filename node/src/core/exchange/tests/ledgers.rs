//! Ledgers that are kept by others: handed over, given back, and found out.

use icomm_proto::log::{Checkpoint, Frontier, VerifiedCheckpoint, leaf_hash};

use super::*;
use crate::core::exchange::{Conflict, Holder};
use crate::core::fixture::{Did, domain};
use crate::core::ledger::{GROWTH_NOTES_MAX, InvalidLedger, line};

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
    let line = line(&domain(), &"KE".parse().unwrap(), &"n1".parse().unwrap());
    // Four notes more, on top of another five.
    let leaves: Vec<_> = (0..9)
        .map(|number| leaf_hash(format!("b {number}").as_bytes()))
        .collect();
    let other: Frontier = leaves.iter().copied().collect();
    let signed = Checkpoint::of(line, &other).sign(&key("KE")).unwrap();
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
