//! The node's clock as rustls reads it.

use std::time::Duration;

use icomm_pki::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::environment::Environment;

#[derive(Debug)]
pub(super) struct Clock(pub(super) Environment);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.unix_now())))
    }
}
