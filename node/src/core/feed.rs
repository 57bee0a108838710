//! One log on its way to one peer: read, disclose, note, send, wait for the receipt.
//!
//! ```text
//!  acked ≤ sent ≤ next ≤ size of the log
//!          └ window ┘
//! ```
//!
//! At most [`WINDOW_CHUNKS`] chunks, of about [`WINDOW_BYTES`], are prepared or unacknowledged at a time, so a slow peer
//! costs a bounded amount of memory and nothing else. All logs of a link share [`feeds::LINK_BYTES`].
//!
//! A chunk costs a note, two syncs and two signatures however few entries it has. So what is there goes at once, chunk
//! after chunk, but what comes new while a chunk is under way waits for its receipt or for [`GATHER_ENTRIES`].

use std::collections::VecDeque;

use bytes::Bytes;
use icomm_proto::{Origin, v1};

use super::session::Action;

pub mod feeds;
pub mod refill;

use refill::Refill;

/// Chunks that may be prepared or on their way without a receipt.
pub const WINDOW_CHUNKS: usize = 4;

/// Bytes of such chunks from which on no other is prepared.
pub const WINDOW_BYTES: usize = 4 << 20;

/// Bytes of a chunk, about: what a read under way is taken for.
pub const CHUNK_BYTES: usize = WINDOW_BYTES / WINDOW_CHUNKS;

/// New entries that are worth a chunk of their own while another is under way.
pub const GATHER_ENTRIES: u64 = 256;

/// A chunk made under the policy, and the note of what it discloses.
#[derive(Debug)]
pub struct Prepared {
    /// What will be sent.
    pub chunk: v1::Chunk,
    /// What must be durable before.
    pub note: Bytes,
    /// The revision of the policy under which it was made.
    pub revision: String,
    /// The generation of the log in which it was read: if entries are recalled before it goes, it is made anew.
    pub as_of: u64,
}

/// Names one note on its way to the disk; unique within a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticket(pub u64);

/// The state of one log towards one peer.
#[derive(Debug, Default)]
pub struct Feed {
    next: u64,
    // How far the log went when the last read began.
    known: u64,
    reading: bool,
    // A `want` during a read makes the read's answer stale.
    stale: bool,
    // The last read gave nothing although there was something to read. Reading again at once would give the same.
    stuck: bool,
    // Chunks whose notes are being made durable, in order, each with the ticket of its note.
    noting: VecDeque<(Ticket, v1::Chunk, u64)>,
    // Ends of the chunks sent and not yet acknowledged, and how long each is.
    in_flight: VecDeque<(u64, usize)>,
    refill: Refill,
}

impl Feed {
    /// The peer asks from `from` on, at first or again.
    pub fn restart(&mut self, from: u64) {
        self.next = from;
        self.known = from;
        self.stale = self.reading;
        self.stuck = false;
        self.noting.clear();
        self.in_flight.clear();
        self.refill = Refill::default();
    }

    /// Reads on if there is enough to read and room in the window.
    pub fn advance(&mut self, origin: &Origin, size: u64, actions: &mut Vec<Action>) {
        let entries = size.saturating_sub(self.next);
        let enough = match self.noting.len() + self.in_flight.len() {
            0 => entries > 0,
            under_way => {
                under_way < WINDOW_CHUNKS
                    && self.bytes_under_way() < WINDOW_BYTES
                    && (entries >= GATHER_ENTRIES || self.next < self.known)
            }
        };
        if enough && !self.reading && !self.stuck {
            self.reading = true;
            self.known = size;
            actions.push(Action::Read {
                origin: origin.clone(),
                from: self.next,
                entries,
            });
        }
    }

    fn bytes_under_way(&self) -> usize {
        let noting = self.noting.iter().map(|(_, chunk, _)| chunk.body.len());
        noting.chain(self.in_flight.iter().map(|(_, bytes)| *bytes)).sum()
    }

