//! Entries of before that come again, or go again, because the terms allow more of them: see [`crate::core::feed::refill`].
//!
//! ```text
//!   ke-ug@2/;8f5c…+3         the policy's revision, and how often this node itself was given more of the log
//! ```
//!
//! A hub that is given more of a log may have more to pass on of what it passed on before, under terms of its own that did
//! not change. So the revision that it names ends on a count of the refills that it took in.

use std::collections::BTreeMap;

use bytes::Bytes;
use icomm_pki::MemberId;
use icomm_policy::REVISION_BYTES_MAX;
use icomm_proto::{Origin, v1};
use prost::Message;

use super::{Exchange, Link, LinkId, lock};
use crate::core::callback::Stretches;
use crate::core::delivery::{self, refill::Look};
use crate::core::feed::{Ticket, refill::Looked};
use crate::core::replica::ChunkFault;
use crate::core::session::{Event, Peer};
use crate::store::{Batch, Store, StoreError};

/// How far a peer has brought a log.
pub(super) enum Progress {
    /// New entries: the cursor moves behind them.
    Cursor,
    /// A refill: the cursor stays.
    Refill(v1::Refilled),
}

/// How often each log was refilled here; none of those that never were.
pub(super) struct Refills(BTreeMap<Origin, u64>);

const REFILLS_PREFIX: &str = "refills/";

impl Refills {
    /// As the store has them.
    pub(super) fn open(store: &dyn Store) -> Result<Self, StoreError> {
        let kept = store.scan_state(REFILLS_PREFIX)?.into_iter();
        let count = |(key, bytes): (String, Bytes)| {
            let origin = key.strip_prefix(REFILLS_PREFIX)?.parse().ok()?;
            Some((origin, u64::from_be_bytes(bytes.as_ref().try_into().ok()?)))
        };
        Ok(Self(kept.filter_map(count).collect()))
    }

    /// Counts one more; gives what to store.
    fn raise(&mut self, origin: &Origin) -> (String, Vec<u8>) {
        let count = self.0.entry(origin.clone()).or_default();
        *count += 1;
        (format!("{REFILLS_PREFIX}{origin}"), count.to_be_bytes().to_vec())
    }
}

fn revisions_key(origin: &Origin, via: &MemberId) -> String {
    format!("revisions/{origin}/{via}")
}

impl Exchange {
    /// Looks on in a log for what `link`'s peer may have more of than it was given under `before`.
    pub(super) fn look(&self, link: &Link, origin: Origin, ticket: Ticket, (from, until): (u64, u64), before: &str) {
        let as_of = self.generation_for(&origin, &link.peer);
        let Some(as_of) = as_of.filter(|_| !self.is_called(&link.peer.member, &origin)) else {
            let looked = None;
            return self.mailbox.post(link.id, Event::Looked { origin, ticket, looked });
        };
        let looked = self.try_look(link, &origin, (from, until), before);
        let mut looked = looked.unwrap_or_else(|error| {
            tracing::error!(%origin, from, peer = %link.peer.member, %error, "can't look for what is wider now");
            None
        });
        if let Some(looked) = &mut looked {
            self.count_in(&origin, &mut looked.revision);
            if let Some(prepared) = &mut looked.prepared {
                prepared.as_of = as_of;
            }
        }
        self.mailbox.post(link.id, Event::Looked { origin, ticket, looked });
    }

