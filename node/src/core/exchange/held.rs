//! What the store holds, as a replica compares it with what comes in.

use std::sync::Arc;

use bytes::Bytes;
use icomm_proto::log::Hash;
use icomm_proto::{Origin, SectionSet};

use crate::core::delivery;
use crate::core::recall::Voided;
use crate::core::replica::{Held, HeldError, History};
use crate::core::retention::Expired;
use crate::store::{Batch, Store, StoreError};

/// What the store holds, as a replica compares it.
pub(super) struct StoreHeld<'a> {
    pub(super) store: &'a dyn Store,
    /// Whether wider views of the log may be on their way to the disk.
    pub(super) widening: bool,
    /// What is void of the log.
    pub(super) voided: Option<Arc<Voided>>,
    /// What expired of the log.
    pub(super) expired: Option<Arc<Expired>>,
}

impl Held for StoreHeld<'_> {
    fn held(&self, origin: &Origin, from: u64, to: u64) -> Result<Vec<(Hash, Option<SectionSet>)>, HeldError> {
        self.wait_for(origin, to)?;
        let mut held = Vec::new();
        let mut next = from;
        while next < to {
            let Some(stretch) = self.store.read(origin, next, delivery::READ_LIMIT)? else {
                break;
            };
            next = stretch.end.size();
            for item in stretch.items() {
                held.push(delivery::facts(item)?);
            }
        }
        held.truncate(usize::try_from(to - from).unwrap_or(usize::MAX));
        Ok(held)
    }

    fn voided(&self) -> Option<&Voided> {
        self.voided.as_deref()
    }

    fn expired(&self) -> Option<&Expired> {
        self.expired.as_deref()
    }

    fn history(&self, origin: &Origin, size: u64) -> Result<Option<History>, HeldError> {
        self.wait_for(origin, size)?;
        Ok(History::of(self.store, origin, size)?)
    }
}

/// Waits until everything that was handed to the store is durable.
pub(super) fn settle_store(store: &dyn Store) -> Result<(), StoreError> {
    store.append(Batch::new().set("barrier", Bytes::new()))
}

impl StoreHeld<'_> {
    /// What was verified may still be on its way to the disk.
    fn wait_for(&self, origin: &Origin, size: u64) -> Result<(), StoreError> {
        if self.widening || self.store.head(origin)?.is_none_or(|head| head.size() < size) {
            settle_store(self.store)?;
        }
        Ok(())
    }
}
