//! New keys and certificates, taken up while links stay up.
//!
//! ```text
//!  identity/next/ complete, and the trust bundle lists what is in it?
//!    own log paused, ledger signed ─▶ ends of the old key, durable ─▶ rename: from here on it counts
//!    ─▶ new member key signs · new certificate in new handshakes; live links go on · hand-over for the authority
//! ```
//!
//! INVARIANT: nothing is signed for a log with the old key after its ends were taken down: both the issuer and the ledger
//! wait until the new one sits in its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use icomm_pki::{
    EnrolmentRequest, Handover, HandoverStatement, InvalidCredentials, InvalidHandover, InvalidPeer, InvalidRequest,
    LogEnd, MemberKey, NodeCredentials, VerifiedBundle, authenticate,
};
use icomm_proto::Origin;
use thiserror::Error;
use time::OffsetDateTime;

use super::Node;
use super::checks::{Check, Level, check};
use crate::causes::chain;
use crate::config::Config;
use crate::core::ledger::epoch::end;
use crate::core::ledger::{InvalidLedger, Ledger, Line};
use crate::store::{Batch, Store, StoreError};

pub(crate) mod next;

use next::Next;

/// Under which the ends of a former key are kept.
const ENDS_PREFIX: &str = "handover/";
/// A certificate is renewed when less than this part of its time is left: one in so many.
const RENEW_IN_LAST: i32 = 3;

