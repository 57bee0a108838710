//! Terms change again and again, under partitions and crashes: what a partner ends up with of each entry is what the last
//! version gives, no less and, since the rest is called back, no more. Every section that it holds stands in a disclosure note.

use std::collections::BTreeSet;

use icomm_node::core::delivery::{READ_LIMIT, facts};
use icomm_node::core::disclosure::Note;
use icomm_node::store::{NoteLog, Store};
use icomm_pki::{MemberId, Role};
use icomm_policy::Agreement;
use icomm_policy::agreement::{HandlingCode, Terms, bilateral};
use icomm_proto::{Origin, SectionKind, SectionSet, v1};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::must;
use crate::members::{Members, name, sure};
use crate::world::World;

/// How often something happens.
const STEPS: usize = 24;
/// The sections of a simulated record.
const SECTIONS: [SectionKind; 3] = [SectionKind::Case, SectionKind::Exact, SectionKind::References];

/// What one version gives: these sections, up to this handling code.
#[derive(Clone, Copy, Debug)]
struct Gives {
    sections: SectionSet,
    handling: HandlingCode,
}

impl Gives {
    fn random(random: &mut StdRng) -> Self {
        let more = SECTIONS.into_iter().skip(1).filter(|_| random.random_bool(0.5));
        Self {
            sections: more.chain([SectionKind::Case]).collect(),
            handling: *sure([HandlingCode::H0, HandlingCode::H1].choose(random).ok_or("one of two")),
        }
    }

    fn of(self, handling: HandlingCode) -> SectionSet {
        match handling <= self.handling {
            true => self.sections,
            false => SectionSet::EMPTY,
        }
    }

    fn version(self, members: &Members, version: u32) -> v1::Document {
        let text = bilateral(&name("es-pt"), &name("ES"), &name("PT"), name("2026-11-01"));
        let mut terms: Terms = sure(Agreement::read(&text)).terms().clone();
        terms.version = version;
        for grant in &mut terms.grants {
            grant.sections = self.sections;
            grant.handling = self.handling;
        }
        members.signed(&sure(serde_json::to_string(&terms)))
    }
}

/// See the module.
pub fn run(seed: u64) -> Result<World, String> {
    let mut random = StdRng::seed_from_u64(seed ^ 0x7e12);
    let members = Members::certify(&[
        ("WCO", Role::Global, &[]),
        ("ES", Role::National, &[]),
        ("PT", Role::National, &[]),
    ]);
    let mut world = World::new(members, seed);
    let [es, pt] = ["ES", "PT"].map(name::<MemberId>);
    let mut given = vec![Gives::random(&mut random)];
    let mut issued = Vec::new();
    let mut down = BTreeSet::new();
    for member in [&es, &pt] {
        let first = sure(given.first().copied().ok_or("the first version")).version(world.members(), 1);
        world.adopt(member, &first);
    }
    world.dial(&es, &pt);
    for _ in 0..STEPS {
        match random.random_range(0..10) {
            0..=3 => {
                let handling = *sure(
                    [HandlingCode::H0, HandlingCode::H1]
                        .choose(&mut random)
                        .ok_or("one of two"),
                );
                if !down.contains(&es) {
                    let count = random.random_range(1..60);
                    world.issue_as(&es, count, handling.as_str());
                    issued.extend(std::iter::repeat_n(handling, count));
                }
            }
            4..=6 => {
                let gives = Gives::random(&mut random);
                given.push(gives);
                let version = gives.version(world.members(), u32::try_from(given.len()).unwrap_or(u32::MAX));
                // Handed in at one of them or at both; the link carries it over.
                let mut up: Vec<&MemberId> = [&es, &pt].into_iter().filter(|id| !down.contains(*id)).collect();
                if random.random_bool(0.5) {
                    up.truncate(1);
                }
                match up.is_empty() {
                    true => drop(given.pop()),
                    false => up.into_iter().for_each(|member| world.adopt(member, &version)),
                }
            }
            7 => world.cut_between(&es, &pt),
            8 => {
                let member = if random.random_bool(0.5) { &es } else { &pt };
                if down.insert(member.clone()) {
                    world.crash(member);
                }
            }
            _ => {
                for member in std::mem::take(&mut down) {
                    world.start(&member);
                }
            }
        }
        world.run(random.random_range(1..3_000));
    }
    for member in down {
        world.start(&member);
    }
    world.run(120_000);

    let last = sure(given.last().copied().ok_or("the first version"));
    let held = held(&world, &pt, &es)?;
    must(held.len() == issued.len(), || {
        format!("PT knows {} of {} entries", held.len(), issued.len())
    })?;
    let noted = noted(&world, &es, held.len())?;
    for (index, ((held, noted), handling)) in held.iter().zip(noted).zip(&issued).enumerate() {
        let now = last.of(*handling);
        must(now.is_subset(*held), || {
            format!("entry {index} ({handling:?}): PT holds {held}, the last version gives {now}: {given:?}")
        })?;
        must(held.is_subset(now), || {
            format!("entry {index} ({handling:?}): PT still holds {held}, the last version gives {now}: {given:?}")
        })?;
        must(held.is_subset(noted), || {
            format!("entry {index}: PT holds {held}, the notes say {noted}")
        })?;
    }
    let tally = world.tally(&pt, &es);
    must(
        issued.is_empty() || tally.as_ref().is_some_and(|tally| tally.verified),
        || format!("what PT holds does not verify: {tally:?}"),
    )?;
    must(world.closed().is_empty(), || {
        format!("sessions ended: {:?}", world.closed())
    })?;
    Ok(world)
}

/// The sections that `holder` has of each entry.
fn held(world: &World, holder: &MemberId, origin: &MemberId) -> Result<Vec<SectionSet>, String> {
    let store = world.store(holder).ok_or("no such node")?;
    let origin = Origin::main(origin.clone());
    let mut held = Vec::new();
    while let Some(stretch) = sure(store.read(&origin, held.len() as u64, READ_LIMIT)) {
        for item in stretch.items() {
            held.push(sure(facts(item)).1.unwrap_or_default());
        }
    }
    Ok(held)
}

/// The sections that the disclosure notes of `sender` name for each entry of its own log.
fn noted(world: &World, sender: &MemberId, entries: usize) -> Result<Vec<SectionSet>, String> {
    let store = world.store(sender).ok_or("no such node")?;
    let mut noted = vec![SectionSet::EMPTY; entries];
    for (_, note) in sure(store.notes(&NoteLog::disclosures(), 0, usize::MAX)) {
        let note = sure(Note::decode(&note));
        let mut index = usize::try_from(note.from).unwrap_or(usize::MAX);
        for (length, which) in note.runs {
            let sections = which.and_then(|which| note.terms.get(which)?.sections.parse().ok());
            for _ in 0..length {
                if let (Some(noted), Some(sections)) = (noted.get_mut(index), sections) {
                    *noted = noted.union(sections);
                }
                index += 1;
            }
        }
    }
    Ok(noted)
}
