//! Budgets, shares and priorities.

use std::time::Duration;

use super::traces::{Player, Trace, stands_for};

const SECOND: Duration = Duration::from_secs(1);

/// Plays rounds of a second; tells what is kept and estimated, in spans per round, by group.
fn play(policies: &str, groups: &[(Trace, u64)], rounds: u32) -> Vec<(f64, f64)> {
    let mut player = Player::new(policies);
    let mut found = vec![(0.0, 0.0); groups.len()];
    for number in 0..rounds {
        let mut traces = Vec::new();
        let mut of = Vec::new();
        for (index, (trace, count)) in groups.iter().enumerate() {
            for _ in 0..*count {
                traces.push(player.facts(trace));
                of.push(index);
            }
        }
        for ((verdict, trace), index) in player.round(&traces, SECOND * number).iter().zip(&traces).zip(of) {
            let spans = trace.spans() as f64 / f64::from(rounds);
            found[index].0 += if verdict.vote.keeps() { spans } else { 0.0 };
            found[index].1 += spans * stands_for(verdict);
        }
    }
    found
}

#[test]
fn a_budget_holds_for_each_service_and_totals_can_be_told() {
    let policy = "
  - {name: b, type: budget, budget: {spans_per_second: 50, key_fields: [service.name]}}";
    let shop = Trace { spans: 4, ..Trace::with("service.name", "shop") };
    let groups = [(shop, 100), (Trace::with("service.name", "cron"), 30)];
    let found = play(policy, &groups, 200);
    assert!((44.0..=50.0).contains(&found[0].0), "{found:?}");
    assert_eq!((found[1].0.round(), found[1].1.round()), (30.0, 30.0), "asks for less, and gets all");
    assert!((found[0].1 / 400.0 - 1.0).abs() < 0.06, "{found:?}");
}

#[test]
fn a_budget_behind_a_condition_is_spent_on_what_meets_it() {
    let policy = "
  - name: errors within budget
    type: and
    and:
      and_sub_policy:
        - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
        - {name: budget, type: budget, budget: {traces_per_second: 10}}";
    let found =
        play(policy, &[(Trace { is_error: true, ..Trace::default() }, 40), (Trace::default(), 400)], 100);
    assert!((9.0..=10.0).contains(&found[0].0), "{found:?}");
    assert_eq!(found[1], (0.0, 0.0));
    assert!((found[0].1 / 40.0 - 1.0).abs() < 0.1, "{found:?}");
}

#[test]
fn a_loud_tenant_leaves_others_their_share() {
    let policy = "
  - {name: f, type: fair_share, fair_share: {spans_per_second: 90, key_fields: [tenant]}}";
    let groups = [("loud", 300), ("busy", 60), ("quiet", 10)]
        .map(|(name, count)| (Trace::with("tenant", name), count));
    let found = play(policy, &groups, 100);
    assert_eq!(found[2].0.round(), 10.0);
    assert!((38.0..=41.0).contains(&found[0].0) && (38.0..=41.0).contains(&found[1].0), "{found:?}");
    assert!((found[0].1 / 300.0 - 1.0).abs() < 0.1, "{found:?}");
}

#[test]
fn what_weighs_more_is_kept_more_often() {
    let policy = "
  - name: p
    type: priority
    priority:
      traces_per_second: 40
      weights:
        - {weight: 100, when: {type: status_code, status_code: {status_codes: [ERROR]}}}
        - {weight: 4, when: {type: latency, latency: {threshold_ms: 100}}}";
    let groups = [
        (Trace { is_error: true, ..Trace::default() }, 5),
        (Trace { micros: 200_000, ..Trace::default() }, 50),
        (Trace::default(), 400),
    ];
    let found = play(policy, &groups, 200);
    assert_eq!(found[0].0.round(), 5.0, "all errors: {found:?}");
    let share = |index: usize| found[index].0 / groups[index].1 as f64;
    assert!((3.2..4.8).contains(&(share(1) / share(2))), "four times as often: {found:?}");
    assert!((found.iter().map(|group| group.0).sum::<f64>()) <= 40.01, "{found:?}");
    for (index, (_, count)) in groups.iter().enumerate() {
        assert!((found[index].1 / *count as f64 - 1.0).abs() < 0.12, "{found:?}");
    }
}

#[test]
fn a_budget_of_traces_that_come_one_by_one_is_kept() {
    let mut player = Player::new(
        "
  - {name: b, type: budget, budget: {traces_per_second: 10}}",
    );
    let (mut kept, mut estimate) = (0.0, 0.0);
    for number in 0..20_000 {
        let verdict = player.decide(&Trace::default(), SECOND / 100 * number);
        kept += f64::from(u8::from(verdict.vote.keeps()));
        estimate += stands_for(&verdict);
    }
    assert!((kept / 200.0_f64 - 10.0).abs() < 1.5, "{kept} in 200 s");
    assert!((estimate / 20_000.0_f64 - 1.0).abs() < 0.12, "{estimate}");
}
