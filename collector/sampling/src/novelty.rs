use std::time::Duration;

use crate::{Bucket, Lease, Recent};

/// Keeps the first traces of what was not seen lately: a new service, operation, version.
///
/// What is first is known by its key alone. A flood of new keys is bounded by a limit on all that is kept as new.
#[derive(Debug)]
pub struct Novelty {
    first: u32,
    seen: Recent<u32>,
    lease: Lease,
}

impl Novelty {
    /// Keeps the `first` traces of a key; keys are forgotten as [`Recent`] does.
    pub fn new(first: u32, seen: Recent<u32>) -> Novelty {
        Novelty { first, seen, lease: Lease::default() }
    }

    /// Whether a trace of this key is kept. One that the limit refuses does not count as seen.
    pub fn is_new(&mut self, key: u64, limit: &Bucket, now: Duration) -> bool {
        let seen = self.seen.entry(key, now);
        if *seen >= self.first || !self.lease.allows(limit, 1, now) {
            return false;
        }
        *seen += 1;
        true
    }

    /// Keys that are known.
    pub fn known(&self) -> usize {
        self.seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limit;
    use crate::chance::Chance;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_first_of_each_key_are_kept_however_rare_it_is() {
        let limit = Bucket::new(Limit { per_second: 1000.0, burst: 1000.0 });
        let mut novelty = Novelty::new(3, Recent::new(10_000, HOUR));
        let mut chance = Chance::new(2);
        let (mut seen, mut kept) = (vec![0_u32; 64], vec![0_u32; 64]);
        for at in 0..200_000 {
            let key = chance.next().leading_ones();
            seen[key as usize] += 1;
            kept[key as usize] +=
                u32::from(novelty.is_new(u64::from(key), &limit, Duration::from_millis(at)));
        }
        for (seen, kept) in seen.iter().zip(kept) {
            assert_eq!(kept, *seen.min(&3));
        }
    }

    #[test]
    fn a_flood_of_keys_is_limited() {
        let limit = Bucket::new(Limit { per_second: 10.0, burst: 20.0 });
        let mut novelty = Novelty::new(1, Recent::new(1000, HOUR));
        let kept =
            (0..100_000).filter(|key| novelty.is_new(*key, &limit, Duration::from_micros(key * 100))).count();
        assert!((110..=121).contains(&kept), "ten seconds of ten, and the burst: {kept}");
        assert!(novelty.known() <= 2000);
    }

    #[test]
    fn what_was_not_seen_for_long_is_new_again() {
        let limit = Bucket::new(Limit { per_second: 10.0, burst: 20.0 });
        let mut novelty = Novelty::new(1, Recent::new(10, HOUR));
        assert!(novelty.is_new(7, &limit, Duration::ZERO));
        assert!(!novelty.is_new(7, &limit, HOUR / 2));
        assert!(novelty.is_new(7, &limit, HOUR * 3));
    }
}
