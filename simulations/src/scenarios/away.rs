//! An office is away for hours, and what it holds is recalled meanwhile. When it comes back, somebody who never had any of it
//! is there before the originator: nothing of it goes there. An originator that stays away silences the office for an hour,
//! and no longer.

use std::collections::BTreeSet;

use icomm_node::core::recall::{WAIT_SECONDS_MAX, holders};
use icomm_node::store::Place;
use icomm_pki::MemberId;
use icomm_proto::{EntryKind, Origin};

use super::must;
use crate::members::{Members, name};
use crate::world::World;

const HOUR_MS: u64 = 3_600_000;
const ISSUED: u64 = 12;

/// See the module.
pub fn run(seed: u64) -> Result<World, String> {
    let members = Members::of_one_region();
    let region = members.regional("RILO-ESA", &["KE", "UG"]);
    let mut world = World::new(members, seed);
    let [ke, hub, ug] = ["KE", "RILO-ESA", "UG"].map(name::<MemberId>);
    for member in [&hub, &ke, &ug] {
        world.adopt(member, &region);
    }
    world.crash(&ug);
    world.dial(&ke, &hub);
    world.dial(&hub, &ug);
    world.issue(&ke, usize::try_from(ISSUED).unwrap_or(0));
    world.run(60_000 + (seed * 977) % 90_000);
    let held = world.tally(&hub, &ke).ok_or("the office is down")?;
    must(held.entries() == ISSUED && held.withheld == 0, || {
        format!("the office holds {held:?}")
    })?;

    world.crash(&hub);
    let recalled = seed % ISSUED;
    world.run(HOUR_MS);
    must(world.void(&ke, recalled, EntryKind::Recall).is_some(), || {
        "nothing was recalled".to_owned()
    })?;
    world.crash(&ke);
    world.run(HOUR_MS);
    world.start(&ug);
    world.start(&hub);
    world.run(20 * 60_000 + (seed * 7919) % HOUR_MS / 2);
    must(world.tally(&ug, &ke).ok_or("UG is down")?.entries() == 0, || {
        "something was passed on before the originator was heard".to_owned()
    })?;
    let origin = Origin::main(ke.clone());
    let office = world.exchange(&hub).ok_or("the office is down")?;
    must(office.waits_for(&origin) == BTreeSet::from([ke.clone()]), || {
        format!("the office waits for {:?}", office.waits_for(&origin))
    })?;

    let comes_back = seed.is_multiple_of(2);
    if comes_back {
        world.start(&ke);
        world.run(60_000);
    } else {
        world.run(WAIT_SECONDS_MAX * 1000);
    }
    must(office.waits_for(&origin).is_empty(), || {
        "the office waits for ever".to_owned()
    })?;
    let held = world.tally(&ug, &ke).ok_or("UG is down")?;
    // Who comes back brings one entry more, the recall.
    let expected = match comes_back {
        true => (ISSUED + 1, ISSUED - 1),
        false => (ISSUED, ISSUED),
    };
    must(
        held.verified && (held.entries(), held.denominalised + held.disclosed) == expected,
        || format!("UG holds {held:?}, and not {expected:?}"),
    )?;
    let store = world.store(&hub).ok_or("there is no office")?;
    let place = Place {
        origin,
        index: recalled,
    };
    let given = holders(&*store, &[place.clone()].into()).map_err(|error| error.to_string())?;
    let given = given.get(&place).map_or(0, Vec::len);
    must(given == usize::from(!comes_back), || {
        format!("{given} were given what was recalled")
    })?;
    // Once it is heard after all, what went in vain is called back.
    if !comes_back {
        world.start(&ke);
        world.run(60_000);
        let held = world.tally(&ug, &ke).ok_or("UG is down")?;
        must(
            held.verified && held.withheld == 2 && held.entries() == ISSUED + 1,
            || format!("UG holds after the recall: {held:?}"),
        )?;
    }
    Ok(world)
}
