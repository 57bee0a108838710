//! Whether the own log is whole: asked at the start, kept in the mark, told to operators.

use std::sync::Arc;

use icomm_proto::Origin;

use super::checks::{Check, Level, check};
use super::mark::Mark;
use super::{Node, StartError};
use crate::backup::RestoredMark;
use crate::config::Config;
use crate::core::exchange::{Exchange, FinishError, MissingPage, OwnStatus, RESTORED_KEY, Why};
use crate::store::{Store, StoreError};

/// Makes the exchange watch the own log, with what speaks against it already at the start.
pub(super) fn guard(
    config: &Config,
    store: &Arc<dyn Store>,
    exchange: &Exchange,
    origin: &Origin,
) -> Result<(), StartError> {
    let mut found = Vec::new();
    if let Some(mark) = store.state(RESTORED_KEY)? {
        let mark: Option<RestoredMark> = serde_json::from_slice(&mark).ok();
        let (backup, taken) = mark.map(|mark| (mark.backup, mark.taken)).unwrap_or_default();
        found.push(Why::Restored { backup, taken });
    }
    if let Some(Mark { size, root, .. }) = Mark::read(&Mark::path(&config.store.key), origin) {
        found.extend(exchange.judge_mark(origin, size, root)?);
    }
    Ok(exchange.guard(origin.clone(), found)?)
}

impl Node {
    /// How the own log stands. Blocks on the disk.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn own_status(&self) -> Result<OwnStatus, StoreError> {
        self.0.exchange.own_status()
    }

    /// What came back in part or not at all, from an index on. Blocks on the disk.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn missing(&self, from: u64) -> Result<MissingPage, StoreError> {
        self.0.exchange.missing(from)
    }

    /// An officer declares that nothing more of the own log will come. Blocks on the disk.
    ///
    /// # Errors
    /// Going on would sign a second history, or somebody was not heard and that was not accepted.
    pub fn finish_recovery(&self, accept_missing: bool) -> Result<OwnStatus, FinishError> {
        let status = self.0.exchange.finish_recovery(accept_missing)?;
        tracing::warn!(
            accept_missing,
            held = status.held,
            "an officer declared the recovery to be over"
        );
        Ok(status)
    }

    /// Writes down how much of the own log is signed, if that is certain and changed.
    pub(super) fn keep_mark(&self, kept: &mut Option<Mark>) {
        let (inner, origin) = (&self.0, self.own_origin());
        if inner.exchange.may_append().is_err() {
            return;
        }
        let Some(head) = inner.exchange.head(origin) else {
            return;
        };
        let mark = Mark {
            origin: origin.clone(),
            size: head.size,
            root: head.root,
        };
        if kept.as_ref() == Some(&mark) {
            return;
        }
        match mark.write(&Mark::path(&inner.config.store.key)) {
            Ok(()) => *kept = Some(mark),
            // The partners know it too.
            Err(error) => tracing::warn!(%error, "the mark of what was signed can't be written"),
        }
    }

    /// Why nothing is issued, if so and not only for the moment.
    pub(super) fn own_log_fault(&self) -> Option<String> {
        use crate::core::exchange::NotCleared;
        match self.0.exchange.may_append() {
            Ok(()) | Err(NotCleared::Asking) => None,
            Err(fault) => Some(fault.to_string()),
        }
    }

    pub(super) fn own_log_check(&self) -> Check {
        let name = format!("own log {}", self.own_origin());
        let size = self.0.exchange.head(self.own_origin()).map_or(0, |head| head.size);
        match self.own_log_fault() {
            None => check(&name, Level::Ok, &format!("{size} entries, none unaccounted for"), ""),
            Some(fault) => check(
                &name,
                Level::Error,
                &fault,
                "`icomm restore status` says what is missing and who was not heard",
            ),
        }
    }
}
