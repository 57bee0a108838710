//! What this node itself recalled before it was put back: whoever erased for it still has the order, and gives it back
//! before anything of the log.

use std::collections::BTreeMap;

use icomm_proto::{Origin, v1};

use super::Exchange;
use crate::core::exchange::Link;
use crate::core::recall::{Kept, Order, RECALLS_MAX, RECALLS_PREFIX, RecallKey};
use crate::core::replica::ChunkFault;
use crate::store::StoreError;

impl Exchange {
    /// The recalls that are known here of a log, for its originator. A recall is stored with its entry, so who has the
    /// entries before `from` knows the recalls among them, however many there have been.
    pub(in crate::core::exchange) fn own_recalls(&self, origin: &Origin, from: u64) -> Vec<v1::Recalls> {
        let kept = self.store.scan_state(&format!("{RECALLS_PREFIX}{origin}/"));
        let kept = kept.unwrap_or_else(|error| {
            tracing::error!(%origin, %error, "the recalls of a log can't be read");
            Vec::new()
        });
        let orders: Vec<v1::Recall> = kept
            .iter()
            .filter_map(|(_, bytes)| Kept::decode(bytes))
            .map(|kept| kept.order)
            .filter(|order| order.index >= from)
            .collect();
        let frame = |recalls: &[v1::Recall]| v1::Recalls {
            recalls: recalls.to_vec(),
            more: false,
        };
        orders.chunks(RECALLS_MAX).map(frame).collect()
    }

    /// A peer says what this node recalled: what is not known here any more is erased again, and owed again.
    pub(in crate::core::exchange) fn recalled_before(&self, link: &Link, recalls: v1::Recalls) {
        let mut lost: BTreeMap<Origin, Vec<(Order, v1::Recall)>> = BTreeMap::new();
        for recall in recalls.recalls {
            match self.own_order(&recall) {
                Ok(Some(order)) => lost.entry(order.origin().clone()).or_default().push((order, recall)),
                Ok(None) => {}
                Err(fault) => {
                    tracing::warn!(peer = %link.peer().member, %fault, "a recall that is said to be this node's was refused");
                }
            }
        }
        let taken = || -> Result<(), StoreError> {
            for (origin, orders) in lost {
                let key = |order: &Order| (origin.clone(), order.head().record_id);
                let keys: Vec<RecallKey> = orders.iter().map(|(order, _)| key(order)).collect();
                tracing::info!(%origin, recalls = keys.len(), "own recalls are done again");
                self.take_recalls(&origin, orders, None)?;
                self.trace(&keys)?;
            }
            Ok(())
        };
        if let Err(error) = taken() {
            tracing::error!(%error, "own recalls could not be done again; the next link brings them");
        }
    }

    /// An order that this node signed, if its log is being recovered and the order is not known.
    fn own_order(&self, recall: &v1::Recall) -> Result<Option<Order>, ChunkFault> {
        let Some(origin) = recall
            .origin
            .parse()
            .ok()
            .filter(|origin| self.own.is_recovering(origin))
        else {
            return Ok(None);
        };
        let keys = self.keys_of(&origin)?;
        let order = match Order::verify(recall, &origin.line(&self.law.trust_domain()), &keys) {
            Ok(order) => order,
            Err(error) => {
                tracing::warn!(%error, "an order that is said to be this node's is not");
                return Ok(None);
            }
        };
        let known = Kept::of(&*self.store, &(origin, order.head().record_id))?;
        Ok((!known.is_some_and(|known| known.void().includes(&order.void()))).then_some(order))
    }
}
