//! The seat of the member's key: who signs for the member asks it anew every time, so that a new key can take its place
//! while the node works.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use icomm_pki::MemberKey;

/// Where the key sits that the member signs with now. Clones are the same seat.
#[derive(Clone)]
pub struct Seat(Arc<ArcSwap<MemberKey>>);

impl Seat {
    /// The key that signs now.
    pub fn key(&self) -> Arc<MemberKey> {
        self.0.load_full()
    }

    /// Another key signs from now on. Whoever calls it has seen to it that nothing is being signed for a log.
    pub fn succeed(&self, key: MemberKey) {
        self.0.store(Arc::new(key));
    }
}

impl From<MemberKey> for Seat {
    fn from(key: MemberKey) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(key)))
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seat(..)")
    }
}
