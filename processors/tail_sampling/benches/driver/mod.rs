//! A stage in its steady state: requests of 100 spans, in which every trace has its spans in four requests that follow
//! each other, and a tenth of the traces is kept. Time is handed in, so that as many traces wait as is asked for, whatever the
//! speed.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use phoenix_component::harness::golden;
use phoenix_component::{Ack, Batch, Fragment, Host, Now, Output, Stage};
use phoenix_config::{ComponentId, decode_text};
use phoenix_pdata::Signal;
use phoenix_processor_tail_sampling::{TailSamplingConfig, stage};
use serde_json::{Value, json};

pub(crate) const SPANS: usize = 100;
const PARTS: u64 = 4;
/// Of so many traces one has a root, which comes with its first spans.
const ROOTS_ONE_IN: usize = 2;
/// Traces that begin with a request of traces of one span for each of its parts.
pub(crate) const BEGIN: u64 = SPANS as u64 / PARTS;
/// Time between requests.
const STEP: Duration = Duration::from_millis(1);

pub(crate) const FIVE: &str = "[{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}, \
    {name: slow, type: latency, latency: {threshold_ms: 5000}}, \
    {name: vip, type: string_attribute, string_attribute: {key: customer.tier, values: [platinum]}}, \
    {name: status, type: numeric_attribute, numeric_attribute: {key: http.response.status_code, min_value: 600, max_value: 999}}, \
    {name: share, type: probabilistic, probabilistic: {sampling_percentage: 10}}]";

pub(crate) fn twenty() -> String {
    let mut policies = FIVE.trim_end_matches(']').to_owned();
    for n in 0..11 {
        policies += &format!(
            ", {{name: a{n}, type: string_attribute, string_attribute: {{key: url.path, values: [/never/{n}]}}}}"
        );
    }
    for n in 0..4 {
        policies += &format!(
            ", {{name: o{n}, type: ottl_condition, ottl_condition: {{span: ['attributes[\"http.response.status_code\"] == {}']}}}}",
            700 + n
        );
    }
    policies + "]"
}

/// A request in which identifiers of traces are filled in.
pub(crate) struct Template {
    bytes: Vec<u8>,
    ids: Vec<usize>,
    per_trace: usize,
}

impl Template {
    /// Spans of a trace follow each other; attributes make up the size.
    pub(crate) fn new(per_trace: usize, attributes: usize) -> Template {
        let span = |n: usize| {
            let mut list = vec![
                json!({"key": "http.request.method", "value": {"stringValue": "GET"}}),
                json!({"key": "http.response.status_code", "value": {"intValue": "200"}}),
                json!({"key": "url.path", "value": {"stringValue": format!("/api/v1/orders/{n}")}}),
                json!({"key": "customer.tier", "value": {"stringValue": "gold"}}),
                json!({"key": "server.address", "value": {"stringValue": "orders.shop.svc.cluster.local"}}),
                json!({"key": "network.peer.address", "value": {"stringValue": "10.12.34.56"}}),
                json!({"key": "user_agent.original", "value": {"stringValue": "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"}}),
                json!({"key": "thread.name", "value": {"stringValue": "http-nio-8080-exec-17"}}),
            ];
            list.truncate(attributes);
            let slot = n / per_trace;
            let is_root = slot.is_multiple_of(PARTS as usize)
                && (slot / PARTS as usize).is_multiple_of(ROOTS_ONE_IN)
                && n.is_multiple_of(per_trace);
            let parent = if is_root { "" } else { "0000000000000001" };
            json!({"traceId": format!("{:032x}", n + 1), "spanId": format!("{:016x}", n + 1),
                "parentSpanId": parent, "name": "GET /api/v1/orders/{id}", "kind": 2,
                "startTimeUnixNano": "1760000000000000000", "endTimeUnixNano": "1760000000012345678",
                "attributes": list, "status": {"code": 1}})
        };
        let spans: Vec<Value> = (0..SPANS).map(span).collect();
        let resource = json!({"attributes": [
            {"key": "service.name", "value": {"stringValue": "orders"}},
            {"key": "host.name", "value": {"stringValue": "node-17"}}]});
        let request = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "http"}, "spans": spans}]}]});
        let payload = golden::batch(Signal::Traces, &request.to_string()).payload.into_contiguous();
        let base = payload.as_ptr().addr();
        let ids = phoenix_pdata::view::resource_spans(&payload)
            .into_iter()
            .flat_map(|entry| entry.scopes())
            .flat_map(|scope| scope.records())
            .map(|span| span.trace_id().as_ptr().addr() - base)
            .collect();
        Template { bytes: payload.to_vec(), ids, per_trace }
    }

    /// Request `n`: a part of the traces that began with it, and of those of the three before.
    fn request(&self, n: u64) -> Bytes {
        let mut bytes = self.bytes.clone();
        let begin = (SPANS / self.per_trace).div_ceil(PARTS as usize) as u64;
        for (index, at) in self.ids.iter().enumerate() {
            let slot = (index / self.per_trace) as u64;
            let group = n.saturating_sub(slot % PARTS);
            let number = group * begin + slot / PARTS;
            let id = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(mix(number));
            bytes[*at..*at + 16].copy_from_slice(&id.to_be_bytes());
        }
        bytes.into()
    }
}

