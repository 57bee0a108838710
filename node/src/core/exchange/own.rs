//! The member's own log against what others hold of it. A node that was put back to an older state would sign a second
//! history; it must find out before it signs anything.
//!
//! ```text
//!  start ─▶ asking ── everybody who may hold it has shown less or the same, or time is up ──▶ sure
//!             │                                                                                │
//!             │  restored from a backup · the mark beside the keys says more · a peer shows more of it
//!             ▼                                                                                ▼
//!          recovering ◀────────────────────────────────────────────────────────────────────────┘
//!             asks every peer for what it holds from there on, as for any log: verified, merged, stored
//!             └── all that was shown is here, everybody who may hold it was heard ──▶ sure
//! ```
//!
//! Right after the hellos each side says what it holds of the other member's logs ([`v1::Held`]): the other's own signed
//! checkpoints. INVARIANT: nothing is signed while a checkpoint of this log is known that covers more than is held. What
//! remains possible: everybody who holds more can't be reached when the node starts, and it is older than even its mark.
//!
//! While it recovers the log is not served: what was recalled since is not yet known here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use icomm_pki::MemberId;
use icomm_proto::log::{Hash, VerifiedCheckpoint};
use icomm_proto::{Origin, v1};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Exchange, Link, lock};
use crate::causes::chain;
use crate::core::replica::History;
use crate::core::routes::LinkId;
use crate::core::session::Event;
use crate::store::{Batch, StoreError};

mod holders;
mod recalls;
mod rows;
mod status;

use holders::Holder;
use rows::Rows;
pub use status::{Missing, MissingPage, OwnStatus, Recovered};

/// How long the first append after a start waits for those who may hold more of the log.
const ASK_SECONDS_MAX: u64 = 10;
/// The same where nobody is known to hold any of it: somebody may be linked who does.
const ASK_ANYBODY_SECONDS_MAX: u64 = 3;
/// Under which a restored store says that it is one, until its node has recovered.
pub const RESTORED_KEY: &str = "recovery/restored";
/// Under which it is kept that the log is being recovered.
const RECOVERY_KEY: &str = "recovery/own";
/// Before the index from which on a log was recovered once.
const RECOVERED_PREFIX: &str = "recovery/recovered/";

/// Why it is not believed that the log is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Why {
    /// The store was put in place from a backup.
    Restored {
        /// The backup's id.
        backup: String,
        /// When it was taken, in seconds since 1970.
        taken: u64,
    },
    /// The mark beside the node's keys says that more was signed.
    Marked {
        /// So many entries.
        signed: u64,
    },
    /// A peer holds more of it.
    Shown {
        /// Who.
        by: String,
        /// So many entries.
        signed: u64,
    },
    /// Somebody holds this node's signature over other entries than are here.
    Contradicted {
        /// Who.
        by: String,
        /// Over so many.
        signed: u64,
    },
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Restored { .. } => f.write_str("it was restored from a backup"),
            Self::Marked { signed } => write!(f, "the mark beside its keys says that it signed {signed} entries"),
            Self::Shown { by, signed } => write!(f, "`{by}` holds its own signature over {signed} entries"),
            Self::Contradicted { by, signed } => {
                write!(
                    f,
                    "`{by}` holds its own signature over {signed} entries of which at least one is another"
                )
            }
        }
    }
}

/// Why nothing may be appended to the own log now.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotCleared {
    /// For some seconds after the start.
    #[error("partners are being asked how much of this node's own log they hold; try again in some seconds")]
    Asking,
    /// Until what others hold is here.
    #[error(
        "this node was put back to an older state: {0}; nothing is issued until its own log is recovered from its partners: \
         `icomm restore status` says what is missing and who was not heard"
    )]
    Recovering(Why),
    /// Nothing helps but a better backup.
    #[error(
        "the own log goes on otherwise than it was signed before: {0}; restore the latest backup into a new folder, let it \
         recover, and issue again there what is missing"
    )]
    Contradicted(Why),
}