    /// The same, with what is being read.
    fn bytes_reserved(&self) -> usize {
        self.bytes_under_way() + if self.reading { CHUNK_BYTES } else { 0 }
    }

    /// Something changed: what could not be read may be readable now.
    pub fn retry(&mut self) {
        self.stuck = false;
    }

    /// Takes the answer to a read; gives the note that must become durable.
    pub fn prepared(&mut self, ticket: Ticket, prepared: Option<Prepared>) -> Option<Bytes> {
        self.reading = false;
        let stale = std::mem::take(&mut self.stale);
        self.stuck = prepared.is_none() && !stale;
        let Prepared { chunk, note, as_of, .. } = prepared?;
        if stale || chunk.from != self.next {
            return None;
        }
        self.next = chunk.from + u64::from(chunk.count);
        self.noting.push_back((ticket, chunk, as_of));
        Some(note)
    }

    /// A note is durable: gives its chunk to send, or nothing if a new want made it stale, or if it was read in another
    /// generation of the log than this one; then it is read again. Notes become durable in order.
    pub fn noted(&mut self, ticket: Ticket, generation: Option<u64>) -> Option<v1::Chunk> {
        let (_, chunk, as_of) = self.noting.pop_front_if(|(waiting, ..)| *waiting == ticket)?;
        if generation != Some(as_of) {
            self.next = chunk.from;
            self.noting.clear();
            self.stale = self.reading;
            return None;
        }
        self.in_flight
            .push_back((chunk.from + u64::from(chunk.count), chunk.body.len()));
        Some(chunk)
    }

