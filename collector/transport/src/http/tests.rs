//! Server and client against each other and against raw sockets, on loopback.

use std::io::{Read as _, Write as _};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, request};
use phoenix_component::{Budget, CoreThreads, Cores, Leases};

use super::client::{self, Client};
use super::server::{self, BodyError, HttpService, Request};
use super::*;
use crate::compression::{Compressor, Encoding};
use crate::{Aborted, Server, ServerMetrics, WhenFull};

struct Echo;

impl HttpService for Echo {
    type Route = ();

    fn route(&self, head: &request::Parts) -> Result<(), Response<Bytes>> {
        if head.method == Method::POST {
            return Ok(());
        }
        let mut response = Response::new(Bytes::from_static(b"405"));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        Err(response)
    }

    async fn call(&self, (): (), request: Request) -> Response<Bytes> {
        match request.body {
            Ok(body) if body == "panic" => panic!("asked to"),
            Ok(body) if body == "never" => std::future::pending().await,
            Ok(body) => Response::new(body),
            Err(error) => {
                let mut response = Response::new(Bytes::from(error.to_string()));
                *response.status_mut() = match error {
                    BodyError::OverBudget { .. } | BodyError::Timeout => StatusCode::SERVICE_UNAVAILABLE,
                    _ => StatusCode::BAD_REQUEST,
                };
                response
            }
        }
    }
}

struct Running {
    server: Server,
    budget: Budget,
    cores: Cores,
    metrics: ServerMetrics,
    _threads: CoreThreads,
}

fn serve(options: server::Options, budget: Budget, tls: Option<crate::tls::TlsAcceptor>) -> Running {
    let (cores, threads) = Cores::start(2).unwrap();
    let lease = Leases::default().listen_tcp("127.0.0.1:0").unwrap();
    let metrics = ServerMetrics::detached();
    let server = server::start(&lease, tls, Echo, options, &cores, &budget, metrics.clone()).unwrap();
    Running { server, budget, cores, metrics, _threads: threads }
}

impl Running {
    fn client(&self, options: client::Options) -> (Client, client::Destination) {
        let client = Client::new(options, &self.cores).unwrap();
        let url = format!("http://{}/v1/traces", self.server.local_addr().unwrap());
        let destination = client.destination(&url).unwrap();
        (client, destination)
    }

