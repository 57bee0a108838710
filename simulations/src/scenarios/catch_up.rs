//! A partner and the global node come to a log that has grown for years: they end with exactly what the law gives them.

use icomm_pki::MemberId;

use super::must;
use crate::members::{Members, name};
use crate::world::World;

/// See the module.
pub fn run(seed: u64) -> Result<World, String> {
    let members = Members::of_one_region();
    let region = members.regional("RILO-ESA", &["KE", "UG"]);
    let mut world = World::new(members, seed);
    let [wco, hub, ke, ug] = ["WCO", "RILO-ESA", "KE", "UG"].map(name::<MemberId>);
    for _ in 0..20 {
        world.issue(&ke, 30);
    }
    for member in [&hub, &ke, &ug] {
        world.adopt(member, &region);
    }
    world.dial(&ke, &hub);
    world.dial(&ug, &hub);
    world.dial(&hub, &wco);
    world.run(60_000);
    for (holder, disclosed) in [(&hub, true), (&ug, false), (&wco, false)] {
        let held = world.tally(holder, &ke).ok_or("the node is down")?;
        let (all, none) = if disclosed {
            (held.disclosed, held.denominalised)
        } else {
            (held.denominalised, held.disclosed)
        };
        must(
            held.entries() == 600 && held.verified && all == 600 && none == 0,
            || format!("{holder} holds of KE: {held:?}"),
        )?;
    }
    must(world.closed().is_empty(), || {
        format!("sessions ended: {:?}", world.closed())
    })?;
    Ok(world)
}
