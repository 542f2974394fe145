//! Who is let in, what is shown to backends, and how much each client may send: with the components that do it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use tonic::Code;
use tonic::transport::Channel;

use crate::binary::{collector, free_port};
use crate::inside::Inside;
use crate::load;

/// Posts spans over HTTP/1.1 with more headers, each with its line end before it; returns the answer as text.
fn post(port: u16, headers: &str) -> String {
    let body = load::request(1).encode_to_vec();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Type: application/x-protobuf{headers}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("written");
    // The answer may come before the body is through.
    let _ = stream.write_all(&body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).to_ascii_lowercase()
}

fn status_of(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

async fn grpc(port: u16) -> TraceServiceClient<Channel> {
    TraceServiceClient::connect(format!("http://127.0.0.1:{port}")).await.expect("connects")
}

async fn export(
    client: &mut TraceServiceClient<Channel>,
    metadata: &[(&'static str, &str)],
) -> Result<(), tonic::Status> {
    let mut request = tonic::Request::new(load::request(1));
    for (name, value) in metadata {
        request.metadata_mut().insert(*name, value.parse().expect("a value"));
    }
    client.export(request).await.map(drop)
}

struct Ports {
    grpc: u16,
    http: u16,
}

fn guarded(ports: &Ports, extensions: &str, auth: &str) -> String {
    let Ports { grpc, http } = ports;
    format!(
        "
extensions: {extensions}
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: '127.0.0.1:{grpc}', {auth}}}
      http: {{endpoint: '127.0.0.1:{http}', {auth}}}
exporters: {{nop: }}
service:
  extensions: [bearertokenauth]
  pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_shows_a_token_is_let_in_and_a_change_of_it_closes_nothing() {
    const AUTH: &str = "auth: {authenticator: bearertokenauth}";
    let ports = Ports { grpc: free_port(), http: free_port() };
    let inside = Inside::start(&guarded(&ports, "{bearertokenauth: {token: one}}", AUTH)).await;
    let mut client = grpc(ports.grpc).await;
    for (shown, code) in
        [("Bearer one", None), ("Bearer two", Some(Code::Unauthenticated)), ("", Some(Code::Unauthenticated))]
    {
        let metadata = [("authorization", shown)];
        let metadata = if shown.is_empty() { &[][..] } else { &metadata[..] };
        let answer = export(&mut client, metadata).await.err();
        assert_eq!(answer.as_ref().map(tonic::Status::code), code, "{shown}: {answer:?}");
        let header = if shown.is_empty() { String::new() } else { format!("\r\nAuthorization: {shown}") };
        let answer = post(ports.http, &header);
        assert_eq!(status_of(&answer), if code.is_none() { "200" } else { "401" }, "{answer}");
        if code.is_some() {
            assert!(answer.contains("www-authenticate: bearer"), "{answer}");
            assert!(answer.contains("content-type: application/x-protobuf"), "{answer}");
            // `google.rpc.Status` with code 16.
            assert!(answer.split("\r\n\r\n").nth(1).expect("a body").starts_with("\u{8}\u{10}"), "{answer}");
        }
    }
    for transport in ["grpc", "http"] {
        for reason in ["auth_missing", "auth_invalid"] {
            let labels = [("transport", transport), ("reason", reason)];
            assert_eq!(inside.metric("phoenix_transport_refused", &labels), 1, "{transport} {reason}");
        }
    }
    inside.apply(&guarded(&ports, "{bearertokenauth: {token: two}}", AUTH)).await.expect("applied");
    assert!(export(&mut client, &[("authorization", "Bearer two")]).await.is_ok());
    assert_eq!(
        export(&mut client, &[("authorization", "Bearer one")]).await.expect_err("refused").code(),
        Code::Unauthenticated
    );
    let connections = inside.metric("phoenix_transport_connections", &[("transport", "grpc")]);
    assert_eq!(connections, 1, "the listener kept its connection");
    inside.apply(&guarded(&ports, "{bearertokenauth: {token: two}}", "")).await.expect("applied");
    assert!(export(&mut client, &[]).await.is_ok(), "nobody is asked any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authenticator_that_is_not_there_or_of_the_other_side_stops_the_start() {
    let ports = Ports { grpc: free_port(), http: free_port() };
    let inside = Inside::start(&guarded(&ports, "{bearertokenauth: {token: one}}", "")).await;
    let exporter = |auth: &str, tls: &str| {
        format!(
            "
extensions:
  basicauth/server: {{htpasswd: {{inline: 'a:b'}}}}
  basicauth/client: {{client_auth: {{username: a, password: b}}}}
  headers_setter: {{headers: [{{key: x, value: y}}]}}
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '127.0.0.1:{}'}}}}}}}}
exporters: {{otlp: {{endpoint: '127.0.0.1:1', tls: {{insecure: {tls}}}, auth: {{authenticator: {auth}}}}}}}
service:
  extensions: [basicauth/server, basicauth/client, headers_setter]
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}
",
            free_port()
        )
    };
    let listener = |id: &str| {
        guarded(&ports, "{bearertokenauth: {token: one}}", &format!("auth: {{authenticator: {id}}}"))
    };
    // (configuration, part of what is said)
    for (yaml, said) in [
        (listener("basicauth"), "failed to resolve authenticator \"basicauth\": no extension of that name"),
        (exporter("basicauth/server", "false"), "extension \"basicauth/server\" is no client authenticator"),
        (exporter("oidc", "false"), "failed to resolve authenticator \"oidc\""),
        (exporter("basicauth/client", "true"), "require transport level security"),
    ] {
        let error = match inside.apply(&yaml).await {
            Err(Ok(error)) => error.to_string(),
            Err(Err(problems)) => problems.to_string(),
            Ok(_) => panic!("taken: {yaml}"),
        };
        assert!(error.contains(said), "{error}");
    }
    for yaml in [exporter("basicauth/client", "false"), exporter("headers_setter", "true")] {
        assert!(inside.apply(&yaml).await.is_ok(), "{yaml}");
    }
}

