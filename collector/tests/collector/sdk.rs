//! OpenTelemetry SDKs as clients: what their exporters send arrives unchanged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use serde::Deserialize;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

use crate::binary::{Running, collector, free_port, repository};

/// Everything that came, by signal.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Messages>>);

type Messages = BTreeMap<&'static str, Vec<Vec<u8>>>;

impl Capture {
    fn keep(&self, signal: &'static str, message: &impl Message) {
        self.0.lock().expect("not poisoned").entry(signal).or_default().push(message.encode_to_vec());
    }

    async fn serve(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(self.clone()).accept_compressed(CompressionEncoding::Gzip))
            .add_service(MetricsServiceServer::new(self.clone()).accept_compressed(CompressionEncoding::Gzip))
            .add_service(LogsServiceServer::new(self.clone()).accept_compressed(CompressionEncoding::Gzip));
        tokio::spawn(server.serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener)));
        address
    }
}

#[tonic::async_trait]
impl TraceService for Capture {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.keep("traces", request.get_ref());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Capture {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.keep("metrics", request.get_ref());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Capture {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.keep("logs", request.get_ref());
        Ok(Response::new(Default::default()))
    }
}

/// A message as a client says that it sent it.
#[derive(Deserialize)]
struct Sent {
    signal: String,
    /// As protobuf.
    hex: Option<String>,
    /// As OTLP/JSON.
    json: Option<String>,
}

impl Sent {
    /// The message as prost would write it, so that it can be compared with what prost read.
    fn message(&self) -> Vec<u8> {
        match self.signal.as_str() {
            "traces" => self.read::<ExportTraceServiceRequest>(),
            "metrics" => self.read::<ExportMetricsServiceRequest>(),
            "logs" => self.read::<ExportLogsServiceRequest>(),
            other => panic!("no such signal: {other}"),
        }
    }

    fn read<M: Message + Default + for<'de> Deserialize<'de>>(&self) -> Vec<u8> {
        if let Some(json) = &self.json {
            return serde_json::from_str::<M>(json).expect("OTLP/JSON").encode_to_vec();
        }
        let hex = self.hex.as_ref().expect("hex or json");
        let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(digits).collect();
        M::decode(&*bytes).expect("OTLP").encode_to_vec()
    }
}

/// A collector that passes everything on to a capture.
struct Stand {
    capture: Capture,
    grpc: u16,
    http: u16,
    running: Running,
}

impl Stand {
    async fn start() -> Stand {
        let capture = Capture::default();
        let backend = capture.serve().await;
        let (grpc, http) = (free_port(), free_port());
        let configuration = format!(
            "
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{grpc}'}}, http: {{endpoint: '127.0.0.1:{http}'}}}}}}
exporters:
  otlp: {{endpoint: '{backend}', tls: {{insecure: true}}, sending_queue: {{enabled: false}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp]}}
    metrics: {{receivers: [otlp], exporters: [otlp]}}
    logs: {{receivers: [otlp], exporters: [otlp]}}
"
        );
        let running = tokio::task::spawn_blocking(move || {
            collector().arg(format!("--config=yaml:{configuration}")).start()
        });
        Stand { capture, grpc, http, running: running.await.expect("started") }
    }

    /// Runs a client to its end and returns what it printed.
    async fn run(&self, mut client: Command) -> String {
        let output = tokio::task::spawn_blocking(move || client.output().expect("the client runs"));
        let output = output.await.expect("ran");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Compares what a client says that it sent with what came.
    fn came_unchanged(self, said: &str, messages: usize) {
        let mut sent: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for line in said.lines() {
            let message: Sent = serde_json::from_str(line).expect("a JSON line");
            sent.entry(message.signal.clone()).or_default().push(message.message());
        }
        let mut came = self.capture.0.lock().expect("not poisoned").clone();
        for signal in ["traces", "metrics", "logs"] {
            let (sent, came) = (sent.entry(signal.to_owned()).or_default(), came.entry(signal).or_default());
            assert!(sent.len() >= messages, "{signal}: {} messages", sent.len());
            sent.sort();
            came.sort();
            assert!(sent == came, "{signal}: {} messages sent, {} came", sent.len(), came.len());
        }
        assert_eq!(self.running.terminate(), 0);
    }
}

/// A file that `make test` installs, if it could.
fn installed(path: &str) -> Option<PathBuf> {
    Some(repository().join(".test-tools").join(path)).filter(|path| path.exists())
}

fn source(path: &str) -> PathBuf {
    repository().join("collector/tests/collector/sdk").join(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_python_sdk_sends_arrives_unchanged() {
    let python = installed("python/bin/python").expect("run `.ci/install-test-tools`, as `make test` does");
    let stand = Stand::start().await;
    let mut client = Command::new(python);
    client.arg(source("python/send.py"));
    client.args([format!("http://127.0.0.1:{}", stand.grpc), format!("http://127.0.0.1:{}", stand.http)]);
    let said = stand.run(client).await;
    stand.came_unchanged(&said, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_javascript_sdk_sends_as_json_arrives_unchanged() {
    let Some(modules) = installed("javascript/node_modules") else {
        return eprintln!("skipped: the SDK for JavaScript is not installed");
    };
    let stand = Stand::start().await;
    // Modules are looked for beside the script.
    let script = modules.with_file_name("send.mjs");
    std::fs::copy(source("javascript/send.mjs"), &script).expect("copied");
    let mut client = Command::new("node");
    client.arg(script).arg(format!("http://127.0.0.1:{}", stand.http));
    let said = stand.run(client).await;
    stand.came_unchanged(&said, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_the_go_sdk_sends_arrives() {
    let Some(program) = installed("go/send") else {
        return eprintln!("skipped: the client with the SDK for Go is not built");
    };
    let stand = Stand::start().await;
    let mut client = Command::new(program);
    client.args([format!("127.0.0.1:{}", stand.grpc), format!("127.0.0.1:{}", stand.http)]);
    let said = stand.run(client).await;
    let sent: BTreeMap<String, usize> = serde_json::from_str(&said).expect("one object");
    let came = stand.capture.0.lock().expect("not poisoned").clone();
    let records = |signal: &str| {
        came.get(signal).into_iter().flatten().map(|message| records(signal, message)).sum::<usize>()
    };
    for (signal, sent) in &sent {
        assert_eq!(records(signal), *sent, "{signal}");
    }
    assert_eq!(sent.len(), 3);
    assert_eq!(stand.running.terminate(), 0);
}

/// Spans, data points or log records of a message.
fn records(signal: &str, message: &[u8]) -> usize {
    match signal {
        "traces" => ExportTraceServiceRequest::decode(message)
            .expect("OTLP")
            .resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans)
            .map(|scope| scope.spans.len())
            .sum(),
        "metrics" => ExportMetricsServiceRequest::decode(message)
            .expect("OTLP")
            .resource_metrics
            .iter()
            .flat_map(|resource| &resource.scope_metrics)
            .flat_map(|scope| &scope.metrics)
            .map(|metric| match metric.data.as_ref().expect("data") {
                Data::Sum(sum) => sum.data_points.len(),
                Data::Histogram(histogram) => histogram.data_points.len(),
                other => panic!("the client makes no {other:?}"),
            })
            .sum(),
        "logs" => ExportLogsServiceRequest::decode(message)
            .expect("OTLP")
            .resource_logs
            .iter()
            .flat_map(|resource| &resource.scope_logs)
            .map(|scope| scope.log_records.len())
            .sum(),
        other => panic!("no such signal: {other}"),
    }
}
