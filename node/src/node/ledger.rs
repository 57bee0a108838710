//! The ledger of a running node: signed while it works, verified when it starts and when somebody asks.

use super::checks::{Check, Level, check};
use super::{DisclosuresError, Node};
use crate::causes::chain;
use crate::core::ledger::{InvalidLedger, LedgerHead};

/// How the disclosure log stands.
#[derive(Debug, Clone)]
pub struct LedgerStatus {
    /// The name that its checkpoints carry.
    pub line: String,
    /// How many notes there are.
    pub notes: u64,
    /// How far they are signed.
    pub head: LedgerHead,
    /// What is wrong with it.
    pub fault: Option<InvalidLedger>,
}

impl Node {
    /// Signs the notes of disclosures that came since the last time.
    pub(super) async fn sign_ledger(&self) {
        let exchange = self.0.exchange.clone();
        match tokio::task::spawn_blocking(move || exchange.ledger().sign()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(error = chain(&error), "the disclosure log can't be signed"),
            Err(_) => tracing::error!("signing the disclosure log broke down; this is a fault of icomm"),
        }
    }

    /// Begins to verify the whole disclosure log, and says loudly what does not fit.
    pub(super) fn check_ledger(&self) {
        let exchange = self.0.exchange.clone();
        // Nobody waits for it.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = exchange.ledger().verify() {
                tracing::error!(error = chain(&error), "the disclosure log does not hold");
            }
        });
    }

    /// Signs, then reads and compares the whole disclosure log. Blocks on the disk.
    ///
    /// # Errors
    /// The store fails. A log that does not fit is no error here.
    pub fn verify_ledger(&self) -> Result<LedgerStatus, DisclosuresError> {
        let ledger = self.0.exchange.ledger();
        let (head, fault) = match ledger.verify() {
            Ok(head) => (head, None),
            Err(InvalidLedger::Store(error)) => return Err(error.into()),
            Err(fault) => (ledger.head(), Some(fault)),
        };
        Ok(LedgerStatus {
            line: ledger.line().to_owned(),
            notes: self.disclosures_len()?,
            head,
            fault,
        })
    }

    /// What `icomm doctor` says about it: what is known, nothing is read.
    pub(super) fn ledger_check(&self) -> Check {
        let ledger = self.0.exchange.ledger();
        match ledger.fault() {
            None => check(
                "disclosure log",
                Level::Ok,
                &format!("{} notes signed", ledger.head().size),
                "",
            ),
            Some(fault) => check(
                "disclosure log",
                Level::Error,
                &chain(&fault),
                "find out who changed the store, or from which copy it came; `icomm audit verify` says what is known",
            ),
        }
    }
}
