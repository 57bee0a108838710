//! A node at work: what goes on beside its links.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use icomm_pki::MemberId;
use icomm_proto::{Origin, v1};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Node;
use crate::core::exchange::Mailbox;
use crate::link;
use crate::sessions::SessionStatus;

/// How often the bundle's validity is looked at, and what else time alone changes: agreements begin and end.
const VALIDITY_CHECK: Duration = Duration::from_secs(5);
/// How often the own log's growth is announced at most. Partners get it over their links at once; the announcement is
/// for those who compare.
const ANNOUNCE: Duration = Duration::from_secs(1);
/// How often it is looked whether terms became narrower.
const NARROWER: Duration = Duration::from_secs(1);
/// How long a node that stops waits for the key to sign what it disclosed last.
const LAST_SIGNATURE: Duration = Duration::from_secs(5);

/// Why a node stopped by itself.
#[derive(Debug, Error)]
pub enum RunError {
    /// It was already stopped.
    #[error("the node was stopped before; open it again")]
    Stopped,
}

/// A partner and the link to it, if there is one.
#[derive(Debug, Clone, serde::Serialize)]
pub struct LinkStatus {
    /// The partner.
    pub member: String,
    /// The live session.
    pub session: Option<SessionStatus>,
    /// How dialling it goes, if this node dials it.
    pub dialling: Option<link::DialState>,
}

