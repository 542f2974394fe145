//! Policies of policies.

use std::time::Duration;

use phoenix_sampling::Threshold;

use super::traces::{Player, Trace};
use crate::policy::{Verdict, Vote};

const PARTS: &str = "
        - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
        - {name: slow, type: latency, latency: {threshold_ms: 100}}
        - {name: large, type: span_count, span_count: {min_spans: 3}}";

#[test]
fn so_many_have_to_keep() {
    // (errors, slow, large), kept by one, by two, by all three
    let cases = [
        ((false, false, false), [false, false, false]),
        ((true, false, false), [true, false, false]),
        ((true, false, true), [true, true, false]),
        ((true, true, true), [true, true, true]),
    ];
    for ((is_error, is_slow, is_large), expected) in cases {
        let trace = Trace {
            is_error,
            micros: if is_slow { 200_000 } else { 5 },
            spans: if is_large { 4 } else { 1 },
            ..Trace::default()
        };
        for (k, expected) in (1..=3).zip(expected) {
            let policy = format!(
                "
  - name: k
    type: k_of_n
    k_of_n:
      k: {k}
      k_of_n_sub_policy:{PARTS}"
            );
            let verdict = Player::new(&policy).decide(&trace, Duration::ZERO);
            assert_eq!(verdict, Verdict::certain(Vote::keep_if(expected)), "{k} of {trace:?}");
        }
        let or = format!(
            "
  - name: or
    type: or
    or:
      or_sub_policy:{PARTS}"
        );
        assert_eq!(Player::new(&or).decide(&trace, Duration::ZERO).vote, Vote::keep_if(expected[0]));
    }
}

#[test]
fn errors_are_kept_and_count_once_whatever_samples_beside_them() {
    let policy = "
  - name: both
    type: or
    or:
      or_sub_policy:
        - {name: some, type: baseline, baseline: {sampling_percentage: 10}}
        - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}";
    let mut player = Player::new(policy);
    let error = Trace { is_error: true, ..Trace::default() };
    let verdicts: Vec<Verdict> = (0..20).map(|_| player.decide(&error, Duration::ZERO)).collect();
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::certain(Vote::Sampled)), "{verdicts:?}");
    let others: Vec<Verdict> = (0..5000).map(|_| player.decide(&Trace::default(), Duration::ZERO)).collect();
    let kept = others.iter().filter(|verdict| verdict.vote.keeps()).count();
    assert!((400..=600).contains(&kept), "{kept}");
    assert!(others.iter().all(|verdict| verdict.threshold == Some(Threshold::of_rate(10.0))));
}

#[test]
fn policies_stand_in_each_other() {
    let policy = "
  - name: outer
    type: not
    not:
      not_sub_policy:
        name: inner
        type: and
        and:
          and_sub_policy:
            - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
            - name: either
              type: or
              or:
                or_sub_policy:
                  - {name: slow, type: latency, latency: {threshold_ms: 100}}
                  - name: not large
                    type: not
                    not: {not_sub_policy: {name: large, type: span_count, span_count: {min_spans: 3}}}";
    let mut player = Player::new(policy);
    let small_error = Trace { is_error: true, ..Trace::default() };
    let large_error = Trace { is_error: true, spans: 5, ..Trace::default() };
    assert_eq!(player.decide(&small_error, Duration::ZERO), Verdict::certain(Vote::NotSampled));
    assert_eq!(player.decide(&large_error, Duration::ZERO), Verdict::certain(Vote::Sampled));
    assert_eq!(player.decide(&Trace::default(), Duration::ZERO), Verdict::certain(Vote::Sampled));
}
