//! Whom this node has to hear before it passes on what it has from them, after it was away.

use std::collections::BTreeSet;

use icomm_pki::MemberId;
use icomm_proto::Origin;

use super::{Exchange, Link, lock};
use crate::core::law::Law;
use crate::core::recall::{CONTACT_KEY, HeldBack, Returning, Sources};
use crate::core::session::{Event, Peer};
use crate::store::{Batch, Store, StoreError};

/// Before whose name, and a log's, it is kept how far that member has sent the log.
const CURSORS_PREFIX: &str = "cursor/";

/// As the store left it.
pub(super) fn open(store: &dyn Store, law: &Law, own: &MemberId, now: u64) -> Result<Returning, StoreError> {
    let contact = store.state(CONTACT_KEY)?;
    let contact = contact.and_then(|bytes| Some(u64::from_be_bytes(bytes.as_ref().try_into().ok()?)));
    Ok(Returning::open(contact.unwrap_or(0), sources(store, law, own)?, now))
}

/// From whom the logs of others came. Who left the network can't be heard.
fn sources(store: &dyn Store, law: &Law, own: &MemberId) -> Result<Sources, StoreError> {
    let mut sources = Sources::new();
    let bundle = law.bundle();
    for (key, _) in store.scan_state(CURSORS_PREFIX)? {
        let names = key
            .strip_prefix(CURSORS_PREFIX)
            .and_then(|names| names.rsplit_once('/'));
        let Some((origin, via)) = names.and_then(|(origin, via)| {
            let parsed: (Origin, MemberId) = (origin.parse().ok()?, via.parse().ok()?);
            Some(parsed)
        }) else {
            continue;
        };
        if origin.member != *own && via != *own && bundle.member(&via).is_some() {
            sources.entry(origin).or_default().insert(via);
        }
    }
    Ok(sources)
}

impl Exchange {
    /// A new link over a network. What is carried in files says nothing of whether a network is there.
    pub(super) fn linked(&self, link: &Link) {
        let sources = || {
            sources(&*self.store, &self.law, &self.local.member).unwrap_or_else(|error| {
                tracing::error!(%error, "it can't be read from whom the logs of others came");
                Sources::new()
            })
        };
        self.returning.linked(link.id, sources, self.now());
        self.tell_held_back();
    }

    /// A peer owes no recalls here, or they are taken.
    pub(super) fn caught_up(&self, peer: &Peer) {
        if self.returning.heard(&peer.member, self.now()) {
            self.let_go();
        }
    }

    /// Whether time is up, and that somebody is linked.
    pub(super) fn settle_return(&self) {
        let second = self.returning.second(self.now());
        if !second.given_up.is_empty() {
            let unheard: Vec<&str> = second.given_up.iter().map(MemberId::as_str).collect();
            tracing::warn!(
                unheard = unheard.join(" "),
                "after this node was away these could not be heard; what came from them is passed on again"
            );
        }
        if let Some(contact) = second.keep {
            let batch = Batch::new().set(CONTACT_KEY, contact.to_be_bytes().to_vec());
            self.store.ride(batch);
        }
        if second.freed {
            self.let_go();
        }
    }

    fn let_go(&self) {
        // Photos that were asked for meanwhile.
        let waiting = lock(&self.fetching).take_waiting(|origin| !self.returning.holds(origin));
        for (link, photo) in waiting {
            self.mailbox.post(link, Event::PhotoArrived(photo));
        }
        self.tell_held_back();
        self.mailbox.changed();
    }

    fn tell_held_back(&self) {
        let held = self.returning.status().map_or(0, |held| held.unheard.len());
        metrics::gauge!("icomm_held_back_logs").set(f64::from(u32::try_from(held).unwrap_or(u32::MAX)));
    }

    /// What is not passed on because this node was away, and whom it could not hear.
    pub fn held_back(&self) -> Option<HeldBack> {
        self.returning.status()
    }

    /// Who has to be heard before anything of a log is passed on.
    pub fn waits_for(&self, origin: &Origin) -> BTreeSet<MemberId> {
        match self.returning.holds(origin) {
            false => BTreeSet::new(),
            true => self
                .returning
                .status()
                .and_then(|mut held| held.unheard.remove(origin))
                .unwrap_or_default(),
        }
    }

    /// In which generation a log is read now for somebody: none also while it is held back, but its originator's.
    pub(super) fn generation_for(&self, origin: &Origin, peer: &Peer) -> Option<u64> {
        let passes = origin.member == peer.member || !self.returning.holds(origin);
        self.generation(origin).filter(|_| passes)
    }
}
