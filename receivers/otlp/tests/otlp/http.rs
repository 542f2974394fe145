//! The HTTP surface, row by row.

use std::time::Duration;

use phoenix_component::{Budget, Code, Refusal};
use phoenix_pdata::Signal;
use phoenix_transport::compression::{Compressor, Encoding};
use phoenix_transport::grpc::{parse_rpc_status, rpc_status};

use crate::rig::{ACCEPTED, MALFORMED, Rig, logs};

const PROTOBUF: &str = "application/x-protobuf";

#[tokio::test]
async fn a_request_is_accepted_with_an_empty_partial_success() {
    let (rig, _receiver) = Rig::start("", "").await;
    let answer = rig.http().await.logs("", &logs(3)).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some(PROTOBUF)));
    assert_eq!(answer.body, ACCEPTED);
    let got = rig.sink.take();
    assert_eq!((got.len(), got[0].signal, got[0].items), (1, Signal::Logs, 3));
    assert!(got[0].client.is_none() && got[0].deadline.is_none());
    assert_eq!(rig.metric("otelcol_receiver_accepted_log_records", "http"), 3);
    assert_eq!(rig.metric("phoenix_transport_connections", "http"), 1);
}

#[tokio::test]
async fn an_empty_request_is_accepted_and_goes_nowhere() {
    let (rig, _receiver) = Rig::start("", "").await;
    let mut connection = rig.http().await;
    for body in [&[][..], &logs(0)] {
        let answer = connection.logs("", body).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, ACCEPTED));
    }
    assert!(rig.sink.take().is_empty());
    assert_eq!(rig.metric("otelcol_receiver_accepted_log_records", "http"), 0);
}

#[tokio::test]
async fn what_is_no_request_for_a_wired_signal_is_refused_in_plain_text() {
    let (rig, _receiver) = Rig::start("", "metrics_url_path: custom/metrics").await;
    let mut connection = rig.http().await;
    let protobuf = "content-type: application/x-protobuf\r\n";
    // (request line, headers, status, text)
    let unsupported = "415 unsupported media type, supported: [application/json, application/x-protobuf]";
    let cases = [
        ("GET /v1/logs", protobuf, 405, "405 method not allowed, supported: [POST]"),
        ("POST /v1/logs", "content-type: application/jsonl\r\n", 415, unsupported),
        ("POST /v1/logs", "content-type: text/plain\r\n", 415, unsupported),
        ("POST /v1/logs", "", 415, unsupported),
        ("POST /v1/traces", protobuf, 404, "404 page not found\n"),
        ("POST /v1/metrics", protobuf, 404, "404 page not found\n"),
        ("POST /v1development/profiles", protobuf, 404, "404 page not found\n"),
        ("POST /", protobuf, 404, "404 page not found\n"),
    ];
    for (line, headers, status, text) in cases {
        let answer = connection.send(line, headers, &logs(1)).await;
        assert_eq!((answer.status, String::from_utf8_lossy(&answer.body).as_ref()), (status, text), "{line}");
        assert!(answer.header("content-type").unwrap().starts_with("text/plain"), "{line}");
        if answer.header("connection") == Some("close") {
            connection = rig.http().await;
        }
    }
    assert!(rig.sink.take().is_empty());
    for (line, headers) in [
        ("POST /custom/metrics", protobuf),
        ("POST /v1/logs?x=1", protobuf),
        ("POST /v1/logs", "content-type: Application/X-Protobuf; charset=utf-8\r\n"),
    ] {
        assert_eq!(rig.http().await.send(line, headers, b"").await.status, 200, "{line} {headers}");
    }
}

#[tokio::test]
async fn bad_bodies_are_400_with_a_status() {
    let (rig, _receiver) = Rig::start("", "max_request_body_size: 1000").await;
    let bomb = Compressor::new(Encoding::Gzip, 0)
        .compress(vec![0; 5000].into_payload(), &Budget::unlimited())
        .unwrap();
    let bomb = bomb.pieces().flat_map(|piece| piece.to_vec()).collect::<Vec<u8>>();
    // A snappy block that declares 2,000 bytes.
    let declares = [&[0xd0, 0x0f][..], &[0; 200]].concat();
    let too_large = "http: request body too large";
    // (case, headers, body, text, or none where it is the parser's)
    let cases = [
        ("encoding", "content-encoding: br\r\n", b"x".to_vec(), Some("unsupported Content-Encoding: br")),
        ("corrupt", "content-encoding: gzip\r\n", b"x".to_vec(), None),
        ("malformed", "", MALFORMED.to_vec(), None),
        ("too large", "", vec![0; 1001], Some(too_large)),
        ("bomb", "content-encoding: gzip\r\n", bomb, Some(too_large)),
        (
            "snappy",
            "content-encoding: snappy\r\n",
            declares,
            Some("snappy: decoded size exceeds max request body size"),
        ),
    ];
    for (case, headers, body, text) in cases {
        let answer = rig.http().await.logs(headers, &body).await;
        assert_eq!((answer.status, answer.header("content-type")), (400, Some(PROTOBUF)), "{case}");
        let (code, message) = parse_rpc_status(&answer.body);
        assert_eq!(code, Code::INVALID_ARGUMENT, "{case}");
        assert!(!message.is_empty() && text.is_none_or(|text| text == message), "{case}: {message}");
    }
    assert_eq!(rig.metric("phoenix_receiver_malformed_requests", "http"), 1);
    assert!(rig.sink.take().is_empty());
}

trait IntoPayload {
    fn into_payload(self) -> phoenix_transport::Payload;
}

impl IntoPayload for Vec<u8> {
    fn into_payload(self) -> phoenix_transport::Payload {
        bytes::Bytes::from(self).into()
    }
}

