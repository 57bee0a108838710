//! Which entries came when, and by whom: written in the batch that stores them, as stretches, so that it costs neither a sync
//! nor anything for a record.
//!
//! ```text
//!   receiving/KE/main                     from when on this is written
//!   received/KE/main/00020780/000002      part 2 of what came of the log on that day: v1::ReceivedOn
//! ```
//!
//! Of new entries a part says "all sections", since what they have not has not come; of wider views which sections they
//! brought. So a section of an entry came on the day of the last part that names both.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use icomm_pki::MemberId;
use icomm_policy::agreement::Retention;
use icomm_proto::{Origin, SectionSet, v1};
use prost::Message;

use super::{keep, told};
use crate::store::{Batch, Spans, Store, StoreError};

/// Stretches of one part, after which another begins: what is written again with every chunk stays small.
const PART_SPANS_MAX: usize = 256;
/// Parts of a log that are added to at the same time: one for every way, set of sections and word on terms.
const OPEN_PARTS_MAX: usize = 32;

fn prefix(origin: &Origin) -> String {
    format!("received/{origin}/")
}

fn key(origin: &Origin, day: u64, number: u32) -> String {
    format!("{}{day:08}/{number:06}", prefix(origin))
}

fn begun_key(origin: &Origin) -> String {
    format!("receiving/{origin}")
}

/// Entries that came on one day, by one way, with the same word on the originator's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The day.
    pub day: u64,
    /// Which of the day's parts.
    pub number: u32,
    /// The member that sent them.
    pub via: MemberId,
    /// Which of their sections that brought.
    pub sections: SectionSet,
    /// What the sender said of the originator's terms.
    pub told: Option<Retention>,
    /// Nothing of it is over before this day; none: not looked at yet.
    pub look: Option<u64>,
    /// The entries.
    pub entries: Spans,
}

impl Part {
    /// Under which it is kept.
    pub fn key(&self, origin: &Origin) -> String {
        key(origin, self.day, self.number)
    }

    /// As it is kept.
    pub fn encode(&self) -> Vec<u8> {
        let Self {
            day: _,
            number: _,
            via,
            sections,
            told,
            look,
            entries,
        } = self;
        v1::ReceivedOn {
            via: via.to_string(),
            sections: sections.to_string(),
            keep: told.map(keep),
            look: look.unwrap_or(0),
            spans: entries.to_pairs(),
        }
        .encode_to_vec()
    }

    fn decode(origin: &Origin, key: &str, bytes: &[u8]) -> Option<Self> {
        let (day, number) = key.strip_prefix(&prefix(origin))?.split_once('/')?;
        let v1::ReceivedOn {
            via,
            sections,
            keep,
            look,
            spans,
        } = v1::ReceivedOn::decode(bytes).ok()?;
        Some(Self {
            day: day.parse().ok()?,
            number: number.parse().ok()?,
            via: via.parse().ok()?,
            sections: sections.parse().ok()?,
            told: keep.as_ref().and_then(told),
            look: Some(look).filter(|look| *look > 0),
            entries: Spans::from_pairs(&spans),
        })
    }
}

/// All that is known of what came of a log and is not over, by day and number. As many as days on which something came, not
/// as entries.
pub fn parts(store: &dyn Store, origin: &Origin) -> Result<Vec<Part>, StoreError> {
    let kept = store.scan_state(&prefix(origin))?.into_iter();
    let read = |(key, bytes): (String, bytes::Bytes)| {
        let part = Part::decode(origin, &key, &bytes);
        if part.is_none() {
            tracing::error!(
                key,
                "what came on a day can't be read: of that nothing will be over by itself"
            );
        }
        part
    };
    Ok(kept.filter_map(read).collect())
}

/// What comes in today.
#[derive(Debug, Default)]
pub struct Receiving(Mutex<BTreeMap<Origin, OfLog>>);

#[derive(Debug)]
struct OfLog {
    day: u64,
    next: u32,
    open: Vec<Part>,
}

