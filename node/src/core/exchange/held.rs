//! What the store holds, as a replica compares it with what comes in.

use bytes::Bytes;
use icomm_proto::log::Hash;
use icomm_proto::{Origin, SectionSet};

use crate::core::delivery;
use crate::core::replica::{Held, HeldError, History};
use crate::store::{Batch, Store, StoreError};

/// What the store holds, as a replica compares it.
pub(super) struct StoreHeld<'a>(pub(super) &'a dyn Store);

impl Held for StoreHeld<'_> {
    fn held(&self, origin: &Origin, from: u64, to: u64) -> Result<Vec<(Hash, SectionSet)>, HeldError> {
        self.wait_for(origin, to)?;
        let mut held = Vec::new();
        let mut next = from;
        while next < to {
            let Some(stretch) = self.0.read(origin, next, delivery::READ_LIMIT)? else {
                break;
            };
            next = stretch.end.size();
            for item in stretch.items {
                held.push(delivery::facts(item)?);
            }
        }
        held.truncate(usize::try_from(to - from).unwrap_or(usize::MAX));
        Ok(held)
    }

    fn history(&self, origin: &Origin, size: u64) -> Result<Option<History>, HeldError> {
        self.wait_for(origin, size)?;
        Ok(History::of(self.0, origin, size)?)
    }
}

impl StoreHeld<'_> {
    /// Entries that were verified may still be on their way to the disk.
    fn wait_for(&self, origin: &Origin, size: u64) -> Result<(), StoreError> {
        if self.0.head(origin)?.is_none_or(|head| head.size() < size) {
            self.0.append(Batch::new().set("barrier", Bytes::new()))?;
        }
        Ok(())
    }
}
