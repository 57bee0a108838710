//! The ledger of a running node: signed while it works, verified when it starts and when somebody asks.

use super::checks::{Check, Level, check};
use super::{DisclosuresError, Node};
use crate::causes::chain;
use crate::core::exchange::{Conflict, Former, Holder};
use crate::core::ledger::epoch::Epochs;
use crate::core::ledger::{BeginError, InvalidLedger, LedgerHead};

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
    /// Where it began anew, and what is lost.
    pub epochs: Epochs,
    /// Who keeps its head, of those that are linked.
    pub holders: Vec<Holder>,
    /// Ledgers of others, kept here, that contradicted themselves.
    pub conflicts: Vec<Conflict>,
    /// Ledgers of others, kept here, that began anew.
    pub began_anew: Vec<(String, Vec<Former>)>,
}

/// How long `icomm doctor` goes on saying that another's ledger began anew.
const TOLD_SECONDS: u64 = 30 * 24 * 3600;

impl Node {
    /// Signs the notes of disclosures that came since the last time, and hands what grew to those who keep it: when it is
    /// time, or at once.
    pub(super) async fn sign_ledger(&self, at_once: bool) {
        let exchange = self.0.exchange.clone();
        let signing = tokio::task::spawn_blocking(move || {
            let signed = exchange.ledger().sign();
            exchange.hand_out(at_once);
            signed
        });
        match signing.await {
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
            line: ledger.line(),
            notes: self.disclosures_len()?,
            head,
            fault,
            epochs: ledger.epochs(),
            holders: self.0.exchange.holders(),
            conflicts: self.0.exchange.conflicts()?,
            began_anew: self.0.exchange.began_anew()?,
        })
    }

    /// Where the disclosure log began anew, and what is lost.
    pub fn ledger_epochs(&self) -> Epochs {
        self.0.exchange.ledger().epochs()
    }

    /// An officer accepts that notes of disclosures are lost. Blocks on the disk.
    ///
    /// # Errors
    /// Nobody holds more of them than is here, or the log can't begin anew.
    pub fn accept_lost_notes(&self, reason: &str) -> Result<(), BeginError> {
        self.0.exchange.accept_lost_notes(reason)
    }

    /// What `icomm doctor` says about it and about those that are kept for others: what is known, nothing is read.
    pub(super) fn ledger_checks(&self) -> Vec<Check> {
        let exchange = &self.0.exchange;
        let mut checks = vec![self.own_ledger_check()];
        match exchange.conflicts() {
            Ok(conflicts) => checks.extend(conflicts.iter().map(|Conflict { name, .. }| {
                check(
                    &format!("disclosure log of {name}"),
                    Level::Error,
                    "what it signed does not go on from what it signed before",
                    "ask that member; `icomm audit verify` prints both checkpoints",
                )
            })),
            Err(error) => checks.push(check("disclosure logs", Level::Error, &chain(&error), "mend the store")),
        }
        let now = self.0.environment.unix_now();
        for (name, former) in exchange.began_anew().unwrap_or_default() {
            if let Some(former) = former
                .last()
                .filter(|former| now.saturating_sub(former.since) < TOLD_SECONDS)
            {
                checks.push(check(
                    &format!("disclosure log of {name}"),
                    Level::Warning,
                    &format!(
                        "it began anew: of {} notes that it signed before, {} are known to be there still",
                        former.signed, former.unchanged
                    ),
                    "ask that member whether it restored a backup; `icomm audit verify` prints what it signed",
                ));
            }
        }
        checks
    }

    fn own_ledger_check(&self) -> Check {
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
                match fault.is_told_by_others() {
                    true => {
                        "find out who changed the store, or from which copy it came; if it was put back to an older state on \
                         purpose, `icomm restore disclosures` lets it go on and keeps saying so"
                    }
                    false => {
                        "find out who changed the store, or from which copy it came; `icomm audit verify` says what is known"
                    }
                },
            ),
        }
    }
}
