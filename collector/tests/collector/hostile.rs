//! Whatever comes over a connection, the next one is served: a corpus of requests that no client sends by mistake,
//! and requests of honest clients with bytes changed, played against a collector that runs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use prost::Message as _;

use crate::binary::{collector, free_port};
use crate::inside::Inside;
use crate::load;

struct Ports {
    grpc: u16,
    http: u16,
}

async fn start() -> (Inside, Ports) {
    let ports = Ports { grpc: free_port(), http: free_port() };
    let inside = Inside::start(&format!(
        "
extensions:
  bearertokenauth: {{token: t}}
  rate_limiter: {{key: [client.address, auth.subject, metadata.x-tenant], requests_per_second: 1000000}}
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: '127.0.0.1:{}', auth: {{authenticator: bearertokenauth}}, middlewares: [{{id: rate_limiter}}]}}
      http: {{endpoint: '127.0.0.1:{}', auth: {{authenticator: bearertokenauth, request_params: [token]}}, middlewares: [{{id: rate_limiter}}]}}
exporters: {{nop: }}
service:
  extensions: [bearertokenauth, rate_limiter]
  pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}
",
        ports.grpc, ports.http
    ))
    .await;
    (inside, ports)
}

/// Sends `bytes`, then nothing more. Whether it is taken does not matter.
fn throw(port: u16, bytes: &[u8], patience: Duration) {
    let mut stream = connect(port, patience);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut part = [0; 4096];
    let mut read = 0;
    while read < 1 << 20 {
        match stream.read(&mut part) {
            Ok(count @ 1..) => read += count,
            _ => break,
        }
    }
}

/// Sends `bytes` and reads until `wanted` has come.
fn ask(port: u16, bytes: &[u8], wanted: &[u8]) -> Vec<u8> {
    let mut stream = connect(port, Duration::from_secs(20));
    stream.write_all(bytes).expect("taken");
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    while !answer.windows(wanted.len()).any(|window| window == wanted) {
        match stream.read(&mut part) {
            Ok(count @ 1..) => answer.extend_from_slice(&part[..count]),
            _ => break,
        }
    }
    answer
}

fn connect(port: u16, patience: Duration) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody accepts");
    stream.set_read_timeout(Some(patience)).expect("set");
    stream.set_write_timeout(Some(Duration::from_secs(10))).expect("set");
    stream
}

fn http_request(more: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Type: application/x-protobuf\r\n{more}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A header without compression and without an index (RFC 7541, section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut out = Vec::new();
        let mut left = text.len();
        // An integer with a prefix of seven bits.
        if left < 127 {
            out.push(left as u8);
        } else {
            out.push(127);
            left -= 127;
            while left >= 128 {
                out.push((left % 128 + 128) as u8);
                left /= 128;
            }
            out.push(left as u8);
        }
        out.extend_from_slice(text.as_bytes());
        out
    };
    [vec![0], text(name), text(value)].concat()
}

fn grpc_headers(more: &[(&str, &str)]) -> Vec<u8> {
    let usual = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("authorization", "Bearer t"),
    ];
    usual.iter().chain(more).flat_map(|(name, value)| field(name, value)).collect()
}

fn grpc_message(flag: u8, announced: usize, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(announced).unwrap_or(u32::MAX).to_be_bytes();
    [&[flag], &length[..], message].concat()
}

/// The preface of a connection and what follows it.
fn http2(frames: &[Vec<u8>]) -> Vec<u8> {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    [vec![preface, frame(SETTINGS, 0, 0, &[])], frames.to_vec()].concat().concat()
}

fn good_call(stream: u32) -> Vec<u8> {
    let message = load::request(1).encode_to_vec();
    let body = grpc_message(0, message.len(), &message);
    [frame(HEADERS, END_HEADERS, stream, &grpc_headers(&[])), frame(DATA, END_STREAM, stream, &body)].concat()
}

