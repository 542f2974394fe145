//! Places under limits that are given anew: to tenants and metrics what is fair, and to series that count more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use phoenix_component::Budget;
use phoenix_component::harness::StageHarness;
use phoenix_telemetry::Metrics;
use proptest::prelude::*;

use super::data::*;
use crate::{Outside, stage_within};

/// Sends deltas of 1 for so many series of a tenant, and gives the names of those that go on as they are.
fn round(fixture: &mut Fixture, tenants: &[(&str, usize)], time: i64) -> Vec<String> {
    let labels: Vec<String> = tenants
        .iter()
        .flat_map(|(tenant, count)| (0..*count).map(move |number| format!("s={number} tenant={tenant}")))
        .collect();
    let points: Vec<Point<'_>> = labels.iter().map(|labels| (labels.as_str(), time - 1, time, 1.0)).collect();
    fixture.send("", deltas("d", &points)).into_iter().map(|row| row.1).collect()
}

fn of(names: &[String], tenant: &str) -> usize {
    names.iter().filter(|name| name.ends_with(&format!("tenant={tenant}"))).count()
}

const OVERFLOW: &str = "|otel.metric.overflow={\"boolValue\":true}";

#[test]
fn a_tenant_that_comes_late_gets_its_share_from_the_one_that_took_all() {
    let mut fixture = optimizer("{name: l, limit_series: {limit: 10, per: metric, tenant: tenant}}");
    let names = round(&mut fixture, &[("loud", 50), ("quiet", 3)], 5);
    assert_eq!((of(&names, "loud"), of(&names, "quiet")), (10, 0), "who comes first comes first");
    assert_eq!(fixture.advance(10)[0].4, "43", "and no total shrinks");
    let names = round(&mut fixture, &[("loud", 50), ("quiet", 3)], 15);
    assert_eq!((of(&names, "loud"), of(&names, "quiet")), (7, 3), "at the end of the interval it is fair");
    assert_eq!(fixture.advance(10)[0].4, "43");
    // What is fair stays as it is: nothing flaps.
    for time in [25, 35, 45] {
        assert_eq!(round(&mut fixture, &[("loud", 50), ("quiet", 3)], time), names);
        fixture.advance(10);
    }
    // Two that want more than half have half each.
    round(&mut fixture, &[("loud", 50), ("quiet", 30)], 55);
    fixture.advance(10);
    let names = round(&mut fixture, &[("loud", 50), ("quiet", 30)], 65);
    assert_eq!((of(&names, "loud"), of(&names, "quiet")), (5, 5));
}

#[test]
fn tenants_have_what_is_guaranteed_and_no_more_than_they_may() {
    let mut fixture = optimizer(
        "{name: l, limit_series: {limit: 10, per: metric, tenant: tenant,
           tenants: [{value: gold, guaranteed: 6}, {value: '*', most: 2}]}}",
    );
    let all = [("a", 9), ("b", 9), ("c", 9), ("gold", 9)];
    let names = round(&mut fixture, &all, 5);
    assert_eq!(
        ["a", "b", "c", "gold"].map(|tenant| of(&names, tenant)),
        [2, 2, 2, 4],
        "there was room for four"
    );
    fixture.advance(10);
    let names = round(&mut fixture, &all, 15);
    assert_eq!(of(&names, "gold"), 6);
    assert_eq!(names.len(), 10, "{names:?}");
    assert_eq!(
        round(&mut fixture, &[("d", 9)], 16),
        Vec::<String>::new(),
        "there is none left until the interval ends"
    );
}

#[test]
fn a_limit_over_everything_is_shared_by_its_metrics() {
    let mut fixture = optimizer("{name: l, limit_series: {limit: 6, per: rule}}");
    let labels: Vec<String> = (0..20).map(|number| format!("s={number}")).collect();
    let send = |fixture: &mut Fixture, name: &str, count: usize, time: i64| {
        let points: Vec<Point<'_>> =
            labels.iter().take(count).map(|labels| (labels.as_str(), time - 1, time, 1.0)).collect();
        fixture.send("pod=1", deltas(name, &points)).len()
    };
    assert_eq!([send(&mut fixture, "wide", 20, 5), send(&mut fixture, "slim", 2, 5)], [6, 0]);
    let overflow = fixture.advance(10);
    let overflow: Vec<(&str, &str)> = overflow.iter().map(|row| (row.0.as_str(), row.4.as_str())).collect();
    assert_eq!(overflow, [("slim", "2"), ("wide", "14")], "each metric has its own others");
    assert_eq!([send(&mut fixture, "wide", 20, 15), send(&mut fixture, "slim", 2, 15)], [4, 2]);
}