/// A backend that keeps the heads of requests.
fn heads() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("bound").port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = heads.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut read) = (stream.expect("accepted"), Vec::new());
            let end = loop {
                if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                    break end;
                }
                let mut part = [0; 4096];
                match stream.read(&mut part).expect("read") {
                    0 => return,
                    count => read.extend_from_slice(&part[..count]),
                }
            };
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            kept.lock().expect("not poisoned").push(head);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (port, heads)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_of_a_sender_reaches_the_backend() {
    let (backend, heads) = heads();
    let http = free_port();
    let _inside = Inside::start(&format!(
        "
extensions:
  basicauth: {{htpasswd: {{inline: 'ann:secret'}}}}
  bearertokenauth: {{token: gateway}}
  headers_setter:
    additional_auth: bearertokenauth
    headers:
      - {{key: X-Tenant, from_context: x-tenant, default_value: nobody}}
      - {{key: X-User, from_attribute: username}}
      - {{key: X-Fixed, value: changed, action: update}}
      - {{key: X-Gone, action: delete}}
receivers:
  otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{http}', include_metadata: true, auth: {{authenticator: basicauth}}}}}}}}
exporters:
  otlp_http:
    endpoint: http://127.0.0.1:{backend}
    headers: {{x-fixed: configured, x-gone: configured, x-other: configured}}
    auth: {{authenticator: headers_setter}}
    sending_queue: {{enabled: false}}
service:
  extensions: [basicauth, bearertokenauth, headers_setter]
  pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_http]}}}}
"
    ))
    .await;
    let ann = "\r\nAuthorization: Basic YW5uOnNlY3JldA==";
    assert_eq!(status_of(&post(http, &format!("{ann}\r\nX-Tenant: acme"))), "200");
    assert_eq!(status_of(&post(http, ann)), "200");
    assert_eq!(status_of(&post(http, "\r\nAuthorization: Basic YW5uOndyb25n")), "401");
    let two = format!("{ann}\r\nX-Tenant: a\r\nX-Tenant: b");
    assert_eq!(status_of(&post(http, &two)), "500", "nobody can say which is meant");
    let heads = heads.lock().expect("not poisoned");
    assert_eq!(heads.len(), 2);
    for (head, tenant) in heads.iter().zip(["acme", "nobody"]) {
        for line in [
            &format!("x-tenant: {tenant}"),
            "x-user: ann",
            "x-fixed: changed",
            "x-other: configured",
            "authorization: bearer gateway",
        ] {
            assert!(head.contains(line), "{line}: {head}");
        }
        assert!(!head.contains("x-gone") && !head.contains("yw5u"), "{head}");
    }
}

