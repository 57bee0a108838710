//! Wires break again and again while everybody issues: after the last break heals, each record has arrived once.

use icomm_pki::{MemberId, Role};

use super::must;
use crate::members::{Members, name};
use crate::world::World;

/// See the module.
pub fn run(seed: u64) -> Result<World, String> {
    let members = Members::certify(&[
        ("WCO", Role::Global, &[]),
        ("ES", Role::National, &[]),
        ("PT", Role::National, &[]),
        ("IT", Role::National, &[]),
    ]);
    let [es, pt, it] = ["ES", "PT", "IT"].map(name::<MemberId>);
    let pairs = [(&es, &pt), (&pt, &it), (&it, &es)];
    let agreements = pairs.map(|(a, b)| members.bilateral(a.as_str(), b.as_str()));
    let mut world = World::new(members, seed);
    for ((a, b), agreement) in pairs.iter().zip(&agreements) {
        world.adopt(a, agreement);
        world.adopt(b, agreement);
        world.dial(a, b);
    }
    let mut issued = 0;
    for round in 0..30_u64 {
        for member in [&es, &pt, &it] {
            world.issue(member, 7);
        }
        issued += 7;
        world.run(40 + (seed * 31 + round * 17) % 200);
        let [first, second, third] = pairs;
        let (a, b) = match (seed + round) % 3 {
            0 => first,
            1 => second,
            _ => third,
        };
        world.cut_between(a, b);
    }
    world.run(120_000);
    for (a, b) in pairs.iter().flat_map(|&(a, b)| [(a, b), (b, a)]) {
        let held = world.tally(a, b).ok_or("a node is down")?;
        must(
            held.verified && held.entries() == issued && held.disclosed == issued,
            || format!("{a} holds of {b}, which issued {issued}: {held:?}"),
        )?;
    }
    Ok(world)
}
