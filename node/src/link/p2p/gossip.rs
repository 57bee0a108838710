//! Gossiped announcements of new checkpoints: so that a pull happens at once, and two histories of one log meet.
//!
//! Each message is signed by the node that first sent it and holds one `Head` (origin, checkpoint). Judged here: the
//! source is a node in the member directory, the size, the shape, and how much one member sends. The checkpoint's
//! own signature is the application's to verify.

use std::{collections::HashMap, time::Duration};

use icomm_pki::{MemberId, VerifiedBundle};
use icomm_proto::v1::Head;
use libp2p::{
    gossipsub::{self, IdentTopic, MessageAcceptance, MessageAuthenticity, MessageId, ValidationMode},
    identity::Keypair,
};
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::link::{Announcement, BindError, Limits};

/// Room for gossipsub's envelope: source, signature, topic.
const ENVELOPE_BYTES_MAX: usize = 1_024;
/// Longest origin: a member id, a slash, a log name.
const ORIGIN_BYTES_MAX: usize = 128;

/// The topic of checkpoint announcements.
pub(super) fn topic() -> IdentTopic {
    IdentTopic::new("icomm/checkpoints/1")
}

/// The gossip behaviour, subscribed.
pub(super) fn behaviour(key: &Keypair, limits: &Limits) -> Result<gossipsub::Behaviour, BindError> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        // The same head from several hubs is one message, and nobody can make another with the same id.
        .message_id_fn(|message| MessageId::from(Sha256::digest(&message.data).to_vec()))
        .max_transmit_size(limits.announcement_bytes_max.saturating_add(ENVELOPE_BYTES_MAX))
        .flood_publish(true)
        .heartbeat_interval(Duration::from_secs(1))
        .build()
        .map_err(|error| BindError::Gossip(error.to_string()))?;
    let mut gossip = gossipsub::Behaviour::new(MessageAuthenticity::Signed(key.clone()), config)
        .map_err(|error| BindError::Gossip(error.to_owned()))?;
    gossip
        .subscribe(&topic())
        .map_err(|error| BindError::Gossip(error.to_string()))?;
    Ok(gossip)
}

/// What became of a message.
pub(super) enum Verdict {
    /// For the application, and to be passed on.
    Accept(Announcement),
    /// Neither used nor passed on, and no harm meant: too much at once.
    Ignore(MemberId),
    /// Nobody honest sends this.
    Reject {
        /// The member whose node signed it, when it is in the directory.
        source: Option<MemberId>,
        /// For the metric and the log.
        reason: &'static str,
    },
}

impl Verdict {
    pub(super) fn acceptance(&self) -> MessageAcceptance {
        match self {
            Self::Accept(_) => MessageAcceptance::Accept,
            Self::Ignore(_) => MessageAcceptance::Ignore,
            Self::Reject { .. } => MessageAcceptance::Reject,
        }
    }
}

/// Judges messages; keeps how many each member sent in the current minute.
pub(super) struct Judge {
    bytes_max: usize,
    per_minute_max: u32,
    minute: Instant,
    counts: HashMap<MemberId, u32>,
}

impl Judge {
    pub(super) fn new(limits: &Limits) -> Self {
        let (bytes_max, per_minute_max) = (limits.announcement_bytes_max, limits.announcements_per_minute_max);
        Self {
            bytes_max,
            per_minute_max,
            minute: Instant::now(),
            counts: HashMap::new(),
        }
    }

    pub(super) fn judge(&mut self, message: &gossipsub::Message, bundle: &VerifiedBundle) -> Verdict {
        // Strict validation has checked the signature by this source.
        let source = message.source.as_ref().and_then(|peer| bundle.by_peer_id(peer));
        let Some((entry, node)) = source else {
            return Verdict::Reject {
                source: None,
                reason: "not-a-member",
            };
        };
        let member = entry.id.clone();
        let reject = |reason| Verdict::Reject {
            source: Some(member.clone()),
            reason,
        };
        if message.data.len() > self.bytes_max {
            return reject("too-large");
        }
        let Ok(head) = Head::decode(message.data.as_slice()) else {
            return reject("malformed");
        };
        if head.origin.is_empty() || head.origin.len() > ORIGIN_BYTES_MAX || head.checkpoint.is_empty() {
            return reject("malformed");
        }
        if self.minute.elapsed() > Duration::from_secs(60) {
            (self.minute, self.counts) = (Instant::now(), HashMap::new());
        }
        let count = self.counts.entry(member.clone()).or_default();
        *count = count.saturating_add(1);
        if *count > self.per_minute_max {
            return Verdict::Ignore(member);
        }
        Verdict::Accept(Announcement {
            member,
            node: node.name.clone(),
            head,
        })
    }
}