#[test]
fn what_counts_clearly_more_takes_the_place_of_the_coldest() {
    let mut fixture = optimizer("{name: l, limit_series: {limit: 2, replace: true}}");
    let mut value = [0.0; 3];
    let mut go = |fixture: &mut Fixture, by: [f64; 3], time: i64| {
        value.iter_mut().zip(by).for_each(|(value, by)| *value += by);
        let points = [("s=0", 0, time, value[0]), ("s=1", 0, time, value[1]), ("s=2", 0, time, value[2])];
        let mut rows = fixture.send("", counter("c", &points));
        rows.extend(fixture.advance(10));
        rows.into_iter().map(|row| (row.1, row.2, row.3, row.4)).collect::<Vec<_>>()
    };
    let text = |rows: &[(&str, i64, i64, &str)]| {
        rows.iter().map(|row| (row.0.to_owned(), row.1, row.2, row.3.to_owned())).collect::<Vec<_>>()
    };
    let rows = go(&mut fixture, [10.0, 10.0, 12.0], 5);
    assert_eq!(rows, text(&[("|s=0", 0, 5, "10"), ("|s=1", 0, 5, "10"), (OVERFLOW, 0, 5, "12")]));
    // A fifth more than the others is not enough.
    for time in [15, 25, 35] {
        let rows = go(&mut fixture, [10.0, 10.0, 12.0], time);
        assert_eq!(rows.len(), 3);
        assert_eq!((rows[0].0.as_str(), rows[1].0.as_str(), rows[2].0.as_str()), ("|s=0", "|s=1", OVERFLOW));
    }
    // Four times as much is; s=1 had counted 40 by then, s=2 48 among the others.
    let mut rows = Vec::new();
    for time in [45, 55, 65] {
        rows = go(&mut fixture, [10.0, 1.0, 40.0], time);
    }
    let expected = [("|s=0", 0, 65, "70"), (OVERFLOW, 0, 65, "90"), ("|s=2", 45, 65, "80")];
    assert_eq!(rows, text(&expected), "its own series begins where it left the others");
    // s=1 goes on with the others, and nothing is counted twice or lost.
    let rows = go(&mut fixture, [0.0, 0.0, 0.0], 75);
    let total: u32 = rows.iter().map(|row| row.3.parse::<u32>().expect("a number")).sum();
    assert_eq!(total + 41, 70 + 43 + 168, "41 is what the series of s=1 said last");
}

#[test]
fn gauges_of_a_limit_move_without_a_function() {
    let mut fixture = optimizer("{name: l, limit_series: {limit: 1, replace: true}}");
    fixture.send("", gauge("g", &[("s=0", -1, 1, 1.0)]));
    for time in 2..8 {
        fixture.send("", gauge("g", &[("s=1", -1, time, 1.0)]));
    }
    fixture.advance(10);
    let rows = fixture.send("", gauge("g", &[("s=0", -1, 12, 1.0), ("s=1", -1, 12, 1.0)]));
    assert_eq!(short(&rows), [("|s=1", -1, 12, "1")], "what is sent more often counts more");
}

#[test]
fn aggregates_change_places_as_well() {
    let mut fixture = optimizer(
        "{name: l, match: {types: [counter]}, drop_labels: [pod], limit_series: {limit: 1, replace: true}}",
    );
    let mut told = 0.0;
    let mut values = BTreeMap::new();
    for round in 0..8 {
        let time = 10 * round + 5;
        let grown = time as f64;
        // Two pods of `hot` grow by 100 each from the third round on.
        let hot = if round < 2 { grown } else { grown + 100.0 * (round - 1) as f64 };
        let points =
            [("s=cold pod=1", 0, time, grown), ("s=hot pod=1", 0, time, hot), ("s=hot pod=2", 0, time, hot)];
        assert_eq!(fixture.send("", counter("c", &points)), []);
        told = grown + 2.0 * hot;
        for (_, labels, start, _, value) in fixture.advance(10) {
            values.insert((labels, start), value.parse::<f64>().expect("a number"));
        }
    }
    assert_eq!(values.values().sum::<f64>(), told, "{values:?}");
    assert!(values.keys().any(|(labels, _)| labels == "|s=hot"), "{values:?}");
}

