//! Against tonic's server on loopback: what arrives, and what each answer leads to.

// Helpers of tests are tests.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use phoenix_component::factory::{CreateContext, ExporterFactory as _, Shared};
use phoenix_component::{Batch, Code, Exporter, Health, Host, Lost, StatusReporter};
use phoenix_config::{ComponentId, Kind};
use phoenix_exporter_otlp_grpc::{OtlpGrpcConfig, OtlpGrpcFactory};
use phoenix_pdata::Signal;
use phoenix_transport::ServerMetrics;
use phoenix_transport::grpc::{Status, server};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::server::Connected;

type Answer = Result<ExportLogsServiceResponse, tonic::Status>;

/// Answers by a script, then with success, and keeps what came.
#[derive(Clone, Default)]
struct Backend {
    script: Arc<Mutex<VecDeque<Answer>>>,
    calls: Arc<Mutex<Vec<(ExportLogsServiceRequest, MetadataMap)>>>,
    hang: bool,
}

#[tonic::async_trait]
impl LogsService for Backend {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, tonic::Status> {
        let (metadata, _, message) = request.into_parts();
        self.calls.lock().unwrap().push((message, metadata));
        if self.hang {
            std::future::pending::<()>().await;
        }
        let answer = self.script.lock().unwrap().pop_front();
        answer.unwrap_or_else(|| Ok(ExportLogsServiceResponse::default())).map(tonic::Response::new)
    }
}

impl Backend {
    fn answers(script: impl IntoIterator<Item = Answer>) -> Backend {
        Backend { script: Arc::new(Mutex::new(script.into_iter().collect())), ..Backend::default() }
    }

    fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    async fn serve(&self) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (address, self.serve_on(listener, None))
    }

    fn serve_on(&self, listener: TcpListener, tls: Option<tokio_rustls::TlsAcceptor>) -> JoinHandle<()> {
        let service = LogsServiceServer::new(self.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd);
        let incoming = Incoming { listener, tls, handshakes: Vec::new() };
        tokio::spawn(async move {
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(incoming).await.unwrap();
        })
    }
}

type Handshake = Pin<Box<dyn Future<Output = std::io::Result<Io>> + Send>>;

/// Connections, after their handshakes.
struct Incoming {
    listener: TcpListener,
    tls: Option<tokio_rustls::TlsAcceptor>,
    handshakes: Vec<Handshake>,
}

impl futures_util::Stream for Incoming {
    type Item = std::io::Result<Io>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Poll::Ready(Ok((stream, _))) = self.listener.poll_accept(cx) {
            let tls = self.tls.clone();
            self.handshakes.push(Box::pin(async move {
                Ok(match tls {
                    Some(tls) => Io::Tls(Box::new(tls.accept(stream).await?)),
                    None => Io::Plain(stream),
                })
            }));
        }
        for index in 0..self.handshakes.len() {
            if let Poll::Ready(done) = self.handshakes[index].as_mut().poll(cx) {
                drop(self.handshakes.swap_remove(index));
                return Poll::Ready(Some(done));
            }
        }
        Poll::Pending
    }
}

enum Io {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

impl Connected for Io {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

macro_rules! each {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self.get_mut() {
            Io::Plain(stream) => Pin::new(stream).$method($($argument),*),
            Io::Tls(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        each!(self.poll_read(cx, into))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<std::io::Result<usize>> {
        each!(self.poll_write(cx, from))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        each!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        each!(self.poll_shutdown(cx))
    }
}

fn request(records: usize, text: &str) -> ExportLogsServiceRequest {
    let record = LogRecord { severity_text: text.to_owned(), time_unix_nano: 7, ..LogRecord::default() };
    let scope = ScopeLogs { log_records: vec![record; records], ..ScopeLogs::default() };
    let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource] }
}

fn batch(request: &ExportLogsServiceRequest) -> Batch {
    let items = request.resource_logs[0].scope_logs[0].log_records.len() as u64;
    Batch::new(Signal::Logs, Bytes::from(request.encode_to_vec()).into(), items)
}

struct Rig {
    host: Host,
    exporter: Arc<dyn Exporter>,
}

/// An exporter to `address`, plaintext and with quick retries, with `settings` on top.
async fn exporter(address: SocketAddr, settings: serde_json::Value) -> Rig {
    let mut all = serde_json::json!({
        "endpoint": address.to_string(),
        "tls": {"insecure": true},
        "retry_on_failure": {"initial_interval": "1ms", "max_interval": "10ms"},
        "sending_queue": {"enabled": false},
    });
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let config: OtlpGrpcConfig = serde_json::from_value(all).unwrap();
    let (host, shared) = (Host::for_tests(), Shared::default());
    let id = ComponentId::parse("otlp_grpc/backend").unwrap();
    let key = StatusReporter::detached(Kind::Exporter, id.clone()).key().clone();
    let health: &Health = &host.health;
    let status = health.reporter(key);
    let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
    let exporter = OtlpGrpcFactory.create(&config, cx, Signal::Logs).unwrap();
    exporter.start(&host).await.unwrap();
    Rig { host, exporter }
}

impl Rig {
    fn sent(&self) -> i64 {
        self.host.metrics.sum("otelcol_exporter_sent_log_records", &[("exporter", "otlp_grpc/backend")])
    }