/// What of a log came, by whom, and on what terms.
#[derive(Debug)]
pub struct Came<'a> {
    /// The log.
    pub origin: &'a Origin,
    /// Who sent it.
    pub via: &'a MemberId,
    /// What that one said of the originator's terms.
    pub told: Option<Retention>,
    /// The day.
    pub day: u64,
}

impl Receiving {
    /// Adds to a batch that `entries` came with these sections. The caller holds the log's lock.
    pub fn add(
        &self,
        store: &dyn Store,
        batch: Batch,
        came: &Came<'_>,
        sections: SectionSet,
        entries: impl Iterator<Item = std::ops::Range<u64>>,
    ) -> Result<Batch, StoreError> {
        let Came { origin, via, told, day } = *came;
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = batch;
        let known = logs.get(origin).is_some_and(|log| log.day == day);
        if !known {
            // Once a day, and after a start: what an earlier run of the program wrote is left as it is.
            let of_day = format!("{}{day:08}/", prefix(origin));
            let last = store.scan_state(&of_day)?.pop();
            let last = last.and_then(|(key, _)| key.rsplit_once('/')?.1.parse::<u32>().ok());
            let next = last.map_or(0, |last| last.saturating_add(1));
            logs.insert(
                origin.clone(),
                OfLog {
                    day,
                    next,
                    open: Vec::new(),
                },
            );
            batch = batch.set(begun_key(origin), day.to_be_bytes().to_vec());
        }
        let Some(log) = logs.get_mut(origin) else {
            return Ok(batch);
        };
        let is_same = |part: &Part| part.via == *via && part.sections == sections && part.told == told;
        let at = match log.open.iter().position(is_same) {
            Some(at) => at,
            None => {
                if log.open.len() >= OPEN_PARTS_MAX {
                    log.open.clear();
                }
                log.open.push(Part {
                    day,
                    number: log.next,
                    via: via.clone(),
                    sections,
                    told,
                    look: None,
                    entries: Spans::default(),
                });
                log.next = log.next.saturating_add(1);
                log.open.len() - 1
            }
        };
        let Some(part) = log.open.get_mut(at) else {
            return Ok(batch);
        };
        for range in entries {
            part.entries.insert(range);
        }
        let (key, bytes) = (part.key(origin), part.encode());
        if part.entries.len() >= PART_SPANS_MAX {
            log.open.swap_remove(at);
        }
        Ok(batch.set(key, bytes))
    }

    /// Forgets what it was adding to: parts of the log are about to be rewritten.
    pub fn forget(&self, origin: &Origin) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(origin);
    }
}