/// Requests of a tenant are limited.
async fn limited(Ports { grpc, http }: &Ports, limits: &str) -> Inside {
    Inside::start(&format!(
        "
extensions: {{rate_limiter: {{key: [metadata.x-tenant], {limits}}}}}
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: '127.0.0.1:{grpc}', middlewares: [{{id: rate_limiter}}]}}
      http: {{endpoint: '127.0.0.1:{http}', middlewares: [{{id: rate_limiter}}]}}
exporters: {{nop: }}
service:
  extensions: [rate_limiter]
  pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}
"
    ))
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_too_much_is_told_when_to_come_again() {
    let ports = Ports { grpc: free_port(), http: free_port() };
    let inside = limited(&ports, "requests_per_second: 1, requests_burst: 3").await;
    let mut client = grpc(ports.grpc).await;
    let loud = [("x-tenant", "loud")];
    for _ in 0..2 {
        export(&mut client, &loud).await.expect("within the burst");
    }
    assert_eq!(status_of(&post(ports.http, "\r\nX-Tenant: loud")), "200", "the last of the burst");
    let answer = post(ports.http, "\r\nX-Tenant: loud");
    assert_eq!(status_of(&answer), "429", "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    let status = export(&mut client, &loud).await.expect_err("too much");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = String::from_utf8_lossy(status.details()).into_owned();
    assert!(details.contains("google.rpc.RetryInfo"), "{status:?}");
    export(&mut client, &[("x-tenant", "quiet")]).await.expect("another client");
    assert_eq!(status_of(&post(ports.http, "")), "200");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    export(&mut client, &loud).await.expect("as it was told");
    for transport in ["grpc", "http"] {
        let refused = [("transport", transport), ("reason", "rate_limit")];
        assert_eq!(inside.metric("phoenix_transport_refused", &refused), 1);
    }
    assert_eq!(inside.metric("phoenix_rate_limiter_refused", &[]), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_too_many_items_waits_for_what_it_owes() {
    let ports = Ports { grpc: free_port(), http: free_port() };
    // Each request has five items.
    let inside = limited(&ports, "items_per_second: 1, items_burst: 8").await;
    let mut client = grpc(ports.grpc).await;
    let loud = [("x-tenant", "loud")];
    export(&mut client, &loud).await.expect("five of eight");
    assert_eq!(status_of(&post(ports.http, "\r\nX-Tenant: loud")), "200", "two more than are left");
    let status = export(&mut client, &loud).await.expect_err("in debt");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let answer = post(ports.http, "\r\nX-Tenant: loud");
    assert_eq!(status_of(&answer), "429", "{answer}");
    assert!(answer.contains("retry-after: 3"), "two are owed, and one is needed: {answer}");
    export(&mut client, &[("x-tenant", "quiet")]).await.expect("another client");
    assert_eq!(inside.metric("phoenix_rate_limiter_refused", &[]), 2);
}

#[test]
fn secrets_are_shown_nowhere() {
    let configuration = "
extensions:
  bearertokenauth: {tokens: [hush-token]}
  basicauth/s: {htpasswd: {inline: 'ann:hush-password'}}
  basicauth/c: {client_auth: {username: ann, password: hush-client}}
  oauth2client: {client_id: a, client_secret: hush-secret, token_url: 'https://h/t'}
  headers_setter: {headers: [{key: x-key, value: hush-value}, {key: x-b, from_context: b, default_value: hush-default}]}
receivers: {nop: }
exporters: {nop: }
service:
  extensions: [bearertokenauth, basicauth/s, basicauth/c, oauth2client, headers_setter]
  pipelines: {traces: {receivers: [nop], exporters: [nop]}}
";
    for command in ["print-config", "validate"] {
        let finished = collector().arg(command).arg(format!("--config=yaml:{configuration}")).finish();
        let shown = format!("{}{}", finished.stdout, finished.stderr);
        assert_eq!(finished.code, 0, "{command}: {shown}");
        assert!(!shown.contains("hush"), "{command}: {shown}");
    }
}
