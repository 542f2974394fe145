//! Settings that are refused, each at its key.

use super::traces::config;

#[test]
fn bad_settings_are_refused_and_named() {
    // (type, its settings, the key that is named below it)
    let cases = [
        ("or", "{}", "or_sub_policy"),
        ("k_of_n", "{k: 0, k_of_n_sub_policy: [{name: a, type: always_sample}]}", "k"),
        ("k_of_n", "{k: 2, k_of_n_sub_policy: [{name: a, type: always_sample}]}", "k"),
        ("budget", "{}", ""),
        ("budget", "{spans_per_second: 1, bytes_per_second: 1}", ""),
        ("budget", "{spans_per_second: 1, max_keys: 0}", "max_keys"),
        ("budget", "{spans_per_second: 1, key_fields: ['']}", "key_fields::0"),
        ("budget", "{spans_per_second: 1, key_fields: [root.http.route]}", "key_fields::0"),
        ("fair_share", "{spans_per_second: 1}", "key_fields"),
        ("priority", "{traces_per_second: 1, default_weight: -1}", "default_weight"),
        ("priority", "{traces_per_second: 1, default_weight: 0}", ""),
        (
            "priority",
            "{traces_per_second: 1, default_weight: 0, weights: [{weight: 0, when: {type: always_sample}}]}",
            "",
        ),
        ("priority", "{traces_per_second: 1, weights: [{weight: 1}]}", "weights::0::when"),
        (
            "priority",
            "{traces_per_second: 1, weights: [{weight: 1, when: {type: rate_limiting}}]}",
            "weights::0::when",
        ),
        ("ema_dynamic", "{goal_sampling_percentage: 0, key_fields: [a]}", "goal_sampling_percentage"),
        ("ema_dynamic", "{}", "key_fields"),
        ("ema_dynamic", "{key_fields: [a], weight: 0}", "weight"),
        ("ema_dynamic", "{key_fields: [a], adjustment_interval: 0s}", "adjustment_interval"),
        ("ema_throughput", "{goal_throughput_per_sec: 0, key_fields: [a]}", "goal_throughput_per_sec"),
        ("ema_throughput", "{initial_sampling_rate: 0, key_fields: [a]}", "initial_sampling_rate"),
        ("novelty", "{first: 0}", "first"),
        ("novelty", "{key_fields: []}", "key_fields"),
        ("latency_quantile", "{quantile: 1}", "quantile"),
        ("latency_quantile", "{window: -1s}", "window"),
        ("error_fingerprint", "{then_one_in: 0}", "then_one_in"),
        ("baseline", "{}", "sampling_percentage"),
        ("baseline", "{sampling_percentage: 101}", "sampling_percentage"),
    ];
    for (kind, settings, key) in cases {
        let policies = format!("  - {{name: p, type: {kind}, {kind}: {settings}}}");
        let problems = config(&policies).expect_err(&policies);
        let expected = match key {
            "" => format!("policies::0::{kind}"),
            key => format!("policies::0::{kind}::{key}"),
        };
        assert_eq!(problems.keys(), [expected], "{policies}: {problems}");
    }
}
