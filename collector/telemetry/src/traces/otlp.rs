use super::{FinishedSpan, Kind};
use crate::wire::{key_value, nanos, request};

/// Spans as an OTLP export request.
pub fn traces_request(resource: &[(String, String)], version: &str, spans: &[FinishedSpan]) -> Vec<u8> {
    request(resource, version, |scope| {
        for span in spans {
            scope.message(2, |out| {
                out.bytes(1, &span.context.trace_id);
                out.bytes(2, &span.context.span_id);
                if let Some(parent) = span.parent {
                    out.bytes(4, &parent.span_id);
                }
                out.text(5, &span.name);
                let kind = match span.kind {
                    Kind::Internal => 1,
                    Kind::Server => 2,
                    Kind::Client => 3,
                };
                out.uint(6, kind);
                let start = nanos(span.started);
                out.fixed64(7, start);
                let duration = u64::try_from(span.duration.as_nanos()).unwrap_or(u64::MAX);
                out.fixed64(8, start.saturating_add(duration));
                for (key, value) in &span.attributes {
                    key_value(out, 9, key, value);
                }
                if span.left_out > 0 {
                    out.uint(10, u64::from(span.left_out));
                }
                if let Some(error) = &span.error {
                    out.message(15, |status| {
                        status.text(2, error);
                        status.uint(3, 2);
                    });
                }
                let remote = span.parent.map_or(0x100, |parent| 0x100 | u32::from(parent.remote) << 9);
                out.fixed32(16, remote | u32::from(span.context.sampled));
            });
        }
    })
}
