//! A hub that lies: it spoils, replays, reorders and re-dates what passes through it. Whatever arrives, honest members and
//! the global node end with true entries of the true logs only, and what travels on other wires is untouched.

use icomm_node::store::{BATCH_BYTES_MAX, ReadLimit, Store};
use icomm_pki::MemberId;
use icomm_proto::log::Item;
use icomm_proto::v1::{self, frame::Body};
use icomm_proto::{Origin, View};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::must;
use crate::members::{Members, name};
use crate::world::World;

/// See the module.
pub fn run(seed: u64) -> Result<World, String> {
    let members = Members::of_one_region();
    let region = members.regional("RILO-ESA", &["KE", "UG"]);
    let bilateral = members.bilateral("KE", "UG");
    let upstream = members.contribution("UG");
    let mut world = World::new(members, seed);
    let [wco, hub, ke, ug] = ["WCO", "RILO-ESA", "KE", "UG"].map(name::<MemberId>);
    for member in [&hub, &ke, &ug] {
        world.adopt(member, &region);
    }
    for member in [&ke, &ug] {
        world.adopt(member, &bilateral);
    }
    for member in [&ug, &wco] {
        world.adopt(member, &upstream);
    }
    let mut liar = Liar::new(seed);
    world.corrupt(&hub, move |frame| liar.lies(frame));
    for (a, b) in [(&ke, &hub), (&ug, &hub), (&hub, &wco), (&ke, &ug), (&ug, &wco)] {
        world.dial(a, b);
    }
    for round in 0..12 {
        world.issue(&ke, 7);
        world.issue(&ug, 5);
        world.run(400);
        if round % 3 == 2 {
            // A refused log is offered anew over a new wire: the liar gets another try.
            world.cut_between(&hub, &ug);
            world.cut_between(&hub, &wco);
        }
    }
    world.run(60_000);
    // The honest wires: bilateral, and the member's own to the global node.
    for (holder, origin, entries) in [(&ug, &ke, 84), (&ke, &ug, 60), (&wco, &ug, 60)] {
        let held = world.tally(holder, origin).ok_or("a node is down")?;
        must(held.verified && held.entries() == entries && held.withheld == 0, || {
            format!("{holder} holds of {origin}, which issued {entries}: {held:?}")
        })?;
    }
    // What could come through the liar only: as much as came, and of that nothing false.
    for holder in [&wco, &ug, &ke] {
        for origin in [&ke, &ug] {
            true_to(&world, holder, origin)?;
        }
    }
    for holder in [&wco, &ug, &ke] {
        let evidence = world.store(holder).ok_or("no store")?.scan_state("fork/");
        must(evidence.is_ok_and(|forks| forks.is_empty()), || {
            format!("{holder} took a lie of the hub for the originator's")
        })?;
    }
    Ok(world)
}

/// Every entry held of a log is the originator's at that index, every view a redaction of the originator's.
fn true_to(world: &World, holder: &MemberId, originator: &MemberId) -> Result<(), String> {
    let origin = Origin::main(originator.clone());
    let [held, truth] = [holder, originator].map(|member| world.store(member));
    let (held, truth) = (held.ok_or("no store")?, truth.ok_or("no store")?);
    let limit = ReadLimit {
        entries_max: u32::MAX,
        bytes_max: BATCH_BYTES_MAX,
    };
    let Some(stretch) = held.read(&origin, 0, limit).map_err(|error| error.to_string())? else {
        return Ok(());
    };
    for (index, item) in (0..).zip(stretch.shared_items()) {
        let whole = truth.entry(&origin, index).map_err(|error| error.to_string())?;
        let Some(Item::Disclosed(whole)) = whole else {
            return Err(format!(
                "{holder} holds entry {index} of {origin}, which its originator does not"
            ));
        };
        let whole = View::parse(whole).map_err(|error| error.to_string())?;
        let same = match item {
            Item::Withheld(leaf) => leaf == whole.leaf_hash(),
            Item::Disclosed(bytes) => View::parse(bytes).is_ok_and(|view| view == whole.redact(view.sections())),
        };
        must(same, || format!("{holder} holds a false entry {index} of {origin}"))?;
    }
    Ok(())
}

/// What the hub makes of the frames it sends.
struct Liar {
    random: StdRng,
    /// A chunk kept back, to go out of order.
    kept: Option<v1::Frame>,
}

impl Liar {
    fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed ^ 0xbad),
            kept: None,
        }
    }

    fn lies(&mut self, frame: v1::Frame) -> Vec<v1::Frame> {
        let Some(Body::Chunk(chunk)) = &frame.body else {
            return vec![frame];
        };
        let place = self.random.random_range(0..chunk.body.len().max(1));
        let spoilt = |change: &dyn Fn(&mut v1::Chunk)| {
            let mut chunk = chunk.clone();
            change(&mut chunk);
            v1::Frame {
                body: Some(Body::Chunk(chunk)),
            }
        };
        let flipped = |bytes: &[u8], place: usize| {
            let bits = bytes.iter().enumerate();
            bits.map(|(at, byte)| byte ^ u8::from(at == place))
                .collect::<Vec<u8>>()
                .into()
        };
        match self.random.random_range(0..10) {
            0 => vec![spoilt(&|chunk| chunk.body = flipped(&chunk.body, place))],
            // A checkpoint with another signature.
            1 => vec![spoilt(&|chunk| {
                chunk.checkpoint = flipped(&chunk.checkpoint, chunk.checkpoint.len() - 10);
            })],
            2 => vec![spoilt(&|chunk| chunk.from += 1)],
            3 => self.kept.replace(frame).into_iter().collect(),
            4..=8 => vec![frame.clone(), frame],
            _ => vec![frame],
        }
    }
}
