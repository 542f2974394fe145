//! One test for each rule of otelcol's processor, and of what Phoenix does otherwise on purpose.

use serde_json::{Value, json};

use crate::support::{A, B, C, F, Tail, error, plain, request, span, spans, with_attribute};

/// A processor with one policy, `p`, that waits for a second.
pub(crate) fn one(policy: &str) -> String {
    many(&format!("{{name: p, {policy}}}"), "")
}

pub(crate) fn many(policies: &str, more: &str) -> String {
    format!("{{decision_wait: 1s, policies: [{policies}], {more}}}")
}

/// Whether the trace of these spans is kept, and that it is kept whole.
pub(crate) fn keeps(yaml: &str, spans: &[Value]) -> bool {
    let mut tail = Tail::new(yaml);
    tail.send(spans);
    tail.advance(2.0);
    let kept = tail.kept();
    tail.harness.books().assert_balanced();
    assert!(kept.values().all(|kept| kept.len() == spans.len()), "{yaml}: a trace is kept whole");
    !kept.is_empty()
}

#[test]
fn traces_are_kept_by_their_duration() {
    let cases = [
        // (latency, times of spans, kept)
        ("threshold_ms: 500", vec![(0, 500)], true),
        ("threshold_ms: 501", vec![(0, 500)], false),
        ("threshold_ms: 500, upper_threshold_ms: 1000", vec![(0, 500)], false),
        ("threshold_ms: 500, upper_threshold_ms: 1000", vec![(0, 501)], true),
        ("threshold_ms: 500, upper_threshold_ms: 1000", vec![(0, 1000)], true),
        ("threshold_ms: 900", vec![(0, 300), (700, 1000)], true),
        ("threshold_ms: 500, upper_threshold_ms: 1000", vec![(0, 600), (0, 5000)], false),
        // The end before the start.
        ("threshold_ms: 1", vec![(500, 0)], false),
        // No duration is below an upper threshold that is negative.
        ("threshold_ms: 1, upper_threshold_ms: -5", vec![(0, 10)], false),
    ];
    for (latency, times, expected) in cases {
        let policy = one(&format!("type: latency, latency: {{{latency}}}"));
        let spans: Vec<Value> = times.iter().map(|times| span(A, *times, json!({}))).collect();
        assert_eq!(keeps(&policy, &spans), expected, "{latency} {times:?}");
    }
    // A span without a start began at 0, wherever among the others it comes.
    let early = span(A, (0, 1), json!({"startTimeUnixNano": "0"}));
    for spans in [[early.clone(), plain(A)], [plain(A), early.clone()]] {
        assert!(keeps(&one("type: latency, latency: {threshold_ms: 100000}"), &spans));
    }
    // otelcol asks after each span, and stops at the first yes.
    let policy = "{name: p, type: latency, latency: {threshold_ms: 500, upper_threshold_ms: 1000}}";
    let spans = [span(A, (0, 600), json!({})), span(A, (0, 5000), json!({}))];
    assert!(keeps(&many(policy, "compat: {latency_prefix: true}"), &spans));
}

#[test]
fn a_share_of_traces_is_kept_by_hash() {
    let cases = [
        (F, "sampling_percentage: 9.2", false),
        (F, "sampling_percentage: 9.3", true),
        (B, "sampling_percentage: 17.8, hash_salt: s2", false),
        (B, "sampling_percentage: 17.9, hash_salt: s2", true),
        (A, "sampling_percentage: 100", true),
        (A, "sampling_percentage: 0", false),
    ];
    for (id, probabilistic, expected) in cases {
        let policy = one(&format!("type: probabilistic, probabilistic: {{{probabilistic}}}"));
        assert_eq!(keeps(&policy, &[plain(id)]), expected, "{id:x} {probabilistic}");
    }
}

#[test]
fn with_w3c_randomness_what_is_kept_says_its_threshold() {
    // (percentage, tracestate, the tracestate of what is kept)
    let cases = [
        (1.0, "ot=rv:ffffffffffffff", Some("ot=rv:ffffffffffffff;th:fd70a3d70a3d71")),
        (25.0, "ot=th:8", Some("ot=th:c")),
        (50.0, "ot=th:c", Some("ot=th:c")),
        (25.0, "", Some("ot=th:c")),
        (25.0, "vendor=1", Some("ot=th:c,vendor=1")),
        (10.0, "", None),
        (100.0, "", Some("ot=th:0")),
    ];
    for (percentage, state, expected) in cases {
        let policy =
            format!("{{name: p, type: probabilistic, probabilistic: {{sampling_percentage: {percentage}}}}}");
        let mut tail = Tail::new(&many(&policy, "randomness: w3c"));
        tail.send(&[span(B, (0, 1), json!({"traceState": state}))]);
        tail.advance(2.0);
        let kept = tail.kept();
        let found = kept.values().flatten().next().map(|span| span["traceState"].as_str().unwrap_or(""));
        assert_eq!(found, expected, "{percentage} {state:?}");
    }
}

