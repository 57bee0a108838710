//! Nodes are killed at arbitrary moments and started again: nothing acknowledged is lost, nothing arrives twice.

use icomm_pki::MemberId;
use icomm_proto::Origin;

use super::must;
use crate::members::{Members, name};
use crate::world::World;

/// See the module.
pub fn run(seed: u64) -> Result<World, String> {
    let members = Members::of_one_region();
    let region = members.regional("RILO-ESA", &["KE", "UG"]);
    let mut world = World::new(members, seed);
    let all = ["KE", "RILO-ESA", "UG", "WCO"].map(name::<MemberId>);
    let [ke, hub, ug, wco] = &all;
    for member in [hub, ke, ug] {
        world.adopt(member, &region);
    }
    world.dial(ke, hub);
    world.dial(ug, hub);
    world.dial(hub, wco);
    let mut issued = 0;
    for round in 0..24_u64 {
        world.issue(ke, 11);
        issued += 11;
        world.run(30 + (seed * 37 + round * 53) % 400);
        let victim = match (seed + round) % 4 {
            0 => ke,
            1 => hub,
            2 => ug,
            _ => wco,
        };
        world.crash(victim);
        world.run((seed + round * 29) % 700);
        world.start(victim);
    }
    world.run(120_000);
    for holder in [ke, hub, ug, wco] {
        let held = world.tally(holder, ke).ok_or("a node is down")?;
        must(held.verified && held.entries() == issued && held.withheld == 0, || {
            format!("{holder} holds of KE, which issued {issued}: {held:?}")
        })?;
        // Both witnesses went down in between, and have seen all of it at the end.
        let exchange = world.exchange(holder).ok_or("a node is down")?;
        let witnessed = exchange.witnessed(&Origin::main(ke.clone()));
        must(witnessed.settled == issued, || {
            format!("at {holder} of KE, which issued {issued}, is settled: {witnessed:?}")
        })?;
    }
    Ok(world)
}
