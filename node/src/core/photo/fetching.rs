//! What is still to be fetched: the entries of which this node was given section `images` and has not every photo yet.
//!
//! The list is durable with the entries, chunk by chunk. Each link fetches one photo at a time, from the originator if it is
//! linked, else from whoever offers its log.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use icomm_pki::MemberId;
use icomm_proto::Origin;

use super::PhotoName;
use crate::core::routes::LinkId;
use crate::store::{Batch, Place, Store, StoreError};

/// Entries that are remembered as having photos to fetch; of more, the rest is fetched after a restart.
pub const PENDING_MAX: usize = 1 << 20;
/// Photos that one peer asked for and that are not here yet.
const WAITING_MAX: usize = 4096;

const STATE: &str = "photos/";

/// What all links fetch.
#[derive(Debug, Default)]
pub struct Fetching {
    /// By log and the index under which they are kept.
    pending: BTreeMap<(Origin, u64), BTreeSet<u64>>,
    count: usize,
    links: BTreeMap<LinkId, Fetcher>,
}

/// What one link fetches, and what its peer waits for.
#[derive(Debug)]
struct Fetcher {
    member: MemberId,
    offers: BTreeSet<Origin>,
    busy: Option<PhotoName>,
    /// Photos that the peer does not have or does not give.
    absent: BTreeSet<PhotoName>,
    /// Entries of which there is no other photo to ask it for.
    skipped: BTreeSet<Place>,
    waiting: BTreeSet<PhotoName>,
}

impl Fetching {
    /// What the store says.
    ///
    /// # Errors
    /// It can't be read.
    pub fn open(store: &dyn Store) -> Result<Self, StoreError> {
        let mut fetching = Self::default();
        for (key, value) in store.scan_state(STATE)? {
            let place = key.strip_prefix(STATE).and_then(|rest| rest.rsplit_once('/'));
            let Some((origin, from)) = place else { continue };
            if let (Ok(origin), Ok(from)) = (origin.parse(), from.parse()) {
                fetching.add(origin, from, &decoded(&value));
            }
        }
        Ok(fetching)
    }

    /// A batch that stores entries remembers with them that they have photos: `entries`, ascending.
    pub fn remember(batch: Batch, origin: &Origin, entries: &[u64]) -> Batch {
        match entries.first() {
            None => batch,
            Some(first) => batch.set(state_key(origin, *first), encoded(entries)),
        }
    }

    /// Such a batch is durable.
    pub fn add(&mut self, origin: Origin, from: u64, entries: &[u64]) {
        if self.count + entries.len() > PENDING_MAX {
            return;
        }
        // What a peer did not give before, it may give now.
        for fetcher in self.links.values_mut() {
            for index in entries {
                fetcher.forgive(&origin, *index);
            }
        }
        let known = self.pending.entry((origin, from)).or_default();
        let before = known.len();
        known.extend(entries);
        self.count += known.len() - before;
    }

    /// All photos of an entry are here, or it names none here any more; the key of the state that may be forgotten.
    pub fn done(&mut self, place: &Place) -> Option<String> {
        let mut keys = self
            .pending
            .range((place.origin.clone(), 0)..=(place.origin.clone(), place.index))
            .rev();
        let key = keys.find(|(_, entries)| entries.contains(&place.index))?.0.clone();
        let entries = self.pending.get_mut(&key)?;
        entries.remove(&place.index);
        self.count -= 1;
        if !entries.is_empty() {
            return None;
        }
        self.pending.remove(&key);
        Some(state_key(&key.0, key.1))
    }

    /// A link to a member is open.
    pub fn opened(&mut self, link: LinkId, member: MemberId) {
        let fetcher = Fetcher {
            member,
            offers: BTreeSet::new(),
            busy: None,
            absent: BTreeSet::new(),
            skipped: BTreeSet::new(),
            waiting: BTreeSet::new(),
        };
        self.links.insert(link, fetcher);
    }

