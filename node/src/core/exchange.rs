//! What all links of a node share: the logs it holds, whom to ask for which, what may go to whom. Performs what sessions
//! decide.
//!
//! ```text
//!  session ──Action──▶ Exchange ──Batch──▶ Store ──done──▶ Mailbox ──Event──▶ session
//!                        │ replicas: verify                    (of any link)
//!                        │ law: agreements and bundle
//!                        └ routes: whom to ask
//! ```
//!
//! Locks are held for the work on one log or one table, never across a wait for the disk or a peer, so that a slow or
//! dead peer holds up nobody.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use icomm_pki::{MemberId, MemberKeys, NodeName, Role};
use icomm_proto::log::Hash;
use icomm_proto::{Origin, v1};
use prost::Message;

use super::consents::Desk;
use super::feed::Prepared;
use super::law::{Audience, Law};
use super::photo::Fetching;
use super::recall::{Returning, Voids};
use super::replica::{History, Replica};
use super::routes::{Ask, LinkId, Routes};
use super::seat::Seat;
use super::session::{Action, Event, Peer};
use super::{
    delivery, disclosure,
    ledger::{self, Ledger},
    receipt::Receipt,
};
use crate::environment::Environment;
use crate::store::{Batch, Boundary, NoteLog, Store, StoreError};

mod callbacks;
mod consenting;
mod cosigned;
mod doubts;
mod expiries;
mod expiring;
mod forks;
mod heads;
mod held;
mod keeping;
mod ledgers;
mod link;
mod narrowing;
mod own;
mod parcels;
mod photos;
mod recalling;
mod receiving;
mod refilling;
mod refusing;
mod retaining;
mod returning;
mod sightings;
mod succession;
mod unsigned;

use callbacks::OwedCalls;
use cosigned::Cosigned;
pub use cosigned::{Cosignature, Witnessed};
pub use expiring::{Sweep, Swept, Term, Unknown};
use forks::Forks;
use heads::Heads;
pub use keeping::Former;
use ledgers::Ledgers;
pub use ledgers::{Conflict, HAND_OUT_SECONDS, Holder};
pub use link::{Link, LinkWorld};
use own::Own;
pub use own::{FinishError, Missing, MissingPage, NotCleared, OwnStatus, RESTORED_KEY, Recovered, Why};
use refilling::Refills;
use retaining::Retaining;
use sightings::Sightings;
use unsigned::Unsigned;

/// Logs that a node holds at most.
pub const ORIGINS_MAX: usize = 4096;
/// Logs of one member that a node holds at most, so that no member takes the room of the others.
pub const MEMBER_LOGS_MAX: usize = 16;

/// Where events for sessions go. Never blocks: sessions bound what can be under way for them.
pub trait Mailbox: Send + Sync {
    /// Queues an event for a link; nothing happens if it is gone.
    fn post(&self, link: LinkId, event: Event);
    /// Tells every link that what may be served changed: agreements, the bundle, or a log that was not there.
    fn changed(&self);
    /// Tells whoever watches the logs that one grew. Links that follow it get an [`Event::Grew`].
    fn grew(&self, _origin: &Origin, _size: u64) {}
    /// Tells whoever watches the logs that more is held of these entries, ascending.
    fn widened(&self, _origin: &Origin, _entries: Vec<u64>) {}
    /// Something waits for a key that takes long: [`Exchange::sign_owed`] is due.
    fn unsigned(&self) {}
}

/// Who this node is.
#[derive(Debug, Clone)]
pub struct Local {
    /// The member.
    pub member: MemberId,
    /// The node.
    pub node: NodeName,
    /// Its role.
    pub role: Role,
    /// Signs receipts and checkpoints.
    pub key: Seat,
}

/// The durable end of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Entries.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// The originator's signed checkpoint.
    pub checkpoint: Bytes,
}

impl From<&Boundary> for Head {
    fn from(boundary: &Boundary) -> Self {
        Self {
            size: boundary.size(),
            root: boundary.frontier.root(),
            checkpoint: boundary.checkpoint.clone(),
        }
    }
}

struct HeldReplica {
    machine: Mutex<Replica>,
    // Set when something that was accepted could not be stored.
    stale: Arc<AtomicBool>,
    // Chunks of wider views on their way to the disk.
    widening: Arc<AtomicU64>,
}

