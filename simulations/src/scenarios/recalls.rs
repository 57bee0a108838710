//! Records are corrected and recalled while nodes crash and wires break: at the end nobody holds anything of what is void,
//! every log verifies, and every holder has signed, but one that stays away, which is listed.

use std::collections::BTreeSet;

use icomm_node::core::recall::{Kept, RECALLS_PREFIX, RecallKey, answers, has_file, parse_recall_state};
use icomm_node::store::Store;
use icomm_pki::{MemberId, Role};
use icomm_proto::log::Item;
use icomm_proto::{EntryKind, View};

use super::must;
use crate::members::{Members, name, sure};
use crate::world::World;

const ROUNDS: u64 = 20;
/// Records that each originator issues in a round.
const ISSUED: usize = 5;

/// See the module.
pub fn run(seed: u64) -> Result<World, String> {
    let members = Members::certify(&[
        ("WCO", Role::Global, &[]),
        ("RILO-ESA", Role::Regional, &[]),
        ("KE", Role::National, &["RILO-ESA"]),
        ("UG", Role::National, &["RILO-ESA"]),
        ("ES", Role::National, &[]),
    ]);
    let (region, pair) = (
        members.regional("RILO-ESA", &["KE", "UG"]),
        members.bilateral("KE", "ES"),
    );
    let mut world = World::new(members, seed);
    let all = ["KE", "UG", "RILO-ESA", "ES", "WCO"].map(name::<MemberId>);
    let [ke, ug, hub, es, wco] = &all;
    for (document, parties) in [(&region, vec![hub, ke, ug]), (&pair, vec![ke, es])] {
        for party in parties {
            world.adopt(party, document);
        }
    }
    let wires = [(ke, hub), (ug, hub), (hub, wco), (ke, es)];
    wires.iter().for_each(|(a, b)| world.dial(a, b));
    let mut chance = Chance(seed);
    let mut voided = 0;
    for _ in 0..ROUNDS {
        for originator in [ke, ug] {
            world.issue(originator, ISSUED);
        }
        world.run(20 + chance.below(600));
        for originator in [ke, ug] {
            let size = world.tally(originator, originator).map_or(0, |own| own.entries());
            let kind = match chance.below(3) {
                0 => EntryKind::Amend,
                _ => EntryKind::Recall,
            };
            let index = chance.below(size.max(1));
            voided += usize::from(world.void(originator, index, kind).is_some());
        }
        world.run(chance.below(60));
        match chance.below(5) {
            0 => {
                let (a, b) = chance.of(&wires);
                world.cut_between(a, b);
            }
            1 => {}
            _ => {
                let victim = chance.of(&all);
                world.crash(victim);
                world.run(chance.below(4000));
                world.start(victim);
            }
        }
    }
    // In every other run one holder goes away for good, in the middle of it all.
    let gone = (!seed.is_multiple_of(2)).then_some(match seed % 4 {
        1 => ug,
        _ => es,
    });
    if let Some(gone) = gone {
        world.crash(gone);
        let size = world.tally(ke, ke).map_or(0, |own| own.entries());
        for index in 0..size.min(20) {
            voided += usize::from(world.void(ke, index, EntryKind::Recall).is_some());
        }
    }
    world.run(300_000);
    must(voided > 20, || format!("only {voided} records were voided"))?;
    for holder in all.iter().filter(|holder| Some(*holder) != gone) {
        for origin in [ke, ug] {
            is_clean(&world, holder, origin)?;
        }
    }
    let mut listed = 0;
    for origin in [ke, ug] {
        if Some(origin) != gone {
            listed += is_answered(&world, origin, gone)?;
        }
    }
    must(gone.is_none() || listed > 0, || "who is away is not listed".to_owned())?;
    Ok(world)
}

/// A holder's replica verifies and is as long as its originator's log, and no void entry has a section.
fn is_clean(world: &World, holder: &MemberId, originator: &MemberId) -> Result<(), String> {
    let (Some(issued), Some(held)) = (world.tally(originator, originator), world.tally(holder, originator)) else {
        return Ok(());
    };
    let has_any = held.entries() > 0;
    must(!has_any || (held.verified && held.root() == issued.root()), || {
        format!("{holder} holds of {originator}: {held:?}, and not {issued:?}")
    })?;
    let (Some(own), Some(store)) = (world.store(originator), world.store(holder)) else {
        return Ok(());
    };
    for (key, kept) in recalls(&*own) {
        for place in sure(own.find(&key.1)) {
            if place.index == kept.order.index || !kept.void().covers(place.index) {
                continue;
            }
            let sections = match sure(store.entry(&place.origin, place.index)) {
                Some(Item::Disclosed(bytes)) => sure(View::parse(bytes)).sections(),
                Some(Item::Withheld(_)) | None => continue,
            };
            must(sections.is_empty(), || {
                format!(
                    "{holder} has {sections} of entry {} of {}, which is void",
                    place.index, place.origin
                )
            })?;
        }
    }
    Ok(())
}

/// Everybody whom the originator knows to have been given anything of a void record has signed, but who is gone. Gives for
/// how many recalls that one is listed.
fn is_answered(world: &World, originator: &MemberId, gone: Option<&MemberId>) -> Result<usize, String> {
    let Some(store) = world.store(originator) else {
        return Ok(0);
    };
    let mut listed = 0;
    for (key, kept) in recalls(&*store) {
        if key.0.member != *originator {
            continue;
        }
        must(kept.traced, || {
            format!("{originator} does not know who holds {}", key.1)
        })?;
        let mut answers = sure(answers(&*store, &key));
        answers.retain(|answer| answer.index == kept.order.index);
        let told = answers.iter().flat_map(|answer| &answer.passed_on);
        let holders = kept.holders.iter().chain(told).filter(|holder| !has_file(holder));
        let holders: BTreeSet<&str> = holders.map(|holder| holder.member.as_str()).collect();
        for holder in holders.into_iter().filter(|holder| *holder != originator.as_str()) {
            let has_signed = answers.iter().any(|answer| answer.by == holder);
            let is_gone = gone.is_some_and(|gone| gone.as_str() == holder);
            listed += usize::from(is_gone && !has_signed);
            must(has_signed || is_gone, || {
                format!("{holder} has not signed for {} of {}", key.1, key.0)
            })?;
        }
    }
    Ok(listed)
}

/// The recalls that a node keeps.
fn recalls(store: &dyn Store) -> Vec<(RecallKey, Kept)> {
    let kept = sure(store.scan_state(RECALLS_PREFIX)).into_iter();
    let kept = kept.filter_map(|(key, bytes)| Some((parse_recall_state(&key)?, Kept::decode(&bytes)?)));
    kept.collect()
}

/// What a run's seed decides beside the world's own randomness.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let which = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        sure(choices.get(which).ok_or("a choice among none"))
    }
}