    fn failed(&self) -> i64 {
        self.host
            .metrics
            .sum("otelcol_exporter_send_failed_log_records", &[("exporter", "otlp_grpc/backend")])
    }
}

#[tokio::test]
async fn a_batch_in_pieces_arrives_whole_with_each_compression() {
    for compression in ["gzip", "zstd", "none", ""] {
        let backend = Backend::default();
        let (address, _server) = backend.serve().await;
        let headers = serde_json::json!({"X-Api-Key": "k"});
        let rig =
            exporter(address, serde_json::json!({"compression": compression, "headers": headers})).await;
        let (first, second) = (request(3, "a"), request(2, "b"));
        let mut both = batch(&first);
        both.payload.append(batch(&second).payload);
        both.items += 2;
        rig.exporter.export(both).await.unwrap();
        let calls = backend.calls.lock().unwrap();
        let (arrived, metadata) = &calls[0];
        assert_eq!(arrived.resource_logs, [first.resource_logs, second.resource_logs].concat());
        assert_eq!(metadata.get("x-api-key").unwrap(), "k");
        let agent = metadata.get("user-agent").unwrap().to_str().unwrap();
        assert!(agent.starts_with("Phoenix/"), "{agent}");
        assert!(metadata.contains_key("grpc-timeout"), "the backend hears how long it has");
        let port = address.port().to_string();
        let attributes = [("server.address", "127.0.0.1"), ("server.port", port.as_str())];
        assert_eq!(rig.host.metrics.sum("otelcol_exporter_sent_log_records", &attributes), 5);
    }
}

/// Takes every method, also with snappy, which tonic does not have.
struct Own(Arc<Mutex<Vec<server::Call>>>);

impl server::UnaryService for Own {
    type Method = ();

    fn resolve(&self, _: &str) -> Option<()> {
        Some(())
    }

