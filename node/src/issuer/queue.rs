//! What waits to be issued, and how much of what was issued is on its way to the disk.
//!
//! A commit costs a signature and a sync however few records it has. So little waits for the commit that is under way,
//! and goes together with what comes meanwhile; much goes at once, so that the disk has work while it is signed.

use std::collections::{HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{COMMIT_BYTES_MAX, IssueError, Placed};
use crate::core::own::Sealed;
use crate::store::IntakeKey;

/// Records gathered into one commit at most.
const COMMIT_RECORDS_MAX: usize = 4096;
/// Commits on their way to the disk at once.
const COMMITS_MAX: usize = 4;
/// Records that are worth a commit of their own while another is under way.
const GATHER_RECORDS: usize = 64;

/// Records that belong together, and who waits for them.
pub(super) struct Request {
    pub(super) records: Vec<Sealed>,
    pub(super) bytes: usize,
    pub(super) reply: oneshot::Sender<Result<Vec<Placed>, IssueError>>,
    // Held until it is answered, also when its caller went away.
    pub(super) _room: OwnedSemaphorePermit,
}

/// Between callers, the issuing thread, and the store's.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    records: usize,
    under_way: usize,
    // Keys in commits that are under way.
    keys: HashSet<IntakeKey>,
    failed: bool,
    closed: bool,
}

impl State {
    fn is_worth_a_commit(&self) -> bool {
        match self.under_way {
            0 => !self.waiting.is_empty(),
            under_way => !self.failed && under_way < COMMITS_MAX && self.records >= GATHER_RECORDS,
        }
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, busy: impl FnMut(&mut State) -> bool) -> MutexGuard<'_, State> {
        self.changed
            .wait_while(self.state(), busy)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request.
    pub(super) fn push(&self, request: Request) {
        let mut state = self.state();
        state.records += request.records.len();
        state.waiting.push_back(request);
        if state.is_worth_a_commit() {
            self.changed.notify_all();
        }
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Waits until there is enough for a commit; none when the queue is closed and empty.
    pub(super) fn gather(&self) -> Option<Vec<Request>> {
        let mut state =
            self.wait_while(|state| !(state.is_worth_a_commit() || state.closed && state.waiting.is_empty()));
        let (mut records, mut bytes) = (0, 0);
        let mut gathered = Vec::new();
        while records < COMMIT_RECORDS_MAX
            && let Some(next) = state
                .waiting
                .pop_front_if(|next| bytes + next.bytes <= COMMIT_BYTES_MAX)
        {
            records += next.records.len();
            bytes += next.bytes;
            gathered.push(next);
        }
        state.records -= records;
        (!gathered.is_empty()).then_some(gathered)
    }

    /// Whether a key is in a commit that is under way: then nobody knows yet whether it is issued.
    pub(super) fn is_under_way(&self, requests: &[Request]) -> bool {
        let state = self.state();
        let mut keys = requests
            .iter()
            .flat_map(|request| &request.records)
            .filter_map(|record| record.key);
        !state.keys.is_empty() && keys.any(|key| state.keys.contains(&key))
    }

    /// A commit with these keys goes to the disk.
    pub(super) fn begin(&self, keys: &[IntakeKey]) {
        let mut state = self.state();
        state.under_way += 1;
        state.keys.extend(keys);
    }

    /// It is durable, or never will be.
    pub(super) fn end(&self, keys: &[IntakeKey], failed: bool) {
        let mut state = self.state();
        state.under_way -= 1;
        state.failed |= failed;
        for key in keys {
            state.keys.remove(key);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// What was appended in memory is not what the store will hold.
    pub(super) fn fail(&self) {
        self.state().failed = true;
    }

    /// Whether a commit failed since [`mended`](Self::mended).
    pub(super) fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// The log is again what the store holds.
    pub(super) fn mended(&self) {
        self.state().failed = false;
    }

    /// Waits until no commit is under way.
    pub(super) fn wait_until_idle(&self) {
        drop(self.wait_while(|state| state.under_way > 0));
    }
}
