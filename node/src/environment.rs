//! Where time and randomness enter the program. Everything below the shell gets them from here, so that a simulation
//! can supply its own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use time::OffsetDateTime;

/// Tells the time. Order never depends on it: logs do that; clocks decide validity only.
pub trait Clock: Send + Sync {
    /// The current time, UTC.
    fn now(&self) -> OffsetDateTime;
}

/// Fills buffers with unpredictable bytes: salts, nonces, record ids, jitter.
pub trait Entropy: Send + Sync {
    /// Fills `out`.
    fn fill(&self, out: &mut [u8]);
}

/// The clock and the random source a node runs on.
#[derive(Clone)]
pub struct Environment {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub entropy: Arc<dyn Entropy>,
}

impl Environment {
    /// The operating system's clock and a cryptographic random source seeded by it.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// The current time, UTC.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Even random bits, for jitter.
    pub fn roll(&self) -> u64 {
        let mut bits = [0; 8];
        self.entropy.fill(&mut bits);
        u64::from_le_bytes(bits)
    }

    /// Seconds since 1970.
    pub fn unix_now(&self) -> u64 {
        u64::try_from(self.clock.now().unix_timestamp()).unwrap_or(0)
    }
}

/// TLS judges certificates by the node's clock, like everything else.
impl TimeProvider for Environment {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.unix_now())))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment(..)")
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place where the process's random source is named"
    )]
    fn fill(&self, out: &mut [u8]) {
        use rand::Rng;
        rand::rng().fill_bytes(out);
    }
}
