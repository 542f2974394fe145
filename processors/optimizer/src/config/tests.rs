//! Settings that are refused, and where.

use phoenix_config::decode_text;

use super::OptimizerConfig;

#[test]
fn bad_settings_are_named() {
    // (settings, the keys that the errors name, a part of what they say)
    let cases: [(&str, &[&str], &str); 35] = [
        ("{}", &[], ""),
        ("{interval: 10ms}", &["interval"], "at least 1s"),
        ("{interval: 60s, idle: 90s}", &["idle"], "twice"),
        ("{max_series: 0}", &["max_series"], "at least 1"),
        ("{presets: [hosts]}", &["presets::0"], "host"),
        ("{rules: [{drop: true}]}", &["rules::0::name"], "must not be empty"),
        ("{rules: [{name: a}]}", &["rules::0::name"], "does nothing"),
        ("{rules: [{name: a, drop: true}, {name: a, keep: true}]}", &["rules::1::name"], "another rule"),
        ("{rules: [{name: a, drop: true, keep: true}]}", &["rules::0::drop"], "together"),
        ("{rules: [{name: a, drop: true, interval: 10s}]}", &["rules::0::drop"], "changed as well"),
        ("{rules: [{name: a, drop_label: [x]}]}", &["rules::0::drop_label", "rules::0::name"], "unknown key"),
        ("{rules: [{name: a, drop_labels: [x]}]}", &["rules::0::gauges"], "no natural sum"),
        ("{rules: [{name: a, drop_labels: [x], gauges: median}]}", &["rules::0::gauges"], "last"),
        (
            "{rules: [{name: a, gauges: sum, drop_labels: [x], keep_labels: [y]}]}",
            &["rules::0::keep_labels"],
            "together",
        ),
        ("{rules: [{name: a, drop: true, match: {metrics: ['/(/']}}]}", &["rules::0::match::metrics::0"], ""),
        (
            "{rules: [{name: a, drop: true, match: {attributes: {k: '/(/'}}}]}",
            &["rules::0::match::attributes::k"],
            "",
        ),
        (
            "{rules: [{name: a, drop: true, match: {types: [sum]}}]}",
            &["rules::0::match::types::0"],
            "counter",
        ),
        ("{rules: [{name: a, drop: true, match: {condition: 'x =='}}]}", &["rules::0::match::condition"], ""),
        ("{rules: [{name: a, limit_series: {limit: 0}}]}", &["rules::0::limit_series::limit"], "at least 1"),
        (
            "{rules: [{name: a, limit_series: {tenants: [{value: x}], hysteresis: .5}}]}",
            &["rules::0::limit_series::hysteresis", "rules::0::limit_series::tenants"],
            "",
        ),
        (
            "{rules: [{name: a, limit_series: {limit: 9, tenant: t, tenants: [{value: x, guaranteed: 5}, {value: y, guaranteed: 5}]}}]}",
            &["rules::0::limit_series::tenants"],
            "guaranteed more",
        ),
        (
            "{rules: [{name: a, limit_series: {tenant: t, tenants: [{value: x, guaranteed: 5, most: 4}, {value: x}, {value: '*', guaranteed: 1}]}}]}",
            &[
                "rules::0::limit_series::tenants::0::guaranteed",
                "rules::0::limit_series::tenants::1::value",
                "rules::0::limit_series::tenants::2::guaranteed",
            ],
            "",
        ),
        ("{rules: [{name: a, interval: 1h}]}", &["rules::0::interval"], "half"),
        (
            "{rules: [{name: a, gauges: sum, normalize: [{label: x}]}]}",
            &["rules::0::normalize::0::regex"],
            "either",
        ),
        (
            "{rules: [{name: a, gauges: sum, normalize: [{label: x, ids: true, templates: [/a]}]}]}",
            &["rules::0::normalize::0::regex"],
            "either",
        ),
        (
            "{rules: [{name: a, drop: true, match: {scope_attributes: {k: '/(/'}}}]}",
            &["rules::0::match::scope_attributes::k"],
            "",
        ),
        (
            "{rules: [{name: a, histograms: {max_error: 0.1, placement: upper}}]}",
            &["rules::0::histograms::placement"],
            "to_exponential",
        ),
        (
            "{rules: [{name: a, gauges: sum, cap_values: [{label: x, limit: 0}]}]}",
            &["rules::0::cap_values::0::limit"],
            "at least 1",
        ),
        (
            "{rules: [{name: a, gauges: sum, top_k: {k: 0, labels: [x], rank_by: [m], hysteresis: 0.5}}]}",
            &["rules::0::top_k::k", "rules::0::top_k::hysteresis"],
            "",
        ),
        (
            "{rules: [{name: a, histograms: {to_exponential: true}}]}",
            &["rules::0::histograms::to_exponential"],
            "max_error",
        ),
        ("{rules: [{name: a, dead_band: {relative: -1}}]}", &["rules::0::dead_band::relative"], "0 or more"),
        (
            "{rules: [{name: a, drop_unit: true, match: {attributes: {k: v}}}]}",
            &["rules::0::drop_unit"],
            "whole metrics",
        ),
        (
            "{rules: [{name: a, histograms: {to_exponential: true, max_error: 0.1}, match: {attributes: {k: v}}}]}",
            &["rules::0::histograms::to_exponential"],
            "whole metrics",
        ),
        (
            "{rules: [{name: a, hash_buckets: [{label: x, buckets: 0}], gauges: sum}]}",
            &["rules::0::hash_buckets::0::buckets"],
            "",
        ),
        ("{rules: [{name: a, mode: dry, drop: true}]}", &["rules::0::mode"], "shadow"),
    ];
    for (text, keys, words) in cases {
        match decode_text::<OptimizerConfig>(text) {
            Ok(_) => assert_eq!(keys, &[] as &[&str], "{text}"),
            Err(problems) => {
                assert_eq!(problems.keys(), keys, "{text}: {problems}");
                assert!(problems.to_string().contains(words), "{text}: {problems}");
            }
        }
    }
}