    async fn call(&self, (): (), call: server::Call) -> Result<Bytes, Status> {
        self.0.lock().unwrap().push(call);
        Ok(Bytes::new())
    }
}

#[tokio::test]
async fn snappy_arrives_whole_at_the_own_server() {
    let (calls, host) = (Arc::default(), Host::for_tests());
    let lease = host.leases.listen_tcp("127.0.0.1:0").unwrap();
    let (own, metrics) = (Own(Arc::clone(&calls)), ServerMetrics::detached());
    let options = server::Options::default();
    let _server = server::start(&lease, None, own, options, &host.cores, &host.budget, metrics).unwrap();
    let settings = serde_json::json!({"compression": "snappy"});
    let rig = exporter(lease.local_addr().unwrap(), settings).await;
    let sent = request(2000, "text");
    rig.exporter.export(batch(&sent)).await.unwrap();
    let calls = calls.lock().unwrap();
    assert_eq!(calls[0].head.headers["grpc-encoding"], "snappy");
    assert_eq!(ExportLogsServiceRequest::decode(calls[0].message.clone()).unwrap(), sent);
    assert_eq!(rig.sent(), 2000);
}

#[tokio::test]
async fn what_may_help_is_tried_again_and_the_rest_is_not() {
    let backend = Backend::answers([
        Err(tonic::Status::unavailable("starting")),
        Err(tonic::Status::aborted("moved")),
        Ok(ExportLogsServiceResponse::default()),
        Err(tonic::Status::with_details(
            tonic::Code::InvalidArgument,
            "bad",
            Bytes::from_static(b"\x08\x03"),
        )),
        Err(tonic::Status::resource_exhausted("no quota")),
    ]);
    let (address, _server) = backend.serve().await;
    let rig = exporter(address, serde_json::json!({})).await;
    rig.exporter.export(batch(&request(1, "x"))).await.unwrap();
    assert_eq!(backend.calls(), 3);
    let bad = rig.exporter.export(batch(&request(1, "x"))).await.unwrap_err();
    assert!(!bad.is_retryable());
    let text = "not retryable error: Permanent error: rpc error: code = InvalidArgument desc = bad";
    assert_eq!(bad.message(), text);
    let status = bad.status().unwrap();
    assert_eq!((status.code, &status.details[..]), (Code::INVALID_ARGUMENT, &b"\x08\x03"[..]));
    let exhausted = rig.exporter.export(batch(&request(1, "x"))).await.unwrap_err();
    assert!(!exhausted.is_retryable(), "without a word on when");
    assert_eq!((backend.calls(), rig.sent(), rig.failed()), (5, 1, 2));
}

#[tokio::test]
async fn a_backend_that_asks_for_time_gets_it() {
    // google.rpc.Status { details: [Any { RetryInfo { retry_delay: 60 ms } }] }
    let mut details = vec![0x1a, 0x33, 0x0a, 0x28];
    details.extend_from_slice(b"type.googleapis.com/google.rpc.RetryInfo");
    details.extend_from_slice(&[0x12, 0x07, 0x0a, 0x05, 0x10, 0x80, 0x8e, 0xce, 0x1c]);
    let throttled = |code| Err(tonic::Status::with_details(code, "later", details.clone().into()));
    let backend =
        Backend::answers([throttled(tonic::Code::ResourceExhausted), throttled(tonic::Code::Unavailable)]);
    let (address, _server) = backend.serve().await;
    let rig = exporter(address, serde_json::json!({})).await;
    let start = Instant::now();
    rig.exporter.export(batch(&request(1, "x"))).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(120), "{:?}", start.elapsed());
    assert_eq!(backend.calls(), 3);
}

#[tokio::test]
async fn what_a_backend_rejects_of_a_batch_counts_as_failed_and_is_not_sent_again() {
    let partial = ExportLogsPartialSuccess { rejected_log_records: 2, error_message: "two".into() };
    let backend = Backend::answers([Ok(ExportLogsServiceResponse { partial_success: Some(partial) })]);
    let (address, _server) = backend.serve().await;
    let rig = exporter(address, serde_json::json!({})).await;
    rig.exporter.export(batch(&request(3, "x"))).await.unwrap();
    assert_eq!((backend.calls(), rig.sent(), rig.failed()), (1, 1, 2));
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_given_up_and_repeated() {
    let backend = Backend { hang: true, ..Backend::default() };
    let (address, _server) = backend.serve().await;
    let settings = serde_json::json!({
        "timeout": "50ms",
        "retry_on_failure": {"initial_interval": "1ms", "max_interval": "1ms", "max_elapsed_time": "1s"},
    });
    let rig = exporter(address, settings).await;
    let refusal = rig.exporter.export(batch(&request(1, "x"))).await.unwrap_err();
    assert!(refusal.is_retryable() && refusal.message().starts_with("no more retries left: "), "{refusal}");
    assert_eq!(refusal.code(), Code::DEADLINE_EXCEEDED);
    assert!(backend.calls() >= 2);
    assert_eq!((rig.sent(), rig.failed()), (0, 1));
}

#[tokio::test]
async fn a_queue_outlives_a_backend_that_dies_and_returns() {
    let backend = Backend::default();
    // A runtime of its own takes the connections along when it dies.
    let machine = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (address, _) = machine
        .handle()
        .spawn({
            let backend = backend.clone();
            async move { backend.serve().await }
        })
        .await
        .unwrap();
    let rig = exporter(address, serde_json::json!({"sending_queue": {"num_consumers": 2}})).await;
    rig.exporter.export(batch(&request(1, "before"))).await.unwrap();
    while rig.sent() < 1 {
        tokio::task::yield_now().await;
    }
    machine.shutdown_background();
    for _ in 0..20 {
        rig.exporter.export(batch(&request(2, "during"))).await.unwrap();
    }
    // The port is free once the machine has let go of it.
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let _server = backend.serve_on(listener, None);
    while rig.sent() < 41 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((rig.sent(), rig.failed()), (41, 0));
    assert!(backend.calls() >= 21);
    let lost = rig.exporter.drain(tokio::time::Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(lost, Lost::default());
}

#[tokio::test]
async fn tls_is_on_by_default_and_verifies() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = certified.cert.pem();
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der())
        .unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut server = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let backend = Backend::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _server = backend.serve_on(listener, Some(Arc::new(server).into()));
    let retries_off = serde_json::json!({"enabled": false});
    let cases = [
        (serde_json::json!({"ca_pem": pem, "server_name_override": "localhost"}), true),
        (serde_json::json!({"ca_pem": pem, "server_name_override": "elsewhere"}), false),
        (serde_json::json!({"ca_pem": pem, "insecure": true, "server_name_override": "localhost"}), true),
        (serde_json::json!({"insecure_skip_verify": true}), true),
        (serde_json::json!({"insecure": true}), false),
    ];
    for (tls, works) in cases {
        let settings = serde_json::json!({"tls": tls, "retry_on_failure": retries_off, "timeout": "2s"});
        let rig = exporter(address, settings).await;
        let outcome = rig.exporter.export(batch(&request(1, "x"))).await;
        assert_eq!(outcome.is_ok(), works, "{tls}: {outcome:?}");
        assert!(works || outcome.unwrap_err().is_retryable());
    }
    assert_eq!(backend.calls(), 3);
}
