//! A receiver that runs, a pipeline that answers as told, and clients for both protocols.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use phoenix_component::factory::{CreateContext, ReceiverFactory as _, Shared};
use phoenix_component::{
    Batch, BoxFuture, Consumer, Forwards, Host, ListenerLease, Outlets, Receiver, Refusal, StatusReporter,
};
use phoenix_config::{ComponentId, Kind};
use phoenix_pdata::Signal;
use phoenix_receiver_otlp::{OtlpReceiverConfig, OtlpReceiverFactory};
use phoenix_transport::endpoint::Target;
use phoenix_transport::grpc::Status;
use phoenix_transport::grpc::client::{self, Client};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Any free port, in two spellings: unlike `:0` they are kept in the table of leases, each for one socket,
/// so that the test finds the port and a successor of the receiver has the same endpoint.
pub(crate) const GRPC: &str = "127.0.0.1:00";
pub(crate) const HTTP: &str = "127.0.0.1:000";

pub(crate) const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
pub(crate) const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
pub(crate) const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
/// No request of OTLP: a length that reaches beyond the end.
pub(crate) const MALFORMED: &[u8] = b"\x0a\x05abc";
/// A response whose `partial_success` is there and empty.
pub(crate) const ACCEPTED: &[u8] = b"\x0a\x00";

/// The pipelines: they accept unless told otherwise, and keep what came.
#[derive(Default)]
pub(crate) struct Sink {
    answer: Mutex<Option<Refusal>>,
    got: Mutex<Vec<Batch>>,
    forwards: Mutex<Option<Forwards>>,
}

impl Consumer for Sink {
    fn consume(self: Arc<Self>, batch: Batch) -> BoxFuture<'static, Result<(), Refusal>> {
        Box::pin(async move {
            self.got.lock().unwrap().push(batch);
            self.answer.lock().unwrap().clone().map_or(Ok(()), Err)
        })
    }

    fn forwards(&self) -> Forwards {
        self.forwards.lock().unwrap().unwrap_or(Forwards::NOTHING)
    }
}

impl Sink {
    pub(crate) fn refuses(&self, refusal: Refusal) {
        *self.answer.lock().unwrap() = Some(refusal);
    }

    /// From now on it wants these as they came.
    pub(crate) fn wants(&self, forwards: Forwards) {
        *self.forwards.lock().unwrap() = Some(forwards);
    }

    /// What came since the last call.
    pub(crate) fn take(&self) -> Vec<Batch> {
        std::mem::take(&mut self.got.lock().unwrap())
    }
}

/// The surroundings of receivers that follow one another. Logs and metrics are wired, traces are not.
pub(crate) struct Rig {
    pub(crate) host: Host,
    pub(crate) sink: Arc<Sink>,
    outlets: Outlets,
    leases: Vec<ListenerLease>,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        let (host, sink, outlets) = (Host::for_tests(), Arc::new(Sink::default()), Outlets::unwired());
        for signal in [Signal::Logs, Signal::Metrics] {
            outlets.of(signal).wire(Some(sink.clone()));
        }
        // Held as long as the test, so that ports stay while receivers come and go.
        let leases = [GRPC, HTTP].map(|endpoint| host.leases.listen_tcp(endpoint).unwrap()).into();
        Rig { host, sink, outlets, leases }
    }

    /// A rig and a receiver that serves; `grpc` and `http` are more settings of the protocols.
    pub(crate) async fn start(grpc: &str, http: &str) -> (Rig, Arc<dyn Receiver>) {
        let rig = Rig::new();
        let receiver = rig.receiver(&protocols(grpc, http)).await;
        receiver.serve(&rig.host);
        (rig, receiver)
    }

    /// A receiver that is bound.
    pub(crate) async fn receiver(&self, yaml: &str) -> Arc<dyn Receiver> {
        let config: OtlpReceiverConfig = phoenix_config::decode_text(yaml).unwrap();
        let id = ComponentId::parse("otlp").unwrap();
        let status = StatusReporter::detached(Kind::Receiver, id.clone());
        let shared = Shared::default();
        let cx = CreateContext { id: &id, host: &self.host, status, shared: &shared };
        let receiver = OtlpReceiverFactory.create(&config, cx, self.outlets.clone()).unwrap();
        receiver.bind(&self.host).await.unwrap();
        receiver
    }

    pub(crate) fn grpc_address(&self) -> SocketAddr {
        self.leases[0].local_addr().unwrap()
    }

    pub(crate) fn http_address(&self) -> SocketAddr {
        self.leases[1].local_addr().unwrap()
    }

    pub(crate) fn grpc_options(&self) -> client::Options {
        let address = self.grpc_address();
        client::Options::new(Target::Host { host: "127.0.0.1".to_owned(), port: address.port() })
    }

    pub(crate) fn grpc_client(&self) -> Client {
        Client::new(self.grpc_options(), &self.host.cores).unwrap()
    }

    /// A metric of one protocol of the receiver.
    pub(crate) fn metric(&self, name: &str, transport: &str) -> i64 {
        self.host.metrics.sum(name, &[("receiver", "otlp"), ("transport", transport)])
    }

    pub(crate) async fn http(&self) -> HttpConnection {
        HttpConnection(TcpStream::connect(self.http_address()).await.unwrap())
    }
}

pub(crate) fn protocols(grpc: &str, http: &str) -> String {
    format!("protocols: {{grpc: {{endpoint: '{GRPC}', {grpc}}}, http: {{endpoint: '{HTTP}', {http}}}}}")
}

/// A request with `records` log records.
pub(crate) fn logs(records: usize) -> Bytes {
    let scope = ScopeLogs { log_records: vec![LogRecord::default(); records], ..ScopeLogs::default() };
    let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec().into()
}

pub(crate) async fn export(
    client: &Client,
    method: &'static str,
    body: impl Into<Bytes>,
) -> Result<Bytes, Status> {
    let payload = phoenix_transport::Payload::from(body.into());
    client.call(&client.method(method), payload, None, &::http::HeaderMap::new()).await
}

/// An HTTP/1.1 connection under the test's hands.
pub(crate) struct HttpConnection(TcpStream);

/// An answer as it came; header names are in lower case.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl HttpAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl HttpConnection {
    /// Sends a request with `headers`, each with its line end, and waits for the answer.
    pub(crate) async fn send(&mut self, line: &str, headers: &str, body: &[u8]) -> HttpAnswer {
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n{headers}\r\n");
        self.0.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        self.answer().await
    }

    /// Posts protobuf to the path for logs.
    pub(crate) async fn logs(&mut self, headers: &str, body: &[u8]) -> HttpAnswer {
        let headers = format!("content-type: application/x-protobuf\r\n{headers}");
        self.send("POST /v1/logs", &headers, body).await
    }

    async fn answer(&mut self) -> HttpAnswer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut answer = HttpAnswer { status, headers, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body.resize(length, 0);
        self.0.read_exact(&mut answer.body).await.unwrap();
        answer
    }
}