impl Node {
    /// Serves links until told to stop, then drains them.
    ///
    /// # Errors
    /// The node was stopped before.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), RunError> {
        let inner = &self.0;
        let mut changes = inner.post.changes();
        let mut announced = match &*inner.links.read().await {
            Some(links) => Box::pin(links.announcements()),
            None => return Err(RunError::Stopped),
        };
        let mut bundle = inner.exchange.law().bundle().version();
        let (mut announced_size, mut mark) = (0, None);
        let mut validity = tokio::time::interval(VALIDITY_CHECK);
        let mut announcing = tokio::time::interval(ANNOUNCE);
        let signing = self.signing(shutdown.child_token());
        let mut narrower = tokio::time::interval(NARROWER);
        let mut calling_back = None;
        self.check_ledger();
        if let Err(error) = self.hand_over() {
            tracing::error!(%error, "the hand-over of the former member key can't be written");
        }
        let mut live = true;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                result = changes.changed() => {
                    if result.is_err() {
                        break;
                    }
                    self.tell_bundle(&mut bundle).await;
                }
                _ = announcing.tick() => {
                    self.announce_growth(&mut announced_size).await;
                    tokio::task::block_in_place(|| {
                        inner.exchange.every_second();
                        self.keep_mark(&mut mark);
                    });
                }
                _ = narrower.tick() => self.call_back_narrowed(&mut calling_back),
                Some(announcement) = announced.next() => self.witness(announcement),
                _ = validity.tick() => {
                    live = self.still_valid(live);
                    self.sweep_daily(live);
                    self.succeed().await;
                    inner.post.changed();
                }
            }
        }
        signing.abort();
        // Before the links go, so that nothing of it can be cut while the node is down. A key that hangs is not waited for.
        let _ = tokio::time::timeout(LAST_SIGNATURE, self.sign_ledger(true)).await;
        inner.post.stop_all("stopping", "the node is stopping");
        if let Some(links) = inner.links.write().await.take() {
            links.shutdown(inner.config.drain()).await;
        }
        let _ = tokio::time::timeout(LAST_SIGNATURE, self.sign_ledger(true)).await;
        self.keep_mark(&mut mark);
        Ok(())
    }

    /// Looks for what is to be called back, on a thread of its own: going over what went may take long.
    fn call_back_narrowed(&self, under_way: &mut Option<JoinHandle<()>>) {
        if under_way.as_ref().is_some_and(|under_way| !under_way.is_finished()) {
            return;
        }
        let inner = self.0.clone();
        *under_way = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = inner.exchange.call_back_narrowed() {
                tracing::error!(%error, "what narrower terms cover no more could not be called back; it is tried again");
            }
        }));
    }

    /// Other nodes hear of the own log's growth by gossip. Only its originator announces a log: that it exists and how
    /// large it is concerns its partners, and the gossip mesh is made of members of the bundle alone.
    async fn announce_growth(&self, announced: &mut u64) {
        let inner = &self.0;
        let origin = self.own_origin();
        let Some(head) = inner.exchange.head(origin).filter(|head| head.size != *announced) else {
            return;
        };
        *announced = head.size;
        if let Some(links) = &*inner.links.read().await {
            links.announce(v1::Head {
                origin: origin.to_string(),
                checkpoint: head.checkpoint,
            });
        }
    }

    async fn tell_bundle(&self, version: &mut u64) {
        let inner = &self.0;
        let bundle = inner.exchange.law().bundle();
        if bundle.version() == *version {
            return;
        }
        *version = bundle.version();
        if let Some(links) = &*inner.links.read().await
            && let Err(error) = links.set_bundle(bundle).await
        {
            tracing::error!(%error, "the links did not take the new trust bundle");
        }
    }

    /// A checkpoint that somebody announced is compared with what is held here: two histories of one log are noticed.
    fn witness(&self, announcement: link::Announcement) {
        let link::Announcement { member, head, .. } = announcement;
        let Ok(origin) = head.origin.parse::<Origin>() else {
            return;
        };
        let exchange = &self.0.exchange;
        // Only logs that are held here can be compared; the proof of a fork comes over links.
        if exchange.head(&origin).is_none() || exchange.is_forked(&origin) {
            return;
        }
        if let Err(fault) = tokio::task::block_in_place(|| exchange.witness(&member, &origin, head.checkpoint)) {
            exchange.found(&member, &origin, &fault);
        }
    }

    /// An expired bundle ends every session; a newer one brings them back.
    fn still_valid(&self, was_live: bool) -> bool {
        let live = self.0.exchange.law().bundle().is_live(self.0.environment.clock.now());
        if was_live && !live {
            tracing::error!("the trust bundle has expired: links are closed until a newer one arrives");
            self.0
                .post
                .stop_all("bundle-expired", "this node's trust bundle has expired");
        }
        live
    }

    /// The partners that this node is linked with or dials.
    pub async fn links(&self) -> Vec<LinkStatus> {
        let mut partners: BTreeMap<String, LinkStatus> = BTreeMap::new();
        let blank = |member: &str| LinkStatus {
            member: member.to_owned(),
            session: None,
            dialling: None,
        };
        if let Some(links) = &*self.0.links.read().await {
            for peer in links.status().peers {
                let member = peer.member.to_string();
                partners
                    .entry(member.clone())
                    .or_insert_with(|| blank(&member))
                    .dialling = Some(peer.state);
            }
        }
        for session in self.0.sessions.live() {
            let member = session.member.clone();
            partners.entry(member.clone()).or_insert_with(|| blank(&member)).session = Some(session);
        }
        partners.into_values().collect()
    }

    /// Where this node can be reached.
    pub async fn listening(&self) -> Vec<link::Address> {
        match &*self.0.links.read().await {
            Some(links) => links.status().listening,
            None => Vec::new(),
        }
    }

    /// Tries every address of a partner and reports what happened at each; none when the node is stopping.
    pub async fn test_link(&self, member: &MemberId) -> Option<link::Report> {
        let configured = self
            .0
            .config
            .links
            .peer
            .iter()
            .find(|peer| peer.member == member.as_str());
        let addresses = configured.map(|peer| peer.addresses.iter().filter_map(|text| text.parse().ok()).collect());
        let peer = link::Peer {
            member: member.clone(),
            node: None,
            addresses: addresses.unwrap_or_default(),
        };
        match &*self.0.links.read().await {
            Some(links) => Some(links.test(&peer).await),
            None => None,
        }
    }
}
