//! Against hyper's server on loopback: what arrives, and what each answer leads to.

// Helpers of tests are tests.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use phoenix_component::factory::{CreateContext, ExporterFactory as _, Shared};
use phoenix_component::{Batch, Code, Exporter, Host, Lost, StatusReporter};
use phoenix_config::{ComponentId, Kind};
use phoenix_exporter_otlp_http::{OtlpHttpConfig, OtlpHttpFactory};
use phoenix_pdata::Signal;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;

/// A status, headers and a body; hangs where there is no status.
type Answer = (Option<u16>, &'static [(&'static str, &'static str)], &'static [u8]);

const OK: Answer = (Some(200), &[("content-type", "application/x-protobuf")], b"\x0a\x00");

/// Answers by a script, then with success, and keeps what came.
#[derive(Clone, Default)]
struct Backend {
    script: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<(http::request::Parts, Bytes)>>>,
    connections: Arc<Mutex<usize>>,
}

impl Backend {
    fn answers(script: &[Answer]) -> Backend {
        Backend { script: Arc::new(Mutex::new(script.iter().copied().collect())), ..Backend::default() }
    }

    async fn answer(
        self,
        request: http::Request<Incoming>,
    ) -> Result<http::Response<Full<Bytes>>, std::convert::Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.requests.lock().unwrap().push((head, body));
        let (status, headers, body) = self.script.lock().unwrap().pop_front().unwrap_or(OK);
        let Some(status) = status else { std::future::pending().await };
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        Ok(response.body(Full::new(Bytes::from_static(body))).unwrap())
    }

    async fn serve(&self, tls: Option<TlsAcceptor>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(self.clone().accept(listener, tls));
        address
    }

    async fn accept(self, listener: TcpListener, tls: Option<TlsAcceptor>) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            *self.connections.lock().unwrap() += 1;
            let (backend, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request| backend.clone().answer(request));
                let http1 = hyper::server::conn::http1::Builder::new();
                let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let Some(tls) = tls else {
                    return drop(http1.serve_connection(TokioIo::new(stream), service).await);
                };
                // A client that does not trust the certificate breaks the handshake off.
                let Ok(stream) = tls.accept(stream).await else { return };
                match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => drop(http2.serve_connection(TokioIo::new(stream), service).await),
                    _ => drop(http1.serve_connection(TokioIo::new(stream), service).await),
                }
            });
        }
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

struct Rig {
    host: Host,
    exporter: Arc<dyn Exporter>,
}

/// An exporter with quick retries and no queue, with `settings` on top.
async fn exporter(endpoint: &str, settings: serde_json::Value) -> Rig {
    let mut all = serde_json::json!({
        "endpoint": endpoint,
        "retry_on_failure": {"initial_interval": "1ms", "max_interval": "10ms"},
        "sending_queue": {"enabled": false},
    });
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let config: OtlpHttpConfig = serde_json::from_value(all).unwrap();
    let (host, shared) = (Host::for_tests(), Shared::default());
    let id = ComponentId::parse("otlp_http/backend").unwrap();
    let status = StatusReporter::detached(Kind::Exporter, id.clone());
    let cx = CreateContext { id: &id, host: &host, status, shared: &shared };
    let exporter = OtlpHttpFactory.create(&config, cx, Signal::Logs).unwrap();
    exporter.start(&host).await.unwrap();
    Rig { host, exporter }
}

impl Rig {
    fn sent(&self) -> i64 {
        self.host.metrics.sum("otelcol_exporter_sent_log_records", &[("exporter", "otlp_http/backend")])
    }

    fn failed(&self) -> i64 {
        self.host
            .metrics
            .sum("otelcol_exporter_send_failed_log_records", &[("exporter", "otlp_http/backend")])
    }
}

/// Whatever the bytes are: this exporter does not look at them.
fn batch(pieces: &[&'static [u8]]) -> Batch {
    let mut payload = phoenix_pdata::Payload::default();
    pieces.iter().for_each(|piece| payload.append(Bytes::from_static(piece).into()));
    Batch::new(Signal::Logs, payload, pieces.len() as u64)
}

fn plain(encoding: Option<&http::HeaderValue>, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match encoding.map(|encoding| encoding.to_str().unwrap()) {
        None => out.extend_from_slice(body),
        Some("gzip") => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut out).unwrap()),
        Some("zlib" | "deflate") => drop(flate2::read::ZlibDecoder::new(body).read_to_end(&mut out).unwrap()),
        Some("zstd") => out = zstd::stream::decode_all(body).unwrap(),
        Some(other) => panic!("{other}"),
    }
    out
}

