use super::*;
use tokio::net::TcpStream;

type Send = h2::client::SendRequest<Bytes>;

/// A client of `h2` that can send what it likes.
async fn raw(running: &Running) -> Send {
    let stream = TcpStream::connect(running.server.local_addr().unwrap()).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    send.ready().await.unwrap()
}

fn request(headers: &[(&'static str, &str)]) -> http::Request<()> {
    let mut request = http::Request::post(format!("http://localhost{PATH}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// Status of HTTP and of gRPC that `body` gets.
async fn outcome(
    send: &mut Send,
    headers: &[(&'static str, &str)],
    body: &[u8],
    complete: bool,
) -> (u16, Option<Status>) {
    let (response, mut stream) = send.send_request(request(headers), false).unwrap();
    stream.send_data(Bytes::copy_from_slice(body), complete).unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    let mut status = Status::from_headers(&head.headers);
    if status.is_none() && !body.is_end_stream() {
        while body.data().await.is_some() {}
        status = body.trailers().await.unwrap().as_ref().and_then(Status::from_headers);
    }
    (head.status.as_u16(), status)
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[tokio::test]
async fn each_kind_of_bad_request_gets_its_own_answer() {
    let options = server::Options { max_message_bytes: 1000, ..server::Options::default() };
    let running = serve(options, Budget::new(10 * MIB));
    let mut send = raw(&running).await;
    let bomb = Compressor::new(Encoding::Gzip, 0)
        .compress(Bytes::from(vec![0; 100_000]).into(), &Budget::unlimited())
        .unwrap();
    let bomb: Vec<u8> = bomb.pieces().flat_map(|piece| piece.to_vec()).collect();
    let bomb = [&[1, 0, 0, 0, bomb.len() as u8], &bomb[..]].concat();
    let gzip = ("grpc-encoding", "gzip");
    type Case<'a> = (&'a str, &'a [(&'static str, &'a str)], &'a [u8], Code, &'a str);
    let cases: [Case<'_>; 9] = [
        ("cut short", &[GRPC], b"\0\0\0\0\x05abc", Code::INTERNAL, "framing"),
        ("no message", &[GRPC], b"", Code::INTERNAL, "framing"),
        ("half a prefix", &[GRPC], b"\0\0", Code::INTERNAL, "framing"),
        ("too long", &[GRPC], b"\0\0\0\0\x02abc", Code::INTERNAL, "framing"),
        ("bad flag", &[GRPC], b"\x07\0\0\0\0", Code::INTERNAL, "framing"),
        ("announces 4 GiB", &[GRPC], b"\0\xff\xff\xff\xff", Code::RESOURCE_EXHAUSTED, "too_large"),
        (
            "unknown encoding",
            &[GRPC, ("grpc-encoding", "br")],
            b"\0\0\0\0\0",
            Code::UNIMPLEMENTED,
            "encoding",
        ),
        ("corrupt", &[GRPC, gzip], b"\x01\0\0\0\x03abc", Code::INTERNAL, "encoding"),
        ("bomb", &[GRPC, gzip], &bomb, Code::RESOURCE_EXHAUSTED, "too_large"),
    ];
    for (case, headers, body, code, reason) in cases {
        let before = running.metrics.refusals(reason);
        let (http, status) = outcome(&mut send, headers, body, true).await;
        assert_eq!((http, status.map(|status| status.code)), (200, Some(code)), "{case}");
        assert_eq!(running.metrics.refusals(reason), before + 1, "{case}");
    }
    assert_eq!(outcome(&mut send, &[("content-type", "application/json")], b"", true).await.0, 415);
    assert_eq!(outcome(&mut send, &[GRPC], b"\0\0\0\0\x02ok", true).await.1.unwrap().code, Code::OK);
    assert_eq!(running.echo.calls.load(SeqCst), 1, "only the good one reached the handler");
    assert_eq!(running.budget.used(), 0);
}

#[tokio::test]
async fn over_budget_is_retryable_and_says_when() {
    let running = serve(large(), Budget::new(100_000));
    let status = call(&running.client(), noise(MIB)).await.unwrap_err();
    assert_eq!(status.code, Code::UNAVAILABLE);
    assert_eq!(status.retry_delay(), Some(Duration::from_secs(1)));
    assert_eq!((running.metrics.refusals("budget"), running.budget.used()), (1, 0));
    assert_eq!(call(&running.client(), "small").await.unwrap(), "small");
}

#[tokio::test]
async fn a_body_that_stops_is_refused_and_gives_its_memory_back() {
    let options = server::Options { body_idle_timeout: Duration::from_millis(20), ..large() };
    let running = serve(options, Budget::new(10 * MIB));
    let mut send = raw(&running).await;
    let (_, status) = outcome(&mut send, &[GRPC], b"\0\0\x01\0\0abc", false).await;
    assert_eq!(status.unwrap().code, Code::DEADLINE_EXCEEDED);
    assert_eq!((running.metrics.refusals("timeout"), running.budget.used()), (1, 0));
}

#[tokio::test]
async fn a_client_that_pings_without_end_is_sent_away() {
    let running = serve(server::Options::default(), Budget::unlimited());
    let stream = TcpStream::connect(running.server.local_addr().unwrap()).await.unwrap();
    let (_send, mut connection) = h2::client::handshake(stream).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    let driver = tokio::spawn(connection);
    while pings.ping(h2::Ping::opaque()).await.is_ok() {}
    let error = driver.await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
    assert_eq!(running.metrics.refusals("pings"), 1);
}
