//! One link as its session sees the node.

use std::sync::Mutex;

use bytes::Bytes;
use icomm_policy::SessionPolicy;
use icomm_proto::log::{Checkpoint, Hash, SignedNote};
use icomm_proto::{Origin, v1};

use super::refilling::KeptEarlier;
use super::{Exchange, lock};
use crate::core::recall::RecallKey;
use crate::core::routes::LinkId;
use crate::core::session::{LOGS_MAX, PROTOCOL, Peer, Testimony, World};

/// A live link: who is at the other end, and what the policy lets go there.
pub struct Link {
    pub(super) id: LinkId,
    pub(super) peer: Peer,
    pub(super) policy: Mutex<SessionPolicy>,
    pub(super) earlier: Mutex<Option<KeptEarlier>>,
}

impl Link {
    /// Its name within this process.
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
}

/// What one link's session sees of the node.
pub struct LinkWorld<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) link: &'a Link,
}

impl LinkWorld<'_> {
    /// Whether the peer may hear what witnesses say of a log: of its own, of one that may be served to it, and of as much of
    /// any as it sent here itself.
    fn may_know(&self, said: &v1::Cosigned) -> bool {
        let Ok(origin) = said.origin.parse::<Origin>() else {
            return false;
        };
        let member = &self.link.peer.member;
        if *member == origin.member || self.servable_size(&origin).is_some() {
            return true;
        }
        let note = SignedNote::parse(&said.checkpoint).ok();
        let signed = note.and_then(|note| Checkpoint::parse(note.text()).ok());
        signed.is_some_and(|signed| signed.size <= self.exchange.stored_cursor(&origin, member))
    }
}

impl World for LinkWorld<'_> {
    fn hello(&self) -> v1::Hello {
        let local = &self.exchange.local;
        // The rest is offered log by log once the session is open.
        let heads = self.servable().into_iter().take(LOGS_MAX);
        v1::Hello {
            protocol: PROTOCOL,
            member: local.member.to_string(),
            node: local.node.to_string(),
            bundle_version: self.exchange.law.bundle().version(),
            agreements: self.exchange.law.shared_with(&self.link.peer.member),
            recalls: self.exchange.voids.owed_len(&self.link.peer.member) as u64,
            heads: heads
                .map(|(origin, checkpoint, _)| v1::Head {
                    origin: origin.to_string(),
                    checkpoint,
                })
                .collect(),
        }
    }

    fn servable(&self) -> Vec<(Origin, Bytes, u64)> {
        let now = self.exchange.now();
        let heads = self.exchange.heads();
        let mut policy = lock(&self.link.policy);
        let servable = heads
            .into_iter()
            .filter(|(origin, _)| !self.exchange.forks.has(origin) && policy.basis(&origin.member, now).is_ok());
        servable
            .map(|(origin, head)| (origin, head.checkpoint, head.size))
            .collect()
    }

    fn servable_size(&self, origin: &Origin) -> Option<u64> {
        let size = self
            .exchange
            .heads
            .size(origin)
            .filter(|_| !self.exchange.forks.has(origin))?;
        if origin.member == self.link.peer.member {
            // What it signed itself it gets back, whatever is agreed.
            return Some(size);
        }
        lock(&self.link.policy)
            .basis(&origin.member, self.exchange.now())
            .is_ok()
            .then_some(size)
    }

    fn grown(&self, origin: &Origin) -> Option<u64> {
        // Before the size is read: what grows in between is told anew.
        self.exchange.heads.looked(self.link.id, origin);
        self.servable_size(origin)
    }

    fn unserved(&self, origin: &Origin) -> (&'static str, String) {
        if self.exchange.forks.has(origin) {
            return (
                "forked-log",
                format!("the originator of `{origin}` signed two histories of it"),
            );
        }
        let message = format!("no legal basis covers `{origin}` for `{}`", self.link.peer.member);
        ("no-agreement", message)
    }

    fn revision(&self, origin: &Origin) -> Option<String> {
        let mut policy = lock(&self.link.policy);
        let revision = policy.revision(&origin.member, self.exchange.now());
        let mut revision = revision.ok()?.to_string();
        self.exchange.count_in(origin, &mut revision);
        Some(revision)
    }

    fn may_hear(&self, testimony: &Testimony) -> bool {
        match testimony {
            Testimony::Cosigned(said) => self.may_know(said),
            Testimony::Doubt(_)
            | Testimony::Beginning(_)
            | Testimony::LedgerKept(_)
            | Testimony::LedgerGrowth(_)
            | Testimony::Held(_)
            | Testimony::OwnRecalls(_) => true,
        }
    }

    fn cosigned(&self, origin: &Origin) -> Vec<v1::Cosigned> {
        let mut said = self.exchange.cosigned.of(origin);
        said.retain(|said| self.may_know(said));
        said
    }

    fn may_take(&self, origin: &Origin) -> bool {
        if self.exchange.own.is(origin) {
            // Asked for only while it is recovered. To decline what is still under way then would end what the peer asked for.
            return true;
        }
        let (policy, sender) = (self.exchange.law.policy(), &self.link.peer.member);
        policy.receives(&origin.member, sender, self.exchange.now()).is_ok()
    }

    fn bundle_version(&self) -> u64 {
        self.exchange.law.bundle().version()
    }

    fn documents_for(&self, hello: &v1::Hello) -> Vec<v1::Document> {
        let mut documents = self.exchange.law.documents_for(&self.link.peer.member, hello);
        documents.extend(self.exchange.forks.documents());
        documents.extend(self.exchange.consents_for(&self.link.peer));
        documents
    }

    fn generation(&self, origin: &Origin) -> Option<u64> {
        self.exchange.generation_for(origin, &self.link.peer)
    }

    fn recalls(&self, after: Option<&RecallKey>) -> (v1::Recalls, Option<RecallKey>) {
        self.exchange.recalls_for(&self.link.peer, after)
    }

    fn is_own(&self, origin: &Origin) -> bool {
        self.exchange.own.is(origin)
    }

    fn held(&self) -> Option<v1::Held> {
        Some(self.exchange.held_of(&self.link.peer.member))
    }

    fn own_recalls(&self, origin: &Origin, from: u64) -> Vec<v1::Recalls> {
        match origin.member == self.link.peer.member {
            true => self.exchange.own_recalls(origin, from),
            false => Vec::new(),
        }
    }

    fn call_back(&self) -> Option<v1::CallBack> {
        self.exchange.owed_call(&self.link.peer.member, None)
    }

    fn ledger_kept(&self) -> Option<v1::LedgerKept> {
        self.exchange.ledger_kept(&self.link.peer)
    }

    fn expiries(&self) -> Option<v1::Expiries> {
        self.exchange.expiries_for(&self.link.peer.member)
    }

    fn receipt(&self, origin: &Origin, size: u64, root: Hash) -> Option<v1::Receipt> {
        match self.exchange.local.key.key().signs_at_once() {
            true => self.exchange.signed_receipt(origin, size, root).ok(),
            false => {
                self.exchange.owe_receipt(self.link.id, origin, (size, root));
                None
            }
        }
    }
}