    /// Sends `bytes` and returns all that comes back until the server closes.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = std::net::TcpStream::connect(self.server.local_addr().unwrap()).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[tokio::test]
async fn bodies_of_all_sizes_and_encodings_go_both_ways_and_give_their_memory_back() {
    let running = serve(server::Options::default(), Budget::new(64 << 20), None);
    for encoding in Encoding::ALL {
        let options = client::Options { compressor: Compressor::new(encoding, 0), ..Default::default() };
        let (client, destination) = running.client(options);
        for size in [0, 1, 5_000, 60_000, 5_000_000] {
            let body = noise(size);
            let sent = client.post(&destination, &HeaderMap::new(), Bytes::from(body.clone()).into()).await;
            let response = sent.unwrap();
            assert_eq!(response.status, 200, "{encoding} {size}");
            let end = size.min(client::MAX_RESPONSE_BYTES);
            assert!(response.body == body[..end], "{encoding} {size}");
        }
    }
    assert_eq!(running.server.drain(Duration::from_secs(1)).await.requests, 0);
    assert_eq!(running.budget.used(), 0);
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let running = serve(server::Options::default(), Budget::unlimited(), None);
    let (client, destination) = running.client(client::Options::default());
    for _ in 0..50 {
        client.post(&destination, &HeaderMap::new(), Bytes::from_static(b"x").into()).await.unwrap();
    }
    assert_eq!(running.metrics.connections.value(), 1);
}

#[test]
fn bad_requests_get_their_answers() {
    let options = server::Options { max_body_bytes: 1000, ..Default::default() };
    let running = serve(options, Budget::new(10 << 20), None);
    let post = |headers: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n{body}").into_bytes()
    };
    for (case, request, status, reason) in [
        ("method", b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec(), "405", "method"),
        ("too large", post("content-length: 1001\r\n", ""), "400", "too_large"),
        ("encoding", post("content-encoding: br\r\ncontent-length: 1\r\n", "x"), "400", "encoding"),
        ("corrupt", post("content-encoding: gzip\r\ncontent-length: 1\r\n", "x"), "400", "encoding"),
        ("panic", post("content-length: 5\r\n", "panic"), "500", "panic"),
    ] {
        let answer = running.raw(&request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{case}: {answer}");
        assert!(running.metrics.refusals(reason) > 0, "{case}");
    }
    let chunked =
        post("transfer-encoding: chunked\r\n", &format!("7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2000)));
    assert!(running.raw(&chunked).contains("http: request body too large"));
    assert_eq!(running.budget.used(), 0);
    assert!(running.raw(b"no http at all\r\n\r\n").starts_with("HTTP/1.1 400"));
}

#[test]
fn a_body_that_stops_is_refused() {
    let options = server::Options { body_idle_timeout: Duration::from_millis(20), ..Default::default() };
    let running = serve(options, Budget::new(10 << 20), None);
    let request = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\nx";
    let answer = running.raw(request);
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!((running.metrics.refusals("timeout"), running.budget.used()), (1, 0));
}

#[test]
fn whoever_asks_is_answered_however_many_are_silent() {
    const MOST: usize = 16;
    let options = server::Options { max_connections: MOST, when_full: WhenFull::Evict, ..Default::default() };
    let running = serve(options, Budget::unlimited(), None);
    let address = running.server.local_addr().unwrap();
    let large = vec![b'x'; 8 << 20];
    let head = |length: usize| format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    let ask = || {
        let request = format!("{}x", head(1).replace("host: x", "host: x\r\nconnection: close"));
        let answer = running.raw(request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nx"), "{answer}");
    };
    // Those that never read what they asked for, those that say nothing, that begin and do not go on, that keep a
    // connection after a request, and those that speak HTTP/2.
    let mut open = Vec::new();
    let mut connect = |first: &[u8]| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        // It may have to leave before all of it was taken.
        let _ = stream.write_all(first);
        open.push(stream);
    };
    // Half of them, so that the server does not work for all at a moment.
    for _ in 0..MOST / 2 {
        connect(&[head(large.len()).as_bytes(), &large].concat());
    }
    ask();
    for beginning in
        ["", "POST / HT", &head(5), &format!("{}abc", head(3)), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        for _ in 0..40 {
            connect(beginning.as_bytes());
        }
        ask();
    }
    let evicted = running.metrics.refusals("evicted");
    assert!(evicted >= (5 * 40 - MOST) as u64, "{evicted}");
    assert_eq!(running.metrics.refusals("connections"), 0);
    drop(open);

    // Whoever the server works for keeps the place.
    let running = serve(
        server::Options { max_connections: 1, when_full: WhenFull::Evict, ..Default::default() },
        Budget::unlimited(),
        None,
    );
    let mut served = std::net::TcpStream::connect(running.server.local_addr().unwrap()).unwrap();
    served.write_all(format!("{}never", head(5)).as_bytes()).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while running.metrics.refusals("connections") == 0 {
        assert!(std::time::Instant::now() < deadline, "it is not refused");
        // Until the request has come, a newcomer takes the place.
        let mut other = std::net::TcpStream::connect(running.server.local_addr().unwrap()).unwrap();
        if running.metrics.refusals("evicted") > 0 {
            served = std::net::TcpStream::connect(running.server.local_addr().unwrap()).unwrap();
            let _ = served.write_all(format!("{}never", head(5)).as_bytes());
        }
        other.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let _ = other.read(&mut [0]);
    }
}

/// Reads one request whose body is `x`.
fn read_request(stream: &mut std::net::TcpStream) {
    let mut got = Vec::new();
    while !got.ends_with(b"\r\n\r\nx") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        got.push(byte[0]);
    }
}

#[test]
fn each_time_limit_ends_the_connection() {
    let short = Some(Duration::from_millis(60));
    let limits: [(&str, server::Options, &str, &str); 5] = [
        (
            "the head",
            server::Options { read_header_timeout: short, ..Default::default() },
            "POST / HTTP/1.1\r\nhost: x\r\n",
            "",
        ),
        (
            "the body",
            server::Options { read_timeout: short, ..Default::default() },
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5\r\n\r\nabc",
            "did not arrive in time",
        ),
        (
            "the answer",
            server::Options { write_timeout: short, ..Default::default() },
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nnever",
            "",
        ),
        (
            "what comes next",
            server::Options { idle_timeout: short, ..Default::default() },
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc",
            "abc",
        ),
        (
            "no more than one",
            server::Options { keep_alives: false, ..Default::default() },
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc",
            "connection: close",
        ),
    ];
    for (case, options, request, answer) in limits {
        let running = serve(options, Budget::unlimited(), None);
        // It returns once the server closes.
        let got = running.raw(request.as_bytes());
        assert!(got.contains(answer) && (!answer.is_empty() || !got.contains("200")), "{case}: {got}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_breaks_is_replaced_once_and_a_new_one_is_not() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let peer = std::thread::spawn(move || {
        let serve = |stream: &mut std::net::TcpStream| {
            read_request(stream);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        };
        let mut kept = listener.accept().unwrap().0;
        serve(&mut kept);
        for answers in [true, false] {
            // The next request comes on the connection that was kept, which ends without a word.
            read_request(&mut kept);
            drop(kept);
            kept = listener.accept().unwrap().0;
            match answers {
                true => serve(&mut kept),
                false => read_request(&mut kept),
            }
        }
        drop(kept);
        listener.set_nonblocking(true).unwrap();
        listener
    });
    let client = Client::new(client::Options::default(), &Cores::current_runtime()).unwrap();
    let destination = client.destination(&url).unwrap();
    let headers = HeaderMap::new();
    let post = || client.post(&destination, &headers, Bytes::from_static(b"x").into());
    assert_eq!(post().await.unwrap().status, 200);
    assert_eq!(post().await.unwrap().status, 200, "on a new connection");
    let error = post().await.unwrap_err();
    assert!(matches!(error, client::SendError::Exchange { .. }), "{error}");
    let listener = peer.join().unwrap();
    assert!(listener.accept().is_err(), "there is no third attempt");
}

#[tokio::test]
async fn over_budget_is_seen_by_the_service() {
    let running = serve(server::Options::default(), Budget::new(10_000), None);
    let (client, destination) = running.client(client::Options::default());
    let sent = client.post(&destination, &HeaderMap::new(), Bytes::from(noise(50_000)).into()).await.unwrap();
    assert_eq!(sent.status, 503);
    assert_eq!((running.metrics.refusals("budget"), running.budget.used()), (1, 0));
}

#[tokio::test]
async fn a_drain_under_load_fails_no_request() {
    let (cores, _threads) = Cores::start(2).unwrap();
    let lease = Leases::default().listen_tcp("127.0.0.1:0").unwrap();
    let start = || {
        let (options, metrics) = (server::Options::default(), ServerMetrics::detached());
        server::start(&lease, None, Echo, options, &cores, &Budget::unlimited(), metrics).unwrap()
    };
    let mut server = start();
    let client = Client::new(client::Options::default(), &cores).unwrap();
    let destination = client.destination(&format!("http://{}/", lease.local_addr().unwrap())).unwrap();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (client, destination, done) = (client.clone(), destination.clone(), done.clone());
            let count = sent.clone();
            tokio::spawn(async move {
                while !done.load(std::sync::atomic::Ordering::SeqCst) {
                    let body = Bytes::from(noise(20_000)).into();
                    let sent = client.post(&destination, &HeaderMap::new(), body).await.unwrap();
                    assert_eq!(sent.status, 200);
                    count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
            })
        })
        .collect();
    for _ in 0..10 {
        let goal = sent.load(std::sync::atomic::Ordering::SeqCst) + 20;
        while sent.load(std::sync::atomic::Ordering::SeqCst) < goal {
            tokio::task::yield_now().await;
        }
        let next = start();
        let aborted = std::mem::replace(&mut server, next).drain(Duration::from_secs(5)).await;
        assert_eq!(aborted, Aborted::default());
    }
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    for joined in load {
        joined.await.unwrap();
    }
}

/// What was sent before a close, in parts: the first before it, the second behind it.
#[tokio::test]
async fn what_was_sent_before_a_close_is_served() {
    const POST: &str = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc";
    // (what it is, whether a request was answered before, bytes before the close, bytes in all)
    let cases = [
        ("a request", false, POST.len(), POST.len()),
        ("a second request", true, POST.len(), POST.len()),
        ("the first byte", false, 1, POST.len()),
        ("half of a head", false, 30, POST.len()),
        ("half of a second head", true, 30, POST.len()),
        ("a head and half of a body", true, POST.len() - 2, POST.len()),
        ("nothing", false, 0, 0),
        ("nothing more", true, 0, 0),
    ];
    for (case, is_second, before, all) in (0..30).flat_map(|_| cases) {
        let running = serve(server::Options::default(), Budget::unlimited(), None);
        let mut stream = std::net::TcpStream::connect(running.server.local_addr().unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        if is_second {
            stream.write_all(POST.as_bytes()).unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"abc") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                answer.push(byte[0]);
            }
        }
        stream.write_all(&POST.as_bytes()[..before]).unwrap();
        let begun = std::time::Instant::now();
        let close = tokio::spawn(running.server.close(Duration::from_secs(20)));
        tokio::task::yield_now().await;
        stream.write_all(&POST.as_bytes()[before..all]).unwrap();
        close.await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(10), "{case}: it ends by itself");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        match all {
            0 => assert_eq!(answer, "", "{case}"),
            _ => assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("abc"), "{case}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn http2_is_recognised_without_tls() {
    let running = serve(server::Options::default(), Budget::unlimited(), None);
    let stream = tokio::net::TcpStream::connect(running.server.local_addr().unwrap()).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut send = send.ready().await.unwrap();
    let request = http::Request::post("http://x/").body(()).unwrap();
    let (response, mut stream) = send.send_request(request, false).unwrap();
    stream.send_data(Bytes::from_static(b"abc"), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "abc");
}

#[test]
fn cross_origin_requests_are_answered() {
    let cors = cors::Cors::new(&["https://*.a.b".to_owned()], &[], &[], Duration::from_secs(60));
    let running = serve(server::Options { cors, ..Default::default() }, Budget::unlimited(), None);
    let preflight = running.raw(
        b"OPTIONS / HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: https://x.a.b\r\n\
          access-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n\r\n",
    );
    assert!(preflight.starts_with("HTTP/1.1 204"), "{preflight}");
    for line in
        ["allow-origin: https://x.a.b", "allow-methods: POST", "max-age: 60", "allow-credentials: true"]
    {
        assert!(preflight.contains(&format!("access-control-{line}")), "{line}: {preflight}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let read = |text: &'static str| retry_after(&http::HeaderValue::from_static(text), now);
    assert_eq!(read("12"), Some(Duration::from_secs(12)));
    assert_eq!(read("Sun, 09 Sep 2001 01:46:50 GMT"), Some(Duration::from_secs(10)));
    assert_eq!((read("Sun, 09 Sep 2001 01:46:30 GMT"), read("soon"), read("-1")), (None, None, None));
}