#[test]
fn rules_that_contradict_each_other_are_refused_with_the_reason() {
    // (rules, the rule that cannot be, a part of why)
    let cases = [
        ("{name: a, drop: true}, {name: b, match: {metrics: [x]}, keep: true}", None),
        (
            "{name: a, priority: 1, drop: true}, {name: b, match: {metrics: [x]}, keep: true}",
            Some(("rules::1", "never reached: rule \"a\" drops")),
        ),
        (
            "{name: a, priority: 1, match: {metrics: ['x*']}, keep: true}, {name: b, match: {metrics: ['x.y*']}, drop: true}",
            Some(("rules::1", "never reached: rule \"a\" keeps")),
        ),
        (
            "{name: a, match: {metrics: [x]}, keep: true}, {name: b, match: {metrics: [x]}, drop: true}",
            Some(("rules::1", "one keeps what the other drops")),
        ),
        (
            "{name: a, priority: 1, gauges: sum, match: {metrics: ['x*']}, drop_labels: ['p*']}, {name: b, gauges: sum, match: {metrics: ['*y']}, cap_values: [{label: pod}]}",
            Some(("rules::1", "needs label \"pod\", which rule \"a\" has aggregated away")),
        ),
        (
            "{name: a, priority: 1, gauges: sum, match: {metrics: ['x*']}, drop_labels: ['p*']}, {name: b, gauges: sum, match: {metrics: ['y*']}, cap_values: [{label: pod}]}",
            None,
        ),
        (
            "{name: a, priority: 1, gauges: sum, keep_labels: [a]}, {name: b, gauges: sum, top_k: {labels: [pod], rank_by: [x]}}",
            Some(("rules::1", "needs label \"pod\"")),
        ),
        (
            "{name: a, priority: 1, limit_series: {limit: 5}}, {name: b, limit_series: {limit: 3}}",
            Some(("rules::1", "its `limit_series` has no effect")),
        ),
        (
            "{name: a, priority: 1, gauges: sum, drop_labels: [x]}, {name: b, gauges: max, drop_labels: [y]}",
            Some(("rules::1", "aggregates gauges otherwise")),
        ),
        ("{name: a, priority: 1, mode: shadow, drop: true}, {name: b, keep: true}", None),
        ("{name: a, priority: 1, mode: off, drop: true}, {name: b, interval: 10s}", None),
        ("{name: a, priority: 1, match: {attributes: {k: v}}, drop: true}, {name: b, interval: 10s}", None),
    ];
    for (rules, expected) in cases {
        let text = format!("{{rules: [{rules}]}}");
        match (decode_text::<OptimizerConfig>(&text), expected) {
            (Ok(_), None) => {}
            (Err(problems), Some((key, why))) => {
                assert_eq!(problems.keys(), [key], "{text}: {problems}");
                assert!(problems.to_string().contains(why), "{text}: {problems}");
            }
            (result, expected) => {
                panic!("{text}: {:?}, not {expected:?}", result.map(|_| ()).map_err(|p| p.to_string()))
            }
        }
    }
}

#[test]
fn later_rules_take_the_place_of_earlier_ones_of_the_same_name() {
    let config = decode_text::<OptimizerConfig>(
        "{presets: [metadata], rules: [{name: metadata, mode: 'off', drop: true}, {name: own, match: {metrics: [z]}, priority: -200, limit_series: {limit: 1}}]}",
    );
    let config = config.expect("no conflict with a rule that is off");
    let catalog =
        decode_text::<super::Catalog>("{rules: [{name: exemplars, keep: true}, {name: own, keep: true}]}");
    let merged = config.merged(&[catalog.expect("a catalog")]);
    let rules: Vec<(&str, bool, bool)> =
        merged.iter().map(|rule| (rule.name.as_str(), rule.keep, rule.drop)).collect();
    assert_eq!(rules, [("metadata", false, true), ("exemplars", true, false), ("own", false, false)]);
}
