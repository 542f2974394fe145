//! `trace_truncate`, through the whole processor.

use phoenix_config::decode_text;
use phoenix_processor_tail_sampling::TailSamplingConfig;
use serde_json::{Value, json};

use crate::support::{A, B, C, Tail, span, spans};

/// A call within a trace; what calls it is 0 for a root.
fn call(trace: u128, (id, parent): (u64, u64), times: (u64, u64), code: u64) -> Value {
    let mut more = json!({"spanId": format!("{id:016x}"), "status": {"code": code}});
    if parent > 0 {
        more["parentSpanId"] = format!("{parent:016x}").into();
    }
    span(trace, times, more)
}

/// A trace: a root, a call of it that fails in one of its own, what the root waits for, and `rest` calls beside that.
fn large(trace: u128, rest: u64) -> Vec<Value> {
    let mut spans = vec![
        call(trace, (1, 0), (0, 1000), 0),
        call(trace, (2, 1), (100, 200), 0),
        call(trace, (3, 2), (120, 150), 2),
        call(trace, (4, 1), (500, 990), 0),
    ];
    spans.extend((0..rest).map(|n| call(trace, (0x100 + n, 1), (510, 600 + n % 90), 0)));
    spans.reverse();
    spans
}

/// How many of its trace a span stands for, where it says so.
fn count_of(span: &Value) -> Option<f64> {
    let mut attributes = span["attributes"].as_array()?.iter();
    attributes.find(|attribute| attribute["key"] == "sampling.span.adjusted_count")?["value"]["doubleValue"]
        .as_f64()
}

/// The numbers of the spans that say nothing of others.
fn whole(spans: &[Value]) -> Vec<u64> {
    let number =
        |span: &Value| u64::from_str_radix(span["spanId"].as_str().unwrap_or_default(), 16).expect("digits");
    let mut numbers: Vec<u64> = spans.iter().filter(|span| count_of(span).is_none()).map(number).collect();
    numbers.sort_unstable();
    numbers
}

const CUT: &str = "
decision_wait: 1s
policies:
  - {name: all, type: always_sample}
  - {name: large, type: trace_truncate, trace_truncate: {min_spans: 100, sampling_percentage: 10}}";

#[test]
fn of_a_large_trace_what_matters_stays_and_the_rest_counts_for_all() {
    let mut tail = Tail::new(CUT);
    const TRACES: u64 = 60;
    const REST: u64 = 300;
    for number in 0..TRACES {
        // In requests of 50 spans: a record has what stays and what goes.
        for part in large(u128::from(number) + 1, REST).chunks(50) {
            tail.send(part);
        }
    }
    tail.send(&large(C, 50));
    tail.advance(3.0);
    let mut kept = tail.kept();
    let small = kept.remove(&format!("{C:032x}")).expect("it is kept");
    assert_eq!(small.len(), 54, "a trace below the size stays as it is");
    assert!(small.iter().all(|span| count_of(span).is_none()));
    assert_eq!(kept.len(), TRACES as usize);
    let mut estimate = 0.0;
    for spans in kept.values() {
        assert_eq!(whole(spans), [1, 2, 3, 4]);
        estimate += spans.iter().map(|span| count_of(span).unwrap_or(1.0)).sum::<f64>();
    }
    // 18,000 spans of the rest, each with a tenth: a deviation of 2.2 %.
    let truth = (TRACES * (REST + 4)) as f64;
    assert!((estimate / truth - 1.0).abs() < 0.07, "{estimate} for {truth}");
    let stayed = kept.values().map(Vec::len).sum::<usize>() + small.len();
    let cut = tail.harness.books().dropped.get("truncated").copied().unwrap_or_default();
    assert_eq!(stayed as u64 + cut, TRACES * (REST + 4) + 54, "each span is accounted for");
    tail.harness.books().assert_balanced();
    assert_eq!(tail.host.metrics.sum("phoenix_processor_tail_sampling_truncated_traces", &[]), TRACES as i64);
}