#[tokio::test]
async fn a_refusal_becomes_the_status_of_its_code() {
    let (rig, _receiver) = Rig::start("", "").await;
    let mut connection = rig.http().await;
    // (codes, HTTP status)
    let table: [(&[u8], u16); 7] = [
        (&[1, 4, 10, 11, 14, 15], 503),
        (&[8], 429),
        (&[3], 400),
        (&[16], 401),
        (&[7], 403),
        (&[12], 404),
        (&[2, 5, 6, 9, 13], 500),
    ];
    for (codes, http) in table {
        for code in codes.iter().map(|code| Code(*code)) {
            let details = rpc_status(code, "upstream", Some(Duration::from_secs(7)));
            rig.sink.refuses(Refusal::retryable("x", "upstream").with_status(code, details.clone()));
            let answer = connection.logs("", &logs(1)).await;
            assert_eq!((answer.status, answer.header("content-type")), (http, Some(PROTOBUF)), "{code}");
            assert_eq!(answer.body, details, "{code}: verbatim");
            let wanted = (http == 503 || http == 429).then_some("7");
            assert_eq!(answer.header("retry-after"), wanted, "{code}");
        }
    }
    assert_eq!(rig.metric("otelcol_receiver_refused_log_records", "http"), 16);
}

#[tokio::test]
async fn retry_after_is_the_delay_of_the_refusal_in_whole_seconds() {
    let (rig, _receiver) = Rig::start("", "").await;
    let mut connection = rig.http().await;
    let millis = Duration::from_millis;
    // (refusal, status, code, header)
    let cases = [
        (Refusal::permanent("x", "a"), 500, Code::INTERNAL, None),
        (Refusal::permanent("x", "b").after(millis(1000)), 500, Code::INTERNAL, None),
        (Refusal::retryable("x", "sending queue is full"), 503, Code::UNAVAILABLE, None),
        (Refusal::retryable("x", "c").after(millis(2000)), 503, Code::UNAVAILABLE, Some("2")),
        (Refusal::retryable("x", "d").after(millis(2001)), 503, Code::UNAVAILABLE, Some("3")),
    ];
    for (refusal, status, code, header) in cases {
        rig.sink.refuses(refusal.clone());
        let answer = connection.logs("", &logs(1)).await;
        assert_eq!((answer.status, answer.header("retry-after")), (status, header), "{refusal}");
        assert_eq!(parse_rpc_status(&answer.body), (code, refusal.message().to_owned()));
    }
}

#[tokio::test]
async fn every_encoding_is_taken_unless_the_list_says_otherwise() {
    let (rig, _receiver) = Rig::start("", "").await;
    let compressed = |encoding| {
        let payload = Compressor::new(encoding, 0).compress(logs(5).into(), &Budget::unlimited()).unwrap();
        payload.pieces().flat_map(|piece| piece.to_vec()).collect::<Vec<u8>>()
    };
    let mut connection = rig.http().await;
    for encoding in Encoding::ALL.into_iter().filter(|encoding| *encoding != Encoding::Identity) {
        let header = format!("content-encoding: {}\r\n", encoding.name());
        assert_eq!(connection.logs(&header, &compressed(encoding)).await.status, 200, "{encoding}");
        assert_eq!(rig.sink.take()[0].payload.clone().into_contiguous(), logs(5), "{encoding}");
    }
    let (rig, _receiver) = Rig::start("", "compression_algorithms: [gzip]").await;
    let mut connection = rig.http().await;
    assert_eq!(connection.logs("content-encoding: gzip\r\n", &compressed(Encoding::Gzip)).await.status, 200);
    assert_eq!(rig.http().await.logs("", &logs(1)).await.status, 400, "plain is not on the list");
}

#[tokio::test]
async fn metadata_goes_along_and_response_headers_come_back() {
    let (rig, _receiver) =
        Rig::start("", "include_metadata: true, response_headers: {X-Served-By: me}").await;
    let mut connection = rig.http().await;
    let answer = connection.logs("X-Tenant: acme\r\n", &logs(1)).await;
    assert_eq!((answer.status, answer.header("x-served-by")), (200, Some("me")));
    let info = rig.sink.take().remove(0).client.unwrap();
    assert_eq!(info.address.map(|address| address.ip()), Some(rig.http_address().ip()));
    for (name, value) in [("x-tenant", "acme"), ("host", "test")] {
        assert_eq!(info.metadata(name).collect::<Vec<_>>(), [value]);
    }
    let answer = connection.send("POST /nowhere", "", b"").await;
    assert_eq!((answer.status, answer.header("x-served-by")), (404, Some("me")), "on refusals too");
}

#[tokio::test]
async fn cross_origin_requests_are_answered_before_anything_else() {
    let cors = "cors: {allowed_origins: ['https://*.example'], allowed_headers: [x-key], \
                exposed_headers: [x-seen], max_age: 60}";
    let (rig, _receiver) = Rig::start("", cors).await;
    let asked = "access-control-request-method: POST\r\naccess-control-request-headers: x-key\r\n";
    let origin = "origin: https://app.example\r\n";
    let mut connection = rig.http().await;
    let answer = connection.send("OPTIONS /v1/logs", &format!("{origin}{asked}"), b"").await;
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", "x-key"),
        ("access-control-allow-credentials", "true"),
        ("access-control-max-age", "60"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let stranger = format!("origin: https://evil.test\r\n{asked}");
    let answer = connection.send("OPTIONS /v1/logs", &stranger, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, None));
    let answer = connection.logs(origin, &logs(1)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.header("access-control-expose-headers"), Some("X-Seen"));
    assert_eq!(rig.sink.take().len(), 1);
}
