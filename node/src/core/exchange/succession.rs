//! What a new trust bundle changes for what is held already: keys that were handed over, or stolen.

use std::sync::atomic::Ordering;

use super::Exchange;

impl Exchange {
    /// Looks again at what was verified under an older bundle. Cheap when it is the same.
    pub(super) fn follow_bundle(&self) {
        let version = self.law.bundle().version();
        if self.followed.swap(version, Ordering::AcqRel) == version {
            return;
        }
        self.reconsider_cosigned();
        self.reconsider_forks();
    }
}
