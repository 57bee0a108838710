//! All logs on their way to one peer, and the room that they share.
//!
//! ```text
//!   log  ──┐ little to send, or room on the link ──▶ reads
//!   log  ──┤
//!   log  ──┘ much to send, and none ──▶ waits in line ──▶ reads when receipts make room
//! ```
//!
//! A window of each log alone would let twenty logs to each of twenty peers hold gigabytes. What is committed now does not
//! wait behind a catch-up: it is little.

use std::collections::{BTreeMap, VecDeque};

use icomm_proto::Origin;

use super::{Feed, GATHER_ENTRIES, WINDOW_BYTES};
use crate::core::session::Action;

/// Bytes prepared or unacknowledged on one link from which on nothing long is prepared: two logs at full speed.
pub const LINK_BYTES: usize = 2 * WINDOW_BYTES;

/// The logs of one link.
#[derive(Debug, Default)]
pub struct Feeds {
    feeds: BTreeMap<Origin, Feed>,
    // Those that found no room, in the order in which they did. Some may have gone since.
    in_line: VecDeque<Origin>,
}

impl Feeds {
    /// How many.
    pub fn count(&self) -> usize {
        self.feeds.len()
    }

    /// Whose.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.feeds.keys()
    }

    /// Whether a log is sent.
    pub fn contains(&self, origin: &Origin) -> bool {
        self.feeds.contains_key(origin)
    }

    /// One of them.
    pub fn get_mut(&mut self, origin: &Origin) -> Option<&mut Feed> {
        self.feeds.get_mut(origin)
    }

    /// One of them, perhaps a new one.
    pub fn entry(&mut self, origin: &Origin) -> &mut Feed {
        self.feeds.entry(origin.clone()).or_default()
    }

    /// Whether it was one.
    pub fn remove(&mut self, origin: &Origin) -> bool {
        self.in_line.retain(|waiting| waiting != origin);
        self.feeds.remove(origin).is_some()
    }

    /// All of them go.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// See [`Feed::advance`]; a log with much to send takes its place in the line where there is one, or no room.
    pub fn advance(&mut self, origin: &Origin, size: u64, actions: &mut Vec<Action>) {
        let has_room = self.in_line.is_empty() && self.has_room();
        let Some(feed) = self.feeds.get_mut(origin) else { return };
        if has_room || size.saturating_sub(feed.next) < GATHER_ENTRIES {
            feed.advance(origin, size, actions);
        } else if !self.in_line.contains(origin) {
            self.in_line.push_back(origin.clone());
        }
    }

    /// Lets those in the line read while there is room; `size_of` says how long a log is, `None` of one that may not go.
    pub fn advance_line(&mut self, size_of: impl Fn(&Origin) -> Option<u64>, actions: &mut Vec<Action>) {
        while !self.in_line.is_empty() && self.has_room() {
            let Some(origin) = self.in_line.pop_front() else { return };
            if let (Some(size), Some(feed)) = (size_of(&origin), self.feeds.get_mut(&origin)) {
                feed.advance(&origin, size, actions);
            }
        }
    }

    fn has_room(&self) -> bool {
        self.feeds.values().map(Feed::bytes_reserved).sum::<usize>() < LINK_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::feed::{CHUNK_BYTES, Prepared, Ticket, WINDOW_CHUNKS};

    const LOGS: usize = 20;
    const LONG: u64 = 1_000_000;

    fn origin(log: usize) -> Origin {
        format!("M{log}/main").parse().unwrap()
    }

    fn many() -> Feeds {
        let mut feeds = Feeds::default();
        (0..LOGS).for_each(|log| feeds.entry(&origin(log)).restart(0));
        feeds
    }

    /// Answers reads with full chunks and syncs their notes until nothing more is read; who read, in order.
    fn settle(feeds: &mut Feeds, mut actions: Vec<Action>) -> Vec<Origin> {
        let mut readers = Vec::new();
        while !actions.is_empty() {
            for action in std::mem::take(&mut actions) {
                let Action::Read { origin, from, .. } = action else {
                    panic!("{action:?}")
                };
                let chunk = icomm_proto::v1::Chunk {
                    from,
                    count: 1000,
                    body: vec![0; CHUNK_BYTES].into(),
                    ..Default::default()
                };
                let (note, ticket) = (bytes::Bytes::new(), Ticket(readers.len() as u64));
                let feed = feeds.get_mut(&origin).unwrap();
                let prepared = Prepared {
                    chunk,
                    note,
                    revision: String::new(),
                    as_of: 0,
                };
                feed.prepared(ticket, Some(prepared)).unwrap();
                feed.noted(ticket, Some(0)).unwrap();
                readers.push(origin.clone());
                feeds.advance(&origin, LONG, &mut actions);
                feeds.advance_line(|_| Some(LONG), &mut actions);
            }
        }
        readers
    }

    fn under_way(feeds: &Feeds) -> usize {
        feeds.feeds.values().map(Feed::bytes_reserved).sum()
    }

    #[test]
    fn many_long_logs_share_the_room_of_the_link() {
        let (mut feeds, mut actions) = (many(), Vec::new());
        (0..LOGS).for_each(|log| feeds.advance(&origin(log), LONG, &mut actions));
        let readers = settle(&mut feeds, actions);
        assert_eq!(readers.len(), 2 * WINDOW_CHUNKS);
        assert_eq!(under_way(&feeds), LINK_BYTES);
    }

    #[test]
    fn receipts_make_room_and_everybody_has_a_turn() {
        let (mut feeds, mut actions) = (many(), Vec::new());
        (0..LOGS).for_each(|log| feeds.advance(&origin(log), LONG, &mut actions));
        let mut turns = settle(&mut feeds, actions);
        let mut at = 0;
        while turns.len() < 10 * LOGS {
            let oldest = turns[at].clone();
            at += 1;
            let sent = turns[..at].iter().filter(|origin| **origin == oldest).count() as u64;
            feeds.get_mut(&oldest).unwrap().received(sent * 1000);
            let mut actions = Vec::new();
            feeds.advance(&oldest, LONG, &mut actions);
            feeds.advance_line(|_| Some(LONG), &mut actions);
            turns.extend(settle(&mut feeds, actions));
            assert!(under_way(&feeds) <= LINK_BYTES);
        }
        let of = |log| turns.iter().filter(|origin| **origin == self::origin(log)).count();
        let (least, most) = ((0..LOGS).map(of).min().unwrap(), (0..LOGS).map(of).max().unwrap());
        assert!(least >= 7 && most <= 13, "{least} to {most} of {} turns", turns.len());
    }

    #[test]
    fn what_is_committed_now_does_not_wait_behind_a_catch_up() {
        let (mut feeds, mut actions) = (many(), Vec::new());
        (0..LOGS - 1).for_each(|log| feeds.advance(&origin(log), LONG, &mut actions));
        settle(&mut feeds, actions);
        let mut actions = Vec::new();
        feeds.advance(&origin(LOGS - 1), 3, &mut actions);
        assert!(
            matches!(actions.as_slice(), [Action::Read { entries: 3, .. }]),
            "{actions:?}"
        );
    }

    #[test]
    fn a_log_that_goes_leaves_its_room_and_its_place() {
        let (mut feeds, mut actions) = (many(), Vec::new());
        (0..LOGS).for_each(|log| feeds.advance(&origin(log), LONG, &mut actions));
        let readers = settle(&mut feeds, actions);
        (0..LOGS)
            .map(origin)
            .filter(|origin| *origin != self::origin(LOGS - 1))
            .for_each(|origin| {
                assert!(feeds.remove(&origin));
            });
        assert!(!readers.contains(&origin(LOGS - 1)));
        let mut actions = Vec::new();
        feeds.advance_line(|_| Some(LONG), &mut actions);
        assert_eq!(settle(&mut feeds, actions), vec![origin(LOGS - 1); WINDOW_CHUNKS]);
        let mut actions = Vec::new();
        feeds.advance_line(|_| None, &mut actions);
        assert!(actions.is_empty());
    }
}
