//! The gRPC surface, row by row.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use phoenix_component::{Code, Refusal};
use phoenix_pdata::Signal;
use phoenix_transport::compression::{Compressor, Encoding};
use phoenix_transport::grpc::client::{self, Client};
use phoenix_transport::grpc::rpc_status;

use crate::rig::{ACCEPTED, LOGS, MALFORMED, METRICS, Rig, TRACES, export, logs};

#[tokio::test]
async fn a_request_is_accepted_with_an_empty_partial_success() {
    let (rig, _receiver) = Rig::start("", "").await;
    let client = rig.grpc_client();
    assert_eq!(export(&client, LOGS, logs(3)).await.unwrap(), ACCEPTED);
    let got = rig.sink.take();
    assert_eq!((got.len(), got[0].signal, got[0].items), (1, Signal::Logs, 3));
    assert_eq!(got[0].payload.clone().into_contiguous(), logs(3), "the bytes as they came");
    assert!(got[0].client.is_none() && got[0].deadline.is_none());
    assert_eq!(rig.metric("otelcol_receiver_accepted_log_records", "grpc"), 3);
    assert_eq!(rig.metric("phoenix_transport_connections", "grpc"), 1);
}

#[tokio::test]
async fn an_empty_request_is_accepted_and_goes_nowhere() {
    let (rig, _receiver) = Rig::start("", "").await;
    let client = rig.grpc_client();
    for (method, body) in [(LOGS, Bytes::new()), (LOGS, logs(0)), (METRICS, Bytes::new())] {
        assert_eq!(export(&client, method, body).await.unwrap(), ACCEPTED, "{method}");
    }
    assert!(rig.sink.take().is_empty());
    for name in ["otelcol_receiver_accepted_log_records", "otelcol_receiver_refused_log_records"] {
        assert_eq!(rig.metric(name, "grpc"), 0, "{name}");
    }
}

#[tokio::test]
async fn what_no_pipeline_takes_is_unimplemented() {
    let (rig, _receiver) = Rig::start("", "").await;
    let client = rig.grpc_client();
    let profiles = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
    for method in [TRACES, profiles, "/opentelemetry.proto.collector.logs.v1.LogsService/Other"] {
        assert_eq!(export(&client, method, logs(1)).await.unwrap_err().code, Code::UNIMPLEMENTED, "{method}");
    }
    let reason = [("transport", "grpc"), ("reason", "method")];
    assert_eq!(rig.host.metrics.sum("phoenix_transport_refused", &reason), 3);
}

#[tokio::test]
async fn a_refusal_becomes_the_status_of_its_kind() {
    let (rig, _receiver) = Rig::start("", "").await;
    let client = rig.grpc_client();
    let upstream = rpc_status(Code::RESOURCE_EXHAUSTED, "upstream", Some(Duration::from_secs(7)));
    let relayed = |refusal: Refusal, code| refusal.with_status(code, upstream.clone());
    // (refusal, code, details, delay)
    let none = Bytes::new;
    let cases = [
        (Refusal::permanent("x", "no"), Code::INTERNAL, Some(none()), None),
        (Refusal::retryable("queue_full", "sending queue is full"), Code::UNAVAILABLE, Some(none()), None),
        (
            Refusal::retryable("memory", "data refused due to high memory usage")
                .after(Duration::from_millis(2500)),
            Code::UNAVAILABLE,
            None,
            Some(Duration::from_millis(2500)),
        ),
        (
            relayed(Refusal::retryable("backend", "upstream"), Code::RESOURCE_EXHAUSTED),
            Code::RESOURCE_EXHAUSTED,
            Some(upstream.clone()),
            Some(Duration::from_secs(7)),
        ),
        (
            Refusal::permanent("backend", "who are you").with_status(Code::UNAUTHENTICATED, none()),
            Code::UNAUTHENTICATED,
            Some(none()),
            None,
        ),
    ];
    for (refusal, code, details, delay) in cases {
        rig.sink.refuses(refusal.clone());
        let status = export(&client, LOGS, logs(2)).await.unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (code, refusal.message()));
        assert_eq!(status.retry_delay(), delay, "{refusal}");
        if let Some(details) = details {
            assert_eq!(status.details, details, "{refusal}: verbatim");
        }
    }
    assert_eq!(rig.metric("otelcol_receiver_refused_log_records", "grpc"), 10);
    assert_eq!(rig.metric("otelcol_receiver_accepted_log_records", "grpc"), 0);
}

