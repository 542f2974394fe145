//! What happens as memory fills: waits shrink, traces are decided early, new ones are sampled, data is refused.

use std::collections::BTreeMap;

use phoenix_component::harness::golden;
use phoenix_pdata::Signal;
use serde_json::Value;

use crate::support::{Tail, error, plain, request, spans};

const SMALL: &str = "decision_wait: 60s, buffer: {max_bytes: 2000000}";
const ERRORS: &str = "{name: e, type: status_code, status_code: {status_codes: [ERROR]}}";
const SHARE: &str = "{name: s, type: probabilistic, probabilistic: {sampling_percentage: 50}}";

/// An identifier whose randomness is spread evenly.
fn id(n: u64) -> u128 {
    u128::from(n) << 64 | u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn early(tail: &Tail, reason: &'static str) -> i64 {
    tail.host.metrics.sum("phoenix_processor_tail_sampling_early_decisions", &[("reason", reason)])
}

#[test]
fn memory_is_bounded_and_errors_are_kept() {
    let mut tail = Tail::new(&format!("{{{SMALL}, policies: [{ERRORS}, {SHARE}]}}"));
    let mut errors = 0;
    let (mut refused, mut most) = (0, 0);
    let mut kept: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for n in 0..4000_u64 {
        let mut trace = spans(id(n), 9);
        if n % 10 == 0 {
            trace[0] = error(id(n));
        }
        let batch = golden::batch(Signal::Traces, &request("shop", &trace).to_string());
        match tail.harness.send(batch) {
            Ok(_) => errors += usize::from(n % 10 == 0),
            Err(refusal) => {
                assert!(refusal.is_retryable());
                refused += 1;
            }
        }
        most = most.max(tail.harness.held().bytes);
        tail.harness.books().assert_balanced();
        if n % 100 == 0 {
            tail.advance(0.1);
            kept.append(&mut tail.kept());
        }
    }
    assert!(most <= 1_900_000, "{most} bytes");
    assert_eq!(refused, 0, "deciding early makes room");
    assert!(early(&tail, "memory") > 0);
    tail.harness.drain();
    kept.append(&mut tail.kept());
    let kept_errors =
        kept.values().filter(|trace| trace.iter().any(|span| span["status"]["code"] == 2)).count();
    assert_eq!(kept_errors, errors);
}

#[test]
fn waits_shrink_before_anything_else() {
    let mut tail = Tail::new(&format!("{{{SMALL}, policies: [{{name: p, type: always_sample}}]}}"));
    let mut n = 0;
    while tail.harness.held().bytes < 1_480_000 {
        tail.send(&spans(id(n), 9));
        tail.advance(0.01);
        n += 1;
    }
    assert_eq!(tail.kept().len(), 0);
    // 0.85 of the limit: waits are 36 seconds; and longer again, the less there is.
    tail.advance(40.0 - 0.01 * n as f64);
    let (held, early_ones) = (tail.harness.held().bytes, tail.kept().len() as u64);
    assert!((1_300_000..1_450_000).contains(&held), "{held} after 40 seconds");
    assert!((1..n / 2).contains(&early_ones), "{early_ones} of {n}");
    assert_eq!(early(&tail, "memory"), 0);
    tail.advance(61.0);
    assert_eq!(tail.harness.held().items, 0);
    assert_eq!(tail.kept().len() as u64, n - early_ones);
}

#[test]
fn a_full_buffer_refuses_and_takes_again() {
    // Traces with errors are all let in; so many at once exceed the limit until they are decided, slice by slice.
    let mut tail = Tail::new(
        "{decision_wait: 5s, buffer: {max_bytes: 500000}, policies: [{name: p, type: always_sample}]}",
    );
    let batch = || golden::batch(Signal::Traces, &request("shop", &[error(id(9999))]).to_string());
    let many: Vec<Value> = (0..5000).map(|n| error(id(n))).collect();
    tail.send(&many);
    let refusal = tail.harness.send(batch()).err().expect("no room");
    assert!(refusal.is_retryable());
    assert!(refusal.delay().is_some());
    tail.advance(2.0);
    assert!(tail.harness.held().items < 4000, "room is made without waiting");
    tail.harness.send(batch()).expect("there is room again");
    tail.advance(6.0);
    assert_eq!(tail.kept().len(), 5001);
    tail.harness.books().assert_balanced();
}

#[test]
fn new_traces_are_sampled_without_bias_while_memory_is_short() {
    // Traces that wait with errors cannot be decided early before all others are; they fill memory up.
    let mut tail = Tail::new(&format!("{{{SMALL}, policies: [{{name: p, type: always_sample}}]}}"));
    let mut kept: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut n = 0_u64;
    // Large requests come faster than traces are decided.
    for _ in 0..40 {
        let request: Vec<Value> = (0..2000).map(|index| plain(id(n + index))).collect();
        n += 2000;
        let batch = golden::batch(Signal::Traces, &request_of(&request).to_string());
        if tail.harness.send(batch).is_err() {
            n -= 2000;
        }
        kept.append(&mut tail.kept());
    }
    tail.harness.drain();
    kept.append(&mut tail.kept());
    let stressed = tail.host.metrics.sum("phoenix_processor_tail_sampling_stress_sampled", &[]);
    assert!(stressed > 0, "memory was short");
    let estimate: f64 = kept
        .values()
        .flatten()
        .map(|span| {
            let state = span["traceState"].as_str().unwrap_or("");
            let state = phoenix_sampling::TraceState::read(state.as_bytes()).expect("a tracestate");
            state.threshold().map_or(1.0, |threshold| 1.0 / threshold.probability())
        })
        .sum();
    let part = kept.len() as f64 / n as f64;
    // The variance of an adjusted count 1/p is (1-p)/p²; every share is at least 1/64.
    assert!((estimate / n as f64 - 1.0).abs() < 0.05, "{estimate} for {n}, {part} kept");
}

#[test]
fn errors_of_traces_that_were_not_let_in_are_kept() {
    let policies = "policies: [{name: p, type: status_code, status_code: {status_codes: [ERROR]}}]";
    let mut tail = Tail::new(&format!("{{{SMALL}, {policies}}}"));
    // Errors that come in one request, as many as fit, and then new traces.
    let mut hundred = |from: u64| {
        tail.send(&(from..from + 100).map(|n| error(id(n))).collect::<Vec<Value>>());
        tail.harness.held().bytes as u64
    };
    // What is remembered counts as well, so the first hundred do not tell what each takes.
    let (before, now) = (hundred(0), hundred(100));
    let room = (1_735_000 - now) / ((now - before) / 100);
    let many = (200..200 + room).map(|n| error(id(n)));
    let newcomers: Vec<Value> = (0..500).map(|n| plain(id(100_000 + n))).collect();
    tail.send(&many.chain(newcomers.iter().cloned()).collect::<Vec<Value>>());
    let stressed = tail.host.metrics.sum("phoenix_processor_tail_sampling_stress_sampled", &[]);
    assert!(stressed > 100, "{stressed} of the new ones are not let in");
    // Room is made slice by slice.
    tail.advance(0.5);
    // What comes of them without an error is dropped still; what comes with one is kept, and so is what follows that.
    tail.send(&newcomers);
    let failed: Vec<Value> = (0..500).map(|n| error(id(100_000 + n))).collect();
    tail.send(&failed);
    tail.advance(0.5);
    tail.send(&newcomers);
    tail.harness.drain();
    let kept = tail.kept();
    for n in 0..500 {
        let spans = &kept[&format!("{:032x}", id(100_000 + n))];
        assert!(spans.iter().any(|span| span["status"]["code"] == 2), "{n}: {spans:?}");
        assert!(spans.iter().all(|span| span.get("traceState").is_none()), "all errors are kept: {spans:?}");
    }
    let late = tail.sum("early_releases_from_cache_decision", &[("sampled", "false")]);
    assert!(late >= stressed, "{late} of them came again without an error");
    tail.harness.books().assert_balanced();
}

fn request_of(spans: &[Value]) -> Value {
    request("shop", spans)
}

#[test]
fn what_is_remembered_and_all_other_tables_are_charged_and_within_the_limit() {
    // Minutes of twice the load, with as many decisions as are remembered where nobody says how many.
    const MAX: usize = 8_000_000;
    // The decisions that can be asked for, of which there are always as many.
    const BOOK: usize = 9 << 20;
    let mut tail = Tail::with_budget(
        &format!(
            "{{decision_wait: 10s, buffer: {{max_bytes: {MAX}}}, policies: [{ERRORS}, {{name: b, type: baseline, baseline: {{sampling_percentage: 10}}}}]}}"
        ),
        64 << 20,
    );
    let (mut n, mut most_charged, mut most_held) = (0_u64, 0, 0);
    let mut halves = [0, 0];
    for step in 0..1_600 {
        let request: Vec<Value> = (0..100).map(|index| plain(id(n + index))).collect();
        n += 100;
        let batch = golden::batch(Signal::Traces, &request_of(&request).to_string());
        // Refusals are an answer, too.
        let _ = tail.harness.send(batch);
        tail.advance(0.05);
        tail.kept();
        let (charged, held) = (tail.host.budget.used(), tail.harness.held().bytes);
        (most_charged, most_held) = (most_charged.max(charged), most_held.max(held));
        halves[step / 800] = halves[step / 800].max(charged);
    }
    assert!(most_held <= MAX * 7 / 8, "{most_held}");
    assert!(most_charged <= MAX * 115 / 100 + BOOK, "{most_charged} bytes are charged");
    // What is remembered is among that: it alone is some hundred kilobytes.
    assert!(halves[1] < halves[0] + MAX / 20, "{halves:?}: it does not grow");
    tail.harness.drain();
    let remembered = tail.host.budget.used();
    assert!((300_000..MAX / 4 + BOOK).contains(&remembered), "{remembered} stay charged");
    assert!(tail.sum("early_releases_from_cache_decision", &[]) == 0);
}
