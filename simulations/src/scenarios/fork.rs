//! A member tells two histories: one to its neighbour, another to the office, each well signed. As soon as the two compare,
//! everybody has the proof, nobody takes or serves more of that log, and the honest logs go on.

use icomm_pki::MemberId;
use icomm_proto::Origin;
use icomm_proto::fork::ForkProof;

use super::must;
use crate::members::{Members, name};
use crate::world::World;

/// One round of gossip, and the ways there and back: questions that don't answer themselves are asked after two.
const ROUND_MS: u64 = 4_000;

/// See the module.
pub fn run(seed: u64) -> Result<World, String> {
    let members = Members::of_one_region();
    let region = members.regional("RILO-ESA", &["KE", "UG"]);
    let bilateral = members.bilateral("KE", "UG");
    let mut world = World::new(members, seed);
    let [wco, hub, ke, ug, twin] = ["WCO", "RILO-ESA", "KE", "UG", "KE-TWIN"].map(name::<MemberId>);
    world.twin(&ke, &twin);
    for member in [&hub, &ke, &ug, &twin] {
        world.adopt(member, &region);
    }
    for member in [&ke, &ug, &twin] {
        world.adopt(member, &bilateral);
    }
    // What the neighbour hears and what the office hears, before the two are linked: shorter, as long, or longer.
    world.dial(&ke, &ug);
    world.dial(&twin, &hub);
    world.dial(&hub, &wco);
    let (told_ug, told_hub) = (1 + seed % 5, 1 + (seed / 2) % 5);
    for _ in 0..told_ug {
        world.issue(&ke, 3);
    }
    for _ in 0..told_hub {
        world.issue(&twin, 3);
    }
    world.issue(&ug, 4);
    world.run(3_000);
    for (holder, entries) in [(&ug, 3 * told_ug), (&hub, 3 * told_hub), (&wco, 3 * told_hub)] {
        let held = world.tally(holder, &ke).ok_or("a node is down")?;
        must(held.verified && held.entries() == entries, || {
            format!("{holder} believes what it was told, {entries} entries: {held:?}")
        })?;
    }

    world.dial(&ug, &hub);
    world.run(ROUND_MS);
    let origin = Origin::main(ke.clone());
    let root = world.members().bundle().root().clone();
    let all = [&ug, &hub, &wco, &ke, &twin];
    for member in all {
        let exchange = world.exchange(member).ok_or("a node is down")?;
        let proof = exchange
            .forks()
            .remove(&origin)
            .ok_or_else(|| format!("{member} has no proof"))?;
        let fork = ForkProof::parse(&proof).and_then(|proof| proof.verify(&root));
        must(fork.is_ok_and(|fork| fork.origin == origin), || {
            format!("{member} has no proof that verifies")
        })?;
        must(exchange.forks().len() == 1, || {
            format!("{member} takes an honest log for a forked one")
        })?;
    }

    // Not one entry more of it, whoever signs it, also after a restart; the honest log goes on.
    world.crash(&hub);
    world.start(&hub);
    world.issue(&ke, 3);
    world.issue(&twin, 3);
    world.issue(&ug, 5);
    world.run(20_000);
    for (holder, entries) in [(&ug, 3 * told_ug), (&hub, 3 * told_hub), (&wco, 3 * told_hub)] {
        let held = world.tally(holder, &ke).ok_or("a node is down")?;
        must(held.verified && held.entries() == entries, || {
            format!("{holder} took more of a forked log than the {entries} entries it had: {held:?}")
        })?;
    }
    for holder in [&hub, &wco, &ke] {
        let held = world.tally(holder, &ug).ok_or("a node is down")?;
        must(held.verified && held.entries() == 9, || {
            format!("{holder} holds of the honest UG, which issued 9: {held:?}")
        })?;
    }
    // Two witnesses, both needed: they saw the same of UG, and of KE no more than what they were told, which UG never was.
    for (holder, origin, expected) in [(&hub, &ug, 9), (&wco, &ug, 9), (&ug, &ug, 9), (&ug, &ke, 0)] {
        let exchange = world.exchange(holder).ok_or("a node is down")?;
        let settled = exchange.witnessed(&Origin::main(origin.clone())).settled;
        must(settled == expected, || {
            format!("at {holder} {settled} entries of {origin} are settled, not {expected}")
        })?;
    }
    Ok(world)
}