    /// It is gone.
    pub fn closed(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// The peer can serve this log.
    pub fn offered(&mut self, link: LinkId, origin: &Origin) {
        if let Some(fetcher) = self.links.get_mut(&link) {
            fetcher.offers.insert(origin.clone());
        }
    }

    /// The links that fetch nothing.
    pub fn idle(&self) -> Vec<LinkId> {
        let idle = self.links.iter().filter(|(_, fetcher)| fetcher.busy.is_none());
        idle.map(|(link, _)| *link).collect()
    }

    /// The next entry to fetch a photo of on a link that fetches nothing.
    pub fn next(&self, link: LinkId) -> Option<Place> {
        let fetcher = self.links.get(&link).filter(|fetcher| fetcher.busy.is_none())?;
        let elsewhere = |place: &Place| {
            let others = self.links.iter().filter(|(other, _)| **other != link);
            let mut busy = others.filter_map(|(_, other)| other.busy.as_ref());
            busy.any(|name| name.origin == place.origin && name.index == place.index)
        };
        for origin in &fetcher.offers {
            let direct = fetcher.member == origin.member;
            if !direct && self.links.values().any(|other| other.member == origin.member) {
                continue;
            }
            let pending = self.pending.range((origin.clone(), 0)..=(origin.clone(), u64::MAX));
            let places = pending.flat_map(|(_, entries)| entries).map(|index| Place {
                origin: origin.clone(),
                index: *index,
            });
            let next = places
                .into_iter()
                .find(|place| !fetcher.skipped.contains(place) && !elsewhere(place));
            if next.is_some() {
                return next;
            }
        }
        None
    }

    /// A link fetches this photo now.
    pub fn begin(&mut self, link: LinkId, name: PhotoName) {
        if let Some(fetcher) = self.links.get_mut(&link) {
            fetcher.busy = Some(name);
        }
    }

    /// A link fetches nothing any more.
    pub fn end(&mut self, link: LinkId) {
        if let Some(fetcher) = self.links.get_mut(&link) {
            fetcher.busy = None;
        }
    }

    /// The peer does not have, or does not give, a photo, until it says that it has; or was asked for it in a file.
    pub fn absent(&mut self, link: LinkId, name: PhotoName) {
        if let Some(fetcher) = self.links.get_mut(&link) {
            fetcher.busy = None;
            if fetcher.absent.len() < PENDING_MAX {
                fetcher.absent.insert(name);
            } else {
                fetcher.skipped.insert(name.place());
            }
        }
    }

    /// Whether a photo need not be asked for on a link.
    pub fn is_absent(&self, link: LinkId, name: &PhotoName) -> bool {
        self.links
            .get(&link)
            .is_some_and(|fetcher| fetcher.absent.contains(name))
    }

    /// There is no photo of this entry to ask the peer for.
    pub fn skip(&mut self, link: LinkId, place: Place) {
        if let Some(fetcher) = self.links.get_mut(&link) {
            fetcher.skipped.insert(place);
        }
    }

    /// The peer has a photo now.
    pub fn here(&mut self, link: LinkId, name: &PhotoName) {
        if let Some(fetcher) = self.links.get_mut(&link) {
            fetcher.forgive(&name.origin, name.index);
        }
    }

    /// A peer asked for a photo that it may have and that is not here yet.
    pub fn wait(&mut self, link: LinkId, name: PhotoName) {
        if let Some(fetcher) = self.links.get_mut(&link)
            && fetcher.waiting.len() < WAITING_MAX
        {
            fetcher.waiting.insert(name);
        }
    }

    /// What peers wait for of these logs, here or not: they ask again.
    pub fn take_waiting(&mut self, of: impl Fn(&Origin) -> bool) -> Vec<(LinkId, PhotoName)> {
        let mut waiting = Vec::new();
        for (link, fetcher) in &mut self.links {
            let names = fetcher.waiting.extract_if(.., |name: &PhotoName| of(&name.origin));
            waiting.extend(names.map(|name| (*link, name)));
        }
        waiting
    }

    /// All photos of an entry are here, perhaps by another entry that names them: what peers wait for of it.
    pub fn arrived_at(&mut self, place: &Place) -> Vec<(LinkId, PhotoName)> {
        let mut arrived = Vec::new();
        for (link, fetcher) in &mut self.links {
            let of_entry = |name: &PhotoName| name.origin == place.origin && name.index == place.index;
            arrived.extend(fetcher.waiting.extract_if(.., of_entry).map(|name| (*link, name)));
        }
        arrived
    }

    /// A photo is here: the links whose peers wait for it.
    pub fn arrived(&mut self, name: &PhotoName) -> Vec<LinkId> {
        let waiting = self
            .links
            .iter_mut()
            .filter_map(|(link, fetcher)| fetcher.waiting.remove(name).then_some(*link));
        waiting.collect()
    }
}

impl Fetcher {
    /// The photos of an entry may be asked for again.
    fn forgive(&mut self, origin: &Origin, index: u64) {
        let name = |number| PhotoName {
            origin: origin.clone(),
            index,
            number,
        };
        let absent: Vec<_> = self.absent.range(name(0)..=name(u32::MAX)).cloned().collect();
        for name in &absent {
            self.absent.remove(name);
        }
        self.skipped.remove(&name(0).place());
    }
}

fn state_key(origin: &Origin, from: u64) -> String {
    format!("{STATE}{origin}/{from:020}")
}

/// The first index is in the key as well; each takes eight bytes.
fn encoded(entries: &[u64]) -> Bytes {
    entries.iter().flat_map(|index| index.to_be_bytes()).collect()
}

fn decoded(value: &[u8]) -> Vec<u64> {
    value
        .as_chunks::<8>()
        .0
        .iter()
        .map(|bytes| u64::from_be_bytes(*bytes))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Fetching, PhotoName};
    use crate::{
        core::routes::LinkId,
        store::{Batch, MemoryStore, Place, Store},
    };

