//! The connection against frames written by hand, and against the general implementation's client.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::frame::{FrameHead, HEAD_BYTES, flag, kind, setting};
use super::*;

const LIMITS: Limits = Limits {
    stream_window_bytes: 1 << 20,
    connection_window_bytes: 4 << 20,
    max_frame_bytes: 256 << 10,
    max_concurrent_streams: 5,
    max_header_list_bytes: 1000,
    max_violations: 10,
};
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Keeps what comes, up to a bound.
#[derive(Debug, PartialEq, Eq)]
struct Kept {
    bytes: Vec<u8>,
    most: usize,
}

impl Sink for Kept {
    fn push(&mut self, bytes: &[u8]) -> bool {
        self.bytes.extend_from_slice(bytes);
        self.bytes.len() <= self.most
    }

    fn room(&mut self, left: usize) -> Option<&mut Vec<u8>> {
        self.bytes.reserve_exact(left.min(100_000));
        Some(&mut self.bytes)
    }
}

fn sink() -> Kept {
    Kept { bytes: Vec::new(), most: 3_000_000 }
}

type Tested<S> = Connection<S, Kept, fn() -> Kept>;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    super::frame::write(&mut out, kind, flags, stream, payload);
    out
}

fn head(more: &[(&str, &str)]) -> Vec<u8> {
    let common = [(":method", "POST"), (":scheme", "http"), (":path", "/p"), (":authority", "h")];
    let fields = common.iter().chain(more);
    fields
        .fold(Block::trailers(), |block, (name, value)| block.with(name, value.as_bytes()))
        .as_bytes()
        .to_vec()
}

fn headers(stream: u32, flags: u8) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS | flags, stream, &head(&[]))
}

