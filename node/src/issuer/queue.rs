//! What waits to be issued, and how much of what was issued is on its way to the disk.
//!
//! A commit costs a signature and a sync however few records it has. So little waits for the commit that is under way,
//! and goes together with what comes meanwhile; much goes at once, so that the disk has work while it is signed.
//!
//! Little that finds nothing under way is issued by its caller: waking the issuing thread would take as long as signing.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashSet;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{COMMIT_BYTES_MAX, IssueError, Placed};
use crate::core::own::Sealed;
use crate::core::recall::Reason;
use crate::store::IntakeKey;

/// Records gathered into one commit at most.
const COMMIT_RECORDS_MAX: usize = 4096;
/// Commits on their way to the disk at once.
const COMMITS_MAX: usize = 4;
/// Records that are worth a commit of their own while another is under way.
const GATHER_RECORDS: usize = 64;
/// What a caller issues by itself at most: more would hold up what shares its thread.
const LITTLE_RECORDS_MAX: usize = 16;
const LITTLE_BYTES_MAX: usize = 64 << 10;

/// Records that belong together, and who waits for them.
pub(super) struct Request {
    pub(super) records: Vec<Sealed>,
    pub(super) bytes: usize,
    /// Why the one record, an AMEND or a RECALL, voids what stands before it.
    pub(super) voids: Option<Reason>,
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
    bytes: usize,
    under_way: usize,
    // Whether somebody waits until nothing is under way.
    idle_awaited: bool,
    // Keys in commits that are under way. Hashed without a secret: they are at most a few commits' worth, and only this
    // member's own programs choose them.
    keys: FxHashSet<IntakeKey>,
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

    /// Whether issuing what waits takes a moment and waits for nothing.
    fn is_little(&self) -> bool {
        let little = self.records <= LITTLE_RECORDS_MAX && self.bytes <= LITTLE_BYTES_MAX;
        little && self.under_way == 0 && !self.failed
    }

    fn gather(&mut self) -> Vec<Request> {
        let (mut records, mut bytes) = (0, 0);
        let mut gathered = Vec::new();
        // What voids others is a commit by itself: its proof is the frontier before it then.
        let fits = |next: &mut Request, bytes, first| {
            bytes + next.bytes <= COMMIT_BYTES_MAX && (next.voids.is_none() || first)
        };
        while records < COMMIT_RECORDS_MAX
            && let Some(next) = self.waiting.pop_front_if(|next| fits(next, bytes, gathered.is_empty()))
        {
            records += next.records.len();
            bytes += next.bytes;
            let alone = next.voids.is_some();
            gathered.push(next);
            if alone {
                break;
            }
        }
        self.records -= records;
        self.bytes -= bytes;
        gathered
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

    /// Adds a request. True if the caller may issue it by itself; the issuing thread is not woken then.
    pub(super) fn push(&self, request: Request) -> bool {
        let mut state = self.state();
        state.records += request.records.len();
        state.bytes += request.bytes;
        state.waiting.push_back(request);
        let little = state.is_little();
        if !little && state.is_worth_a_commit() {
            self.changed.notify_all();
        }
        little
    }

    /// Wakes the issuing thread.
    pub(super) fn wake(&self) {
        self.changed.notify_all();
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Waits until there is enough for a commit; false when the queue is closed and empty.
    pub(super) fn wait(&self) -> bool {
        let waiting = |state: &mut State| !(state.is_worth_a_commit() || state.closed && state.waiting.is_empty());
        !self.wait_while(waiting).waiting.is_empty()
    }

    /// What goes into the next commit, if it is worth one.
    pub(super) fn gather(&self) -> Option<Vec<Request>> {
        let mut state = self.state();
        state.is_worth_a_commit().then(|| state.gather())
    }

    /// The same if it takes a moment.
    pub(super) fn gather_little(&self) -> Option<Vec<Request>> {
        let mut state = self.state();
        (state.is_little() && !state.waiting.is_empty()).then(|| state.gather())
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
        // Waking a thread that finds nothing to do costs as much as waking one that does.
        let awaited = state.is_worth_a_commit() || state.closed || state.idle_awaited && state.under_way == 0;
        drop(state);
        if awaited {
            self.changed.notify_all();
        }
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
        let waiting = |state: &mut State| {
            state.idle_awaited = state.under_way > 0;
            state.idle_awaited
        };
        drop(self.wait_while(waiting));
    }
}
