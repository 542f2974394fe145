//! An independent client and server.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tonic::codec::CompressionEncoding;

use super::*;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

struct Relay(Client);

impl UnaryService for Relay {
    type Method = ();

    fn resolve(&self, path: &str) -> Option<()> {
        (path == EXPORT).then_some(())
    }

    async fn call(&self, (): (), call: Call) -> Result<Bytes, Status> {
        self.0.call(&self.0.method(EXPORT), call.message.into(), None, &HeaderMap::new()).await
    }
}

/// A backend that counts spans and refuses what is named `refuse`.
struct Backend(Arc<AtomicUsize>);

#[tonic::async_trait]
impl TraceService for Backend {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let spans = &request.get_ref().resource_spans[0].scope_spans[0].spans;
        if spans[0].name == "refuse" {
            let details = rpc_status(Code::RESOURCE_EXHAUSTED, "no", Some(Duration::from_secs(3)));
            return Err(tonic::Status::with_details(tonic::Code::ResourceExhausted, "no, danke ü", details));
        }
        self.0.fetch_add(spans.len(), SeqCst);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

fn spans(count: usize, name: &str) -> ExportTraceServiceRequest {
    let span = Span { name: name.to_owned(), trace_id: vec![1; 16], ..Default::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span; count], ..Default::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] }
}

#[tokio::test]
async fn tonic_to_phoenix_to_tonic() {
    let received = Arc::new(AtomicUsize::new(0));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let backend = TraceServiceServer::new(Backend(received.clone()))
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(64 * MIB);
    tokio::spawn(tonic::transport::Server::builder().add_service(backend).serve(address));

    let (cores, _threads) = Cores::start(2).unwrap();
    let mut sent = 0;
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
        let target = Target::Host { host: address.ip().to_string(), port: address.port() };
        let options = client::Options {
            compressor: Compressor::new(encoding, 0),
            wait_for_ready: true,
            ..client::Options::new(target)
        };
        let relay = Relay(Client::new(options, &cores).unwrap());
        let lease = Leases::default().listen_tcp("127.0.0.1:0").unwrap();
        let (limits, metrics) = (large(), ServerMetrics::detached());
        let _server =
            server::start(&lease, None, relay, limits, &cores, &Budget::unlimited(), metrics).unwrap();
        let channel =
            tonic::transport::Endpoint::from_shared(format!("http://{}", lease.local_addr().unwrap()))
                .unwrap()
                .connect()
                .await
                .unwrap();
        let mut plain = TraceServiceClient::new(channel.clone());
        let mut zipped = TraceServiceClient::new(channel).send_compressed(CompressionEncoding::Gzip);
        // 5 MB and little.
        for count in [1, 100, 150_000] {
            plain.export(spans(count, "span")).await.unwrap();
            zipped.export(spans(count, "span")).await.unwrap();
            sent += 2 * count;
        }
        let refused = plain.export(spans(1, "refuse")).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (tonic::Code::ResourceExhausted, "no, danke ü"));
        assert_eq!(retry_delay(refused.details()), Some(Duration::from_secs(3)));
    }
    assert_eq!(received.load(SeqCst), sent);
}
