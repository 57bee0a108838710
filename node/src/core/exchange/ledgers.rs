//! Ledgers across links: hubs and the root keep the head of every node's ledger, and give it back when a link comes up, so
//! that a ledger that was cut together with its checkpoints, or signed anew, is noticed.
//!
//! ```text
//!   keeper ─ kept(checkpoint) ─▶ owner        after the hellos: is it one of mine? are the notes still those?
//!   keeper ◀─ growth(hashes, checkpoint) ─ owner         the frontier that is kept, and these hashes: the signed root?
//!   keeper ─ kept(checkpoint) ─▶ owner        durable
//! ```
//!
//! A keeper learns how many chunks and files a node discloses, about when; not what, nor to whom.
//!
//! A ledger that began anew, because its node was put back to an older state, is kept from its first note on; what was kept
//! before stays, and how much of both is the same is found out ([`Former`]).
//!
//! INVARIANT: what is kept of an epoch of a ledger only grows, by notes that are appended, and no epoch follows one that
//! followed it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use icomm_pki::{MemberId, Role};
use icomm_proto::log::{Hash, InvalidCheckpoint, SignedNote};
use icomm_proto::v1;
use thiserror::Error;

use super::keeping::{FORMER_MAX, Former, Kept};
use super::{Exchange, Link, lock};
use crate::causes::chain;
use crate::core::ledger::{BeginError, Disagreement, GROWTH_NOTES_MAX, InvalidLedger, Line};
use crate::core::routes::LinkId;
use crate::core::session::{Event, Peer, Testimony};
use crate::store::{Batch, StoreError};

/// A ledger's growth is handed out this often at most, so that a keeper learns little about when something left.
pub const HAND_OUT_SECONDS: u64 = 15;
/// Before the name of the node whose ledger is kept: a frontier's length, the frontier, the checkpoint.
const KEPT: &str = "ledger/kept/";
/// Before the name of a node whose ledger began anew: what was kept of it before.
const FORMER: &str = "ledger/former/";
/// Before the name of a node whose ledger contradicted itself: the checkpoint that was kept, then the other.
const CONFLICT: &str = "ledger/conflict/";

/// What links know of ledgers.
#[derive(Default)]
pub(super) struct Ledgers {
    /// Of others' ledgers, by node; read from the store when first needed.
    kept: Mutex<BTreeMap<String, Kept>>,
    /// Who keeps this node's.
    keepers: Mutex<BTreeMap<LinkId, Keeper>>,
}

struct Keeper {
    name: String,
    /// Notes that it keeps for sure.
    size: u64,
    /// What was handed out and not answered yet.
    sent: Option<Bytes>,
    /// When.
    at: u64,
}

/// A node that keeps this node's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// `RILO-ESA/gw1`
    pub name: String,
    /// So many notes of it.
    pub size: u64,
}

/// Two checkpoints that one node signed and that can't both be of one ledger, or that it could not reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// `KE/gw1`
    pub name: String,
    /// Both signed notes, the one that is kept first.
    pub checkpoints: String,
}

/// Why growth of a peer's ledger is not taken. The peer's fault, but for the store.
#[derive(Debug, Error)]
enum InvalidGrowth {
    /// Not its signature, or not its ledger.
    #[error(transparent)]
    Checkpoint(#[from] InvalidCheckpoint),
    /// Not a number of hashes, or too many.
    #[error("{0} bytes are not up to {GROWTH_NOTES_MAX} hashes")]
    Hashes(usize),
    /// The hashes are not those that follow: it speaks of another state than is kept, on two links at once say.
    #[error("its growth from {from} to {signed} notes does not follow on the {kept} that are kept here")]
    OutOfStep {
        /// From so many notes,
        from: u64,
        /// to so many.
        signed: u64,
        /// So many are kept.
        kept: u64,
    },
    /// It left the network.
    #[error("`{0}` is not a member in the trust bundle")]
    UnknownMember(MemberId),
    /// What it signed does not go on from what it signed before.
    #[error("its checkpoint over {signed} notes does not go on from the one over {kept} that is kept here")]
    Contradicts {
        /// Over so many notes.
        signed: u64,
        /// So many are kept.
        kept: u64,
    },
    /// It goes back to an epoch that was over, or began anew too often.
    #[error("it began its disclosure log anew, or went back to what it was before, too often to be believed")]
    Epochs,
    /// What is kept can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Ledgers {
    /// A peer keeps so much of the epoch that goes on.
    fn keeps(&self, link: LinkId, name: String, size: u64, now: u64) {
        let mut keepers = lock(&self.keepers);
        let keeper = keepers.entry(link).or_insert_with(|| Keeper {
            name,
            size,
            sent: None,
            at: now.saturating_sub(HAND_OUT_SECONDS),
        });
        (keeper.size, keeper.sent) = (size, None);
    }

    pub(super) fn closed(&self, link: LinkId) {
        lock(&self.keepers).remove(&link);
    }
}

impl Exchange {
    /// What is kept here of a peer's ledger; none where none is kept.
    pub(super) fn ledger_kept(&self, peer: &Peer) -> Option<v1::LedgerKept> {
        if !keeps(self.local.role) {
            return None;
        }
        let mut all = lock(&self.ledgers.kept);
        let kept = self.kept_of(&mut all, &name(peer)).ok()?;
        Some(v1::LedgerKept {
            checkpoint: kept.checkpoint.clone(),
        })
    }

