use std::time::{Duration, SystemTime, UNIX_EPOCH};

use phoenix_component::Now;
use tokio::time::Instant;

/// The engine's clock: the one place where components' time comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock { epoch: Instant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { monotonic: self.epoch.elapsed(), unix_nanos: unix.as_nanos() as u64 }
    }

    /// The runtime's instant for a monotonic time.
    pub(crate) fn instant(&self, monotonic: Duration) -> Instant {
        self.epoch + monotonic
    }
}
