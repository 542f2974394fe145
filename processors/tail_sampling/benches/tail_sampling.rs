//! What a request of 100 spans costs from intake to decision, in a stage that is in its steady state.
//!
//! Every trace has its spans in four requests that follow each other; a tenth of the traces is kept. Time is handed in, so
//! that as many traces wait as is asked for, whatever the speed.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use phoenix_component::harness::golden;
use phoenix_component::{Ack, Batch, Fragment, Host, Now, Output, Stage};
use phoenix_config::{ComponentId, decode_text};
use phoenix_pdata::Signal;
use phoenix_processor_tail_sampling::{TailSamplingConfig, stage};
use serde_json::{Value, json};

const SPANS: usize = 100;
const PARTS: u64 = 4;
/// Traces that begin with a request of traces of one span for each of its parts.
const BEGIN: u64 = SPANS as u64 / PARTS;
/// Time between requests.
const STEP: Duration = Duration::from_millis(1);

const FIVE: &str = "[{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}, \
    {name: slow, type: latency, latency: {threshold_ms: 5000}}, \
    {name: vip, type: string_attribute, string_attribute: {key: customer.tier, values: [platinum]}}, \
    {name: status, type: numeric_attribute, numeric_attribute: {key: http.response.status_code, min_value: 600, max_value: 999}}, \
    {name: share, type: probabilistic, probabilistic: {sampling_percentage: 10}}]";

fn twenty() -> String {
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
struct Template {
    bytes: Vec<u8>,
    ids: Vec<usize>,
    per_trace: usize,
}

impl Template {
    /// Spans of a trace follow each other; attributes make up the size.
    fn new(per_trace: usize, attributes: usize) -> Template {
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
            json!({"traceId": format!("{:032x}", n + 1), "spanId": format!("{:016x}", n + 1),
                "parentSpanId": "0000000000000001", "name": "GET /api/v1/orders/{id}", "kind": 2,
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
        let traces = SPANS / self.per_trace;
        for (index, at) in self.ids.iter().enumerate() {
            let trace = (index / self.per_trace) as u64;
            let group = n.saturating_sub(trace % PARTS);
            let number = group * traces as u64 + trace;
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

struct Driver {
    stage: Box<dyn Stage>,
    now: Now,
    number: u64,
    template: Template,
    released: u64,
}

impl Driver {
    /// As many requests as are sent while traces wait fill the stage.
    fn new(host: &Host, policies: &str, waiting: u64, template: Template) -> Driver {
        let wait = STEP * waiting as u32;
        let yaml = format!(
            "{{decision_wait: {}ms, buffer: {{max_bytes: 40000000000}}, policies: {policies}}}",
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

    /// Sends a request and does what is due; the time that took.
    fn step(&mut self) -> Duration {
        self.number += 1;
        let payload = self.template.request(self.number).into();
        let batch = Batch { waiting: 0, ..Batch::new(Signal::Traces, payload, SPANS as u64) };
        let start = Instant::now();
        let mut out = Output::with_room(64);
        self.stage.ingest(Fragment { batch, ack: Ack::none() }, self.now, &mut out);
        if self.stage.wake_at().is_some_and(|at| at <= self.now.monotonic) {
            self.stage.tick(self.now, &mut out);
        }
        let taken = start.elapsed();
        self.released += out.take_batches().iter().map(|fragment| fragment.batch.items).sum::<u64>();
        black_box(&out);
        self.now.monotonic += STEP;
        taken
    }
}

fn bench(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let host = runtime.block_on(async { Host::for_tests() });
    let mut group = c.benchmark_group("100_spans");
    group.throughput(Throughput::Elements(SPANS as u64)).sample_size(20);
    let cases: [(&str, String, usize, usize); 2] =
        [("5_policies", FIVE.to_owned(), 2, 8), ("20_policies", twenty(), 2, 8)];
    for (name, policies, per_trace, attributes) in cases {
        // Two seconds of requests.
        measure(&mut group, name, || {
            Driver::new(&host, &policies, 2_000, Template::new(per_trace, attributes))
        });
    }
    group.finish();
    let mut group = c.benchmark_group("traces_in_the_buffer");
    group.throughput(Throughput::Elements(SPANS as u64)).sample_size(20);
    for (name, waiting) in [("20000", 20_000 / BEGIN), ("2000000", 2_000_000 / BEGIN)] {
        measure(&mut group, name, || Driver::new(&host, FIVE, waiting, Template::new(1, 1)));
    }
    group.finish();
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, make: impl Fn() -> Driver) {
    let mut driver = None;
    group.bench_function(name, |bencher| {
        let driver = driver.get_or_insert_with(&make);
        bencher.iter_custom(|times| (0..times).map(|_| driver.step()).sum());
    });
    if let Some(driver) = driver {
        eprint_state(name, &driver);
    }
}

/// Says what the stage holds, since a figure for a stage that holds something else means nothing.
#[allow(clippy::print_stderr)]
fn eprint_state(name: &str, driver: &Driver) {
    let held = driver.stage.held();
    let sent = driver.number * SPANS as u64;
    let wire = driver.template.bytes.len() / SPANS;
    eprintln!(
        "{name}: {} requests; {} spans of {wire} bytes held in {} bytes each, {:.1} % released",
        driver.number,
        held.items,
        held.bytes / held.items.max(1) as usize,
        100.0 * driver.released as f64 / sent as f64
    );
}

criterion_group!(benches, bench);
criterion_main!(benches);
