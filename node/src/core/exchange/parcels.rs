//! What parcels ask of the exchange beside what sessions do.

use icomm_proto::v1;

use super::{Exchange, Link};
use crate::core::session::Peer;
use crate::store::{Store, StoreError};

impl Exchange {
    /// Where everything is kept.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// A receipt for every log of which this peer has sent something, as far as it has and as it is held now; none while
    /// the key does not sign. Blocks on it.
    pub fn owed_receipts(&self, link: &Link) -> Result<Vec<v1::Receipt>, StoreError> {
        let Peer { member, .. } = &link.peer;
        let mut receipts = Vec::new();
        for origin in self.heads.all().into_keys() {
            let sent = self.stored_cursor(&origin, member);
            let boundary = match sent {
                0 => None,
                sent => self.store.boundary(&origin, sent)?,
            };
            if let Some(boundary) = boundary {
                let root = boundary.frontier.root();
                match self.signed_receipt(&origin, boundary.size(), root) {
                    Ok(receipt) => receipts.push(receipt),
                    Err(error) => {
                        // The next parcel says it.
                        tracing::error!(%error, peer = %member, "a parcel goes without receipts");
                        break;
                    }
                }
            }
        }
        Ok(receipts)
    }
}
