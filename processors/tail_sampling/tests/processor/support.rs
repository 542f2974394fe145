//! What the tests share: a processor from YAML with the clock in hand, and spans in few words.

use std::collections::BTreeMap;
use std::time::Duration;

use phoenix_component::Host;
use phoenix_component::harness::{StageHarness, golden};
use phoenix_config::{ComponentId, decode_text};
use phoenix_pdata::Signal;
use phoenix_processor_tail_sampling::{TailSamplingConfig, stage};
use serde_json::{Value, json};

pub(crate) const A: u128 = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10;
pub(crate) const B: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
pub(crate) const C: u128 = 0x5b8e_fff7_9803_8103_d269_b633_813f_c60c;
pub(crate) const F: u128 = u128::MAX;

/// A processor, with the clock in the test's hands.
pub(crate) struct Tail {
    pub(crate) harness: StageHarness,
    pub(crate) host: Host,
    _runtime: tokio::runtime::Runtime,
}

impl Tail {
    pub(crate) fn new(yaml: &str) -> Tail {
        Tail::with_budget(yaml, usize::MAX)
    }

    pub(crate) fn with_budget(yaml: &str, budget: usize) -> Tail {
        Tail::on_host(yaml, |host| host.budget.set_limit(budget))
    }

    /// On a host that was prepared.
    pub(crate) fn on_host(yaml: &str, prepare: impl FnOnce(&Host)) -> Tail {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let host = runtime.block_on(async { Host::for_tests() });
        prepare(&host);
        let config: TailSamplingConfig = decode_text(yaml).unwrap_or_else(|found| panic!("{yaml}\n{found}"));
        let id = ComponentId::parse("tail_sampling").expect("an identifier");
        let harness = StageHarness::new(stage(&config, &host, &id).expect("it starts"));
        Tail { harness, host, _runtime: runtime }
    }

    /// Sends one request of spans without a resource.
    pub(crate) fn send(&mut self, spans: &[Value]) {
        self.send_request(&request("shop", spans));
    }

    pub(crate) fn send_request(&mut self, request: &Value) {
        let batch = golden::batch(Signal::Traces, &request.to_string());
        self.harness.send(batch).expect("there is room");
    }

    pub(crate) fn advance(&mut self, seconds: f64) {
        self.harness.advance(Duration::from_secs_f64(seconds));
    }

    /// What was let out since the last look: the spans of each trace.
    pub(crate) fn kept(&mut self) -> BTreeMap<String, Vec<Value>> {
        let mut traces: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for fragment in self.harness.take_released() {
            let request = golden::to_json(&fragment.batch);
            for span in spans_of(&request) {
                let id = span["traceId"].as_str().unwrap_or_default().to_owned();
                traces.entry(id).or_default().push(span.clone());
            }
        }
        traces
    }

    /// The same as requests.
    pub(crate) fn requests(&mut self) -> Vec<Value> {
        self.harness.take_released().iter().map(|fragment| golden::to_json(&fragment.batch)).collect()
    }

    pub(crate) fn sum(&self, metric: &str, attributes: &[(&str, &str)]) -> i64 {
        self.host.metrics.sum(&format!("otelcol_processor_tail_sampling_{metric}"), attributes)
    }
}

pub(crate) fn spans_of(request: &Value) -> Vec<&Value> {
    let mut spans = Vec::new();
    for resource in request["resourceSpans"].as_array().into_iter().flatten() {
        for scope in resource["scopeSpans"].as_array().into_iter().flatten() {
            spans.extend(scope["spans"].as_array().into_iter().flatten());
        }
    }
    spans
}

/// A request of one resource.
pub(crate) fn request(service: &str, spans: &[Value]) -> Value {
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [{"scope": {"name": "lib"}, "spans": spans}],
    }]})
}

/// A span of a trace, from and to in milliseconds; what `more` holds is added.
pub(crate) fn span(trace: u128, times: (u64, u64), more: Value) -> Value {
    const START: u64 = 1_760_000_000_000;
    let nanos = |millis: u64| ((START + millis) * 1_000_000).to_string();
    let mut span = json!({
        "traceId": format!("{trace:032x}"),
        "spanId": "0102030405060708",
        "name": "op",
        "startTimeUnixNano": nanos(times.0),
        "endTimeUnixNano": nanos(times.1),
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        span[key] = value.clone();
    }
    span
}

/// A span that says nothing of itself.
pub(crate) fn plain(trace: u128) -> Value {
    span(trace, (0, 1), json!({}))
}

pub(crate) fn spans(trace: u128, count: usize) -> Vec<Value> {
    vec![plain(trace); count]
}

pub(crate) fn error(trace: u128) -> Value {
    span(trace, (0, 1), json!({"status": {"code": 2}}))
}

pub(crate) fn with_attribute(trace: u128, key: &str, value: Value) -> Value {
    span(trace, (0, 1), json!({"attributes": [{"key": key, "value": value}]}))
}
