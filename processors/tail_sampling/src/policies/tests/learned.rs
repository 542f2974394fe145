//! What is worth keeping because of what there was.

use std::time::Duration;

use phoenix_sampling::Threshold;

use super::traces::{Player, Trace, stands_for};
use crate::policy::{Verdict, Vote};

#[test]
fn the_first_traces_of_each_operation_are_kept() {
    let policy = "
  - {name: n, type: novelty, novelty: {first: 2, traces_per_second: 1000}}";
    let mut player = Player::new(policy);
    let shop = Trace::with("service.name", "shop");
    let other = Trace { name: "POST /", ..shop.clone() };
    let votes = |player: &mut Player, trace: &Trace| -> Vec<bool> {
        (0..4).map(|_| player.decide(trace, Duration::from_secs(1)).vote.keeps()).collect()
    };
    assert_eq!(votes(&mut player, &shop), [true, true, false, false]);
    assert_eq!(votes(&mut player, &other), [true, true, false, false], "another root");
    assert_eq!(votes(&mut player, &Trace::with("service.name", "cart")), [true, true, false, false]);
    let days_later = player.decide(&shop, Duration::from_secs(3 * 24 * 3600));
    assert_eq!(days_later, Verdict::uncertain(Vote::Sampled));
}

#[test]
fn slow_is_what_is_slow_for_its_root() {
    let policy = "
  - {name: l, type: latency_quantile, latency_quantile: {quantile: 0.9, min_traces: 50}}";
    let mut player = Player::new(policy);
    let mut kept = [0; 2];
    for number in 0..4000_u64 {
        for (index, (name, millis)) in [("GET /", 1), ("GET /report", 1000)].into_iter().enumerate() {
            let micros = millis * (500 + number * 7919 % 1000);
            let trace = Trace { name, micros, ..Trace::default() };
            kept[index] += u32::from(player.decide(&trace, Duration::from_millis(number)).vote.keeps());
        }
    }
    assert!(
        kept.iter().all(|kept| (280..=520).contains(kept)),
        "a tenth of each, as 2 % of a duration go: {kept:?}"
    );
    let trace = |name: &'static str| Trace { name, micros: 100_000, ..Trace::default() };
    assert_eq!(player.decide(&trace("GET /"), Duration::from_secs(5)), Verdict::certain(Vote::Sampled));
    assert_eq!(
        player.decide(&trace("GET /report"), Duration::from_secs(5)),
        Verdict::certain(Vote::NotSampled)
    );
}

#[test]
fn errors_of_a_kind_are_kept_a_few_times_then_sampled() {
    let policy = "
  - {name: e, type: error_fingerprint, error_fingerprint: {first: 3, then_one_in: 20}}";
    let mut player = Player::new(policy);
    let null = Trace { exception: Some(("NullPointer", "x\n\tat a.B.c(B.java:1)")), ..Trace::default() };
    let moved = Trace { exception: Some(("NullPointer", "x\n\tat a.B.c(B.java:99)")), ..Trace::default() };
    let other = Trace { exception: Some(("NullPointer", "x\n\tat a.B.d(B.java:1)")), ..Trace::default() };
    let plain = Trace { is_error: true, ..Trace::default() };
    let now = Duration::ZERO;
    for _ in 0..3 {
        assert_eq!(player.decide(&null, now), Verdict::certain(Vote::Sampled));
    }
    assert_eq!(player.decide(&moved, now).threshold, Some(Threshold::of_rate(20.0)), "lines do not matter");
    assert_eq!(player.decide(&other, now), Verdict::certain(Vote::Sampled), "another frame does");
    assert_eq!(player.decide(&plain, now), Verdict::certain(Vote::Sampled), "a status without an exception");
    assert_eq!(player.decide(&Trace::default(), now), Verdict::certain(Vote::NotSampled));
    let verdicts: Vec<Verdict> = (0..10_000).map(|_| player.decide(&null, now)).collect();
    let kept = verdicts.iter().filter(|verdict| verdict.vote.keeps()).count();
    assert!((420..=580).contains(&kept), "{kept}");
    let estimate: f64 = verdicts.iter().map(stands_for).sum();
    assert!((estimate / 10_000.0 - 1.0).abs() < 0.15, "{estimate}");
}

#[test]
fn a_baseline_goes_by_randomness_alone() {
    let mut player = Player::new(
        "
  - {name: b, type: baseline, baseline: {sampling_percentage: 1}}",
    );
    let kept = (0..50_000).filter(|_| player.decide(&Trace::default(), Duration::ZERO).vote.keeps()).count();
    assert!((400..=600).contains(&kept), "{kept}");
}
