//! Rates that follow the load, and limits.

use std::collections::HashMap;
use std::time::Duration;

use super::traces::{Player, Trace, stands_for};

/// Plays traces of keys for 90 s, of which the last 60 count; tells per key `(offered, kept, estimated)`.
fn play(policies: &str, per_second: &[(&str, u32)]) -> HashMap<String, (f64, f64, f64)> {
    let mut player = Player::new(policies);
    let mut found: HashMap<String, (f64, f64, f64)> = HashMap::new();
    for second in 0..90 {
        for (key, count) in per_second {
            for _ in 0..*count {
                let verdict = player.decide(&Trace::with("route", key), Duration::from_secs(second));
                if second >= 30 {
                    let entry = found.entry((*key).to_owned()).or_default();
                    entry.0 += 1.0;
                    entry.1 += f64::from(u8::from(verdict.vote.keeps()));
                    entry.2 += stands_for(&verdict);
                }
            }
        }
    }
    found
}

const LOAD: [(&str, u32); 3] = [("/", 200), ("/cart", 20), ("/pay", 2)];

#[test]
fn a_share_is_kept_on_average_and_rare_keys_are_seen_more() {
    let policy = "
  - {name: e, type: ema_dynamic, ema_dynamic: {goal_sampling_percentage: 10, key_fields: [route]}}";
    let found = play(policy, &LOAD);
    let (offered, kept) = found.values().fold((0.0, 0.0), |sum, key| (sum.0 + key.0, sum.1 + key.1));
    assert!((0.06..=0.11).contains(&(kept / offered)), "{found:?}");
    let share = |key: &str| found[key].1 / found[key].0;
    assert!(share("/pay") > share("/cart") && share("/cart") > 2.0 * share("/"), "{found:?}");
    let estimated: f64 = found.values().map(|key| key.2).sum();
    assert!((estimated / offered - 1.0).abs() < 0.15, "{found:?}");
}

#[test]
fn a_throughput_is_kept() {
    let policy = "
  - {name: e, type: ema_throughput, ema_throughput: {goal_throughput_per_sec: 20, key_fields: [route]}}";
    let found = play(policy, &LOAD);
    let kept: f64 = found.values().map(|key| key.1).sum::<f64>() / 60.0;
    // The average is still an eighth below the load when the count begins.
    assert!((15.0..=23.0).contains(&kept), "{kept} a second: {found:?}");
}

#[test]
fn limits_hold_and_claim_no_probability() {
    let policy = "
  - {name: r, type: rate_limiting, rate_limiting: {spans_per_second: 20, burst_capacity: 20}}";
    let found = play(policy, &LOAD);
    let kept: f64 = found.values().map(|key| key.1).sum::<f64>() / 60.0;
    assert!((19.0..=21.0).contains(&kept), "{kept} a second");
    assert!(found.values().all(|key| key.2 == 0.0));
    let bytes = "
  - {name: r, type: bytes_limiting, bytes_limiting: {bytes_per_second: 2000, burst_capacity: 2000}}";
    let mut player = Player::new(bytes);
    let trace = Trace { spans: 3, ..Trace::default() };
    let each = player.facts(&trace).bytes();
    let kept =
        (0..3000_u32).filter(|n| player.decide(&trace, Duration::from_millis(20) * *n).vote.keeps()).count();
    let per_second = kept as u64 * each / 60;
    assert!((1800..=2100).contains(&per_second), "{per_second}");
}