    /// A peer says what it keeps of this node's ledger.
    pub(super) fn kept(&self, link: &Link, checkpoint: Bytes) {
        let (name, now) = (name(&link.peer), self.now());
        if !keeps(link.peer.role) {
            return;
        }
        let expected = match lock(&self.ledgers.keepers).get(&link.id) {
            None => true,
            // Without an answer to give it has nothing to say: each word costs a signature and a look into the past.
            Some(keeper) => match &keeper.sent {
                None => return,
                Some(sent) => *sent != checkpoint,
            },
        };
        let size = match checkpoint.is_empty() {
            true => Ok(0),
            false if expected => self.ledger.compare_with(&name, checkpoint),
            // What was handed out just now.
            false => SignedNote::parse(&checkpoint)
                .map_err(InvalidCheckpoint::from)
                .and_then(|note| icomm_proto::log::Checkpoint::parse(note.text()))
                .map(|checkpoint| checkpoint.size)
                .map_err(Disagreement::from),
        };
        match size {
            Ok(size) => {
                if size > 0 {
                    self.ledger.heard(&name);
                }
                self.ledgers.keeps(link.id, name, size, now);
                self.hand_out(false);
            }
            Err(Disagreement::Foreign(error)) => {
                tracing::warn!(peer = name, %error, "what a peer keeps of this node's ledger is none of it");
            }
            Err(Disagreement::Ledger(error)) => {
                metrics::counter!("icomm_ledger_faults_total").increment(1);
                tracing::error!(peer = name, error = chain(&error), "the disclosure log does not hold");
                // Should it begin anew, this one is to hear of it.
                self.ledgers.keeps(link.id, name, 0, now);
            }
        }
    }

    /// Hands what grew of this node's ledger to those who keep it: when the time has come, or they are far behind, or at
    /// once. Blocks on the disk.
    pub fn hand_out(&self, at_once: bool) {
        let (now, size) = (self.now(), self.ledger.head().size);
        for (link, keeper) in &mut *lock(&self.ledgers.keepers) {
            let behind = size.saturating_sub(keeper.size);
            let due = at_once || behind > GROWTH_NOTES_MAX || now.abs_diff(keeper.at) >= HAND_OUT_SECONDS;
            if behind == 0 || keeper.sent.is_some() || !due {
                continue;
            }
            match self.ledger.growth(keeper.size) {
                Ok(Some(growth)) => {
                    (keeper.sent, keeper.at) = (Some(growth.checkpoint.clone()), now);
                    self.mailbox
                        .post(*link, Event::Testify(Testimony::LedgerGrowth(growth)));
                }
                Ok(None) => {}
                Err(error) => tracing::error!(error = chain(&error), "the ledger's growth can't be read"),
            }
        }
    }

    /// Begins this node's ledger anew; those who keep it get all of it again. Blocks on the disk.
    ///
    /// # Errors
    /// What is here contradicts itself, it began anew too often, or the store fails.
    pub(super) fn begin_ledger(&self, reason: &str) -> Result<(), InvalidLedger> {
        let mut random = [0; 4];
        self.environment.entropy.fill(&mut random);
        self.ledger.begin(reason, self.now(), random)?;
        metrics::counter!("icomm_ledger_epochs_total").increment(1);
        tracing::warn!(line = self.ledger.line(), reason, "the disclosure log begins anew");
        for keeper in lock(&self.ledgers.keepers).values_mut() {
            (keeper.size, keeper.sent) = (0, None);
        }
        Ok(())
    }

