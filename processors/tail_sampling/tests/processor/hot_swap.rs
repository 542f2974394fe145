//! New settings while traces wait.

use phoenix_component::harness::golden;
use phoenix_component::{Ack, Adoption, Fragment, Host, Now, Output, Stage};
use phoenix_config::{ComponentId, decode_text};
use phoenix_pdata::Signal;
use phoenix_processor_tail_sampling::{TailSamplingConfig, stage};
use serde_json::Value;
use std::time::Duration;

use crate::support::{A, B, C, plain, request, spans};

pub(crate) struct Swap {
    pub(crate) host: Host,
    _runtime: tokio::runtime::Runtime,
    pub(crate) now: Now,
}

impl Swap {
    pub(crate) fn new() -> Swap {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let host = runtime.block_on(async { Host::for_tests() });
        Swap { host, _runtime: runtime, now: Now::default() }
    }

    pub(crate) fn stage(&self, yaml: &str) -> Box<dyn Stage> {
        let config: TailSamplingConfig = decode_text(yaml).unwrap_or_else(|found| panic!("{yaml}\n{found}"));
        stage(&config, &self.host, &ComponentId::parse("tail_sampling").expect("an identifier"))
            .expect("it starts")
            .shards
            .remove(0)
    }

    pub(crate) fn send(&self, stage: &mut dyn Stage, spans: &[Value]) -> usize {
        let mut batch = golden::batch(Signal::Traces, &request("shop", spans).to_string());
        batch.waiting = 0;
        let mut out = Output::with_room(100);
        stage.ingest(Fragment { batch, ack: Ack::none() }, self.now, &mut out);
        count(out)
    }

    pub(crate) fn advance(&mut self, stage: &mut dyn Stage, by: Duration) -> usize {
        self.now.monotonic += by;
        let mut released = 0;
        while stage.wake_at().is_some_and(|at| at <= self.now.monotonic) {
            let mut out = Output::with_room(100);
            stage.tick(self.now, &mut out);
            self.now.monotonic += Duration::from_nanos(1);
            released += count(out);
        }
        released
    }
}

fn count(mut out: Output) -> usize {
    out.take_batches().iter().map(|fragment| fragment.batch.items as usize).sum()
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

#[test]
fn traces_that_wait_are_decided_by_the_policies_that_first_saw_them() {
    let mut swap = Swap::new();
    let mut old = swap
        .stage("{decision_wait: 2s, policies: [{name: n, type: span_count, span_count: {min_spans: 2}}]}");
    let mut new = swap
        .stage("{decision_wait: 2s, policies: [{name: n, type: span_count, span_count: {min_spans: 3}}]}");
    swap.send(&mut *old, &[plain(A)]);
    swap.advance(&mut *old, SECOND);
    // The successor is in place before it hears of what there was.
    swap.send(&mut *new, &[plain(A), plain(B)]);
    assert_eq!(new.adopt(&mut *old), Adoption::Kept);
    assert_eq!(old.held().items, 0);
    assert_eq!(new.held().items, 3);
    swap.send(&mut *new, &[plain(B), plain(C), plain(C), plain(C)]);
    let released = swap.advance(&mut *new, Duration::from_millis(1200));
    assert_eq!(released, 2, "A has two spans, as its policies want");
    assert_eq!(swap.advance(&mut *new, 3 * SECOND), 3, "C has three, B only two");
    assert_eq!(new.held().items, 0);
}

#[test]
fn decisions_and_limits_go_on() {
    let mut swap = Swap::new();
    let yaml = |more: &str| {
        format!(
            "{{decision_wait: 1s, policies: [{{name: r, type: rate_limiting, rate_limiting: {{spans_per_second: 1, burst_capacity: 20}}}}{more}]}}"
        )
    };
    let mut old = swap.stage(&yaml(""));
    let mut new = swap.stage(&yaml(", {name: f, type: trace_flags}"));
    swap.send(&mut *old, &spans(A, 20));
    assert_eq!(swap.advance(&mut *old, 2 * SECOND), 20);
    new.adopt(&mut *old);
    swap.send(&mut *new, &[plain(A)]);
    assert_eq!(swap.advance(&mut *new, Duration::from_millis(50)), 1, "known to be kept");
    swap.send(&mut *new, &spans(B, 10));
    assert_eq!(swap.advance(&mut *new, 2 * SECOND), 0, "the bucket is still nearly empty");
    // Another policy of that name and type, with another limit, begins with what is left.
    let mut newer = swap.stage(
        "{decision_wait: 1s, policies: [{name: r, type: rate_limiting, rate_limiting: {spans_per_second: 100, burst_capacity: 20}}]}",
    );
    newer.adopt(&mut *new);
    swap.send(&mut *newer, &spans(C, 10));
    assert_eq!(swap.advance(&mut *newer, 2 * SECOND), 10, "it fills faster");
}

#[test]
fn decisions_say_after_how_many_changes_their_policies_came() {
    let mut swap = Swap::new();
    let yaml = "{decision_wait: 1s, record_policy: true, policies: [{name: p, type: always_sample}]}";
    let (mut old, mut new) = (swap.stage(yaml), swap.stage(yaml));
    swap.send(&mut *old, &[plain(A)]);
    new.adopt(&mut *old);
    swap.send(&mut *new, &[plain(B)]);
    swap.now.monotonic += 2 * SECOND;
    let mut out = Output::with_room(100);
    new.tick(swap.now, &mut out);
    let request = golden::to_json(&out.take_batches()[0].batch);
    let scopes = request["resourceSpans"][0]["scopeSpans"].as_array().expect("scopes");
    let generation = |scope: &Value| scope["scope"]["attributes"][1]["value"]["intValue"].clone();
    assert_eq!(scopes.iter().map(generation).collect::<Vec<_>>(), [Value::Null, "1".into()]);
}

#[test]
fn another_number_of_shards_takes_nothing_over() {
    let swap = Swap::new();
    let mut old = swap.stage("{policies: [{name: p, type: always_sample}]}");
    let mut new = swap.stage("{num_shards: 2, policies: [{name: p, type: always_sample}]}");
    swap.send(&mut *old, &[plain(A)]);
    assert_eq!(new.adopt(&mut *old), Adoption::Rebuilt);
    assert_eq!(old.held().items, 1);
}

#[test]
fn what_policies_have_learned_goes_on() {
    let mut swap = Swap::new();
    let yaml = |wait: &str, first: u32| {
        format!(
            "{{decision_wait: {wait}, policies: [{{name: n, type: novelty, novelty: {{first: {first}}}}}]}}"
        )
    };
    let mut old = swap.stage(&yaml("1s", 1));
    swap.send(&mut *old, &[plain(A)]);
    assert_eq!(swap.advance(&mut *old, SECOND * 2), 1, "it is new");
    let mut new = swap.stage(&yaml("2s", 1));
    assert_eq!(new.adopt(&mut *old), Adoption::Kept);
    swap.send(&mut *new, &[plain(B)]);
    assert_eq!(swap.advance(&mut *new, SECOND * 3), 0, "it is not new any more");
    let mut newer = swap.stage(&yaml("2s", 2));
    assert_eq!(newer.adopt(&mut *new), Adoption::Kept);
    swap.send(&mut *newer, &[plain(C)]);
    assert_eq!(swap.advance(&mut *newer, SECOND * 3), 1, "other settings begin anew");
}
