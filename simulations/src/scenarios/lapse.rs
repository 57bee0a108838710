//! The basis is suspended in mid-stream: not one more chunk, on either side; the other party acknowledges. A new version
//! brings everything back, and ends with its last day. The link stays up all the while.

use icomm_pki::{MemberId, Role};
use icomm_policy::agreement::bilateral;

use super::must;
use crate::members::{Members, name};
use crate::world::World;

/// See the module.
pub fn run(seed: u64) -> Result<World, String> {
    let members = Members::certify(&[
        ("WCO", Role::Global, &[]),
        ("ES", Role::National, &[]),
        ("PT", Role::National, &[]),
    ]);
    let agreement = members.bilateral("ES", "PT");
    let mut world = World::new(members, seed);
    let [es, pt] = ["ES", "PT"].map(name::<MemberId>);
    for member in [&es, &pt] {
        world.adopt(member, &agreement);
    }
    world.dial(&es, &pt);
    world.issue(&es, 50);
    world.run(10_000);
    let before = world.tally(&pt, &es).ok_or("PT is down")?.entries();
    must(before == 50, || {
        format!("PT holds {before} of 50 before the suspension")
    })?;
    world.suspend(&pt, "es-pt");
    world.run(5_000);
    world.issue(&es, 50);
    world.issue(&pt, 50);
    world.run(20_000);
    for (holder, origin, entries) in [(&pt, &es, 50), (&es, &pt, 0)] {
        let held = world.tally(holder, origin).ok_or("a node is down")?.entries();
        must(held == entries, || {
            format!("{holder} holds {held} entries of {origin}, {entries} came before the suspension")
        })?;
    }
    let book = world.exchange(&pt).ok_or("PT is down")?.law().policy().book();
    let id = name("es-pt");
    let acknowledged = book
        .suspensions(&id)
        .flat_map(|status| status.acknowledged_by().cloned().collect::<Vec<_>>());
    must(acknowledged.eq([es.clone()]), || {
        "ES did not acknowledge the suspension".to_owned()
    })?;
    let second = world.members().signed(&until_today(2));
    world.adopt(&es, &second);
    world.run(20_000);
    both_hold(&world, &es, &pt, [100, 50])?;
    world.run(DAY_MS / 2);
    world.issue(&es, 50);
    world.issue(&pt, 50);
    world.run(20_000);
    both_hold(&world, &es, &pt, [100, 50])?;
    must(world.closed().is_empty(), || {
        format!("sessions ended: {:?}", world.closed())
    })?;
    Ok(world)
}

/// Milliseconds.
const DAY_MS: u64 = 86_400_000;

/// A version of the agreement that ends with the day on which the simulation begins, at noon.
fn until_today(version: u32) -> String {
    let text = bilateral(&name("es-pt"), &name("ES"), &name("PT"), name("2026-11-01"));
    text.replace("version = 1\n", &format!("version = {version}\n"))
        .replace("# in_force_until = 2031-12-31", "in_force_until = 2026-11-23")
}

/// How many entries of ES there are at PT, and of PT at ES.
fn both_hold(world: &World, es: &MemberId, pt: &MemberId, expected: [u64; 2]) -> Result<(), String> {
    for ((holder, origin), expected) in [(pt, es), (es, pt)].into_iter().zip(expected) {
        let held = world.tally(holder, origin).ok_or("a node is down")?.entries();
        must(held == expected, || {
            format!("{holder} holds {held} entries of {origin}, not {expected}")
        })?;
    }
    Ok(())
}
