//! Spans that nobody should send.

use bytes::Bytes;
use phoenix_component::Batch;
use phoenix_component::harness::golden;
use phoenix_pdata::{InvalidUtf8, Signal, validate};
use serde_json::json;

use crate::support::{A, Tail, plain, request, span, spans};

const ALL: &str = "{decision_wait: 1s, policies: [{name: p, type: always_sample}]}";

#[test]
fn spans_without_an_identifier_are_decided_together_and_not_remembered() {
    let mut tail = Tail::new(ALL);
    let zeros = plain(0);
    let mut none = plain(0);
    none["traceId"] = json!("");
    tail.send(&[zeros.clone(), none.clone()]);
    tail.advance(2.0);
    assert_eq!(tail.kept().values().map(Vec::len).sum::<usize>(), 2);
    let count =
        |tail: &Tail| tail.host.metrics.sum("phoenix_processor_tail_sampling_spans_without_trace_id", &[]);
    assert_eq!(count(&tail), 2);
    tail.send(&[none]);
    assert_eq!(tail.harness.held().items, 1, "it waits again");
    assert_eq!(count(&tail), 3);
}

#[test]
fn identifiers_of_another_length_do_not_get_here() {
    // resource_spans { scope_spans { spans { trace_id: 3 bytes } } }
    let bytes = Bytes::from_static(&[0x0a, 9, 0x12, 7, 0x12, 5, 0x0a, 3, 1, 2, 3]);
    assert!(validate(Signal::Traces, bytes, InvalidUtf8::Pass).is_err());
}

#[test]
fn clocks_that_are_wrong_make_no_latency_and_no_panic() {
    let policy = "{decision_wait: 1s, policies: [{name: p, type: latency, latency: {threshold_ms: 1}}]}";
    let mut tail = Tail::new(policy);
    let mut extreme = span(A, (5, 0), json!({}));
    tail.send(&[extreme.clone()]);
    extreme["traceId"] = json!(format!("{:032x}", A + 1));
    extreme["startTimeUnixNano"] = json!("0");
    extreme["endTimeUnixNano"] = json!("18446744073709551615");
    tail.send(&[extreme]);
    // A day between the clocks of two services.
    tail.send(&[span(A + 2, (0, 1), json!({})), span(A + 2, (86_400_000, 86_400_001), json!({}))]);
    tail.advance(2.0);
    let kept: Vec<String> = tail.kept().into_keys().collect();
    assert_eq!(kept, [format!("{:032x}", A + 1), format!("{:032x}", A + 2)]);
}

#[test]
fn an_attribute_of_a_megabyte_has_a_segment_of_its_own() {
    let mut tail = Tail::new(ALL);
    let text = "x".repeat(1 << 20);
    let large = span(A, (0, 1), json!({"attributes": [{"key": "k", "value": {"stringValue": text}}]}));
    tail.send(&[plain(A), large.clone(), plain(A)]);
    tail.advance(2.0);
    let kept = tail.kept();
    assert_eq!(kept.values().flatten().count(), 3);
    assert_eq!(kept.values().flatten().nth(1).map(|span| &span["attributes"]), Some(&large["attributes"]));
}

#[test]
fn a_trace_without_end_is_decided_before_it_fills_memory() {
    let mut tail = Tail::new(
        "{decision_wait: 60s, buffer: {max_bytes: 1000000}, policies: [{name: p, type: always_sample}]}",
    );
    let mut sent = 0;
    for _ in 0..200 {
        tail.send(&spans(A, 100));
        sent += 100;
        assert!(tail.harness.held().bytes < 250_000, "{}", tail.harness.held().bytes);
    }
    let early =
        tail.host.metrics.sum("phoenix_processor_tail_sampling_early_decisions", &[("reason", "size")]);
    assert_eq!(early, 1, "the rest follows that decision");
    tail.advance(61.0);
    assert_eq!(tail.kept().values().map(Vec::len).sum::<usize>(), sent);
}

#[test]
fn a_trace_of_a_million_spans_takes_no_more_than_its_part_of_memory() {
    let mut tail = Tail::new(
        "{decision_wait: 60s, buffer: {max_bytes: 1000000}, policies: [{name: p, type: always_sample}]}",
    );
    let batch = golden::batch(Signal::Traces, &request("shop", &spans(A, 1000)).to_string());
    let mut came = 0;
    for _ in 0..1000 {
        tail.harness.send(batch.clone()).expect("there is room");
        tail.advance(0.06);
        came += tail.harness.take_released().iter().map(|fragment| fragment.batch.items).sum::<u64>();
        assert!(tail.harness.held().bytes < 500_000, "{}", tail.harness.held().bytes);
    }
    tail.advance(61.0);
    came += tail.harness.take_released().iter().map(|fragment| fragment.batch.items).sum::<u64>();
    assert_eq!(came, 1_000_000);
    assert_eq!(tail.sum("global_count_traces_sampled", &[]), 1, "one decision, which the rest follows");
    tail.harness.books().assert_balanced();
}

#[test]
fn an_empty_request_is_nothing() {
    let mut tail = Tail::new(ALL);
    tail.send_request(&request("shop", &[]));
    let empty = Batch::new(Signal::Traces, Bytes::new().into(), 0);
    tail.harness.send(empty).expect("nothing");
    assert_eq!(tail.harness.held().items, 0);
    tail.advance(2.0);
    assert!(tail.kept().is_empty());
}