#[test]
fn states_are_charged_and_a_full_budget_is_a_full_tracker() {
    let budget = Budget::new(100_000);
    let outside = Outside { budget: budget.clone(), ..Outside::default() };
    let metrics = Metrics::default();
    let yaml = "{interval: 10s, rules: [{name: p, match: {types: [counter]}, drop_labels: [pod]}]}";
    let spec = stage_within(&settings(yaml), &[], 1, &metrics, "optimizer", outside).expect("no conflicts");
    let mut fixture = Fixture { harness: StageHarness::new(spec), metrics };
    fixture.harness.advance(Duration::from_secs(EPOCH));
    let send = |fixture: &mut Fixture, from: usize, metric: fn(&str, &[Point<'_>]) -> serde_json::Value| {
        let labels: Vec<String> = (from..from + 200).map(|pod| format!("pod={pod}")).collect();
        let points: Vec<Point<'_>> = labels.iter().map(|labels| (labels.as_str(), 0, 5, 1.0)).collect();
        fixture.send("", metric("c", &points))
    };
    for from in 0..10 {
        send(&mut fixture, 200 * from, counter);
    }
    assert!(budget.used() >= 50_000, "{}", budget.used());
    assert!(budget.used() <= 80_000, "no more than half, and what one request brings: {}", budget.used());
    let untracked = fixture.ignored("untracked");
    assert!((1000..2000).contains(&untracked), "{untracked}");
    // What there was counts on, and deltas need no state.
    assert_eq!(fixture.advance(10)[0].4, (2000 - untracked).to_string());
    send(&mut fixture, 0, deltas);
    assert_eq!(fixture.advance(10)[0].4, "200");
    let bytes = fixture.metrics.sum("phoenix_processor_optimizer_state_bytes", &[]);
    assert_eq!(usize::try_from(bytes).ok(), Some(budget.used()));
    drop(fixture);
    assert_eq!(budget.used(), 0, "everything is given back");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whoever has a place when, the last values of all series that were ever let out are what was counted, no series falls, and
    /// no more series go on at a time than the limit allows.
    #[test]
    fn nothing_is_lost_or_counted_twice_when_places_change(
        rounds in proptest::collection::vec(proptest::collection::vec(0..200_u32, 6), 2..25),
        limit in 1..4_usize,
        settings in prop_oneof![
            Just("replace: true"),
            Just("per: metric, tenant: t"),
            Just("per: rule, replace: true, hysteresis: 1.0"),
            Just("replace: true, new_per_minute: 6"),
        ],
        histograms in any::<bool>(),
    ) {
        let mut fixture = optimizer(&format!("{{name: l, limit_series: {{limit: {limit}, {settings}}}}}"));
        fixture.send("", gauge("first", &[("", -1, 0, 1.0)]));
        let mut values = [0_u64; 6];
        let mut last: BTreeMap<(String, i64), u64> = BTreeMap::new();
        for (number, by) in rounds.iter().enumerate() {
            let time = 10 * number as i64 + 5;
            let mut now = BTreeSet::new();
            let mut rows = Vec::new();
            for (series, by) in by.iter().enumerate() {
                // Who counts nothing says nothing.
                if *by < 20 {
                    continue;
                }
                values[series] += u64::from(*by);
                let labels = format!("s={series} t={}", series % 2);
                let metric = match histograms {
                    true => histogram(2, (&labels, 0, time), &[1.0], &[values[series], 0], 0.0),
                    false => counter("c", &[(&labels, 0, time, values[series] as f64)]),
                };
                let passed = fixture.send("", metric);
                now.extend(passed.iter().map(|row| row.1.clone()));
                rows.extend(passed);
            }
            rows.extend(fixture.advance(10));
            prop_assert!(now.len() <= limit, "{:?}", now);
            for (_, labels, start, _, value) in rows {
                let value: u64 = match histograms {
                    true => value.split("count ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()),
                    false => value.parse().ok(),
                }.expect("a number");
                let before = last.insert((labels, start), value);
                prop_assert!(before.is_none_or(|before| before <= value), "no series falls");
            }
        }
        prop_assert_eq!(last.values().sum::<u64>(), values.iter().sum::<u64>(), "{:?}", last);
        fixture.harness.books().assert_balanced();
    }
}