    /// An officer says that this node was put back to an older state, which nothing else told it. Blocks on the disk.
    ///
    /// # Errors
    /// Nobody holds more of the ledger than is here, or it can't begin anew.
    pub fn accept_lost_notes(&self, reason: &str) -> Result<(), BeginError> {
        match self.ledger.fault() {
            Some(fault) if fault.is_told_by_others() => Ok(self.begin_ledger(reason)?),
            Some(fault) => Err(fault.into()),
            None => Err(BeginError::NotNeeded),
        }
    }

    /// The ledgers of others, kept here, that began anew, each with what was kept of it before.
    ///
    /// # Errors
    /// The store fails.
    pub fn began_anew(&self) -> Result<Vec<(String, Vec<Former>)>, StoreError> {
        let found = self.store.scan_state(FORMER)?.into_iter();
        let found = found.map(|(key, value)| {
            let name = key.strip_prefix(FORMER).unwrap_or(&key).to_owned();
            (name, serde_json::from_slice(&value).unwrap_or_default())
        });
        Ok(found.collect())
    }

    /// Who keeps this node's ledger, of those that are linked.
    pub fn holders(&self) -> Vec<Holder> {
        let keepers = lock(&self.ledgers.keepers);
        let holders = keepers.values().filter(|keeper| keeper.size > 0).map(|keeper| Holder {
            name: keeper.name.clone(),
            size: keeper.size,
        });
        holders.collect()
    }

    /// The ledgers of others that contradicted themselves.
    ///
    /// # Errors
    /// The store fails.
    pub fn conflicts(&self) -> Result<Vec<Conflict>, StoreError> {
        let found = self.store.scan_state(CONFLICT)?.into_iter();
        let conflicts = found.map(|(key, value)| Conflict {
            name: key.strip_prefix(CONFLICT).unwrap_or(&key).to_owned(),
            checkpoints: String::from_utf8_lossy(&value).into_owned(),
        });
        Ok(conflicts.collect())
    }

    /// A peer's ledger grew: keeps its new head if that goes on from the one that is kept.
    pub(super) fn keep(&self, link: &Link, growth: &v1::LedgerGrowth) {
        if !keeps(self.local.role) {
            return;
        }
        let name = name(&link.peer);
        // Held until the store has it in its queue, so that two links of one node don't put it back.
        let mut all = lock(&self.ledgers.kept);
        let next = self.next(&link.peer, &mut all, growth);
        match next {
            Ok((next, former)) => {
                let (mailbox, id, checkpoint) = (self.mailbox.clone(), link.id, next.checkpoint.clone());
                let mut batch = Batch::new().set(format!("{KEPT}{name}"), next.encode());
                if let Some(former) = former {
                    let former = serde_json::to_vec(&former).unwrap_or_default();
                    batch = batch.set(format!("{FORMER}{name}"), former);
                }
                all.insert(name, next);
                let answer = move |result: Result<(), StoreError>| match result {
                    Ok(()) => mailbox.post(id, said(checkpoint)),
                    // It will be offered again on the next link.
                    Err(error) => tracing::error!(%error, "the head of a ledger can't be kept"),
                };
                self.store.submit(batch, Box::new(answer));
            }
            Err(error) => {
                let kept = all.get(&name).cloned().unwrap_or_default().checkpoint;
                self.refuse_growth(link, &name, &error, kept, &growth.checkpoint);
            }
        }
    }

    fn refuse_growth(&self, link: &Link, name: &str, error: &InvalidGrowth, kept: Bytes, other: &Bytes) {
        match error {
            InvalidGrowth::Store(error) => tracing::error!(%error, "what is kept of a ledger can't be read"),
            InvalidGrowth::OutOfStep { .. } => {
                tracing::debug!(peer = name, %error, "the growth of a ledger is not taken");
                self.mailbox.post(link.id, said(kept));
            }
            InvalidGrowth::Contradicts { .. } | InvalidGrowth::Epochs => {
                metrics::counter!("icomm_refused_ledgers_total", "peer" => name.to_owned()).increment(1);
                tracing::error!(peer = name, %error, "the growth of a ledger was refused");
                self.keep_conflict(name, &kept, other);
                // It hears of what it contradicts.
                self.mailbox.post(link.id, said(kept));
            }
            InvalidGrowth::Checkpoint(_) | InvalidGrowth::Hashes(_) | InvalidGrowth::UnknownMember(_) => {
                let (code, message) = ("invalid-ledger", chain(error));
                self.mailbox.post(link.id, Event::Stop { code, message });
            }
        }
    }

