use std::time::Duration;

/// Waiting times between attempts of the engine's own retries: they grow by half up to half a minute,
/// spread by half either way so that many waiters do not come back at once.
pub(crate) struct Backoff {
    next: Duration,
}

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);

impl Backoff {
    pub(crate) fn new() -> Backoff {
        Backoff { next: FIRST }
    }

    /// The time to wait now, at least `asked_for`. `random` is uniform in `0.0..1.0`.
    pub(crate) fn wait(&mut self, asked_for: Option<Duration>, random: f64) -> Duration {
        let wait = self.next.mul_f64(0.5 + random);
        self.next = self.next.mul_f64(1.5).min(LONGEST);
        wait.max(asked_for.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_honour_what_was_asked_for() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.wait(None, 0.5), FIRST);
        assert_eq!(backoff.wait(None, 0.0), FIRST.mul_f64(0.75));
        assert_eq!(backoff.wait(Some(Duration::from_secs(90)), 0.5), Duration::from_secs(90));
        for _ in 0..30 {
            backoff.wait(None, 0.5);
        }
        assert_eq!(backoff.wait(None, 0.5), LONGEST);
    }
}
