//! Logs of others as they come in over links: offered, compared, accepted or refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use icomm_pki::{MemberId, MemberKeys, Role};
use icomm_proto::log::VerifiedCheckpoint;
use icomm_proto::{Origin, v1};

use super::held::StoreHeld;
use super::refilling::Progress;
use super::{Exchange, Head, HeldReplica, MEMBER_LOGS_MAX, ORIGINS_MAX, Why, cursor_key, lock};
use crate::core::photo::Fetching;
use crate::core::replica::{Admission, ChunkFault, History, Replica};
use crate::core::routes::LinkId;
use crate::core::session::{Event, Peer};
use crate::store::{Batch, Placement};

impl Exchange {
    pub(super) fn accept(&self, link: LinkId, peer: &Peer, chunk: v1::Chunk) {
        let Ok(origin) = chunk.origin.parse::<Origin>() else {
            return;
        };
        let end = chunk.from.saturating_add(u64::from(chunk.count));
        let cursor = Batch::new().set(cursor_key(&origin, &peer.member), end.to_be_bytes().to_vec());
        if let Err(fault) = self.try_accept(link, peer, &origin, chunk, cursor, Progress::Cursor) {
            if let ChunkFault::Entries(_) = fault {
                // Its checkpoint was the originator's: either the peer spoilt the entries, or they are of another history.
                self.doubt(link, &origin, end);
            }
            self.fault(link, peer, origin, &fault);
        }
    }

    /// Verifies a chunk and stores it together with `state`, which says how far the peer has come.
    pub(super) fn try_accept(
        &self,
        link: LinkId,
        peer: &Peer,
        origin: &Origin,
        chunk: v1::Chunk,
        state: Batch,
        progress: Progress,
    ) -> Result<(), ChunkFault> {
        let replica = self.replica(origin)?;
        let admission = if self.local.role == Role::Global {
            Admission::OpenOnly
        } else {
            Admission::AnySection
        };
        let (count, chunk_end) = (chunk.count, chunk.from.saturating_add(u64::from(chunk.count)));
        let keys = self.keys_of(origin)?;
        let mut machine = lock(&replica.machine);
        machine.trust(keys);
        if replica.stale.swap(false, Ordering::AcqRel) {
            machine.resume(self.store.head(origin)?);
        }
        let held = StoreHeld {
            store: &*self.store,
            widening: replica.widening.load(Ordering::Acquire) > 0,
            // INVARIANT: looked up under the log's lock, which a recall takes too: what it voids is not stored after it.
            voided: self.voids.of(origin),
            // Likewise, for what expires.
            expired: self.retaining.expired(origin),
        };
        let keep = chunk.keep;
        let accepted = machine.accept(chunk, admission, &held)?;
        if accepted.chunks.is_empty()
            && matches!(progress, Progress::Cursor)
            && self.stored_cursor(origin, &peer.member) >= chunk_end
            && let Some(Head { size, root, .. }) = self.head(origin)
        {
            // A replay: all of it is durable, and nothing is written for it.
            let origin = origin.clone();
            self.mailbox.post(link, Event::Stored { origin, size, root });
            return Ok(());
        }
        let head = accepted.chunks.iter().find_map(|chunk| match &chunk.placement {
            Placement::Extends { frontier, checkpoint } => Some(Head {
                size: frontier.size(),
                root: frontier.root(),
                checkpoint: checkpoint.clone(),
            }),
            Placement::Overlays { .. } => None,
        });
        let widens = accepted
            .chunks
            .iter()
            .any(|chunk| matches!(chunk.placement, Placement::Overlays { .. }));
        let state = Fetching::remember(state, origin, &accepted.pictured);
        let mut batch = self.came(&peer.member, origin, keep.as_ref(), &accepted, state)?;
        let pictured = accepted.pictured;
        for chunk in accepted.chunks {
            batch = batch.chunk(chunk);
        }
        let (mailbox, heads, stale) = (self.mailbox.clone(), self.heads.clone(), replica.stale.clone());
        let (widening, fetching) = (replica.widening.clone(), self.fetching.clone());
        widening.fetch_add(u64::from(widens), Ordering::AcqRel);
        let (origin, member) = (origin.clone(), peer.member.clone());
        let (size, root) = (accepted.size, accepted.root);
        let widened: Vec<u64> = accepted.widened.iter().map(|(index, _)| *index).collect();
        // Submitted under the lock, so that batches of one log reach the store in the log's order.
        self.store.submit(
            batch,
            Box::new(move |result| {
                widening.fetch_sub(u64::from(widens), Ordering::AcqRel);
                match result {
                    Ok(()) => {
                        metrics::counter!("icomm_received_entries_total", "peer" => member.to_string())
                            .increment(count.into());
                        if let Some(head) = head {
                            heads.raise(&origin, head);
                        }
                        if !widened.is_empty() {
                            mailbox.widened(&origin, widened);
                        }
                        if !pictured.is_empty() {
                            // Read when a session's turn comes: here nothing may wait for the store.
                            let mut fetching = lock(&fetching);
                            fetching.add(origin.clone(), pictured.first().copied().unwrap_or(0), &pictured);
                            for idle in fetching.idle() {
                                mailbox.post(idle, Event::Lacking);
                            }
                        }
                        mailbox.post(
                            link,
                            match progress {
                                Progress::Cursor => Event::Stored { origin, size, root },
                                Progress::Refill(refilled) => Event::Refilled(refilled),
                            },
                        );
                    }
                    Err(error) => {
                        stale.store(true, Ordering::Release);
                        tracing::error!(%origin, peer = %member, %error, "a verified chunk could not be stored");
                        mailbox.post(link, Event::cant_store());
                    }
                }
            }),
        );
        Ok(())
    }

