//! A memory limiter before the listeners: it refuses without reading, and a change holds at once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::binary::free_port;
use crate::inside::Inside;
use crate::load;

/// What the HTTP listener answers to an export whose body does not come.
fn post(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 3\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("written");
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"Too Many Requests\n") {
        match stream.read(&mut buffer).expect("an answer") {
            0 => break,
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    String::from_utf8(answer).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_ask_a_memory_limiter_before_they_read() {
    let (grpc, http) = (free_port(), free_port());
    let yaml = |limit_mib: u32, extension: &str| {
        format!(
            "
extensions: {{memory_limiter/all: {{check_interval: 1s, limit_mib: {limit_mib}}}}}
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: '127.0.0.1:{grpc}', middlewares: [{{id: {extension}}}]}}
      http: {{endpoint: '127.0.0.1:{http}', middlewares: [{{id: {extension}}}]}}
exporters: {{nop: {{}}}}
service:
  extensions: [memory_limiter/all]
  pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}
"
        )
    };
    // Every process uses more than a mebibyte.
    let inside = Inside::start(&yaml(1, "memory_limiter/all")).await;
    let stop = CancellationToken::new();
    let load = tokio::spawn(load::run(format!("http://127.0.0.1:{grpc}"), 2, stop.clone()));
    let refused = || inside.metric("phoenix_transport_refused", &[("reason", "memory_limit")]);
    while refused() < 10 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(inside.metric("otelcol_receiver_accepted_spans", &[]), 0);
    let answer = tokio::task::spawn_blocking(move || post(http)).await.expect("no panic");
    assert!(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{answer}");
    assert!(answer.to_lowercase().contains("retry-after: 1\r\n"), "{answer}");

    match inside.apply(&yaml(4000, "memory_limiter/none")).await {
        Err(Err(problems)) => {
            let text = problems.to_string();
            let said = "failed to resolve middleware \"memory_limiter/none\": no extension of that name";
            assert!(text.contains(said), "{text}");
        }
        _ => panic!("it names an extension that does not run"),
    }
    assert!(inside.apply(&yaml(4000, "basicauth")).await.is_err(), "another type");

    // The receiver is kept, with its connections; the limiter that it asks has other limits now.
    let report = inside.apply(&yaml(4000, "memory_limiter/all")).await.map_err(drop).expect("applied");
    assert!(report.kept.iter().any(|key| key.id.to_string() == "otlp"), "{report:?}");
    while inside.metric("otelcol_receiver_accepted_spans", &[]) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.cancel();
    let outcome = load.await.expect("no panic");
    assert!(outcome.broken.is_empty() && outcome.rejected.is_empty(), "{:?}", outcome.broken.first());
    assert!(outcome.refused > 0 && !outcome.accepted.is_empty());
    inside.shutdown(Duration::from_secs(5)).await;
}