/// Why recovery was not declared to be over.
#[derive(Debug, Error)]
pub enum FinishError {
    /// There is none.
    #[error("nothing is being recovered")]
    Nothing,
    /// Going on would sign a second history for sure.
    #[error("`{by}` holds this node's signature over {signed} entries and {held} are here; let it recover them first")]
    Behind {
        /// Who.
        by: String,
        /// So many.
        signed: u64,
        /// So many are here.
        held: u64,
    },
    /// The same.
    #[error(transparent)]
    Contradicted(#[from] NotCleared),
    /// Somebody may hold more.
    #[error("not everybody who may hold more was heard ({0}); `--accept-missing` goes on without")]
    Unheard(String),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The own log, watched.
#[derive(Default)]
pub(super) struct Own {
    // Read for every commit and every chunk of the log that goes out.
    held_up: AtomicBool,
    // The issuer has to look anew at what is held.
    recovered: AtomicBool,
    // Entries came back once, whose rows nobody knows by their keys.
    has_recovered: AtomicBool,
    // Read when first needed.
    rows: Mutex<Option<Rows>>,
    state: Mutex<Option<State>>,
}

struct State {
    origin: Origin,
    phase: Phase,
    /// When it was opened.
    since: u64,
    /// What members have shown since then, in entries.
    heard: BTreeMap<MemberId, u64>,
    links: BTreeMap<LinkId, u64>,
    /// The same by node.
    holders: BTreeMap<Holder, u64>,
}

#[derive(Clone)]
enum Phase {
    Asking,
    Sure,
    Recovering(Recovery),
}

/// What is known of what is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Recovery {
    why: Why,
    /// Since when, in seconds since 1970.
    since: u64,
    /// How much there was of the log when it began.
    base: u64,
    /// So much was signed for sure.
    signed: u64,
    /// Who showed the largest checkpoint, if anybody did.
    by: Option<String>,
}

impl Recovery {
    fn is_hopeless(&self) -> bool {
        matches!(self.why, Why::Contradicted { .. })
    }
}

impl Own {
    fn has_recovered(&self) -> bool {
        self.has_recovered.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        lock(&self.state)
    }

    pub(super) fn closed(&self, link: LinkId) {
        if let Some(state) = &mut *self.lock() {
            state.links.remove(&link);
        }
    }

    /// Whether this is the own log.
    pub(super) fn is(&self, origin: &Origin) -> bool {
        self.lock().as_ref().is_some_and(|state| state.origin == *origin)
    }

    /// Whether this is the own log, and it is being recovered.
    pub(super) fn is_recovering(&self, origin: &Origin) -> bool {
        self.held_up.load(Ordering::Acquire)
            && self.lock().as_ref().is_some_and(|state| {
                state.origin == *origin
                    && matches!(&state.phase, Phase::Recovering(recovery) if !recovery.is_hopeless())
            })
    }

    /// Whether this log is not to be served now.
    pub(super) fn withholds(&self, origin: &Origin) -> bool {
        self.held_up.load(Ordering::Acquire)
            && self
                .lock()
                .as_ref()
                .is_some_and(|state| state.origin == *origin && matches!(state.phase, Phase::Recovering(_)))
    }
}

impl Exchange {
    /// From now on `origin` is this node's own log, and nothing is appended before it is sure that it is whole. `found`: all
    /// that speaks against that at the start.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn guard(&self, origin: Origin, found: Vec<Why>) -> Result<(), StoreError> {
        let kept = self.store.state(RECOVERY_KEY)?;
        let kept: Option<Recovery> = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        *self.own.lock() = Some(State {
            origin,
            phase: kept.map_or(Phase::Asking, Phase::Recovering),
            since: self.now(),
            heard: BTreeMap::new(),
            links: BTreeMap::new(),
            holders: BTreeMap::new(),
        });
        let asking = matches!(self.own.lock().as_ref().map(|state| &state.phase), Some(Phase::Asking));
        // Who keeps the ledger may hold more of it, too.
        self.ledger.wait(asking);
        let once = !self.store.scan_state(RECOVERED_PREFIX)?.is_empty();
        self.own.has_recovered.store(once, Ordering::Release);
        self.own.held_up.store(true, Ordering::Release);
        found.into_iter().for_each(|why| self.suspect(why));
        Ok(())
    }

