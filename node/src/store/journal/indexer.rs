//! The index follows the journal on a thread of its own, many changes at a time: sled wakes its own threads for every
//! batch, which would cost more than the commits that it follows.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use super::{
    catalog::{Catalog, Change},
    index::Index,
};

/// Changes gathered before the index takes them in.
const CHANGES_MAX: usize = 1024;
/// Such gatherings waiting for the index. Then the journal waits too, so that memory stays bounded.
const QUEUE_MAX: usize = 4;

/// Hands changes to the index.
pub(crate) struct Indexer {
    gathered: Vec<Change>,
    queue: SyncSender<Vec<Change>>,
    thread: JoinHandle<Index>,
}

impl Indexer {
    /// Starts the thread; None where the system gives none, and the index is then made anew at the next opening.
    pub(crate) fn start(index: Index) -> Option<Self> {
        let (queue, changes) = sync_channel(QUEUE_MAX);
        let thread = thread::Builder::new()
            .name("index".to_owned())
            .spawn(move || follow(index, &changes));
        Some(Self {
            gathered: Vec::with_capacity(CHANGES_MAX),
            queue,
            thread: thread.ok()?,
        })
    }

    /// Notes what was appended.
    pub(crate) fn add(&mut self, changes: impl IntoIterator<Item = Change>) {
        self.gathered.extend(changes);
        if self.gathered.len() >= CHANGES_MAX {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let changes = std::mem::replace(&mut self.gathered, Vec::with_capacity(CHANGES_MAX));
        // Fails only when the thread is gone; without the mark of a clean close the index then counts for nothing.
        drop(self.queue.send(changes));
    }

    /// Waits until the index has taken in everything, and leaves the mark of a clean close.
    pub(crate) fn close(mut self, catalog: &Catalog, sequence: u64) {
        self.hand_over();
        drop(self.queue);
        if let Ok(index) = self.thread.join() {
            index.close(catalog, sequence);
        }
    }
}

fn follow(mut index: Index, changes: &Receiver<Vec<Change>>) -> Index {
    while let Ok(changes) = changes.recv() {
        index.apply(&changes);
    }
    index
}
