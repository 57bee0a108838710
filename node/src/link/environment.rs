//! What links take from outside instead of asking the machine: the time for validity checks, and chance for jitter.

use std::{fmt, sync::Arc};

use time::OffsetDateTime;

/// The clock and the dice of a node, injected so that tests decide both.
#[derive(Clone)]
pub struct Environment {
    clock: Arc<dyn Fn() -> OffsetDateTime + Send + Sync>,
    dice: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl Environment {
    /// `clock` tells the time for validity checks (certificates, revocation lists, bundle); `dice` gives 64 even
    /// random bits a call, for jitter.
    pub fn new(
        clock: impl Fn() -> OffsetDateTime + Send + Sync + 'static,
        dice: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            clock: Arc::new(clock),
            dice: Arc::new(dice),
        }
    }

    pub(super) fn now(&self) -> OffsetDateTime {
        (self.clock)()
    }

    pub(super) fn roll(&self) -> u64 {
        (self.dice)()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment(..)")
    }
}
