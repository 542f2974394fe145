//! Requests that stay compressed on their way through.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use phoenix_component::{Budget, Forwards};
use phoenix_pdata::{Coding, Codings};
use phoenix_transport::compression::{Compressor, Encoding};
use prost::Message as _;

use crate::rig::{LOGS, MALFORMED, Rig, export, logs};

const ENCODINGS: [(Encoding, Coding); 7] = [
    (Encoding::Gzip, Coding::Gzip),
    (Encoding::Zstd, Coding::Zstd),
    (Encoding::Zlib, Coding::Zlib),
    (Encoding::Deflate, Coding::Zlib),
    (Encoding::Snappy, Coding::SnappyBlock),
    (Encoding::SnappyFramed, Coding::SnappyFramed),
    (Encoding::Lz4, Coding::Lz4),
];
const EVERYTHING: Forwards = Forwards::only(Codings::ALL);

fn compressed(encoding: Encoding, body: &Bytes) -> Vec<u8> {
    let payload = Compressor::new(encoding, 0).compress(body.clone().into(), &Budget::unlimited()).unwrap();
    payload.pieces().flat_map(|piece| piece.to_vec()).collect()
}

fn header(encoding: Encoding) -> String {
    format!("content-encoding: {encoding}\r\n")
}

#[tokio::test]
async fn what_nobody_looks_into_stays_as_it_came_and_costs_no_more_than_that() {
    let (rig, _receiver) = Rig::start("", "").await;
    let body = logs(2000);
    for (encoding, coding) in ENCODINGS {
        let wire = compressed(encoding, &body);
        rig.sink.wants(Forwards::only(Codings::only(coding)));
        let answer = rig.http().await.logs(&header(encoding), &wire).await;
        let batch = rig.sink.take().remove(0);
        assert_eq!((answer.status, batch.items, batch.payload.len()), (200, 2000, body.len()), "{encoding}");
        assert_eq!(batch.payload.encoded(coding).map(|bytes| &bytes[..]), Some(&wire[..]), "{encoding}");
        assert_eq!(rig.host.budget.used(), wire.len(), "{encoding}");
        // Whoever does look finds it all the same.
        assert_eq!(batch.payload.into_contiguous(), body, "{encoding}");
        assert_eq!(rig.host.budget.used(), 0, "{encoding}");
    }
}

#[tokio::test]
async fn over_grpc_too() {
    let (rig, _receiver) = Rig::start("", "").await;
    for (encoding, coding) in [
        (Encoding::Gzip, Coding::Gzip),
        (Encoding::Zstd, Coding::Zstd),
        (Encoding::Snappy, Coding::SnappyFramed),
    ] {
        rig.sink.wants(Forwards::only(Codings::only(coding)));
        let mut options = rig.grpc_options();
        options.compressor = Compressor::new(encoding, 0);
        let client = phoenix_transport::grpc::client::Client::new(options, &rig.host.cores).unwrap();
        export(&client, LOGS, logs(50)).await.unwrap();
        let batch = rig.sink.take().remove(0);
        let wire = batch.payload.encoded(coding).map(Bytes::len);
        assert_eq!(wire, Some(rig.host.budget.used()), "{encoding}: and nothing else is held");
        assert_eq!((batch.items, batch.payload.into_contiguous()), (50, logs(50)), "{encoding}");
    }
}

#[tokio::test]
async fn where_some_look_both_forms_are_there_and_where_all_look_only_the_plain_one() {
    let (rig, _receiver) = Rig::start("", "").await;
    let wire = compressed(Encoding::Zstd, &logs(50));
    for (wants, both) in [(EVERYTHING.and(Forwards::NOTHING), true), (Forwards::NOTHING, false)] {
        rig.sink.wants(wants);
        rig.http().await.logs(&header(Encoding::Zstd), &wire).await;
        let batch = rig.sink.take().remove(0);
        assert_eq!(batch.payload.encoded(Coding::Zstd).is_some(), both);
        let held = logs(50).len() + if both { wire.len() } else { 0 };
        assert!((held..held + held / 4).contains(&rig.host.budget.used()), "{}", rig.host.budget.used());
        assert_eq!(batch.payload.into_contiguous(), logs(50));
    }
}