    fn place(origin: &str, index: u64) -> Place {
        Place {
            origin: origin.parse().unwrap(),
            index,
        }
    }

    fn linked(fetching: &mut Fetching, link: u64, member: &str, offers: &[&str]) -> LinkId {
        let link = LinkId(link);
        fetching.opened(link, member.parse().unwrap());
        for origin in offers {
            fetching.offered(link, &origin.parse().unwrap());
        }
        link
    }

    #[test]
    fn what_is_to_be_fetched_outlives_the_process() {
        let store = MemoryStore::new();
        let origin = "KE/main".parse().unwrap();
        let batch = Fetching::remember(Batch::new(), &origin, &[7, 9]);
        store.append(Fetching::remember(batch, &origin, &[])).unwrap();
        let mut fetching = Fetching::open(&store).unwrap();
        let link = linked(&mut fetching, 1, "KE", &["KE/main"]);
        assert_eq!(fetching.next(link), Some(place("KE/main", 7)));
        assert_eq!(fetching.done(&place("KE/main", 7)), None);
        assert_eq!(fetching.next(link), Some(place("KE/main", 9)));
        let key = fetching.done(&place("KE/main", 9)).unwrap();
        assert_eq!((fetching.next(link), fetching.done(&place("KE/main", 9))), (None, None));
        store.append(Batch::new().forget(key)).unwrap();
        assert_eq!(Fetching::open(&store).unwrap().pending.len(), 0);
    }

    #[test]
    fn the_originator_is_asked_first_and_nobody_twice_at_once() {
        let mut fetching = Fetching::default();
        fetching.add("KE/main".parse().unwrap(), 0, &[0, 1]);
        let hub = linked(&mut fetching, 1, "RILO-ESA", &["KE/main", "RILO-ESA/main"]);
        assert_eq!(fetching.next(hub), Some(place("KE/main", 0)));
        let ke = linked(&mut fetching, 2, "KE", &["KE/main"]);
        assert_eq!(fetching.next(hub), None, "the originator is there");
        let name = PhotoName::read("KE/main", 0, 0).unwrap();
        fetching.begin(ke, name.clone());
        assert_eq!((fetching.next(ke), fetching.idle()), (None, vec![hub]));
        let again = linked(&mut fetching, 3, "KE", &["KE/main"]);
        assert_eq!(fetching.next(again), Some(place("KE/main", 1)), "another photo");
        fetching.closed(ke);
        fetching.absent(again, name.clone());
        assert!(fetching.is_absent(again, &name) && fetching.next(again) == Some(place("KE/main", 0)));
        fetching.skip(again, place("KE/main", 0));
        assert_eq!(fetching.next(again), Some(place("KE/main", 1)));
        fetching.here(again, &name);
        assert!(!fetching.is_absent(again, &name) && fetching.next(again) == Some(place("KE/main", 0)));
        fetching.closed(again);
        assert_eq!(fetching.next(hub), Some(place("KE/main", 0)), "the originator is gone");
    }

    #[test]
    fn who_waits_is_told_once() {
        let mut fetching = Fetching::default();
        let link = linked(&mut fetching, 1, "UG", &[]);
        let name = PhotoName::read("KE/main", 3, 1).unwrap();
        fetching.wait(link, name.clone());
        assert_eq!(fetching.arrived(&name), [link]);
        assert_eq!(fetching.arrived(&name), []);
    }
}