#[tokio::test]
async fn a_batch_in_pieces_arrives_whole_with_each_compression() {
    let backend = Backend::default();
    let address = backend.serve(None).await;
    for compression in ["gzip", "zstd", "zlib", "deflate", "none"] {
        let headers = serde_json::json!({"X-Api-Key": "k", "Host": "elsewhere"});
        let settings = serde_json::json!({"compression": compression, "headers": headers});
        let rig = exporter(&format!("http://{address}/base/"), settings).await;
        rig.exporter.export(batch(&[b"one", b"two", b"three"])).await.unwrap();
        let (head, body) = backend.requests.lock().unwrap().pop().unwrap();
        assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/base/v1/logs"));
        assert_eq!(plain(head.headers.get("content-encoding"), &body), b"onetwothree", "{compression}");
        for (name, value) in
            [("content-type", "application/x-protobuf"), ("x-api-key", "k"), ("host", "elsewhere")]
        {
            assert_eq!(head.headers[name], value);
        }
        assert!(head.headers["user-agent"].to_str().unwrap().starts_with("Phoenix/"));
        let port = address.port().to_string();
        let attributes = [("server.port", port.as_str()), ("url.path", "/base/v1/logs")];
        assert_eq!(rig.host.metrics.sum("otelcol_exporter_sent_log_records", &attributes), 3);
    }
}

