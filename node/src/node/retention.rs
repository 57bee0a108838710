//! Retention in a running node: what is due is done at the start and after every midnight, UTC, and told beforehand.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use icomm_policy::agreement::Expiry as Then;
use thiserror::Error;

use super::Node;
use super::checks::{Check, Level, check};
use crate::core::delivery::DeliveryError;
use crate::core::exchange::{Sweep, Swept, Term};
use crate::core::retention::DAY_S;

/// Why nothing can be said of what is due, or done about it.
#[derive(Debug, Error)]
pub enum RetentionError {
    /// The store fails, or a view in it can't be read.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// It is being done already.
    #[error("what is due is being gone over already; try again in a moment")]
    Busy,
}

/// What the last look found.
#[derive(Default)]
pub(super) struct Due {
    // Held by whoever erases.
    working: Mutex<()>,
    last: Mutex<Last>,
}

#[derive(Default, Clone)]
struct Last {
    /// The day on which it was begun.
    day: Option<u64>,
    swept: Swept,
    failed: Option<String>,
}

impl Due {
    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        // Every change is made in one step.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// Seconds since 1970, by the node's clock.
    pub fn now(&self) -> u64 {
        self.0.exchange.now()
    }

    /// What is over, and what will be; as if it were `as_of` (seconds since 1970), or now. Changes nothing.
    ///
    /// # Errors
    /// The store fails.
    pub fn retention_terms(&self, as_of: Option<u64>, notice_days: Option<u32>) -> Result<Swept, RetentionError> {
        let sweep = Sweep {
            now: as_of.unwrap_or_else(|| self.now()),
            notice_days: notice_days.unwrap_or(self.0.config.retention.notice_days),
            act: false,
        };
        Ok(self.0.exchange.sweep(sweep)?)
    }

    /// Erases or shuts away what is over now.
    ///
    /// # Errors
    /// The store fails, or it is being done already.
    pub fn apply_retention(&self) -> Result<Swept, RetentionError> {
        let due = &self.0.retention;
        let Ok(_working) = due.working.try_lock() else {
            return Err(RetentionError::Busy);
        };
        let sweep = Sweep {
            now: self.0.exchange.now(),
            notice_days: self.0.config.retention.notice_days,
            act: true,
        };
        let swept = self.0.exchange.sweep(sweep);
        let mut last = due.last();
        last.failed = swept.as_ref().err().map(ToString::to_string);
        let swept = swept?;
        tell(&swept, self.0.config.retention.notice_days);
        last.swept = Swept {
            terms: swept.terms.iter().filter(|term| !term.done).cloned().collect(),
            unknown: swept.unknown.clone(),
        };
        Ok(swept)
    }

    /// Does what is due once a day, beside everything else. A clock that is beyond the end of the trust bundle may be wrong, and
    /// what is erased does not come back: then it is left to the operator.
    pub(super) fn sweep_daily(&self, bundle_is_live: bool) {
        let today = self.0.exchange.now() / DAY_S;
        let mut last = self.0.retention.last();
        if last.day == Some(today) || !bundle_is_live {
            return;
        }
        last.day = Some(today);
        drop(last);
        let node = self.clone();
        tokio::task::spawn_blocking(move || match node.apply_retention() {
            Ok(_) | Err(RetentionError::Busy) => {}
            Err(error) => tracing::error!(%error, "what is due can't be erased; it is tried again tomorrow"),
        });
    }

    pub(super) fn retention_checks(&self) -> Vec<Check> {
        let last = self.0.retention.last().clone();
        let name = "retention";
        if let Some(failed) = &last.failed {
            let advice = "`icomm retention run` tries again; look at the store";
            return vec![check(
                name,
                Level::Error,
                &format!("what is over can't be erased: {failed}"),
                advice,
            )];
        }
        let mut checks = Vec::new();
        let unknown: u64 = last.swept.unknown.iter().map(|unknown| unknown.entries).sum();
        if unknown > 0 {
            let finding = format!("{unknown} entries of which no agreement here says how long they may be kept");
            let advice = "`icomm retention list` shows them; ask who sent them under which agreement";
            checks.push(check(name, Level::Warning, &finding, advice));
        }
        let days = self.0.config.retention.notice_days;
        let terms = &last.swept.terms;
        checks.push(match terms.iter().map(|term| term.over).min() {
            None => check(name, Level::Ok, &format!("nothing is over within {days} days"), ""),
            Some(first) => {
                let entries: u64 = terms.iter().map(|term| term.entries).sum();
                let finding = format!(
                    "the time for {entries} entries is over within {days} days, the first on {}",
                    day(first)
                );
                let advice = "`icomm retention list` shows them; renew the agreement if they have to be kept";
                check(name, Level::Warning, &finding, advice)
            }
        });
        checks
    }
}

/// A day as people write it.
fn day(number: u64) -> String {
    let moment = icomm_pki::moment_at(number.saturating_mul(DAY_S));
    moment.map_or_else(|| number.to_string(), |moment| moment.date().to_string())
}

/// In the log and the metrics: what was done, and what will be over.
fn tell(swept: &Swept, notice_days: u32) {
    let mut soon: BTreeMap<String, u64> = BTreeMap::new();
    for Term {
        origin,
        via,
        basis,
        then,
        over,
        entries,
        done,
        sections,
    } in &swept.terms
    {
        let (over, then) = (
            day(*over),
            match then {
                Then::Erase => "erased",
                Then::Restrict => "shut away",
            },
        );
        match done {
            true => tracing::info!(%origin, %via, basis, %sections, over, then, entries, "time was over"),
            false => {
                tracing::warn!(%origin, %via, basis, %sections, over, then, entries, "time will be over");
                *soon.entry(origin.to_string()).or_default() += entries;
            }
        }
    }
    for origin in swept.terms.iter().map(|term| term.origin.to_string()) {
        soon.entry(origin).or_default();
    }
    for (origin, entries) in soon {
        // Far below 2^52.
        metrics::gauge!("icomm_retention_due_entries", "origin" => origin, "days" => notice_days.to_string())
            .set(entries as f64);
    }
    let unknown: u64 = swept.unknown.iter().map(|unknown| unknown.entries).sum();
    metrics::gauge!("icomm_retention_unknown_entries").set(unknown as f64);
    if unknown > 0 {
        tracing::warn!(
            entries = unknown,
            "no agreement here says how long these entries may be kept"
        );
    }
}
