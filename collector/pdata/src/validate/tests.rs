use super::*;
use crate::write::{put_bytes, put_double, put_fixed64, put_message, put_uint};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

/// A request whose only span has these bytes.
fn traces(span: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_message(&mut out, 1, |out| put_message(out, 2, |out| put_bytes(out, 2, span)));
    out
}

/// A request whose only metric has these bytes.
fn metrics(metric: &[u8]) -> Vec<u8> {
    traces(metric)
}

fn built(build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    build(&mut out);
    out
}

#[test]
fn an_empty_request_is_valid_and_has_no_items() {
    for signal in Signal::ALL {
        for policy in InvalidUtf8::ALL {
            let (payload, counts) = validate(signal, Bytes::new(), policy).expect("valid");
            assert!(payload.is_empty());
            assert_eq!(counts, Counts::default());
        }
    }
}

#[test]
fn a_refusal_names_the_message_the_field_the_place_and_the_reason() {
    // (case, signal, request, what the error says)
    let nested = |depth| {
        let mut value = Vec::new();
        for _ in 0..depth {
            value = built(|out| put_message(out, 5, |out| put_bytes(out, 1, &value)));
        }
        traces(&built(|out| put_message(out, 9, |out| put_bytes(out, 2, &value))))
    };
    let cases = [
        (
            "cut",
            Signal::Traces,
            vec![0x0a, 5, 0x12],
            "request resource_spans at byte 0: goes beyond the end of its message",
        ),
        ("cut key", Signal::Logs, vec![0x80], "request at byte 0: goes beyond the end of its message"),
        ("long key", Signal::Logs, vec![0xff; 12], "request at byte 0: integer is too long"),
        ("number 0", Signal::Metrics, vec![2, 0], "request at byte 0: field number 0"),
        ("wire type 7", Signal::Logs, vec![0x0f], "request resource_logs at byte 0: unknown wire type 7"),
        ("unknown, wire type 6", Signal::Logs, vec![0x16], "request at byte 0: unknown wire type 6"),
        ("group ends", Signal::Logs, vec![0x14], "request at byte 0: group ends that did not start"),
        ("group crossed", Signal::Logs, vec![0x13, 0x1c], "request at byte 0: group ends that did not start"),
        (
            "group cut",
            Signal::Logs,
            vec![0x13, 0x18, 1],
            "request at byte 0: goes beyond the end of its message",
        ),
        (
            "trace id",
            Signal::Traces,
            traces(&[0x0a, 3, 1, 2, 3]),
            "span trace_id at byte 6: invalid length for TraceID: 3 bytes",
        ),
        (
            "parent",
            Signal::Traces,
            traces(&[0x22, 1, 2]),
            "span parent_span_id at byte 6: invalid length for SpanID: 1 bytes",
        ),
        (
            "name",
            Signal::Traces,
            traces(&[0x30, 1, 0x2a, 3, b'o', b'k', 0xff]),
            "span name at byte 12: text is not UTF-8",
        ),
        (
            "cut time",
            Signal::Traces,
            traces(&[0x39, 0, 0, 0]),
            "span start_time_unix_nano at byte 6: goes beyond the end of its message",
        ),
        (
            "wire type",
            Signal::Traces,
            traces(&[0x3a, 0]),
            "span start_time_unix_nano at byte 6: wire type 2 instead of 1",
        ),
        (
            "long kind",
            Signal::Traces,
            traces(&[0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            "span kind at byte 6: integer is too long",
        ),
        (
            "bounds",
            Signal::Metrics,
            metrics(&[0x4a, 6, 0x0a, 4, 0x3a, 2, 0, 0]),
            "histogram data point explicit_bounds at byte 10: packed numbers end halfway",
        ),
        (
            "buckets",
            Signal::Metrics,
            metrics(&[0x52, 7, 0x0a, 5, 0x42, 3, 0x12, 1, 0x80]),
            "exponential buckets bucket_counts at byte 12: goes beyond the end of its message",
        ),
        (
            "deep",
            Signal::Traces,
            nested(60),
            "array value values at byte 261: nested deeper than 100 messages",
        ),
    ];
    for (case, signal, request, expected) in cases {
        let error = validate(signal, Bytes::from(request), InvalidUtf8::Reject).expect_err(case);
        assert_eq!(error.to_string(), expected, "{case}");
    }
}

#[test]
fn nesting_is_refused_exactly_where_prost_refuses_it() {
    for depth in 0..60 {
        let mut value = built(|out| put_bytes(out, 1, b"deepest"));
        for _ in 0..depth {
            value =
                built(|out| put_message(out, 6, |out| put_message(out, 1, |out| put_bytes(out, 2, &value))));
        }
        let request = traces(&built(|out| put_message(out, 9, |out| put_bytes(out, 2, &value))));
        let ours = validate(Signal::Traces, Bytes::from(request.clone()), InvalidUtf8::Pass);
        assert_eq!(ours.is_ok(), ExportTraceServiceRequest::decode(&request[..]).is_ok(), "depth {depth}");
        assert_eq!(ours.is_ok(), 5 + 3 * depth <= MAX_DEPTH, "depth {depth}");
    }
}

#[test]
fn unknown_fields_groups_and_long_keys_are_accepted() {
    let mut span = Vec::new();
    put_uint(&mut span, 99, 1);
    put_fixed64(&mut span, 1000, 1);
    // A group of number 50 with a group inside.
    span.extend([0x93, 0x03, 0x08, 1, 0x1b, 0x1c, 0x94, 0x03]);
    // Field 5 with a key of two bytes where one would do.
    span.extend([0xaa, 0x00, 1, b'n']);
    let request = Bytes::from(traces(&span));
    let (payload, counts) = validate(Signal::Traces, request.clone(), InvalidUtf8::Reject).expect("valid");
    assert_eq!(counts.items, 1);
    assert_eq!(payload.into_contiguous(), request);
}

#[test]
fn policies_pass_repair_or_reject_invalid_text() {
    let request = Bytes::from(traces(&[0x2a, 130, 1].into_iter().chain([0xff; 130]).collect::<Vec<_>>()));
    let (passed, _) = validate(Signal::Traces, request.clone(), InvalidUtf8::Pass).expect("pass");
    assert_eq!(passed.into_contiguous(), request);
    validate(Signal::Traces, request.clone(), InvalidUtf8::Reject).expect_err("reject");

    let (repaired, counts) = validate(Signal::Traces, request, InvalidUtf8::Repair).expect("repair");
    assert_eq!(counts.bytes, repaired.len() as u64);
    let decoded = ExportTraceServiceRequest::decode(repaired.into_contiguous()).expect("decodes");
    assert_eq!(decoded.resource_spans[0].scope_spans[0].spans[0].name, "\u{fffd}".repeat(130));
}

#[test]
fn valid_text_is_shared_not_copied() {
    let request = Bytes::from(traces(&[0x2a, 3, b'a', b'b', b'c']));
    for policy in InvalidUtf8::ALL {
        let (payload, _) = validate(Signal::Traces, request.clone(), policy).expect("valid");
        assert_eq!(payload.into_contiguous().as_ptr(), request.as_ptr(), "{policy:?}");
    }
}

#[test]
fn messages_that_occur_twice_are_merged_as_protobuf_says() {
    let array = |text: &[u8]| {
        built(|out| put_message(out, 5, |out| put_message(out, 1, |out| put_bytes(out, 1, text))))
    };
    let mut span = Vec::new();
    put_message(&mut span, 15, |out| put_bytes(out, 2, b"first"));
    put_message(&mut span, 9, |out| {
        put_bytes(out, 1, b"key");
        put_bytes(out, 2, &built(|out| put_bytes(out, 1, b"overwritten")));
        put_bytes(out, 2, &array(b"one"));
        put_bytes(out, 2, &[array(b"two"), array(b"three"), vec![0xf8, 0x07, 1]].concat());
    });
    put_message(&mut span, 15, |out| put_uint(out, 3, 2));
    let request = traces(&span);
    let (payload, counts) =
        validate(Signal::Traces, Bytes::from(request.clone()), InvalidUtf8::Reject).expect("valid");
    let rewritten = payload.into_contiguous();
    assert_eq!(
        ExportTraceServiceRequest::decode(rewritten.clone()),
        ExportTraceServiceRequest::decode(&request[..])
    );
    assert_eq!(counts.bytes, rewritten.len() as u64);
    assert!(rewritten.len() < request.len());
    assert!(rewritten.windows(3).any(|bytes| bytes == [0xf8, 0x07, 1]), "the unknown field is kept");
    let (again, _) = validate(Signal::Traces, rewritten.clone(), InvalidUtf8::Reject).expect("valid");
    assert_eq!(again.into_contiguous().as_ptr(), rewritten.as_ptr(), "nothing is left to merge");
}

#[test]
fn data_points_of_a_kind_that_was_overwritten_do_not_count() {
    let point = |value| built(|out| put_message(out, 1, |out| put_double(out, 4, value)));
    let mut metric = Vec::new();
    put_bytes(&mut metric, 5, &[point(1.0), point(2.0)].concat());
    put_bytes(&mut metric, 7, &point(3.0));
    let (_, counts) =
        validate(Signal::Metrics, Bytes::from(metrics(&metric)), InvalidUtf8::Pass).expect("valid");
    assert_eq!((counts.metrics, counts.items), (1, 1));
}
