use phoenix_component::harness::StageHarness;
use phoenix_component::{Batch, Host};
use phoenix_config::{ComponentId, decode_text};
use phoenix_pdata::Signal;
use phoenix_pdata::write::{put_bytes, put_message};
use std::time::Duration;

use super::LARGEST;

/// A request with spans of one trace, each of 40 bytes: the one with the number 0 called all others.
fn request(first: u64, count: u64) -> Batch {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| {
        put_message(out, 2, |out| {
            for number in first..first + count {
                put_message(out, 2, |out| {
                    put_bytes(out, 1, &[7; 16]);
                    put_bytes(out, 2, &number.to_be_bytes());
                    if number > 0 {
                        put_bytes(out, 4, &[0; 8]);
                    }
                });
            }
        });
    });
    Batch { waiting: 0, ..Batch::new(Signal::Traces, bytes::Bytes::from(out).into(), count) }
}

/// Sends a trace of a million spans; what is let out, as `(spans, bytes)` of each request, and what ended by which reason.
fn million(settings: &str) -> (Vec<(u64, usize)>, u64) {
    const SPANS: u64 = 1_000_000;
    const EACH: u64 = 5_000;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let host = runtime.block_on(async { Host::for_tests() });
    let yaml = format!("{{decision_wait: 1s, {settings}}}");
    let config = decode_text(&yaml).unwrap_or_else(|found| panic!("{yaml}\n{found}"));
    let id = ComponentId::parse("tail_sampling").expect("an identifier");
    let mut harness = StageHarness::new(crate::stage(&config, &host, &id).expect("it starts"));
    for first in (0..SPANS).step_by(EACH as usize) {
        harness.send(request(first, EACH)).expect("there is room");
    }
    harness.advance(Duration::from_secs(3));
    let dropped = harness.books().dropped.values().sum();
    let requests = harness.take_released();
    (requests.iter().map(|one| (one.batch.items, one.batch.payload.len())).collect(), dropped)
}

#[test]
fn a_trace_of_a_million_spans_goes_in_requests_that_backends_take() {
    let (requests, dropped) = million("policies: [{name: all, type: always_sample}]");
    assert_eq!((requests.iter().map(|(spans, _)| spans).sum::<u64>(), dropped), (1_000_000, 0));
    assert!(requests.len() >= 10, "{requests:?}");
    assert!(requests.iter().all(|(_, bytes)| *bytes <= LARGEST + 100), "{requests:?}");
}

#[test]
fn a_trace_of_a_million_spans_is_cut_or_dropped_where_that_is_wanted() {
    let cut = "policies: [{name: all, type: always_sample}, \
        {name: cut, type: trace_truncate, trace_truncate: {min_spans: 1000, sampling_percentage: 1}}]";
    let (requests, dropped) = million(cut);
    let kept: u64 = requests.iter().map(|(spans, _)| spans).sum();
    assert_eq!(kept + dropped, 1_000_000);
    assert!((9_000..11_000).contains(&kept), "{kept}");
    let (requests, dropped) =
        million("maximum_trace_size_bytes: 1000000, policies: [{name: all, type: always_sample}]");
    assert_eq!((requests.len(), dropped), (0, 1_000_000), "the rest follows that decision");
}