/// Why new keys or certificates are not taken up.
#[derive(Debug, Error)]
pub enum SuccessionError {
    /// They can't be read or moved.
    #[error("the files of the new keys can't be read or moved: {0}")]
    Files(#[from] std::io::Error),
    /// They don't fit each other.
    #[error("the authority's answer is not for these keys: {0}")]
    Credentials(#[from] InvalidCredentials),
    /// They are another node's.
    #[error("the authority's answer is for `{0}`, not for this node")]
    OtherNode(String),
    /// Peers would refuse them.
    #[error("peers would not let this node in with them: {0}")]
    Peer(#[from] InvalidPeer),
    /// Nobody would believe what the key signs.
    #[error("the trust bundle (version {0}) does not list the new member key yet")]
    NotListed(u64),
    /// libp2p can't change its identity while it runs.
    #[error("they have a new libp2p identity, which is taken up when the node is started again")]
    Restart,
    /// TLS can't be set up with them.
    #[error("TLS can't be set up with them: {0}")]
    Tls(rustls::Error),
    /// The ledger can't be closed.
    #[error(transparent)]
    Ledger(#[from] InvalidLedger),
    /// The ends could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They could not be written down.
    #[error("the hand-over can't be written: {0}")]
    Encoding(#[from] serde_json::Error),
    /// It can't be signed.
    #[error(transparent)]
    Handover(#[from] InvalidHandover),
    /// A request can't be made.
    #[error(transparent)]
    Request(#[from] InvalidRequest),
}

/// Whether these credentials can take the place of those: of the same node, and as the trust bundle lists them.
fn fits(
    next: &NodeCredentials,
    used: &NodeCredentials,
    bundle: &VerifiedBundle,
    now: OffsetDateTime,
) -> Result<(), SuccessionError> {
    let name = |of: &NodeCredentials| format!("{}/{} of {}", of.member(), of.node_name(), of.trust_domain());
    if name(next) != name(used) {
        return Err(SuccessionError::OtherNode(name(next)));
    }
    let listed = bundle.member(next.member()).map(|entry| entry.key);
    if listed != Some(next.member_key().public()) {
        return Err(SuccessionError::NotListed(bundle.version()));
    }
    authenticate(&next.node_chain(), bundle, now)?;
    Ok(())
}

/// Up to where the key in use has signed the own log and the ledger.
fn ends(store: &dyn Store, origin: &Origin, ledger: Vec<(String, LogEnd)>) -> Result<Handover, StoreError> {
    let mut ends: BTreeMap<String, LogEnd> = ledger.into_iter().collect();
    if let Some(head) = store.head(origin)? {
        ends.insert(origin.log.to_string(), end(head.size(), &head.frontier.root()));
    }
    Ok(Handover {
        ends,
        ..Handover::default()
    })
}

/// Keeps the ends of the key in use, durably, before another takes its place.
fn keep_ends(store: &dyn Store, used: &MemberKey, ends: &Handover) -> Result<(), SuccessionError> {
    let key = format!("{ENDS_PREFIX}{}", used.public().to_base64());
    Ok(store.append(Batch::new().set(key, serde_json::to_vec(ends)?))?)
}

/// Takes up at the start what became ready while the node was down; `None` if there is nothing.
pub(super) fn at_start(
    config: &Config,
    used: &NodeCredentials,
    bundle: &VerifiedBundle,
    now: OffsetDateTime,
    store: &Arc<dyn Store>,
    origin: &Origin,
) -> Result<Option<NodeCredentials>, SuccessionError> {
    let place = Next::of(config);
    let Some(next) = place.credentials(config)? else {
        return Ok(None);
    };
    let next = next?;
    fits(&next, used, bundle, now)?;
    if next.member_key().public() != used.member_key().public() {
        let line = Line::new(bundle.trust_domain(), used.member(), used.node_name());
        let keys = bundle.member(used.member()).map(|entry| entry.keys.clone());
        let keys = keys.unwrap_or_else(|| used.member_key().public().into());
        let ledger = Ledger::open(store.clone(), line, used.member_key().clone(), keys)?.ends();
        let ends = ends(&**store, origin, ledger)?;
        keep_ends(&**store, used.member_key(), &ends)?;
    }
    place.commit()?;
    place.finish(config)?;
    tracing::info!("new keys or certificates taken up");
    Ok(Some(next))
}

impl Node {
    /// Takes up what the authority answered, if it is there and counts; asks for new certificates well before they end.
    pub(super) async fn succeed(&self) {
        let node = self.clone();
        let taken = tokio::task::spawn_blocking(move || node.take_up()).await;
        let refused = match taken {
            Ok(Ok(changed)) => {
                if changed
                    && let Some(links) = &*self.0.links.read().await
                    && let Err(error) = links.set_identity(self.credentials())
                {
                    tracing::error!(%error, "the links did not take the new certificate");
                }
                None
            }
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some("taking up new keys broke down; this is a fault of icomm".to_owned()),
        };
        let mut known = self
            .0
            .unsucceeded
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(refused) = refused.as_ref().filter(|refused| known.as_ref() != Some(*refused)) {
            tracing::warn!(reason = refused, "new keys or certificates are not taken up yet");
        }
        *known = refused;
    }

    /// Whether something was taken up. Blocks on the disk.
    fn take_up(&self) -> Result<bool, SuccessionError> {
        let (inner, used, now) = (&self.0, self.credentials(), self.0.environment.clock.now());
        let place = Next::of(&inner.config);
        let Some(next) = place.credentials(&inner.config)? else {
            Self::ask_in_time(&place, &used, now)?;
            return Ok(false);
        };
        let next = next?;
        if next.peer_id() != used.peer_id() {
            return Err(SuccessionError::Restart);
        }
        fits(&next, &used, &self.bundle(), now)?;
        if next.member_key().public() == used.member_key().public() {
            place.commit()?;
        } else {
            let (origin, ledger) = (self.own_origin(), inner.exchange.ledger());
            inner.issuer.pause(|| {
                ledger.pause(|ledger| {
                    let ends = ends(&*inner.store, origin, ledger)?;
                    keep_ends(&*inner.store, used.member_key(), &ends)?;
                    place.commit()?;
                    inner.exchange.local().key.succeed(next.member_key().clone());
                    Ok::<_, SuccessionError>(())
                })
            })??;
        }
        place.finish(&inner.config)?;
        let until = next.enrolment().node_certificate().validity().not_after();
        tracing::info!(%until, key = %next.member_key().public(), "new keys or certificates taken up; links stay up");
        metrics::counter!("icomm_successions_total").increment(1);
        inner.credentials.store(next.into());
        inner.exchange.sign_answers_again()?;
        self.hand_over()?;
        Ok(true)
    }

    /// Writes, for the authority, up to where each former key counts that this node has signed with.
    pub(super) fn hand_over(&self) -> Result<(), SuccessionError> {
        let inner = &self.0;
        let key = inner.exchange.local().key.key();
        for (name, kept) in inner.store.scan_state(ENDS_PREFIX)? {
            let former = name.strip_prefix(ENDS_PREFIX).unwrap_or_default();
            let Ok(former) = icomm_pki::MemberPublicKey::from_base64(former) else {
                continue;
            };
            let place = Next::of(&inner.config).handover(&former);
            if former == key.public() || place.exists() {
                continue;
            }
            let mut handover: Handover = serde_json::from_slice(&kept)?;
            handover.documents = inner.exchange.law().signed_documents()?;
            handover.documents.extend(inner.exchange.signed_consents());
            let member = inner.exchange.local().member.clone();
            let statement = HandoverStatement::sign(member, former, handover, &key)?;
            next::replace(&place, &statement.to_bytes(), 0o644)?;
            tracing::warn!(
                file = %place.display(),
                "the authority must be told up to where the former member key counts: send it this file for `icomm pki retire`"
            );
        }
        Ok(())
    }

    /// Writes a request for new certificates of the same keys, when a third of the time is left of those in use.
    fn ask_in_time(place: &Next, used: &NodeCredentials, now: OffsetDateTime) -> Result<(), SuccessionError> {
        let enrolment = used.enrolment();
        let validities = [
            enrolment.node_certificate().validity(),
            enrolment.member_certificate().validity(),
        ];
        let left = validities.map(|validity| validity.not_after() - now);
        metrics::gauge!("icomm_certificate_seconds_left")
            .set(left.into_iter().min().unwrap_or_default().as_seconds_f64());
        let due = validities
            .iter()
            .zip(left)
            .any(|(validity, left)| left < (validity.not_after() - validity.not_before()) / RENEW_IN_LAST);
        if !due || place.folder().exists() {
            return Ok(());
        }
        let (domain, member, node) = (used.trust_domain(), used.member(), used.node_name());
        let request = EnrolmentRequest::new(domain, member, node, used.member_key(), used.node_key())?;
        place.ask(&request.to_pem())?;
        tracing::warn!(
            file = %place.request().display(),
            fingerprint = %request.fingerprint(),
            "the certificates end soon: send the authority this request, and `icomm key install` its answer"
        );
        Ok(())
    }

    /// What `icomm doctor` says of keys that are about to change.
    pub(super) fn succession_checks(&self) -> Vec<Check> {
        let place = Next::of(&self.0.config);
        let mut checks = Vec::new();
        let refused = self
            .0
            .unsucceeded
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(refused) = &*refused {
            checks.push(check(
                "new keys",
                Level::Warning,
                refused,
                "`icomm pki update` with a bundle that lists them, or ask the authority again; the node takes them up by itself",
            ));
        } else if place.request().exists() {
            let finding = format!("`{}` waits for the authority's answer", place.request().display());
            checks.push(check(
                "new keys",
                Level::Warning,
                &finding,
                "`icomm key install` takes the answer",
            ));
        }
        let keys = self.0.exchange.law().member_keys(&self.0.exchange.local().member);
        let open = keys
            .iter()
            .flat_map(|keys| keys.former())
            .filter(|former| former.handover().is_none());
        for former in open.filter(|former| place.handover(&former.key()).exists()) {
            let finding = format!(
                "the former member key {} still counts for whatever it signs",
                former.key()
            );
            let advice = format!(
                "send `{}` to the authority, which runs `icomm pki retire`",
                place.handover(&former.key()).display()
            );
            checks.push(check("former key", Level::Warning, &finding, &advice));
        }
        checks
    }
}

#[cfg(test)]
mod tests;
