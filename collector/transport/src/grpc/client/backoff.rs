//! gRPC's connection backoff (<https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md>).

use std::time::Duration;

const BASE: Duration = Duration::from_secs(1);
const MULTIPLIER: f64 = 1.6;
const JITTER: f64 = 0.2;
const MAX: Duration = Duration::from_secs(120);

/// Time from the start of the attempt that made `failures` (from 1) to the next; `spread` in -1 to 1.
pub(super) fn delay(failures: u32, spread: f64) -> Duration {
    let exponent = i32::try_from(failures.saturating_sub(1).min(20)).unwrap_or(20);
    let plain = BASE.mul_f64(MULTIPLIER.powi(exponent)).min(MAX);
    plain.mul_f64(1.0 + JITTER * spread.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_two_minutes() {
        assert_eq!(delay(1, 0.0), BASE);
        assert_eq!(delay(2, 0.0), Duration::from_millis(1600));
        assert_eq!(delay(1, 1.0), Duration::from_millis(1200));
        assert_eq!(delay(u32::MAX, 0.0), MAX);
        assert_eq!(delay(50, -1.0), Duration::from_secs(96));
    }
}