/// The shared part of a node's links.
pub struct Exchange {
    local: Local,
    environment: Environment,
    store: Arc<dyn Store>,
    mailbox: Arc<dyn Mailbox>,
    law: Law,
    ledger: Ledger,
    ledgers: Ledgers,
    replicas: Mutex<BTreeMap<Origin, Arc<HeldReplica>>>,
    heads: Arc<Heads>,
    forks: Forks,
    cosigned: Arc<Cosigned>,
    sightings: Sightings,
    // The sizes that peers have signed for since the start, by the key under which the receipt is kept.
    receipts: Mutex<BTreeMap<String, u64>>,
    refills: Mutex<Refills>,
    voids: Voids,
    returning: Returning,
    retaining: Retaining,
    desk: Desk,
    own: Own,
    fetching: Arc<Mutex<Fetching>>,
    owed_calls: Mutex<OwedCalls>,
    unsigned: Unsigned,
    routes: Mutex<Routes>,
    links: Mutex<BTreeMap<LinkId, Peer>>,
    next_link: AtomicU64,
    // The version of the trust bundle by which what is held was looked at last.
    followed: AtomicU64,
}

impl Exchange {
    /// Brings the shared state to what the store holds.
    pub fn new(
        local: Local,
        environment: Environment,
        store: Arc<dyn Store>,
        mailbox: Arc<dyn Mailbox>,
        law: Law,
    ) -> Result<Self, StoreError> {
        let mut heads = BTreeMap::new();
        for origin in store.origins() {
            if let Some(boundary) = store.head(&origin)? {
                heads.insert(origin, Head::from(&boundary));
            }
        }
        let routes = Mutex::new(Routes::new(local.role));
        let line = ledger::Line::new(&law.trust_domain(), &local.member, &local.node);
        let keys = law.member_keys(&local.member);
        let keys = keys.unwrap_or_else(|| Arc::new(MemberKeys::from(local.key.key().public())));
        let ledger = Ledger::open(store.clone(), line, local.key.clone(), keys)?;
        let forks = Forks::open(&*store)?;
        let refills = Mutex::new(Refills::open(&*store)?);
        let retaining = Retaining::open(&*store, &local, environment.unix_now())?;
        let fetching = Arc::new(Mutex::new(Fetching::open(&*store)?));
        let cosigned = Arc::new(Cosigned::open(&*store, &law.bundle())?);
        let desk = Desk::open(&*store)?;
        let returning = returning::open(&*store, &law, &local.member, environment.unix_now())?;
        let exchange = Self {
            local,
            environment,
            store,
            heads: Arc::new(Heads::new(heads, mailbox.clone())),
            mailbox,
            law,
            ledger,
            ledgers: Ledgers::default(),
            forks,
            cosigned,
            sightings: Sightings::default(),
            replicas: Mutex::default(),
            receipts: Mutex::default(),
            refills,
            voids: Voids::default(),
            returning,
            retaining,
            desk,
            own: Own::default(),
            fetching,
            owed_calls: Mutex::default(),
            unsigned: Unsigned::default(),
            routes,
            links: Mutex::default(),
            next_link: AtomicU64::new(0),
            followed: AtomicU64::new(0),
        };
        exchange.remember_recalls()?;
        exchange.remember_consents();
        exchange.remember_calls()?;
        Ok(exchange)
    }

    /// Who this node is.
    pub fn local(&self) -> &Local {
        &self.local
    }

    /// Agreements and bundle.
    pub fn law(&self) -> &Law {
        &self.law
    }

    /// The signed log of this node's own disclosures.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The durable end of every log held.
    pub fn heads(&self) -> BTreeMap<Origin, Head> {
        self.heads.all()
    }

    /// The durable end of one log.
    pub fn head(&self, origin: &Origin) -> Option<Head> {
        self.heads.of(origin)
    }

    /// A log grew durably by this node's own doing.
    pub fn grew(&self, origin: &Origin, boundary: &Boundary) {
        self.heads.raise(origin, Head::from(boundary));
    }

    /// A new link to an authenticated peer; its session begins.
    pub fn opened(&self, peer: Peer) -> Link {
        let link = self.opened_by_post(peer);
        self.linked(&link);
        link
    }

    /// The same for a session whose frames are carried in files.
    pub fn opened_by_post(&self, peer: Peer) -> Link {
        let id = LinkId(self.next_link.fetch_add(1, Ordering::Relaxed));
        lock(&self.links).insert(id, peer.clone());
        lock(&self.fetching).opened(id, peer.member.clone());
        let policy = Mutex::new(self.law.towards(&peer.member, peer.role));
        let earlier = Mutex::new(None);
        Link {
            id,
            peer,
            policy,
            earlier,
        }
    }

    /// A link is gone: others are asked for what it served.
    pub fn closed(&self, link: LinkId) {
        lock(&self.links).remove(&link);
        self.heads.closed(link);
        self.ledgers.closed(link);
        self.own.closed(link);
        self.returning.closed(link, self.now());
        lock(&self.fetching).closed(link);
        self.fetch_anywhere();
        self.unsigned.closed(link);
        let asks = lock(&self.routes).closed(link);
        self.ask(asks);
        if self.voids.arrived(link) {
            self.mailbox.changed();
        }
    }