/// The preface and what every client says first.
fn hello() -> Vec<u8> {
    [PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat()
}

/// A socket that brings `input` in pieces of `cut` bytes and then ends, and keeps what is written.
struct Script {
    input: Vec<u8>,
    at: usize,
    cut: usize,
    written: Vec<u8>,
}

impl tokio::io::AsyncRead for Script {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let end = self.input.len().min(self.at + self.cut.min(buffer.remaining()));
        buffer.put_slice(&self.input[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl tokio::io::AsyncWrite for Script {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let now = data.len().min(self.cut);
        self.written.extend_from_slice(&data[..now]);
        Poll::Ready(Ok(now))
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What became of a script: a line for each request, the frames that were answered, and the end.
#[derive(Debug, PartialEq, Eq)]
struct Played {
    requests: Vec<String>,
    frames: Vec<(FrameHead, Vec<u8>)>,
    ending: Ending,
}

impl Played {
    /// The reason of the GOAWAY that is there.
    fn go_away(&self) -> Option<u32> {
        let (_, payload) = self.frames.iter().rev().find(|(head, _)| head.kind == kind::GOAWAY)?;
        Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()))
    }

    /// The reasons of the streams that were reset.
    fn resets(&self) -> Vec<(u32, u32)> {
        let resets = self.frames.iter().filter(|(head, _)| head.kind == kind::RST_STREAM);
        resets
            .map(|(head, reason)| (head.stream, u32::from_be_bytes(reason[..].try_into().unwrap())))
            .collect()
    }
}

fn frames(mut bytes: &[u8]) -> Vec<(FrameHead, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some(head) = FrameHead::parse(bytes) {
        frames.push((head, bytes[HEAD_BYTES..HEAD_BYTES + head.length].to_vec()));
        bytes = &bytes[HEAD_BYTES + head.length..];
    }
    frames
}

/// Plays `input` to a connection that answers every complete request with the length of its body.
fn play_in(input: &[u8], cut: usize) -> Played {
    let script = Script { input: input.to_vec(), at: 0, cut, written: Vec::new() };
    let mut connection = Tested::new(script, &LIMITS, sink as fn() -> Kept);
    let mut cx = Context::from_waker(Waker::noop());
    let (mut open, mut requests) = (Vec::<Incoming<Kept>>::new(), Vec::new());
    let ending = loop {
        match connection.poll_accept(&mut cx) {
            Poll::Ready(Ok(incoming)) => open.push(incoming),
            Poll::Ready(Err(ending)) => break ending,
            Poll::Pending => panic!("a script never waits"),
        }
        let (ended, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut open)
            .into_iter()
            .map(|mut incoming| (incoming.exchange.poll_body(&mut cx), incoming))
            .partition(|(body, _)| body.is_ready());
        open = waiting.into_iter().map(|(_, incoming)| incoming).collect();
        for (body, incoming) in ended {
            finish(body, incoming, &mut requests);
        }
    };
    for mut incoming in open {
        let body = incoming.exchange.poll_body(&mut cx);
        finish(body, incoming, &mut requests);
    }
    requests.sort();
    assert!(connection.poll_flush(&mut cx).is_ready());
    Played { requests, frames: frames(&connection.into_socket().written), ending }
}

fn finish(body: Poll<Result<Kept, Broken<Kept>>>, incoming: Incoming<Kept>, requests: &mut Vec<String>) {
    let path = incoming.head.uri.path();
    match body {
        Poll::Ready(Ok(kept)) => {
            requests.push(format!("{path} {}", kept.bytes.len()));
            let trailers = Block::trailers().with("t", b"1");
            incoming.exchange.answer_with(&Block::response(200), &[b"ok"], &trailers);
        }
        Poll::Ready(Err(Broken::Reset)) => requests.push(format!("{path} reset")),
        Poll::Ready(Err(Broken::Refused(_))) => requests.push(format!("{path} refused")),
        Poll::Pending => requests.push(format!("{path} waits")),
    }
}

/// Plays what follows the preface, whole and byte by byte: the same must come of it.
fn play(parts: &[Vec<u8>]) -> Played {
    let input = [hello(), parts.concat()].concat();
    let whole = play_in(&input, usize::MAX);
    for cut in [1, 7, 100, 5000] {
        let cut_up = play_in(&input, cut);
        assert_eq!((cut_up.ending, cut_up.go_away()), (whole.ending, whole.go_away()), "in pieces of {cut}");
        // What a violation ends may have been answered before it came.
        if whole.resets().is_empty() && whole.go_away().is_none() {
            assert_eq!((&cut_up.requests, cut_up.resets()), (&whole.requests, vec![]), "in pieces of {cut}");
        }
    }
    whole
}

/// A small part of what the fuzz target does, with every test run.
#[test]
fn changed_bytes_end_a_connection_or_a_request_and_nothing_else() {
    let mut state = 7u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let good = [
        hello(),
        headers(1, 0),
        frame(kind::DATA, 0, 1, b"hello"),
        headers(3, flag::END_STREAM),
        frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 1, 0]),
        frame(kind::PING, 0, 0, b"12345678"),
        frame(kind::DATA, flag::END_STREAM, 1, &[7; 3_000]),
        frame(kind::HEADERS, 0, 5, &head(&[("a", "b")])[..9]),
        frame(kind::CONTINUATION, flag::END_HEADERS | flag::END_STREAM, 5, &head(&[("a", "b")])[9..]),
        frame(kind::RST_STREAM, 0, 5, &[0, 0, 0, 8]),
        frame(kind::GOAWAY, 0, 0, &[0; 8]),
    ]
    .concat();
    let mut endings = std::collections::BTreeSet::new();
    for _ in 0..3_000 {
        let mut input = good.clone();
        for _ in 0..=next(5) {
            let at = next(input.len());
            match next(5) {
                0 => input.truncate(at.max(1)),
                1 => input.insert(at, next(256) as u8),
                2 => input[at] ^= 1 << next(8),
                3 => input[at] = [0, 1, 0x7f, 0x80, 0xff, 0x3f][next(6)],
                _ => {
                    let part = input[at..input.len().min(at + next(60))].to_vec();
                    let to = next(input.len());
                    input.splice(to..to, part);
                }
            }
        }
        // It answers no more requests than came, and what it writes is whole frames.
        let played = play_in(&input, [usize::MAX, 1, 9][next(3)]);
        let heads = input.windows(4).filter(|bytes| bytes[3] == kind::HEADERS).count();
        assert!(played.requests.len() <= heads, "{:?}", played.requests);
        endings.insert(format!("{:?}", played.ending));
    }
    assert!(endings.len() > 3, "they end in several ways: {endings:?}");
}

#[test]
fn requests_come_out_however_they_are_cut_and_padded() {
    let large = vec![7; 70_000];
    let padded = [&[3][..], b"abc", &[0; 3]].concat();
    let block = head(&[]);
    let with_priority = [&[2][..], &[0, 0, 0, 9, 1], &block, &[0; 2]].concat();
    let played = play(&[
        headers(1, 0),
        frame(kind::DATA, 0, 1, b"hello"),
        headers(3, flag::END_STREAM),
        frame(kind::DATA, flag::PADDED | flag::END_STREAM, 1, &padded),
        frame(kind::HEADERS, flag::PADDED | flag::PRIORITY | flag::END_HEADERS, 5, &with_priority),
        frame(kind::DATA, 0, 5, &large),
        frame(77, 0xff, 5, b"unknown"),
        frame(kind::DATA, 0, 5, &[]),
        frame(kind::DATA, flag::END_STREAM, 5, &large),
        frame(kind::HEADERS, 0, 7, &block[..5]),
        frame(kind::CONTINUATION, 0, 7, &block[5..9]),
        frame(kind::CONTINUATION, flag::END_HEADERS, 7, &block[9..]),
        frame(kind::DATA, 0, 7, b"x"),
        frame(
            kind::HEADERS,
            flag::END_HEADERS | flag::END_STREAM,
            7,
            Block::trailers().with("t", b"1").as_bytes(),
        ),
        frame(kind::PING, 0, 0, b"12345678"),
    ]);
    assert_eq!(played.requests, ["/p 0", "/p 1", "/p 140000", "/p 8"]);
    assert_eq!(played.ending, Ending::Socket(std::io::ErrorKind::UnexpectedEof));
    assert_eq!((played.go_away(), played.resets()), (None, vec![]));
    let answers = |wanted: u8| played.frames.iter().filter(move |(head, _)| head.kind == wanted);
    assert_eq!(answers(kind::HEADERS).count(), 8, "heads and trailers");
    assert!(answers(kind::PING).any(|(head, payload)| head.has(flag::ACK) && payload == b"12345678"));
}

#[test]
fn violations_of_a_stream_end_that_stream_alone() {
    let long_body = frame(kind::HEADERS, flag::END_HEADERS, 1, &head(&[("content-length", "3")]));
    let malformed = frame(kind::HEADERS, flag::END_HEADERS, 1, &head(&[("connection", "close")]));
    let window = |id: u32, more: u32| frame(kind::WINDOW_UPDATE, 0, id, &more.to_be_bytes());
    let cases: [(&str, Vec<Vec<u8>>, u32); 7] = [
        ("more than announced", vec![long_body.clone(), frame(kind::DATA, 0, 1, b"abcd")], 1),
        ("less than announced", vec![long_body, frame(kind::DATA, flag::END_STREAM, 1, b"ab")], 1),
        ("malformed", vec![malformed], 1),
        ("trailers that do not end", vec![headers(1, 0), headers(1, 0)], 1),
        ("a window of nothing", vec![headers(1, 0), window(1, 0)], 1),
        ("a window beyond the largest", vec![headers(1, 0), window(1, (1 << 31) - 1)], 3),
        ("data after the end", vec![headers(1, flag::END_STREAM), frame(kind::DATA, 0, 1, b"a")], 5),
    ];
    for (what, parts, reason) in cases {
        let played = play(&[parts, vec![headers(3, flag::END_STREAM)]].concat());
        assert!(played.resets().contains(&(1, reason)) || played.requests.len() == 2, "{what}: {played:?}");
        assert_eq!(played.go_away(), None, "{what}");
        assert!(played.requests.contains(&"/p 0".to_owned()), "{what}: the next request is served");
    }
}

#[test]
fn data_for_a_stream_that_is_over_is_told_so() {
    let played = play_in(&[hello(), headers(1, flag::END_STREAM)].concat(), 1000);
    assert_eq!(played.resets(), []);
    let late = [hello(), headers(1, flag::END_STREAM), frame(kind::DATA, 0, 1, b"late")].concat();
    assert_eq!(play_in(&late, 1).resets(), [(1, 5)]);
}

#[test]
fn violations_of_the_connection_end_it_and_say_why() {
    let settings = |name: u16, value: u32| {
        let payload = [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
        frame(kind::SETTINGS, 0, 0, &payload)
    };
    let half_block = frame(kind::HEADERS, 0, 1, &head(&[])[..4]);
    let cases: [(&str, Vec<Vec<u8>>, u32); 22] = [
        ("data on no stream", vec![frame(kind::DATA, 0, 0, b"x")], 1),
        ("data on an idle stream", vec![frame(kind::DATA, 0, 1, b"x")], 1),
        ("a stream of the server", vec![headers(2, 0)], 1),
        ("a stream that is over", vec![headers(3, flag::END_STREAM), headers(1, 0)], 5),
        ("a frame within a header block", vec![half_block.clone(), frame(kind::PING, 0, 0, &[0; 8])], 1),
        ("another stream's continuation", vec![half_block, frame(kind::CONTINUATION, 4, 3, b"")], 1),
        ("a continuation of nothing", vec![frame(kind::CONTINUATION, 4, 1, b"")], 1),
        ("a block that is no block", vec![frame(kind::HEADERS, 5, 1, &[0xff; 6])], 9),
        ("padding beyond the frame", vec![headers(1, 0), frame(kind::DATA, flag::PADDED, 1, &[5, 0])], 1),
        ("a promise", vec![frame(kind::PUSH_PROMISE, 4, 1, &[0; 4])], 1),
        ("a ping of seven bytes", vec![frame(kind::PING, 0, 0, &[0; 7])], 6),
        ("a ping on a stream", vec![frame(kind::PING, 0, 1, &[0; 8])], 1),
        ("settings on a stream", vec![frame(kind::SETTINGS, 0, 1, &[])], 1),
        ("settings of seven bytes", vec![frame(kind::SETTINGS, 0, 0, &[0; 7])], 6),
        ("an acknowledgement that says more", vec![frame(kind::SETTINGS, flag::ACK, 0, &[0; 6])], 6),
        ("a push setting of two", vec![settings(setting::ENABLE_PUSH, 2)], 1),
        ("a window beyond the largest", vec![settings(setting::INITIAL_WINDOW_SIZE, 1 << 31)], 3),
        ("frames below the smallest", vec![settings(setting::MAX_FRAME_SIZE, 100)], 1),
        ("a window update of nothing", vec![frame(kind::WINDOW_UPDATE, 0, 0, &[0; 4])], 1),
        ("a reset of an idle stream", vec![frame(kind::RST_STREAM, 0, 9, &[0; 4])], 1),
        ("a stream that depends on itself", vec![frame(kind::PRIORITY, 0, 9, &[0, 0, 0, 9, 1])], 1),
        ("a frame beyond the limit", vec![frame(kind::DATA, 0, 1, &vec![0; (256 << 10) + 1])], 6),
    ];
    for (what, parts, reason) in cases {
        let played = play(&parts);
        assert_eq!(played.go_away(), Some(reason), "{what}");
        assert!(matches!(played.ending, Ending::Violation(_)), "{what}: {:?}", played.ending);
    }
}

#[test]
fn what_is_not_http2_is_told_apart() {
    for input in [&b"POST /v1/traces HTTP/1.1\r\nhost: x\r\n\r\n"[..], b"\x16\x03\x01", b"PRI * HTTP/2.1\r\n"]
    {
        assert_eq!(play_in(input, 5).ending, Ending::NotHttp2);
    }
    let no_settings = [PREFACE, &headers(1, 0)].concat();
    assert_eq!(play_in(&no_settings, 1000).go_away(), Some(1));
}

#[test]
fn floods_end_the_connection() {
    let resets: Vec<Vec<u8>> = (0..1200u32)
        .flat_map(|n| [headers(2 * n + 1, 0), frame(kind::RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])])
        .collect();
    let endless = std::iter::once(frame(kind::HEADERS, 0, 1, &[]))
        .chain((0..10).map(|_| frame(kind::CONTINUATION, 0, 1, &[0x82; 1000])));
    let faulty = (0..20u32).map(|n| frame(kind::HEADERS, 5, 2 * n + 1, &head(&[("te", "x")])));
    for (what, parts) in [("resets", resets), ("a block", endless.collect()), ("faults", faulty.collect())] {
        assert_eq!(play_in(&[hello(), parts.concat()].concat(), 10_000).go_away(), Some(11), "{what}");
    }
}

#[test]
fn streams_beyond_the_limit_are_refused_and_large_heads_answered() {
    let many: Vec<Vec<u8>> = (0..7).map(|n| headers(2 * n + 1, 0)).collect();
    let played = play(&many);
    assert_eq!((played.requests.len(), &played.resets()[..2]), (5, &[(11, 7), (13, 7)][..]));
    let large = frame(kind::HEADERS, 5, 1, &head(&[("x", &"y".repeat(1000))]));
    let played = play(&[large]);
    let (_, block) = played.frames.iter().find(|(head, _)| head.kind == kind::HEADERS).expect("an answer");
    assert_eq!(block, Block::response(431).as_bytes());
}

#[test]
fn a_client_that_sends_beyond_its_window_is_stopped() {
    let data = frame(kind::DATA, 0, 1, &vec![0; 250_000]);
    let mut refusing = vec![headers(1, 0)];
    refusing.extend((0..5).map(|_| data.clone()));
    // The window opens again as the sink takes the bytes: 1.25 MB pass through one of 1 MiB.
    assert_eq!(play(&refusing).requests, ["/p waits"]);
    refusing.extend((0..14).map(|_| data.clone()));
    let played = play_in(&[hello(), refusing.concat()].concat(), 50_000);
    assert!(played.requests == ["/p refused"] || played.requests == ["/p reset"], "{:?}", played.requests);
    let told: u64 = played
        .frames
        .iter()
        .filter(|(head, _)| head.kind == kind::WINDOW_UPDATE && head.stream == 1)
        .map(|(_, more)| u64::from(u32::from_be_bytes(more[..].try_into().unwrap())))
        .sum();
    assert!(told <= 3_000_000, "no room beyond what the sink takes: {told}");
}

#[test]
fn nothing_that_comes_makes_it_panic() {
    let mut seed = 7u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for _ in 0..3000 {
        let mut input = hello();
        for _ in 0..random(12) {
            let payload: Vec<u8> = match random(3) {
                0 => head(&[]),
                _ => (0..random(40)).map(|_| random(256) as u8).collect(),
            };
            input.extend(frame(random(11) as u8, random(64) as u8, random(8) as u32, &payload));
        }
        if random(2) == 0 {
            let at = random(input.len());
            input[at] = random(256) as u8;
        }
        play_in(&input, 1 + random(60));
    }
}

/// Serves requests by echoing their bodies until the connection ends.
async fn echo(socket: DuplexStream) -> Ending {
    let mut connection = Tested::new(socket, &LIMITS, sink as fn() -> Kept);
    let mut open: Vec<Incoming<Kept>> = Vec::new();
    poll_fn(move |cx| {
        loop {
            match connection.poll_accept(cx) {
                Poll::Ready(Ok(incoming)) => open.push(incoming),
                Poll::Ready(Err(ending)) => return Poll::Ready(ending),
                Poll::Pending => break,
            }
        }
        let mut at = 0;
        while at < open.len() {
            match open[at].exchange.poll_body(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(body) => {
                    let Incoming { head, exchange } = open.swap_remove(at);
                    if head.uri.path() == "/leave" {
                        connection.leave();
                    }
                    if let Ok(body) = body {
                        let block = Block::response(200).with("x-path", head.uri.path().as_bytes());
                        let trailers = Block::trailers().with("x-end", &[b'e'; 300]);
                        exchange.answer_with(&block, &[&body.bytes], &trailers);
                    }
                }
            }
        }
        let _ = connection.poll_flush(cx);
        Poll::Pending
    })
    .await
}

type Sender = h2::client::SendRequest<bytes::Bytes>;

async fn exchange(
    sender: &Sender,
    path: &str,
    body: Vec<u8>,
) -> Result<(HeaderMap, Vec<u8>, HeaderMap), h2::Error> {
    let mut sender = sender.clone().ready().await?;
    let request = Request::post(format!("http://peer{path}")).header("x-some", "header").body(()).unwrap();
    let (response, mut send) = sender.send_request(request, false)?;
    let mut rest = bytes::Bytes::from(body);
    while !rest.is_empty() {
        send.reserve_capacity(rest.len());
        match poll_fn(|cx| send.poll_capacity(cx)).await {
            Some(room) => send.send_data(rest.split_to(room?.min(rest.len())), false)?,
            None => break,
        }
    }
    send.send_data(bytes::Bytes::new(), true)?;
    let (parts, mut body) = response.await?.into_parts();
    let mut got = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        let _ = body.flow_control().release_capacity(piece.len());
        got.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    Ok((parts.headers, got, trailers))
}

#[tokio::test]
async fn the_general_client_gets_its_bodies_back() {
    for (window, pipe) in [(None, 1 << 20), (Some(1000), 300), (Some(70_000), 40_000)] {
        let (near, far) = tokio::io::duplex(pipe);
        let server = tokio::spawn(echo(far));
        let mut builder = h2::client::Builder::new();
        if let Some(window) = window {
            builder.initial_window_size(window).max_frame_size(16_384);
        }
        let (sender, connection) = builder.handshake::<_, bytes::Bytes>(near).await.unwrap();
        let connection = tokio::spawn(connection);
        for round in 0..3 {
            let bodies = [0, 1, 700, 20_000, 400_000].map(|size| vec![round; size]);
            let calls = bodies.map(|body| {
                let sender = sender.clone();
                tokio::spawn(async move { (exchange(&sender, "/some/path", body.clone()).await, body) })
            });
            for call in calls {
                let (answer, body) = call.await.unwrap();
                let (head, got, trailers) = answer.unwrap();
                assert!(got == body, "{} of {} bytes with a window of {window:?}", got.len(), body.len());
                assert_eq!((head["x-path"].as_bytes(), trailers["x-end"].len()), (&b"/some/path"[..], 300));
            }
        }
        let answer = exchange(&sender, "/leave", b"last".to_vec()).await.unwrap();
        assert_eq!(answer.1, b"last");
        assert_eq!(server.await.unwrap(), Ending::Done, "it leaves when everything is answered");
        drop(sender);
        connection.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn heads_of_one_client_are_shared() {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (sender, connection) = h2::client::handshake(near).await.unwrap();
    tokio::spawn(connection);
    let mut server = Tested::new(far, &LIMITS, sink as fn() -> Kept);
    let mut heads = Vec::new();
    for _ in 0..4 {
        let sender = sender.clone();
        let call = tokio::spawn(async move { exchange(&sender, "/some/path", vec![1; 10]).await.is_ok() });
        let incoming = poll_fn(|cx| {
            let incoming = server.poll_accept(cx);
            let _ = server.poll_flush(cx);
            incoming
        });
        let Incoming { head, exchange } = incoming.await.unwrap();
        heads.push(head);
        exchange.answer(&Block::response(204));
        assert!(poll_fn(|cx| server.poll_flush(cx)).await.is_ok());
        assert!(call.await.unwrap());
    }
    // The first fills the client's table, the second is the first that is made of indices alone.
    assert!(!Arc::ptr_eq(&heads[0], &heads[1]));
    assert!(Arc::ptr_eq(&heads[1], &heads[2]) && Arc::ptr_eq(&heads[1], &heads[3]));
}

#[tokio::test]
async fn a_client_that_does_not_listen_is_not_read_any_further() {
    let (mut near, far) = tokio::io::duplex(1000);
    let server = tokio::spawn(echo(far));
    near.write_all(&hello()).await.unwrap();
    let ping = frame(kind::PING, 0, 0, &[0; 8]);
    let mut sent = 0;
    let flood = async {
        loop {
            near.write_all(&ping).await.unwrap();
            sent += ping.len();
        }
    };
    tokio::select! {
        biased;
        () = flood => {}
        () = tokio::task::yield_now() => {}
        () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
    }
    assert!(sent < 2 << 20, "{sent} bytes were taken");
    let mut answers = vec![0; 100];
    near.read_exact(&mut answers).await.unwrap();
    drop(near);
    assert!(matches!(server.await.unwrap(), Ending::Socket(_)));
}