/// The corpus for HTTP/1.1.
fn http1_corpus(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let with = |more: &str| http_request(more, body);
    let length = body.len();
    vec![
        ("nothing", Vec::new()),
        ("a line end", b"\r\n\r\n\r\n".to_vec()),
        ("half of a line", b"POST /v1/tra".to_vec()),
        ("binary", (0..=255).cycle().take(5000).collect()),
        ("TLS where there is none", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("HTTP/0.9", b"GET /\r\n".to_vec()),
        ("HTTP/9.9", b"POST /v1/traces HTTP/9.9\r\n\r\n".to_vec()),
        ("two lengths", with(&format!("Content-Length: {length}\r\nContent-Length: 5\r\n"))),
        ("a length below zero", with("Content-Length: -1\r\n")),
        ("a length beyond everything", with("Content-Length: 99999999999999999999999\r\n")),
        ("a length with a sign", with(&format!("Content-Length: +{length}\r\n"))),
        ("a length and chunks", with(&format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"))),
        ("chunks of no size", http_request("Transfer-Encoding: chunked\r\n", b"zz\r\nabc\r\n0\r\n\r\n")),
        ("a chunk beyond everything", http_request("Transfer-Encoding: chunked\r\n", b"ffffffffffffffffff\r\nabc")),
        ("chunks with endless extensions", http_request("Transfer-Encoding: chunked\r\n", &[b"1;".as_slice(), &[b'x'; 100_000]].concat())),
        ("an unknown transfer encoding", with("Transfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n")),
        ("a header without end", http_request(&format!("X: {}", "a".repeat(1 << 20)), b"")),
        ("many headers", http_request(&"X: a\r\n".repeat(5000), b"")),
        ("a NUL in a header", http_request("X: a\0b\r\n", b"")),
        ("a folded header", http_request("X: a\r\n b\r\n", b"")),
        ("a space before the colon", http_request("Content-Length : 5\r\n", b"")),
        ("an encoding that is repeated", with(&format!("Content-Encoding: gzip, gzip\r\nContent-Length: {length}\r\n"))),
        ("an endless token", http_request(&format!("Authorization: Bearer {}\r\n", "t".repeat(60_000)), b"")),
        ("a query that decodes to nothing", b"POST /v1/traces?token=%zz%&token HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("an absolute target", b"POST http://[::1]:99999999/v1/traces HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("expects to continue, and stops", with("Content-Length: 1000000\r\nExpect: 100-continue\r\n")),
        ("an upgrade", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n".to_vec()),
        ("pipelined", http_request(&format!("Content-Length: {length}\r\n"), body).repeat(50)),
    ]
}

/// The corpus for HTTP/2 and gRPC.
fn http2_corpus() -> Vec<(&'static str, Vec<u8>)> {
    let call = |more: &[(&str, &str)], body: &[u8]| {
        http2(&[frame(HEADERS, END_HEADERS, 1, &grpc_headers(more)), frame(DATA, END_STREAM, 1, body)])
    };
    let open = |stream| frame(HEADERS, END_HEADERS, stream, &grpc_headers(&[]));
    let streams = |count: u32| (0..count).map(|number| 2 * number + 1);
    let huge = "a".repeat(100_000);
    vec![
        ("half of the preface", b"PRI * HTTP/2.0\r\n\r\nSM".to_vec()),
        ("no settings", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &open(1)].concat()),
        ("settings of a wrong length", http2(&[frame(SETTINGS, 0, 0, &[0; 5])])),
        ("settings of another stream", http2(&[frame(SETTINGS, 0, 5, &[])])),
        ("a window beyond everything", http2(&[frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])])),
        ("many settings", http2(&vec![frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9]); 20_000])),
        ("many pings", http2(&vec![frame(PING, 0, 0, &[0; 8]); 20_000])),
        ("a frame larger than agreed", http2(&[frame(DATA, 0, 1, &vec![0; 1 << 20])])),
        ("data for a stream that is not open", http2(&[frame(DATA, 0, 7, b"x")])),
        ("an even stream", http2(&[open(2)])),
        ("streams that go back", http2(&[open(9), open(3)])),
        ("a frame of no known kind", http2(&[frame(0x77, 0xff, 1, &[1; 100]), good_call(1)])),
        ("padding beyond the frame", http2(&[frame(DATA, 8, 1, &[200, 1, 2])])),
        ("a window that grows by nothing", http2(&[open(1), frame(WINDOW_UPDATE, 0, 1, &[0; 4])])),
        (
            "a window that overflows",
            http2(&vec![frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffffu32.to_be_bytes()); 3]),
        ),
        ("a push from a client", http2(&[frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])])),
        ("a stream that depends on itself", http2(&[frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 5])])),
        ("headers that are no HPACK", http2(&[frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 200])])),
        (
            "an index beyond the table",
            http2(&[frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0xff, 0x7f])]),
        ),
        ("headers beyond the limit", call(&[("x", &huge)], b"")),
        ("headers without end", {
            let begun = frame(HEADERS, 0, 1, &grpc_headers(&[]));
            http2(&[begun, vec![frame(CONTINUATION, 0, 1, &field("x", "y")); 10_000].concat()])
        }),
        (
            "empty continuations",
            http2(&[frame(HEADERS, 0, 1, &grpc_headers(&[])), frame(CONTINUATION, 0, 1, &[]).repeat(10_000)]),
        ),
        ("rapid resets", {
            let reset = |stream| [open(stream), frame(RST_STREAM, 0, stream, &8u32.to_be_bytes())].concat();
            http2(&streams(5000).map(reset).collect::<Vec<_>>())
        }),
        ("more streams than may be open", http2(&streams(12_000).map(open).collect::<Vec<_>>())),
        ("good-bye, and more", http2(&[frame(GOAWAY, 0, 0, &[0; 8]), good_call(1)])),
        ("no message", call(&[], b"")),
        ("half of a prefix", call(&[], &[0, 0, 0])),
        ("a prefix alone", call(&[], &grpc_message(0, 5, b""))),
        ("a message cut short", call(&[], &grpc_message(0, 1000, b"abc"))),
        ("a message longer than it says", call(&[], &grpc_message(0, 1, b"abc"))),
        ("two messages", call(&[], &[grpc_message(0, 0, b""), grpc_message(0, 0, b"")].concat())),
        ("a message beyond everything", call(&[], &grpc_message(0, usize::MAX, b"abc"))),
        ("a flag of no meaning", call(&[], &grpc_message(7, 3, b"abc"))),
        ("compressed, and not said how", call(&[], &grpc_message(1, 3, b"abc"))),
        ("compressed with nothing known", call(&[("grpc-encoding", "br")], &grpc_message(1, 3, b"abc"))),
        ("not what it is compressed with", call(&[("grpc-encoding", "zstd")], &grpc_message(1, 3, b"abc"))),
        ("a timeout of no sense", call(&[("grpc-timeout", "99999999999H")], &grpc_message(0, 0, b""))),
        ("a timeout of nothing", call(&[("grpc-timeout", "0n")], &grpc_message(0, 0, b""))),
        (
            "a path of no sense",
            http2(&[frame(HEADERS, END_HEADERS | END_STREAM, 1, &field(":path", "\u{1}"))]),
        ),
        ("pseudo-headers behind others", {
            let headers = [field("x", "y"), grpc_headers(&[])].concat();
            http2(&[frame(HEADERS, END_HEADERS | END_STREAM, 1, &headers)])
        }),
        ("a header of capitals", call(&[("X-Upper", "y")], b"")),
        ("a connection header", call(&[("connection", "close")], b"")),
    ]
}

