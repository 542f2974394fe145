use phoenix_config::{KeyPath, Problems, decode_checked, decode_text, parse_yaml};

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
        ("{policies: [{name: a, type: always_sample}], buffer: {spill: {}}}".into(), &["buffer::spill::storage"]),
        (
            "{policies: [{name: a, type: always_sample}], buffer: {spill: {storage: s, max_bytes: 10, memory_share: 0.9}}}"
                .into(),
            &["buffer::spill::max_bytes", "buffer::spill::memory_share"],
        ),
        (
            "{policies: [{name: a, type: always_sample}], drop_pending_traces_on_shutdown: true, buffer: {spill: {storage: s, on_shutdown: keep}}}"
                .into(),
            &["buffer::spill::on_shutdown"],
        ),
        ("{policies: [{name: a, type: always_sample}], num_shards: 0}".into(), &["num_shards"]),
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
                "type: composite, composite: {max_total_spans_per_second: 1, composite_sub_policy: [{name: a, type: always_sample}], rate_allocation: [{policy: a, percent: -1}]}",
            ),
            &["policies::0::composite::rate_allocation::0::percent"],
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

/// The warnings for these settings, each with its key.
fn warnings(settings: &str) -> Vec<(String, String)> {
    let node = parse_yaml("settings", settings).expect(settings);
    let mut problems = Problems::in_section(KeyPath::root(), &node, node.location());
    decode_checked::<TailSamplingConfig>(&node, &mut problems).expect(settings);
    problems.warnings().map(|found| (found.path.to_string(), found.message.clone())).collect()
}

#[test]
fn a_wait_that_memory_cannot_last_for_is_warned_of_with_the_headroom() {
    // (settings, what the warnings say). A trace of eight spans of 500 bytes takes 4,302 bytes, of which 7/8 of the limit live.
    let cases: [(&str, &[&str]); 8] = [
        ("decision_wait: 30s", &[]),
        ("decision_wait: 24h", &[]),
        ("decision_wait: 24h, buffer: {max_bytes: 1000000}", &["full after 203.3s at 1 new traces"]),
        ("decision_wait: 203s, buffer: {max_bytes: 1000000}", &[]),
        (
            "decision_wait: 10s, expected_new_traces_per_sec: 1250, buffer: {max_bytes: 61000000}",
            &["full after 9.9s at 1250 new traces"],
        ),
        ("decision_wait: 10s, expected_new_traces_per_sec: 1250, buffer: {max_bytes: 62000000}", &[]),
        (
            "decision_wait: 51s, expected_new_traces_per_sec: 1000, num_traces: 50000",
            &["50000 traces wait after 50.0s"],
        ),
        ("decision_wait: 50s, expected_new_traces_per_sec: 1000, num_traces: 50000", &[]),
    ];
    for (settings, expected) in cases {
        let found = warnings(&format!("{{policies: [{{name: a, type: always_sample}}], {settings}}}"));
        assert_eq!(found.len(), expected.len(), "{settings}: {found:?}");
        for ((key, message), text) in found.iter().zip(expected) {
            assert_eq!(key, "decision_wait", "{settings}");
            assert!(message.contains(text), "{settings}: {message}");
        }
    }
}

#[test]
fn what_otelcol_takes_and_nothing_matches_is_taken_with_a_warning() {
    // (policy, the key of the warning)
    let cases = [
        ("type: span_count, span_count: {min_spans: 3, max_spans: 2}", "span_count"),
        (
            "type: numeric_attribute, numeric_attribute: {key: n, min_value: 5, max_value: 2}",
            "numeric_attribute",
        ),
        ("type: trace_state, trace_state: {key: k, values: ['']}", "trace_state::values"),
        (
            "type: composite, composite: {max_total_spans_per_second: 1, composite_sub_policy: [{type: always_sample}], \
             rate_allocation: [{policy: b, percent: 101}]}",
            "composite::rate_allocation::0::policy",
        ),
    ];
    for (policy, key) in cases {
        let found = warnings(&policies(policy));
        let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, [format!("policies::0::{key}")], "{found:?}");
    }
}

#[test]
fn whoever_blocks_without_a_number_has_that_of_otelcol() {
    let most = |settings: &str| {
        let config: TailSamplingConfig =
            decode_text(&format!("{{policies: [{{name: a, type: always_sample}}], {settings}}}"))
                .expect(settings);
        config.most_traces()
    };
    assert_eq!(most("block_on_overflow: true"), Some(50_000));
    assert_eq!(most("block_on_overflow: true, num_traces: 7"), Some(7));
    assert_eq!(most("block_on_overflow: false"), None);
}