#[test]
fn what_comes_late_to_a_trace_that_was_cut_follows() {
    let mut tail = Tail::new(CUT);
    tail.send(&large(A, 200));
    tail.send(&spans(B, 3));
    tail.advance(3.0);
    tail.kept();
    let mut late: Vec<Value> = (0..500).map(|n| call(A, (0x1000 + n, 1), (0, 1), 0)).collect();
    late.push(call(A, (0x900, 1), (0, 1), 2));
    tail.send(&late);
    tail.send(&spans(B, 2));
    tail.advance(1.0);
    let kept = tail.kept();
    assert_eq!(kept[&format!("{B:032x}")].len(), 2, "of another trace everything");
    let of_cut = &kept[&format!("{A:032x}")];
    assert_eq!(whole(of_cut), [0x900], "what failed stays");
    assert!((25..=80).contains(&(of_cut.len() - 1)), "{}", of_cut.len());
    tail.harness.books().assert_balanced();
}

#[test]
fn a_trace_that_was_cut_before_counts_for_more() {
    let mut tail = Tail::new(
        "{decision_wait: 1s, randomness: w3c, policies: [{name: all, type: probabilistic, probabilistic: {sampling_percentage: 25}}, \
         {name: large, type: trace_truncate, trace_truncate: {min_bytes: 5000, sampling_percentage: 50}}]}",
    );
    let before = json!([
        {"key": "a", "value": {"stringValue": "b"}},
        {"key": "sampling.span.adjusted_count", "value": {"doubleValue": 4.0}}]);
    let mut trace = large(B, 200);
    trace.iter_mut().for_each(|span| span["attributes"] = before.clone());
    tail.send(&trace);
    tail.advance(3.0);
    let kept = tail.kept().remove(&format!("{B:032x}")).expect("its randomness is above three quarters");
    assert!(kept.iter().all(|span| span["traceState"] == "ot=th:c"), "which is about the trace");
    let counts: Vec<f64> = kept.iter().map(|span| count_of(span).expect("all had one")).collect();
    assert_eq!(counts.iter().filter(|count| **count == 4.0).count(), 4, "{counts:?}");
    assert!((70..=130).contains(&counts.iter().filter(|count| **count == 8.0).count()), "{counts:?}");
    assert!(
        kept.iter().all(|span| span["attributes"].as_array().is_some_and(|list| list.len() == 2)),
        "in its place"
    );
}

#[test]
fn it_stands_beside_those_that_keep() {
    let cases = [
        ("{name: t, type: trace_truncate}", "policies::1::trace_truncate", "needs min_spans or min_bytes"),
        (
            "{name: t, type: trace_truncate, trace_truncate: {min_spans: 10, sampling_percentage: 100}}",
            "policies::1::trace_truncate::sampling_percentage",
            "below 100",
        ),
        (
            "{name: t, type: trace_truncate, shadow: true, trace_truncate: {min_spans: 10}}",
            "policies::1::shadow",
            "no effect",
        ),
        (
            "{name: t, type: and, and: {and_sub_policy: [{name: u, type: trace_truncate, trace_truncate: {min_spans: 10}}]}}",
            "policies::1::and::and_sub_policy::0::type",
            "keeps nothing",
        ),
    ];
    for (policy, key, message) in cases {
        let yaml = format!("{{policies: [{{name: all, type: always_sample}}, {policy}]}}");
        let found = decode_text::<TailSamplingConfig>(&yaml).expect_err(policy).to_string();
        assert!(found.contains(key) && found.contains(message), "{policy}: {found}");
    }
    let alone = "{policies: [{name: t, type: trace_truncate, trace_truncate: {min_spans: 10}}]}";
    let found = decode_text::<TailSamplingConfig>(alone).expect_err("nobody keeps").to_string();
    assert!(found.contains("keeps"), "{found}");
}

#[test]
fn what_is_copied_is_charged_while_it_is_there_and_not_kept_for_the_next() {
    let mut tail = Tail::new(CUT);
    tail.send(&large(A, 5_000));
    tail.advance(2.0);
    assert!(!tail.kept().is_empty());
    let at_rest = tail.host.budget.used();
    // Spans that come late are copied, and wait for others for a moment.
    let text = "x".repeat(3 << 20);
    let late = span(A, (0, 1), json!({"attributes": [{"key": "k", "value": {"stringValue": text}}]}));
    tail.send(&[late]);
    let waiting = tail.host.budget.used();
    assert!(waiting >= at_rest + (3 << 20), "{waiting} after {at_rest}");
    tail.advance(0.1);
    assert!(!tail.kept().is_empty());
    let after = tail.host.budget.used();
    assert!(after < at_rest + (2 << 20), "{after} after {at_rest}");
}