/// Whether everybody else is served as before.
fn serves(inside: &Inside, ports: &Ports, after: &str) {
    let body = load::request(1).encode_to_vec();
    let good = http_request(&format!("Content-Length: {}\r\n", body.len()), &body);
    let answer = ask(ports.http, &good, b"HTTP/1.1 200");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "after {after}: {}", String::from_utf8_lossy(&answer));
    // The message of the answer: two bytes, a partial success that is empty.
    let accepted = [0, 0, 0, 0, 2, 0x0a, 0];
    let answer = ask(ports.grpc, &http2(&[good_call(1)]), &accepted);
    assert!(answer.windows(7).any(|window| window == accepted), "after {after}: {answer:?}");
    assert_eq!(inside.metric("phoenix_transport_refused", &[("reason", "panic")]), 0, "after {after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corpus_of_malformed_requests_harms_nobody_else() {
    let (inside, ports) = start().await;
    let body = load::request(1).encode_to_vec();
    let patience = Duration::from_millis(300);
    for (name, bytes) in http1_corpus(&body) {
        throw(ports.http, &bytes, patience);
        throw(ports.grpc, &bytes, patience);
        serves(&inside, &ports, name);
    }
    for (name, bytes) in http2_corpus() {
        throw(ports.grpc, &bytes, patience);
        throw(ports.http, &bytes, patience);
        serves(&inside, &ports, name);
    }
    quiet(&inside).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_bytes_harm_nobody_else() {
    let (inside, ports) = start().await;
    let body = load::request(1).encode_to_vec();
    let http = http_request(&format!("Content-Length: {}\r\n", body.len()), &body);
    let grpc = http2(&[good_call(1), good_call(3)]);
    let mut state = 0x5eed_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let end = Instant::now() + Duration::from_secs(3);
    let mut rounds = 0;
    while Instant::now() < end || rounds < 100 {
        for (port, good) in [(ports.http, &http), (ports.grpc, &grpc)] {
            let mut bytes = good.clone();
            for _ in 0..=next() % 4 {
                let at = next() % bytes.len();
                match next() % 5 {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes.insert(at, next() as u8),
                    2 => bytes[at] ^= 1 << (next() % 8),
                    3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'\r', b'\n', b':'][next() % 8],
                    _ => {
                        let part = bytes[at..bytes.len().min(at + next() % 40)].to_vec();
                        let to = next() % bytes.len();
                        bytes.splice(to..to, part);
                    }
                }
            }
            throw(port, &bytes, Duration::from_millis(20));
        }
        rounds += 1;
    }
    serves(&inside, &ports, "everything");
    quiet(&inside).await;
}