#[tokio::test]
async fn requests_go_out_as_json_and_answers_are_read_as_what_they_are() {
    let backend = Backend::answers(&[
        (
            Some(200),
            &[("content-type", "application/json")],
            br#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"no"}}"#,
        ),
        OK,
        (Some(400), &[("content-type", "application/json")], br#"{"code":3,"message":"bad"}"#),
    ]);
    let address = backend.serve(None).await;
    let rig = exporter(&format!("http://{address}"), serde_json::json!({"encoding": "json"})).await;
    let json = r#"{"resourceLogs":[{"resource":{},"scopeLogs":[{"scope":{},"logRecords":[{"body":{"stringValue":"a \"b\""}}]}]}]}"#;
    let (payload, counts) =
        phoenix_pdata::json::decode(Signal::Logs, json.as_bytes(), phoenix_pdata::InvalidUtf8::Reject)
            .unwrap();
    for _ in 0..2 {
        let batch = Batch::new(Signal::Logs, payload.clone(), counts.items);
        rig.exporter.export(batch).await.expect("taken in part is taken");
        let (head, body) = backend.requests.lock().unwrap().pop().unwrap();
        assert_eq!(head.headers["content-type"], "application/json");
        assert_eq!(plain(head.headers.get("content-encoding"), &body), json.as_bytes());
    }
    let refusal = rig.exporter.export(Batch::new(Signal::Logs, payload.clone(), 1)).await.unwrap_err();
    assert!(refusal.message().ends_with("Code 400, Message=bad, Details=[]"), "{refusal}");
    // A large request in two pieces becomes one object.
    let mut large = payload.clone();
    (0..5000).for_each(|_| large.append(payload.clone()));
    rig.exporter.export(Batch::new(Signal::Logs, large, 5001)).await.unwrap();
    let (head, body) = backend.requests.lock().unwrap().pop().unwrap();
    let body: serde_json::Value =
        serde_json::from_slice(&plain(head.headers.get("content-encoding"), &body)).unwrap();
    assert_eq!(body["resourceLogs"].as_array().unwrap().len(), 5001);
    assert_eq!((rig.sent(), rig.failed(), rig.host.budget.used()), (5003, 1, 0));
}

#[tokio::test]
async fn what_may_help_is_tried_again_and_the_rest_is_not() {
    let backend = Backend::answers(&[
        (Some(503), &[], b""),
        (Some(502), &[], b""),
        (Some(429), &[], b""),
        OK,
        (Some(400), &[("content-type", "application/x-protobuf")], b"\x08\x03\x12\x03bad"),
        (Some(500), &[], b"oops"),
        (Some(200), &[("content-type", "application/x-protobuf")], b"\x0a\x06\x08\x02\x12\x02no"),
    ]);
    let address = backend.serve(None).await;
    let rig = exporter(&format!("http://{address}"), serde_json::json!({})).await;
    rig.exporter.export(batch(&[b"a"])).await.unwrap();
    assert_eq!(backend.count(), 4);
    let bad = rig.exporter.export(batch(&[b"b"])).await.unwrap_err();
    let text = format!(
        "not retryable error: Permanent error: error exporting items, request to http://{address}/v1/logs responded with HTTP Status Code 400, Message=bad, Details=[]"
    );
    assert_eq!(
        (bad.message(), bad.is_retryable(), bad.code()),
        (text.as_str(), false, Code::INVALID_ARGUMENT)
    );
    assert!(!rig.exporter.export(batch(&[b"c"])).await.unwrap_err().is_retryable());
    rig.exporter.export(batch(&[b"d"])).await.expect("taken in part is taken");
    assert_eq!((backend.count(), rig.sent(), rig.failed()), (7, 2, 2));
    assert_eq!(*backend.connections.lock().unwrap(), 1, "one connection serves them all");
}

#[tokio::test]
async fn a_backend_that_asks_for_time_gets_it() {
    let backend = Backend::answers(&[(Some(429), &[("retry-after", "1")], b"")]);
    let address = backend.serve(None).await;
    let rig = exporter(&format!("http://{address}"), serde_json::json!({})).await;
    let start = Instant::now();
    rig.exporter.export(batch(&[b"a"])).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_given_up_and_repeated() {
    let hang: Answer = (None, &[], b"");
    let backend = Backend::answers(&[hang]);
    let address = backend.serve(None).await;
    let rig = exporter(&format!("http://{address}"), serde_json::json!({"timeout": "50ms"})).await;
    rig.exporter.export(batch(&[b"a"])).await.unwrap();
    assert_eq!((backend.count(), rig.sent(), rig.failed()), (2, 1, 0));
    let backend = Backend::answers(&[hang; 1000]);
    let address = backend.serve(None).await;
    let settings = serde_json::json!({"timeout": "20ms", "retry_on_failure": {"enabled": false}});
    let rig = exporter(&format!("http://{address}"), settings).await;
    let refusal = rig.exporter.export(batch(&[b"a"])).await.unwrap_err();
    assert!(refusal.is_retryable(), "{refusal}");
    assert!(refusal.message().starts_with("failed to make an HTTP request: "), "{refusal}");
}

#[tokio::test]
async fn a_queue_outlives_a_backend_that_dies_and_returns() {
    let backend = Backend::default();
    // A runtime of its own takes the connections along when it dies.
    let machine = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = backend.clone();
    let address = machine.spawn(async move { first.serve(None).await }).await.unwrap();
    let settings = serde_json::json!({"sending_queue": {"num_consumers": 2}});
    let rig = exporter(&format!("http://{address}"), settings).await;
    rig.exporter.export(batch(&[b"before"])).await.unwrap();
    while rig.sent() < 1 {
        tokio::task::yield_now().await;
    }
    machine.shutdown_background();
    for _ in 0..20 {
        rig.exporter.export(batch(&[b"during"])).await.unwrap();
    }
    // The port is free once the machine has let go of it.
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    tokio::spawn(backend.clone().accept(listener, None));
    while rig.sent() < 21 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((rig.sent(), rig.failed()), (21, 0));
    let lost = rig.exporter.drain(tokio::time::Instant::now() + Duration::from_secs(5)).await;
    assert_eq!(lost, Lost::default());
}

#[tokio::test]
async fn https_verifies_and_speaks_the_newer_protocol_unless_told_otherwise() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = certified.cert.pem();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let backend = Backend::default();
    let port = backend.serve(Some(Arc::new(server).into())).await.port();
    let named = serde_json::json!({"ca_pem": pem, "server_name_override": "localhost"});
    // (settings of TLS, whether HTTP/2 is wanted, the version that is spoken)
    let cases = [
        (named.clone(), true, Some(http::Version::HTTP_2)),
        (named, false, Some(http::Version::HTTP_11)),
        (serde_json::json!({"insecure_skip_verify": true}), true, Some(http::Version::HTTP_2)),
        (serde_json::json!({"ca_pem": pem, "server_name_override": "elsewhere"}), true, None),
    ];
    for (tls, h2, version) in cases {
        let retry = serde_json::json!({"enabled": false});
        let settings = serde_json::json!({"tls": tls, "force_attempt_http2": h2, "retry_on_failure": retry});
        let rig = exporter(&format!("https://127.0.0.1:{port}"), settings).await;
        let outcome = rig.exporter.export(batch(&[b"a", b"b"])).await;
        let arrived = backend.requests.lock().unwrap().pop();
        assert_eq!(arrived.as_ref().map(|(head, _)| head.version), version, "{tls}: {outcome:?}");
        assert!(version.is_some() || outcome.unwrap_err().is_retryable());
    }
}
