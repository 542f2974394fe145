use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::*;
use crate::socket::Plain;

fn connection() -> (Http1, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Http1::new(Socket::Plain(Plain::Unix(ours))), theirs)
}

fn small() -> (Bytes, Payload) {
    (
        Bytes::from_static(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n"),
        Payload::from(Bytes::from_static(b"hi")),
    )
}

/// Plays `answer` in pieces of `step` bytes, and closes the connection after it where `closes`.
async fn exchange(
    answer: &'static [u8],
    step: usize,
    closes: bool,
) -> Result<(u16, Vec<u8>, bool), Http1Error> {
    let (mut client, mut server) = connection();
    let playing = tokio::spawn(async move {
        for piece in answer.chunks(step) {
            server.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        if closes {
            server.shutdown().await.unwrap();
        }
        server
    });
    let (head, body) = small();
    let outcome = client.exchange(head, body).await;
    playing.await.unwrap();
    outcome.map(|(response, reusable)| (response.status.as_u16(), response.body.to_vec(), reusable))
}

#[tokio::test]
async fn answers_are_read_however_they_come() {
    // (answer, closed after it, status, body, whether the connection takes another request)
    let cases: &[(&'static [u8], bool, u16, &str, bool)] = &[
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false, 200, "ok", true),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\ncontent-length:2\r\n\r\nok", false, 200, "ok", true),
        (b"HTTP/1.1 204 No Content\r\n\r\n", false, 204, "", true),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n", false, 304, "", true),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false, 200, "", true),
        (b"HTTP/1.1 503 Busy\r\nconnection: foo, Close\r\ncontent-length: 1\r\n\r\nx", false, 503, "x", false),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx", false, 200, "x", false),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx", false, 200, "x", true),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", true, 200, "to the end", false),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;ext=\"1\"\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n", false, 200, "abc0123456789", true),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\ntrailer: t\r\nother: o\r\n\r\n", false, 200, "a", true),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: gzip, Chunked\r\n\r\n0\r\n\r\n", false, 200, "", false),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nzip", true, 200, "zip", false),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more", false, 200, "ok", false),
    ];
    for (answer, closes, status, body, reusable) in cases {
        for step in [1, 2, 7, answer.len()] {
            let outcome = exchange(answer, step, *closes).await.unwrap();
            // What comes behind an answer may come after it was taken for the end.
            let reusable =
                if answer.ends_with(b"and more") && step < answer.len() { outcome.2 } else { *reusable };
            let text = String::from_utf8_lossy(answer);
            assert_eq!(outcome, (*status, body.as_bytes().to_vec(), reusable), "{text:?} in steps of {step}");
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_is_said_to_be_none() {
    let long: &'static [u8] =
        Vec::leak([&b"HTTP/1.1 200 OK\r\nx: "[..], &[b'a'; MAX_HEAD_BYTES], b"\r\n\r\n"].concat());
    let many: &'static [u8] =
        Vec::leak([&b"HTTP/1.1 200 OK\r\n"[..], &b"a: b\r\n".repeat(MAX_HEADERS + 1), b"\r\n"].concat());
    let cases: &[(&'static [u8], &str)] = &[
        (b"", "closed before"),
        (b"HTTP/1.1 200 OK\r\ncontent-le", "closed within"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", "closed within"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc", "closed within"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "head cannot be read"),
        (b"\x16\x03\x01 a TLS alert", "head cannot be read"),
        (b"HTTP/1.1 999999 x\r\n\r\n", "head cannot be read"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "switches"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nok", "content-length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\nok", "content-length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nok", "content-length"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n", "size of a chunk"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", "longer than it says"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\na", "carriage return"),
        (long, "head is too long"),
        (many, "too many headers"),
    ];
    for (answer, part) in cases {
        let error = exchange(answer, answer.len().max(1), true).await.unwrap_err().to_string();
        assert!(
            error.contains(part),
            "{error} for {:?}",
            String::from_utf8_lossy(&answer[..answer.len().min(80)])
        );
    }
}

#[tokio::test]
async fn a_long_answer_is_cut_and_ends_the_connection() {
    let answer: &'static [u8] =
        Vec::leak([&b"HTTP/1.1 400 Bad\r\ncontent-length: 100000\r\n\r\n"[..], &[b'x'; 100_000]].concat());
    let (status, body, reusable) = exchange(answer, answer.len(), false).await.unwrap();
    assert_eq!((status, body.len(), reusable), (400, MAX_RESPONSE_BYTES, false));
}

#[tokio::test]
async fn all_pieces_of_a_body_arrive_in_order() {
    let (mut client, mut server) = connection();
    let pieces: Vec<Bytes> =
        (0..1000_u32).map(|n| Bytes::from(n.to_be_bytes().repeat(1 + n as usize % 50))).collect();
    let expected = pieces.concat();
    let total = expected.len();
    let reading = tokio::spawn(async move {
        let mut body = vec![0; total + 4];
        server.read_exact(&mut body).await.unwrap();
        server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        (body, server)
    });
    let body = pieces.into_iter().collect();
    let (_, reusable) = client.exchange(Bytes::from_static(b"head"), body).await.unwrap();
    let (sent, server) = reading.await.unwrap();
    assert!(reusable && sent[..4] == *b"head" && sent[4..] == expected);
    assert!(client.is_open());
    drop(server);
    client_readiness(&client).await;
    assert!(!client.is_open());
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_is_sent_counts() {
    let (mut client, mut server) = connection();
    let answering = tokio::spawn(async move {
        server.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        server
    });
    let body = Payload::from(Bytes::from(vec![0; 4 << 20]));
    let (response, reusable) = client.exchange(Bytes::from_static(b"head"), body).await.unwrap();
    assert_eq!((response.status.as_u16(), reusable), (413, false));
    drop(answering.await.unwrap());
}

#[tokio::test]
async fn what_nobody_asked_for_ends_a_connection_that_rests() {
    let (mut client, mut server) = connection();
    assert!(client.is_open());
    server.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
    client_readiness(&client).await;
    assert!(!client.is_open());
}

/// Until the runtime has heard that there is something to read.
async fn client_readiness(client: &Http1) {
    let Socket::Plain(Plain::Unix(stream)) = &client.socket else { unreachable!("made so above") };
    stream.readable().await.unwrap();
}
