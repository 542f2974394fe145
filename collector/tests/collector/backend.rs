//! An OTLP/gRPC backend made with tonic: it answers as told and remembers every item by its identifier.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::{Request, Response, Status};

/// How the backend answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Behaviour {
    #[default]
    Accept,
    /// After a while.
    Slow(Duration),
    /// Unavailable, every so many requests.
    RefuseOneIn(u64),
    /// ResourceExhausted with a delay, every second request.
    Throttle(Duration),
    /// InvalidArgument, always.
    Reject,
}

#[derive(Default)]
struct State {
    behaviour: Mutex<Behaviour>,
    requests: AtomicU64,
    spans: Mutex<HashMap<u64, u32>>,
    /// The spans as they came.
    order: Mutex<Vec<u64>>,
}

/// A backend that runs until it is dropped or killed.
pub(crate) struct Backend {
    state: Arc<State>,
    address: SocketAddr,
    /// Of its own, so that its connections end with it.
    server: Option<tokio::runtime::Runtime>,
}

#[derive(Clone)]
struct Service(Arc<State>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let number = self.0.requests.fetch_add(1, Ordering::SeqCst);
        let behaviour = *self.0.behaviour.lock().expect("not poisoned");
        match behaviour {
            Behaviour::Accept => {}
            Behaviour::Slow(time) => tokio::time::sleep(time).await,
            Behaviour::RefuseOneIn(n) if number.is_multiple_of(n) => {
                return Err(Status::unavailable("told to refuse"));
            }
            Behaviour::RefuseOneIn(_) => {}
            Behaviour::Throttle(delay) if number.is_multiple_of(2) => return Err(throttled(delay)),
            Behaviour::Throttle(_) => {}
            Behaviour::Reject => return Err(Status::invalid_argument("told to reject")),
        }
        let mut spans = self.0.spans.lock().expect("not poisoned");
        let mut order = self.0.order.lock().expect("not poisoned");
        for id in span_ids(&request.into_inner()) {
            *spans.entry(id).or_default() += 1;
            order.push(id);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// `ResourceExhausted` with `google.rpc.RetryInfo`, encoded by hand: code 8, one detail.
fn throttled(delay: Duration) -> Status {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).expect("short")];
        out.extend_from_slice(bytes);
        out
    }
    let mut duration = vec![0x10];
    let mut nanos = delay.subsec_nanos();
    while nanos >= 0x80 {
        duration.push(nanos as u8 | 0x80);
        nanos >>= 7;
    }
    duration.push(nanos as u8);
    let any =
        [field(1, b"type.googleapis.com/google.rpc.RetryInfo"), field(2, &field(1, &duration))].concat();
    let status = [vec![0x08, 8], field(3, &any)].concat();
    Status::with_details(tonic::Code::ResourceExhausted, "told to throttle", status.into())
}

/// The identifiers of the spans of a request.
pub(crate) fn span_ids(request: &ExportTraceServiceRequest) -> impl Iterator<Item = u64> {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let spans = scopes.flat_map(|scope| &scope.spans);
    spans.map(|span| u64::from_be_bytes(span.span_id.as_slice().try_into().expect("eight bytes")))
}

impl Backend {
    /// A backend on a free port.
    pub(crate) async fn start() -> Backend {
        let mut backend =
            Backend { state: Arc::default(), address: SocketAddr::from(([127, 0, 0, 1], 0)), server: None };
        backend.revive().await;
        backend
    }

    /// Listens again, on the same port.
    pub(crate) async fn revive(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (state, address) = (self.state.clone(), self.address);
        let bound = runtime.spawn(async move {
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.set_reuseaddr(true).expect("set");
            socket.bind(address).expect("bound");
            let listener = socket.listen(1024).expect("listens");
            let address = listener.local_addr().expect("bound");
            let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
            let service = TraceServiceServer::new(Service(state)).max_decoding_message_size(64 << 20);
            tokio::spawn(
                tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming),
            );
            address
        });
        self.address = bound.await.expect("no panic");
        self.server = Some(runtime);
    }

    /// Ends it, connections and all.
    pub(crate) async fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
        while tokio::net::TcpStream::connect(self.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Whether it listens.
    #[allow(dead_code, reason = "for the fault suite, which shares this file")]
    pub(crate) fn lives(&self) -> bool {
        self.server.is_some()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().expect("not poisoned") = behaviour;
    }

    /// Requests that came.
    #[allow(dead_code, reason = "for the fault suite, which shares this file")]
    pub(crate) fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// How often each span came.
    pub(crate) fn spans(&self) -> HashMap<u64, u32> {
        self.state.spans.lock().expect("not poisoned").clone()
    }

    /// The spans in the order in which they came.
    #[allow(dead_code, reason = "for the fault suite, which shares this file")]
    pub(crate) fn order(&self) -> Vec<u64> {
        self.state.order.lock().expect("not poisoned").clone()
    }

    /// Waits until `count` different spans have come.
    pub(crate) async fn wait_for_spans(&self, count: usize) {
        assert!(self.gets_spans(count).await, "only {} of {count} spans came", self.spans().len());
    }

    /// Whether `count` different spans come within a minute.
    pub(crate) async fn gets_spans(&self, count: usize) -> bool {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while self.state.spans.lock().expect("not poisoned").len() < count {
            if tokio::time::Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
    }
}
