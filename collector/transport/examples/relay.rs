//! Passes OTLP/gRPC requests on as they are: what the transport itself costs.
//!
//! `relay [LISTEN [UPSTREAM [CORES]]]`, by default `127.0.0.1:4317 127.0.0.1:5317 2`.

use bytes::Bytes;
use phoenix_component::{Budget, Cores, Leases};
use phoenix_transport::ServerMetrics;
use phoenix_transport::endpoint::Target;
use phoenix_transport::grpc::Status;
use phoenix_transport::grpc::client::{Client, Method, Options};
use phoenix_transport::grpc::server::{self, Call, UnaryService};

const PATHS: [&str; 3] = [
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
];

struct Relay {
    upstream: Client,
    methods: [Method; 3],
}

impl UnaryService for Relay {
    type Method = usize;

    fn resolve(&self, path: &str) -> Option<usize> {
        PATHS.iter().position(|known| *known == path)
    }

    async fn call(&self, method: usize, call: Call) -> Result<Bytes, Status> {
        let timeout = Some(std::time::Duration::from_secs(5));
        self.upstream.call(&self.methods[method], call.message.into(), timeout, &http::HeaderMap::new()).await
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:4317".to_owned());
    let upstream = arguments.next().unwrap_or_else(|| "127.0.0.1:5317".to_owned());
    let cores = arguments.next().map_or(Ok(2), |count| count.parse())?;
    let (cores, _threads) = Cores::start(cores)?;
    let upstream = Client::new(Options::new(Target::parse_grpc(&upstream)?.1), &cores)?;
    let methods = PATHS.map(|path| upstream.method(path));
    let lease = Leases::default().listen_tcp(&listen)?;
    let budget = Budget::new(256 << 20);
    let relay = Relay { upstream, methods };
    let _server = server::start(
        &lease,
        None,
        relay,
        server::Options::default(),
        &cores,
        &budget,
        ServerMetrics::detached(),
    )?;
    loop {
        std::thread::park();
    }
}