    fn try_look(
        &self,
        link: &Link,
        origin: &Origin,
        (from, until): (u64, u64),
        before: &str,
    ) -> Result<Option<Looked>, delivery::DeliveryError> {
        let mut policy = lock(&link.policy);
        let mut kept = lock(&link.earlier);
        let generation = self.generation(origin);
        if kept
            .as_ref()
            .is_none_or(|kept| !kept.is_of(origin, before) || kept.generation != generation)
        {
            let mut counted = String::new();
            self.count_in(origin, &mut counted);
            // Another count: nobody knows what this node itself had then.
            let revision = before.strip_suffix(&counted).and_then(|revision| revision.parse().ok());
            let earlier =
                revision.map(|revision| self.law.policy().earlier(&origin.member, policy.receiver(), &revision));
            *kept = Some(KeptEarlier {
                generation,
                called_back: self.called_back_from(&link.peer.member, origin)?,
                origin: origin.clone(),
                before: before.to_owned(),
                earlier: earlier.unwrap_or_else(|| icomm_policy::Earlier::unknown(origin.member.clone())),
            });
        }
        let Some(KeptEarlier {
            earlier, called_back, ..
        }) = kept.as_mut()
        else {
            return Ok(None);
        };
        let now = self.now();
        let look = Look {
            called_back,
            origin,
            from,
            until,
            now,
        };
        delivery::refill::look(&*self.store, &mut policy, earlier, &link.peer, &look)
    }

    /// Takes a refill: the chunk, if there is one, like any other, and with it how far the peer has come.
    pub(super) fn refill(&self, link: LinkId, peer: &Peer, refill: v1::Refill) {
        let Ok(origin) = refill.origin.parse::<Origin>() else {
            return;
        };
        if let Err(fault) = self.try_refill(link, peer, &origin, refill) {
            self.fault(link, peer, origin, &fault);
        }
    }

    fn try_refill(&self, link: LinkId, peer: &Peer, origin: &Origin, refill: v1::Refill) -> Result<(), ChunkFault> {
        let v1::Refill {
            origin: name,
            revision,
            through,
            complete,
            chunk,
        } = refill;
        if revision.len() > REVISION_BYTES_MAX {
            return Err(ChunkFault::Refill("its revision is longer than one can be"));
        }
        let before = self.revisions(origin, &peer.member);
        let refilled = complete && !before.refilling.is_empty();
        let kept = match complete {
            true => v1::Revisions {
                revision: revision.clone(),
                ..v1::Revisions::default()
            },
            false => v1::Revisions {
                refilling: revision.clone(),
                refilled: through,
                ..before
            },
        };
        let mut state = Batch::new().set(revisions_key(origin, &peer.member), kept.encode_to_vec());
        if refilled {
            let (key, count) = lock(&self.refills).raise(origin);
            state = state.set(key, count);
        }
        let Some(chunk) = chunk else {
            // Should it be lost, the peer looks again.
            self.store.ride(state);
            if refilled {
                self.mailbox.changed();
            }
            return Ok(());
        };
        if chunk.origin != name || chunk.from.checked_add(u64::from(chunk.count)) != Some(through) {
            return Err(ChunkFault::Refill("its chunk does not end where it says"));
        }
        let refilled = v1::Refilled {
            origin: name,
            revision,
            through,
        };
        self.try_accept(link, peer, origin, chunk, state, Progress::Refill(refilled))
    }

    /// Completes the name of a revision.
    pub(super) fn count_in(&self, origin: &Origin, revision: &mut String) {
        if let Some(count) = lock(&self.refills).0.get(origin) {
            revision.push('+');
            revision.push_str(&count.to_string());
        }
    }

    /// Under which revisions of its policy a peer has sent a log.
    pub(super) fn revisions(&self, origin: &Origin, via: &MemberId) -> v1::Revisions {
        let kept = self.store.state(&revisions_key(origin, via)).ok().flatten();
        kept.and_then(|bytes: Bytes| v1::Revisions::decode(bytes).ok())
            .unwrap_or_default()
    }
}

/// What a peer was given under an earlier revision, kept from look to look.
pub(super) struct KeptEarlier {
    generation: Option<u64>,
    called_back: Stretches,
    origin: Origin,
    before: String,
    earlier: icomm_policy::Earlier,
}

impl KeptEarlier {
    fn is_of(&self, origin: &Origin, before: &str) -> bool {
        self.origin == *origin && self.before == before
    }
}