fn mix(n: u64) -> u64 {
    let n = (n ^ n >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb)
}

pub(crate) struct Driver {
    pub(crate) stage: Box<dyn Stage>,
    pub(crate) now: Now,
    number: u64,
    template: Template,
    released: u64,
}

impl Driver {
    /// As many requests as are sent while traces wait fill the stage.
    pub(crate) fn new(
        host: &Host,
        (policies, more): (&str, &str),
        waiting: u64,
        template: Template,
    ) -> Driver {
        let wait = STEP * waiting as u32;
        let yaml = format!(
            "{{decision_wait: {}ms, buffer: {{max_bytes: 40000000000}}, {more}, policies: {policies}}}",
            wait.as_millis()
        );
        let config: TailSamplingConfig = decode_text(&yaml).expect("settings");
        let id = ComponentId::parse("bench").expect("an identifier");
        let stage = stage(&config, host, &id).expect("it starts").shards.remove(0);
        let mut driver = Driver { stage, now: Now::default(), number: 0, template, released: 0 };
        for _ in 0..waiting + waiting / 4 + 50 {
            driver.step();
        }
        driver
    }

    /// Sends the next request and does what is due.
    fn step(&mut self) {
        self.number += 1;
        self.send(self.template.request(self.number));
    }

    fn send(&mut self, request: Bytes) {
        let batch = Batch { waiting: 0, ..Batch::new(Signal::Traces, request.into(), SPANS as u64) };
        let mut out = Output::with_room(64);
        self.stage.ingest(Fragment { batch, ack: Ack::none() }, self.now, &mut out);
        if self.stage.wake_at().is_some_and(|at| at <= self.now.monotonic) {
            self.stage.tick(self.now, &mut out);
        }
        self.released += out.take_batches().iter().map(|fragment| fragment.batch.items).sum::<u64>();
        black_box(&out);
        self.now.monotonic += STEP;
    }

    /// The processor's time that so many requests take, which were made before: that of others on the machine is no part of it.
    pub(crate) fn steps(&mut self, mut count: u64) -> Duration {
        const MADE_TOGETHER: u64 = 500;
        let mut time = Duration::ZERO;
        while count > 0 {
            let part = count.min(MADE_TOGETHER);
            let requests: Vec<Bytes> =
                (1..=part).map(|ahead| self.template.request(self.number + ahead)).collect();
            (self.number, count) = (self.number + part, count - part);
            let began = cpu_time();
            requests.into_iter().for_each(|request| self.send(request));
            time += cpu_time() - began;
        }
        time
    }

    /// Bytes of a span on the wire.
    pub(crate) fn wire_bytes(&self) -> usize {
        self.template.bytes.len() / SPANS
    }

    /// What the stage holds: a figure for a stage that holds something else means nothing.
    pub(crate) fn state(&self) -> String {
        let held = self.stage.held();
        let sent = self.number * SPANS as u64;
        format!(
            "{} requests; {} spans of {} bytes held in {} bytes each, {:.1} % released",
            self.number,
            held.items,
            self.wire_bytes(),
            held.bytes / held.items.max(1) as usize,
            100.0 * self.released as f64 / sent as f64
        )
    }
}

/// The processor's time of this thread.
pub(crate) fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux says so");
    let nanos = text.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}