#[test]
fn thresholds_are_those_of_everybody_who_keeps() {
    // A rule that keeps all errors, beside one that keeps a share: errors stand for themselves alone.
    let policies = "{name: share, type: probabilistic, probabilistic: {sampling_percentage: 10}}, \
                    {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}";
    let mut tail = Tail::new(&many(policies, "randomness: w3c"));
    for trace in 1..=20_u128 {
        // Randomness all over the range.
        tail.send(&[error((trace << 100) | (trace * 0x000c_cccc_cccc_cccc))]);
    }
    tail.advance(2.0);
    let kept = tail.kept();
    assert_eq!(kept.len(), 20);
    assert!(kept.values().flatten().all(|span| span["traceState"] == "ot=th:0"));
    // A limiter keeps with a probability that nobody knows: what was said before is not true any more.
    let limited = "{name: p, type: rate_limiting, rate_limiting: {spans_per_second: 10}}";
    let mut tail = Tail::new(&many(limited, "randomness: w3c"));
    tail.send(&[span(B, (0, 1), json!({"traceState": "ot=th:8,v=1"}))]);
    tail.advance(2.0);
    assert_eq!(
        tail.kept().values().flatten().next().map(|span| span["traceState"].clone()),
        Some("v=1".into())
    );
}

#[test]
fn one_span_with_an_error_keeps_all_of_its_trace() {
    let mut trace = spans(A, 20);
    trace.push(error(A));
    let policy = one("type: status_code, status_code: {status_codes: [ERROR]}");
    assert!(keeps(&policy, &trace));
    assert!(!keeps(&policy, &spans(A, 20)));
    assert!(keeps(&one("type: status_code, status_code: {status_codes: [OK, UNSET]}"), &[plain(A)]));
}

#[test]
fn attributes_are_those_of_resources_and_spans() {
    let text = |key: &str, value: &str| with_attribute(A, key, json!({"stringValue": value}));
    let int = |value: i64| with_attribute(A, "n", json!({"intValue": value.to_string()}));
    let cases = [
        // (policy, span, kept)
        ("type: string_attribute, string_attribute: {key: service.name, values: [shop]}", plain(A), true),
        ("type: string_attribute, string_attribute: {key: service.name, values: [sho]}", plain(A), false),
        (
            "type: string_attribute, string_attribute: {key: http.path, values: [/health], enabled_regex_matching: true}",
            text("http.path", "/api/health2"),
            true,
        ),
        ("type: string_attribute, string_attribute: {key: a, values: ['']}", text("a", ""), false),
        (
            "type: string_attribute, string_attribute: {key: n, values: ['^$'], enabled_regex_matching: true}",
            int(1),
            false,
        ),
        ("type: numeric_attribute, numeric_attribute: {key: n, min_value: 0, max_value: 10}", int(0), true),
        ("type: numeric_attribute, numeric_attribute: {key: n, min_value: 0, max_value: 10}", int(-5), true),
        ("type: numeric_attribute, numeric_attribute: {key: n, min_value: 1, max_value: 10}", int(11), false),
        ("type: numeric_attribute, numeric_attribute: {key: n, max_value: 10}", text("n", "x"), true),
        (
            "type: boolean_attribute, boolean_attribute: {key: b, value: true}",
            with_attribute(A, "b", json!({"boolValue": true})),
            true,
        ),
        ("type: boolean_attribute, boolean_attribute: {key: b, value: false}", text("b", "true"), true),
        ("type: boolean_attribute, boolean_attribute: {key: b, value: false}", plain(A), false),
        // An empty pattern is found in any text.
        (
            "type: string_attribute, string_attribute: {key: a, values: [''], enabled_regex_matching: true}",
            text("a", "x"),
            true,
        ),
        (
            "type: string_attribute, string_attribute: {key: b, values: [''], enabled_regex_matching: true}",
            text("a", "x"),
            false,
        ),
    ];
    for (policy, span, expected) in cases {
        assert_eq!(keeps(&one(policy), &[span]), expected, "{policy}");
    }
    let strict = many(
        "{name: p, type: numeric_attribute, numeric_attribute: {key: n, min_value: 0, max_value: 10}}",
        "compat: {zero_bounds: false}",
    );
    assert!(!keeps(&strict, &[int(-5)]));
    assert!(keeps(&strict, &[int(0)]));
}