/// Metrics, pages and health are asked for while somebody keeps 200 connections at each that say nothing, or ask and
/// never read.
#[test]
fn silent_connections_keep_nobody_from_metrics_pages_and_health() {
    let [metrics, zpages, health, otlp] = [(); 4].map(|()| free_port());
    let yaml = format!(
        "
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{otlp}'}}}}}}}}
exporters: {{nop: }}
extensions:
  zpages: {{endpoint: '127.0.0.1:{zpages}'}}
  health_check: {{endpoint: '127.0.0.1:{health}'}}
service:
  extensions: [zpages, health_check]
  telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {metrics}}}}}}}}}]}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}
"
    );
    let running = collector().arg(format!("--config=yaml:{yaml}")).start_with_metrics();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes();
    let mut open = Vec::new();
    for (port, path) in [(metrics, "/metrics"), (zpages, "/debug/servicez"), (health, "/")] {
        for beginning in [Vec::new(), b"GET / HT".to_vec(), get(path), get("/").repeat(50)] {
            for _ in 0..50 {
                let mut stream = connect(port, Duration::from_secs(20));
                let _ = stream.write_all(&beginning);
                open.push(stream);
            }
        }
        let answer = ask(port, &get(path), b"\r\n\r\n");
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer));
    }
    let scraped = ask(metrics, &get("/metrics"), b"reason=\"evicted\",receiver=\"zpages\"");
    let scraped = String::from_utf8_lossy(&scraped);
    let evicted = scraped.lines().find(|line| line.contains("reason=\"evicted\",receiver=\"zpages\""));
    assert!(evicted.is_some(), "{scraped}");
    drop(open);
    assert_eq!(running.terminate(), 0);
}

/// Waits until nothing is left charged.
async fn quiet(inside: &Inside) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(40);
    while inside.engine.host().budget.used() > 0 {
        assert!(tokio::time::Instant::now() < deadline, "what was charged for broken requests is given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
