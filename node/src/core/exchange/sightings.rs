//! Checkpoints that were shown before so much of their log was here: compared as soon as it is, and asked about when it
//! does not come.

use std::collections::BTreeMap;
use std::sync::Mutex;

use icomm_pki::MemberId;
use icomm_proto::Origin;
use icomm_proto::log::VerifiedCheckpoint;

use super::{Exchange, lock};
use crate::core::replica::History;

/// Checkpoints ahead of one log that are remembered: one each of so many members.
const SIGHTINGS_MAX: usize = 8;

/// By log.
#[derive(Default)]
pub(super) struct Sightings(Mutex<BTreeMap<Origin, Vec<Sighting>>>);

struct Sighting {
    by: MemberId,
    shown: VerifiedCheckpoint,
    /// How much of the log was held when it was last looked at.
    held: u64,
    /// Whether whoever showed it was asked how that log begins.
    asked: bool,
}

impl Sightings {
    /// What a member showed first stays until it is compared, else one that runs ahead would never be.
    pub(super) fn remember(&self, origin: &Origin, by: &MemberId, shown: VerifiedCheckpoint, held: u64) {
        let mut all = lock(&self.0);
        let of = all.entry(origin.clone()).or_default();
        if of.len() < SIGHTINGS_MAX && !of.iter().any(|known| known.by == *by) {
            let (by, asked) = (by.clone(), false);
            of.push(Sighting { by, shown, held, asked });
        }
    }

    /// Takes out what can be compared now that `held` says how much there is of each log; and whom to ask, of which log at
    /// which size, because it has not grown since the last time.
    fn due(&self, held: impl Fn(&Origin) -> Option<u64>) -> (Vec<Due>, Vec<(Origin, MemberId, u64)>) {
        let (mut due, mut ask) = (Vec::new(), Vec::new());
        lock(&self.0).retain(|origin, of| {
            let Some(size) = held(origin) else { return false };
            of.retain_mut(|sighting| {
                if sighting.shown.size() <= size {
                    due.push((origin.clone(), sighting.by.clone(), sighting.shown.clone()));
                    return false;
                }
                let still = std::mem::replace(&mut sighting.held, size) == size;
                if still && !std::mem::replace(&mut sighting.asked, true) {
                    ask.push((origin.clone(), sighting.by.clone(), sighting.shown.size()));
                }
                true
            });
            !of.is_empty()
        });
        (due, ask)
    }
}

/// Who showed what of which log.
type Due = (Origin, MemberId, VerifiedCheckpoint);

impl Exchange {
    /// What is not worth doing for every chunk: compares what was shown before it could be. For the shell to call about once
    /// a second.
    pub fn every_second(&self) {
        self.follow_bundle();
        self.compare();
        self.compare_cosigned();
        self.settle_own();
        self.settle_return();
    }

    fn compare(&self) {
        let held = |origin: &Origin| self.heads.size(origin).filter(|_| !self.forks.has(origin));
        let (due, ask) = self.sightings.due(held);
        for (origin, by, shown) in due {
            let compared = History::of(&*self.store, &origin, shown.size())
                .map_err(Into::into)
                .and_then(|ours| ours.map_or(Ok(()), |ours| ours.agrees(&shown)));
            if let Err(fault) = compared {
                self.found(&by, &origin, &fault);
            }
        }
        for (origin, by, of) in ask {
            let link = lock(&self.links)
                .iter()
                .find_map(|(link, peer)| (peer.member == by).then_some(*link));
            if let Some(link) = link {
                self.doubt(link, &origin, of);
            }
        }
    }
}
