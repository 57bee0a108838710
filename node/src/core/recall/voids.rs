//! What is void, as everything that reads, stores or sends must know it at once; and what is owed to whom.
//!
//! ```text
//!  begin: void, erasing + 1, generation + 1 ─▶ batch on its way to the disk ─▶ end: erasing - 1
//!                                    │
//!  reading a log: not while erasing
//!  sending:       once its note is durable, a chunk goes only if it was read in the generation of that moment
//! ```
//!
//! So the note of a body that went was durable before the erasing began, and who searches the notes afterwards finds
//! everybody who may have got the body. Logs without a recall cost two looks into a table a chunk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use icomm_pki::MemberId;
use icomm_proto::Origin;

use super::{RecallKey, Void, Voided};
use crate::core::routes::LinkId;

/// The node's memory of recalls; what is durable of it is with the store.
#[derive(Debug, Default)]
pub struct Voids(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    logs: BTreeMap<Origin, Log>,
    // Members of which recalls are coming in, by link: of their logs nothing is served until those are taken.
    awaited: BTreeMap<LinkId, MemberId>,
    owed: BTreeMap<MemberId, BTreeSet<RecallKey>>,
}

#[derive(Debug, Default)]
struct Log {
    generation: u64,
    erasing: usize,
    records: Arc<Voided>,
}

impl Voids {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is made in one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what the store holds.
    pub fn remember(&self, (origin, record): &RecallKey, void: Void) {
        let mut state = self.state();
        let log = state.logs.entry(origin.clone()).or_default();
        Arc::make_mut(&mut log.records).0.insert(*record, void);
    }

    /// From now on these are void: nothing of the log is read until [`Voids::end`], and what was read before does not go.
    pub fn begin(&self, origin: &Origin, voids: impl IntoIterator<Item = (icomm_proto::RecordId, Void)>) {
        let mut state = self.state();
        let log = state.logs.entry(origin.clone()).or_default();
        log.generation += 1;
        log.erasing += 1;
        Arc::make_mut(&mut log.records).0.extend(voids);
    }

    /// What was read of the log before does not go any more. Nothing is void by that.
    pub fn withhold(&self, origin: &Origin) {
        self.state().logs.entry(origin.clone()).or_default().generation += 1;
    }

    /// The erasure is durable, or could not be stored. What was begun stays void either way: what is not erased yet is
    /// erased when it is ordered again, and until then nothing more is added to it.
    pub fn end(&self, origin: &Origin) {
        if let Some(log) = self.state().logs.get_mut(origin) {
            log.erasing = log.erasing.saturating_sub(1);
        }
    }

    /// What is void of a log; none if nothing is.
    pub fn of(&self, origin: &Origin) -> Option<Arc<Voided>> {
        self.state().logs.get(origin).map(|log| log.records.clone())
    }

    /// The logs by which a record is void.
    pub fn logs_of(&self, record: &icomm_proto::RecordId) -> Vec<Origin> {
        let state = self.state();
        let logs = state.logs.iter().filter(|(_, log)| log.records.get(record).is_some());
        logs.map(|(origin, _)| origin.clone()).collect()
    }

    /// The generation of what is read of a log now; none while nothing may be read.
    pub fn reading(&self, origin: &Origin) -> Option<u64> {
        let state = self.state();
        if state.awaited.values().any(|member| *member == origin.member) {
            return None;
        }
        match state.logs.get(origin) {
            None => Some(0),
            Some(log) if log.erasing > 0 => None,
            Some(log) => Some(log.generation),
        }
    }

    /// Recalls of `member` are coming in on `link`.
    pub fn awaits(&self, link: LinkId, member: MemberId) {
        self.state().awaited.insert(link, member);
    }

    /// They are taken, or the link is gone. Whether they were awaited.
    pub fn arrived(&self, link: LinkId) -> bool {
        self.state().awaited.remove(&link).is_some()
    }

