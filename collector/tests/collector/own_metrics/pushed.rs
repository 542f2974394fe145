//! Own metrics that are pushed.

use std::sync::mpsc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};

use super::*;

/// Tells of each push.
struct Pushed(mpsc::SyncSender<ExportMetricsServiceRequest>);

#[tonic::async_trait]
impl MetricsService for Pushed {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        assert_eq!(request.metadata().get("x-key").map(|value| value.as_bytes()), Some(&b"secret"[..]));
        // Beyond what the test looks at nothing matters.
        let _ = self.0.try_send(request.into_inner());
        Ok(tonic::Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn push_yaml(otlp: &str) -> String {
    format!(
        "
receivers: {{nop: {{}}}}
exporters: {{nop: {{}}}}
service:
  telemetry:
    resource: {{service.name: mine, service.instance.id: null, team: a}}
    metrics:
      readers: [{{periodic: {{interval: 20, exporter: {{otlp: {{{otlp}, headers: [{{name: x-key, value: secret}}]}}}}}}}}]
  pipelines: {{traces: {{receivers: [nop], exporters: [nop]}}}}
"
    )
}

fn check_push(request: &ExportMetricsServiceRequest) {
    let of = &request.resource_metrics[0];
    let keys: Vec<_> = of.resource.iter().flat_map(|it| &it.attributes).map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["service.name", "service.version", "team"]);
    let mut metrics = of.scope_metrics.iter().flat_map(|scope| &scope.metrics);
    let uptime = metrics.find(|metric| metric.name == "otelcol_process_uptime").expect("there");
    assert_eq!(uptime.unit, "s");
    assert!(matches!(&uptime.data, Some(Data::Sum(sum)) if sum.is_monotonic));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn metrics_are_pushed_over_grpc() {
    let (tell, told) = mpsc::sync_channel(100);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let service =
        MetricsServiceServer::new(Pushed(tell)).accept_compressed(tonic::codec::CompressionEncoding::Gzip);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    let running = collector()
        .arg(format!(
            "--config=yaml:{}",
            push_yaml(&format!("protocol: grpc, endpoint: 'http://{address}', compression: gzip"))
        ))
        .start_with_metrics();
    let outcome = tokio::task::spawn_blocking(move || {
        for _ in 0..3 {
            check_push(&told.recv_timeout(PATIENCE).expect("a push"));
        }
        running.terminate()
    });
    assert_eq!(outcome.await.expect("no panic"), 0);
}

#[test]
fn metrics_are_pushed_over_http_and_failures_are_said_once() {
    let backend = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = backend.local_addr().expect("bound");
    let running = collector()
        .arg(format!(
            "--config=yaml:{}",
            push_yaml(&format!("protocol: http/protobuf, endpoint: '{address}', insecure: true"))
        ))
        .start_with_metrics();
    // Two failures, then answers.
    for (number, status) in ["500 Oops", "503 Busy", "200 OK", "200 OK"].into_iter().enumerate() {
        let (mut stream, _) = backend.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        let mut received = Vec::new();
        let body = loop {
            let mut buffer = [0; 16 * 1024];
            let read = stream.read(&mut buffer).expect("read");
            assert!(read > 0, "the connection was closed");
            received.extend_from_slice(&buffer[..read]);
            let Some(at) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&received[..at]).to_lowercase();
            assert!(
                head.starts_with("post /v1/metrics http/1.1") && head.contains("x-key: secret"),
                "{head}"
            );
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if received.len() - at - 4 >= length.expect("a length").parse::<usize>().expect("a number") {
                break received[at + 4..].to_vec();
            }
        };
        check_push(&ExportMetricsServiceRequest::decode(&body[..]).expect("protobuf"));
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).expect("sent");
        drop(stream);
        if number == 2 {
            running.wait_for_log("own metrics are delivered again");
        }
    }
    assert_eq!(running.log().matches("failed to upload metrics").count(), 1, "{}", running.log());
}
