//! What a running node signs beside its commits, away from everything that must not wait: the key may be in a token.

use std::time::Duration;

use icomm_pki::{Domain, SigningError};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

use super::Node;
use super::checks::{Check, Level, check};
use crate::causes::chain;

/// How long a note of a disclosure stays unsigned at most, and the growth of a log without a cosignature.
const SIGN: Duration = Duration::from_secs(1);
/// How often a key in a token is tried while nothing is known against it. One that failed is tried at every [`SIGN`].
const TEST: Duration = Duration::from_secs(10);

impl Node {
    /// Signs what falls due until told to stop.
    pub(super) fn signing(&self, stop: CancellationToken) -> JoinHandle<()> {
        let node = self.clone();
        tokio::spawn(async move {
            let mut second = interval(SIGN);
            let mut test_at = Instant::now() + TEST;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = second.tick() => {
                        if node.key_fault().is_some() || Instant::now() >= test_at {
                            test_at = Instant::now() + TEST;
                            node.test_key().await;
                        }
                        // A key that was just found to be away is not asked again for everything that is owed.
                        if node.key_fault().is_none() {
                            node.sign_owed().await;
                            node.sign_ledger(false).await;
                        }
                    }
                    () = node.0.post.unsigned(), if node.key_fault().is_none() => node.sign_owed().await,
                }
            }
        })
    }

    /// Why the member's key did not sign the last time it was asked; none while it does.
    pub fn key_fault(&self) -> Option<SigningError> {
        self.0.exchange.local().key.key().fault()
    }

    /// Tries a key in a token, and says when that changed.
    pub(super) async fn test_key(&self) {
        let key = self.0.exchange.local().key.key().clone();
        if key.signs_at_once() {
            return;
        }
        let before = key.fault();
        // A panic in it is an outage too; the next attempt tells.
        let tested = spawn_blocking(move || key.sign(Domain::Test, b"").err()).await;
        match (before, tested.unwrap_or_default()) {
            (None, Some(fault)) => {
                tracing::error!(
                    error = chain(&fault),
                    "the member's key does not sign: nothing is issued or acknowledged"
                );
            }
            (Some(_), None) => {
                tracing::info!("the member's key signs again");
                // A key that is new may have been away when it took its place.
                let node = self.clone();
                if let Ok(Err(error)) = spawn_blocking(move || node.hand_over()).await {
                    tracing::error!(%error, "the hand-over of the former member key can't be written");
                }
            }
            _ => {}
        }
        let signs = self.key_fault().is_none();
        metrics::gauge!("icomm_member_key_signs").set(if signs { 1.0 } else { 0.0 });
    }

    /// Signs what waits for the key.
    async fn sign_owed(&self) {
        let exchange = self.0.exchange.clone();
        match spawn_blocking(move || exchange.sign_owed()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                metrics::gauge!("icomm_member_key_signs").set(0.0);
                tracing::error!(error = chain(&error), "what is owed to partners can't be signed");
            }
            Err(_) => tracing::error!("signing what is owed broke down; this is a fault of icomm"),
        }
    }

    /// What `icomm doctor` says about the member's key.
    pub(super) fn key_check(&self) -> Check {
        let key = self.0.exchange.local().key.key();
        match (key.fault(), key.signs_at_once()) {
            (None, true) => check("keys", Level::Ok, "keys and certificates belong together", ""),
            (None, false) => check("keys", Level::Ok, "the member key is in a token, and signs", ""),
            (Some(fault), _) => check("keys", Level::Error, &chain(&fault), advice(&fault)),
        }
    }
}

/// What to do about a key that does not sign.
fn advice(fault: &SigningError) -> &'static str {
    match fault {
        SigningError::Absent(_) => {
            "bring the token back; nothing is issued or acknowledged until then, nothing is lost"
        }
        SigningError::Locked(_) => {
            "put the right PIN in place; a refused one is not tried again, so that the token does not lock itself"
        }
        SigningError::Failed(_) => "look at the token and its module; it is tried again every second",
        SigningError::OtherKey { .. } => "put the right token or key label in place",
    }
}
