use phoenix_config::decode_text;

use super::*;

fn policies(policy: &str) -> String {
    format!("{{policies: [{{name: p, {policy}}}]}}")
}

#[test]
fn every_policy_of_otelcol_is_taken() {
    let cases = [
        "type: always_sample",
        "type: latency, latency: {threshold_ms: 5000, upper_threshold_ms: 10000}",
        "type: numeric_attribute, numeric_attribute: {key: k, min_value: 50, max_value: 100, invert_match: true}",
        "type: probabilistic, probabilistic: {hash_salt: s, sampling_percentage: 0.1}",
        "type: status_code, status_code: {status_codes: [ERROR, UNSET, OK]}",
        "type: string_attribute, string_attribute: {key: k, values: ['v+'], enabled_regex_matching: true, cache_max_size: 10}",
        "type: trace_state, trace_state: {key: k, values: [a]}",
        "type: trace_flags",
        "type: rate_limiting, rate_limiting: {spans_per_second: 35, burst_capacity: 7}",
        "type: bytes_limiting, bytes_limiting: {bytes_per_second: 1000}",
        "type: span_count, span_count: {min_spans: 2, max_spans: 20}",
        "type: boolean_attribute, boolean_attribute: {key: k, value: true}",
        "type: ottl_condition, ottl_condition: {error_mode: ignore, span: ['attributes[\"a\"] == 1'], spanevent: ['name != \"b\"']}",
        "type: and, and: {and_sub_policy: [{name: a, type: always_sample}, {name: b, type: latency, latency: {threshold_ms: 1}}]}",
        "type: not, not: {not_sub_policy: {name: a, type: always_sample}}",
        "type: drop, drop: {drop_sub_policy: [{name: a, type: always_sample}]}",
        "type: composite, composite: {max_total_spans_per_second: 1000, policy_order: [a, b], \
         composite_sub_policy: [{name: a, type: always_sample}, {name: b, type: trace_flags}], \
         rate_allocation: [{policy: a, percent: 50}]}",
    ];
    for policy in cases {
        decode_text::<TailSamplingConfig>(&policies(policy))
            .unwrap_or_else(|found| panic!("{policy}: {found}"));
    }
}

#[test]
fn bad_settings_are_named() {
    // (settings, keys that the errors name)
    let in_policy = |policy: &str| policies(policy);
    let cases: Vec<(String, &[&str])> = vec![
        ("{}".into(), &["policies"]),
        ("{policies: [{name: a, type: x}]}".into(), &["policies::0::type"]),
        ("{policies: [{type: always_sample}]}".into(), &["policies::0::name"]),
        (
            "{policies: [{name: a, type: always_sample}, {name: a, type: always_sample}]}".into(),
            &["policies::1::name"],
        ),
        ("{policies: [{name: a, type: always_sample}], decision_wait: -1s}".into(), &["decision_wait"]),
        ("{policies: [{name: a, type: always_sample}], tail_storage: x}".into(), &["tail_storage"]),
        ("{policies: [{name: a, type: always_sample}], buffer: {spill: x}}".into(), &["buffer::spill"]),
        ("{policies: [{name: a, type: always_sample}], num_shards: 0}".into(), &["num_shards"]),
        (
            "{policies: [{name: a, type: always_sample}], block_on_overflow: true}".into(),
            &["block_on_overflow"],
        ),
        (
            in_policy("type: numeric_attribute, numeric_attribute: {key: k}"),
            &["policies::0::numeric_attribute"],
        ),
        (
            in_policy(
                "type: string_attribute, string_attribute: {key: k, values: ['('], enabled_regex_matching: true}",
            ),
            &["policies::0::string_attribute::values"],
        ),
        (in_policy("type: status_code"), &["policies::0::status_code::status_codes"]),
        (
            in_policy("type: status_code, status_code: {status_codes: [BAD]}"),
            &["policies::0::status_code::status_codes::0"],
        ),
        (in_policy("type: ottl_condition"), &["policies::0::ottl_condition"]),
        (
            in_policy("type: ottl_condition, ottl_condition: {span: ['attributes[']}"),
            &["policies::0::ottl_condition::span::0"],
        ),
        (in_policy("type: and"), &["policies::0::and::and_sub_policy"]),
        (
            in_policy("type: and, and: {and_sub_policy: [{name: x, type: status_code}]}"),
            &["policies::0::and::and_sub_policy::0::status_code::status_codes"],
        ),
        (in_policy("type: not"), &["policies::0::not::not_sub_policy"]),
        (
            in_policy(
                "type: composite, composite: {max_total_spans_per_second: 1, composite_sub_policy: [{name: a, type: always_sample}], rate_allocation: [{policy: b, percent: 101}]}",
            ),
            &[
                "policies::0::composite::rate_allocation::0::policy",
                "policies::0::composite::rate_allocation::0::percent",
            ],
        ),
        (
            in_policy("type: rate_limiting, rate_limiting: {spans_per_second: -1}"),
            &["policies::0::rate_limiting::spans_per_second"],
        ),
        (in_policy("type: latency, latency: {threshold: 1}"), &["policies::0::latency::threshold"]),
    ];
    for (settings, keys) in cases {
        let found = decode_text::<TailSamplingConfig>(&settings).expect_err(&settings);
        assert_eq!(found.keys(), keys, "{settings}: {found}");
    }
}
