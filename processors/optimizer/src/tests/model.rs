//! Random streams of every type that is added up, held against a model that remembers the last point of each series and
//! nothing else; and what must hold of whatever is let out, whichever rules there are.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::data::*;

const PODS: usize = 4;

/// Labels, some of which are those of an aggregate already.
fn labels(pod: usize) -> String {
    match pod {
        0 => "group=g0".to_owned(),
        pod => format!("group=g{} pod=p{pod}", pod % 2),
    }
}

fn group(pod: usize) -> String {
    format!("|group=g{}", pod % 2)
}

fn function(name: &str, values: &[i64], latest: i64) -> f64 {
    let as_double = values.iter().map(|value| *value as f64);
    match name {
        "min" => as_double.fold(f64::INFINITY, f64::min),
        "max" => as_double.fold(f64::NEG_INFINITY, f64::max),
        "sum" => as_double.sum(),
        "avg" => as_double.sum::<f64>() / values.len() as f64,
        "count" => values.len() as f64,
        _ => latest as f64,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// An aggregate of gauges is the function over the last value of each series, whatever the order and the rate at which they come;
    /// one of sums that may fall is their sum.
    #[test]
    fn levels_are_those_of_the_last_values(
        rounds in proptest::collection::vec(
            proptest::collection::vec((0..PODS, -1000..1000_i64), 1..12), 1..12),
        name in prop_oneof![Just("last"), Just("min"), Just("max"), Just("avg"), Just("sum"), Just("count")],
        is_sum in any::<bool>(),
    ) {
        let mut fixture = optimizer(&format!("{{name: p, drop_labels: [pod], gauges: {name}}}"));
        let mut last: BTreeMap<usize, (i64, i64)> = BTreeMap::new();
        let mut time = 0;
        for (round, events) in rounds.iter().enumerate() {
            for (pod, value) in events {
                // No two points have the same time, so that there is one that came last.
                time = (10 * round as i64).max(time) + 1;
                last.insert(*pod, (time, *value));
                let labels = labels(*pod);
                let point = [(labels.as_str(), 0, time, *value as f64)];
                let metric = if is_sum { sum("m", 2, false, &point) } else { gauge("m", &point) };
                prop_assert_eq!(fixture.send("", metric), Vec::<Row>::new());
            }
            for row in fixture.advance(10) {
                let members: Vec<&(i64, i64)> =
                    last.iter().filter(|(pod, _)| group(**pod) == row.1).map(|(_, point)| point).collect();
                let values: Vec<i64> = members.iter().map(|(_, value)| *value).collect();
                let latest = members.iter().max().map_or(0, |(_, value)| *value);
                let expected = function(if is_sum { "sum" } else { name }, &values, latest);
                let found: f64 = row.4.parse().expect("a number");
                prop_assert!((found - expected).abs() < 1e-6, "{:?} is not {} in {:?}", row, expected, last);
            }
        }
        fixture.harness.books().assert_balanced();
    }

    /// Whatever the rules: a series that is let out has one writer. Its times grow, a counter falls only where its start moves on, and
    /// a start that moves lies behind what was said before.
    #[test]
    fn every_series_has_one_writer(
        rounds in proptest::collection::vec(proptest::collection::vec((0..PODS, 0..2_usize, 1..100_u32), 0..8), 1..15),
        rules in prop_oneof![
            Just("{name: a, match: {types: [counter], attributes: {group: g1}}, drop_labels: [pod]}"),
            Just("{name: a, match: {types: [counter], resource: {env: e0}}, drop_labels: [pod], drop_resource_labels: [env]}"),
            Just("{name: a, match: {types: [counter]}, cap_values: [{label: pod, limit: 1, other: p2}]}"),
            Just("{name: a, match: {types: [counter]}, limit_series: {limit: 2, replace: true}}"),
            Just("{name: a, match: {types: [counter]}, drop_labels: [pod], limit_series: {limit: 1, per: metric, replace: true}}"),
            Just("{name: a, match: {types: [counter]}, top_k: {k: 1, labels: [pod], rank_by: [c], dwell: 0s, hysteresis: 1.0}}"),
            Just("{name: a, match: {types: [counter]}, interval: 20s}"),
            Just("{name: a, match: {types: [counter]}, hash_buckets: [{label: pod, buckets: 2}]}"),
        ],
    ) {
        let mut fixture = optimizer(rules);
        fixture.send("", gauge("first", &[("", -1, 0, 1.0)]));
        let mut values = [[0_u64; 2]; PODS];
        let mut last: BTreeMap<String, (i64, i64, u64)> = BTreeMap::new();
        let mut told: BTreeMap<(String, i64), u64> = BTreeMap::new();
        for (round, events) in rounds.iter().enumerate() {
            let mut rows = Vec::new();
            for (index, (pod, env, by)) in events.iter().enumerate() {
                let time = 10 * round as i64 + 1 + index as i64;
                values[*pod][*env] += u64::from(*by);
                let labels = labels(*pod);
                let metric = counter("c", &[(&labels, 0, time, values[*pod][*env] as f64)]);
                rows.extend(fixture.send(&format!("env=e{env}"), metric));
            }
            rows.extend(fixture.advance(10));
            for (name, labels, start, time, value) in rows {
                let value: u64 = value.parse().expect("a whole number");
                let key = format!("{name} {labels}");
                told.insert((key.clone(), start), value);
                let Some((first, before, old)) = last.insert(key, (start, time, value)) else { continue };
                prop_assert!(time > before, "{}: {} after {}", labels, time, before);
                if start == first {
                    prop_assert!(value >= old, "{}: {} after {}", labels, value, old);
                } else {
                    prop_assert!(start >= before, "{}: starts at {}, and was there at {}", labels, start, before);
                }
            }
        }
        for (_, labels, start, _, value) in fixture.drain() {
            told.insert((format!("c {labels}"), start), value.parse().expect("a whole number"));
        }
        // What was told last of every series and start is everything that was counted.
        let counted: u64 = values.iter().flatten().sum();
        prop_assert_eq!(told.values().sum::<u64>(), counted, "{:?}", told);
        fixture.harness.books().assert_balanced();
    }
}
