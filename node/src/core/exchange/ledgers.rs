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
//! INVARIANT: what is kept of a ledger only grows, by notes that are appended.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use icomm_pki::{MemberId, Role};
use icomm_proto::log::{Frontier, Hash, InvalidCheckpoint, SignedNote, VerifiedCheckpoint};
use icomm_proto::v1;
use thiserror::Error;

use super::{Exchange, Link, lock};
use crate::causes::chain;
use crate::core::ledger::{Disagreement, GROWTH_NOTES_MAX, line};
use crate::core::routes::LinkId;
use crate::core::session::{Event, Peer, Testimony};
use crate::store::{Batch, StoreError};

/// A ledger's growth is handed out this often at most, so that a keeper learns little about when something left.
pub const HAND_OUT_SECONDS: u64 = 15;
/// Before the name of the node whose ledger is kept: a frontier's length, the frontier, the checkpoint.
const KEPT: &str = "ledger/kept/";
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

#[derive(Clone, Default)]
struct Kept {
    frontier: Frontier,
    checkpoint: Bytes,
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
    /// What is kept can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Ledgers {
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
                let mut keepers = lock(&self.ledgers.keepers);
                let keeper = keepers.entry(link.id).or_insert_with(|| Keeper {
                    name,
                    size,
                    sent: None,
                    at: now.saturating_sub(HAND_OUT_SECONDS),
                });
                (keeper.size, keeper.sent) = (size, None);
                drop(keepers);
                self.hand_out(false);
            }
            Err(Disagreement::Foreign(error)) => {
                tracing::warn!(peer = name, %error, "what a peer keeps of this node's ledger is none of it");
            }
            Err(Disagreement::Ledger(error)) => {
                metrics::counter!("icomm_ledger_faults_total").increment(1);
                tracing::error!(peer = name, error = chain(&error), "the disclosure log does not hold");
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

    /// Who keeps this node's ledger, of those that are linked.
    pub fn holders(&self) -> Vec<Holder> {
        let keepers = lock(&self.ledgers.keepers);
        let holders = keepers.values().map(|keeper| Holder {
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
            Ok(next) => {
                let (mailbox, id, checkpoint) = (self.mailbox.clone(), link.id, next.checkpoint.clone());
                let batch = Batch::new().set(format!("{KEPT}{name}"), next.encode());
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
            InvalidGrowth::Contradicts { .. } => {
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

    /// What is kept of a peer's ledger, grown.
    fn next(
        &self,
        peer: &Peer,
        all: &mut BTreeMap<String, Kept>,
        growth: &v1::LedgerGrowth,
    ) -> Result<Kept, InvalidGrowth> {
        let v1::LedgerGrowth {
            leaf_hashes,
            checkpoint,
        } = growth;
        let (hashes, rest) = leaf_hashes.as_chunks::<{ Hash::LEN }>();
        if !rest.is_empty() || hashes.len() as u64 > GROWTH_NOTES_MAX {
            return Err(InvalidGrowth::Hashes(leaf_hashes.len()));
        }
        let line = line(&self.law.trust_domain(), &peer.member, &peer.node);
        let Some(keys) = self.law.member_keys(&peer.member) else {
            return Err(InvalidGrowth::UnknownMember(peer.member.clone()));
        };
        let checkpoint = VerifiedCheckpoint::verify_by(checkpoint.clone(), &line, &keys)?;
        let kept = self.kept_of(all, &name(peer))?;
        let (mut frontier, signed) = (kept.frontier.clone(), checkpoint.size());
        let (kept, from) = (frontier.size(), signed.checked_sub(hashes.len() as u64));
        if from == Some(kept) {
            frontier.extend(hashes.iter().map(|hash| Hash::from(*hash)));
        } else if signed != kept {
            let from = from.unwrap_or_default();
            return Err(InvalidGrowth::OutOfStep { from, signed, kept });
        }
        if frontier.root() != *checkpoint.root() {
            return Err(InvalidGrowth::Contradicts { signed, kept });
        }
        Ok(Kept {
            frontier,
            checkpoint: checkpoint.note().clone(),
        })
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

impl Kept {
    fn encode(&self) -> Vec<u8> {
        let frontier = self.frontier.to_bytes();
        // A frontier has at most 8 + 48 × 32 bytes.
        let len = u16::try_from(frontier.len()).unwrap_or(u16::MAX);
        [&len.to_be_bytes(), frontier.as_slice(), &self.checkpoint].concat()
    }

    fn decode(bytes: &Bytes) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk::<2>()?;
        let (frontier, _) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
        Some(Self {
            frontier: Frontier::from_bytes(frontier).ok()?,
            checkpoint: bytes.slice(2 + frontier.len()..),
        })
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
