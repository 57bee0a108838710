//! Retention in a running node: what is due is done at the start and after every midnight, UTC, and told beforehand.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use icomm_policy::agreement::Expiry as Then;
use icomm_proto::RecordId;
use thiserror::Error;

use super::checks::{Check, Level, check};
use super::proof::is_recipient;
use super::{HeldEntry, HoldingsError, Node, RECIPIENT_CHARS_MAX};
use crate::core::delivery::DeliveryError;
use crate::core::disclosure::{Note, Terms, seal};
use crate::core::exchange::{Sweep, Swept, Term};
use crate::core::retention::DAY_S;
use crate::store::{Batch, NoteLog, Place, Store, StoreError};

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

/// Why nothing that is shut away is shown.
#[derive(Debug, Error)]
pub enum RestrictedError {
    /// Nobody is named.
    #[error(
        "say who reads it and what for, in 1 to {RECIPIENT_CHARS_MAX} printable characters: it goes into the disclosure log"
    )]
    Reader,
    /// Of this record nothing is.
    #[error("nothing of the record `{0}` is shut away here")]
    Nothing(RecordId),
    /// What is held can't be read.
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
    /// The note can't be kept, so nothing is shown.
    #[error("the note of the disclosure can't be kept: {0}")]
    Note(#[from] StoreError),
    /// The same.
    #[error("the note of the disclosure can't be encoded: {0}")]
    Encoding(#[from] serde_json::Error),
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

    /// What is shut away of a record, for proceedings that were begun before its time was over. Notes who reads it first.
    ///
    /// # Errors
    /// Nobody is named, nothing of it is shut away, or the note can't be kept.
    pub fn open_restricted(&self, record: &RecordId, reader: &str) -> Result<Vec<HeldEntry>, RestrictedError> {
        if !is_recipient(reader) {
            return Err(RestrictedError::Reader);
        }
        let inner = &self.0;
        let (mut opened, mut notes) = (Vec::new(), Batch::new());
        for place in inner.store.find(record)? {
            let Place { origin, index } = &place;
            // Past what lies before the journal for everybody else.
            let Some(item) = inner.journal.entry(origin, *index)? else {
                continue;
            };
            let shown = self.view_at(&place)?.map(|view| view.sections()).unwrap_or_default();
            let whole = self.entry(origin, *index, item)?;
            let hidden = whole
                .view
                .as_ref()
                .map(|view| view.sections().difference(shown))
                .unwrap_or_default();
            if hidden.is_empty() {
                continue;
            }
            let mut note = Note::of_file(self.now(), reader, origin, *index);
            let which = note.which(Terms {
                bases: inner.exchange.expired_under(origin, *index)?.into_iter().collect(),
                sections: hidden.to_string(),
            });
            note.push(Some(which));
            let note = seal(&note.encode()?, &*inner.environment.entropy);
            notes = notes.note(NoteLog::disclosures(), note);
            opened.push(whole);
        }
        if opened.is_empty() {
            return Err(RestrictedError::Nothing(*record));
        }
        inner.store.append(notes)?;
        Ok(opened)
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
