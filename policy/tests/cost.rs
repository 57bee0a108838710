//! What a decision costs; prints, and asserts nothing about time.
//! `cargo test --release -p icomm-policy --test cost -- --ignored --nocapture`
#![expect(clippy::disallowed_methods, reason = "a measurement needs the clock")]

use std::time::Instant;

use icomm_policy::SessionPolicy;
use icomm_policy::agreement::{HandlingCode, OnwardRule};
use icomm_proto::SectionKind;
use icomm_proto::log::ChunkBuilder;

#[path = "support/world.rs"]
mod world;

use world::{NOON, class, grant, member, passing_on, policy, set, terms, view, world};

#[test]
#[ignore = "a measurement"]
fn decisions_cost() {
    let world = world();
    let mut given = grant("KE", "RILO-ESA");
    given.onward = passing_on(OnwardRule::Region, &[], set(&[SectionKind::Case]), HandlingCode::H3);
    given.upstream = true;
    let esa = terms(
        "esa",
        &["RILO-ESA", "KE", "UG"],
        vec![given, grant("RILO-ESA", "parties")],
    );
    let mut agreements = vec![esa];
    // A hub's book: what does not concern the link must not matter.
    for i in 0..200 {
        agreements.push(terms(
            &format!("other-{i}"),
            &["RILO-ESA", "TZ"],
            vec![grant("RILO-ESA", "TZ"), grant("TZ", "RILO-ESA")],
        ));
    }
    let start = Instant::now();
    let policy = policy(&world, "RILO-ESA", &agreements, vec![]);
    println!(
        "{} agreements signed, verified, compiled: {:?}",
        agreements.len(),
        start.elapsed()
    );
    let ke = member("KE");
    let classes: Vec<_> = (0..300)
        .map(|i| {
            let mut class = class("KE");
            class.operation_id = format!("op-{i}");
            view(&class)
        })
        .collect();

    let SessionPolicy::Peer(mut peer) = policy.session(world.receiver("UG")) else {
        panic!("UG is a peer")
    };
    let start = Instant::now();
    peer.basis(&ke, NOON).unwrap();
    println!("opening a lane: {:?}", start.elapsed());
    let start = Instant::now();
    for record in &classes {
        assert!(!peer.disclose(&ke, &record.borrowed(), NOON).is_withheld());
    }
    println!("a class for the first time, onward: {:?}", start.elapsed() / 300);

    const ROUNDS: u32 = 2000;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        for record in &classes {
            assert!(!peer.disclose(&ke, &record.borrowed(), NOON).is_withheld());
        }
    }
    println!(
        "from memory, another class each time: {:?}",
        start.elapsed() / (ROUNDS * 300)
    );
    let start = Instant::now();
    for _ in 0..ROUNDS * 300 {
        assert!(!peer.disclose(&ke, &classes[7].borrowed(), NOON).is_withheld());
    }
    println!("from memory, the class before: {:?}", start.elapsed() / (ROUNDS * 300));
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let mut chunk = ChunkBuilder::with_capacity(300 * 400);
        for record in &classes {
            peer.disclose(&ke, &record.borrowed(), NOON).write(&mut chunk);
        }
    }
    println!(
        "the same and written to a chunk: {:?}",
        start.elapsed() / (ROUNDS * 300)
    );

    let SessionPolicy::Upstream(mut upstream) = policy.session(world.receiver("WCO")) else {
        panic!("WCO is global")
    };
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let mut chunk = ChunkBuilder::with_capacity(300 * 400);
        for record in &classes {
            upstream
                .disclose(&ke, &record.borrowed(), NOON)
                .unwrap()
                .write(&mut chunk);
        }
    }
    println!("upstream, written to a chunk: {:?}", start.elapsed() / (ROUNDS * 300));
}