    /// The peer holds the log durably up to `size`.
    pub fn received(&mut self, size: u64) {
        while self.in_flight.front().is_some_and(|(end, _)| *end <= size) {
            self.in_flight.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(from: u64, count: u32) -> Option<Prepared> {
        Some(Prepared {
            chunk: v1::Chunk {
                from,
                count,
                ..Default::default()
            },
            note: Bytes::from_static(b"note"),
            revision: String::new(),
            as_of: 0,
        })
    }

    fn reads(feed: &mut Feed, size: u64) -> Vec<u64> {
        let mut actions = Vec::new();
        feed.advance(&"KE/main".parse().unwrap(), size, &mut actions);
        actions
            .iter()
            .map(|action| {
                if let Action::Read { from, .. } = action {
                    *from
                } else {
                    panic!()
                }
            })
            .collect()
    }

    #[test]
    fn the_window_bounds_what_is_under_way_and_a_receipt_opens_it() {
        let mut feed = Feed::default();
        feed.restart(0);
        for k in 0..WINDOW_CHUNKS as u64 {
            assert_eq!(reads(&mut feed, 1000), vec![k * 10]);
            assert_eq!(reads(&mut feed, 1000), Vec::<u64>::new(), "one read at a time");
            assert!(feed.prepared(Ticket(k), chunk(k * 10, 10)).is_some());
            assert_eq!(feed.noted(Ticket(k), Some(0)).unwrap().from, k * 10);
        }
        assert_eq!(reads(&mut feed, 1000), Vec::<u64>::new());
        feed.received(10);
        assert_eq!(reads(&mut feed, 1000), vec![40]);
    }

    #[test]
    fn the_window_is_bounded_in_bytes_too() {
        let mut feed = Feed::default();
        feed.restart(0);
        let long = |from| {
            let mut prepared = chunk(from, 10);
            prepared.as_mut().unwrap().chunk.body = vec![0; WINDOW_BYTES / 2].into();
            prepared
        };
        for k in 0..2 {
            assert_eq!(reads(&mut feed, 1000), vec![k * 10]);
            assert!(feed.prepared(Ticket(k), long(k * 10)).is_some());
        }
        assert_eq!(
            reads(&mut feed, 1000),
            Vec::<u64>::new(),
            "two that wait for their notes"
        );
        feed.noted(Ticket(0), Some(0)).unwrap();
        feed.noted(Ticket(1), Some(0)).unwrap();
        assert_eq!(reads(&mut feed, 1000), Vec::<u64>::new(), "two on their way");
        feed.received(10);
        assert_eq!(reads(&mut feed, 1000), vec![20]);
    }

    #[test]
    fn while_a_chunk_is_under_way_little_waits_and_much_goes() {
        let mut feed = Feed::default();
        feed.restart(0);
        assert_eq!(reads(&mut feed, 1), vec![0], "the first goes at once");
        feed.prepared(Ticket(1), chunk(0, 1)).unwrap();
        assert_eq!(reads(&mut feed, 2), Vec::<u64>::new(), "while its note is written");
        feed.noted(Ticket(1), Some(0)).unwrap();
        let little = GATHER_ENTRIES;
        assert_eq!(reads(&mut feed, little), Vec::<u64>::new(), "while it is on its way");
        assert_eq!(reads(&mut feed, little + 1), vec![1], "unless it is worth it");
        feed.prepared(Ticket(2), chunk(1, 9)).unwrap();
        feed.noted(Ticket(2), Some(0)).unwrap();
        assert_eq!(reads(&mut feed, 300), vec![10], "the read did not come to the end");
        feed.prepared(Ticket(3), chunk(10, 290)).unwrap();
        feed.noted(Ticket(3), Some(0)).unwrap();
        feed.received(10);
        assert_eq!(reads(&mut feed, 301), Vec::<u64>::new());
        feed.received(300);
        assert_eq!(reads(&mut feed, 301), vec![300], "what gathered goes with the receipt");
    }

    #[test]
    fn a_new_want_makes_the_running_read_stale() {
        let mut feed = Feed::default();
        feed.restart(0);
        reads(&mut feed, 100);
        feed.restart(50);
        assert!(feed.prepared(Ticket(1), chunk(0, 10)).is_none());
        assert_eq!(reads(&mut feed, 100), vec![50]);
    }

    #[test]
    fn a_stale_note_releases_no_other_chunk() {
        let mut feed = Feed::default();
        feed.restart(0);
        reads(&mut feed, 100);
        feed.prepared(Ticket(1), chunk(0, 10)).unwrap();
        feed.restart(0);
        reads(&mut feed, 100);
        feed.prepared(Ticket(2), chunk(0, 10)).unwrap();
        assert!(
            feed.noted(Ticket(1), Some(0)).is_none(),
            "the first note does not stand for the second chunk"
        );
        assert!(feed.noted(Ticket(2), Some(0)).is_some());
    }

    #[test]
    fn nothing_is_read_at_the_end_of_the_log() {
        let mut feed = Feed::default();
        feed.restart(100);
        assert_eq!(reads(&mut feed, 100), Vec::<u64>::new());
        assert_eq!(reads(&mut feed, 101), vec![100]);
    }

    #[test]
    fn what_was_read_before_a_recall_is_read_again_after_it() {
        let mut feed = Feed::default();
        feed.restart(0);
        reads(&mut feed, 900);
        feed.prepared(Ticket(1), chunk(0, 300)).unwrap();
        assert_eq!(reads(&mut feed, 900), vec![300]);
        feed.prepared(Ticket(2), chunk(300, 300)).unwrap();
        assert_eq!(reads(&mut feed, 900), vec![600]);
        assert!(feed.noted(Ticket(1), Some(1)).is_none(), "of an older generation");
        assert!(feed.noted(Ticket(2), Some(1)).is_none());
        assert!(feed.prepared(Ticket(3), chunk(600, 300)).is_none(), "this one too");
        assert_eq!(reads(&mut feed, 900), vec![0]);
        let prepared = chunk(0, 300).map(|prepared| Prepared { as_of: 1, ..prepared });
        feed.prepared(Ticket(4), prepared).unwrap();
        assert!(feed.noted(Ticket(4), Some(1)).is_some());
        assert!(feed.noted(Ticket(5), None).is_none(), "while entries are erased");
    }
}
