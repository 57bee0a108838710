//! What the exchange remembers for retention: what came when, and what is over.
//!
//! ```text
//!   expired/KE/main/<sha256>            v1::Expiry of this node's own, of what is over here
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use icomm_pki::{MemberId, Role};
use icomm_proto::{Origin, SectionSet, v1};
use prost::Message;
use sha2::{Digest, Sha256};

use super::{Exchange, Local, lock};
use crate::core::replica::Accepted;
use crate::core::retention::{Came, DAY_S, Expired, Expiry, Receiving, begin, told};
use crate::store::{Batch, Placement, Store, StoreError};

const EXPIRED_PREFIX: &str = "expired/";

impl Exchange {
    /// By which grants this node's own time for an entry is over.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn expired_under(&self, origin: &Origin, index: u64) -> Result<BTreeSet<String>, StoreError> {
        let kept = self.store.scan_state(&format!("{EXPIRED_PREFIX}{origin}/"))?;
        let read = |(_, bytes): (String, Bytes)| Expiry::read(&v1::Expiry::decode(bytes).ok()?).ok();
        let words = kept.into_iter().filter_map(read);
        let of_entry = words.filter(|word| word.of(index) != Default::default());
        Ok(of_entry.flat_map(|word| word.bases).collect())
    }
}

/// Under which the node's own word of an expiry is kept.
pub(super) fn expired_key(signed: &v1::Expiry) -> String {
    format!("{EXPIRED_PREFIX}{}/{}", signed.origin, HEXLOWER.encode(&digest(signed)))
}

/// Names a word, whichever key of its member signed it.
pub(super) fn digest(word: &v1::Expiry) -> [u8; 32] {
    let unsigned = v1::Expiry {
        signature: Bytes::new(),
        ..word.clone()
    };
    Sha256::digest(unsigned.encode_to_vec()).into()
}

/// What came today, and what is over for good.
#[derive(Default)]
pub(super) struct Retaining {
    pub(super) receiving: Receiving,
    /// How many words of each member are kept for each log, once they were counted.
    pub(super) words: Mutex<BTreeMap<(Origin, MemberId), usize>>,
    expired: Mutex<BTreeMap<Origin, Arc<Expired>>>,
}

impl Retaining {
    /// As the store has it. For logs that were held before anybody wrote down what came when, today is that day.
    pub(super) fn open(store: &dyn Store, local: &Local, now: u64) -> Result<Self, StoreError> {
        // The global node holds open sections only, which are kept.
        if local.role != Role::Global {
            begin(store, &local.member, now / DAY_S)?;
        }
        let retaining = Self::default();
        for (key, bytes) in store.scan_state(EXPIRED_PREFIX)? {
            let message = v1::Expiry::decode(bytes).ok();
            match message.and_then(|message| Expiry::read(&message).ok()) {
                Some(expiry) => retaining.expire(&expiry),
                None => tracing::error!(key, "a stored expiry can't be read"),
            }
        }
        Ok(retaining)
    }

    /// What expired of a log; none if nothing did.
    pub(super) fn expired(&self, origin: &Origin) -> Option<Arc<Expired>> {
        lock(&self.expired).get(origin).cloned()
    }

    /// From now on nothing of this is stored any more.
    pub(super) fn expire(&self, expiry: &Expiry) {
        let mut expired = lock(&self.expired);
        Arc::make_mut(expired.entry(expiry.origin.clone()).or_default()).add(expiry);
    }
}

impl Exchange {
    /// Adds to the batch that stores a chunk what came of it, when and by whom.
    pub(super) fn came(
        &self,
        via: &MemberId,
        origin: &Origin,
        keep: Option<&v1::Keep>,
        accepted: &Accepted,
        batch: Batch,
    ) -> Result<Batch, StoreError> {
        if self.local.role == Role::Global {
            return Ok(batch);
        }
        let came = Came {
            origin,
            via,
            told: keep.and_then(told),
            day: self.now() / DAY_S,
        };
        let (store, receiving) = (&*self.store, &self.retaining.receiving);
        let mut batch = batch;
        let new = accepted
            .chunks
            .iter()
            .filter(|chunk| matches!(chunk.placement, Placement::Extends { .. }));
        for chunk in new {
            let entries = std::iter::once(chunk.from..chunk.end());
            batch = receiving.add(store, batch, &came, SectionSet::ALL, entries)?;
        }
        let mut brought: BTreeMap<SectionSet, Vec<Range<u64>>> = BTreeMap::new();
        for (index, sections) in &accepted.widened {
            let sections = sections.difference(SectionSet::open());
            if !sections.is_empty() {
                brought
                    .entry(sections)
                    .or_default()
                    .push(*index..index.saturating_add(1));
            }
        }
        for (sections, entries) in brought {
            batch = receiving.add(store, batch, &came, sections, entries.into_iter())?;
        }
        Ok(batch)
    }
}
