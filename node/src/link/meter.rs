//! The metrics of links, with the peer's member as a label (`unknown` before it proved who it is, so that strangers
//! can't fill the label's value space).
//!
//! | metric | labels | counts |
//! |---|---|---|
//! | `icomm_link_connections` | peer, carrier | authenticated connections open now |
//! | `icomm_link_sessions` | peer | sessions open now |
//! | `icomm_link_opened_total`, `…_closed_total` | peer; carrier, dialled; reason | sessions begun, ended |
//! | `icomm_link_frames_…_total`, `icomm_link_bytes_…_total` | peer | `received` and `sent` |
//! | `icomm_link_refused_total` | peer, claimed, carrier, reason | callers turned away; `claimed` is unproved |
//! | `icomm_link_cut_total` | peer, reason | connections whose time was over |
//! | `icomm_link_bad_frames_total` | peer, reason | oversized and malformed frames |
//! | `icomm_link_dial_failures_total` | peer, reason | failed attempts, one an address |
//! | `icomm_link_announcements_total` | peer, verdict | gossiped announcements judged |
//! | `icomm_link_swarm_panics_total` | | restarts of the libp2p side |

use icomm_pki::MemberId;
use metrics::{Counter, Gauge, counter, gauge};

use super::{Carrier, connection::Connection};

const UNKNOWN: &str = "unknown";

/// Connections open now, authenticated.
pub(super) fn connections(peer: &MemberId, carrier: Carrier) -> Gauge {
    gauge!("icomm_link_connections", "peer" => peer.to_string(), "carrier" => carrier.as_str())
}

/// A session began.
pub(super) fn opened(connection: &Connection) {
    let peer = connection.identity().member().to_string();
    let dialled = if connection.dialled() { "yes" } else { "no" };
    counter!("icomm_link_opened_total", "peer" => peer.clone(), "carrier" => connection.carrier().as_str(),
        "dialled" => dialled)
    .increment(1);
    gauge!("icomm_link_sessions", "peer" => peer).increment(1.0);
}

/// A session ended.
pub(super) fn ended(connection: &Connection) {
    let peer = connection.identity().member().to_string();
    let reason = connection.close_reason().map_or("ended", |reason| reason.label());
    counter!("icomm_link_closed_total", "peer" => peer.clone(), "reason" => reason).increment(1);
    gauge!("icomm_link_sessions", "peer" => peer).decrement(1.0);
}

/// A peer or stranger was turned away. `claimed` is a member of the directory that the certificate names, `peer` the
/// same if an authority stands behind it.
pub(super) fn refused(peer: Option<&MemberId>, claimed: Option<&MemberId>, carrier: Carrier, reason: &'static str) {
    let name = |member: Option<&MemberId>| member.map_or_else(|| UNKNOWN.to_owned(), MemberId::to_string);
    counter!("icomm_link_refused_total", "peer" => name(peer), "claimed" => name(claimed),
        "carrier" => carrier.as_str(), "reason" => reason)
    .increment(1);
}

/// A connection was cut by the sweep.
pub(super) fn cut(peer: &MemberId, reason: &'static str) {
    counter!("icomm_link_cut_total", "peer" => peer.to_string(), "reason" => reason).increment(1);
}

/// A frame that no peer may send.
pub(super) fn bad_frame(peer: &MemberId, reason: &'static str) {
    counter!("icomm_link_bad_frames_total", "peer" => peer.to_string(), "reason" => reason).increment(1);
}

/// An attempt to reach a peer failed.
pub(super) fn dial_failed(peer: &MemberId, reason: &'static str) {
    counter!("icomm_link_dial_failures_total", "peer" => peer.to_string(), "reason" => reason).increment(1);
}

/// A gossiped announcement was judged.
pub(super) fn announcement(peer: Option<&MemberId>, verdict: &'static str) {
    let peer = peer.map_or_else(|| UNKNOWN.to_owned(), MemberId::to_string);
    counter!("icomm_link_announcements_total", "peer" => peer, "verdict" => verdict).increment(1);
}

/// libp2p panicked.
pub(super) fn swarm_panicked() {
    counter!("icomm_link_swarm_panics_total").increment(1);
}

/// The counters of one session, looked up once: a lookup a frame would cost more than the count.
pub(super) struct Traffic {
    pub(super) frames: Counter,
    pub(super) bytes: Counter,
}

impl Traffic {
    pub(super) fn received(peer: &MemberId) -> Self {
        Self {
            frames: counter!("icomm_link_frames_received_total", "peer" => peer.to_string()),
            bytes: counter!("icomm_link_bytes_received_total", "peer" => peer.to_string()),
        }
    }

    pub(super) fn sent(peer: &MemberId) -> Self {
        Self {
            frames: counter!("icomm_link_frames_sent_total", "peer" => peer.to_string()),
            bytes: counter!("icomm_link_bytes_sent_total", "peer" => peer.to_string()),
        }
    }
}
