//! Hostile and broken input: each gets the protocol's own error, and costs nobody else anything.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tonic::Code;
use tonic_prost::ProstCodec;

use crate::backend::Backend;
use crate::binary::{collector, free_port};
use crate::inside::Inside;
use crate::load;

struct Ports {
    grpc: u16,
    http: u16,
}

async fn start(backend: &Backend) -> (Inside, Ports) {
    let ports = Ports { grpc: free_port(), http: free_port() };
    let inside = Inside::start(&format!(
        "
receivers:
  otlp:
    invalid_utf8: reject
    protocols:
      grpc: {{endpoint: '127.0.0.1:{}'}}
      http: {{endpoint: '127.0.0.1:{}', max_request_body_size: 1000000}}
exporters:
  otlp: {{endpoint: '{}', tls: {{insecure: true}}, sending_queue: {{enabled: false}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}}}
",
        ports.grpc,
        ports.http,
        backend.address()
    ))
    .await;
    (inside, ports)
}

/// Sends a request of HTTP/1.1 as it stands, and returns the status line, the headers and the body.
fn http(port: u16, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let request =
        format!("{head}\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    // The answer may come before the body is through.
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.write_all(body));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

const POST: &str = "POST /v1/traces HTTP/1.1\r\nContent-Type: application/x-protobuf";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_http_requests_get_the_protocols_own_errors() {
    let backend = Backend::start().await;
    let (inside, ports) = start(&backend).await;
    let good = load::request(1).encode_to_vec();
    let over_deep = (0..200).fold(Vec::new(), |inner: Vec<u8>, _| {
        let mut outer = vec![0x2a];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        outer.extend_from_slice(&inner);
        outer
    });
    let not_utf8 = {
        let mut bytes = good.clone();
        let at = bytes.windows(3).position(|window| window == b"GET").expect("a name");
        bytes[at] = 0xff;
        bytes
    };
    let bomb = gzip(&vec![0; 100_000_000]);
    let cases: [(&str, String, &[u8], &str); 11] = [
        ("truncated", POST.into(), &good[..good.len() - 3], "400"),
        ("not protobuf", POST.into(), b"hello, world", "400"),
        ("too deep", POST.into(), &over_deep, "400"),
        ("not UTF-8", POST.into(), &not_utf8, "400"),
        ("too large", POST.into(), &vec![0; 1_000_001], "400"),
        ("a bomb", format!("{POST}\r\nContent-Encoding: gzip"), &bomb, "400"),
        ("not gzip", format!("{POST}\r\nContent-Encoding: gzip"), b"not gzip", "400"),
        ("unknown encoding", format!("{POST}\r\nContent-Encoding: br"), &good, "400"),
        ("wrong content type", "POST /v1/traces HTTP/1.1\r\nContent-Type: text/plain".into(), &good, "415"),
        (
            "wrong method",
            "PUT /v1/traces HTTP/1.1\r\nContent-Type: application/x-protobuf".into(),
            &good,
            "405",
        ),
        (
            "signal that is not wired",
            "POST /v1/logs HTTP/1.1\r\nContent-Type: application/x-protobuf".into(),
            &good,
            "404",
        ),
    ];
    for (case, head, body, status) in cases {
        let answer = http(ports.http, &head, body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{case}: {answer}");
    }
    let malformed = inside.metric("phoenix_receiver_malformed_requests", &[("transport", "http")]);
    assert!(malformed >= 3, "counted: {malformed}");
    let answer = http(ports.http, POST, &good);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(backend.spans().len() as u64, load::SPANS);
    assert_eq!(inside.engine.host().budget.used(), 0, "nothing is left charged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_grpc_requests_get_the_protocols_own_errors() {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Raw {
        #[prost(bytes = "vec", tag = "1")]
        first: Vec<u8>,
    }
    let backend = Backend::start().await;
    let (inside, ports) = start(&backend).await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://127.0.0.1:{}", ports.grpc))
        .expect("endpoint");
    let mut client = tonic::client::Grpc::new(channel.connect().await.expect("connects"));
    let cases = [
        (
            "malformed",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            vec![0xff; 9],
            Code::Internal,
        ),
        (
            "too large",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            vec![0; 5 << 20],
            Code::ResourceExhausted,
        ),
        (
            "not wired",
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            vec![],
            Code::Unimplemented,
        ),
        (
            "unknown",
            "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
            vec![],
            Code::Unimplemented,
        ),
    ];
    for (case, path, first, code) in cases {
        client.ready().await.expect("connected");
        let codec = ProstCodec::<Raw, ExportTraceServiceResponse>::default();
        let answer =
            client.unary(tonic::Request::new(Raw { first }), path.parse().expect("a path"), codec).await;
        assert_eq!(answer.expect_err(case).code(), code, "{case}");
    }
    client.ready().await.expect("connected");
    let codec = ProstCodec::default();
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export".parse().expect("a path");
    let answer: tonic::Response<ExportTraceServiceResponse> = client
        .unary(tonic::Request::new(load::request(1)), path, codec)
        .await
        .expect("the same connection still works");
    assert!(answer.into_inner().partial_success.is_some_and(|partial| partial.rejected_spans == 0));
    assert_eq!(inside.engine.host().budget.used(), 0, "nothing is left charged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_stop_in_the_middle_hold_nobody_up() {
    let backend = Backend::start().await;
    let (inside, ports) = start(&backend).await;
    let good = load::request(1).encode_to_vec();
    let stalled: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", ports.http)).expect("connects");
            write!(stream, "{POST}\r\nHost: test\r\nContent-Length: 900000\r\n\r\n").expect("written");
            stream.write_all(&good).expect("written");
            stream
        })
        .collect();
    let answer = http(ports.http, POST, &good);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let used = inside.engine.host().budget.used();
    assert!(used < 50 * 64 * 1024, "memory grows with what came, not with what was announced: {used}");
    drop(stalled);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while inside.engine.host().budget.used() > 0 {
        assert!(tokio::time::Instant::now() < deadline, "given back when the clients are gone");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_port_in_use_and_a_missing_file_stop_the_start_with_a_report() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = taken.local_addr().expect("bound").port();
    let configuration = format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}}}}}\nexporters: {{nop: {{}}}}\nservice: {{pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}}}\n"
    );
    let finished = collector().arg(format!("--config=yaml:{configuration}")).finish();
    assert_eq!(finished.code, 1);
    for part in ["receiver otlp", &port.to_string(), "in use"] {
        assert!(finished.stderr.contains(part), "{part}: {}", finished.stderr);
    }
    let finished = collector().arg("--config=/no/such/file.yaml").finish();
    assert_eq!(finished.code, 1);
    assert!(finished.stderr.contains("/no/such/file.yaml"), "{}", finished.stderr);
}
