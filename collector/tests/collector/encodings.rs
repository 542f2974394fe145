//! Each encoding under load: two hops of one collector compress and pass on what came compressed, while the
//! backend makes trouble. What was accepted arrives, once.

use std::fmt::Write as _;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Behaviour};
use crate::binary::free_port;
use crate::inside::Inside;
use crate::load;

const OVER_HTTP: [&str; 8] = ["none", "gzip", "zstd", "zlib", "deflate", "snappy", "x-snappy-framed", "lz4"];
const OVER_GRPC: [&str; 4] = ["none", "gzip", "zstd", "snappy"];
const STILL_COMPRESSED: &str = "phoenix_receiver_still_compressed_requests";

/// A load to `edge`, which compresses for `middle`, which passes it on to `end`, which sends to the backend.
struct Chain {
    edge: u16,
    middle: u16,
    end: u16,
    /// Between `middle` and its exporter.
    processors: &'static str,
    beside: &'static str,
}

impl Chain {
    fn new() -> Chain {
        let [edge, middle, end] = [free_port(), free_port(), free_port()];
        Chain { edge, middle, end, processors: "[memory_limiter]", beside: "" }
    }

    fn configuration(&self, protocol: &str, encoding: &str, backend: &Backend) -> String {
        let Chain { edge, middle, end, processors, beside } = self;
        let exporter = |to: u16| match protocol {
            "grpc" => format!("endpoint: '127.0.0.1:{to}', tls: {{insecure: true}}"),
            _ => format!("endpoint: 'http://127.0.0.1:{to}'"),
        };
        let kind = if protocol == "grpc" { "otlp" } else { "otlp_http" };
        let fast = "retry_on_failure: {initial_interval: 20ms, max_interval: 100ms, max_elapsed_time: 60s}";
        let mut yaml = format!(
            "
receivers:
  otlp/edge: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{edge}'}}}}}}
  otlp/middle: {{protocols: {{{protocol}: {{endpoint: '127.0.0.1:{middle}'}}}}}}
  otlp/end: {{protocols: {{{protocol}: {{endpoint: '127.0.0.1:{end}'}}}}}}
processors:
  memory_limiter: {{check_interval: 1s, limit_mib: 4000}}
  batch: {{timeout: 5ms, send_batch_size: 50, send_batch_max_size: 60}}
exporters:
  nop:
"
        );
        for (name, to) in [("edge", *middle), ("middle", *end)] {
            let to = exporter(to);
            let queue = if name == "edge" { "{enabled: false}" } else { "{queue_size: 50}" };
            writeln!(
                yaml,
                "  {kind}/{name}: {{{to}, compression: {encoding}, sending_queue: {queue}, {fast}}}"
            )
            .expect("a string");
        }
        write!(
            yaml,
            "  otlp/end: {{endpoint: '{}', tls: {{insecure: true}}, compression: none, \
             sending_queue: {{enabled: false}}, {fast}}}
service:
  pipelines:
    traces/edge: {{receivers: [otlp/edge], exporters: [{kind}/edge]}}
    traces/middle: {{receivers: [otlp/middle], processors: {processors}, exporters: [{kind}/middle{beside}]}}
    traces/end: {{receivers: [otlp/end], exporters: [otlp/end]}}
",
            backend.address()
        )
        .expect("a string");
        yaml
    }

    /// Runs a load through; how many requests stayed compressed in the middle.
    async fn run(self, protocol: &str, encoding: &str, swap_to: Option<Chain>) -> i64 {
        let backend = Backend::start().await;
        let inside = Inside::start(&self.configuration(protocol, encoding, &backend)).await;
        let stop = CancellationToken::new();
        let load = tokio::spawn(load::run(format!("http://127.0.0.1:{}", self.edge), 4, stop.clone()));
        backend.wait_for_spans(200).await;
        if let Some(next) = swap_to {
            let next = Chain { edge: self.edge, middle: self.middle, end: self.end, ..next };
            let applied = inside.apply(&next.configuration(protocol, encoding, &backend)).await;
            assert!(applied.is_ok(), "{protocol} {encoding}");
        } else {
            backend.behave(Behaviour::RefuseOneIn(3));
        }
        let so_far = backend.spans().len();
        backend.wait_for_spans(so_far + 200).await;
        backend.behave(Behaviour::Accept);
        stop.cancel();
        let outcome = load.await.expect("no panic");
        assert!(outcome.broken.is_empty(), "{protocol} {encoding}: {:?}", outcome.broken.first());
        let accepted = outcome.accepted_spans();
        backend.wait_for_spans(accepted.len()).await;
        inside.empty_books().await;
        // Connections of HTTP between the hops are idle, and stay open until near the end of a drain.
        assert_eq!(inside.shutdown(Duration::from_millis(500)).await.items, 0);
        let came = backend.spans();
        let missing = accepted.iter().filter(|id| !came.contains_key(id)).count();
        let twice = came.values().filter(|count| **count > 1).count();
        assert_eq!((missing, twice), (0, 0), "{protocol} {encoding}");
        assert_eq!(inside.engine.host().budget.used(), 0, "{protocol} {encoding}: all charges are back");
        inside.metric(STILL_COMPRESSED, &[("receiver", "otlp/middle")])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_encoding_arrives_once_and_stays_compressed_where_nobody_looks() {
    let cases = OVER_HTTP.map(|encoding| ("http", encoding)).into_iter();
    for (protocol, encoding) in cases.chain(OVER_GRPC.map(|encoding| ("grpc", encoding))) {
        let still = Chain::new().run(protocol, encoding, None).await;
        assert_eq!(still > 0, encoding != "none", "{protocol} {encoding}: {still}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_somebody_looks_it_is_decompressed() {
    let batched = Chain { processors: "[batch]", ..Chain::new() };
    assert_eq!(batched.run("grpc", "zstd", None).await, 0, "a batch splits and joins");
    let beside = Chain { beside: ", nop", ..Chain::new() };
    assert_eq!(beside.run("http", "gzip", None).await, 0, "one exporter of two wants it plain");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_compressed_survives_a_swap_to_pipelines_that_look() {
    let looking = Chain { processors: "[batch]", ..Chain::new() };
    assert!(Chain::new().run("http", "zstd", Some(looking)).await > 0);
}