#[tokio::test]
async fn what_others_might_read_otherwise_is_not_passed_on() {
    let (rig, _receiver) = Rig::start("", "").await;
    rig.sink.wants(EVERYTHING);
    for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Lz4] {
        let two = [compressed(encoding, &logs(3)), compressed(encoding, &logs(4))].concat();
        let answer = rig.http().await.logs(&header(encoding), &two).await;
        let batch = rig.sink.take().remove(0);
        assert_eq!((answer.status, batch.items), (200, 7), "{encoding}");
        let coding = encoding.coding().unwrap();
        assert_eq!(batch.payload.encoded(coding), None, "{encoding}: some decoders stop after the first");
    }
    let trailing = [compressed(Encoding::Zlib, &logs(3)), b"garbage".to_vec()].concat();
    let answer = rig.http().await.logs(&header(Encoding::Zlib), &trailing).await;
    let batch = rig.sink.take().remove(0);
    assert_eq!((answer.status, batch.items, batch.payload.encoded(Coding::Zlib)), (200, 3, None));
}

#[tokio::test]
async fn what_was_rewritten_goes_on_rewritten() {
    let rig = Rig::new();
    let yaml = format!("invalid_utf8: repair\n{}", crate::rig::protocols("", ""));
    let receiver = rig.receiver(&yaml).await;
    receiver.serve(&rig.host);
    rig.sink.wants(EVERYTHING);
    let text = AnyValue { value: Some(Value::StringValue("??".to_owned())) };
    let scope = ScopeLogs {
        log_records: vec![LogRecord { body: Some(text), ..LogRecord::default() }],
        ..ScopeLogs::default()
    };
    let resource = ResourceLogs {
        resource: Some(Resource { dropped_attributes_count: 5, ..Resource::default() }),
        scope_logs: vec![scope],
        ..ResourceLogs::default()
    };
    let mut body = ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec();
    let at = body.windows(2).position(|two| two == b"??").unwrap();
    body[at] = 0xff;
    rig.http().await.logs(&header(Encoding::Zstd), &compressed(Encoding::Zstd, &body.into())).await;
    let batch = rig.sink.take().remove(0);
    assert_eq!(batch.payload.encoded(Coding::Zstd), None);
    let sent = batch.payload.into_contiguous();
    assert!(String::from_utf8_lossy(&sent).contains('\u{fffd}') && !sent.contains(&0xff));
}

#[tokio::test]
async fn bad_bodies_are_refused_as_they_are_elsewhere() {
    let (rig, _receiver) = Rig::start("", "max_request_body_size: 2000").await;
    for wants in [EVERYTHING, Forwards::NOTHING] {
        rig.sink.wants(wants);
        let bomb = compressed(Encoding::Zstd, &logs(5000));
        let mut cut = compressed(Encoding::Zstd, &logs(10));
        cut.truncate(cut.len() - 3);
        for (body, text) in [
            (bomb, "http: request body too large"),
            (cut, "corrupt zstd body"),
            (compressed(Encoding::Zstd, &Bytes::from_static(MALFORMED)), "goes beyond the end"),
        ] {
            let answer = rig.http().await.logs(&header(Encoding::Zstd), &body).await;
            let message = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(answer.status == 400 && message.contains(text), "{} {message}", answer.status);
        }
        assert!(rig.sink.take().is_empty());
    }
    assert_eq!(rig.metric("phoenix_transport_refused", "http"), 4);
    assert_eq!(rig.metric("phoenix_receiver_malformed_requests", "http"), 2);
    assert_eq!(rig.host.budget.used(), 0);
}