    /// What the session on `link` sees of this node.
    pub fn world<'a>(&'a self, link: &'a Link) -> LinkWorld<'a> {
        LinkWorld { exchange: self, link }
    }

    /// Does what a session decided. [`Action::Send`] and [`Action::Close`] are the driver's own.
    pub fn perform(&self, link: &Link, action: Action) {
        let Link { id, peer, policy, .. } = link;
        let id = *id;
        match action {
            Action::Send(_) | Action::Close(_) => {}
            Action::Follow { origin } => self.heads.follow(id, origin),
            Action::Unfollow { origin } => self.heads.unfollow(id, &origin),
            Action::Read { origin, from, .. } => {
                let as_of = self.generation_for(&origin, peer);
                let as_of = as_of.filter(|_| !self.is_called(&peer.member, &origin));
                let mut prepared = as_of.and_then(|as_of| {
                    let prepared = delivery::prepare(&*self.store, &mut lock(policy), peer, &origin, from, self.now());
                    let prepared = prepared.unwrap_or_else(|error| {
                        tracing::error!(%origin, from, peer = %peer.member, %error, "can't serve what was asked for");
                        None
                    });
                    prepared.map(|prepared| Prepared { as_of, ..prepared })
                });
                if let Some(prepared) = &mut prepared {
                    self.count_in(&origin, &mut prepared.revision);
                }
                self.mailbox.post(id, Event::Prepared { origin, prepared });
            }
            Action::Note { origin, ticket, note } => self.note(id, origin, ticket, note),
            Action::Look {
                origin,
                ticket,
                from,
                until,
                before,
            } => self.look(link, origin, ticket, (from, until), &before),
            Action::Accept(chunk) => self.accept(id, peer, chunk),
            Action::Refill(refill) => self.refill(id, peer, refill),
            Action::ReadPiece {
                photo,
                piece,
                with_hashes,
            } => self.read_piece(link, photo, piece, with_hashes),
            Action::KeepPiece { photo, piece } => self.keep_piece(id, photo, &piece),
            Action::Seek => self.fetch(id),
            Action::Absent(photo) => self.photo_absent(id, &photo),
            Action::Here(photo) => self.photo_here(id, &photo),
            Action::Offered { origin, checkpoint } => self.offered(id, peer, origin, checkpoint),
            Action::Withdrawn { origin, code } => {
                tracing::info!(%origin, peer = %peer.member, code, "log withdrawn");
                let asks = lock(&self.routes).withdrawn(id, &origin);
                self.ask(asks);
            }
            Action::Declined { origin } => {
                tracing::warn!(%origin, peer = %peer.member, "no agreement lets the peer send this log any more");
                let asks = lock(&self.routes).withdrawn(id, &origin);
                self.ask(asks);
            }
            Action::Resumed { origin } => {
                let from_originator = origin.member == peer.member;
                let asks = lock(&self.routes).offered(id, origin, from_originator);
                self.ask(asks);
            }
            Action::Adopt(document) => self.adopt(id, peer, &document),
            Action::Consider(testimony) => self.consider(link, testimony),
            Action::Refused(refused) => self.refused_there(peer, &refused),
            Action::Acknowledged(receipt) => self.acknowledged(id, peer, &receipt),
            Action::Await => self.voids.awaits(id, peer.member.clone()),
            Action::CaughtUp => self.caught_up(peer),
            Action::Recalled(recalls) => self.recalled(id, peer, recalls),
            Action::Erased(erasures) => self.erasures(id, peer, erasures),
            Action::Expiries(expiries) => self.expiries(id, peer, expiries),
            Action::CallBack(call) => self.call_back(id, peer, &call),
            Action::CalledBack(answer) => self.called_back(id, peer, &answer),
        }
    }

    /// Seconds since 1970, by this node's clock.
    pub fn now(&self) -> u64 {
        self.environment.unix_now()
    }

    fn note(&self, link: LinkId, origin: Origin, ticket: super::feed::Ticket, note: Bytes) {
        let mailbox = self.mailbox.clone();
        let note = disclosure::seal(&note, &*self.environment.entropy);
        let batch = Batch::new().note(NoteLog::disclosures(), note);
        self.store.submit(
            batch,
            Box::new(move |result| {
                let event = match result {
                    Ok(()) => Event::Noted { origin, ticket },
                    // Without its note nothing leaves.
                    Err(error) => Event::Stop {
                        code: "store",
                        message: error.to_string(),
                    },
                };
                mailbox.post(link, event);
            }),
        );
    }

    fn ask(&self, asks: Vec<Ask>) {
        for Ask { link, origin, start } in asks {
            let Some(peer) = lock(&self.links).get(&link).cloned() else {
                continue;
            };
            let (from, settled) = self.cursor(&origin, &peer);
            let under = v1::Revisions {
                settled,
                ..self.revisions(&origin, &peer.member)
            };
            let event = Event::Ask {
                origin,
                from,
                under,
                start,
            };
            self.mailbox.post(link, event);
        }
    }

