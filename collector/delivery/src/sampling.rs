//! Lets the first records of a kind through, then every hundredth: a backend that is down under load must
//! not fill the disk with logs.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

/// Records that pass in each window, as otelcol's logger is set.
const FIRST: u64 = 10;
/// After those, each one of this many.
const THEREAFTER: u64 = 100;
const WINDOW: Duration = Duration::from_secs(10);

/// Counts records of one kind.
#[derive(Default)]
pub(crate) struct Sampling(Mutex<Option<(Instant, u64)>>);

impl Sampling {
    /// Whether the record of `now` is to be written.
    pub(crate) fn passes(&self, now: Instant) -> bool {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, seen) = window.get_or_insert((now, 0));
        if now.saturating_duration_since(*began) >= WINDOW {
            (*began, *seen) = (now, 0);
        }
        *seen += 1;
        *seen <= FIRST || (*seen - FIRST).is_multiple_of(THEREAFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_a_trickle_and_silence_resets_it() {
        let (sampling, start) = (Sampling::default(), Instant::now());
        let passed = (0..1010).filter(|_| sampling.passes(start)).count();
        assert_eq!(passed, 20);
        assert!(sampling.passes(start + WINDOW));
    }
}
