//! OTLP/JSON over HTTP.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use phoenix_component::{Budget, Code, Refusal};
use phoenix_pdata::Signal;
use phoenix_transport::compression::{Compressor, Encoding};
use phoenix_transport::grpc::rpc_status;
use prost::Message as _;

use crate::rig::{HttpAnswer, HttpConnection, Rig};

const JSON: &str = "application/json";
const ACCEPTED: &str = r#"{"partialSuccess":{}}"#;

async fn post(connection: &mut HttpConnection, headers: &str, body: &[u8]) -> (u16, String, HttpAnswer) {
    let headers = format!("content-type: Application/JSON; charset=utf-8\r\n{headers}");
    let answer = connection.send("POST /v1/logs", &headers, body).await;
    assert_eq!(answer.header("content-type"), Some(JSON));
    (answer.status, String::from_utf8(answer.body.clone()).unwrap(), answer)
}

/// A request with so many log records, each with this text.
fn logs(records: usize, text: &str) -> String {
    let record = format!(
        r#"{{"timeUnixNano":"1700000000000000000","severityNumber":"SEVERITY_NUMBER_INFO","body":{{"stringValue":"{text}"}},"traceId":"5B8EFFF798038103D269B633813FC60C","extra":[1]}}"#
    );
    let records = vec![record; records].join(",");
    format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{records}]}}]}}]}}"#)
}

#[tokio::test]
async fn a_request_in_json_arrives_as_protobuf_whatever_its_size_and_compression() {
    let (rig, _receiver) = Rig::start("", "").await;
    let mut connection = rig.http().await;
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd, Encoding::Lz4] {
        for records in [1, 100, 10_000] {
            let json = bytes::Bytes::from(logs(records, "gr\\u00fc\\u00dfe"));
            let body = Compressor::new(encoding, 0).compress(json.into(), &Budget::unlimited()).unwrap();
            let body: Vec<u8> = body.pieces().flat_map(|piece| piece.to_vec()).collect();
            let header = match encoding {
                Encoding::Identity => String::new(),
                _ => format!("content-encoding: {}\r\n", encoding.name()),
            };
            let (status, answer, _) = post(&mut connection, &header, &body).await;
            assert_eq!((status, answer.as_str()), (200, ACCEPTED));
            let batch = rig.sink.take().pop().unwrap();
            assert_eq!((batch.signal, batch.items), (Signal::Logs, records as u64));
            let request = ExportLogsServiceRequest::decode(batch.payload.into_contiguous()).unwrap();
            let record = &request.resource_logs[0].scope_logs[0].log_records[records - 1];
            assert_eq!((record.severity_number, record.trace_id[0]), (9, 0x5b));
            let body = record.body.as_ref().unwrap().value.as_ref().unwrap();
            assert_eq!(body, &Value::StringValue("grüße".to_owned()));
        }
    }
    assert_eq!(rig.metric("otelcol_receiver_accepted_log_records", "http"), 4 * 10_101);
    assert_eq!(rig.host.budget.used(), 0, "what was charged was given back");
    for empty in ["{}", r#"{"resourceLogs":[]}"#, r#"{"resourceSpans":[{}]}"#] {
        assert_eq!(post(&mut connection, "", empty.as_bytes()).await.1, ACCEPTED, "{empty}");
    }
    assert!(rig.sink.take().is_empty());
}

#[tokio::test]
async fn bad_bodies_are_400_with_a_status_in_json_that_says_where() {
    let (rig, _receiver) = Rig::start("", "max_request_body_size: 1000").await;
    let record = |fields: &str| {
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{}},{{{fields}}}]}}]}}]}}"#)
    };
    let at = "resourceLogs[0].scopeLogs[0].logRecords[1]";
    // (headers, body, message)
    let cases = [
        (
            "",
            record(r#""traceId":"W47/95gDgQPSabYzgT/GDA==""#),
            format!(
                "{at}.traceId at byte 60: length mismatch: expected 32 hexadecimal digits, found 24 characters; identifiers are hexadecimal in OTLP/JSON, not base64"
            ),
        ),
        (
            "",
            record(r#""timeUnixNano":"18446744073709551616""#),
            format!("{at}.timeUnixNano at byte 65: number beyond the range of an integer of 64 bits"),
        ),
        ("", record(r#""flags":1,"flags":2"#), format!("{at}.flags at byte 60: field is there twice")),
        (
            "",
            record(r#""attributes":{"a":1}"#),
            format!("{at}.attributes at byte 63: expected an array, found an object"),
        ),
        (
            "",
            "{\"resourceLogs\":[{".to_owned(),
            "resourceLogs[0] at byte 18: the text ends before the request does".to_owned(),
        ),
        ("", String::new(), "byte 0: the text ends before the request does".to_owned()),
        ("", "x".repeat(1001), "http: request body too large".to_owned()),
        ("content-encoding: br\r\n", "{}".to_owned(), "unsupported Content-Encoding: br".to_owned()),
    ];
    for (headers, body, message) in cases {
        let (status, answer, _) = post(&mut rig.http().await, headers, body.as_bytes()).await;
        assert_eq!((status, answer), (400, format!(r#"{{"code":3,"message":"{message}"}}"#)), "{body}");
    }
    let deep = format!(r#"{{"x":{}"#, "[".repeat(900));
    let (status, answer, _) = post(&mut rig.http().await, "", deep.as_bytes()).await;
    assert!(status == 400 && answer.contains("nested deeper than 100 levels"), "{answer}");
    assert_eq!(rig.metric("phoenix_receiver_malformed_requests", "http"), 7);
    assert!(rig.sink.take().is_empty());
}

#[tokio::test]
async fn a_refusal_is_a_status_in_json_with_its_delay() {
    let (rig, _receiver) = Rig::start("", "").await;
    let mut connection = rig.http().await;
    let details = rpc_status(Code::RESOURCE_EXHAUSTED, "slow down", Some(Duration::from_millis(1500)));
    // (refusal, status, answer, when to come back)
    let cases = [
        (
            Refusal::retryable("x", "slow down").with_status(Code::RESOURCE_EXHAUSTED, details),
            429,
            r#"{"code":8,"message":"slow down","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500s"}]}"#,
            Some("2"),
        ),
        (Refusal::retryable("x", "full"), 503, r#"{"code":14,"message":"full"}"#, None),
        (Refusal::permanent("x", "never"), 500, r#"{"code":13,"message":"never"}"#, None),
    ];
    for (refusal, status, expected, delay) in cases {
        rig.sink.refuses(refusal);
        let (found, answer, head) = post(&mut connection, "", logs(2, "x").as_bytes()).await;
        assert_eq!((found, answer.as_str(), head.header("retry-after")), (status, expected, delay));
    }
    assert_eq!(rig.metric("otelcol_receiver_refused_log_records", "http"), 6);
}

#[tokio::test]
async fn what_becomes_of_json_is_charged_as_well() {
    let (rig, _receiver) = Rig::start("", "").await;
    let body = logs(1000, "text");
    rig.host.budget.set_limit(body.len() + body.len() / 2);
    let (status, answer, head) = post(&mut rig.http().await, "", body.as_bytes()).await;
    assert_eq!((status, head.header("retry-after")), (503, Some("1")));
    assert!(answer.contains("data refused due to high memory usage"), "{answer}");
    assert_eq!(rig.host.budget.refusals(), 1);
    rig.host.budget.set_limit(2 * body.len());
    assert_eq!(post(&mut rig.http().await, "", body.as_bytes()).await.0, 200);
    assert!(rig.host.budget.used() < body.len(), "only the protobuf is held");
}