    /// Where to go on with this peer: where it left off, since it may disclose more than others did; but the global node
    /// gets the same from everybody, so a relay is asked only for what is missing at the end, and what came before is
    /// settled unless this relay's terms change.
    fn cursor(&self, origin: &Origin, peer: &Peer) -> (u64, bool) {
        let held = self.heads.size(origin).unwrap_or(0);
        if self.local.role == Role::Global && origin.member != peer.member {
            return (held, self.revisions(origin, &peer.member).revision.is_empty());
        }
        (self.stored_cursor(origin, &peer.member).min(held), false)
    }

    /// Up to which index this peer has sent the log; 0 when that is not known.
    fn stored_cursor(&self, origin: &Origin, via: &MemberId) -> u64 {
        let cursor = self.store.state(&cursor_key(origin, via)).ok().flatten();
        cursor
            .and_then(|bytes| Some(u64::from_be_bytes(bytes.as_ref().try_into().ok()?)))
            .unwrap_or(0)
    }

    fn adopt(&self, link: LinkId, peer: &Peer, document: &v1::Document) {
        if document.kind() == v1::document::Kind::Fork {
            return self.accused(link, peer, document);
        }
        if consenting::is_statement(document.kind()) {
            return self.consented(link, peer, document);
        }
        match self.law.adopt(document, self.now()) {
            Ok(adopted) => {
                tracing::info!(peer = %peer.member, adopted = %adopted, "document adopted");
                self.publish(&adopted.documents, Some((link, document)));
            }
            Err(error) => self.refused_here(link, peer, document, &error),
        }
    }

    /// Hands documents to the links whose peers they concern, and lets every session look again at what may go. What came
    /// from a link is not echoed to it.
    pub fn publish(&self, documents: &[(Audience, v1::Document)], received: Option<(LinkId, &v1::Document)>) {
        for (&link, peer) in &*lock(&self.links) {
            let concern = documents.iter().filter(|(audience, _)| audience.includes(&peer.member));
            for (_, document) in concern.filter(|(_, document)| received != Some((link, document))) {
                self.mailbox.post(link, Event::Tell(document.clone()));
            }
        }
        self.mailbox.changed();
    }

    fn acknowledged(&self, link: LinkId, peer: &Peer, message: &v1::Receipt) {
        let Some(keys) = self.law.member_keys(&peer.member) else {
            return;
        };
        let receipt = match Receipt::verify(message, &keys) {
            Ok(receipt) => receipt,
            Err(error) => {
                metrics::counter!("icomm_refused_receipts_total", "peer" => peer.member.to_string()).increment(1);
                tracing::warn!(peer = %peer.member, %error, "receipt refused");
                // Who does not sign for what it got gets no more.
                let message = error.to_string();
                let code = "invalid-receipt";
                return self.mailbox.post(link, Event::Stop { code, message });
            }
        };
        if let Err(error) = self.keep_receipt(peer, &receipt, message) {
            tracing::error!(%error, "a receipt could not be compared");
        }
    }

    /// Keeps the receipt for the most entries: what a peer once signed for, a later receipt for fewer does not undo. One
    /// for what is not held here can't be compared, and is not kept.
    fn keep_receipt(&self, peer: &Peer, receipt: &Receipt, message: &v1::Receipt) -> Result<(), StoreError> {
        let Receipt { origin, size, root, .. } = receipt;
        let Some(ours) = History::of(&*self.store, origin, *size)? else {
            tracing::debug!(peer = %peer.member, %origin, size, "a receipt for more than is held here");
            return Ok(());
        };
        if ours.root != *root {
            metrics::counter!("icomm_refused_receipts_total", "peer" => peer.member.to_string()).increment(1);
            tracing::error!(peer = %peer.member, %origin, size,
                "the peer acknowledged another log than the one held here");
            return Ok(());
        }
        let key = format!("receipt/{origin}/{}", peer.member);
        let mut receipts = lock(&self.receipts);
        let known = match receipts.get(&key) {
            Some(known) => Some(*known),
            None => {
                let kept = self
                    .store
                    .state(&key)?
                    .and_then(|bytes| v1::Receipt::decode(bytes).ok());
                kept.map(|kept| kept.size)
            }
        };
        if known.is_none_or(|known| known < *size) {
            // The peer signs again for the next chunk.
            self.store.ride(Batch::new().set(key.clone(), message.encode_to_vec()));
            receipts.insert(key, *size);
        }
        Ok(())
    }
}

fn cursor_key(origin: &Origin, via: &MemberId) -> String {
    format!("cursor/{origin}/{via}")
}

/// A panic elsewhere leaves these tables whole: each is changed in one step.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