#[tokio::test]
async fn malformed_and_oversized_requests_never_reach_the_pipelines() {
    let (rig, _receiver) = Rig::start("max_recv_msg_size_mib: 1", "").await;
    let client = rig.grpc_client();
    assert_eq!(export(&client, LOGS, MALFORMED).await.unwrap_err().code, Code::INTERNAL);
    assert_eq!(rig.metric("phoenix_receiver_malformed_requests", "grpc"), 1);
    let large = Bytes::from(vec![0; (1 << 20) + 1]);
    let zstd = client::Options { compressor: Compressor::new(Encoding::Zstd, 0), ..rig.grpc_options() };
    for client in [client, Client::new(zstd, &rig.host.cores).unwrap()] {
        let status = export(&client, LOGS, large.clone()).await.unwrap_err();
        assert_eq!(status.code, Code::RESOURCE_EXHAUSTED);
    }
    let reason = [("transport", "grpc"), ("reason", "too_large")];
    assert_eq!(rig.host.metrics.sum("phoenix_transport_refused", &reason), 2);
    assert!(rig.sink.take().is_empty());
    for name in ["otelcol_receiver_accepted_log_records", "otelcol_receiver_refused_log_records"] {
        assert_eq!(rig.metric(name, "grpc"), 0, "{name}");
    }
}

#[tokio::test]
async fn every_encoding_of_otelcol_is_taken() {
    let (rig, _receiver) = Rig::start("", "").await;
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::SnappyFramed, Encoding::Zstd] {
        let options = client::Options { compressor: Compressor::new(encoding, 0), ..rig.grpc_options() };
        let client = Client::new(options, &rig.host.cores).unwrap();
        assert_eq!(export(&client, LOGS, logs(5)).await.unwrap(), ACCEPTED, "{encoding}");
        assert_eq!(rig.sink.take()[0].payload.clone().into_contiguous(), logs(5), "{encoding}");
    }
}

#[tokio::test]
async fn health_is_answered_where_that_is_asked_for() {
    const CHECK: &str = "/grpc.health.v1.Health/Check";
    // Requests as protobuf: field 1 names the service.
    let service = |name: &str| [&[0x0a, name.len() as u8], name.as_bytes()].concat();
    let (rig, _receiver) = Rig::start("health: true", "").await;
    let client = rig.grpc_client();
    for request in [Vec::new(), service("opentelemetry.proto.collector.logs.v1.LogsService")] {
        assert_eq!(export(&client, CHECK, request).await.unwrap(), [0x08, 0x01][..], "serving");
    }
    for name in ["opentelemetry.proto.collector.trace.v1.TraceService", "other"] {
        let status = export(&client, CHECK, service(name)).await.unwrap_err();
        assert_eq!(status.code, Code::NOT_FOUND, "{name} is not wired");
    }
    assert_eq!(
        export(&client, "/grpc.health.v1.Health/Watch", "").await.unwrap_err().code,
        Code::UNIMPLEMENTED
    );
    let (rig, _receiver) = Rig::start("", "").await;
    assert_eq!(export(&rig.grpc_client(), CHECK, "").await.unwrap_err().code, Code::UNIMPLEMENTED, "off");
}

#[tokio::test]
async fn metadata_and_deadline_go_along() {
    let (rig, _receiver) = Rig::start("include_metadata: true", "").await;
    let client = rig.grpc_client();
    let mut metadata = HeaderMap::new();
    for value in ["a", "b"] {
        metadata.append("x-tenant", value.parse().unwrap());
    }
    let timeout = Some(Duration::from_secs(60));
    client.call(&client.method(LOGS), logs(1).into(), timeout, &metadata).await.unwrap();
    let got = rig.sink.take().remove(0);
    let info = got.client.unwrap();
    assert_eq!(info.address.map(|address| address.ip()), Some(rig.grpc_address().ip()));
    assert_eq!(info.metadata("X-Tenant").collect::<Vec<_>>(), ["a", "b"]);
    let authority = rig.grpc_address().to_string();
    assert_eq!(info.metadata("Host").collect::<Vec<_>>(), [authority.as_str()], "the authority");
    let left = got.deadline.unwrap().saturating_duration_since(tokio::time::Instant::now());
    assert!(left > Duration::from_secs(50) && left < Duration::from_secs(60), "{left:?}");
}
