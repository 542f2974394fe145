//! Which requests are written, so that a flood of them does not become a flood of text.

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Lets the first requests of each second through, and then one in so many: zap's sampler.
#[derive(Debug)]
pub(crate) struct Sampler {
    initial: u64,
    thereafter: u64,
    seen: u64,
    /// The end of the second that counts now; each begins with a request.
    until: Option<Duration>,
}

impl Sampler {
    pub(crate) fn new(initial: u32, thereafter: u32) -> Sampler {
        Sampler { initial: initial.into(), thereafter: thereafter.into(), seen: 0, until: None }
    }

    /// Whether the request at `now` (monotonic) is written.
    pub(crate) fn takes(&mut self, now: Duration) -> bool {
        if self.until.is_none_or(|until| now > until) {
            self.until = Some(now + SECOND);
            self.seen = 0;
        }
        self.seen += 1;
        let after = self.seen.saturating_sub(self.initial);
        after == 0 || (self.thereafter > 0 && after.is_multiple_of(self.thereafter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_first_and_then_one_in_so_many_of_each_second() {
        let taken = |initial, thereafter, times: &[u64]| {
            let mut sampler = Sampler::new(initial, thereafter);
            times.iter().map(|at| sampler.takes(Duration::from_millis(*at))).collect::<Vec<_>>()
        };
        assert_eq!(taken(2, 1, &[0, 1, 2, 3]), [true; 4]);
        assert_eq!(taken(1, 3, &[0, 1, 2, 3, 4]), [true, false, false, true, false]);
        assert_eq!(taken(1, 0, &[5, 6, 1005, 1006, 1007]), [true, false, false, true, false]);
        assert_eq!(taken(0, 0, &[0, 2000]), [false; 2]);
    }
}
