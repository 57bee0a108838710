//! One log by two routes: a partner gets nominal sections from the originator and the open one from the hub, in whatever
//! order they come, and ends with the wider view; the global node loses the originator, goes on through the hub, and back.

use icomm_pki::MemberId;

use super::must;
use crate::members::{Members, name};
use crate::world::World;

/// See the module.
pub fn run(seed: u64) -> Result<World, String> {
    let members = Members::of_one_region();
    let region = members.regional("RILO-ESA", &["KE", "UG"]);
    let bilateral = members.bilateral("KE", "UG");
    let upstream = members.contribution("KE");
    let mut world = World::new(members, seed);
    let [wco, hub, ke, ug] = ["WCO", "RILO-ESA", "KE", "UG"].map(name::<MemberId>);
    for member in [&hub, &ke, &ug] {
        world.adopt(member, &region);
    }
    for member in [&ke, &ug] {
        world.adopt(member, &bilateral);
    }
    for member in [&ke, &wco] {
        world.adopt(member, &upstream);
    }
    world.dial(&ke, &hub);
    world.dial(&ug, &hub);
    world.dial(&hub, &wco);
    world.issue(&ke, 100);
    if seed.is_multiple_of(2) {
        // The hub's narrower views are there before the originator's.
        world.run(20_000);
    }
    world.dial(&ug, &ke);
    world.dial(&ke, &wco);
    for _ in 0..5 {
        world.issue(&ke, 10);
        world.run(300);
        world.cut_between(&ke, &wco);
        world.issue(&ke, 10);
        world.run(2_000);
    }
    world.run(60_000);
    let partner = world.tally(&ug, &ke).ok_or("UG is down")?;
    must(
        partner.verified && partner.entries() == 200 && partner.disclosed == 200,
        || format!("UG: {partner:?}"),
    )?;
    let root = world.tally(&wco, &ke).ok_or("WCO is down")?;
    must(
        root.verified && root.entries() == 200 && root.denominalised == 200,
        || format!("WCO: {root:?}"),
    )?;
    must(world.closed().is_empty(), || {
        format!("sessions ended: {:?}", world.closed())
    })?;
    Ok(world)
}
