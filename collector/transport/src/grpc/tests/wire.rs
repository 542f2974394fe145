//! What the client sends, over which sockets, and what it makes of a server that falls silent.

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::*;
use crate::grpc::client::Keepalive;
use crate::settings::{Compression, GrpcClientBlock};

/// A server of `h2` that takes one request, hands over its headers and body, and answers nothing: no
/// pings either.
async fn silent_server() -> (Target, oneshot::Receiver<(HeaderMap, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (got, received) = oneshot::channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, _respond) = connection.accept().await.unwrap().unwrap();
        let (head, mut body) = request.into_parts();
        let mut bytes = Vec::new();
        loop {
            tokio::select! {
                // The connection moves on only while it is polled.
                more = connection.accept() => assert!(more.is_none()),
                data = body.data() => match data {
                    Some(data) => bytes.extend_from_slice(&data.unwrap()),
                    None => break,
                },
            }
        }
        let _ = got.send((head.headers, bytes));
        std::future::pending::<()>().await;
    });
    (Target::Host { host: "127.0.0.1".to_owned(), port }, received)
}

#[tokio::test]
async fn snappy_is_the_framed_format_on_the_wire() {
    let (target, received) = silent_server().await;
    let options = snappy_options(&target);
    assert_eq!(options.compressor.encoding(), Encoding::SnappyFramed);
    let block = client::Options { compressor: Compressor::new(Encoding::Snappy, 0), ..options.clone() };
    let framed = |(headers, body): (HeaderMap, Vec<u8>)| {
        assert_eq!(headers["grpc-encoding"], "snappy");
        assert_eq!((body[0], &body[5..15]), (1, &b"\xff\x06\0\0sNaPpY"[..]));
    };
    let (other, also_received) = silent_server().await;
    let cores = Cores::current_runtime();
    let clients = [
        Client::new(options, &cores).unwrap(),
        Client::new(client::Options { target: other, ..block }, &cores).unwrap(),
    ];
    for client in clients {
        tokio::spawn(async move { call(&client, noise(5_000)).await });
    }
    framed(received.await.unwrap());
    framed(also_received.await.unwrap());
}

/// What a component hands to its client where the configuration says `compression: snappy`.
fn snappy_options(target: &Target) -> client::Options {
    let mut settings = GrpcClientBlock { endpoint: target.to_string(), ..Default::default() };
    settings.compression = Compression(Encoding::Snappy);
    settings.tls.insecure = true;
    settings.options(&phoenix_component::Host::for_tests()).unwrap()
}

#[tokio::test]
async fn snappy_of_the_settings_is_understood_by_the_server() {
    let running = serve(large(), Budget::new(64 * MIB));
    let client = Client::new(snappy_options(&running.target()), &running.cores).unwrap();
    for size in [0, 10, 100_000] {
        let message = noise(size);
        assert!(call(&client, message.clone()).await.unwrap() == message, "{size}");
    }
}

#[tokio::test]
async fn unix_sockets_carry_calls_and_are_removed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grpc.sock");
    let (cores, _threads) = Cores::start(1).unwrap();
    let lease = Leases::default().listen_unix(&path).unwrap();
    let echo = Echo { gate: Arc::new(Semaphore::new(0)), calls: Arc::default() };
    let (options, metrics) = (server::Options::default(), ServerMetrics::detached());
    let server =
        server::start(&lease, None, echo, options, &cores, &Budget::unlimited(), metrics.clone()).unwrap();
    assert_eq!(server.local_addr(), None);
    let (_, target) = Target::parse_grpc(&format!("unix://{}", path.display())).unwrap();
    let options = client::Options { max_response_bytes: MIB, ..client::Options::new(target) };
    let client = Client::new(options, &cores).unwrap();
    assert_eq!(call(&client, "peer").await.unwrap(), "unix");
    let message = noise(500_000);
    assert!(call(&client, message.clone()).await.unwrap() == message);
    assert_eq!(metrics.connections.value(), 1);
    assert_eq!(server.drain(Duration::from_secs(10)).await, crate::Aborted::default());
    drop(lease);
    assert!(!path.exists());
    assert_eq!(call(&client, "x").await.unwrap_err().code, Code::UNAVAILABLE);
}

#[tokio::test]
async fn a_server_that_answers_no_ping_is_given_up() {
    let (target, received) = silent_server().await;
    let keepalive = Keepalive {
        time: Duration::from_secs(10),
        timeout: Duration::from_secs(5),
        permit_without_stream: false,
    };
    let options = client::Options { keepalive: Some(keepalive), ..client::Options::new(target) };
    let client = Client::new(options, &Cores::current_runtime()).unwrap();
    let method = client.method(PATH);
    let waiting = tokio::spawn(async move {
        client.call(&method, Bytes::from_static(b"x").into(), None, &HeaderMap::new()).await
    });
    received.await.unwrap();
    // From here on nothing moves but the timer of the pings.
    tokio::time::pause();
    let began = Instant::now();
    let status = waiting.await.unwrap().unwrap_err();
    assert_eq!(status.code, Code::UNAVAILABLE, "{status}");
    // Its settings count as a sign of life in the first ten seconds; then come silence, ping and silence.
    let elapsed = began.elapsed();
    assert!(elapsed > Duration::from_secs(14) && elapsed < Duration::from_secs(26), "{elapsed:?}");
}
