use super::*;
use crate::validate;

const FILES: [(Signal, &str, &str); 3] = [
    (
        Signal::Traces,
        include_str!("../../tests/data/otelcol/input-traces.json"),
        include_str!("../../tests/data/otelcol/file-traces.json"),
    ),
    (
        Signal::Metrics,
        include_str!("../../tests/data/otelcol/input-metrics.json"),
        include_str!("../../tests/data/otelcol/file-metrics.json"),
    ),
    (
        Signal::Logs,
        include_str!("../../tests/data/otelcol/input-logs.json"),
        include_str!("../../tests/data/otelcol/file-logs.json"),
    ),
];

#[test]
fn what_otelcol_read_becomes_what_otelcol_wrote_byte_for_byte() {
    for (signal, input, file) in FILES {
        let (payload, counts) = decode(signal, input.as_bytes(), InvalidUtf8::Reject).expect("valid");
        let (_, validated) =
            validate(signal, payload.clone().into_contiguous(), InvalidUtf8::Reject).expect("valid protobuf");
        assert_eq!(counts, validated, "{signal}");
        let mut out = Vec::new();
        encode(signal, &payload, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), file.trim_end(), "{signal}");
    }
}

/// A span within a request, as JSON.
fn with_span(fields: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#)
}