#[test]
fn counts_states_and_flags() {
    let count = "type: span_count, span_count: {min_spans: 2, max_spans: 3}";
    for (number, expected) in [(1, false), (2, true), (3, true), (4, false)] {
        assert_eq!(keeps(&one(count), &spans(A, number)), expected, "{number} spans");
    }
    let state = one("type: trace_state, trace_state: {key: tier, values: [gold, '']}");
    for (text, expected) in [("a=b,tier=gold", true), ("tier=silver", false), ("tier=gold,=", false)] {
        assert_eq!(keeps(&state, &[span(A, (0, 1), json!({"traceState": text}))]), expected, "{text}");
    }
    for (flags, expected) in [(1, true), (0x103, true), (2, false), (0x100, false)] {
        assert_eq!(keeps(&one("type: trace_flags"), &[span(A, (0, 1), json!({"flags": flags}))]), expected);
    }
}

#[test]
fn combined_policies() {
    let health = "{name: url, type: string_attribute, string_attribute: {key: url, values: [/health], enabled_regex_matching: true}}";
    let errors = "{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}";
    let both = span(
        A,
        (0, 1),
        json!({"attributes": [{"key": "url", "value": {"stringValue": "/health"}}], "status": {"code": 2}}),
    );
    let dropping =
        many(&format!("{errors}, {{name: d, type: drop, drop: {{drop_sub_policy: [{health}]}}}}"), "");
    assert!(!keeps(&dropping, std::slice::from_ref(&both)));
    assert!(keeps(&dropping, &[error(A)]));
    let and = one(&format!("type: and, and: {{and_sub_policy: [{health}, {errors}]}}"));
    assert!(keeps(&and, std::slice::from_ref(&both)));
    assert!(!keeps(&and, &[error(A)]));
    // Two conditions may hold for different spans.
    assert!(keeps(&and, &[error(A), with_attribute(A, "url", json!({"stringValue": "/health"}))]));
    let not = one(&format!("type: not, not: {{not_sub_policy: {errors}}}"));
    assert!(!keeps(&not, &[error(A)]));
    assert!(keeps(&not, &[plain(A)]));
    let nested = one(&format!(
        "type: and, and: {{and_sub_policy: [{{name: n, type: not, not: {{not_sub_policy: {errors}}}}}, {health}]}}"
    ));
    assert!(!keeps(&nested, &[both]));
    assert!(keeps(&nested, &[with_attribute(A, "url", json!({"stringValue": "/health"}))]));
}

#[test]
fn errors_of_conditions_are_votes_of_their_own() {
    let condition =
        r#"span: ['IsMatch(attributes["k"], "^a") and Substring(attributes["k"], 0, 3) == "abc"']"#;
    let first = with_attribute(A, "k", json!({"stringValue": "a"})); // shorter than three
    let second = with_attribute(A, "k", json!({"stringValue": "abc"}));
    for (mode, order, expected, errors) in [
        ("propagate", [&first, &second], false, 1),
        ("propagate", [&second, &first], true, 0),
        ("ignore", [&first, &second], true, 0),
        ("silent", [&first, &second], true, 0),
        ("", [&first, &second], true, 0),
    ] {
        // otelcol's default is in no list of its modes: it passes errors over.
        let mode = if mode.is_empty() { String::new() } else { format!("error_mode: {mode}, ") };
        let policy = one(&format!("type: ottl_condition, ottl_condition: {{{mode}{condition}}}"));
        let mut tail = Tail::new(&policy);
        tail.send(&order.map(Clone::clone));
        tail.advance(2.0);
        assert_eq!(!tail.kept().is_empty(), expected, "{mode}");
        assert_eq!(tail.sum("sampling_policy_evaluation_error", &[]), errors, "{mode}");
    }
    let events = one("type: ottl_condition, ottl_condition: {spanevent: ['name == \"exception\"']}");
    assert!(keeps(&events, &[plain(A), span(A, (0, 1), json!({"events": [{"name": "exception"}]}))]));
}