    pub(super) fn fault(&self, link: LinkId, peer: &Peer, origin: Origin, fault: &ChunkFault) {
        self.found(&peer.member, &origin, fault);
        self.mailbox.post(
            link,
            Event::Faulty {
                origin,
                code: fault.code(),
                message: fault.to_string(),
            },
        );
    }

    /// Counts and logs what a member showed of a log that can't be; a fork freezes the log.
    pub fn found(&self, member: &MemberId, origin: &Origin, fault: &ChunkFault) {
        let code = fault.code();
        tracing::warn!(%origin, peer = %member, code, %fault, "refused");
        metrics::counter!("icomm_refused_chunks_total", "peer" => member.to_string(), "code" => code).increment(1);
        if let ChunkFault::Fork { size, .. } = fault
            && origin.member == self.local.member
        {
            let by = member.to_string();
            self.suspect(Why::Contradicted { by, signed: *size });
        }
        if let ChunkFault::Fork { ours, theirs, .. } = fault {
            self.convict(origin, ours, theirs, None);
        }
    }

    pub(super) fn replica(&self, origin: &Origin) -> Result<Arc<HeldReplica>, ChunkFault> {
        let mut replicas = lock(&self.replicas);
        if let Some(replica) = replicas.get(origin) {
            return Ok(replica.clone());
        }
        let keys = self.keys_of(origin)?;
        if !self.has_room(origin, &replicas) {
            return Err(ChunkFault::TooManyLogs);
        }
        let mut machine = Replica::new(origin.clone(), origin.line(&self.law.trust_domain()), keys);
        machine.resume(self.store.head(origin)?);
        if self.forks.has(origin) {
            machine.freeze();
        }
        let replica = Arc::new(HeldReplica {
            machine: Mutex::new(machine),
            stale: Arc::default(),
            widening: Arc::default(),
        });
        replicas.insert(origin.clone(), replica.clone());
        Ok(replica)
    }

    /// Whether a log is held or may be.
    fn has_room(&self, origin: &Origin, replicas: &BTreeMap<Origin, Arc<HeldReplica>>) -> bool {
        let heads = self.heads.origins();
        let held: BTreeSet<&Origin> = heads.iter().chain(replicas.keys()).collect();
        let of_member = held.iter().filter(|held| held.member == origin.member);
        held.contains(origin) || (held.len() < ORIGINS_MAX && of_member.count() < MEMBER_LOGS_MAX)
    }

    pub(super) fn offered(&self, link: LinkId, peer: &Peer, origin: Origin, checkpoint: Bytes) {
        if let Err(fault) = self.witness(&peer.member, &origin, checkpoint) {
            return self.fault(link, peer, origin, &fault);
        }
        if origin.member == self.local.member {
            return;
        }
        if let Err(fault) = self.replica(&origin) {
            return self.fault(link, peer, origin, &fault);
        }
        let from_originator = origin.member == peer.member;
        lock(&self.fetching).offered(link, &origin);
        let asks = lock(&self.routes).offered(link, origin, from_originator);
        self.ask(asks);
        self.fetch(link);
    }

    /// Compares a checkpoint that `by` shows with what is held: two roots for one size are a fork. What is ahead of what is
    /// held is compared once that has grown. Nothing is remembered of a log for a checkpoint that its member did not sign.
    ///
    /// # Errors
    /// The checkpoint does not count, or the log is forked, by this very checkpoint or since before.
    pub fn witness(&self, by: &MemberId, origin: &Origin, checkpoint: Bytes) -> Result<(), ChunkFault> {
        if self.forks.has(origin) {
            return Err(ChunkFault::Frozen);
        }
        let shown = self.signed(origin, checkpoint)?;
        match History::of(&*self.store, origin, shown.size())? {
            Some(ours) => ours.agrees(&shown),
            None => {
                if let Some(held) = self.heads.size(origin) {
                    self.sightings.remember(origin, by, shown, held);
                }
                Ok(())
            }
        }
    }

    /// A checkpoint, if the member of its log signed it.
    pub(super) fn signed(&self, origin: &Origin, checkpoint: Bytes) -> Result<VerifiedCheckpoint, ChunkFault> {
        let keys = self.keys_of(origin)?;
        let line = origin.line(&self.law.trust_domain());
        Ok(VerifiedCheckpoint::verify_by(checkpoint, &line, &keys)?)
    }

    /// The keys that sign a log.
    pub(super) fn keys_of(&self, origin: &Origin) -> Result<Arc<MemberKeys>, ChunkFault> {
        let keys = self.law.member_keys(&origin.member);
        keys.ok_or_else(|| ChunkFault::UnknownMember(origin.member.clone()))
    }
}
