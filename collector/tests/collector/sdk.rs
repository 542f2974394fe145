//! The Python OpenTelemetry SDK as the client: what its exporters send arrives unchanged.

use std::collections::BTreeMap;
use std::net::SocketAddr;
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
use prost::Message;
use serde::Deserialize;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

use crate::binary::{collector, free_port, repository};

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

#[derive(Deserialize)]
struct Sent {
    signal: String,
    hex: String,
}

impl Sent {
    /// The message as prost would write it, so that it can be compared with what prost read.
    fn message(&self) -> Vec<u8> {
        let digits = |at: usize| u8::from_str_radix(&self.hex[at..at + 2], 16).expect("hex digits");
        let bytes: Vec<u8> = (0..self.hex.len()).step_by(2).map(digits).collect();
        match self.signal.as_str() {
            "traces" => ExportTraceServiceRequest::decode(&*bytes).expect("OTLP").encode_to_vec(),
            "metrics" => ExportMetricsServiceRequest::decode(&*bytes).expect("OTLP").encode_to_vec(),
            "logs" => ExportLogsServiceRequest::decode(&*bytes).expect("OTLP").encode_to_vec(),
            other => panic!("no such signal: {other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_python_sdk_sends_arrives_unchanged() {
    let python = repository().join(".venv/bin/python");
    assert!(python.exists(), "run `.ci/install-test-tools`, as `make test` does");
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
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp]}}
    metrics: {{receivers: [otlp], exporters: [otlp]}}
    logs: {{receivers: [otlp], exporters: [otlp]}}
"
    );
    let running = tokio::task::spawn_blocking(move || {
        collector().arg(format!("--config=yaml:{configuration}")).start()
    });
    let running = running.await.expect("started");
    let script = repository().join("collector/tests/collector/sdk/send.py");
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python)
            .arg(script)
            .args([format!("http://127.0.0.1:{grpc}"), format!("http://127.0.0.1:{http}")])
            .output()
            .expect("python runs")
    });
    let output = output.await.expect("ran");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut sent: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
        let message: Sent = serde_json::from_str(line).expect("a JSON line");
        sent.entry(message.signal.clone()).or_default().push(message.message());
    }
    let mut came = capture.0.lock().expect("not poisoned").clone();
    for signal in ["traces", "metrics", "logs"] {
        let (sent, came) = (sent.entry(signal.to_owned()).or_default(), came.entry(signal).or_default());
        assert!(sent.len() >= 2, "{signal} over both protocols: {}", sent.len());
        sent.sort();
        came.sort();
        assert!(sent == came, "{signal}: {} messages sent, {} came", sent.len(), came.len());
    }
    assert_eq!(running.terminate(), 0);
}