#[test]
fn limits_on_spans_and_bytes() {
    let mut tail = Tail::new(&one("type: rate_limiting, rate_limiting: {spans_per_second: 10}"));
    for trace in 1..=3 {
        tail.send(&spans(trace, 10));
        tail.advance(0.05);
    }
    tail.advance(1.1);
    assert_eq!(tail.kept().len(), 2, "a bucket for two of three");
    tail.send(&spans(4, 10));
    tail.advance(1.2);
    assert_eq!(tail.kept().len(), 1, "full again");
    tail.advance(60.0);
    tail.send(&spans(5, 25));
    tail.advance(2.0);
    assert_eq!(tail.kept().len(), 0, "more than the bucket holds");

    let mut tail = Tail::new(&one(
        "type: bytes_limiting, bytes_limiting: {bytes_per_second: 1000, burst_capacity: 1000}",
    ));
    for trace in 1..=100 {
        tail.send(&spans(trace, 1)); // about 80 bytes, with its resource and scope
    }
    tail.advance(2.0);
    let kept = tail.kept().len();
    assert!((8..=20).contains(&kept), "{kept}");
}

#[test]
fn a_rate_shared_by_policies() {
    let subs = "composite_sub_policy: [{name: small, type: span_count, span_count: {min_spans: 1}}, {name: rest, type: always_sample}], \
                rate_allocation: [{policy: small, percent: 60}, {policy: rest, percent: 40}]";
    for (overflow, expected) in [(false, 1), (true, 2)] {
        let policy = format!(
            "type: composite, composite: {{max_total_spans_per_second: 100, overflow: {overflow}, {subs}}}"
        );
        let mut tail = Tail::new(&one(&policy));
        tail.send(&spans(1, 60));
        tail.send(&spans(2, 30));
        tail.advance(2.0);
        assert_eq!(tail.kept().len(), expected, "overflow {overflow}");
    }
    // Of several parts for one policy the last one counts.
    let policy = "type: composite, composite: {max_total_spans_per_second: 100, composite_sub_policy: [{name: s, type: always_sample}], \
                  rate_allocation: [{policy: s, percent: 100}, {policy: s, percent: 10}]}";
    assert!(!keeps(&one(policy), &spans(A, 11)));
    assert!(keeps(&one(policy), &spans(A, 10)));
}

#[test]
fn policies_inside_of_another_need_no_names() {
    let limit = "{type: rate_limiting, rate_limiting: {spans_per_second: 1, burst_capacity: 1}}";
    let shared = "{type: composite, composite: {max_total_spans_per_second: 9, composite_sub_policy: [{type: trace_flags}]}}";
    let errors = "{name: x, type: status_code, status_code: {status_codes: [ERROR]}}";
    let policies = [
        format!("type: and, and: {{and_sub_policy: [{errors}, {errors}, {{type: always_sample}}]}}"),
        format!("type: and, and: {{and_sub_policy: [{errors}, {limit}, {{type: always_sample}}]}}"),
        format!("type: or, or: {{or_sub_policy: [{limit}, {shared}]}}"),
        "type: drop, drop: {drop_sub_policy: [{type: always_sample}]}".to_owned(),
    ];
    for (policy, expected) in policies.iter().zip([2, 1, 1, 0]) {
        let mut tail = Tail::new(&one(policy));
        tail.send(&[error(A), error(B)]);
        tail.advance(2.0);
        assert_eq!(tail.kept().len(), expected, "{policy}");
    }
}

#[test]
fn late_spans_follow_the_decision() {
    let policy = "{name: e, type: status_code, status_code: {status_codes: [ERROR]}}";
    let mut tail = Tail::new(&many(policy, ""));
    tail.send(&[plain(A), error(B)]);
    tail.advance(2.0);
    assert_eq!(tail.kept().len(), 1);
    tail.advance(40.0);
    tail.send(&[error(A), plain(B)]);
    tail.advance(0.05);
    let kept = tail.kept();
    assert_eq!(kept.len(), 1, "in a moment");
    assert!(kept.contains_key(&format!("{B:032x}")));
    assert_eq!(tail.sum("early_releases_from_cache_decision", &[("sampled", "false")]), 1);
    assert_eq!(tail.sum("early_releases_from_cache_decision", &[("sampled", "true")]), 1);
    tail.advance(2.0);
    assert!(tail.kept().is_empty());
    // What is forgotten begins anew.
    let mut tail =
        Tail::new(&many(policy, "decision_cache: {sampled_cache_size: 1, non_sampled_cache_size: 1}"));
    tail.send(&[plain(A), plain(B), plain(C), plain(F)]);
    tail.advance(2.0);
    tail.send(&[error(A)]);
    tail.advance(2.0);
    assert_eq!(tail.kept().len(), 1, "a fragment of its own");
}