/// Writes down for logs that were held before anybody did when their entries came: they count from `day` on.
pub fn begin(store: &dyn Store, own: &MemberId, day: u64) -> Result<(), StoreError> {
    for origin in store.origins() {
        if origin.member == *own || store.state(&begun_key(&origin))?.is_some() {
            continue;
        }
        let Some(head) = store.head(&origin)? else { continue };
        let mut entries = Spans::default();
        entries.insert(0..head.size());
        let part = Part {
            day,
            number: 0,
            via: origin.member.clone(),
            sections: SectionSet::ALL,
            told: None,
            look: None,
            entries,
        };
        let batch = Batch::new()
            .set(part.key(&origin), part.encode())
            .set(begun_key(&origin), day.to_be_bytes().to_vec());
        store.append(batch)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use icomm_policy::agreement::Expiry;
    use icomm_proto::SectionKind;

    use super::*;
    use crate::store::MemoryStore;

    fn origin() -> Origin {
        "KE/main".parse().unwrap()
    }

    fn came(receiving: &Receiving, store: &MemoryStore, day: u64, sections: SectionSet, ranges: &[(u64, u64)]) {
        let (origin, via) = (origin(), "KE".parse().unwrap());
        let came = Came {
            origin: &origin,
            via: &via,
            told: None,
            day,
        };
        let ranges = ranges.iter().map(|(from, to)| *from..*to);
        let batch = receiving.add(store, Batch::new(), &came, sections, ranges).unwrap();
        store.append(batch).unwrap();
    }

    fn kept(store: &MemoryStore) -> Vec<(u64, u32, String, Vec<u64>)> {
        let parts = parts(store, &origin()).unwrap().into_iter();
        parts
            .map(|part| {
                (
                    part.day,
                    part.number,
                    part.sections.to_string(),
                    part.entries.to_pairs(),
                )
            })
            .collect()
    }

    #[test]
    fn what_comes_in_order_is_one_stretch_a_day_and_a_restart_loses_nothing() {
        let (store, receiving) = (MemoryStore::new(), Receiving::default());
        let persons = SectionKind::Persons.into();
        for index in 0..10 {
            came(&receiving, &store, 7, SectionSet::ALL, &[(index, index + 1)]);
        }
        came(&receiving, &store, 7, persons, &[(2, 3), (5, 7)]);
        let all = SectionSet::ALL.to_string();
        let day_7 = [
            (7, 0, all.clone(), vec![0, 10]),
            (7, 1, "persons".to_owned(), vec![2, 1, 5, 2]),
        ];
        assert_eq!(kept(&store), day_7);
        // Another run of the program on the same day, then another day.
        let receiving = Receiving::default();
        came(&receiving, &store, 7, SectionSet::ALL, &[(10, 12)]);
        came(&receiving, &store, 8, SectionSet::ALL, &[(12, 13)]);
        came(&receiving, &store, 8, SectionSet::ALL, &[(13, 14)]);
        let later = [(7, 2, all.clone(), vec![10, 2]), (8, 0, all, vec![12, 2])];
        assert_eq!(kept(&store), [&day_7[..], &later[..]].concat());
    }

    #[test]
    fn scattered_entries_begin_another_part_before_one_gets_long() {
        let (store, receiving) = (MemoryStore::new(), Receiving::default());
        for index in 0..1000 {
            came(&receiving, &store, 7, SectionSet::ALL, &[(2 * index, 2 * index + 1)]);
        }
        let parts = parts(&store, &origin()).unwrap();
        assert_eq!(parts.len(), 4);
        assert!(parts.iter().all(|part| part.encode().len() < 2048));
        let all: usize = parts.iter().map(|part| part.entries.len()).sum();
        assert_eq!(all, 1000);
    }

    #[test]
    fn a_part_round_trips_and_what_is_none_is_left_out() {
        let part = Part {
            day: 20_780,
            number: 3,
            via: "RILO-ESA".parse().unwrap(),
            sections: SectionSet::ALL,
            told: Some(Retention {
                days: 90,
                then: Expiry::Restrict,
            }),
            look: Some(20_900),
            entries: Spans::from_pairs(&[4, 2]),
        };
        let read = Part::decode(&origin(), &part.key(&origin()), &part.encode());
        assert_eq!(read.as_ref(), Some(&part));
        assert_eq!(Part::decode(&origin(), "received/KE/main/x/0", &part.encode()), None);
        assert_eq!(Part::decode(&origin(), &part.key(&origin()), b"\xff"), None);
    }

    #[test]
    fn logs_that_were_held_before_count_from_the_day_on_which_it_began() {
        let store = MemoryStore::new();
        let mut log = crate::core::fixture::Originator::new("KE/main");
        log.commits(&[1, 2], 1);
        let network = crate::core::fixture::Network::new();
        let shared: std::sync::Arc<dyn Store> = std::sync::Arc::new(store);
        network.node_over("UG", shared.clone()).holds(&log);
        begin(&*shared, &"KE".parse().unwrap(), 8).unwrap();
        assert!(parts(&*shared, &origin()).unwrap().is_empty(), "the own log");
        begin(&*shared, &"UG".parse().unwrap(), 9).unwrap();
        begin(&*shared, &"UG".parse().unwrap(), 10).unwrap();
        let parts = parts(&*shared, &origin()).unwrap();
        assert_eq!(parts.len(), 1);
        assert_eq!((parts[0].day, parts[0].entries.to_pairs()), (9, vec![0, 3]));
    }
}