    /// Whether an entry may be appended to the own log now.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn may_append(&self) -> Result<(), NotCleared> {
        if !self.own.held_up.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.own.lock().as_ref().map(|state| &state.phase) {
            None | Some(Phase::Sure) => Ok(()),
            Some(Phase::Asking) => Err(NotCleared::Asking),
            Some(Phase::Recovering(recovery)) if recovery.is_hopeless() => {
                Err(NotCleared::Contradicted(recovery.why.clone()))
            }
            Some(Phase::Recovering(recovery)) => Err(NotCleared::Recovering(recovery.why.clone())),
        }
    }

    /// Whether the own log was recovered since this was asked last: who appends to it looks anew at what is held.
    pub fn take_recovered(&self) -> bool {
        self.own.recovered.load(Ordering::Relaxed) && self.own.recovered.swap(false, Ordering::AcqRel)
    }

    /// What is held here of the logs of a peer's member.
    pub(super) fn held_of(&self, member: &MemberId) -> v1::Held {
        let heads = self
            .heads
            .all()
            .into_iter()
            .filter(|(origin, _)| origin.member == *member);
        let logs = heads.map(|(origin, head)| v1::Head {
            origin: origin.to_string(),
            checkpoint: head.checkpoint,
        });
        v1::Held { logs: logs.collect() }
    }

    /// A peer says what it holds of this member's logs.
    pub(super) fn held_there(&self, link: &Link, held: &v1::Held) {
        let member = &link.peer.member;
        let Some(origin) = self.own.lock().as_ref().map(|state| state.origin.clone()) else {
            return;
        };
        let of_own = held.logs.iter().find(|head| head.origin == origin.to_string());
        let shown = match of_own
            .map(|head| self.signed(&origin, head.checkpoint.clone()))
            .transpose()
        {
            Ok(shown) => shown,
            Err(fault) => {
                tracing::warn!(peer = %member, %fault, "what a peer holds of this node's log is none of it");
                return;
            }
        };
        if let Err(error) = self.compare_own(&origin, member, shown.as_ref()) {
            tracing::error!(peer = %member, %error, "what a peer holds of the own log can't be compared");
            return;
        }
        let size = shown.map_or(0, |shown| shown.size());
        if let Some(state) = &mut *self.own.lock() {
            state.links.insert(link.id, size);
            let known = state.heard.entry(member.clone()).or_default();
            *known = size.max(*known);
            state
                .holders
                .insert((member.to_string(), link.peer.node.to_string()), size);
        }
        self.note_holders();
        self.ask_back(link.id);
        self.settle_own();
    }

    /// Compares a checkpoint that this node signed once with what is here.
    fn compare_own(
        &self,
        origin: &Origin,
        by: &MemberId,
        shown: Option<&VerifiedCheckpoint>,
    ) -> Result<(), StoreError> {
        let Some(shown) = shown else { return Ok(()) };
        let (by, signed) = (by.to_string(), shown.size());
        match History::of(&*self.store, origin, signed)? {
            Some(ours) if ours.root == *shown.root() => {}
            Some(_) => self.suspect(Why::Contradicted { by, signed }),
            None => self.suspect(Why::Shown { by, signed }),
        }
        Ok(())
    }

    /// Something says that more was signed than is here. What is worse replaces what was known.
    pub(super) fn suspect(&self, why: Why) {
        let mut own = self.own.lock();
        let Some(state) = &mut *own else { return };
        let held = self.heads.size(&state.origin).unwrap_or(0);
        let mut recovery = match &state.phase {
            Phase::Recovering(recovery) => recovery.clone(),
            Phase::Asking | Phase::Sure => Recovery {
                why: why.clone(),
                since: self.now(),
                base: held,
                signed: held,
                by: None,
            },
        };
        match &why {
            Why::Marked { signed } => recovery.signed = recovery.signed.max(*signed),
            Why::Shown { by, signed } if *signed > recovery.signed || recovery.by.is_none() => {
                recovery.signed = recovery.signed.max(*signed);
                recovery.by = Some(by.clone());
            }
            Why::Contradicted { .. } => recovery.why = why.clone(),
            Why::Shown { .. } | Why::Restored { .. } => {}
        }
        if matches!(&state.phase, Phase::Recovering(known) if *known == recovery) {
            return;
        }
        tracing::error!(origin = %state.origin, held, %why, "the own log is not whole: nothing is issued until it is recovered");
        let kept = serde_json::to_vec(&recovery).unwrap_or_default();
        let origin = state.origin.clone();
        let is_first_sign = !matches!(state.phase, Phase::Recovering(_));
        state.phase = Phase::Recovering(recovery);
        let links: Vec<LinkId> = state.links.keys().copied().collect();
        drop(own);
        self.own.held_up.store(true, Ordering::Release);
        if is_first_sign {
            self.forget_holders();
            // Disclosures that were noted since are lost as well.
            if let Err(error) = self.begin_ledger(&why.to_string()) {
                tracing::error!(error = chain(&error), "the disclosure log does not begin anew");
            }
            self.ledger.wait(false);
        }
        metrics::gauge!("icomm_own_log_recovering").set(1.0);
        self.store.ride(Batch::new().set(RECOVERY_KEY, kept));
        if let Some(replica) = lock(&self.replicas).get(&origin) {
            // It may be from an earlier recovery.
            replica.stale.store(true, Ordering::Release);
        }
        self.mailbox.changed();
        links.into_iter().for_each(|link| self.ask_back(link));
    }

    /// Asks a peer for what it holds of the own log beyond what was here.
    fn ask_back(&self, link: LinkId) {
        let ask = {
            let own = self.own.lock();
            let Some(state) = &*own else { return };
            match (&state.phase, state.links.get(&link)) {
                (Phase::Recovering(recovery), Some(size)) if !recovery.is_hopeless() && *size > recovery.base => {
                    Some((state.origin.clone(), recovery.base))
                }
                _ => None,
            }
        };
        if let Some((origin, from)) = ask {
            let under = v1::Revisions {
                settled: true,
                ..v1::Revisions::default()
            };
            let start = true;
            let event = Event::Ask {
                origin,
                from,
                under,
                start,
            };
            self.mailbox.post(link, event);
        }
    }

    /// Whether the time has come to go on. Once a second, and whenever somebody was heard.
    pub fn settle_own(&self) {
        if !self.own.held_up.load(Ordering::Acquire) {
            return;
        }
        let Some((origin, phase, since, heard)) = self.own.lock().as_ref().map(|state| {
            let (phase, heard) = (state.phase.clone(), state.heard.clone());
            (state.origin.clone(), phase, state.since, heard)
        }) else {
            return;
        };
        let unheard: BTreeSet<MemberId> = match self.may_hold(&origin) {
            Ok(members) => members
                .into_iter()
                .filter(|member| !heard.contains_key(member))
                .collect(),
            Err(error) => {
                tracing::error!(%error, "it can't be read who may hold the own log");
                return;
            }
        };
        match phase {
            Phase::Sure => {}
            Phase::Asking => {
                let patience = match unheard.is_empty() {
                    true => ASK_ANYBODY_SECONDS_MAX,
                    false => ASK_SECONDS_MAX,
                };
                let all = unheard.is_empty() && !heard.is_empty();
                let waited = self.now().saturating_sub(since) >= patience;
                if !all && !waited {
                    return;
                }
                if !all && !unheard.is_empty() {
                    let names = unheard.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                    tracing::warn!(%origin, unheard = names, "not everybody who may hold the own log could be asked");
                    metrics::counter!("icomm_own_log_unconfirmed_total").increment(1);
                }
                if let Some(state) = &mut *self.own.lock()
                    && matches!(state.phase, Phase::Asking)
                {
                    state.phase = Phase::Sure;
                    self.own.held_up.store(false, Ordering::Release);
                    self.ledger.wait(false);
                }
            }
            Phase::Recovering(recovery) => {
                let held = self.heads.size(&origin).unwrap_or(0);
                let delivered = |(member, size): (&MemberId, &u64)| {
                    *size <= recovery.base || self.stored_cursor(&origin, member) >= *size
                };
                let waited = self.now().saturating_sub(since) >= ASK_ANYBODY_SECONDS_MAX;
                let whole = !recovery.is_hopeless() && held >= recovery.signed && unheard.is_empty();
                if whole && heard.iter().all(delivered) && (waited || !heard.is_empty()) {
                    self.end_recovery(&recovery);
                }
            }
        }
    }

    /// Everybody who was given any of the own log or may be given some now.
    fn may_hold(&self, origin: &Origin) -> Result<BTreeSet<MemberId>, StoreError> {
        let prefix = format!("receipt/{origin}/");
        let receipts = self.store.scan_state(&prefix)?;
        let signed = receipts
            .iter()
            .filter_map(|(key, _)| key.strip_prefix(&prefix)?.parse().ok());
        let mut members: BTreeSet<MemberId> = signed.collect();
        let (bundle, now) = (self.law.bundle(), self.now());
        for entry in bundle.members() {
            if self
                .law
                .towards(&entry.id, entry.role)
                .basis(&origin.member, now)
                .is_ok()
            {
                members.insert(entry.id.clone());
            }
        }
        members.remove(&self.local.member);
        // Who left the network can't be heard.
        members.retain(|member| bundle.member(member).is_some());
        Ok(members)
    }

    fn end_recovery(&self, recovery: &Recovery) {
        let Some(origin) = self.own.lock().as_ref().map(|state| state.origin.clone()) else {
            return;
        };
        let held = self.heads.size(&origin).unwrap_or(0);
        let recovered = Recovered {
            from: recovery.base,
            to: held,
            since: recovery.since,
            until: self.now(),
            why: recovery.why.clone(),
        };
        let batch = Batch::new().forget(RECOVERY_KEY).forget(RESTORED_KEY).set(
            format!("{RECOVERED_PREFIX}{:020}", recovery.base),
            serde_json::to_vec(&recovered).unwrap_or_default(),
        );
        if let Err(error) = self.store.append(batch) {
            tracing::error!(%error, "the end of the recovery can't be kept");
            return;
        }
        self.own.recovered.store(true, Ordering::Release);
        *lock(&self.own.rows) = None;
        self.own.has_recovered.store(true, Ordering::Release);
        let links = match &mut *self.own.lock() {
            Some(state) => {
                state.phase = Phase::Sure;
                state.links.keys().copied().collect()
            }
            None => Vec::new(),
        };
        self.own.held_up.store(false, Ordering::Release);
        metrics::gauge!("icomm_own_log_recovering").set(0.0);
        tracing::info!(%origin, from = recovery.base, to = held, "the own log is recovered; records are issued again");
        for link in links {
            let (origin, from, under, start) = (origin.clone(), 0, v1::Revisions::default(), false);
            let event = Event::Ask {
                origin,
                from,
                under,
                start,
            };
            self.mailbox.post(link, event);
        }
        self.mailbox.changed();
    }

    /// An officer declares that nothing more will come.
    ///
    /// # Errors
    /// Going on would sign a second history, or somebody was not heard and that was not accepted.
    pub fn finish_recovery(&self, accept_missing: bool) -> Result<OwnStatus, FinishError> {
        let phase = self.own.lock().as_ref().map(|state| state.phase.clone());
        let Some(Phase::Recovering(recovery)) = phase else {
            return Err(FinishError::Nothing);
        };
        if recovery.is_hopeless() {
            return Err(NotCleared::Contradicted(recovery.why).into());
        }
        let status = self.own_status()?;
        if let Some((by, signed)) = status.shown.clone().filter(|(_, signed)| *signed > status.held) {
            let held = status.held;
            return Err(FinishError::Behind { by, signed, held });
        }
        if !accept_missing && (!status.unheard.is_empty() || status.held < status.signed) {
            return Err(FinishError::Unheard(status.unheard.join(", ")));
        }
        self.end_recovery(&recovery);
        Ok(self.own_status()?)
    }

    /// What the member's own log was at a size, by the mark beside the keys.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn judge_mark(&self, origin: &Origin, signed: u64, root: Hash) -> Result<Option<Why>, StoreError> {
        let why = match History::of(&*self.store, origin, signed)? {
            Some(history) if history.root == root => None,
            Some(_) => Some(Why::Contradicted {
                by: "the mark beside its keys".to_owned(),
                signed,
            }),
            None => Some(Why::Marked { signed }),
        };
        Ok(why)
    }
}

#[cfg(test)]
mod tests;