#[test]
fn a_trace_too_many_has_the_oldest_decided() {
    let limits = "num_traces: 2";
    let mut tail = Tail::new(&many("{name: p, type: always_sample}", limits));
    for trace in [A, B, C] {
        tail.send(&[plain(trace)]);
    }
    let kept = tail.kept();
    assert_eq!(kept.keys().cloned().collect::<Vec<_>>(), [format!("{A:032x}")], "decided, not lost");
    assert_eq!(tail.sum("sampling_trace_dropped_too_early", &[]), 1);
    tail.advance(2.0);
    assert_eq!(tail.kept().len(), 2);

    let mut tail =
        Tail::new(&many("{name: p, type: always_sample}", "num_traces: 2, block_on_overflow: true"));
    tail.send(&[plain(A), plain(B)]);
    let batch = phoenix_component::harness::golden::batch(
        phoenix_pdata::Signal::Traces,
        &request("shop", &[plain(C)]).to_string(),
    );
    let refusal = tail.harness.send(batch.clone()).err().expect("no room");
    assert!(refusal.is_retryable() && refusal.delay().is_some());
    tail.advance(2.0);
    tail.harness.send(batch).expect("room");
}

#[test]
fn the_wait_after_a_root() {
    let count = "{name: p, type: span_count, span_count: {min_spans: 2}}";
    let child = |id| span(id, (0, 1), json!({"parentSpanId": "0102030405060709"}));
    for (wait, expected) in [("5s", 2), ("2s", 0)] {
        let mut tail = Tail::new(&format!(
            "{{decision_wait: 30s, decision_wait_after_root_received: {wait}, policies: [{count}]}}"
        ));
        tail.send(&[plain(A)]);
        tail.advance(1.9);
        assert_eq!(tail.harness.held().items, 1);
        tail.advance(1.1);
        tail.send(&[child(A)]);
        tail.advance(2.2);
        let spans: usize = tail.kept().values().map(Vec::len).sum();
        assert_eq!(spans, expected, "{wait}");
        assert_eq!(tail.harness.held().items, 0, "{wait}");
    }
    // Without a root it waits for the whole time, and a root that comes late makes it no longer.
    let mut tail = Tail::new(&format!(
        "{{decision_wait: 3s, decision_wait_after_root_received: 2s, policies: [{count}]}}"
    ));
    tail.send(&[child(A)]);
    tail.advance(2.9);
    tail.send(&[plain(A)]);
    tail.advance(0.2);
    assert_eq!(tail.kept().len(), 1);
}

#[test]
fn a_trace_that_is_too_large_is_dropped() {
    let mut tail = Tail::new(&many("{name: p, type: always_sample}", "maximum_trace_size_bytes: 1000"));
    tail.send(&spans(A, 50));
    assert_eq!(tail.harness.held().items, 0);
    assert_eq!(tail.sum("traces_dropped_too_large", &[]), 1);
    tail.send(&spans(A, 1));
    tail.advance(2.0);
    assert!(tail.kept().is_empty());
    assert_eq!(tail.harness.books().dropped["trace_too_large"], 50);
}

#[test]
fn deciding_as_spans_come() {
    let errors = "{name: e, type: status_code, status_code: {status_codes: [ERROR]}}";
    let pairs = "{name: n, type: span_count, span_count: {min_spans: 2}}";
    let strategy = "sampling_strategy: span-ingest";
    let mut tail = Tail::new(&many(&format!("{errors}, {pairs}"), strategy));
    tail.send(&[plain(A)]);
    tail.send(&[plain(A), error(B)]);
    let kept = tail.kept();
    assert_eq!(kept.keys().cloned().collect::<Vec<_>>(), [format!("{B:032x}")], "each request by itself");
    tail.send(&[error(A)]);
    tail.advance(0.05);
    assert_eq!(tail.kept().values().map(Vec::len).sum::<usize>(), 3, "with all that waits");
    tail.send(&[plain(C)]);
    tail.advance(2.0);
    assert!(tail.kept().is_empty(), "what nothing has kept is dropped");
    // A policy that may drop holds everything back.
    let drop = "{name: d, type: drop, drop: {drop_sub_policy: [{name: u, type: trace_flags}]}}";
    let mut tail = Tail::new(&many(&format!("{errors}, {drop}"), strategy));
    tail.send(&[error(A)]);
    tail.advance(2.0);
    assert!(tail.kept().is_empty());
}