    /// A holder has to be told.
    pub fn owe(&self, holder: &MemberId, key: RecallKey) {
        self.state().owed.entry(holder.clone()).or_default().insert(key);
    }

    /// A holder, and whoever had it from that one, has signed.
    pub fn settle(&self, holder: &MemberId, key: &RecallKey) {
        let mut state = self.state();
        if let Some(owed) = state.owed.get_mut(holder) {
            owed.remove(key);
            if owed.is_empty() {
                state.owed.remove(holder);
            }
        }
    }

    /// Whether a recall is owed to a holder.
    pub fn owes(&self, holder: &MemberId, key: &RecallKey) -> bool {
        self.state().owed.get(holder).is_some_and(|owed| owed.contains(key))
    }

    /// How many recalls are owed to a holder.
    pub fn owed_len(&self, holder: &MemberId) -> usize {
        self.state().owed.get(holder).map_or(0, BTreeSet::len)
    }

    /// At most `max` recalls owed to a holder, those after `after`.
    pub fn owed(&self, holder: &MemberId, after: Option<&RecallKey>, max: usize) -> Vec<RecallKey> {
        let state = self.state();
        let owed = state.owed.get(holder).into_iter().flatten();
        let rest = owed.filter(|key| after.is_none_or(|after| *key > after));
        rest.take(max).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use icomm_proto::{EntryKind, RecordId};

    use super::*;

    fn void(serial: u8) -> (RecordId, Void) {
        let void = Void {
            index: 9,
            kind: EntryKind::Amend,
        };
        (RecordId::new(1, [serial; 10]), void)
    }

    #[test]
    fn what_was_read_before_a_recall_is_of_another_generation_than_what_is_read_after_it() {
        let voids = Voids::default();
        let (origin, other) = ("KE/main".parse().unwrap(), "UG/main".parse().unwrap());
        let before = voids.reading(&origin).unwrap();
        voids.begin(&origin, [void(1)]);
        assert_eq!(voids.reading(&origin), None, "while it is erased");
        assert!(voids.reading(&other).is_some(), "other logs go on");
        voids.begin(&origin, [void(2)]);
        voids.end(&origin);
        assert_eq!(voids.reading(&origin), None, "two recalls at once");
        voids.end(&origin);
        let after = voids.reading(&origin).unwrap();
        assert_ne!(after, before);
        assert_eq!(voids.reading(&origin), Some(after));
        assert!(voids.of(&origin).unwrap().covers(&void(1).0, 8));
        assert!(voids.of(&other).is_none());
    }

    #[test]
    fn who_announces_recalls_holds_up_its_own_logs_only_until_they_came() {
        let (voids, ke, ug) = (Voids::default(), "KE/main".parse().unwrap(), "UG/main".parse().unwrap());
        voids.awaits(LinkId(3), "KE".parse().unwrap());
        assert!(voids.reading(&ke).is_none() && voids.reading(&ug).is_some());
        assert!(!voids.arrived(LinkId(4)) && voids.arrived(LinkId(3)));
        assert!(voids.reading(&ke).is_some());
    }

    #[test]
    fn what_is_owed_comes_in_pages_until_it_is_settled() {
        let (voids, holder) = (Voids::default(), "PT".parse().unwrap());
        let key = |serial| ("ES/main".parse().unwrap(), void(serial).0);
        (1..=5).for_each(|serial| voids.owe(&holder, key(serial)));
        voids.owe(&holder, key(1));
        assert_eq!(voids.owed_len(&holder), 5);
        let first = voids.owed(&holder, None, 3);
        assert_eq!(first, [key(1), key(2), key(3)]);
        voids.settle(&holder, &key(2));
        assert_eq!(voids.owed(&holder, first.last(), 3), [key(4), key(5)]);
        assert_eq!(voids.owed_len(&holder), 4);
        assert_eq!(voids.owed_len(&"FR".parse().unwrap()), 0);
    }
}