    /// What is kept of a peer's ledger, grown; and what was kept before it began anew, where that changed.
    fn next(
        &self,
        peer: &Peer,
        all: &mut BTreeMap<String, Kept>,
        growth: &v1::LedgerGrowth,
    ) -> Result<(Kept, Option<Vec<Former>>), InvalidGrowth> {
        let v1::LedgerGrowth {
            leaf_hashes,
            checkpoint,
        } = growth;
        let (hashes, rest) = leaf_hashes.as_chunks::<{ Hash::LEN }>();
        if !rest.is_empty() || hashes.len() as u64 > GROWTH_NOTES_MAX {
            return Err(InvalidGrowth::Hashes(leaf_hashes.len()));
        }
        let line = Line::new(&self.law.trust_domain(), &peer.member, &peer.node);
        let Some(keys) = self.law.member_keys(&peer.member) else {
            return Err(InvalidGrowth::UnknownMember(peer.member.clone()));
        };
        let (epoch, checkpoint) = line.verify(checkpoint.clone(), &keys)?;
        let name = name(peer);
        let mut next = self.kept_of(all, &name)?.clone();
        let mut former = self.former_of(&name)?;
        let mut changed = false;
        if !next.checkpoint.is_empty() && line.epoch_of(&next.checkpoint) != epoch {
            if former.len() >= FORMER_MAX || former.iter().any(|former| former.epoch == epoch) {
                return Err(InvalidGrowth::Epochs);
            }
            former.push(Former::of(next, &line, self.now()));
            (next, changed) = (Kept::default(), true);
        }
        let (kept, signed) = (next.frontier.size(), checkpoint.size());
        let from = signed.checked_sub(hashes.len() as u64);
        if from == Some(kept) {
            for hash in hashes {
                next.frontier.push(Hash::from(*hash));
                changed |= former.last_mut().is_some_and(|former| former.compare(&next.frontier));
            }
        } else if signed != kept {
            let from = from.unwrap_or_default();
            return Err(InvalidGrowth::OutOfStep { from, signed, kept });
        }
        if next.frontier.root() != *checkpoint.root() {
            return Err(InvalidGrowth::Contradicts { signed, kept });
        }
        next.signed(checkpoint.note().clone());
        Ok((next, changed.then_some(former)))
    }

    fn former_of(&self, name: &str) -> Result<Vec<Former>, StoreError> {
        let kept = self.store.state(&format!("{FORMER}{name}"))?;
        let former = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(former.unwrap_or_default())
    }

    fn kept_of<'a>(&self, all: &'a mut BTreeMap<String, Kept>, name: &str) -> Result<&'a Kept, StoreError> {
        if !all.contains_key(name) {
            let stored = self.store.state(&format!("{KEPT}{name}"))?;
            let kept = stored.and_then(|bytes| Kept::decode(&bytes)).unwrap_or_default();
            all.insert(name.to_owned(), kept);
        }
        Ok(all.entry(name.to_owned()).or_default())
    }

    fn keep_conflict(&self, name: &str, kept: &Bytes, other: &Bytes) {
        let key = format!("{CONFLICT}{name}");
        // The first is proof enough.
        if matches!(self.store.state(&key), Ok(None)) {
            let both = [kept.as_ref(), b"\n", other.as_ref()].concat();
            self.store.ride(Batch::new().set(key, both));
        }
    }
}

fn said(checkpoint: Bytes) -> Event {
    Event::Testify(Testimony::LedgerKept(v1::LedgerKept { checkpoint }))
}

/// Who keeps ledgers of others: offices and the root. They are linked with many, and no party to what is disclosed.
fn keeps(role: Role) -> bool {
    matches!(role, Role::Regional | Role::Global)
}

fn name(peer: &Peer) -> String {
    format!("{}/{}", peer.member, peer.node)
}