#[test]
fn the_policy_that_decided_is_recorded() {
    let composite = "{name: c, type: composite, composite: {max_total_spans_per_second: 100, \
                     composite_sub_policy: [{name: sub, type: always_sample}]}}";
    let mut tail = Tail::new(&many(composite, "record_policy: true"));
    tail.send(&[plain(A)]);
    tail.advance(2.0);
    tail.send(&[plain(A)]);
    tail.advance(0.05);
    let attributes: Vec<Value> = tail
        .requests()
        .iter()
        .map(|request| request["resourceSpans"][0]["scopeSpans"][0]["scope"].clone())
        .collect();
    let policy = json!({"key": "tailsampling.policy", "value": {"stringValue": "c"}});
    let part = json!({"key": "tailsampling.composite_policy", "value": {"stringValue": "sub"}});
    let cached = json!({"key": "tailsampling.cached_decision", "value": {"boolValue": true}});
    assert_eq!(attributes[0], json!({"name": "lib", "attributes": [policy, part]}));
    assert_eq!(attributes[1], json!({"name": "lib", "attributes": [policy, part, cached]}));
}

#[test]
fn a_drain_decides_what_waits_or_drops_it() {
    for (drops, kept) in [(false, 2), (true, 0)] {
        let more = format!("drop_pending_traces_on_shutdown: {drops}");
        let mut tail = Tail::new(&many("{name: p, type: always_sample}", &more));
        tail.send(&[plain(A), plain(B)]);
        tail.harness.drain();
        assert_eq!(tail.kept().len(), kept);
        tail.harness.books().assert_balanced();
    }
}

#[test]
fn votes_are_counted_by_policy() {
    let policies = "{name: all, type: always_sample}, {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}";
    for (first_match, of_errors) in [(false, 2), (true, 0)] {
        let mut tail = Tail::new(&many(policies, &format!("sample_on_first_match: {first_match}")));
        tail.send(&[plain(A), error(B)]);
        tail.advance(2.0);
        let votes = |policy, decision| {
            tail.sum("count_traces_sampled", &[("policy", policy), ("decision", decision)])
        };
        assert_eq!(votes("all", "sampled"), 2);
        assert_eq!(votes("errors", "sampled") + votes("errors", "not_sampled"), of_errors);
        assert_eq!(tail.sum("global_count_traces_sampled", &[("sampled", "true")]), 2);
        assert_eq!(tail.sum("new_trace_id_received", &[]), 2);
    }
}

#[test]
fn resources_scopes_and_schemas_come_out_as_they_went_in() {
    let request = json!({"resourceSpans": [
        {"resource": {"attributes": [{"key": "a", "value": {"stringValue": "1"}}], "droppedAttributesCount": 2},
         "schemaUrl": "https://r",
         "scopeSpans": [
            {"scope": {"name": "x", "version": "2"}, "schemaUrl": "https://s", "spans": [plain(A), plain(A)]},
            {"scope": {"name": "y"}, "spans": [plain(A)]}]},
        {"scopeSpans": [{"spans": [plain(A)]}]},
    ]});
    let mut tail = Tail::new(&one("type: always_sample"));
    tail.send_request(&request);
    let batch =
        phoenix_component::harness::golden::batch(phoenix_pdata::Signal::Traces, &request.to_string());
    tail.advance(2.0);
    assert_eq!(tail.requests(), [phoenix_component::harness::golden::to_json(&batch)]);
}

#[test]
fn executions_of_policies_are_counted_and_timed() {
    let mut tail = Tail::new(&many(
        "{name: all, type: always_sample}, {name: fails, type: ottl_condition, ottl_condition: {error_mode: propagate, span: ['Substring(attributes[\"k\"], 0, 3) == \"abc\"']}}",
        "num_shards: 1",
    ));
    for trace in 1..=640_u128 {
        tail.send(&[with_attribute(trace, "k", json!({"stringValue": "a"}))]);
    }
    tail.advance(2.0);
    assert_eq!(tail.sum("sampling_policy_evaluation_error", &[]), 640);
    for policy in ["all", "fails"] {
        let of = [("policy", policy)];
        assert_eq!(tail.sum("sampling_policy_execution_count", &of), 640, "{policy}");
        // Ten of them were timed, and a clock moves by more than 16 ns with each.
        assert!(tail.sum("sampling_policy_execution_time_sum", &of) > 0, "{policy}");
    }
}
