//! Own logs and traces: where they go, and what they say.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::{Request, Response, Status};

use crate::binary::{collector, free_port};
use crate::load::request;

/// Keeps what comes, with the context that came with it.
#[derive(Clone, Default)]
struct Keeper(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    traces: Vec<(ExportTraceServiceRequest, Option<String>)>,
    logs: Vec<ExportLogsServiceRequest>,
}

#[tonic::async_trait]
impl TraceService for Keeper {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let context =
            request.metadata().get("traceparent").map(|text| text.to_str().expect("text").to_owned());
        self.0.lock().expect("not poisoned").traces.push((request.into_inner(), context));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Keeper {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.0.lock().expect("not poisoned").logs.push(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

impl Keeper {
    async fn start() -> (Keeper, SocketAddr) {
        let keeper = Keeper::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(keeper.clone()))
            .add_service(LogsServiceServer::new(keeper.clone()))
            .serve_with_incoming(incoming);
        tokio::spawn(server);
        (keeper, address)
    }

    fn spans(&self) -> Vec<Span> {
        let kept = self.0.lock().expect("not poisoned");
        let resources = kept.traces.iter().flat_map(|(request, _)| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    fn bodies(&self) -> Vec<String> {
        let kept = self.0.lock().expect("not poisoned");
        let resources = kept.logs.iter().flat_map(|request| &request.resource_logs);
        let records =
            resources.flat_map(|resource| &resource.scope_logs).flat_map(|scope| &scope.log_records);
        records.map(|record| format!("{:?}", record.body)).collect()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Keeper) -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while !holds(self) {
            assert!(tokio::time::Instant::now() < deadline, "{what} did not come");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

const SENDER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_follow_a_request_and_logs_are_exported() {
    let ((data, data_address), (own, own_address)) = (Keeper::start().await, Keeper::start().await);
    let port = free_port();
    let configuration = format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}\n\
         processors: {{memory_limiter: {{check_interval: 1s, limit_mib: 4000}}}}\n\
         exporters: {{otlp_grpc: {{endpoint: '{data_address}', tls: {{insecure: true}}, compression: none, sending_queue: {{enabled: false}}}}}}\n\
         service:\n\
         \x20 telemetry:\n\
         \x20   resource: {{service.name: tested}}\n\
         \x20   logs: {{processors: [{{simple: {{exporter: {{otlp: {{protocol: grpc, endpoint: 'http://{own_address}'}}}}}}}}]}}\n\
         \x20   traces: {{processors: [{{batch: {{schedule_delay: 20, exporter: {{otlp: {{protocol: grpc, endpoint: '{own_address}', insecure: true}}}}}}}}]}}\n\
         \x20 pipelines: {{traces: {{receivers: [otlp], processors: [memory_limiter], exporters: [otlp_grpc]}}}}\n"
    );
    let running = collector().arg(format!("--config=yaml:{configuration}")).start();
    let mut client =
        TraceServiceClient::connect(format!("http://127.0.0.1:{port}")).await.expect("connected");
    let mut message = Request::new(request(1));
    message.metadata_mut().insert("traceparent", SENDER.parse().expect("text"));
    client.export(message).await.expect("accepted");

    own.until("four spans", |own| own.spans().len() >= 4).await;
    let spans = own.spans();
    let named = |name: &str| {
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no {name} in {spans:?}"))
    };
    let received = named("receiver/otlp/TraceDataReceived");
    let processed = named("processor/memory_limiter/traces");
    let exported = named("exporter/otlp_grpc/traces");
    let attempt = named("opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert!(spans.iter().all(|span| hex(&span.trace_id) == SENDER[3..35]));
    assert_eq!(hex(&received.parent_span_id), SENDER[36..52]);
    assert_eq!((&processed.parent_span_id, &exported.parent_span_id), (&received.span_id, &received.span_id));
    assert_eq!(attempt.parent_span_id, exported.span_id);
    let attributes = format!("{:?} {:?}", received.attributes, exported.attributes);
    for text in ["accepted_spans", "refused_spans", "items.sent", "IntValue(5)"] {
        assert!(attributes.contains(text), "{text}: {attributes}");
    }
    let passed_on = data.0.lock().expect("not poisoned").traces[0].1.clone();
    let expected = format!("00-{}-{}-01", &SENDER[3..35], hex(&attempt.span_id));
    assert_eq!(passed_on.as_deref(), Some(expected.as_str()));
    let resource =
        format!("{:?}", own.0.lock().expect("not poisoned").traces[0].0.resource_spans[0].resource);
    assert!(resource.contains("service.name") && resource.contains("tested"), "{resource}");

    own.until("the log", |own| own.bodies().iter().any(|body| body.contains("Everything is ready"))).await;
    assert_eq!(running.terminate(), 0);
    own.until("its end", |own| own.bodies().iter().any(|body| body.contains("Shutdown complete"))).await;
}

#[test]
fn the_log_goes_where_it_is_sent() {
    let folder = tempfile::tempdir().expect("made");
    let file = folder.path().join("own.log");
    let configuration = |output: &std::path::Path| {
        format!(
            "receivers: {{nop: {{}}}}\nexporters: {{nop: {{}}}}\nservice:\n\
             \x20 telemetry: {{resource: {{service.instance.id: null}}, logs: {{encoding: json, output_paths: [stderr, '{}'], initial_fields: {{zone: a}}}}}}\n\
             \x20 pipelines: {{traces: {{receivers: [nop], exporters: [nop]}}}}\n",
            output.display()
        )
    };
    let running = collector().arg(format!("--config=yaml:{}", configuration(&file))).start();
    assert_eq!(running.terminate(), 0);
    let text = std::fs::read_to_string(&file).expect("written");
    let records: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let last = records.last().expect("records");
    assert_eq!((&last["level"], &last["msg"]), (&"info".into(), &"Shutdown complete.".into()));
    assert_eq!(
        (&last["zone"], &last["resource"]["service.name"]),
        (&"a".into(), &"phoenix-collector".into())
    );
    assert!(last["caller"].as_str().is_some_and(|caller| caller.starts_with("phoenix_collector/run.rs:")));
    assert!(last["resource"].get("service.instance.id").is_none(), "{last}");

    let missing = folder.path().join("missing/own.log");
    let finished = collector().arg(format!("--config=yaml:{}", configuration(&missing))).finish();
    assert_eq!(finished.code, 1);
    assert!(finished.stderr.contains("cannot open the log output"), "{}", finished.stderr);
}

#[test]
fn mistakes_in_own_telemetry_are_refused_by_name() {
    // (service::telemetry, the key that is named)
    let cases = [
        ("traces: {processors: [{}]}", "traces::processors::0: "),
        ("traces: {processors: [{batch: {exporter: {console: {}}}}]}", "exporter::console: "),
        (
            "traces: {processors: [{batch: {max_queue_size: 5, exporter: {otlp: {}}}}]}",
            "max_export_batch_size: ",
        ),
        ("traces: {processors: [{simple: {exporter: {otlp: {protocol: http/json}}}}]}", "otlp::protocol: "),
        ("traces: {processors: [{simple: {exporter: {otlp: {endpoint: 'ftp://x'}}}}]}", "otlp::endpoint: "),
        (
            "traces: {processors: [{simple: {exporter: {otlp: {client_key: x}}}}]}",
            "otlp::client_certificate: ",
        ),
        ("traces: {sampler: {always_on: {}, always_off: {}}}", "traces::sampler: "),
        ("traces: {sampler: {trace_id_ratio_based: {ratio: 2}}}", "trace_id_ratio_based::ratio: "),
        ("traces: {propagators: [jaeger]}", "traces::propagators"),
        ("traces: {processor: []}", "traces::processor: "),
        ("logs: {processors: [{batch: {}}]}", "logs::processors::0::batch::exporter: "),
        ("resource: {a: [1]}", "resource::a"),
    ];
    for (telemetry, key) in cases {
        let configuration = format!(
            "receivers: {{nop: {{}}}}\nexporters: {{nop: {{}}}}\nservice: {{telemetry: {{{telemetry}}}, pipelines: {{traces: {{receivers: [nop], exporters: [nop]}}}}}}\n"
        );
        let finished = collector().args(["validate", &format!("--config=yaml:{configuration}")]).finish();
        assert_eq!(finished.code, 1, "{telemetry}: {}", finished.stderr);
        assert!(finished.stderr.contains(key), "{telemetry}: {}", finished.stderr);
    }
}
